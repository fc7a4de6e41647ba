"""What tests of running share: the tiny study run in one go, the file it exports, and what is computed."""

from types import SimpleNamespace

import pytest
from tickets.results.store import Store
from tickets.running import travel, work
from tiny import TINY, serial


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny study, run in one go and without any fault: its store and its table."""
    store = Store(tmp_path_factory.mktemp("tiny"), recorded=None)
    return store, serial(TINY, store)


@pytest.fixture
def both(tmp_path):
    """A store with an empty local and an empty recorded layer."""
    return Store(tmp_path / "local", tmp_path / "recorded")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The machine on which the tiny study was run: its store, its table and the file it exports."""
    folder = tmp_path_factory.mktemp("home")
    store = Store(folder / "local", folder / "recorded")
    table = serial(TINY, store)
    travel.export(folder / "results.zip", store, TINY)
    return SimpleNamespace(store=store, table=table, file=folder / "results.zip", folder=folder)


@pytest.fixture
def computed(monkeypatch):
    """The cells that are computed, as they are; `computed.before` is called first and may raise."""
    real, calls = work.compute, []

    def compute(cells, *rest):
        calls.append(cells[0])
        calls_of.before(cells[0])
        real(cells, *rest)

    calls_of = SimpleNamespace(cells=calls, before=lambda cell: None)
    monkeypatch.setattr(work, "compute", compute)
    return calls_of
