"""Where a number comes from: what every record says of the code, the versions and the machine that made it."""

import hashlib
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

VERSION = "0.1.0"
ALGORITHM = 3
"""Of the code that trains and prunes on the compiled path: raised by hand when its roundings change."""
PACKAGE = Path(__file__).parents[1]
NUMBERS = (
    "arms.py", "cells.py", "seeds.py", "nets/**/*.py", "data/**/*.py", "pruning/**/*.py", "training/**/*.py",
    "connectivity/**/*.py", "chapters/*/*.py", "running/plan.py", "running/work.py",
)  # fmt: skip
"""What of the library can change a number: also what trains together, and how threads and devices are set."""
PAGES = ("study.py", "figures.py", "tables.py")
"""What of a chapter cannot: its list of cells and what it shows."""


def provenance(device: str, path: str, population: int, seconds: float, precision: str) -> dict:
    """Where a number comes from: versions, device, path, population, cost and date; nothing that names a host."""
    import torch

    return {
        "version": VERSION,
        "algorithm": ALGORITHM,
        "source": fingerprint(),
        "torch": torch.__version__,
        "numba": version("numba"),  # which decides the roundings of the kernels
        "device": name_of(device),
        "device_kind": "cuda" if device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        "precision": precision,
        "path": path,
        "population": population,
        "seconds": round(seconds, 2),
        "date": datetime.now(UTC).date().isoformat(),
    }


def name_of(device: str) -> str:
    """The name of a processor or of a GPU: what is begun on one is not gone on with on another."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()


@cache
def fingerprint() -> str:
    """Hash of the source that can change a number, 12 digits: recorded, never part of a key."""
    sources, found = [path for pattern in NUMBERS for path in PACKAGE.glob(pattern)], hashlib.sha256()
    for source in sorted(source for source in sources if source.name not in PAGES):
        found.update(source.relative_to(PACKAGE).as_posix().encode() + source.read_bytes())
    return found.hexdigest()[:12]


@cache
def processor() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
