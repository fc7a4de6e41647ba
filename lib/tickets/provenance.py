"""Where a number comes from: what every record says of the code, the versions and the machine that made it."""

import hashlib
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from . import __version__


def provenance(device: str, path: str, population: int, seconds: float, precision: str) -> dict:
    """Where a number comes from: versions, device, path, population, cost and date; nothing that names a host."""
    import torch

    cuda = device.startswith("cuda")
    return {
        "version": __version__,
        "source": fingerprint(),
        "torch": torch.__version__,
        "numba": version("numba"),  # which decides the roundings of the kernels
        "device": torch.cuda.get_device_name(device) if cuda else processor(),
        "device_kind": "cuda" if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "precision": precision,
        "path": path,
        "population": population,
        "seconds": round(seconds, 2),
        "date": datetime.now(UTC).date().isoformat(),
    }


@cache
def fingerprint() -> str:
    """Hash of the library's source, 12 digits: recorded, never part of a key."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.relative_to(Path(__file__).parent).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def processor() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
