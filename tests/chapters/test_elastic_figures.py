"""Tables and figures of chapter 5, from hand-made results."""

import numpy as np
import pandas as pd
import pytest
from handmade import row
from tickets.cells import Cell
from tickets.chapters.elastic import figures, study, tables
from tickets.chapters.stretching.depth import appended
from tickets.results.store import Store

NAMED = study.NETWORKS["paper"]
FROM = {name: {"source_model": NAMED[name].model} for name in NAMED}


def made(target, source, arm="elastic", **own):
    draw = int(own.get("carried", "both") != "both")
    return NAMED[target].but(arm=arm, level=15, draw=draw, **FROM[source], **own)


CELLS = {
    "own": NAMED["MLP-4"].but(level=15),
    "both": made("MLP-4", "MLP-2"),
    "weights": made("MLP-4", "MLP-2", carried="weights"),
    "snip added": made("MLP-4", "MLP-2", added="snip"),
    "equal copies": made("MLP-2", "MLP-2, half as wide", even=True),
    "script, both": made("MLP-4", "MLP-2", unmapped=True),
    "script, at density": made("MLP-4", "MLP-2", "own_ticket", unmapped=True),
    "at density": made("MLP-4", "MLP-2", "own_ticket"),
    "grasp": made("MLP-4", "MLP-2", "early", score="grasp"),
    "line": made("MLP-4", "MLP-2", "elastic_chord"),
}
MAPS = ("append", "interpolate")
ACCURACY = {"both": 97.0, "weights": 95.0, "at density": 97.5, "grasp": 96.0}


@pytest.fixture
def rows():
    """Three replicates, each a tenth above the one before; another level, a second order, a stranger."""
    found = []
    for r in range(3):
        for kind, cell in CELLS.items():
            drift = {"drift": 1.4 + 0.1 * r} if kind == "at density" else {}
            found.append(row(cell.but(replicate=r), test_accuracy_end=ACCURACY.get(kind, 90.0) + 0.1 * r, **drift))
        for kind in ("both", "weights"):
            found.append(row(CELLS[kind].but(replicate=r, level=18), test_accuracy_end=ACCURACY[kind] - 1))
        found.append(row(NAMED["MLP-4"].but(replicate=r), test_accuracy_end=98.0))
    strange = [row(CELLS["both"].but(order=1)), row(Cell()), row(Cell(arm="random", level=3))]
    return tables.named(pd.DataFrame([*found, *strange]), NAMED)


def test_rows_know_what_they_are_and_whence(rows):
    at_15 = rows[(rows["level"] == 15) & (rows["replicate"] == 0)]
    assert list(at_15["kind"]) == list(CELLS)
    assert set(at_15["source"]) == {"MLP-4", "MLP-2", "MLP-2, half as wide"}
    assert at_15.set_index("kind")["source"]["own"] == "MLP-4"
    assert set(rows["target"]) == {"MLP-2", "MLP-4"}
    assert len(rows) == 3 * (len(CELLS) + 3)


def test_an_elastic_ticket_against_its_rival(rows):
    found = tables.against(rows)
    assert list(found["points"]) == pytest.approx([-0.5] * 3)
    assert list(found["replicate"]) == [0, 1, 2]
    grid = tables.matrix(found, 15, study.DEEP)
    assert grid.loc["MLP-2", "MLP-4"] == pytest.approx(-0.5)
    assert [grid.loc[name, name] for name in study.DEEP] == [0, 0, 0]
    assert np.isnan(grid.loc["MLP-4", "MLP-2"])
    assert tables.against(rows, "script, both", "script, at density")["points"].tolist() == [0, 0, 0]


def test_rivals_are_means_over_levels_of_complete_replicates(rows):
    whole = tables.rivals(rows, study.ENDS[:1], (15, 18), {"weights": "random mask"})
    assert list(whole["points"]) == pytest.approx([2] * 3)
    assert set(whole["panel"]) == {"MLP-2 to MLP-4"}
    lost = rows.drop(rows[(rows["level"] == 18) & (rows["replicate"] == 1)].index)
    assert list(tables.rivals(lost, study.ENDS[:1], (15, 18), {"weights": "random mask"})["replicate"]) == [0, 2]
    assert tables.rivals(rows, [], (15,), {}).empty
    at_one = rows[(rows["kind"] != "weights") | (rows["level"] == 15)]
    assert tables.rivals(at_one, study.ENDS[:1], (15, 18), {"weights": "random mask"}).empty


def test_a_block_map_that_is_not_the_paper_s_first_is_a_kind_of_its_own():
    cells = [study.images("resnet-32").but(arm="elastic", level=2, source_model="resnet-20", blocks=b) for b in MAPS]
    named = tables.named(pd.DataFrame([row(cell) for cell in cells]), NAMED)
    assert list(named["kind"]) == ["both", "both, interpolate"]


def test_of_no_results_there_are_empty_tables(tmp_path):
    none = tables.named(Store(tmp_path, recorded=None).table([]), NAMED)
    assert none.empty
    assert tables.against(none).empty
    assert tables.drifts(none).empty


