"""One thread a process, no state of an earlier test, and a store of one's own."""

import os
import sys
from itertools import product

import pytest

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))


LONG = ("test_notebooks.py", "test_site.py", "test_cluster.py", "test_verdicts_table.py", "test_bench.py")


def pytest_configure(config):
    """Before workers start: what nearly all of them run is compiled once, and their processes need not look again."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        from tickets.nets import models
        from tickets.training import compiled

        for kind, precision in product(("lenet-300-100", "conv-2"), ("float32", "float64")):
            compiled.settle(precision, models.build(kind, (1, 4, 4), 2))


def pytest_collection_modifyitems(items):
    """Files that take minutes come first, so that what is left fills all cores; the order inside a file stays."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True)
def exact_small_numbers():
    """Denormal numbers are kept, whatever `work.settle` set in this process before."""
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture
def store(tmp_path):
    """An empty store without a recorded layer."""
    from tickets.results.store import Store

    return Store(tmp_path / "local", recorded=None)


@pytest.fixture
def few_digits(monkeypatch):
    """40 images to train on, 20 to validate, 20 to test: image networks in float64 take seconds, not minutes."""
    from tickets.data import dataset, sources

    small = {}
    for name in ("digits", "digits16"):
        whole = sources.load(name)
        parts = whole.train_images[:60], whole.train_labels[:60], whole.test_images[:20], whole.test_labels[:20]
        small[name] = dataset.Dataset(name, *parts, classes=10)
    split = dataset.split  # holds out the 200 of the whole: here nothing would be left to train on

    def split_few(images, replicate):
        shuffled = split(images, replicate)[1]
        return shuffled[20:], shuffled[:20]

    monkeypatch.setattr(sources, "load", small.__getitem__)
    monkeypatch.setattr(dataset, "split", split_few)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with a chain of four levels of two replicates, and the dense network in a second order."""
    import torch
    from short_chain import NET, chain
    from tickets.results.store import Store
    from tickets.running import run

    store = Store(tmp_path_factory.mktemp("chain"), recorded=None)
    run.run([*chain(4), *chain(4, replicate=1), NET.but(order=1)], engine="serial", store=store)
    torch.set_flush_denormal(False)
    return store


@pytest.fixture
def begun(monkeypatch):
    """What each network really started training with: cell -> (its weights before a step, its mask, its first step)."""
    from tickets.training import train

    seen = {}

    def watch(name, path):
        def watched(cells, model, starts, *args, begin):
            networks = path(cells, model, starts, *args, begin=begin)
            seen.update({c: (w, s.mask, begin) for c, w, s in zip(cells, networks.weights(), starts, strict=True)})
            return networks

        monkeypatch.setitem(train.PATHS, name, watched)

    for name, path in list(train.PATHS.items()):
        watch(name, path)
    return seen
