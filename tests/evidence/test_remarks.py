"""The remarks beside a verdict: what it depends on, what was changed after its runs, what it still needs."""

import numpy as np
import pandas as pd
import pytest
from handmade import (
    DENSE,
    ENTRY,
    JITTER,
    NETWORKS,
    STUDY,
    TICKET,
    dense_and_ticket,
    entry,
    judged,
    row,
    table,
    unsized,
    verdicts_on,
    with_random,
)
from tickets.cells import FIELDS, Cell
from tickets.evidence.claims import entry_hash

HERE = NETWORKS["paper"][STUDY]


def test_forks_that_turn_a_verdict_around():
    claim = entry(forks={"inputs": "LeNet, standardized pixels"})
    same = pd.concat([dense_and_ticket(), dense_and_ticket(0.2, n=6, inputs="standard")])
    other = pd.concat([dense_and_ticket(), dense_and_ticket(-0.3, n=6, inputs="standard")])
    assert judged(claim, same)["verdict"] == "reproduced"
    assert judged(claim, other)["verdict"] == "reproduced (depends on inputs)"
    assert judged(claim, dense_and_ticket())["verdict"] == "reproduced"  # its other value was not run


def test_a_fork_that_decides_what_is_open_says_so():
    claim = entry(forks={"inputs": "LeNet, standardized pixels"})
    open_ = dense_and_ticket().assign(
        test_accuracy=lambda f: 98 + 5 * f["replicate"].mod(2) * (f["level"] > 0) - f["level"] / 3
    )
    assert judged(claim, open_)["verdict"] == "inconclusive"
    for gain in (0.3, -0.3):
        both = pd.concat([open_, dense_and_ticket(gain, n=6, inputs="standard")])
        assert judged(claim, both)["verdict"] == "inconclusive (depends on inputs)"
    assay = {"plus": TICKET, "minus": {"arm": "random", "level": 7}}
    match = entry(forks=claim["forks"], kind="match", margin=0.15, assay=assay)
    both = pd.concat([with_random(0.1), with_random(0.1, inputs="standard")])
    assert judged(match, both)["verdict"].startswith("inconclusive: gate G2")
    assert "depends" not in judged(match, both)["verdict"]  # the same gate is shut there
    undecided = open_.assign(inputs="standard", cell=[cell.but(inputs="standard") for cell in open_["cell"]])
    assert judged(claim, pd.concat([open_, undecided]))["verdict"] == "inconclusive"


def test_a_fork_needs_as_many_replicates_as_the_claim_or_six():
    """And turns nothing around that waits for replicates."""
    forks = {"inputs": "LeNet, standardized pixels"}
    other = lambda n: dense_and_ticket(-0.3, n=n, inputs="standard")  # noqa: E731
    said = lambda n, many: judged(entry(forks=forks, n=n), pd.concat([dense_and_ticket(), other(many)]))["verdict"]  # noqa: E731
    assert [said(5, 4), said(5, 5)] == ["reproduced", "reproduced (depends on inputs)"]
    assert [said(10, 5), said(10, 6)] == ["reproduced", "reproduced (depends on inputs)"]
    few = pd.concat([dense_and_ticket(n=9), dense_and_ticket(inputs="standard")])
    assert judged(entry(forks=forks, n=10), few)["verdict"] == "inconclusive: n = 9 of 10"


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


def test_replicates_that_were_added_are_waited_for():
    """Whatever the verdict; of an analog nothing was added."""
    added = entry(extensions=[{"n": 20, "date": "2026-11-25", "why": "precision"}])
    needs = lambda n: judged(added, dense_and_ticket(n=n))["needs"]  # noqa: E731
    assert needs(4) == "1 more replicate: a laptop"
    assert needs(10) == "10 more of the replicates that were added, to n = 20"
    assert needs(20) == ""
    assert judged(added, dense_and_ticket(steps=5000), "quick")["needs"] == ""


# an average over densities


