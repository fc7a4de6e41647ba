"""Registration: every record says which claims stood, in which wording, when it was made."""

import hashlib
import json
from functools import cache
from pathlib import Path

import yaml

from .store import CLAIMS, Store

UNHASHED = ("needs",)
"""Fields of an entry that may be improved later without changing what is judged."""


@cache
def entries(path: Path = CLAIMS) -> tuple[dict, ...]:
    """The claims of the book, templates merged in."""
    return tuple(yaml.load(Path(path).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["claims"])


def entry_hash(entry: dict) -> str:
    """Twelve hexadecimal digits over everything in an entry that a verdict can depend on."""
    judged = {name: value for name, value in entry.items() if name not in UNHASHED}
    return digest_of(judged)


def hashes(path: Path = CLAIMS) -> dict[str, str]:
    """Claim -> hash of its entry as it stands now."""
    return {entry["id"]: entry_hash(entry) for entry in entries(path)}


def register(store: Store) -> str:
    """Keep the claims as they stand now in the store; the digest that records carry."""
    standing = hashes()
    digest = digest_of(standing)
    store.register(standing, digest)
    return digest


def digest_of(value) -> str:
    """Twelve hexadecimal digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]