def test_drift_by_level(rows):
    found = tables.drifts(rows)
    assert list(found["drift"]) == pytest.approx([1.4, 1.5, 1.6])
    assert set(found["panel"]) == {"level 15"}
    assert set(found["what"]) == {"MLP-2 to MLP-4"}


@pytest.fixture
def lines():
    ends = {"copy": CELLS["line"], "own": CELLS["line"].but(other="own")}
    own = {"copy": NAMED["MLP-4"].but(level=15, arm="chord")}
    found = []
    for part in (ends, own):
        for cell in part.values():
            for alpha, error in ((0, 3.0), (0.5, 4.0), (1, 3.0)):
                found.append(row(cell, alpha=alpha, test_error=error))
    return tables.lines(pd.DataFrame(found), NAMED)


def test_lines_know_their_ends(lines):
    assert list(lines.drop_duplicates(["source", "other"])["source"]) == ["MLP-2", "MLP-2", "MLP-4"]
    assert set(lines["target"]) == {"MLP-4"}
    assert list(lines["other"].drop_duplicates()) == ["copy", "own"]


def test_figures_show_what_is_there(rows, lines):
    panel = figures.by_density(rows, study.ENDS[:1]).axes[0]
    assert panel.get_title() == "MLP-2 to MLP-4"
    labels = panel.get_legend_handles_labels()[1]
    assert labels == ["dense", "the target's own ticket", "elastic ticket", "its weights, random mask", "GraSP"]
    fewer = figures.by_density(rows, study.ENDS[:1], ("own", "both")).axes[0].get_legend_handles_labels()[1]
    assert fewer == labels[:3]
    collapsed = rows.assign(**{figures.VALUE: rows[figures.VALUE].where(rows["kind"] != "grasp", 10)})
    bottom = figures.by_density(collapsed, study.ENDS[:1]).axes[0].get_ylim()[0]
    dense = rows.loc[(rows["kind"] == "own") & (rows["level"] == 0) & (rows["target"] == "MLP-4"), figures.VALUE]
    assert bottom == pytest.approx(dense.mean() - figures.DEEPEST)
    assert bottom <= panel.get_ylim()[0] < dense.mean() < panel.get_ylim()[1]
    titles = [axes.get_title() for axes in figures.lines(lines).axes]
    assert titles == ["between two orders of the data", "to what the target's own ticket learns"]
    dots = figures.dots(tables.drifts(rows), "drift", "times", 1).axes[0]
    assert [label.get_text() for label in dots.get_yticklabels()] == ["MLP-2 to MLP-4"]


def test_a_drawing_of_a_map_has_a_box_a_unit_and_a_line_a_copy():
    axes = figures.blocks({"append": (3, appended(3, 5))}).axes[0]
    assert len(axes.patches) == 3 + 5
    assert [line.get_xdata()[0] for line in axes.lines] == [0, 1, 2, 1, 2]
    assert [text.get_text() for text in axes.texts] == ["B0", "B1", "B2", "B0", "B1", "B2", "B1", "B2"]
    source, target = axes.patches[1], axes.patches[3 + 3]  # B1, and its copy
    assert source.get_facecolor() == target.get_facecolor()


def test_pages_show_what_there_is_and_say_where_there_is_nothing(rows):
    shown = figures.shown(rows, [("MLP-4", "MLP-2"), ("MLP-2", "MLP-4")], "depths", "for tickets").data
    assert '<figure id="depths" role="group"' in shown
    assert 'class="not-run"' in figures.shown(rows, [("MLP-2", "MLP-4")], "depths", "for tickets").data
    assert "Fewer replicates" not in shown
    alone = rows[(rows["kind"] != "grasp") | (rows["replicate"] == 0)]
    some = figures.shown(alone, [("MLP-4", "MLP-2")], "depths", "for tickets").data
    assert "Fewer replicates: GraSP 1." in some
    elsewhere = alone.assign(source=alone["source"].where(alone["kind"] != "grasp", "MLP-3"))  # drawn in no panel
    assert "Fewer replicates" not in figures.shown(elsewhere, [("MLP-4", "MLP-2")], "depths", "for tickets").data
    square = figures.square(rows, study.DEEP, "both", "at density", "matrix", "an elastic ticket").data
    assert '<figure id="matrix" role="group"' in square
    assert "diagonal is 0 by definition" in square
    assert "diagonal" not in figures.square(rows, study.DEEP, "both", "weights", "matrix", "an elastic ticket").data
    assert 'class="not-run"' in figures.square(rows, study.DEEP, "synflow", "both", "matrix", "nothing").data


def test_the_sparsest_level_is_one_that_no_transfer_lacks():
    found = pd.DataFrame({"level": [10, 10, 15, 15, 18], "target": ["a", "b", "a", "b", "a"]})
    assert tables.sparsest(found) == [15]
    assert tables.sparsest(found.iloc[:0]) == []
