"""Random streams: equal keys share them, any other key is independent; arms share what they should."""

from itertools import combinations

import numpy as np
import pytest
import torch
from tickets import seeds
from tickets.cells import Cell
from tickets.nets import models
from tickets.pruning import imp
from tickets.seeds import PURPOSES, stream

NET = Cell(dataset="digits", steps=30)
MODEL = models.build("lenet-300-100", (1, 8, 8), 10)


def draws(*key, **named):
    return stream(*key, **named).standard_normal(2000)


def test_equal_keys_draw_equal_numbers():
    assert (draws("order", 1, 2, 3) == draws("order", replicate=1, level=2.0, draw=3)).all()
    state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    draws("init")
    assert torch.equal(torch.random.get_rng_state(), state[0])
    assert (np.random.get_state()[1] == state[1]).all()  # noqa: NPY002


def test_any_other_key_is_independent():
    keys = [(purpose, 0, 0, 0) for purpose in PURPOSES]
    keys += [("init", 1, 0, 0), ("init", 0, 1, 0), ("init", 0, 0, 1), ("init", 2, 1, 0), ("init", 1, 2, 0)]
    keys += [("init", 0, 0.001, 0), ("init", 0, 1.765, 0), ("init", 1000, 0, 0)]
    for one, other in combinations([draws(*key) for key in keys], 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.1  # 4.5 standard errors


def test_levels_count_to_a_thousandth():
    assert (draws("order", level=1.765) == draws("order", level=1.7651)).all()
    assert (draws("order", level=1.765) != draws("order", level=1.766)).any()


def test_an_unknown_purpose_is_refused():
    with pytest.raises(ValueError, match="not in"):
        stream("shuffle")


def test_streams_are_those_of_the_first_records():
    """Every recorded result depends on these numbers."""
    assert seeds.ROOT == 180303635
    assert stream("split").integers(10**9, size=3).tolist() == [882813737, 951252143, 332654945]
    assert stream("init", 3, 1.765, 2).integers(10**9, size=3).tolist() == [451915156, 501496844, 819153434]


def test_arms_share_the_initialization():
    first = imp.initial(NET, MODEL)
    assert (imp.initial(NET.but(level=5, order=1), MODEL)["fc1.weight"] == first["fc1.weight"]).all()
    assert (imp.initial(NET.but(arm="random", level=7, draw=2), MODEL)["fc1.weight"] == first["fc1.weight"]).all()
    assert (imp.initial(NET.but(replicate=1), MODEL)["fc1.weight"] != first["fc1.weight"]).mean() > 0.99


def test_reinitializations_differ_from_draw_to_draw():
    again = [NET.but(arm="reinit", level=3, draw=draw) for draw in (1, 2, 3)]
    drawn = [imp.initial(cell, MODEL)["fc2.weight"].ravel() for cell in (NET, *again)]
    for one, other in combinations(drawn, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.03  # 5 standard errors
    deeper, later = (NET.but(arm="reinit", level=7, draw=2, **fields) for fields in ({"order": 1}, {"rewind": 5}))
    for same in (deeper, later.trunk(), NET.but(draw=2)):  # one full draw serves all levels, and its own trunk
        assert (imp.initial(same, MODEL)["fc2.weight"].ravel() == drawn[2]).all()
