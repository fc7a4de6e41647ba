"""Estimands: contrasts read from hand-made tables, one number a replicate."""

import numpy as np
import pandas as pd
import pytest
from handmade import DENSE, ENTRY, JITTER, NETWORKS, STUDY, TICKET, dense_and_ticket, judged, read, row, scene, table
from handmade import entry as an_entry
from tickets.cells import Cell
from tickets.errors import BadInput
from tickets.evidence.contrasts import Records
from tickets.networks import Networks, Scene


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
    reading = Records(frame).read(ENTRY["contrast"], scene())
    assert sorted(reading.values.index) == [0, 1, 2, 5]
    assert set(reading.rows["replicate"]) == {0, 1, 2, 5}
    found = judged(an_entry(), frame)
    assert (found["n"], found["verdict"]) == (4, "inconclusive: n = 4 of 5")
    assert found["needs"] == "1 more replicate: a laptop"


@pytest.mark.parametrize(
    "terms",
    [
        {"plus": {"arm": "ticket", "level": 9}},
        {"plus": {"arm": "ticket", "level": [7, 9]}, "minus": DENSE},
        {"plus": TICKET, "minus": {"arm": "reinit", "level": 7}},
        {"slope": {"arm": "ticket", "level": [0, 7, 9]}},
        {"constant": 2, "minus": {"arm": "ticket", "level": 9}},
    ],
    ids=["alone", "one of a mean", "a side", "one of a slope", "below a threshold"],
)
def test_where_one_network_has_no_record_there_is_nothing(terms):
    """No number of any replicate, and no row of those networks that are there: they would be told as what was read."""
    reading = Records(dense_and_ticket()).read({"stat": "test_accuracy", **terms}, scene())
    assert len(reading.values) == len(reading.rows) == 0
    assert len(reading.on([0, 1]).values) == 0


def test_only_the_named_network_counts():
    """Other input scalings, learning rates, budgets and data orders in the same table are other experiments."""
    others = [
        dense_and_ticket(5, inputs="standard"),
        dense_and_ticket(5, learning_rate=0.1),
        dense_and_ticket(5, steps=5000),
        dense_and_ticket(5, order=1),
    ]
    frame = pd.concat([dense_and_ticket(), *others])
    assert judged(an_entry(), frame)["ours"] == pytest.approx(0.3)
    assert judged(an_entry(network="LeNet, standardized pixels"), frame)["ours"] == pytest.approx(5)


def test_own_parameters_select():
    """A term that does not name its arm's own parameter means the default."""
    sigmas = {0.0: 0.1, 0.5: 0.5, 3: 3.0}
    rows = [
        row(Cell(arm="noise", level=7, replicate=r, own={"sigma": sigma}), test_accuracy=lost)
        for r in range(2)
        for sigma, lost in sigmas.items()
    ]
    frame = pd.DataFrame(rows)
    for sigma, lost in sigmas.items():
        noisy = {"stat": "test_accuracy", "plus": {"arm": "noise", "level": 7, "sigma": sigma}}
        assert read(frame, noisy).to_dict() == {0: lost, 1: lost}
    assert set(read(frame, {"stat": "test_accuracy", "plus": {"arm": "noise", "level": 7}})) == {0.1}


def test_a_constant_is_added_once():
    frame = table({("chord", 15): {"barrier_test": lambda r: 0.5 + JITTER[r]}})
    below = {"stat": "barrier_test", "constant": 2, "minus": {"arm": "chord", "level": 15}}
    assert read(frame, below).to_numpy() == pytest.approx(1.5 - JITTER)
    above = {"stat": "barrier_test", "constant": -2, "plus": {"arm": "chord", "level": 15}}
    assert read(frame, above).to_numpy() == pytest.approx(JITTER - 1.5)


def test_the_dense_network_is_one_for_all_rewind_steps_and_a_measurement_is_not():
    cells = [Cell(), Cell(order=1, rewind=500), Cell(arm="chord", rewind=500), Cell(arm="chord")]
    records = Records(pd.DataFrame([row(cell) for cell in cells]))
    found = lambda **fields: records.table["cell"][records.at(scene(), **fields)].tolist()  # noqa: E731
    assert found(arm="ticket", level=0, rewind=500) == found(arm="random", rewind=1000) == [cells[0]]
    assert found(arm="noise", level=0, sigma=0.5) == [cells[0]]
    assert found(arm="ticket", level=0, rewind=500, order=1) == [cells[1]]
    assert found(arm="chord", level=0, rewind=500) == found(arm="chord", level=0, rewind="k500") == [cells[2]]
    assert found(arm="chord", level=0) == [cells[3]]
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


