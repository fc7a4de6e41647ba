"""Gates: verdicts that the runs themselves do not allow."""

import numpy as np
import pandas as pd
import pytest
from handmade import (
    ENTRY,
    TICKET,
    dense_and_ticket,
    entry,
    judged,
    read,
    row,
    table,
    verdicts_on,
    with_random,
)
from tickets.cells import Cell
from tickets.evidence import gates

ASSAY = {"plus": TICKET, "minus": {"arm": "random", "level": 7}}


def test_gate_2_a_match_needs_arms_that_differ():
    claim = entry(kind="match", margin=0.15, assay=ASSAY)
    assert judged(claim, with_random(1.0))["verdict"] == "reproduced"
    assert "gate G2" in judged(claim, with_random(0.1))["verdict"]
    found = judged(claim, dense_and_ticket(0.0))
    assert found["verdict"] == "inconclusive: gate G2, the known-worse arm is not recorded in 5 replicates"
    assert found["ours"] == pytest.approx(0)
    assert np.isnan(found["q"])
    assert judged(claim, dense_and_ticket(-1.0))["verdict"].startswith("contradicted")  # no gate saves a refuted match


def test_gate_2_asks_five_replicates():
    claim, frame = entry(kind="match", margin=0.15, assay=ASSAY, n=10), with_random(1.0)
    of_random = lambda n: frame[(frame["arm"] != "random") | (frame["replicate"] < n)]  # noqa: E731
    assert judged(claim, of_random(5))["verdict"] == "reproduced"
    few = judged(claim, of_random(4))["verdict"]
    assert few == "inconclusive: gate G2, the known-worse arm is not recorded in 5 replicates"


def test_gate_2_wants_the_whole_interval_beyond_the_margin():
    """And asks how far the arms are apart, not how far from a threshold that the claim itself compares with."""
    claim = entry(kind="match", margin=0.15, assay=ASSAY)
    wide = with_random(0.2)
    random = wide["arm"] == "random"
    wide.loc[random, "test_accuracy"] += 15 * (wide.loc[random, "test_accuracy"] - 97.8)  # mean 0.2, from below 0.1 on
    assert "G2, the known-worse arm is not told apart, interval from 0.0" in judged(claim, wide)["verdict"]
    near = entry(kind="match", margin=0.15, assay=ASSAY, contrast={**ENTRY["contrast"], "constant": 0.01})
    assert "gate G2" in judged(near, with_random(0.145))["verdict"]  # 0.155 from that threshold


def test_gate_2_by_another_network():
    """The known-worse arm may be shown where the arms are known to differ."""
    there = {"network": "LeNet, standardized pixels"}
    claim = entry(kind="match", margin=0.15, assay={name: {**term, **there} for name, term in ASSAY.items()})
    assert judged(claim, with_random(0.1))["verdict"].endswith("the known-worse arm is not recorded in 5 replicates")
    both = pd.concat([with_random(0.1), with_random(1.0, inputs="standard")])
    assert judged(claim, both)["verdict"] == "reproduced"


def test_gate_2_by_another_claim():
    gains = {
        "id": "X1.a",
        "kind": "effect",
        "least": 0.1,
        "contrast": {**ENTRY["contrast"], "stat": "validation_accuracy"},
    }
    keeps = {"id": "X1.b", "kind": "match", "margin": 0.5, "assay": {"claim": "X1.a"}}
    whole = {name: value for name, value in entry(parts=[gains, keeps]).items() if name not in ("kind", "size")}
    frame = verdicts_on({"X1": whole}, dense_and_ticket(0.0))
    assert list(frame["claim"]) == ["X1", "X1.a", "X1.b"]
    assert list(frame["scope"]) == ["paper", "part", "part"]
    assert frame["verdict"][2] == "inconclusive: gate G2, X1.a does not hold"
    assert frame["verdict"][0] == "not reproduced: X1.a"


def test_gate_1_dense_accuracy():
    anchors = {"stat": "test_accuracy_end", "band": [98.5, 99]}
    assert "gate G1, dense accuracy 98.00" in judged(entry(anchors=anchors), dense_and_ticket())["verdict"]
    found = judged(entry(anchors=anchors), dense_and_ticket(steps=5000), "quick")
    assert found["verdict"] == "reproduced"  # the anchor is the paper's, at the paper's steps


def test_gate_1_lets_the_ends_of_the_band_in():
    for band in ([98, 99], [97, 98]):
        found = judged(entry(anchors={"stat": "test_accuracy_end", "band": band}), dense_and_ticket())
        assert found["verdict"] == "reproduced"


def test_gate_1_at_the_desk_has_an_anchor_of_its_own():
    """Whatever the scope of the claim at the paper's scale."""
    frame = dense_and_ticket(steps=5000)  # a dense accuracy of 98.00
    for scope in ("paper", "analog"):
        for band, word in (([97, 98.5], "reproduced"), ([98.5, 99], "inconclusive: gate G1, dense accuracy 98.00")):
            anchored = entry(anchors={"stat": "test_accuracy_end", "band": band}, scope=scope)
            assert judged(anchored, frame, "desk")["verdict"].startswith(word)


