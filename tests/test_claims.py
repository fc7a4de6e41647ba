"""Claims: the registered entries, their estimands on hand-made tables, gates and remarks, and the table of verdicts."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tickets import claims, gates, registration, scorecard
from tickets.cells import FIELDS, Cell
from tickets.contrasts import Records
from tickets.errors import BadInput
from tickets.judge import Judge, parts
from tickets.store import CLAIMS
from tickets.studies import STUDIES, cells

DENSE, TICKET = {"arm": "ticket", "level": 0}, {"arm": "ticket", "level": 7}
ENTRY = {
    "id": "X1",
    "study": "01_winning_tickets",
    "paper": "nobody2019",
    "statement": "Tickets at rung 7 gain 0.3 points.",
    "where": "Fig. 1",
    "theirs": 0.3,
    "unit": "pp",
    "source": "read in the paper",
    "estimand": "Ticket minus dense.",
    "setting": {"model": "lenet-300-100"},
    "contrast": {
        "stat": "test_accuracy",
        "plus": TICKET,
        "minus": DENSE,
    },
    "prints": "difference",
    "kind": "effect",
    "size": 0.3,
    "n": 5,
    "scope": "paper",
    "headline": True,
    "needs": "a laptop",
}
ASSAY = {"plus": TICKET, "minus": {"arm": "random", "level": 7}}
JITTER = 0.01 * np.array([1, -1, 2, -2, 1, -1, 0, 0, 2, -2])


def entry(**changes):
    return {**copy.deepcopy(ENTRY), **changes}


def row(cell, **results):
    """A row of the tidy table; what a test does not name is unremarkable."""
    usual = {
        "early_stop_step": 2000, "test_accuracy": 98.0, "test_accuracy_end": 98.0, "validation_accuracy": 98.0,
        "kept": round(1000 * 0.8**cell.level), "density": 0.8**cell.level, "diverged": False,
        "best_step": [100, 5000], "best_loss": [0.5, 0.1], "device": "cpu", "registration": "then", "key": cell.key(),
    }  # fmt: skip
    return {**{name: getattr(cell, name) for name in FIELDS}, **usual, **results}


def table(arms, n=10, **fields):
    """Arms {(arm, level): {result: value or function of the replicate}} for n replicates, one draw each."""
    rows = []
    for r in range(n):
        for (arm, level), results in arms.items():
            found = {name: value(r) if callable(value) else value for name, value in results.items()}
            rows.append(row(Cell(arm=arm, level=level, replicate=r, **fields), **found))
    return pd.DataFrame(rows)


def dense_and_ticket(gain=0.3, n=10, **fields):
    """Dense networks of 98 % and tickets at rung 7 that gain `gain`, give or take."""
    accuracy = {("ticket", 0): 98.0, ("ticket", 7): lambda r: 98.0 + gain + JITTER[r % 10]}
    return table({arm: {"test_accuracy": value} for arm, value in accuracy.items()}, n, **fields)


def judged(entry_, frame, profile="paper", registrations=None):
    """The row of one entry in the table of claims."""
    claims.check(entry_)
    return claims.evaluate(frame, profile, registrations, {entry_["id"]: entry_}).iloc[0]


def read(frame, contrast, **setting):
    return Records(frame).read(contrast, setting).values


# the registered entries


def test_every_entry_is_whole():
    entries = claims.load()
    assert len(entries) > 40
    names = [part["id"] for e in entries.values() for part in parts(e)]
    assert len(set(names) | set(entries)) == len(names) + sum("parts" in e for e in entries.values())
    assert {e["study"] for e in entries.values()} <= set(STUDIES)
    for e in entries.values():
        assert e["source"] in claims.SOURCES
        assert e["statement"]
        assert e["estimand"]
        assert e["where"]
        assert e["needs"]
        assert not e["headline"] or e.get("kind") not in ("value", "none")


def test_every_match_has_an_assay_and_every_extension_a_precision():
    for part in (part for e in claims.load().values() for part in parts(e)):
        assert part["kind"] != "match" or "assay" in part
        assert ("n_max" in part) == ("half_width" in part)
        assert "rungs" not in part or part["end"] in part["rungs"]


def plausible(cell):
    """A result with every statistic that an entry can name."""
    layers = {
        f"{name}_{i}": 0.5
        for name in ("moved_more", "moved_more_null", "grew", "grew_null", "rarity")
        for i in (1, 2, 3)
    }
    uneven = {f"uneven_{side}": 2.0 for side in ("outgoing", "incoming", "outgoing_lit")}
    barriers = {"barrier_test": 1.0, "barrier_test_reestimated": 1.0, "disagreement": 5.0, "distance_ratio": 0.4}
    rest = {"test_accuracy_mid": 98.0, "train_accuracy_end": 100.0, "validation_accuracy_end": 98.0}
    return row(cell, **layers, **uneven, **barriers, **rest)


def judge_of_everything():
    frame = pd.DataFrame([plausible(cell) for study in STUDIES for cell in cells(study, "paper")])
    return Judge(frame, "paper", claims.load())


def test_every_claim_finds_its_cells_in_its_study():
    """The study trains what each contrast and anchor names, for as many replicates as a verdict needs."""
    judge = judge_of_everything()
    for part in judge.parts.values():
        n = judge.rule(part).verdict.n
        assert n >= part["n"], part["id"]
        if part.get("anchors"):
            setting = {**part["setting"], **part["anchors"].get("setting", {})}
            assert len(judge.records.at(setting, arm="ticket", level=0)) >= part["n"], f"anchor of {part['id']}"


def test_every_assay_finds_its_cells_in_its_study():
    judge = judge_of_everything()
    for part in judge.parts.values():
        if "plus" in part.get("assay", {}):
            assay = {**part["assay"], "stat": part["contrast"]["stat"]}
            n = len(judge.records.read(assay, part["setting"]).values)
            assert n >= part["n"], f"assay of {part['id']}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "feeling"}, "unknown kind"),
        ({"colour": "red"}, "unknown field of claim X1 'colour'"),
        ({"source": "hearsay"}, "unknown source"),
        ({"size": None}, "needs size or band or least"),
        ({"kind": "match", "margin": 0.1}, "needs assay"),
        ({"setting": {"modle": "conv-2"}}, "unknown cell field"),
        ({"contrast": {"stat": "test_accuracy", "plus": {"arm": "tickets"}}}, "unknown arm"),
        ({"contrast": {"plus": {"arm": "ticket"}}}, "no stat"),
        ({"contrast": {"stat": "test_accuracy", "times": {"arm": "ticket"}}}, "unknown contrast field"),
        ({"prints": "loud"}, "unknown prints"),
    ],
)
def test_bad_entries(changes, message):
    with pytest.raises(BadInput, match=message):
        claims.check(entry(**changes))


def test_missing_and_repeated(tmp_path):
    with pytest.raises(BadInput, match="no estimand"):
        claims.check({name: value for name, value in ENTRY.items() if name != "estimand"})
    text = CLAIMS.read_text(encoding="utf-8")
    twice = tmp_path / "claims.yml"
    twice.write_text(text.replace("id: L2a-mid", "id: L1"))
    with pytest.raises(BadInput, match="claim L1: every claim"):
        claims.load(twice)


# estimands


def test_draws_and_levels_are_averaged_inside_a_replicate():
    rows = [row(Cell(replicate=r), test_accuracy=90.0) for r in (0, 1)]
    for r, draws in ((0, (1, 2)), (1, (1,))):
        for level in (7, 8):
            for draw in draws:
                gain = 10 * r + level + draw
                rows.append(row(Cell(arm="reinit", level=level, replicate=r, draw=draw), test_accuracy=90.0 + gain))
    frame = pd.DataFrame(rows)
    contrast = {
        "stat": "test_accuracy",
        "plus": {"arm": "reinit", "level": [7, 8]},
        "minus": DENSE,
    }
    assert read(frame, contrast).to_dict() == {0: 9.0, 1: 18.5}
    contrast["plus"]["draw"] = [1, 2]
    assert read(frame, contrast).to_dict() == {0: 9.0}  # replicate 1 lacks a draw that the claim names


def test_incomplete_blocks_are_dropped():
    frame = dense_and_ticket(n=6)
    frame = frame[
        ~((frame["replicate"] == 3) & (frame["level"] == 7)) & ~((frame["replicate"] == 4) & (frame["level"] == 0))
    ]
    reading = Records(frame).read(ENTRY["contrast"], ENTRY["setting"])
    assert sorted(reading.values.index) == [0, 1, 2, 5]
    assert set(reading.rows["replicate"]) == {0, 1, 2, 5}
    found = judged(entry(), frame)
    assert (found["n"], found["verdict"]) == (4, "inconclusive: n = 4 of 5")
    assert found["needs"] == "1 more replicate: a laptop"


def test_only_the_named_setting_counts():
    """Other input scalings, learning rates and data orders in the same table are other experiments."""
    others = [
        dense_and_ticket(5, inputs="standard"),
        dense_and_ticket(5, learning_rate=0.1),
        dense_and_ticket(5, order=1),
    ]
    frame = pd.concat([dense_and_ticket(), *others])
    assert judged(entry(), frame)["ours"] == pytest.approx(0.3)


def test_a_constant_is_added_once():
    frame = table({("chord", 15): {"barrier_test": lambda r: 0.5 + JITTER[r]}})
    below = {"stat": "barrier_test", "constant": 2, "minus": {"arm": "chord", "level": 15}}
    assert read(frame, below).to_numpy() == pytest.approx(1.5 - JITTER)
    above = {"stat": "barrier_test", "constant": -2, "plus": {"arm": "chord", "level": 15}}
    assert read(frame, above).to_numpy() == pytest.approx(JITTER - 1.5)


def test_the_dense_network_is_one_for_all_rewind_steps_and_a_measurement_is_not():
    cells_ = [Cell(), Cell(order=1, rewind=500), Cell(arm="chord", rewind=500), Cell(arm="chord")]
    records = Records(pd.DataFrame([row(cell) for cell in cells_]))
    found = lambda **fields: records.at({}, **fields)["key"].tolist()  # noqa: E731
    assert found(arm="ticket", level=0, rewind=500) == found(arm="random", rewind=1000) == [Cell().key()]
    assert found(arm="ticket", level=0, rewind=500, order=1) == [cells_[1].key()]
    assert found(arm="chord", level=0, rewind=500) == [cells_[2].key()]
    assert found(arm="chord", level=0) == [cells_[3].key()]
    assert found(arm="chord", level=0, subject="random") == []


def test_logs_and_single_terms():
    frame = table({("ticket", 0): {"early_stop_step": 8000}, ("ticket", 7): {"early_stop_step": 2000}})
    speed = {"stat": "early_stop_step", "log": True}
    assert read(frame, {**speed, "plus": DENSE, "minus": TICKET}).to_numpy() == pytest.approx(np.log(4))
    assert read(frame, {**speed, "minus": TICKET}).to_numpy() == pytest.approx(-np.log(2000))


def test_slope_is_within_replicates_and_starts_at_the_dense_network():
    rows = [row(Cell(replicate=r), early_stop_step=np.exp(5 + r)) for r in (0, 1)]
    for r in (0, 1):
        for level in (1, 2, 3):
            cell = Cell(arm="reinit", level=level, replicate=r, draw=1)
            rows.append(row(cell, early_stop_step=np.exp(5 + r + 0.2 * level)))
    contrast = {"stat": "early_stop_step", "log": True, "slope": {"arm": "reinit", "level": [0, 1, 2, 3]}}
    assert read(pd.DataFrame(rows), contrast).to_numpy() == pytest.approx(0.2)


def test_the_best_is_chosen_once_on_validation():
    arms = {("ticket", 0): {"test_accuracy": 98.0}}
    arms |= {
        ("ticket", k): {"test_accuracy": 98.0 + gain, "validation_accuracy": val}
        for k, gain, val in ((5, 0.1, 97), (6, 0.2, 99))
    }
    arms[("ticket", 7)] = {"test_accuracy": 98.9, "validation_accuracy": 98}
    best = {"arm": "ticket", "level": {"best": [5, 6, 7], "by": "validation_accuracy"}}
    contrast = {"stat": "test_accuracy", "plus": best, "minus": DENSE}
    assert read(table(arms), contrast).to_numpy() == pytest.approx(0.2)


def test_a_worst_case_is_read_with_a_wider_interval():
    frame = table({("ticket", k): {"test_accuracy": lambda r, k=k: 98 - k + JITTER[r]} for k in (1, 2, 3)})
    worst = {"stat": "test_accuracy", "plus": {"arm": "ticket", "level": {"worst": [1, 2, 3], "by": "test_accuracy"}}}
    reading = Records(frame).read(worst, {})
    assert reading.values.mean() == pytest.approx(95)
    assert reading.level == pytest.approx(1 - 0.05 / 3)
    partial = frame[(frame["level"] < 3) | (frame["replicate"] < 4)]
    assert len(read(partial, worst)) == 4  # only where all rungs are there to choose from


def test_time_to_loss_and_what_is_not_reached():
    """Goal: 1.05 x the replicate's dense minimum. A network that never gets there counts with its whole budget."""
    curves = {
        ("ticket", 0): {"best_step": [100, 900], "best_loss": [0.9, 0.20]},
        ("ticket", 7): {"best_step": [100, 300, 400], "best_loss": [0.8, 0.21, 0.19]},
        ("ticket", 8): {"best_step": [100, 200], "best_loss": [0.9, 0.22]},
    }
    records = Records(table(curves))
    reached = records.read({"stat": "tt", "plus": TICKET}, {})
    assert set(reached.values) == {300}
    assert not reached.rows["censored"].any()
    missed = records.read({"stat": "tt", "plus": {"arm": "ticket", "level": 8}}, {})
    assert set(missed.values) == {50_000}
    assert missed.rows["censored"].all()