def test_the_best_of_networks_and_of_named_steps():
    """A term picks among networks of the study, or among steps by their names, as it picks among levels."""
    frames = [
        dense_and_ticket(gain, **fields).assign(validation_accuracy=validated)
        for gain, validated, fields in ((0.3, 97, {}), (0.5, 99, {"inputs": "standard"}), (0.9, 98, {"steps": 6000}))
    ]
    best = {"best": ["LeNet", "LeNet, standardized pixels", "LeNet, 6000 steps"], "by": "validation_accuracy"}
    contrast = {"stat": "test_accuracy", "plus": {**TICKET, "network": best}, "minus": DENSE}
    assert read(pd.concat(frames), contrast).mean() == pytest.approx(0.5 + JITTER.mean())
    rows = [
        row(Cell(level=8, rewind=k, replicate=r), test_accuracy=lost, validation_accuracy=validated)
        for r in range(2)
        for k, lost, validated in ((500, 0.5, 97), (2000, 2.0, 99), (8000, 8.0, 98))
    ]
    late = {"arm": "ticket", "level": 8, "rewind": {"best": ["k500", "k2000", "k8000"], "by": "validation_accuracy"}}
    assert set(read(pd.DataFrame(rows), {"stat": "test_accuracy", "plus": late})) == {2.0}


def test_a_worst_case_is_read_with_a_wider_interval():
    frame = table({("ticket", k): {"test_accuracy": lambda r, k=k: 98 - k + JITTER[r]} for k in (1, 2, 3)})
    worst = {"stat": "test_accuracy", "plus": {"arm": "ticket", "level": {"worst": [1, 2, 3], "by": "test_accuracy"}}}
    reading = Records(frame).read(worst, scene())
    assert reading.values.mean() == pytest.approx(95)
    assert reading.tried == 3
    partial = frame[(frame["level"] < 3) | (frame["replicate"] < 4)]
    assert len(read(partial, worst)) == 4  # only where all rungs are there to choose from


def test_a_choice_is_made_where_every_value_is_there():
    """A rung that half the replicates lack is neither the best for that, nor chosen on the half that has it."""
    gains = {1: 0.0, 2: 2.0, 3: 1.0}
    frame = table({("ticket", k): {"test_accuracy": lambda r, k=k: 98 + gains[k] + JITTER[r]} for k in gains})
    frame.loc[(frame["level"] == 3) & (frame["replicate"] < 4), "test_accuracy"] += 0.5
    partial = frame[(frame["level"] < 3) | (frame["replicate"] < 4)]
    best = {"arm": "ticket", "level": {"best": [1, 2, 3], "by": "test_accuracy"}}
    reading = Records(partial).read({"stat": "test_accuracy", "plus": best}, scene())
    assert reading.picked == "level 2"
    assert reading.values.to_dict() == {r: pytest.approx(100 + JITTER[r]) for r in range(4)}


def test_the_values_tried_count_whatever_chose_among_them():
    """Another statistic of the same networks chooses too; choices of both terms multiply."""
    results = lambda k: {"test_accuracy": lambda r: 98.0 + JITTER[r], "validation_accuracy": 97.0 + k}  # noqa: E731
    frame = table({("ticket", k): results(k) for k in (0, 5, 6, 7)})
    best = {"arm": "ticket", "level": {"best": [5, 6, 7], "by": "validation_accuracy"}}
    worst = {"arm": "ticket", "level": {"worst": [5, 6], "by": "validation_accuracy"}}
    records = Records(frame)
    tried = lambda **terms: records.read({"stat": "test_accuracy", **terms}, scene()).tried  # noqa: E731
    assert tried(plus=best, minus=DENSE) == 3
    assert tried(plus=best, minus=worst) == 6
    assert tried(plus=TICKET, minus=DENSE) == 1