@pytest.mark.parametrize(
    ("gains", "word", "differs"),
    [
        ((0.3, 0.3), "reproduced", ""),
        ((0.5, 0.2), "reproduced", ""),
        ((0.5, -0.1), "reproduced", "rung 15 alone says contradicted, -0.1 [-0.111, -0.0893]"),
        ((0.3, 0.0), "partly: smaller than claimed", "rung 15 alone says not reproduced, 0 [-0.0107, 0.0107]"),
        ((0.3, -0.3), "not reproduced", "rung 7 alone says reproduced, 0.3 [0.289, 0.311]"),
    ],
)
def test_a_density_that_decides_otherwise_than_the_average_over_them_is_named(gains, word, differs):
    mark = f" (densities differ: {differs})" if differs else ""
    assert judged(averaged(), two_rungs(*gains))["verdict"] == word + mark


def test_where_the_average_is_open_densities_are_named_that_contradict_each_other():
    noise = lambda r: 2 * (r % 2) - 1  # noqa: E731, at both rungs, so that an average does not get rid of it
    assert (
        judged(averaged(), two_rungs(lambda r: 0.2 + noise(r), lambda r: 0.2 + noise(r)))["verdict"] == "inconclusive"
    )
    found = judged(averaged(), two_rungs(lambda r: 0.55 + 0.5 * noise(r), lambda r: -0.35 + 0.1 * noise(r)))["verdict"]
    assert found.startswith("inconclusive (densities differ: rung 7 alone says ")
    one = judged(averaged(), two_rungs(0.3, lambda r: 3 * noise(r)))["verdict"]
    assert one == "inconclusive"  # one density decides, the other is open: they contradict each other in nothing
    assert ", and rung 15 alone says contradicted" in found


def test_a_density_that_is_open_is_not_named():
    assert judged(averaged(), two_rungs(1.0, lambda r: 0.1 + 0.3 * (-1) ** r))["verdict"] == "reproduced"


def averaged():
    contrast = {
        "stat": "test_accuracy",
        "plus": {"arm": "ticket", "level": [7, 15]},
        "minus": {"arm": "ticket", "level": 0},
    }
    return entry(contrast=contrast)


def two_rungs(one, other):
    """Dense networks of 98 % and tickets that gain so much at rungs 7 and 15, or a function of the replicate."""
    gained = lambda gain: gain if callable(gain) else lambda r: gain + JITTER[r % 10]  # noqa: E731
    accuracy = {0: 98.0, 7: lambda r: 98.0 + gained(one)(r), 15: lambda r: 98.0 + gained(other)(r)}
    return table({("ticket", level): {"test_accuracy": value} for level, value in accuracy.items()})


# the second order of the dense network (A/A)


def second_order(gain, n=10):
    """Dense networks of 98 % and tickets that gain 0.3; over the second order of the dense networks, `gain`."""
    again = [row(Cell(replicate=r, order=1), test_accuracy=98.3 - gain) for r in range(n)]
    return pd.concat([dense_and_ticket(), pd.DataFrame(again)])


@pytest.mark.parametrize(
    ("gain", "mark"),
    [
        (0.2, ""),
        (0.05, " (fragile (A/A): with its second order partly, 0.05 [0.0393, 0.0607])"),
        (-0.2, " (fragile (A/A): with its second order contradicted, -0.2 [-0.211, -0.189])"),
    ],
)
def test_a_word_that_hangs_on_the_order_of_the_dense_network_says_so(gain, mark):
    """With the alternative; a number that changes and leaves the word alone is no reason."""
    found = judged(entry(), second_order(gain))
    assert found["verdict"] == f"reproduced{mark}"
    assert found["ours"] == pytest.approx(0.3)


def test_a_word_that_is_open_and_would_not_be_with_the_other_order_says_so():
    again = pd.DataFrame([row(Cell(replicate=r, order=1), test_accuracy=97.7 + JITTER[r]) for r in range(10)])
    noisy = dense_and_ticket(0.2)
    noisy = noisy.assign(
        test_accuracy=noisy["test_accuracy"] + np.where(noisy["level"] == 0, 2.0 * (-1.0) ** noisy["replicate"], 0)
    )
    found = judged(entry(), pd.concat([noisy, again]))["verdict"]
    assert found.startswith("inconclusive (fragile (A/A): with its second order reproduced")


