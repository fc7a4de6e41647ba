"""Tables of pairs of networks from hand-made rows: what is joined with what, and what the rules say of a setting."""

import numpy as np
import pandas as pd
import pytest
from handmade import described
from tickets.cells import Cell
from tickets.chapters.linear_mode_connectivity import pairs
from tickets.results.records import RESULT

NET = Cell(steps=24_000)
NETWORKS = {"LeNet": NET}


def row(cell, **result):
    """A row of `store.table` with the numbers that matter."""
    return described(cell) | dict.fromkeys(RESULT, np.nan) | {"diverged": False} | result


def table(replicates=3):
    """Per replicate a dense network of 98 + r %, a ticket at k = 100 a tenth below, and three pairs."""
    rows = []
    for r in range(replicates):
        net = NET.but(replicate=r)
        ticket = net.but(level=3, rewind=100)
        rows += [
            row(net, density=1.0, test_accuracy_end=98.0 + r),
            *(row(net.but(order=order, rewind=100), density=1.0, test_accuracy_end=50.0) for order in (1, 2)),
            row(ticket, density=0.5, test_accuracy_end=97.9 + r),
            row(ticket.but(order=1), density=0.5, test_accuracy_end=50.0),
            row(ticket.but(schedule="restarted"), density=0.5, test_accuracy_end=50.0),
            row(ticket.but(arm="chord"), barrier_test=0.5 + 0.01 * r),
            row(net.but(arm="chord", rewind=100), barrier_test=3.0 + r),
            row(ticket.but(arm="rounds"), barrier_test=0.25),
        ]
    rows += [row(NET.but(learning_rate=0.1), density=1.0, test_accuracy_end=10.0)]
    return pd.DataFrame(rows)


def test_rows_of_other_experiments_are_left_out_and_levels_named():
    rows = pairs.named(table(), NETWORKS)
    assert 10.0 not in set(rows["test_accuracy_end"])
    assert set(rows.loc[rows["level"] == 0, "copied"]) == {"dense"}
    assert set(rows.loc[rows["level"] == 3, "copied"]) == {"ticket"}


def test_nothing_recorded_gives_tables_without_rows(store):
    nothing = pairs.named(store.table([NET]), NETWORKS)
    assert set(pairs.MEASURED) <= set(nothing)
    assert pairs.between(nothing).empty
    assert pairs.settings(pairs.between(nothing), {"lenet-300-100": 0.15}, {"lenet-300-100": 5}).empty


def test_a_pair_has_density_and_gap_of_its_first_end():
    """The dense pair from step 100 belongs to the one dense network, whose own rewind step is 0."""
    found = pairs.between(pairs.named(table(), NETWORKS)).set_index(["arm", "copied", "replicate"]).sort_index()
    assert found.loc[("chord", "ticket"), "gap"].tolist() == pytest.approx([-0.1] * 3)
    assert found.loc[("chord", "ticket"), "density"].tolist() == [0.5] * 3
    assert found.loc[("rounds", "ticket"), "gap"].tolist() == pytest.approx([-0.1] * 3)
    assert found.loc[("chord", "dense"), "gap"].tolist() == [0.0] * 3
    assert found.loc[("chord", "dense"), "density"].tolist() == [1.0] * 3
    assert set(found.loc[("chord", "dense"), "rewind"]) == {100}


def test_settings_say_what_the_rules_say():
    copies = pairs.between(pairs.named(table(5), NETWORKS)).query("arm == 'chord'")
    margin, least = {"lenet-300-100": 0.15}, {"lenet-300-100": 5}
    (setting,) = pairs.settings(copies, margin, least).to_dict("records")
    assert (setting["n"], setting["stable"], setting["matching"], setting["within sd"]) == (5, "yes", "yes", "yes")
    assert setting["barrier"].startswith("0.52 ± 0.02")
    shifted = copies.assign(barrier_test=copies["barrier_test"] + 10, gap=copies["gap"] - 5)
    (setting,) = pairs.settings(shifted, margin, least).to_dict("records")
    assert (setting["stable"], setting["matching"], setting["within sd"]) == ("no", "no", "no")
    (setting,) = pairs.settings(copies, margin, {"lenet-300-100": 6}).to_dict("records")
    assert (setting["stable"], setting["matching"]) == ("undecided", "undecided")


def test_where_stability_and_accuracy_part_company():
    words = [("yes", "yes"), ("yes", "no"), ("no", "yes"), ("no", "no"), ("yes", "undecided"), ("yes", "no")]
    said = pd.DataFrame(words, columns=["stable", "matching"]).assign(network="LeNet", subnetwork=list("abcdef"))
    said["from"] = [0, 0, 0, 0, 0, 100]
    assert pairs.parting(said, "LeNet") == "- Stable and less accurate: b.\n- As accurate and not stable: c."
    assert pairs.parting(said, "VGG-16").count("none") == 2
    assert pairs.parting(said.iloc[:0], "LeNet").count("none") == 2


def test_a_pulled_network_is_compared_with_itself_left_alone():
    """By replicate, at the same rewind step; its chord is its own, and it stays out of the other tables."""
    ticket = NET.but(level=3, rewind=100)
    extra = []
    for r in range(3):
        for pull in (-1, 2):
            moved = ticket.but(arm="pulled", pull=pull, replicate=r)
            extra += [
                row(moved, density=0.5, test_accuracy_end=97.9 + r + pull),
                row(moved.but(order=1), density=0.5, test_accuracy_end=50.0),
                row(moved.but(arm="chord", subject="pulled", pull=pull), barrier_test=1.0 + pull),
            ]
        other = ticket.but(arm="reinit", draw=1, replicate=r)
        restored = other.but(arm="pulled_reinit", pull=2)
        extra += [row(other, density=0.5, test_accuracy_end=97.0 + r)]
        extra += [row(restored, density=0.5, test_accuracy_end=97.6 + r)]
    rows = pairs.named(pd.concat([table(), pd.DataFrame(extra)], ignore_index=True), NETWORKS)
    every = pairs.pulled(rows)
    reinit = every[every["subnetwork"].str.contains("reinit")].iloc[0]
    assert reinit[["accuracy gained", "minus the ticket", "n"]].tolist() == ["0.60", "-0.30", 3]
    assert reinit["barrier"] == "–"  # its chords are still to come
    found = every[~every["subnetwork"].str.contains("reinit")].set_index("pull")
    assert found["minus the ticket"].tolist() == found["accuracy gained"].tolist()
    assert found["accuracy gained"].tolist() == ["-1.00", "2.00"]
    assert found["barrier"].tolist() == ["0.00", "3.00"]
    assert found["n"].tolist() == [3, 3]
    assert set(pairs.between(rows)["copied"]) == {"ticket", "dense"}
    assert pairs.pulled(pairs.named(table(), NETWORKS)).empty