def test_gate_1_by_another_network():
    anchors = {"stat": "test_accuracy_end", "band": [98.5, 99], "network": "LeNet, standardized pixels"}
    claim = entry(anchors=anchors)
    found = judged(claim, dense_and_ticket())["verdict"]
    assert found == "inconclusive: gate G1, the dense network of its anchor is not recorded"
    anchor = dense_and_ticket(inputs="standard").assign(test_accuracy_end=98.7)
    assert judged(claim, pd.concat([dense_and_ticket(), anchor]))["verdict"] == "reproduced"


def test_gate_3_equal_arms():
    other = with_random(1.0, precision="float64")
    frame = pd.concat([dense_and_ticket()[lambda f: f["level"] == 0], other[other["level"] > 0]])
    assert len(read(frame, ENTRY["contrast"])) == 0  # another precision is another cell
    frame = table({("ticket", 7): {"test_accuracy": 98.3}, ("random", 7): {"kept": 300}})
    contrast = {"stat": "test_accuracy", "plus": TICKET, "minus": {"arm": "random", "level": 7}}
    assert "gate G3" in judged(entry(contrast=contrast), frame)["verdict"]
    assert gates.equal_arms(other) == ""
    two = table({(arm, level): {} for arm in ("ticket", "random") for level in (7, 8)})
    assert gates.equal_arms(two) == ""
    two.loc[(two["arm"] == "random") & (two["level"] == 8), "kept"] += 2  # of 168: beyond rounding, at one level
    assert gates.equal_arms(two) == "G3, numbers of kept weights differ between arms"
    assert gates.equal_arms(pd.concat([dense_and_ticket(), other])) == "G3, precision differs between arms"


def test_gate_3_arms_that_keep_more_by_design():
    frame = table({("ticket", 7): {}, ("random_open", 7): {"kept": 300}})
    assert gates.equal_arms(frame) == ""
    assert gates.equal_arms(frame.assign(arm="random")).startswith("G3")


def test_networks_of_two_sizes_are_no_unequal_arms():
    """A concordance looks at several networks, each with as many weights as it has."""
    sizes = {"lenet-300-100": 266_200, "resnet-20": 267_696}
    rows = pd.DataFrame([row(Cell(model=model), kept=kept) for model, kept in sizes.items()])
    assert gates.equal_arms(rows) == ""
    assert gates.equal_arms(rows.assign(model="resnet-20")).startswith("G3")


def test_gate_4_early_stops_inside_the_budget():
    late = dense_and_ticket().assign(early_stop_step=49_900)
    assert "gate G4" in judged(entry(), late)["verdict"]
    late.loc[late.index[2:], "early_stop_step"] = 47_500  # the last step that is not late
    assert judged(entry(), late)["verdict"] == "reproduced"  # two of twenty: not more than one in ten
    late.loc[late.index[2], "early_stop_step"] = 47_501
    assert "gate G4, 15% of the early stops" in judged(entry(), late)["verdict"]
    late = late.assign(early_stop_step=49_900)
    at_the_end = {**ENTRY["contrast"], "stat": "test_accuracy_end"}
    frame = late.assign(test_accuracy_end=late["test_accuracy"])
    assert judged(entry(contrast=at_the_end), frame)["verdict"] == "reproduced"


def test_gate_4_a_loss_that_neither_side_reaches_refutes_nothing():
    """Both then have taken the whole budget, and equal times would say that neither is faster."""
    timed = entry(contrast={**ENTRY["contrast"], "stat": "tt", "log": True}, kind="effect", size=0.5)
    reached = dense_and_ticket().assign(best_step=[[100, 5000]] * 20, best_loss=[[0.5, 0.1]] * 20)
    assert judged(timed, reached)["verdict"] == "not reproduced"  # equally soon
    never = reached.assign(best_loss=[[0.5, 0.1] if level == 0 else [0.5, 0.4] for level in reached["level"]])
    sooner = entry(
        contrast={"stat": "tt", "log": True, "plus": TICKET, "minus": {"arm": "ticket", "level": 8}}, size=0.5
    )
    eight = never[never["level"] == 7].assign(level=8, cell=lambda f: [cell.but(level=8) for cell in f["cell"]])
    eight["key"] = [cell.key() for cell in eight["cell"]]
    both = judged(sooner, pd.concat([never, eight]))["verdict"]
    assert both.startswith("inconclusive: gate G4, at least 100% on both sides never reach that loss")
    one_in_ten = eight.assign(best_loss=[[0.5, 0.1]] * 9 + [[0.5, 0.4]])
    half = never[never["level"] == 0]
    tickets = one_in_ten.assign(level=7, cell=lambda f: [cell.but(level=7) for cell in f["cell"]])
    few = judged(sooner, pd.concat([half, tickets, one_in_ten]))["verdict"]
    assert few.startswith("not reproduced")
    soon, late = eight.assign(best_loss=[[0.5, 0.1]] * 10), never[never["level"] == 7]
    slower = entry(
        contrast={"stat": "tt", "log": True, "plus": {"arm": "ticket", "level": 8}, "minus": TICKET}, size=0.5
    )
    for missed in (10, 2):  # of ten, on one side alone: that side is the slower one
        some = late.assign(best_loss=[[0.5, 0.4] if r < missed else [0.5, 0.1] for r in range(10)])
        found = judged(slower, pd.concat([half, some, soon]))["verdict"]
        assert (
            found
            == ("contradicted" if missed == 10 else "not reproduced") + f" ({missed} of 20 steps censored, rungs 7)"
        )
