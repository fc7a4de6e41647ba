"""Judging: printed numbers, ranges, onsets and concordances on hand-made tables."""

import numpy as np
import pandas as pd
import pytest
from handmade import DENSE, JITTER, NETWORKS, STUDY, dense_and_ticket, entry, judged, row, table, unsized
from scipy import stats
from tickets.cells import Cell
from tickets.evidence import claims
from tickets.evidence.asked import parts
from tickets.evidence.judge import Judge
from tickets.networks import Networks

COPIES = {"arm": "chord", "level": 15}


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


@pytest.mark.parametrize(
    ("contrast", "height", "verdict"),
    [
        ({"constant": 2, "minus": COPIES}, 0.4, "reproduced (claimed below 2)"),
        ({"constant": 2, "minus": COPIES}, 9.0, "contradicted (claimed below 2)"),
        ({"constant": -2, "plus": COPIES}, 9.0, "reproduced (claimed above 2)"),
        ({"constant": -2, "plus": COPIES}, 0.4, "contradicted (claimed above 2)"),
    ],
    ids=str,
)
def test_a_barrier_prints_as_a_barrier(contrast, height, verdict):
    """Not as what is left of two points; and beside it, on which side of them it is claimed to lie."""
    frame = table({("chord", 15): {"barrier_test": lambda r: height + JITTER[r]}})
    found = judged(unsized(contrast={"stat": "barrier_test", **contrast}, least=0), frame)
    mean, half = height + JITTER.mean(), 2.262 * JITTER.std(ddof=1) / np.sqrt(10)
    assert found[["ours", "low", "high"]].tolist() == pytest.approx([mean, mean - half, mean + half], abs=1e-5)
    assert found["verdict"] == verdict


def test_a_probability_prints_as_a_probability():
    """L12 as it is registered: 0.62 and not 0.12; the null that selects in the run that it scores is not read."""
    (part, *_) = parts(claims.load()["L12"])
    frame = table(
        {("anatomy", k): {"moved_more_1": lambda r: 0.62 + JITTER[r], "moved_more_null_1": 0.9} for k in (7, 15)}
    )
    finding = Judge(frame, "paper", {}, NETWORKS["paper"]).rule(part)
    assert (finding.verdict.word, finding.beside) == ("reproduced", "claimed above 0.5")
    assert finding.ours == pytest.approx(0.62 + JITTER.mean())
    assert finding.low < finding.ours < finding.high


def test_what_was_not_run_has_no_direction():
    below = entry(contrast={"stat": "barrier_test", "constant": 2, "minus": COPIES})
    assert judged(below, dense_and_ticket())["verdict"] == "not run"


def test_the_best_of_several_has_a_wider_interval_and_a_larger_p():
    """Three rungs, chosen on validation: the interval is read at 1 - 0.05 / 3, the p counts three."""
    arms = {("ticket", 0): {"test_accuracy": 98.0}}
    arms |= {("ticket", k): {"test_accuracy": lambda r: 98.3 + JITTER[r], "validation_accuracy": k} for k in (5, 6, 7)}
    one = {"stat": "test_accuracy", "plus": {"arm": "ticket", "level": 7}, "minus": DENSE}
    best = {**one, "plus": {"arm": "ticket", "level": {"best": [5, 6, 7], "by": "validation_accuracy"}}}
    judge = Judge(table(arms), "paper", {}, NETWORKS["paper"])
    plain, picked = (judge.rule(entry(contrast=contrast)) for contrast in (one, best))
    assert picked.verdict.p == pytest.approx(3 * plain.verdict.p)
    wider = stats.t.ppf(1 - 0.025 / 3, 9) / stats.t.ppf(0.975, 9)
    assert picked.high - picked.low == pytest.approx(wider * (plain.high - plain.low))
    assert picked.ours == plain.ours
    assert picked.beside == "chosen: level 7, of 3"


# ranges


def tickets(gains):
    """Tickets of ten replicates that gain so much over their dense network, {level: gain, or function of r}."""
    arms = {("ticket", 0): {"test_accuracy": 98.0}}
    for k, gain in gains.items():
        arms["ticket", k] = {"test_accuracy": lambda r, g=gain: 98.0 + (g(r) if callable(g) else g) + 0.001 * (r % 2)}
    return table(arms)


def keeps(rungs, end, **changes):
    """The claim that tickets match their dense network down to `end`."""
    contrast = {"stat": "test_accuracy", "plus": {"arm": "ticket", "level": "rung"}, "minus": DENSE}
    given = {"rungs": rungs, "end": end, "margin": 0.15, "assay": {"claim": "X1"}, **changes}
    return unsized(kind="range", contrast=contrast, **given)


