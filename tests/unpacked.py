"""Archives of a release unpacked, and what each is checked for: its own checksum, and those that its manifest has."""

import hashlib
import json
from zipfile import ZipFile


def unpacked(archive, into):
    """The one folder that an archive is, in another."""
    with ZipFile(archive) as file:
        file.extractall(into)
    return into / archive.stem


def checked(archive, folder):
    """The manifest of an archive, whose own checksum, files, sizes and checksums are right."""
    digest, name = archive.with_suffix(".zip.sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(archive.read_bytes()).hexdigest(), archive.name)
    told = json.loads((folder / "manifest.json").read_text())
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del there["manifest.json"]
    facts = {name: {"bytes": len(own), "sha256": hashlib.sha256(own).hexdigest()} for name, own in there.items()}
    assert told["files"] == facts
    return told