def test_nothing_is_said_of_second_orders_that_are_not_all_there():
    assert judged(entry(), second_order(-0.2, n=4))["verdict"] == "reproduced"
    assert "fragile (A/A)" in judged(entry(), second_order(-0.2, n=5))["verdict"]


def test_only_what_is_compared_with_the_dense_network_is_asked():
    """A contrast of two tickets is not, unless it is timed against the dense network's loss."""
    other = table({("reinit", 7): {"test_accuracy": 98.0}}, draw=1)
    beside = entry(contrast={"stat": "test_accuracy", "plus": TICKET, "minus": {"arm": "reinit", "level": 7}})
    assert judged(beside, pd.concat([second_order(-0.2), other]))["verdict"] == "reproduced"
    ends = {Cell(): (4000, 0.1), Cell(order=1): (4000, 0.6), Cell(level=7): (200, 0.1)}
    ends[Cell(arm="reinit", level=7, draw=1)] = (4000, 0.1)
    rows = [
        row(cell.but(replicate=r), best_step=[100, step], best_loss=[0.6, loss])
        for r in range(10)
        for cell, (step, loss) in ends.items()
    ]
    timed = {"stat": "tt", "log": True, "plus": {"arm": "reinit", "level": 7}, "minus": TICKET}
    verdict = judged(entry(contrast=timed, prints="ratio", size=10), pd.DataFrame(rows))["verdict"]
    assert verdict.startswith("reproduced (fragile (A/A): with its second order not reproduced, 1 [1, 1]")


def test_a_range_that_hangs_on_the_order_of_the_dense_network_says_so():
    """What is printed is the last rung that holds; one that fails from the start has no number."""
    contrast = {"stat": "test_accuracy", "plus": {"arm": "ticket", "level": "rung"}, "minus": DENSE}
    claim = unsized(kind="range", contrast=contrast, rungs=[7], end=7, least=0.1)
    assert "with its second order contradicted)" in judged(claim, second_order(-0.2))["verdict"]
    assert "A/A" not in judged(claim, second_order(0.2))["verdict"]


# parts of a compound claim


def test_marks_of_parts_say_whose_they_are_but_for_those_of_all():
    """Steps that were not reached, at rungs in their order; that records are older once, whichever part has them."""
    steps = {"id": "X1.steps", "contrast": {"stat": "tt", "minus": {"arm": "ticket", "level": [8, 7]}, "plus": DENSE}}
    gains = {"id": "X1.gains", "contrast": ENTRY["contrast"], "size": 0.3}
    whole = unsized(parts=[{"kind": "effect", "least": -1e6, **steps}, {"kind": "effect", **gains}])
    whole = {name: value for name, value in whole.items() if name not in ("kind", "contrast")}
    curves = {7: [0.9, 0.5], 8: [0.9, 0.1]}
    rows = [
        row(Cell(replicate=r, level=level), test_accuracy=98 + 0.3 * (level == 7) + JITTER[r], best_loss=loss)
        for r in range(10)
        for level, loss in ((8, [0.9, 0.5]), (0, [0.5, 0.1]), (7, curves[8 if r else 7]))
    ]
    frame = pd.DataFrame(rows)
    registrations = {"then": {"X1": "another"}}
    found = verdicts_on({"X1": whole}, frame, registrations=registrations)["verdict"]
    assert found[1].endswith("(post hoc; 11 of 30 steps censored, rungs 7, 8)")
    assert found[2] == "reproduced (post hoc)"
    assert found[0].endswith("(post hoc; X1.steps 11 of 30 steps censored, rungs 7, 8)")


# changed after its runs


