"""Registration: every record says which claims stood, in which wording, when it was made."""

from functools import cache
from pathlib import Path

import yaml

from ..errors import BadInput
from ..files import BOOK, digest
from ..networks import PROFILES, Networks, mentioned
from .asked import parts
from .verdicts import VERSIONS

CLAIMS = BOOK / "claims.yml"
UNHASHED = ("needs", "extensions")
"""Fields of an entry that may change without changing what is judged; `extensions` says which replicates were added."""
NESTED_SINCE = {"effect": 1, "match": 2}
"""Their versions when nested rules began to count: later ones change the hashes of what the outer rules judge."""
Profiles = dict[str, dict[str, Networks]]
"""Profile -> study -> its networks."""


@cache
def entries(path: Path = CLAIMS) -> tuple[dict, ...]:
    """The claims of the book, templates merged in."""
    return tuple(yaml.load(Path(path).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["claims"])


def at_profile(value, profile: str):
    """An entry as it stands at a profile: {paper: ..., quick: ...} is one value there, where not listed the paper's."""
    if isinstance(value, dict):
        if value and set(value) <= set(PROFILES):
            if "paper" not in value:
                raise BadInput(f"value by profile {value}: none for paper")
            return at_profile(value.get(profile, value["paper"]), profile)
        return {name: at_profile(part, profile) for name, part in value.items()}
    return [at_profile(part, profile) for part in value] if isinstance(value, list) else value


def standing(profile: str, path: Path = CLAIMS) -> list[dict]:
    """The claims as they are at a profile; at the desk those only that say what they need there."""
    here, paper = (at_profile(list(entries(path)), name) for name in (profile, "paper"))
    return [e for e, whole in zip(here, paper, strict=True) if profile != "desk" or e["needs"] != whole["needs"]]


def entry_hash(entry: dict, networks: Networks) -> str:
    """Twelve hexadecimal digits over everything that a verdict can depend on: the entry, and the networks it names.

    Of a network all that is unlike the defaults of a cell: a field that is added later changes nothing. A rule that was
    changed in code enters with its version.
    """
    judged = {name: value for name, value in entry.items() if name not in UNHASHED}
    direct = rules(judged)
    nested = {rule for part in parts(judged) for rule in _nested(part)} - direct
    changed = {name: version for name, version in VERSIONS.items() if name in direct}
    changed |= {name: VERSIONS[name] for name in sorted(nested) if VERSIONS.get(name, 1) > NESTED_SINCE[name]}
    named = {name: networks.described(name) for name in sorted(set(mentioned(judged)))}
    return digest([judged, named, *([changed] if changed else [])])


def _nested(part: dict) -> set[str]:
    """The rules by which another rule judges each of its rungs or settings."""
    rung = {"match"} if "margin" in part else {"effect"}
    return {"range": rung, "onset": {"effect"}, "concordance": {"effect", "match"}}.get(part.get("kind"), set())


def rules(value) -> set[str]:
    """The rules that an entry and its parts are judged by."""
    if isinstance(value, dict):
        own = {value["kind"]} if "kind" in value else set()
        picked = {"best of several"} if "by" in value else set()
        return own | picked | {rule for part in value.values() for rule in rules(part)}
    return {rule for part in value for rule in rules(part)} if isinstance(value, list) else set()


def registered_as(claim: str, profile: str) -> str:
    """The name under which a claim is registered: its own at the paper's scale."""
    return claim if profile == "paper" else f"{claim}@{profile}"


def hashes(profiles: Profiles, path: Path = CLAIMS) -> dict[str, str]:
    """Registered name -> hash, of every claim at every profile that has one of its networks."""
    return {
        registered_as(entry["id"], profile): entry_hash(entry, networks[entry["study"]])
        for profile, networks in profiles.items()
        for entry in standing(profile, path)
        if any(name in networks[entry["study"]].cells for name in mentioned(entry))
    }
