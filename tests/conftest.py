"""One thread a process, no state of an earlier test, and a store of one's own."""

import os
import sys

import pytest

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))


@pytest.fixture(autouse=True)
def exact_small_numbers():
    """Denormal numbers are kept, whatever `run.compute` set in this process before."""
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture
def store(tmp_path):
    """An empty store without a recorded layer."""
    from tickets.store import Store

    return Store(tmp_path / "local", recorded=None)