def test_time_to_loss_and_what_is_not_reached():
    """Goal: 1.05 x the replicate's dense minimum. A network that never gets there counts with its whole budget."""
    curves = {
        ("ticket", 0): {"best_step": [100, 900], "best_loss": [0.9, 0.20]},
        ("ticket", 7): {"best_step": [100, 300, 400], "best_loss": [0.8, 0.21, 0.19]},
        ("ticket", 8): {"best_step": [100, 200], "best_loss": [0.9, 0.22]},
    }
    records = Records(table(curves))
    reached = records.read({"stat": "tt", "plus": TICKET}, scene())
    assert set(reached.values) == {300}
    assert not reached.rows["censored"].any()
    missed = records.read({"stat": "tt", "plus": {"arm": "ticket", "level": 8}}, scene())
    assert set(missed.values) == {50_000}
    assert missed.rows["censored"].all()
    alone = Records(records.table[records.table["level"] > 0])
    assert alone.read({"stat": "tt", "plus": TICKET}, scene()).values.empty  # without a dense network there is no goal


def test_a_diverged_network_is_an_outcome():
    frame = dense_and_ticket()
    lost = (frame["replicate"] == 0) & (frame["level"] == 7)
    frame.loc[lost, ["diverged", "test_accuracy", "early_stop_step"]] = [True, 9.8, 200]
    found = judged(an_entry(), frame)
    assert found["n"] == 10
    assert "1 of 20 diverged" in found["verdict"]
    steps = read(frame, {"stat": "early_stop_step", "plus": TICKET})
    assert steps[0] == 50_000


def test_an_early_stop_at_the_end_of_the_budget_is_censored():
    frame = dense_and_ticket()
    ticket = frame["level"] == 7
    frame.loc[ticket, "early_stop_step"] = [47_500 if r else 47_600 for r in frame.loc[ticket, "replicate"]]
    rows = Records(frame).read({"stat": "early_stop_step", "plus": TICKET}, scene()).rows
    assert rows["censored"].to_list() == [r == 0 for r in rows["replicate"]]
    rows = Records(frame).read({"stat": "steps", "plus": TICKET}, scene()).rows  # no step of its own
    assert set(rows["value"]) == {50_000}
    assert not rows["censored"].any()


def test_what_diverged_keeps_its_accuracy():
    frame = dense_and_ticket()
    frame["diverged"] = frame["diverged"].astype(object)
    frame.loc[(frame["replicate"] == 0) & (frame["level"] == 7), ["diverged", "test_accuracy"]] = [True, 9.8]
    read_ = Records(frame).read({"stat": "test_accuracy", "plus": TICKET}, scene())
    assert read_.values[0] == 9.8
    assert not read_.rows["censored"].any()


def test_unknown_statistic():
    with pytest.raises(BadInput, match="statistic 'luck'"):
        read(dense_and_ticket(), {"stat": "luck", "plus": TICKET})


def test_weights_make_up_the_contrast():
    random = table({("random", 7): {"test_accuracy": lambda r: 97.0 + JITTER[r]}})
    frame = pd.concat([dense_and_ticket(0.0), random])
    contrast = {"stat": "test_accuracy", "plus": TICKET, "minus": {"arm": ["random", "ticket"], "level": 7}}
    reading = Records(frame).read(contrast, scene())
    total = (reading.rows["weight"] * reading.rows["value"]).groupby(reading.rows["replicate"]).sum()
    assert total.to_numpy() == pytest.approx(reading.values.to_numpy())


def test_draws_share_the_weight_of_their_replicate():
    rows = [row(Cell(replicate=r), test_accuracy=90.0) for r in (0, 1)]
    draws = {0: (1, 2, 3), 1: (1,)}
    rows += [
        row(Cell(arm="reinit", level=7, replicate=r, draw=draw), test_accuracy=91.0 + draw + r)
        for r, own in draws.items()
        for draw in own
    ]
    contrast = {"stat": "test_accuracy", "plus": {"arm": "reinit", "level": 7}, "minus": DENSE}
    reading = Records(pd.DataFrame(rows)).read(contrast, scene())
    assert reading.values.to_dict() == {0: pytest.approx(3), 1: pytest.approx(3)}
    weights = reading.rows.loc[reading.rows["arm"] == "reinit", ["replicate", "weight"]]
    assert weights["weight"].to_numpy() == pytest.approx([1 / len(draws[r]) for r in weights["replicate"]])


