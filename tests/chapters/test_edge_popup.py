"""Chapter 6: what is measured on found masks, by hand; its study; its figures."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from tickets import chapters
from tickets.cells import Cell
from tickets.chapters.edge_popup import figures, study
from tickets.chapters.popup import measures, recipes
from tickets.chapters.subset_sum import study as sums
from tickets.chapters.subsets.shares import top
from tickets.evidence import claims
from tickets.nets.models import MLP
from tickets.pruning import imp
from tickets.pruning.masks import FINAL, Mask

SMALL = MLP("small", (1, 8, 8), 10, hidden=(20, 12))
NET = Cell(dataset="digits", init="kaiming", optimizer="sgd", learning_rate=0.1, steps=10, batch=20, level=1)


def cell(arm, **other):
    return NET.but(arm=arm, **other)


class Left:
    """A store in which every cell has left these weights, or those of its own."""

    def __init__(self, weights, **own):
        self.weights, self.own = weights, own

    def tensors(self, cell):
        weights = self.own.get(f"{cell.arm} {cell.own.get('keep', '')}".strip(), self.weights)
        return {FINAL + name: array for name, array in weights.items()}


def scores(seed=0):
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in SMALL.shapes.items()}


@pytest.fixture
def read(monkeypatch):
    """What accuracies are read of: (part, weights, masks), in order; each is the share of kept weights in percent."""
    seen = []

    def accuracy(model, reader, part, weights, masks):
        seen.append((part, weights, masks))
        return np.array([100 * mask.density for mask in masks])

    monkeypatch.setattr(measures, "accuracy", accuracy)
    return seen


def test_what_was_found_are_the_largest_scores_over_the_frozen_weights():
    left, one = scores(), cell("edge_popup", keep=0.3, constant=True)
    weights, mask = measures.found(one, SMALL, Left(left))
    assert mask.counts() == {"fc1.weight": 384, "fc2.weight": 72, "fc3.weight": 36}
    for name, kept in mask.items():
        assert np.abs(left[name][kept]).min() >= np.abs(left[name][~kept]).max()
    begun = imp.starts([one], SMALL, None)[0].weights
    assert all((weights[name] == begun[name]).all() for name in begun)


def test_a_course_reads_every_share_and_has_its_top(read):
    scalars, curves = measures.course(cell("course"), SMALL, Left(scores()), "cpu")
    assert curves["share"] == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert curves["accuracy"] == pytest.approx([10, 30, 50, 70, 90], abs=0.1)
    assert curves["gained"] == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=0.01)
    assert scalars == {"best_keep": 0.9}  # at an end
    assert [one.own["keep"] for one in recipes.course_of(cell("course", constant=True))] == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert top(np.array(recipes.KEEPS), np.array([90, 95, 96, 95, 90.0])) == pytest.approx(0.5)


def test_a_search_is_set_against_the_recipe_that_is_best_on_validation(monkeypatch):
    one = cell("against", constant=True)
    other = one.but(model="conv-2", dataset="digits16", steps=9)
    assert [(c.arm, c.own) for c in recipes.recipes(one)] == [("trained", {})]
    gradient, adam = recipes.recipes(other)
    assert (gradient.optimizer, gradient.learning_rate, gradient.batch, gradient.steps) == ("sgd", 0.01, 20, 9)
    assert (adam.optimizer, adam.learning_rate, adam.batch, adam.steps, adam.weight_decay) == ("adam", 2e-4, 60, 3, 0)
    assert recipes.compared(other) == [other.but(arm="edge_popup", constant=True), gradient, adam]
    assert recipes.recipes(other.but(model="conv-4"))[1].learning_rate == 3e-4
    values = iter([40.0, 60.0, 59.0, 55.0])  # validation of both, then test of the better one and of the search
    parts = []

    def accuracy(model, reader, part, weights, masks):
        parts.append((part, masks[0].density))
        return np.array([next(values)])

    monkeypatch.setattr(measures, "accuracy", accuracy)
    monkeypatch.setattr(measures, "recipes", lambda cell: [gradient, adam])
    scalars, _ = measures.against(one, SMALL, Left(scores()), "cpu")
    assert scalars == {"accuracy": 55, "accuracy_trained": 59, "behind": 4, "recipe": 1}
    assert [part for part, _ in parts] == ["validation", "validation", "test", "test"]
    assert [density for _, density in parts] == pytest.approx([1, 1, 1, 0.5])


def test_what_is_left_shares_what_it_says(read):
    one = cell("left_over", keep=0.4)
    scalars, _ = measures.left_over(one, SMALL, Left(scores()), "cpu")
    assert set(scalars) == {"accuracy", *(f"share_{name}" for name in figures.LEFT)}
    assert scalars["accuracy"] == pytest.approx(40, abs=0.2)
    assert [scalars[f"share_{name}"] for name in figures.LEFT] == pytest.approx([1] * 7)
    (_, weights, (mask,)), *rest = read
    each = dict(zip(figures.LEFT, [rest[10 * i : 10 * i + 10] for i in range(7)], strict=True))
    name = "fc1.weight"
    for kind in ("s0", "s1", "s2"):
        assert all(own is weights for _, own, _ in each[kind])
        assert len({other[name].tobytes() for _, _, (other,) in each[kind]}) == 10
        for _, _, (other,) in each[kind]:
            assert other.counts() == mask.counts()
            same = [(other[name].sum(axis) == mask[name].sum(axis)).all() for axis in (0, 1)]
            assert same == [kind != "s0"] * 2
    for kind in ("permuted", "sizes", "signs", "other"):
        for _, own, (same,) in each[kind]:
            assert same is mask
            sizes, signs = (f(own[name][mask[name]]) for f in (np.abs, np.sign))
            begun = weights[name][mask[name]]
            assert (signs == np.sign(begun)).all() == (kind == "sizes")
            assert (sizes == np.abs(begun)).all() == (kind == "signs")
            assert (np.sort(own[name][mask[name]]) == np.sort(begun)).all() == (kind == "permuted")


def test_a_part_is_counted_from_guessing(monkeypatch):
    """Of 90 % and guessing at 10, 30 % are a quarter."""
    values = iter([90.0, *[30.0] * 70])
    monkeypatch.setattr(measures, "accuracy", lambda *_: np.array([next(values)]))
    scalars, _ = measures.left_over(cell("left_over"), SMALL, Left(scores()), "cpu")
    assert scalars["share_s1"] == pytest.approx(0.25)
    monkeypatch.setattr(measures, "accuracy", lambda *_: np.array([10.0]))
    assert measures.left_over(cell("left_over"), SMALL, Left(scores()), "cpu")[0]["share_s1"] == 0


def test_permuted_and_combined_by_hand():
    weights = {"w": np.array([1.0, -2, 3, -4])}
    moved = measures.permuted(weights, Mask({"w": np.array([True, True, False, True])}), np.random.default_rng(3))
    assert moved["w"][2] == 3
    assert sorted(moved["w"]) == [-4, -2, 1, 3]
    assert weights["w"].tolist() == [1, -2, 3, -4]
    assert measures.combined(weights, {"w": np.array([-1.0, 1, 1, 1])})["w"].tolist() == [-1, 2, 3, 4]


def test_neighbours_are_counted_along_rows_of_an_image():
    """Two units on 2 x 3 pixels: of the first two of three kept inputs have a right neighbour, one of which is kept."""
    first = np.array([[1, 1, 0, 1, 0, 0], [0, 0, 1, 0, 0, 1]], bool)
    assert measures.beside(first, (2, 3)) == pytest.approx(100 / 3)


def test_the_first_layer_as_images():
    left = scores()
    scalars, curves = measures.first_layer(cell("first_layer"), SMALL, Left(left), "cpu")
    _, mask = measures.found(cell("edge_popup"), SMALL, Left(left))
    image = lambda name: np.array([curves[f"{name}_{i}"] for i in range(8)])  # noqa: E731
    assert (image("all").ravel() == mask["fc1.weight"].sum(0)).all()
    assert (image("unit3").ravel() == mask["fc1.weight"][3]).all()
    assert image("traded3").sum() == image("unit3").sum()
    assert (image("traded3") != image("unit3")).any()
    assert scalars["beside"] == pytest.approx(50, abs=8)
    assert 0 < scalars["dark_pixels"] < 20  # corners of the digits


# the study


def test_the_paper_s_settings():
    named = study.NETWORKS["paper"]
    own = [cell for name, cell in named.items() if "Adam" not in name and name != "784-500-10"]
    rule = {(cell.optimizer, cell.momentum, cell.batch, cell.init) for cell in own}
    assert rule == {("sgd", 0.9, 128, "kaiming")}
    assert {cell.inputs for cell in own} == {"standard"}
    assert (named["LeNet"].steps, named["Conv-4"].steps, named["Conv-4, trained by Adam"].steps) == (8594, 35156, 75000)
    assert {named[f"Conv-{n}"].model for n in (2, 4, 6, 8)} == {"conv-2", "conv-4", "conv-6", "conv-8"}
    assert named["LeNet, sampled at 200"].weight_decay == 0
    assert named["784-500-10"] == sums.TARGET


def test_cells_of_one_replicate_are_so_many():
    lenet = [c for c in chapters.cells("06_edge_popup", "paper") if c.replicate == 9 and c.dataset == "mnist"]
    assert Counter(c.arm for c in lenet) == {
        # five shares, three other widths, normal weights, two rates, other scores, two scaled
        "edge_popup": 5 + 3 + 1 + 2 + 1 + 2, "trained": 4, "sampled": 3,
        "course": 1, "left_over": 2, "against": 4, "first_layer": 1, "fixed_share": 1,
    }  # fmt: skip
    assert {c.replicate for c in chapters.cells("06_edge_popup", "paper") if c.model.startswith("conv")} == set(
        range(5)
    )


def test_subsets_of_fixed_size_are_chapter_8_s_own_cells():
    for profile in ("smoke", "quick", "paper"):
        ours = {c for c in chapters.cells("06_edge_popup", profile) if c.arm == "fixed_share"}
        assert ours
        assert ours <= set(chapters.cells("08_subset_sum", profile))


def test_curves_that_figures_draw_are_kept():
    kept = {c.arm for c in chapters.cells("06_edge_popup", "paper") if study.keeps_curves(c)}
    assert kept == {"course", "first_layer", "fixed_share", "edge_popup", "trained"}
    searches = [c for c in chapters.cells("06_edge_popup", "paper") if study.learns(c) and c.arm == "edge_popup"]
    assert {(c.model, c.dataset, c.own["keep"], c.own["constant"], c.draw) for c in searches} == {
        ("lenet-300-100", "mnist", 0.5, True, 0)
    }
    assert len(searches) == 10


def test_every_null_is_a_part_of_the_claim():
    parts = claims.load()["H6"]["parts"]
    assert [part["contrast"]["stat"].removeprefix("share_") for part in parts] == list(figures.LEFT)


# figures


def rows(**columns):
    return pd.DataFrame([{"replicate": r, **{k: v + r for k, v in columns.items()}} for r in range(3)])


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_over_shares_sets_both_curves_to_their_largest():
    searched = pd.concat([rows(accuracy=a, gained=0.0).assign(share=s) for s, a in ((0.1, 60.0), (0.5, 90.0))])
    sized = pd.concat([rows(gained=g).assign(share=s) for s, g in ((0.25, 3.0), (0.5, 7.0))])
    figure = figures.over_shares(searched, sized, rows(test_accuracy_end=97.0))
    left, right = figure.axes
    assert lines(left)["edge-popup"].get_xydata().tolist() == [[0.1, 61], [0.5, 91]]
    assert set(lines(left)["trained"].get_ydata()) == {98}
    assert lines(right)["best subset (bits)"].get_ydata().tolist() == pytest.approx([0.5, 1])
    assert "best subset (bits)" not in lines(
        figures.over_shares(searched, sized[:0], sized[:0].assign(test_accuracy_end=0)).axes[1]
    )


def test_over_width_has_the_gap():
    table = pd.concat(
        [
            rows(accuracy=90.0, accuracy_trained=98.0, behind=8.0).assign(width=1),
            rows(accuracy=95.0, accuracy_trained=98.0, behind=3.0).assign(width=4),
        ]
    )
    left, right = figures.over_width(table).axes
    assert lines(left)["trained"].get_ydata().tolist() == [99, 99]
    assert lines(right)["trained minus edge-popup"].get_xydata().tolist() == [[1, 9], [4, 4]]


def test_what_is_left_has_a_row_for_each_change():
    columns = {f"share_{name}": 0.1 for name in figures.LEFT}
    figure = figures.left_over(rows(**columns).assign(constant=True), {False: "normal", True: "constant"})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(figures.LEFT.values())
    assert [len(axes.containers) for axes in figure.axes] == [0, 7]


def test_rates_are_a_line_a_search():
    table = pd.concat([rows(accuracy=90.0).assign(way="edge-popup", times=t) for t in (0.3, 1, 3)])
    assert lines(figures.rates(table).axes[0])["edge-popup"].get_xdata().tolist() == [0.3, 1, 3]
    assert "sampled masks" not in lines(figures.rates(table).axes[0])


def test_the_picture_of_the_first_layer_has_units_above_their_nulls():
    images = {name: np.eye(3) for name in ("all", "unit0", "unit1", "traded0", "traded1")}
    figure = figures.first_layer(images)
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 0, 1, 1]


def test_laws_are_a_row_each():
    table = rows(test_accuracy_end=96.0).assign(constant=True)
    figure = figures.by_law(table, {False: "normal", True: "constant"})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["normal", "constant"]
    assert figure.axes[0].containers[0][0].get_xydata().tolist() == [[97, 1]]


def test_learning_has_a_line_for_searching_and_one_for_training():
    table = pd.concat([rows(test_accuracy=90.0).assign(arm=arm, test_step=10) for arm in ("edge_popup", "trained")])
    assert lines(figures.learning(table).axes[0])["edge-popup"].get_xydata().tolist() == [[10, 91]]
    assert set(lines(figures.learning(table[:3]).axes[0])) == {"edge-popup"}
