"""Figures of chapter 4 from made-up tables: what is drawn where, and that every direction has its own panel."""

import base64
import re

import numpy as np
import pandas as pd
import pytest
from tickets.chapters.transfer import figures


def rows(*settings):
    """(target, source, arm, what is carried, level, accuracy) for three replicates, 0.1 apart."""
    return pd.DataFrame(
        {"target": target, "source": source, "arm": arm, "carried": carried, "permuted": permuted, "level": level}
        | {"scope": "layerwise", "density": 0.8**level, "replicate": r, "test_accuracy_end": accuracy + (r - 1) / 10}
        for target, source, arm, carried, permuted, level, accuracy in settings
        for r in range(3)
    )


TABLE = rows(
    ("A", "A", "ticket", "both", "layer", 0, 98.0),
    ("A", "A", "ticket", "both", "layer", 9, 98.4),
    ("A", "B", "transferred", "both", "layer", 9, 98.2),
    ("A", "B", "transferred", "nothing", "layer", 9, 97.0),
    ("A", "B", "transferred", "nothing", "network", 9, 90.0),
    ("A", "C", "transferred", "both", "layer", 9, 91.0),
    ("B", "B", "ticket", "both", "layer", 0, 88.0),
    ("B", "A", "transferred", "mask", "layer", 9, 87.0),
)


def labelled(axes):
    return {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}


def test_each_direction_has_its_panel_with_its_own_rivals():
    drawn = figures.by_target(TABLE, [("A", "B"), ("B", "A")])
    first, second = (axes for axes in drawn.axes if axes.get_visible())
    assert (first.get_title(), second.get_title()) == ("B to A", "A to B")
    lines = labelled(first)
    assert lines["dense"] == pytest.approx([98, 98])
    assert lines["the target's own ticket"] == pytest.approx([98.4])
    assert lines["transferred ticket"] == pytest.approx([98.2])
    assert lines["random ticket"] == pytest.approx([97])  # of those permuted within layers
    whole = figures.by_target(TABLE.assign(scope="global"), [("A", "B")]).axes[0]
    assert labelled(whole)["random ticket"] == pytest.approx([90])  # over all of them, as their network is pruned
    assert set(labelled(second)) == {"dense", "its mask, new weights"}


def test_a_target_whose_own_chain_is_still_to_be_trained_shows_the_rest():
    table = TABLE[(TABLE["target"] == "A") & (TABLE["arm"] == "transferred")]
    drawn = figures.by_target(table, [("A", "B")])
    axes = next(axes for axes in drawn.axes if axes.get_visible())
    assert set(labelled(axes)) == {"transferred ticket", "random ticket"}
    assert axes.get_xlim() == pytest.approx((115, 87 * 0.8**9))


def test_the_matrix_prints_every_field_that_there_is():
    grid = pd.DataFrame([[0.0, -0.25], [np.nan, 0.0]], index=["A", "B"], columns=["A", "B"])
    axes = figures.matrix(grid, "7 %").axes[0]
    assert [text.get_text() for text in axes.texts] == ["+0.00", "-0.25", "+0.00"]
    assert axes.get_title() == "7 %: points against the target's own"


def test_the_factorial_shows_three_effects_a_target():
    found = pd.DataFrame(
        {"target": target, "replicate": r, "mask effect": 1 + r, "weights effect": 2 + r, "interaction": 3 + r}
        for target in ("A", "B")
        for r in range(3)
    )
    drawn = figures.factorial(found)
    assert [axes.get_title() for axes in drawn.axes] == ["on A", "on B"]
    dots = [line.get_xdata() for line in drawn.axes[0].lines if line.get_marker() == "."]
    assert [part.mean() for part in dots] == [2, 3, 4]
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["mask", "weights", "interaction"]


def test_overlap_has_a_row_a_pair_and_a_panel_a_layer():
    found = pd.DataFrame(
        {
            "target": "A",
            "source": "B",
            "layer": layer,
            "apart": apart,
            "level": level,
            "replicate": r,
            "kappa": 0.5 - 0.4 * apart,
        }
        for layer in (1, 2, 3)
        for apart in (0, 1)
        for level in (3, 7)
        for r in range(3)
    )
    drawn = figures.overlaps(found, [("A", "B")])
    assert [axes.get_title() for axes in drawn.axes] == [f"B and A, layer {i}" for i in (1, 2, 3)]
    lines = labelled(drawn.axes[2])
    assert lines["of one draw of initial weights"] == pytest.approx([0.5, 0.5])
    assert lines["of two draws: the floor"] == pytest.approx([0.1, 0.1])


def test_overlap_against_transfer_has_a_dot_a_replicate():
    found = pd.DataFrame(
        {
            "source": source,
            "target": "A",
            "level": 9,
            "density": 0.134,
            "replicate": r,
            "kappa": r / 10,
            "minus_own": -r,
        }
        for source in ("B", "C")
        for r in range(4)
    )
    axes = figures.against_overlap(found).axes[0]
    dots = labelled(axes)
    assert set(dots) == {"B to A, 13.4 %", "C to A, 13.4 %"}
    assert list(dots["B to A, 13.4 %"]) == [0, -1, -2, -3]


def test_a_page_shows_the_transfers_that_there_are():
    """With the numbers that are drawn; where there is none it says so."""
    html = figures.shown(TABLE, [("A", "B"), ("C", "A")], "across", "A and B").data
    assert '<figure id="across" role="group"' in html
    assert "3 replicates" in html
    numbers = base64.b64decode(re.search(r"csv;base64,([\w+/=]+)", html)[1]).decode().splitlines()
    assert len(numbers) == 1 + 4 * 3  # what is drawn: two levels of its own, two kinds of B's
    assert not any(line.startswith("A,C") or ",network," in line for line in numbers)
    assert 'class="not-run"' in figures.shown(TABLE, [("C", "A")], "across", "A and C").data
