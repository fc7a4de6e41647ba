"""Cells: one description, one key, and no key lost when a field is added."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
from tickets import cells
from tickets.cells import ARMS, Cell
from tickets.errors import BadInput

FROZEN = json.loads((Path(__file__).parent / "data" / "frozen_cells.json").read_text())
OTHER = {
    "dataset": "digits",
    "inputs": "standard",
    "augment": "flip_crop",
    "model": "conv-2",
    "steps": 100,
    "batch": 61,
    "optimizer": "sgd",
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "drops": (10, 20),
    "warmup": 5,
    "dropout": 0.5,
    "scope": "global",
    "rate": 0.3,
    "conv_rate": 0.1,
    "output_rate": 0.2,
    "rewind": 3,
    "arm": "reinit",
    "level": 2,
    "sigma": 0.5,
    "replicate": 1,
    "draw": 1,
    "order": 1,
    "precision": "float64",
    "algorithm": 2,
    "schedule": "restarted",
    "subject": "random",
    "points": 11,
}
BASE = Cell(level=3, draw=4)


def test_the_key_depends_on_every_field():
    assert {*OTHER, "pull"} == {field.name for field in fields(Cell)}
    assert len({BASE.but(arm="pulled", pull=pull).key() for pull in (1, 2)}) == 2
    changed = [BASE.but(**{name: value}) for name, value in OTHER.items()]
    assert len({cell.key() for cell in [BASE, *changed]}) == len(OTHER) + 1


def test_drops_are_told_apart_by_number_and_place():
    keys = {Cell(drops=drops).key() for drops in [(), (10,), (20,), (10, 20), (20, 10)]}
    assert len(keys) == 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"level": 3.0}, {"level": 3}),
        ({"level": 0.0}, {}),
        ({"momentum": 0, "sigma": 2, "rate": 0}, {"sigma": 2.0, "rate": 0.0}),
        ({"steps": 100.0, "replicate": np.int64(2)}, {"steps": 100, "replicate": 2}),
        ({"drops": [5, 10]}, {"drops": (5, 10)}),
    ],
)
def test_equal_cells_have_one_key(one, other):
    assert Cell(**one) == Cell(**other)
    assert Cell(**one).key() == Cell(**other).key()
    assert json.dumps(Cell(**one).to_dict()) == json.dumps(Cell(**other).to_dict())


def test_keys_are_short_hexadecimal():
    key = Cell().key()
    assert len(key) == 24
    assert set(key) <= set("0123456789abcdef")


def test_a_cell_survives_its_text():
    for cell in (Cell(), Cell(**{**OTHER, "arm": "one_shot", "level": 1.765})):
        again = Cell.from_dict(json.loads(json.dumps(cell.to_dict())))
        assert again == cell
        assert hash(again) == hash(cell)
        assert again.key() == cell.key()


def test_frozen_records_keep_their_keys():
    assert len(FROZEN) >= 5
    for record in FROZEN:
        cell = Cell.from_dict(record["cell"])
        assert cell.key() == record["key"]
        assert cell.to_dict() == record["cell"]


@dataclass(frozen=True)
class Later(Cell):
    """The cell of a later version, with one field more and another value of it as the default."""

    colour: str = "red"


def test_an_added_field_orphans_nothing(monkeypatch):
    monkeypatch.setattr(cells, "ADDED", {**cells.ADDED, "colour": "grey"})  # what all earlier records had
    for record in FROZEN:
        cell = Later.from_dict(record["cell"])
        assert cell.colour == "grey"
        assert cell.key() == record["key"]
        assert cell.to_dict() == record["cell"]
        red = cell.but(colour="red")
        assert red.key() != record["key"]
        assert Later.from_dict(red.to_dict()) == red


def test_a_field_added_without_its_old_value_is_found_out():
    with pytest.raises(BadInput, match="colour is missing"):
        Later.from_dict(FROZEN[0]["cell"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arm": "lottery"}, "arm 'lottery'.*ticket, reinit"),
        ({"inputs": "raw"}, "input scaling 'raw'.*unit, standard"),
        ({"augment": "cutout"}, "augmentation 'cutout'.*flip_crop"),
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
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"rewind": -1}, "rewind -1"),
        ({"rewind": 50_000}, "rewind 50000"),
        ({"replicate": -1}, "replicate -1"),
        ({"level": float("nan")}, "level nan"),
        ({"rate": "0.2"}, "rate '?0.2"),
        ({"arm": "reinit", "draw": 0}, "draw 0"),
        ({"arm": "chord", "subject": "reinit"}, "draw 0"),
        ({"subject": "noise"}, "subject 'noise'.*ticket, random, reinit"),
        ({"schedule": "cosine"}, "schedule 'cosine'.*resumed, restarted"),
        ({"points": 1}, "points 1"),
        ({"points": 61}, "points 61: at most 60"),
        ({"order": -1}, "order -1"),
        ({"rewind": 5}, "rewind 5: the dense network is one for all rewind steps"),
    ],
    ids=str,
)
def test_bad_values_are_named(change, message):
    with pytest.raises(BadInput, match=message) as caught:
        Cell(**change)
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
    del spec["rate"]
    with pytest.raises(BadInput, match="cell field rate is missing"):
        Cell.from_dict(spec)


def test_a_cell_cannot_be_changed():
    with pytest.raises(AttributeError):
        Cell().steps = 3
    assert BASE.but(steps=3) == Cell(level=3, draw=4, steps=3)
