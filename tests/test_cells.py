"""Cells: one description, one key, and no key lost when a field is added."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
from tickets import cells
from tickets.arms import ARMS
from tickets.cells import Cell
from tickets.errors import BadInput

FROZEN = json.loads((Path(__file__).parent / "samples" / "frozen_cells.json").read_text())
OTHER = {
    "dataset": "digits", "inputs": "standard", "augment": "flip_crop", "model": "conv-2", "init": "kaiming",
    "steps": 100, "batch": 61,
    "micro_batch": 30, "optimizer": "sgd", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 1e-4,
    "drops": (10, 20), "warmup": 5, "dropout": 0.5, "scope": "global", "rate": 0.3, "conv_rate": 0.1,
    "output_rate": 0.2, "rewind": 3, "arm": "reinit", "level": 2, "replicate": 1, "draw": 1, "order": 1,
    "precision": "float64", "schedule": "restarted",
}  # fmt: skip
BASE = Cell(arm="random", level=3, draw=4)
MASKED = {"constant": False, "rescaled": False}
SEARCH = {"keep": 0.5, "constant": False, "scaled": False}
ELASTIC = {"source_model": "", "blocks": "append", "even": False, "unmapped": False}
OWN = {
    "supermask": MASKED,
    "untrained": {},
    "null_ladder": {"constant": False},
    "pixels": {},
    "likely": MASKED,
    "deconstructed": {"criterion": "large_final", "ones": "rewind", "zeros": "zero"},
    "altered": {"ones": "rewind", "zeros": "zero"},
    "ticket": {},
    "reinit": {},
    "one_shot": {},
    "random": {},
    "random_open": {},
    "redraw": {},
    "magnitude_at_init": {},
    "finetune": {},
    "noise": {"sigma": 0.0},
    "dense_path": {},
    "anatomy": {},
    "degrees": {},
    "selection": {},
    "edge_popup": SEARCH,
    "redundant": {"keep": 0.5, "redundancy": 5, "rectified": False},
    "sampled": {"constant": False},
    "trained": {},
    "against": SEARCH,
    "course": SEARCH,
    "left_over": SEARCH,
    "first_layer": SEARCH,
    "subset_sums": {"law": "uniform", "search": "exact", "step_size": 0.1, "targets": 1000},
    "fixed_share": {"targets": 1000},
    "rebuilt": {"law": "uniform", "tolerance": 0.01, "pooled": "row"},
    "transferred": {
        "source_dataset": "", "source_optimizer": "", "source_rate": 0.0, "source_momentum": 0.0, "carried": "both",
        "permuted": "layer",
    },
    "overlap": {
        "source_dataset": "", "source_optimizer": "", "source_rate": 0.0, "source_momentum": 0.0, "apart": 0,
    },
    "elastic": ELASTIC | {"carried": "both", "added": "copied"},
    "early": ELASTIC | {"score": "snip"},
    "own_ticket": ELASTIC,
    "elastic_chord": ELASTIC | {"other": "copy", "points": 30},
    "pulled": {"pull": 0.0},
    "pulled_reinit": {"pull": 0.0},
    "chord": {"subject": "ticket", "pull": 0.0, "points": 30},
    "rounds": {"points": 30},
    "descent": {"points": 30},
    "plane": {},
}  # fmt: skip
"""The own parameters of every arm with their defaults, for ever: another default would give records other keys."""


# keys


def test_the_key_depends_on_every_field():
    assert {*OTHER, "own"} == {field.name for field in fields(Cell)}
    changed = [BASE.but(**{name: value}) for name, value in OTHER.items()]
    assert len({cell.key() for cell in [BASE, *changed]}) == len(OTHER) + 1


def test_the_key_depends_on_every_own_parameter():
    chord = BASE.but(arm="chord", subject="pulled", pull=1)
    changed = [chord.but(subject="pulled_reinit"), chord.but(pull=2), chord.but(points=11)]
    assert len({cell.key() for cell in [chord, *changed]}) == 4
    assert len({BASE.but(arm="noise", sigma=sigma).key() for sigma in (0, 0.5, 1)}) == 3


def test_drops_are_told_apart_by_number_and_place():
    keys = {Cell(drops=drops).key() for drops in [(), (10,), (20,), (10, 20), (20, 10)]}
    assert len(keys) == 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"level": 3.0}, {"level": 3}),
        ({"level": 0.0}, {}),
        ({"momentum": 0, "arm": "noise", "sigma": 2, "rate": 0}, {"arm": "noise", "sigma": 2.0, "rate": 0.0}),
        ({"momentum": -0.0, "level": -0.0}, {}),
        ({"steps": 100.0, "replicate": np.int64(2)}, {"steps": 100, "replicate": 2}),
        ({"learning_rate": np.float64(0.5)}, {"learning_rate": 0.5}),
        ({"drops": [5, 10]}, {"drops": (5, 10)}),
        ({"drops": (5.0, np.int64(10))}, {"drops": (5, 10)}),
        ({"arm": "noise", "sigma": 0}, {"arm": "noise"}),
        ({"arm": "noise", "sigma": -0.0}, {"arm": "noise"}),
        ({"arm": "pulled", "level": 1, "pull": np.int64(-1)}, {"arm": "pulled", "level": 1, "pull": -1.0}),
        ({"arm": "rounds", "points": 11.0}, {"arm": "rounds", "points": 11}),
        ({"arm": "chord", "subject": "ticket", "points": 30}, {"arm": "chord"}),
    ],
    ids=str,
)
def test_equal_cells_have_one_key(one, other):
    one, other = Cell().but(**one), Cell().but(**other)
    assert one == other
    assert hash(one) == hash(other)
    assert one.key() == other.key()
    assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())


def test_keys_are_short_hexadecimal():
    key = Cell().key()
    assert len(key) == 24
    assert set(key) <= set("0123456789abcdef")


def test_a_cell_survives_its_text():
    all_other = Cell(**{**OTHER, "arm": "one_shot", "level": 1.765})
    chord = BASE.but(arm="chord", subject="pulled_reinit", pull=-1, points=11)
    for cell in (Cell(), all_other, BASE.but(arm="noise", sigma=0.5), chord, BASE.but(arm="chord")):
        again = Cell.from_dict(json.loads(json.dumps(cell.to_dict())))
        assert again == cell
        assert hash(again) == hash(cell)
        assert again.key() == cell.key()


# records that were written once


def test_frozen_records_keep_their_keys():
    assert len(FROZEN) >= 12
    for record in FROZEN:
        cell = Cell.from_dict(record["cell"])
        assert cell.key() == record["key"]
        assert cell.to_dict() == record["cell"]


@dataclass(frozen=True)
class Later(Cell):
    """The cell of a later version, with one field more and another value of it as the default."""

    colour: str = "red"


@pytest.fixture
def later(monkeypatch):
    """The module of cells in that version."""
    monkeypatch.setattr(cells, "FIELDS", (*cells.FIELDS, "colour"))


def test_an_added_field_orphans_nothing(later, monkeypatch):
    monkeypatch.setattr(cells, "ADDED", {**cells.ADDED, "colour": "grey"})  # what all earlier records had
    for record in FROZEN:
        cell = Later.from_dict(record["cell"])
        assert cell.colour == "grey"
        assert cell.key() == record["key"]
        assert cell.to_dict() == record["cell"]
        red = cell.but(colour="red")
        assert red.key() != record["key"]
        assert Later.from_dict(red.to_dict()) == red


def test_a_field_added_without_its_old_value_is_found_out(later):
    with pytest.raises(BadInput, match="colour is missing"):
        Later.from_dict(FROZEN[0]["cell"])


def test_an_added_own_parameter_orphans_nothing(monkeypatch):
    for name, arm in ARMS.items():
        monkeypatch.setitem(ARMS, name, replace(arm, own={**arm.own, "colour": "grey"}))
    for record in FROZEN:
        cell = Cell.from_dict(record["cell"])
        assert cell.own["colour"] == "grey"
        assert cell.key() == record["key"]
        assert cell.to_dict() == record["cell"]
        assert cell.but(colour="red").key() != record["key"]


# own parameters


def test_own_parameters_and_their_defaults_never_change():
    assert {name: dict(arm.own) for name, arm in ARMS.items()} == OWN
    assert repr({name: dict(arm.own) for name, arm in ARMS.items()}) == repr(OWN)  # 0.0 is not 0


NEEDED = {
    "pulled": {"pull": 1}, "pulled_reinit": {"pull": 1}, "supermask": {"optimizer": "sgd"},
    "sampled": {"optimizer": "sgd"},
    **{name: {"optimizer": "sgd", "init": "kaiming"} for name, own in OWN.items() if "keep" in own},
    "redundant": {"optimizer": "sgd", "init": "kaiming", "model": "fc-500"},
    "deconstructed": {"criterion": "movement"}, "altered": {"zeros": "freeze"},
    "transferred": {"source_dataset": "fashion_mnist"}, "overlap": {"source_dataset": "fashion_mnist"},
    **dict.fromkeys(("elastic", "early", "own_ticket", "elastic_chord"), {"source_model": "mlp-2x300"}),  # noqa: RUF024
}  # fmt: skip
"""What an arm cannot be without."""


def test_own_parameters_are_in_a_cell_only_where_its_arm_has_them_and_unlike_their_default():
    names = {name for own in OWN.values() for name in own}
    for arm, own in OWN.items():
        cell = Cell().but(arm=arm, level=1, draw=int(arm != "ticket"), **NEEDED.get(arm, {}))
        assert set(cell.own) == set(own)
        assert names & set(cell.to_dict()) == {name for name in own if cell.own[name] != own[name]}
    assert dict(Cell(arm="chord").own) == OWN["chord"]
    assert Cell(arm="noise", own={"sigma": 0.5}) == Cell().but(arm="noise", sigma=0.5)
    assert Cell().but(arm="noise", sigma=0.5).to_dict()["sigma"] == 0.5


def test_own_parameters_go_when_the_arm_changes():
    noise = BASE.but(arm="noise", sigma=0.5)
    assert noise.but(level=2).own["sigma"] == 0.5
    assert noise.but(arm="noise").own["sigma"] == 0.5
    assert noise.but(arm="random") == BASE
    chord = BASE.but(arm="chord", subject="pulled", pull=2, points=11)
    assert dict(chord.but(arm="rounds").own) == {"points": 30}
    assert dict(chord.but(arm="pulled", pull=1).own) == {"pull": 1.0}
    assert chord.ticket(2).own == chord.dense().own == Cell().own


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": 0.5}, "sigma: no parameter of arm ticket, .*none of its own"),
        ({"arm": "noise", "pull": 1}, "pull: no parameter of arm noise, which has sigma"),
        ({"arm": "rounds", "subject": "random"}, "subject: no parameter of arm rounds, which has points"),
        ({"arm": "chord", "sigma": 1}, "sigma: no parameter of arm chord, which has subject, pull, points"),
        ({"colour": "grey"}, "colour: no parameter of arm ticket"),
    ],
    ids=str,
)
def test_an_own_parameter_of_another_arm_is_named_with_the_arm(change, message):
    with pytest.raises(BadInput, match=message) as caught:
        Cell().but(**change)
    assert len(str(caught.value).splitlines()) == 1


def test_own_parameters_cannot_be_changed():
    cell = BASE.but(arm="noise", sigma=0.5)
    with pytest.raises(TypeError):
        cell.own["sigma"] = 1.0
    given = {"sigma": 0.5}
    cell = Cell(arm="noise", own=given)
    given["sigma"] = 1.0
    assert cell.own["sigma"] == 0.5


# what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arm": "lottery"}, "arm 'lottery'.*ticket, reinit"),
        ({"inputs": "raw"}, "inputs 'raw'.*unit, standard"),
        ({"augment": "cutout"}, "augment 'cutout'.*flip_crop"),
        ({"augment": "resized_crop"}, "resized_crop: needs .*imagenet"),
        ({"optimizer": "lion"}, "optimizer 'lion'.*adam, sgd"),
        ({"scope": "local"}, "scope 'local'.*layerwise, global"),
        ({"precision": "bfloat16"}, "precision 'bfloat16'.*float32, float64"),
        ({"level": -1}, "level -1"),
        ({"level": 1.5}, "level 1.5: only one_shot"),
        ({"rate": 1.0}, r"rate 1.0.*\[0, 1\)"),
        ({"conv_rate": -0.1}, "conv_rate -0.1"),
        ({"output_rate": 2}, "output_rate 2"),
        ({"steps": 0}, "steps 0"),
        ({"steps": 20.5}, "steps 20.5"),
        ({"batch": 0}, "batch 0"),
        ({"micro_batch": -1}, "micro_batch -1"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"learning_rate": -0.1}, "learning_rate -0.1: must be 0 or more"),
        ({"momentum": -0.9}, "momentum -0.9"),
        ({"weight_decay": -1e-4}, "weight_decay -0.0001"),
        ({"drops": 5}, "drops 5: must be a list of steps"),
        ({"rewind": -1}, "rewind -1"),
        ({"rewind": 50_000}, "rewind 50000"),
        ({"replicate": -1}, "replicate -1"),
        ({"level": float("nan")}, "level nan"),
        ({"rate": "0.2"}, "rate '?0.2"),
        ({"level": 1, "draw": 1}, "draw 1: a ticket's initialization is draw 0"),
        ({"arm": "reinit", "draw": 0}, "draw 0"),
        ({"arm": "pulled_reinit", "pull": 1.0, "draw": 0}, "draw 0"),
        ({"arm": "chord", "subject": "reinit"}, "draw 0"),
        ({"arm": "chord", "subject": "noise"}, "subject 'noise'.*ticket, random, reinit"),
        ({"arm": "chord", "subject": 1}, "subject 1: must be of kind str"),
        ({"arm": "noise", "sigma": float("inf")}, "sigma inf"),
        ({"arm": "noise", "sigma": "0.5"}, "sigma '?0.5"),
        ({"schedule": "cosine"}, "schedule 'cosine'.*resumed, restarted"),
        ({"arm": "chord", "points": 1}, "points 1: must be 2 to 60"),
        ({"arm": "chord", "points": 61}, "points 61: must be 2 to 60"),
        ({"arm": "rounds", "points": 61}, "points 61: must be 2 to 60"),
        ({"arm": "descent", "points": 11.5}, "points 11.5"),
        ({"order": -1}, "order -1"),
        ({"rewind": 5}, "rewind 5: the dense network is one for all rewind steps"),
    ],
    ids=str,
)
def test_bad_values_are_named(change, message):
    with pytest.raises(BadInput, match=message) as caught:
        Cell().but(**change)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(BadInput, match=message):
        Cell.from_dict({**Cell().to_dict(), **change})


def test_only_one_shot_lies_between_rungs():
    assert Cell(arm="one_shot", level=1.765).level == 1.765
    for arm in ARMS:
        if arm != "one_shot":
            with pytest.raises(BadInput, match="only one_shot"):
                Cell(arm=arm, level=1.765)


def test_foreign_fields_are_named():
    spec = Cell().to_dict()
    with pytest.raises(BadInput, match="unknown cell field colour"):
        Cell.from_dict({**spec, "colour": "grey"})
    with pytest.raises(BadInput, match="unknown cell field sigma"):
        Cell.from_dict({**spec, "sigma": 0.5})
    del spec["rate"]
    with pytest.raises(BadInput, match="cell field rate is missing"):
        Cell.from_dict(spec)


def test_a_cell_cannot_be_changed():
    with pytest.raises(AttributeError):
        Cell().steps = 3
    assert BASE.but(steps=3) == Cell(arm="random", level=3, draw=4, steps=3)
