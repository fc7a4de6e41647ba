"""One store for all tests of connectivity: they read, they never write to it."""

import pytest


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """A store with every measurement and all that they need."""
    import torch
    from chords import CHORDS, PLANE
    from tickets.results.store import Store
    from tickets.running import run

    store = Store(tmp_path_factory.mktemp("connectivity"), recorded=None)
    run.run([*CHORDS, PLANE], engine="serial", store=store)
    torch.set_flush_denormal(False)
    return store
