"""Every arm, whoever declared it: its row is true, and nothing outside the chapters asks for it by name."""

import ast
import json

import numpy as np
import pytest
from tickets import chapters
from tickets.arms import ARMS, Arm, declare, measures, own_defaults
from tickets.cells import FIELDS, Cell
from tickets.chapters.popup import redundant
from tickets.data import sources
from tickets.errors import BadInput
from tickets.files import ROOT
from tickets.nets import models
from tickets.pruning import imp
from tickets.results.records import parse, record_of
from tickets.results.store import Store
from tickets.running.plan import closure, leaves
from tickets.running.work import compute

EVERY = [cell for study in chapters.STUDIES for cell in chapters.cells(study, "smoke")]
TINY = {
    cell.arm: cell
    for cell in EVERY
    if cell.model.startswith(("lenet", "mlp", "fc")) and (cell.level or measures(cell.arm))
}
"""Of each arm a cell of a smoke study that trains in a moment."""
NETWORKS = [name for name in ARMS if not measures(name)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with all that the tiny cells of every arm start from, and what these leave."""
    store = Store(tmp_path_factory.mktemp("arms"), recorded=None)
    cells = closure(TINY.values())
    needs = leaves(cells)
    for cell in cells:
        compute((cell,), store, "cpu", needs)
    return store


def test_each_arm_is_in_some_smoke_study():
    assert {cell.arm for cell in EVERY} == set(TINY) == set(ARMS)


@pytest.mark.parametrize("name", ARMS)
def test_parents_come_first_and_never_lead_back(name):
    cells = closure([TINY[name]])
    for i, cell in enumerate(cells):
        assert set(cell.parents()) <= set(cells[:i])
    assert cells[-1] == TINY[name]


@pytest.mark.parametrize("name", ARMS)
def test_a_record_survives_its_text(name):
    cell = TINY[name]
    record = record_of(cell, {"kept": 1}, {}, [], {}, "0" * 12)
    assert Cell.from_dict(parse(json.dumps(record), "here")["cell"]) == cell


@pytest.mark.parametrize("name", NETWORKS)
def test_two_starts_have_the_same_bits(name, trained):
    cell = TINY[name]
    model = models.build(cell.model, *sources.described(cell.dataset))
    one, other = (imp.starts([cell], model, trained)[0] for _ in range(2))
    model = redundant.of(cell, model) if name == "redundant" else model
    assert one.weights.keys() == other.weights.keys() == model.shapes.keys()
    assert all(np.array_equal(one.weights[n], other.weights[n]) for n in one.weights)
    assert all(np.array_equal(one.mask[n], other.mask[n]) for n in one.mask)
    assert all(one.weights[n].shape == model.shapes[n] for n in one.weights)


class MasksOnly(Store):
    """A store in which a ticket's mask is left of it, and nothing else: as of one that is recorded."""

    forbidden: Cell

    def tensors(self, cell):
        assert cell != self.forbidden, f"asked for more than the mask of {cell}"
        return super().tensors(cell)


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.mask_suffices])
def test_enough_with_the_mask_is_true(name, trained):
    cell = TINY[name]
    store = MasksOnly(trained.local, recorded=None)
    store.forbidden = ARMS[name].parents(cell)[-1]
    model = models.build(cell.model, *sources.described(cell.dataset))
    if measures(name):
        ARMS[name].measure(cell, model, store, "cpu")
    else:
        imp.starts([cell], model, store)


@pytest.mark.parametrize("name", NETWORKS)
def test_only_arms_that_say_so_keep_more_than_the_ticket(name, trained):
    cell = TINY[name]
    model = models.build(cell.model, *sources.described(cell.dataset))
    start = imp.starts([cell], model, trained)[0]
    ticket = imp.ladder(cell, model)
    assert (start.mask.kept > sum(ticket.values())) == ARMS[name].keeps_more


@pytest.mark.parametrize("name", NETWORKS)
def test_redrawn_arms_alone_begin_from_other_weights_where_the_mask_keeps_them(name):
    cell = TINY[name]
    assert (cell.initialization > 0) == ARMS[name].redrawn(cell)


def test_own_parameters_are_no_fields_of_a_cell():
    assert not set(own_defaults()) & {*FIELDS, "network", "stat"}


def test_an_arm_is_declared_once_and_has_a_start_or_a_measure():
    with pytest.raises(BadInput, match="declared twice"):
        declare(ticket=ARMS["ticket"])
    with pytest.raises(BadInput, match="either a start or a measure"):
        declare(neither=Arm("neither"))
    with pytest.raises(BadInput, match="has the default"):
        declare(other=Arm("other", start=imp.ticket, own={"sigma": 1.0}))
    assert {"neither", "other"}.isdisjoint(ARMS)


def test_nothing_outside_the_chapters_asks_for_an_arm_by_its_name():
    named = {name for name in ARMS if name != "ticket"}
    sources_of = [
        path
        for folder in ("lib/tickets", "benchmarks", "book/_tools")
        for path in (ROOT / folder).rglob("*.py")
        if "chapters" not in path.parts
    ]
    assert len(sources_of) > 50
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for path in sources_of
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in named
    ]
    assert not found
