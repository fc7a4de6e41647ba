"""The release: the recorded tickets with their records, a loader and a data card, in one archive with checksums.

    release.py [FOLDER]      tickets-VERSION.zip and its checksum (default: build/release)

It is laid out as the repository is, so that the library in it finds the results in it. Masks are plain safetensors.
"""

import json
import os
import sys
from hashlib import sha256
from pathlib import Path

from jinja2 import Template
from safetensors.numpy import save
from tickets.chapters.collection import chains, released
from tickets.files import write_atomically
from tickets.results.provenance import VERSION
from tickets.results.store import read_masks
from tickets.running.travel import archive

PARTS = (
    *("LICENSE", "CITATION.cff", "CHANGELOG.md", "pyproject.toml", "requirements.lock", "lib/**/*.py", "lib/**/*.html"),
    *("book/claims.yml", "book/examples/*.py", "book/results/**/*.json*", "book/results/*.[cs]*"),  # csv, safetensors
)


def card(root: Path) -> str:
    """The data card: what is in the archive, how it was made, what it is not good for."""
    rows, made = chains(source=root), [record["provenance"] for record in released(root).records.values()]
    facts = {name: sorted({str(one.get(name)) for one in made}) for name in ("version", "device", "torch", "date")}
    facts |= {"records": len(made), "files": rows.loc[rows["masks"], "key"].nunique()}
    named = rows.groupby(["study", "network", "rewind", "masks"])["levels"].agg(["size", "max"]).reset_index()
    template = Template((root / "book/_parts/data-card.md").read_text("utf-8"))
    return template.render(groups=named.to_dict("records"), **facts)


def members(root: Path) -> dict[str, bytes]:
    """Name -> content of all that is in the archive."""
    paths = sorted({path for pattern in PARTS for path in root.glob(pattern)})
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    for _, path in released(root).chains.values():
        found[f"book/results/masks/{path.stem}.safetensors"] = save(read_masks(path))
    found["README.md"] = f"# Lottery tickets, to take away\n\n{card(root)}".encode()
    return found


def write(root: Path, folder: Path) -> Path:
    """Write the archive and beside it its checksum; the same results give the same bytes."""
    return pack(folder / f"tickets-{VERSION}.zip", members(root), chains=chains(source=root).to_dict("records"))


def pack(target: Path, found: dict[str, bytes], **told) -> Path:
    """Write files by name, with a manifest of them and of what is told, into an archive, and beside it its checksum."""
    files = {name: {"bytes": len(text), "sha256": sha256(text).hexdigest()} for name, text in sorted(found.items())}
    told = {"version": VERSION, "commit": os.environ.get("TICKETS_COMMIT", ""), **told, "files": files}
    found = found | {"manifest.json": json.dumps(told, indent=1).encode()}
    write_atomically(target, archive({f"{target.stem}/{name}": content for name, content in sorted(found.items())}))
    checksum(target)
    return target


def checksum(file: Path) -> None:
    """Write the checksum of a file beside it, as sha256sum reads it."""
    write_atomically(file.with_name(f"{file.name}.sha256"), f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n")


if __name__ == "__main__":
    from build_book import ROOT, settle

    settle(ROOT)
    written = write(ROOT, Path(*sys.argv[1:] or [ROOT / "build/release"]))
    print(f"{written}: {written.stat().st_size / 2**20:.1f} MiB")