def test_a_diverged_network_is_an_outcome():
    frame = dense_and_ticket()
    lost = (frame["replicate"] == 0) & (frame["level"] == 7)
    frame.loc[lost, ["diverged", "test_accuracy", "early_stop_step"]] = [True, 9.8, 200]
    found = judged(entry(), frame)
    assert found["n"] == 10
    assert "1 of 20 diverged" in found["verdict"]
    steps = read(frame, {"stat": "early_stop_step", "plus": TICKET})
    assert steps[0] == 50_000


def test_unknown_statistic_and_mixed_budgets():
    with pytest.raises(BadInput, match="statistic 'luck'"):
        read(dense_and_ticket(), {"stat": "luck", "plus": TICKET})
    mixed = pd.concat([dense_and_ticket(steps=5000), dense_and_ticket(steps=6000)])
    with pytest.raises(BadInput, match="steps"):
        judged(entry(), mixed, "quick")


# verdicts, gates and remarks


def test_printed_numbers_stand_in_the_paper_s_unit():
    frame = table({("ticket", 0): {"early_stop_step": lambda r: 10_000 + r}, ("ticket", 7): {"early_stop_step": 6200}})
    speed = {"stat": "early_stop_step", "log": True, "plus": DENSE, "minus": TICKET}
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


@pytest.mark.parametrize(
    ("barriers", "ours", "verdict"),
    [
        ({0: 70, 500: 40, 1000: 5, 2000: 1, 4000: 0.5}, 2000, "reproduced"),
        ({0: 70, 500: 40, 1000: 1, 2000: 1, 4000: 0.5}, 1000, "reproduced"),  # one step of the grid away
        ({0: 70, 500: 40, 1000: 5, 2000: 5, 4000: 0.5}, 4000, "reproduced"),
        ({0: 70, 500: 1, 1000: 1, 2000: 1, 4000: 0.5}, 500, "partly"),
        ({0: 1, 500: 9, 1000: 1, 2000: 1, 4000: 0.5}, 1000, "reproduced"),  # stable from there on, and not before
        ({0: 70, 500: 40, 1000: 9, 2000: 9, 4000: 9}, np.nan, "contradicted: fails at the start"),
        ({0: 70, 500: 40, 1000: 9, 2000: 9, 4000: 2.0}, np.nan, "inconclusive: fails at the start"),
    ],
    ids=str,
)
def test_an_onset_is_a_step_on_the_paper_s_grid(barriers, ours, verdict):
    contrast = {"stat": "barrier_test", "constant": 2, "minus": {"arm": "chord", "level": 0, "rewind": "rung"}}
    claim = entry(kind="onset", contrast=contrast, rungs=[4000, 2000, 1000, 500, 0], end=2000, least=0, theirs=2000)
    del claim["size"]
    found = judged(claim, chords(barriers))
    assert found["ours"] == pytest.approx(ours, nan_ok=True)
    assert found["verdict"] == verdict
    partial = chords(barriers)
    assert judged(claim, partial[partial["rewind"] != 500])["verdict"] == "not run"  # the grid is a complete block