# the second order of the data


def test_the_dense_network_and_its_second_order_can_be_exchanged():
    """Only these two: a third order, copies from a rewind step and second copies of tickets stay what they are."""
    cells = [Cell(), Cell(order=1), Cell(order=2), Cell(order=1, rewind=500), Cell(level=7), Cell(level=7, order=1)]
    frame = pd.DataFrame([row(cell) for cell in cells])
    plain, twin = Records(frame), Records(frame, twin=True)
    found = lambda records, **fields: records.table["cell"][records.at(scene(), **fields)].tolist()  # noqa: E731
    asked = [{"level": 0, "order": order} for order in (0, 1, 2)]
    asked += [{"level": 0, "order": 1, "rewind": 500}, {"level": 7}, {"level": 7, "order": 1}]
    assert [found(plain, **fields) for fields in asked] == [[cell] for cell in cells]
    one, other, *rest = cells
    assert [found(twin, **fields) for fields in asked] == [[cell] for cell in (other, one, *rest)]
    assert found(twin, arm="reinit", level=0) == [other]


def test_the_goal_of_a_time_to_loss_is_exchanged_too():
    """A ticket is timed against the loss of the dense network that it is compared with."""
    curves = {"best_step": [100, 300, 400], "best_loss": [0.9, 0.5, 0.2]}
    rows = [row(cell, **curves) for cell in (Cell(level=7), Cell())]
    frame = pd.DataFrame([*rows, row(Cell(order=1), best_step=[100], best_loss=[0.5])])
    timed = {"stat": "tt", "plus": TICKET}
    reached = [Records(frame, twin=twin).read(timed, scene()).values.tolist() for twin in (False, True)]
    assert reached == [[400], [300]]


# networks


def test_a_term_that_names_another_network_is_read_there():
    frame = pd.concat([dense_and_ticket(0.3), dense_and_ticket(0.8, inputs="standard")])
    there = {"network": "LeNet, standardized pixels"}
    contrast = {"stat": "test_accuracy", "plus": {**TICKET, **there}, "minus": TICKET}
    assert read(frame, contrast).to_numpy() == pytest.approx(0.5)
    rows = Records(frame).read(contrast, scene()).rows
    found = {(cell.inputs, weight > 0) for cell, weight in zip(rows["cell"], rows["weight"], strict=True)}
    assert found == {("standard", True), ("unit", False)}


def test_a_network_that_a_profile_lacks_gives_no_rows():
    """Neither to a claim at it, nor to one whose term names it; a claim at it was not run, whatever is recorded."""
    frame = pd.concat([dense_and_ticket(steps=5000), dense_and_ticket(steps=5000, inputs="standard")])
    records = Records(frame)
    assert not len(records.at(scene("LeNet, standardized pixels", "quick"), level=0))
    there = {**TICKET, "network": "LeNet, standardized pixels"}
    assert records.read({"stat": "test_accuracy", "plus": there}, scene(profile="quick")).values.empty
    beside = {"stat": "test_accuracy", "plus": TICKET, "minus": there}
    assert records.read(beside, scene(profile="quick")).values.empty
    assert len(records.read(ENTRY["contrast"], scene(profile="quick")).values) == 10


def test_a_named_step_is_the_network_s_own():
    """Where a network says that k1000 is another step, terms at it are read there."""
    rows = [
        row(Cell(level=7, rewind=k, replicate=r, **fields), test_accuracy_end=k / 1000)
        for r in range(2)
        for k in (50, 1000)
        for fields in ({}, {"inputs": "standard"})
    ]
    networks = Networks(NETWORKS["paper"][STUDY].cells, {"LeNet, standardized pixels": {"k1000": 50}})
    rewound = {"stat": "test_accuracy_end", "plus": {**TICKET, "rewind": "k1000"}}
    records = Records(pd.DataFrame(rows))
    for name, found in (("LeNet", 1), ("LeNet, standardized pixels", 0.05)):
        assert set(records.read(rewound, Scene(networks, name)).values) == {found}