@pytest.mark.parametrize(
    ("end", "ours", "verdict"),
    [
        (9, 9, "reproduced"),
        (8, 9, "reproduced"),
        (11, 9, "not reproduced: reversed at its own end"),
    ],
)
def test_ranges_print_the_density_where_they_end(end, ours, verdict):
    frame = tickets({k: -float(k > 9) for k in range(7, 12)})
    found = judged(keeps([7, 8, 9, 10, 11], end), frame)
    assert found["ours"] == pytest.approx(100 * 0.8**ours)
    assert np.isnan(found["low"])
    assert found["verdict"].split(" (")[0] == verdict


@pytest.mark.parametrize(
    ("fails", "verdict"),
    [
        (10, "partly: holds from 21 to 13.4 %"),
        (8, "partly: holds at 21 % only"),
        (7, "inconclusive: undecided at the start"),
    ],
)
def test_a_range_says_in_words_how_far_it_holds(fails, verdict):
    """From the rung that fails on nothing is sure: some replicates lose, others gain."""
    frame = tickets({k: (lambda r: 2.0 * (-1) ** r) if k >= fails else 0.0 for k in range(7, 12)})
    assert judged(keeps([7, 8, 9, 10, 11], 11), frame)["verdict"].split(" (")[0] == verdict


def test_a_range_that_holds_much_further_says_so():
    found = judged(keeps([7, 8, 9, 10, 11], 8), tickets(dict.fromkeys(range(7, 12), 0.0)))
    assert found["verdict"].startswith("partly: holds from 21 to 8.59 %")


def test_each_replicate_crosses_at_a_density_of_its_own():
    """By hand, of a claim to be better at all: rungs 7, 8, 9 keep 0.8^7, 0.8^8 and 0.8^9 of the weights. Replicate 0
    falls from +0.2 at rung 8 to -0.2 at rung 9, so it crosses half way, at rung 8.5; replicate 1 from +0.3 at rung 7 to
    -0.1 at rung 8, three quarters of the way; so do 2, 3 and 4 once more; replicate 5 never."""
    gains = {7: [0.4, 0.3] * 2 + [0.3, 0.5], 8: [0.2, -0.1] * 2 + [-0.1, 0.5], 9: [-0.2, -0.1] * 2 + [-0.1, 0.5]}
    arms = {("ticket", 0): {"test_accuracy": 98.0}}
    arms |= {("ticket", k): {"test_accuracy": lambda r, own=own: 98.0 + own[r]} for k, own in gains.items()}
    claim = {name: value for name, value in keeps([7, 8, 9], 9, least=0).items() if name != "margin"}
    finding = Judge(table(arms, n=6), "paper", {}, NETWORKS["paper"]).rule(claim)
    logs = np.array([8.5, 7.75, 8.5, 7.75, 7.75, 9]) * np.log(0.8) + np.log(100)
    low, high = stats.t.interval(0.95, 5, logs.mean(), stats.sem(logs))
    numbers = f"{np.exp(logs.mean()):.3g} % [{np.exp(low):.3g}, {np.exp(high):.3g}]"
    assert finding.beside == f"replicates cross at {numbers}, 1 of 6 beyond the rungs tested"


def test_of_replicates_that_mostly_cross_nowhere_only_the_number_is_said():
    """One of four crosses between rungs 7 and 8; three hold at both."""
    gains = {7: [0.4, 0.3, 0.1, 0.5], 8: [0.2, -0.1, 0.3, 0.5]}
    arms = {("ticket", 0): {"test_accuracy": 98.0}}
    arms |= {("ticket", k): {"test_accuracy": lambda r, own=own: 98.0 + own[r]} for k, own in gains.items()}
    claim = {name: value for name, value in keeps([7, 8], 8, least=0).items() if name != "margin"}
    finding = Judge(table(arms, n=4), "paper", {}, NETWORKS["paper"]).rule(claim)
    assert finding.beside == "3 of 4 replicates cross beyond the rungs tested"


def test_a_match_is_crossed_at_its_margin():
    """0.05 below the dense network at rung 7 and 0.25 at rung 8: the margin of 0.15 lies half way."""
    finding = Judge(
        tickets({7: -0.05, 8: -0.25}).assign(test_accuracy=lambda f: f["test_accuracy"].round(2)),
        "paper", {}, NETWORKS["paper"],
    ).rule(keeps([7, 8], 8))  # fmt: skip
    assert finding.beside == "replicates cross at 18.8 % [18.8, 18.8]"