def both_sides(settings, n=5):
    """Tickets at level 7 of settings {rewind step: (barrier, gain in accuracy)} and their dense network."""
    rows = [row(Cell(replicate=r), test_accuracy_end=98.0) for r in range(n)]
    for k, (height, gain) in settings.items():
        for r in range(n):
            chord, ticket = (Cell(arm=arm, level=7, rewind=k, replicate=r) for arm in ("chord", "ticket"))
            rows.append(row(chord, barrier_test=height + JITTER[r]))
            rows.append(row(ticket, test_accuracy_end=98.0 + gain + JITTER[r]))
    return pd.DataFrame(rows)


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
    claim = entry(
        kind="concordance",
        contrast={"stat": "barrier_test", "constant": 2, "minus": {"arm": "chord", "level": 7, "rewind": "case"}},
        matching={
            "stat": "test_accuracy_end",
            "plus": {"arm": "ticket", "level": 7, "rewind": "case"},
            "minus": DENSE,
        },
        cases=[{"setting": {}, "rewind": k, "margin": 0.5} for k in settings],
    )
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


def test_networks_of_two_sizes_are_no_unequal_arms():
    """A concordance looks at several networks, each with as many weights as it has."""
    sizes = {"lenet-300-100": 266_200, "resnet-20": 267_696}
    rows = pd.DataFrame([row(Cell(model=model), kept=kept) for model, kept in sizes.items()])
    assert gates.equal_arms(rows) == ""
    assert gates.equal_arms(rows.assign(model="resnet-20")).startswith("G3")


