"""Judging: printed numbers, ranges, onsets and concordances on hand-made tables, and the remarks beside a verdict."""

import numpy as np
import pandas as pd
import pytest
from handmade import DENSE, JITTER, NETWORKS, STUDY, dense_and_ticket, entry, judged, row, table
from tickets.cells import FIELDS, Cell
from tickets.evidence.judge import Judge
from tickets.networks import Networks


def test_printed_numbers_stand_in_the_paper_s_unit():
    frame = table({("ticket", 0): {"early_stop_step": lambda r: 10_000 + r}, ("ticket", 7): {"early_stop_step": 6200}})
    speed = {"stat": "early_stop_step", "log": True, "plus": DENSE, "minus": {"arm": "ticket", "level": 7}}
    found = judged(entry(contrast=speed, prints="percent_less", size=38, theirs=38), frame)
    assert found["ours"] == pytest.approx(38, abs=0.1)
    assert found["verdict"].startswith("reproduced")
    assert found["low"] < found["ours"] < found["high"]
    found = judged(entry(contrast=speed, prints="ratio", size=4), frame)
    assert found["ours"] == pytest.approx(10 / 6.2, abs=0.01)
    assert found["verdict"].startswith("partly: smaller")


def test_ranges_print_the_density_where_they_end():
    frame = table({("ticket", k): {"test_accuracy": 98.0 - (k > 9) + 0.001 * k} for k in range(12)})
    contrast = {
        "stat": "test_accuracy",
        "plus": {"arm": "ticket", "level": "rung"},
        "minus": DENSE,
    }
    claim = entry(kind="range", contrast=contrast, rungs=[7, 8, 9, 10, 11], end=11, margin=0.15, assay={"claim": "X1"})
    found = judged(claim, frame)
    assert found["ours"] == pytest.approx(100 * 0.8**9)
    assert np.isnan(found["low"])
    assert found["verdict"] == "reproduced"
    assert judged({**claim, "end": 12}, frame)["verdict"] == "partly"


def chords(barriers, n=5):
    """Chords of the dense network, {rewind step: barrier}, with the networks that gates look at."""
    rows = [row(Cell(replicate=r)) for r in range(n)]
    for r in range(n):
        for k, height in barriers.items():
            rows.append(row(Cell(arm="chord", rewind=k, replicate=r), barrier_test=height + JITTER[r]))
    return pd.DataFrame(rows)


def onset(**changes):
    """The claim that two copies of the dense network are stable from step 2000 on."""
    contrast = {"stat": "barrier_test", "constant": 2, "minus": {"arm": "chord", "level": 0, "rewind": "rung"}}
    rungs = ["k4000", "k2000", "k1000", "k500", 0]
    claim = entry(kind="onset", contrast=contrast, rungs=rungs, end="k2000", least=0, theirs=2000, **changes)
    del claim["size"]
    return claim


@pytest.mark.parametrize(
    ("barriers", "ours", "verdict"),
    [
        ({0: 70, 500: 40, 1000: 5, 2000: 1, 4000: 0.5}, 2000, "reproduced"),
        ({0: 70, 500: 40, 1000: 1, 2000: 1, 4000: 0.5}, 1000, "reproduced"),  # one step of the grid away
        ({0: 70, 500: 40, 1000: 5, 2000: 5, 4000: 0.5}, 4000, "reproduced"),
        ({0: 70, 500: 1, 1000: 1, 2000: 1, 4000: 0.5}, 500, "partly"),
        ({0: 1, 500: 1, 1000: 1, 2000: 1, 4000: 0.5}, 0, "partly"),
        ({0: 1, 500: 9, 1000: 1, 2000: 1, 4000: 0.5}, 1000, "reproduced"),  # stable from there on, and not before
        ({0: 70, 500: 40, 1000: 9, 2000: 9, 4000: 9}, np.nan, "contradicted: fails at the start"),
        ({0: 70, 500: 40, 1000: 9, 2000: 9, 4000: 2.0}, np.nan, "inconclusive: fails at the start"),
    ],
    ids=str,
)
def test_an_onset_is_a_step_on_the_paper_s_grid(barriers, ours, verdict):
    found = judged(onset(), chords(barriers))
    assert found["ours"] == pytest.approx(ours, nan_ok=True)
    assert found["verdict"] == verdict
    by_number = {**onset(), "rungs": [4000, 2000, 1000, 500, 0], "end": 2000}  # a name says where, and no more
    assert judged(by_number, chords(barriers))["verdict"] == verdict
    partial = chords(barriers)
    assert judged(onset(), partial[partial["rewind"] != 500])["verdict"] == "not run"  # the grid is a complete block


def test_an_onset_prints_the_step_of_the_network():
    """k2000 of the paper is step 96 of a network with a shorter budget, and that is what is printed."""
    steps = {"k4000": 192, "k2000": 96, "k1000": 48, "k500": 24}
    networks = {STUDY: Networks(NETWORKS["paper"][STUDY].cells, {"LeNet": steps})}
    frame = chords({0: 70, 24: 40, 48: 5, 96: 1, 192: 0.5})
    finding, _ = Judge(frame, "paper", {"X1": onset()}, networks).claim(onset())
    assert (finding.verdict.word, finding.ours) == ("reproduced", 96)