# onsets


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
    return unsized(kind="onset", contrast=contrast, rungs=rungs, end="k2000", least=0, theirs=2000, **changes)


@pytest.mark.parametrize(
    ("barriers", "ours", "verdict"),
    [
        ({0: 70, 500: 40, 1000: 5, 2000: 1, 4000: 0.5}, 2000, "reproduced"),
        ({0: 70, 500: 40, 1000: 1, 2000: 1, 4000: 0.5}, 1000, "partly: earlier"),  # one step of the grid away
        ({0: 70, 500: 40, 1000: 5, 2000: 2.0, 4000: 0.5}, 4000, "partly: later"),
        ({0: 70, 500: 40, 1000: 5, 2000: 5, 4000: 0.5}, 4000, "not reproduced: reversed at its own step"),
        ({0: 70, 500: 40, 1000: 2.0, 2000: 1, 4000: 0.5}, 2000, "inconclusive: undecided at the step before"),
        ({0: 1, 500: 1, 1000: 1, 2000: 1, 4000: 0.5}, 0, "partly: earlier"),
        ({0: 70, 500: 1, 1000: 9, 2000: 1, 4000: 0.5}, 2000, "reproduced"),  # stable from there on, and not before
        ({0: 70, 500: 40, 1000: 9, 2000: 9, 4000: 9}, np.nan, "contradicted: fails at the start"),
        ({0: 70, 500: 40, 1000: 9, 2000: 9, 4000: 2.0}, np.nan, "not reproduced: reversed at its own step"),
        ({0: 70, 500: 40, 1000: 9, 2000: 2.0, 4000: 2.0}, np.nan, "inconclusive: undecided at the start"),
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
        ({0: (9, -1), 1: (1, 0)}, 100, "partly: 2 of 2 settings decided, a class of one setting"),
        ({0: (9, 0), 1: (1, -1), 2: (1, 0), 3: (9, -1)}, 50, "contradicted: 4 of 4 settings decided"),
        ({0: (9, 0), 1: (8, -1), 2: (1, 0)}, 200 / 3, "inconclusive: 3 of 3 settings decided, one disagrees"),
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
    left = judged(claim, without_first)["verdict"]
    assert left == "not run" or f"of {len(settings)} settings decided" in left.removeprefix("inconclusive")


def test_the_cases_of_a_concordance_have_networks_of_their_own():
    """Two are stable and matching, two neither; a network that was not run is undecided."""
    cases = [{"rewind": 0}, {"rewind": "k1"}]
    everywhere = concordance([case | {"network": name} for name in ("LeNet", "LeNet, 6000 steps") for case in cases])
    here, there = both_sides({0: (9, -1), 1: (8, -1)}), both_sides({0: (1, 0), 1: (0, 0)})
    moved = [row(cell.but(steps=6000)) for cell in there["cell"]]
    there = there.assign(**{name: [one[name] for one in moved] for name in ("cell", "steps", "key")})
    assert judged(everywhere, pd.concat([here, there]))["verdict"] == "reproduced: 4 of 4 settings decided"
    assert judged(everywhere, here)["verdict"] == "partly: 2 of 4 settings decided, one class only"


def test_a_match_in_a_setting_counts_only_where_a_worse_arm_is_told_apart():
    """Rewound to step 1 the other arm is two points worse than the ticket, to step 0 it is as good: undecided there."""
    frame = both_sides({0: (1, 0), 1: (0, 0), 2: (9, -1), 3: (8, -1)})
    for k, gap in {0: 0.0, 1: 2.0}.items():
        worse = [Cell(arm="random", level=7, rewind=k, replicate=r) for r in range(5)]
        rows = [row(cell, test_accuracy_end=98.0 - gap + JITTER[cell.replicate]) for cell in worse]
        frame = pd.concat([frame, pd.DataFrame(rows)], ignore_index=True)
    claim = concordance([{"rewind": k} for k in range(4)])
    assert judged(claim, frame)["verdict"] == "reproduced: 4 of 4 settings decided"
    at = {"level": 7, "rewind": "case"}
    gated = claim | {"assay": {"plus": {"arm": "ticket", **at}, "minus": {"arm": "random", **at}}}
    assert judged(gated, frame)["verdict"] == "partly: 3 of 4 settings decided, a class of one setting"