def test_analogs_of_two_chapters_keep_their_budgets_apart(tmp_path):
    class Records_:
        def table(self, wanted):
            return pd.DataFrame([plausible(cell) for cell in wanted if cell.steps < 20_000])

        def registrations(self):
            return {}

    assert {cells(study, "quick")[0].steps for study in STUDIES} == {5_000, 2_400}
    frame = claims.publish(Records_(), tmp_path / "claims.csv").set_index("claim")
    assert {"L2b-quick", "M2-lenet-quick"} <= set(frame.index)
    assert not frame.index.duplicated().any()


def test_a_chapter_shows_the_q_of_the_whole_scorecard():
    """One correction for many claims: a page must not print another q than the front page."""

    class Records_:
        def table(self, wanted):
            lenet = [cell for cell in wanted if cell.model == "lenet-300-100" and cell.level in (0, 7, 15)]
            return pd.DataFrame([plausible(cell) for cell in lenet])

        def registrations(self):
            return {}

    whole = claims.judged(Records_(), "paper").set_index("claim")
    own = claims.judged(Records_(), "paper", ["02_linear_mode_connectivity"]).set_index("claim")
    entries = claims.of("02_linear_mode_connectivity").values()
    assert set(own.index) == {part["id"] for entry in entries for part in (entry, *parts(entry))}
    assert own["q"].notna().any()
    pd.testing.assert_series_equal(own["q"], whole.loc[own.index, "q"])


