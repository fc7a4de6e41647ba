"""Planning: which populations are trained, in which order; shards that need each other in nothing."""

import pytest
from made_up import record
from tickets import chapters
from tickets.arms import ARMS, measures
from tickets.cells import unseeded
from tickets.results.store import Store
from tickets.running.plan import closure, plan, population_size, populations
from tiny import CHAIN, NET, TINY, assert_equal_tables, serial


def test_tensors_without_a_record_are_an_unfinished_cell(tiny, store):
    """Whoever is killed between the two files has not finished."""
    serial(CHAIN, store)
    store.beside(CHAIN[1], "json").unlink()
    assert plan(CHAIN, store) == [(CHAIN[1],)]
    assert_equal_tables(serial(CHAIN, store), tiny[0].table(CHAIN))


def test_recorded_masks_are_as_good_as_their_tickets(tmp_path):
    """On another machine, a branch of a recorded chain costs one network; a longer chain is taken up where it ended."""
    here = Store(tmp_path / "here", tmp_path / "recorded")
    serial(CHAIN, here)
    record(here, [*CHAIN, NET.but(level=3)], NET)
    there = Store(tmp_path / "there", tmp_path / "recorded")
    for cell in (NET.but(arm="random", level=1), NET.but(arm="reinit", level=2, draw=1), NET.but(level=3)):
        assert plan([cell], there) == [(cell,)]
    branches = [NET.but(arm="random", level=1), NET.but(arm="noise", level=2, sigma=0.5), NET.but(level=3)]
    assert_equal_tables(serial(branches, there), serial(branches, here))
    anatomy = NET.but(arm="anatomy", level=2)
    assert plan([anatomy], there) == [(NET.but(order=1),), (anatomy,)]
    assert plan([NET.but(arm="one_shot", level=2)], there) == [(NET,), (NET.but(arm="one_shot", level=2),)]


# populations and shards


def all_cells():
    return [cell for study in chapters.STUDIES for p in chapters.PROFILES for cell in chapters.cells(study, p)]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_populations_hold_every_cell_once_and_parents_first(device):
    groups = populations(closure(all_cells()), device)
    seen = set()
    for group in groups:
        assert len({unseeded(cell) for cell in group}) == 1  # one task, one network, one optimizer
        assert len({(cell.rewind, cell.first_step) for cell in group}) == 1
        assert len({cell.arm if measures(cell.arm) else ARMS[cell.arm].together for cell in group}) == 1
        assert len(group) <= population_size(group[0].model, device)
        assert all(parent in seen for cell in group for parent in cell.parents())
        assert not seen & set(group)
        seen |= set(group)
    assert seen == set(closure(all_cells()))
    assert (max(map(len, groups)) > 1) == (device == "cuda")


def test_populations_do_not_depend_on_what_is_there(tiny, store):
    everything = plan(TINY, store, "cuda")
    assert any(len(group) > 1 for group in everything)
    serial(CHAIN[:1], store)
    some = plan(TINY, store, "cuda")
    assert 0 < len(some) < len(everything) + 1
    assert set(some) <= set(everything)
    assert plan(TINY, tiny[0], "cuda") == []


def chains_of(replicates):
    return [cell.but(replicate=r) for r in range(replicates) for cell in TINY[:7]]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_shards_are_a_partition(store, parts, device):
    cells = chains_of(4)
    shards = [plan(cells, store, device, f"{k}/{parts}") for k in range(1, parts + 1)]
    found = [cell for shard in shards for group in shard for cell in group]
    assert len(found) == len(set(found))
    assert set(found) == set(cells)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_shard_needs_no_other(store, parts):
    """Machines of a job array share nothing while they run: what a cell starts from is in its own shard."""
    cells = chains_of(4)
    sizes = []
    for k in range(1, parts + 1):
        mine = {cell for group in plan(cells, store, shard=f"{k}/{parts}") for cell in group}
        assert all(parent in mine for cell in mine for parent in cell.parents())
        sizes.append(len(mine))
    assert min(sizes) > 0
