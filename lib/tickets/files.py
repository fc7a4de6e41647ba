"""Where the repository keeps things, how a file is written whole or not at all, and one digest for all that is named.

Written by hand, since no library of the lock renames a finished file into place.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
LOCAL = ROOT / "build" / "results"


def digest(value, digits: int = 12) -> str:
    """So many hexadecimal digits of the sha256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def array_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Twelve hexadecimal digits over names, kinds, shapes and bits of arrays, whatever their order."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return found.hexdigest()[:12]


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write to a temporary file that no other writer can have, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