def with_random(loss, **fields):
    """Tickets as good as dense networks, random masks worse by `loss`."""
    random = table({("random", 7): {"test_accuracy": lambda r: 98.0 - loss + JITTER[r]}}, **fields)
    return pd.concat([dense_and_ticket(0.0, **fields), random])


def test_gate_2_a_match_needs_arms_that_differ():
    claim = entry(kind="match", margin=0.15, assay=ASSAY)
    assert judged(claim, with_random(1.0))["verdict"] == "reproduced"
    assert "gate G2" in judged(claim, with_random(0.1))["verdict"]
    found = judged(claim, dense_and_ticket(0.0))
    assert found["verdict"] == "inconclusive: gate G2, the known-worse arm is not recorded"
    assert found["ours"] == pytest.approx(0)
    assert np.isnan(found["q"])
    assert judged(claim, dense_and_ticket(-1.0))["verdict"].startswith("contradicted")  # no gate saves a refuted match


def test_gate_2_by_another_claim():
    gains = {
        "id": "X1.a",
        "kind": "effect",
        "least": 0.1,
        "contrast": {**ENTRY["contrast"], "stat": "validation_accuracy"},
    }
    keeps = {"id": "X1.b", "kind": "match", "margin": 0.5, "assay": {"claim": "X1.a"}}
    whole = {name: value for name, value in entry(parts=[gains, keeps]).items() if name not in ("kind", "size")}
    frame = claims.evaluate(dense_and_ticket(0.0), "paper", None, {"X1": whole})
    assert list(frame["claim"]) == ["X1", "X1.a", "X1.b"]
    assert list(frame["scope"]) == ["paper", "part", "part"]
    assert frame["verdict"][2] == "inconclusive: gate G2, X1.a does not hold"
    assert frame["verdict"][0] == "not reproduced: X1.a"


