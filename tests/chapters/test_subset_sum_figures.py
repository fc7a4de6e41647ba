"""Figures of chapter 8, from hand-made tables."""

import numpy as np
import pandas as pd
import pytest
from tickets.chapters.subset_sum import arms, figures, pools, theorems
from tickets.chapters.subsets import searches
from tickets.chapters.subsets.sums import by_size
from tickets.figures.style import MARKERS, PALETTE

KINDS = {"one": ("first", 0), "two": ("second", 1), "three": ("third", 2)}
ROWS = pd.DataFrame(
    [
        {"arm": "subset_sums", "kind": kind, "replicate": r, "size": size, "gained": size * slope + r}
        for kind, slope in (("one", 1.0), ("two", 0.5))
        for r in (-1, 0, 1)
        for size in (4, 8, 12)
    ]
)


def labelled(figure):
    """Label -> line, of what stands in the legend."""
    return {line.get_label(): line for line in figure.axes[0].lines if not line.get_label().startswith("_")}


def test_names_are_those_of_the_arms():
    assert tuple(figures.LAWS) == arms.LAWS == (*pools.LAWS, pools.GADGET)
    assert tuple(figures.SEARCHES) == arms.SEARCHES == tuple(searches.SEARCHES)


def test_a_line_of_means_for_each_kind_that_is_there():
    lines = labelled(figures.course(ROWS, "kind", KINDS, "size", "gained", xlabel="numbers"))
    assert set(lines) == {"first", "second"}
    assert lines["second"].get_xydata().tolist() == [[4, 2], [8, 4], [12, 6]]
    assert (lines["first"].get_color(), lines["first"].get_marker()) == (PALETTE[0], MARKERS[0])


def test_lines_across_and_marks_of_others():
    figure = figures.course(
        ROWS, "kind", KINDS, "size", "gained", lines={"1 %": 1}, marks={"one": (4, 0.4)}, ylabel="bits"
    )
    lines = labelled(figure)
    assert set(lines["1 %"].get_ydata()) == {1}
    assert lines["a published simulation"].get_xydata().tolist() == [[4, 0.4]]
    assert lines["a published simulation"].get_color() == PALETTE[0]
    assert figure.axes[0].get_ylabel() == "bits"


def test_of_nothing_there_is_no_figure_and_of_something_its_numbers():
    at = {"xlabel": "numbers", "ylabel": "bits"}
    assert "Not run" in figures.shown(ROWS.iloc[:0], "kind", KINDS, "size", "gained", "x", "Said.", **at).data
    page = figures.shown(ROWS, "kind", KINDS, "size", "gained", "x", "Said.", **at).data
    assert '<figure id="x"' in page
    assert "Said. Lines are means over 3 replicates" in page
    assert "max-width: 600px" in page


def test_edge_popup_is_drawn_at_the_step_size_that_gains_most():
    searched = {"law": "uniform", "search": "edge_popup"}
    table = pd.DataFrame([{**searched, "step_size": s, "bits": b} for s, b in ((0.1, 0.1), (0.01, 0.3), (0.01, 0.5))])
    rows = pd.DataFrame(
        [
            {**searched, "step_size": 0.1},
            {**searched, "step_size": 0.01},
            {"law": "uniform", "search": "exact", "step_size": 0.1},
            {"law": "product", "search": "exact", "step_size": 0.1},
        ]
    )
    assert list(figures.at_best_step(rows, table).index) == [1, 2]
    assert list(figures.at_best_step(rows, table.iloc[:0]).index) == [0, 2]


def test_counting_by_hand():
    """Of 5 numbers there are 10 subsets of two; sums lie around 2/5 of the pool's, with a variance of 0.4."""
    found = figures.counting(5)
    assert found["share"].tolist() == [0.4]
    density = 10 / np.sqrt(2 * np.pi * 0.4) * np.exp(-(1 / 3 + 4 / 15) / 0.8)
    assert found["gained"][0] == pytest.approx(np.log2(2 * density) + 0.5772156649 / np.log(2))


def test_counting_is_about_right_of_the_best_subsets_of_fixed_size():
    generator = np.random.default_rng(0)
    left = by_size(generator.uniform(-1, 1, (2000, 14)), generator.uniform(-1, 1, 2000))[:, 2:-3]
    assert -np.log2(left).mean(0) == pytest.approx(figures.counting(14)["gained"].to_numpy(), abs=0.4)


def test_the_picture_of_sums_knows_the_nearest():
    figure, numbers = figures.all_sums(np.array([1.0, -0.5, 0.25]), 0.3, (1, 3))
    assert numbers["subsets"].tolist() == [2, 8]
    assert numbers["nearest"].tolist() == pytest.approx([0.3, 0.05])
    assert len(figure.axes[0].collections) == 2


def test_bounds_are_those_of_the_theorems():
    figure, numbers = figures.bounds(bits=0.5, at_none=-2.0)
    assert numbers["width"].iloc[[0, -1]].tolist() == pytest.approx([10, 1e4])
    assert numbers["Pensia et al., constant 1"][0] == pytest.approx(theorems.pensia(10))
    assert numbers["exact search, measured"][0] == pytest.approx(2 * (np.log2(2000) + 2))
    assert list(labelled(figure)) == list(numbers.columns[1:])