def in_two_wordings(new, old=0.3, first=5, **changes):
    """Ten replicates of a claim: the first were made under another wording, and gain `old`; the others gain `new`."""
    frame = dense_and_ticket(old)
    later = frame["replicate"] >= first
    frame.loc[later & (frame["level"] == 7), "test_accuracy"] += new - old
    frame = frame.assign(registration=np.where(later, "now", "then"))
    registrations = {"then": {"X1": "another"}, "now": {"X1": entry_hash(entry(**changes), HERE)}}
    return judged(entry(**changes), frame, registrations=registrations)["verdict"]


@pytest.mark.parametrize("n", [5, 10])
def test_beside_what_was_changed_after_its_runs_stands_what_was_registered(n):
    """Five replicates decide alone, though the claim asks for ten."""
    said = in_two_wordings(0.3, n=n)
    assert said == "reproduced (post hoc: the 5 registered replicates alone say reproduced, 0.298 [0.28, 0.316])"
    said = in_two_wordings(-0.3, old=1.0, n=n)
    assert said == "inconclusive (post hoc: the 5 registered replicates alone say contradicted, -0.302 [-0.32, -0.284])"


def test_fewer_registered_replicates_do_not_decide_and_all_need_no_remark():
    assert "the 3 registered replicates alone say inconclusive, 0.3" in in_two_wordings(0.3, first=7)
    assert in_two_wordings(0.3, first=10) == "reproduced (post hoc)"
    assert in_two_wordings(0.3, first=0) == "reproduced"


def test_a_replicate_with_one_record_from_before_is_no_registered_one():
    frame = dense_and_ticket()
    made = np.where((frame["replicate"] >= 4) | (frame["level"] == 0), "now", "then")
    now = {"X1": entry_hash(entry(), HERE)}
    verdict = judged(entry(), frame.assign(registration=made), registrations={"now": now})["verdict"]
    assert "the 6 registered replicates alone" in verdict


def test_networks_of_an_earlier_chapter_are_no_afterthought():
    """Made before there was the claim, beside something that was not: the outcome was open. Made under another, not."""
    now, frame = {"X1": entry_hash(entry(), HERE)}, dense_and_ticket()

    def said(older, wording):
        made = frame.assign(registration=np.where(older, "then", "now"))
        return judged(entry(), made, registrations={"now": now, "then": wording})["verdict"]

    dense = frame["level"] == 0
    assert said(dense, {"Y1": "other"}) == "reproduced (with records older than the claim)"
    assert said(dense, {"X1": "another"}) == "reproduced (post hoc)"
    assert said(dense | (frame["replicate"] == 3), {"Y1": "other"}) == "reproduced (post hoc)"
    assert said(frame["level"] >= 0, {"Y1": "other"}) == "reproduced (post hoc)"
    assert said(frame["level"] < 0, {"Y1": "other"}) == "reproduced"


def test_what_is_measured_on_networks_is_as_old_as_these():
    """The anatomy of tickets, measured today on dense networks that were trained before the claim was changed."""
    claim = entry(contrast={"stat": "grew_1", "plus": {"arm": "anatomy", "level": 7}}, size=0.1)
    cells = [Cell(order=1), Cell(level=7), Cell(arm="anatomy", level=7)]
    rows = [row(cell.but(replicate=r), grew_1=0.1 + JITTER[r]) for r in range(10) for cell in cells]
    frame, registrations = pd.DataFrame(rows), {"now": {"X1": entry_hash(claim, HERE)}}
    for arm, order, said in (("anatomy", 0, "reproduced (post hoc"), ("ticket", 1, "reproduced (post hoc")):
        old = (frame["arm"] == arm) & (frame["order"] == order) & (frame["replicate"] < 2)
        verdict = judged(claim, frame.assign(registration=np.where(old, "then", "now")), registrations=registrations)
        assert verdict["verdict"].startswith(f"{said}: the 8 registered replicates alone say reproduced")
    assert judged(claim, frame.assign(registration="now"), registrations=registrations)["verdict"] == "reproduced"
