"""The figure that is dragged: its numbers are those of the tables, at every density, whatever is missing."""

import json

import numpy as np
import pandas as pd
import pytest
from tickets.chapters.winning_tickets import figures
from tickets.figures import style

LEVELS = {"layer1": np.array([[3, 1, 1, 9], [1, 1, 3, 9]]), "layer2": np.array([[1]])}  # 9: never pruned
ACCURACY = {("ticket", 0): 98.0, ("ticket", 1): 98.4, ("ticket", 2): 98.2, ("reinit", 1): 97.9, ("random", 2): 97.0}
TABLE = pd.DataFrame(
    [
        {"arm": arm, "level": level, "order": 0, "replicate": r, "draw": 0, "density": 0.8**level}
        | {"test_accuracy": value + (r - 1) / 10}
        for (arm, level), value in ACCURACY.items()
        for r in range(3)
    ]
    + [{"arm": "ticket", "level": 0, "order": 1, "replicate": 0, "draw": 0, "density": 1.0, "test_accuracy": 10.0}]
)
CURVES = pd.DataFrame(
    {"arm": "ticket", "level": level, "replicate": r, "draw": 0, "test_step": step, "test_accuracy": 90 + step + r}
    for level in (0, 2)
    for r in (0, 2)
    for step in (0, 1, 5)
)


@pytest.fixture(scope="module")
def page():
    return figures.explorer(TABLE, CURVES, LEVELS)


def test_pixels_are_the_outgoing_weights_kept_at_each_level(page):
    assert page.data["pixels"] == [[2, 2, 2, 2], [1, 0, 1, 2], [1, 0, 1, 2]]
    assert page.data["kept"] == [100.0, 80.0, 64.0]


def test_accuracies_have_their_intervals_and_level_0_is_the_dense_network(page):
    spans = {arm: one["spans"] for arm, one in page.data["arms"].items()}
    assert spans["ticket"][1] == pytest.approx(style.interval([98.3, 98.4, 98.5]))
    for arm in figures.EXPLORED:
        assert spans[arm][0][0] == pytest.approx(98.0)  # the second order of the data is left out
    assert np.isnan(spans["reinit"][2][0])
    assert page.data["arms"]["reinit"]["colour"] == style.COLOURS["reinit"]


def test_curves_are_means_over_replicates_where_they_are_recorded(page):
    assert set(page.data["curves"]) == {0, 2}
    assert page.data["curves"][2]["ticket"] == [(0, 91.0), (1, 92.0), (5, 96.0)]


def test_the_page_is_valid_and_what_is_missing_is_null(page):
    html = page.to_html(div_id="explorer-plot")
    numbers = json.loads(html.split("const data = ")[1].split(";\n")[0])
    assert numbers["arms"]["random"]["spans"][1][0] is None
    assert html.count('id="explorer-plot"') == 1


def test_the_ladder_s_dense_line_is_the_network_that_claims_compare_with():
    """Not its mean with the same network in a second order of the data."""
    fields = {"arm": "ticket", "density": 1.0, "level": 0}
    rows = [
        {**fields, "order": order, "replicate": r, "test_accuracy": 98.0 + order} for order in (0, 1) for r in (0, 1)
    ]
    lower = [{**rows[0], "level": 7, "density": 0.2, "replicate": r, "test_accuracy": 98.4} for r in (0, 1)]
    axes = figures.ladder(pd.DataFrame(rows + lower), ["ticket"], ["test_accuracy"]).axes[0]
    across = next(line for line in axes.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2)
    assert across.get_ydata()[0] == 98.0
