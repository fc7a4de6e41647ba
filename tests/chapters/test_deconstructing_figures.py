"""Figures of chapter 3 from made-up tables: what is drawn where, what is left out, what stands beside a rerun."""

import numpy as np
import pandas as pd
import pytest
from tickets.chapters.deconstructing import figures
from tickets.figures import style

BASE = {"order": 0, "rewind": 0, "ones": "rewind", "zeros": "zero", "criterion": "large_final", "draw": 0}


def rows(*settings, n=3):
    """(arm, level, accuracy, own fields) for n replicates, 0.1 apart around the accuracy."""
    return pd.DataFrame(
        [
            {**BASE, "arm": arm, "level": level, "density": 0.8**level, "replicate": r}
            | {"test_accuracy": accuracy + (r - 1) / 10, **own}
            for arm, level, accuracy, own in settings
            for r in range(n)
        ]
    )


TABLE = rows(
    ("ticket", 0, 98.0, {}),
    ("ticket", 9, 98.4, {}),
    ("random", 9, 97.0, {}),
    ("magnitude_at_init", 9, 96.0, {}),
    ("deconstructed", 9, 98.3, {"criterion": "movement"}),
    ("deconstructed", 9, 95.0, {"criterion": "movement", "ones": "constant"}),
    ("reinit", 9, 90.0, {}),
    ("ticket", 9, 91.0, {"rewind": 100}),
    ("ticket", 0, 92.0, {"order": 1}),
)


def test_chains_are_named_by_their_criterion_and_actions_are_left_out():
    found = figures.by_criterion(TABLE)
    means = found[found["level"] == 9].groupby("criterion")["test_accuracy"].mean()
    expected = {"large_final": 98.4, "random": 97.0, "large_init": 96.0, "movement": 98.3}
    assert means.to_dict() == pytest.approx(expected)
    assert set(found.loc[found["level"] == 0, "test_accuracy"]) == {97.9, 98.0, 98.1}


def test_every_criterion_has_a_look_of_its_own():
    looks = [(style.PALETTE[place], style.MARKERS[place]) for _, place in figures.CRITERIA.values()]
    assert len(set(looks)) == len(looks)


def test_a_line_is_drawn_for_each_criterion_at_its_means():
    drawn = figures.criteria(figures.by_criterion(TABLE))
    (axes,) = drawn.axes
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert set(lines) == {
        "dense",
        *(figures.CRITERIA[name][0] for name in ("large_final", "random", "large_init", "movement")),
    }
    assert lines["movement"].get_ydata() == pytest.approx([98.3])
    low, high = axes.get_ylim()
    assert low < 97 < high  # large init, two points down, may run out of the picture


def test_ours_stand_beside_the_rerun_where_there_are_any():
    beside = figures.beside_rerun(figures.by_criterion(TABLE)).set_index("criterion")
    assert list(beside.columns) == ["ours, 13.4 %", "rerun, 13.4 %", "n"]
    assert beside.loc["movement"].tolist() == [98.3, 98.21, 3]
    assert "small final" not in beside.index


def test_actions_are_measured_against_the_ticket_of_their_replicate():
    altered = rows(
        ("ticket", 9, 98.4, {}),
        ("altered", 9, 97.4, {"ones": "constant"}),
        ("altered", 9, 98.4, {"ones": "signed_constant"}),
        ("altered", 9, 50.0, {"ones": "constant", "rewind": 100}),
    )
    drawn = figures.actions(altered, "ones", {"constant": "a constant", "signed_constant": "signs kept"}, [9])
    (axes,) = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a constant", "signs kept"]
    dots = {line.get_ydata()[0]: line for line in axes.lines if line.get_marker() == "."}
    assert dots[0].get_xdata() == pytest.approx([-1, -1, -1])
    assert dots[1].get_xdata() == pytest.approx([0, 0, 0], abs=1e-9)
    assert dots[0].get_color() != dots[1].get_color()
    assert axes.get_title() == "13.4 % of the weights"


def test_untrained_masks_have_a_panel_for_each_kind_of_weights():
    names = ("large_final_same_sign", "large_final", "magnitude_increase", "large_init_large_final", "random")
    curves = pd.DataFrame(
        {"density": d, "replicate": r}
        | {f"{name}{end}": 10 * i + r for i, name in enumerate(names) for end in ("", "_c")}
        for d in (1.0, 0.5)
        for r in range(3)
    )
    drawn = figures.untrained(curves, [92.0, 92.2, 92.4], {"": "initial weights", "_c": "constants"})
    shown = [axes for axes in drawn.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["initial weights", "constants"]
    lines = {line.get_label(): line.get_ydata() for line in shown[0].lines}
    assert lines["random"] == pytest.approx([41, 41])
    assert lines["linear classifier, trained"] == pytest.approx([92.2, 92.2])


def test_nulls_stand_in_the_order_of_what_they_keep():
    table = pd.DataFrame(
        {"constant": True, "replicate": r, "accuracy_mask": 86.0 + r, "accuracy_s1": 30.0 + r, "accuracy_s0": 12.0 + r}
        for r in range(3)
    )
    (axes,) = figures.nulls(table, {True: "constants"}).axes
    dots = {int(line.get_ydata()[0]): line.get_xdata().mean() for line in axes.lines if line.get_marker() == "."}
    assert dots == {0: 87, 3: 31, 4: 13}  # s3 and s2 were not measured


def test_learning_has_a_line_for_each_kind_that_is_there():
    curves = pd.DataFrame(
        {"constant": constant, "rescaled": False, "replicate": r, "test_step": step, "test_accuracy": 90 + r + constant}
        for constant in (False, True)
        for r in range(3)
        for step in (10, 100)
    )
    (axes,) = figures.learning(curves).axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert lines["initial weights"] == pytest.approx([91, 91])
    assert lines["signed constants"] == pytest.approx([92, 92])
    assert len(lines) == 2
    low, high = axes.get_ylim()
    assert low < 91 < 92 < high


def test_learning_that_has_hardly_begun_stands_upright():
    few = pd.DataFrame(
        {"constant": False, "rescaled": False, "replicate": 0, "test_step": [1, 9], "test_accuracy": [9, 11]}
    )
    low, high = figures.learning(few).axes[0].get_ylim()
    assert low < high


def test_pixels_are_shown_relative_to_their_mean():
    drawn = figures.pixels({"large_final": np.array([[0, 2], [2, 4]]), "random": np.ones((2, 2))})
    shown = [axes for axes in drawn.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["large final (chapter 1)", "random"]
    assert shown[0].images[0].get_array().tolist() == [[0, 1], [1, 2]]