def test_gate_1_dense_accuracy():
    anchors = {"stat": "test_accuracy_end", "band": [98.5, 99]}
    assert "gate G1, dense accuracy 98.00" in judged(entry(anchors=anchors), dense_and_ticket())["verdict"]
    found = judged(entry(anchors=anchors), dense_and_ticket(steps=5000), "quick")
    assert found["verdict"] == "reproduced"  # the anchor is the paper's, at the paper's steps


def test_gate_3_equal_arms():
    frame = with_random(1.0).assign(precision=lambda f: f["precision"].where(f["level"] == 0, "float64"))
    assert len(read(frame, ENTRY["contrast"])) == 0  # another precision is another cell
    frame = table({("ticket", 7): {"test_accuracy": 98.3}, ("random", 7): {"kept": 300}})
    contrast = {"stat": "test_accuracy", "plus": TICKET, "minus": {"arm": "random", "level": 7}}
    assert "gate G3" in judged(entry(contrast=contrast), frame)["verdict"]


def test_gate_4_early_stops_inside_the_budget():
    late = dense_and_ticket().assign(early_stop_step=49_900)
    assert "gate G4" in judged(entry(), late)["verdict"]
    at_the_end = {**ENTRY["contrast"], "stat": "test_accuracy_end"}
    frame = late.assign(test_accuracy_end=late["test_accuracy"])
    assert judged(entry(contrast=at_the_end), frame)["verdict"] == "reproduced"


def test_forks_that_turn_a_verdict_around():
    claim = entry(forks=[{"inputs": "standard"}])
    same = pd.concat([dense_and_ticket(), dense_and_ticket(0.2, n=6, inputs="standard")])
    other = pd.concat([dense_and_ticket(), dense_and_ticket(-0.3, n=6, inputs="standard")])
    assert judged(claim, same)["verdict"] == "reproduced"
    assert judged(claim, other)["verdict"] == "reproduced (depends on inputs)"


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


