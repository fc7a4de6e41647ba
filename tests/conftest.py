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


@pytest.fixture
def few_digits(monkeypatch):
    """40 images to train on, 20 to validate, 20 to test: image networks in float64 take seconds, not minutes."""
    from tickets import data

    small = {}
    for name in ("digits", "digits16"):
        whole = data.load(name)
        parts = whole.train_images[:60], whole.train_labels[:60], whole.test_images[:20], whole.test_labels[:20]
        small[name] = data.Dataset(name, *parts, classes=10)
    split = data.split  # holds out the 200 of the whole: here nothing would be left to train on

    def split_few(dataset, replicate):
        shuffled = split(dataset, replicate)[1]
        return shuffled[20:], shuffled[:20]

    monkeypatch.setattr(data, "load", small.__getitem__)
    monkeypatch.setattr(data, "split", split_few)