def both_sides(settings, n=5):
    """Tickets at level 7 of settings {rewind step: (barrier, gain in accuracy)} and their dense network."""
    rows = [row(Cell(replicate=r), test_accuracy_end=98.0) for r in range(n)]
    for k, (height, gain) in settings.items():
        for r in range(n):
            chord, ticket = (Cell(arm=arm, level=7, rewind=k, replicate=r) for arm in ("chord", "ticket"))
            rows.append(row(chord, barrier_test=height + JITTER[r]))
            rows.append(row(ticket, test_accuracy_end=98.0 + gain + JITTER[r]))
    return pd.DataFrame(rows)


def concordance(cases):
    """The claim that a ticket at level 7 is stable if and only if it is as accurate as its dense network."""
    return entry(
        kind="concordance",
        contrast={"stat": "barrier_test", "constant": 2, "minus": {"arm": "chord", "level": 7, "rewind": "case"}},
        matching={
            "stat": "test_accuracy_end",
            "plus": {"arm": "ticket", "level": 7, "rewind": "case"},
            "minus": DENSE,
        },
        cases=[{"network": "LeNet", "margin": 0.5, **case} for case in cases],
    )


@pytest.mark.parametrize(
    ("settings", "ours", "verdict"),
    [
        ({0: (9, -1), 1: (8, -1), 2: (1, 0), 3: (0, 0)}, 100, "reproduced: 4 of 4 settings decided"),
        ({0: (1, 0), 1: (0, 0), 2: (2.0, 0)}, 100, "partly: 2 of 3 settings decided, one class only"),
        ({0: (9, 0), 1: (1, -1), 2: (1, 0), 3: (9, -1)}, 50, "contradicted: 4 of 4 settings decided"),
        ({0: (9, 0), 1: (8, -1), 2: (1, 0)}, 200 / 3, "inconclusive: 3 of 3 settings decided"),
    ],
    ids=str,
)
def test_a_concordance_counts_settings(settings, ours, verdict):
    claim = concordance([{"rewind": k} for k in settings])
    frame = both_sides(settings)
    found = judged(claim, frame)
    assert found["ours"] == pytest.approx(ours)
    assert (found["n"], found["verdict"]) == (5, verdict)
    assert judged(claim, frame[frame["arm"] == "ticket"])["verdict"] == "not run"
    few = judged(claim, frame[frame["replicate"] < 4])
    assert few["verdict"].startswith("inconclusive")
    assert few["n"] == 4
    without_first = frame[~((frame["arm"] == "chord") & (frame["rewind"] == 0))]
    assert f"of {len(settings)} settings decided" in judged(claim, without_first)["verdict"]


def test_the_cases_of_a_concordance_have_networks_of_their_own():
    """Two are stable and matching, two neither; a network that was not run is undecided."""
    cases = [{"rewind": 0}, {"rewind": "k1"}]
    everywhere = concordance([case | {"network": name} for name in ("LeNet", "LeNet, 6000 steps") for case in cases])
    here, there = both_sides({0: (9, -1), 1: (8, -1)}), both_sides({0: (1, 0), 1: (0, 0)})
    moved = [row(cell.but(steps=6000)) for cell in there["cell"]]
    there = there.assign(**{name: [one[name] for one in moved] for name in ("cell", "steps", "key")})
    assert judged(everywhere, pd.concat([here, there]))["verdict"] == "reproduced: 4 of 4 settings decided"
    assert judged(everywhere, here)["verdict"] == "partly: 2 of 4 settings decided, one class only"


# remarks


def test_forks_that_turn_a_verdict_around():
    claim = entry(forks={"inputs": "LeNet, standardized pixels"})
    same = pd.concat([dense_and_ticket(), dense_and_ticket(0.2, n=6, inputs="standard")])
    other = pd.concat([dense_and_ticket(), dense_and_ticket(-0.3, n=6, inputs="standard")])
    assert judged(claim, same)["verdict"] == "reproduced"
    assert judged(claim, other)["verdict"] == "reproduced (depends on inputs)"
    assert judged(claim, dense_and_ticket())["verdict"] == "reproduced"  # its other value was not run


def with_images(seen):
    """Dense networks and tickets that differ on the images `seen(replicate)`: only the ticket gets them right."""
    frame = table({("ticket", 0): {}, ("ticket", 7): {}})
    frame["wrong"] = [[] if level else seen(r) for r, level in zip(frame["replicate"], frame["level"], strict=True)]
    return frame.assign(test_accuracy=100 - frame["wrong"].map(len) / 100)


def test_a_small_effect_that_rests_on_few_images_is_fragile():
    """Every replicate gains on the same three images: sure about the seeds, not about the images."""
    claim = entry(size=0.03)
    assert judged(claim, with_images(lambda r: [1, 2, 3] if r else [1, 2]))["verdict"] == "reproduced (fragile)"
    own = with_images(lambda r: list(range(30 * r, 30 * r + 30 + r % 2)))
    assert judged(entry(), own)["verdict"] == "reproduced"
    thinned = own.assign(wrong=[[]] * len(own))
    assert judged(entry(), thinned)["verdict"] == "reproduced"  # images not recorded: nothing is said about them


def test_not_run_says_what_it_needs():
    nothing = pd.DataFrame(columns=["cell", *FIELDS, "key"])
    found = judged(entry(), nothing)
    assert (found["verdict"], found["n"], found["needs"], found["device"]) == ("not run", 0, "a laptop", "")


def test_precision_rule_asks_for_more():
    frame = dense_and_ticket()
    frame.loc[frame["level"] == 7, "test_accuracy"] += 8 * JITTER
    found = judged(entry(n_max=20, half_width=0.01), frame)
    assert found["needs"] == "more replicates, to a half-width of 0.01 pp or n = 20"