def test_weights_make_up_the_contrast():
    frame = with_random(1.0)
    contrast = {"stat": "test_accuracy", "plus": TICKET, "minus": {"arm": ["random", "ticket"], "level": 7}}
    reading = Records(frame).read(contrast, {})
    total = (reading.rows["weight"] * reading.rows["value"]).groupby(reading.rows["replicate"]).sum()
    assert total.to_numpy() == pytest.approx(reading.values.to_numpy())


def test_registration_follows_the_entry():
    now = registration.entry_hash(entry())
    assert now == registration.entry_hash(entry(needs="a cluster"))
    assert now != registration.entry_hash(entry(size=0.2))
    changed = entry()
    changed["contrast"]["plus"]["level"] = 8
    assert now != registration.entry_hash(changed)


def test_post_hoc():
    frame, now = dense_and_ticket(), registration.entry_hash(entry())
    assert judged(entry(), frame, registrations={"then": {"X1": now}})["verdict"] == "reproduced"
    for then in ({"then": {"X1": "other"}}, {"then": {}}, {}):
        assert judged(entry(), frame, registrations=then)["verdict"] == "reproduced (post hoc)"


def test_not_run_says_what_it_needs():
    nothing = pd.DataFrame(columns=[*FIELDS, "key"])
    found = judged(entry(), nothing)
    assert (found["verdict"], found["n"], found["needs"], found["device"]) == ("not run", 0, "a laptop", "")
    assert len(claims.evaluate(nothing, "quick", None, {"X1": entry()})) == 0


def test_precision_rule_asks_for_more():
    frame = dense_and_ticket()
    frame.loc[frame["level"] == 7, "test_accuracy"] += 8 * JITTER
    found = judged(entry(n_max=20, half_width=0.01), frame)
    assert found["needs"] == "more replicates, to a half-width of 0.01 pp or n = 20"


# the table


def test_quick_yields_analogs_and_smoke_nothing():
    frame = dense_and_ticket(steps=5000)
    found = judged(entry(), frame, "quick")
    assert (found["claim"], found["scope"], found["profile"]) == ("X1-quick", "analog", "quick")
    assert judged(entry(), frame)["verdict"] == "not run"
    assert judged(entry(), dense_and_ticket(), "smoke")["verdict"] == "not run"
    with pytest.raises(BadInput, match="profile"):
        claims.evaluate(frame, "full")


def test_q_counts_claims_and_not_readings():
    entries = {f"X{i}": entry(id=f"X{i}") for i in range(4)}
    entries["X4"] = entry(id="X4", headline=False)
    entries["X5"] = entry(id="X5", contrast={**ENTRY["contrast"], "plus": {"arm": "ticket", "level": 9}})
    frame = claims.evaluate(dense_and_ticket(), "paper", None, entries).set_index("claim")
    p = Judge(dense_and_ticket(), "paper", entries).rule(entry()).verdict.p
    assert frame["q"][:4].to_numpy() == pytest.approx(p)  # four equal claims: q = p x 4 / 4
    assert frame["q"][["X4", "X5"]].isna().all()
    assert frame["scope"]["X4"] == "reading"


def test_csv(tmp_path):
    path = tmp_path / "claims.csv"
    frame = claims.evaluate(dense_and_ticket(), "paper", None, {"X1": entry(), "X2": entry(id="X2", theirs=None)})
    claims.write(frame, path)
    lines = path.read_text().splitlines()
    assert lines[0] == "claim,paper,statement,theirs,source,ours,low,high,n,unit,scope,profile,device,verdict,q,needs"
    assert lines[1].split(",")[3:9] == ["0.3", "read in the paper", "0.300", "0.289", "0.311", "10"]
    assert lines[2].split(",")[3] == ""
    rows = scorecard.read(path)  # the book's reader
    assert tuple(rows[0]) == tuple(scorecard.COLUMNS) == claims.COLUMNS
    assert scorecard.verdict(rows[0])[0] == "reproduced"


def test_judging_needs_no_torch():
    code = "import sys; from tickets import claims; claims.load(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(claims.__file__).parents[1])})
