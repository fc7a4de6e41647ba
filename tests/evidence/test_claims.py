"""Claims: the registered entries, whole and about cells that are there, and what the grammar refuses."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import tickets
from handmade import ENTRY, NETWORKS, entry, plausible
from tickets import chapters
from tickets.chapters import STUDIES, cells, desk
from tickets.errors import BadInput
from tickets.evidence import claims
from tickets.evidence.asked import filled, parts
from tickets.evidence.claims import CLAIMS
from tickets.evidence.judge import Judge
from tickets.networks import mentioned

PROFILES = tuple(chapters.registered())


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


def test_every_match_has_an_assay_and_every_range_its_end():
    for part in (part for e in claims.load().values() for part in parts(e)):
        assert part["kind"] != "match" or "assay" in part
        assert ("n_max" in part) == ("half_width" in part)
        assert "rungs" not in part or part["end"] in part["rungs"]


def test_every_extension_says_how_many_when_and_why():
    for part in (part for e in claims.load().values() for part in parts(e)):
        for more in part.get("extensions", ()):
            assert set(more) == {"n", "date", "why"}, part["id"]
            assert more["n"] > part["n"]
            assert part["network"].startswith("LeNet")


@pytest.fixture(scope="module")
def judge_of_everything():
    frame = pd.DataFrame([plausible(cell) for study in STUDIES for cell in cells(study, "paper")])
    return Judge(frame, "paper", claims.load(), chapters.networks("paper"))


def test_every_claim_finds_its_cells_in_its_study(judge_of_everything):
    """The study trains what each contrast and anchor names, for as many replicates as a verdict needs."""
    judge = judge_of_everything
    for part in judge.parts.values():
        n = judge.rule(part).verdict.n
        assert n >= part["n"], part["id"]
        if anchor := part.get("anchors"):
            rows = judge.records.at(judge.scene(part, anchor.get("network")), arm="ticket", level=0)
            assert len(rows) >= part["n"], f"anchor of {part['id']}"


def test_every_replicate_that_an_extension_promises_is_in_its_study(judge_of_everything):
    """Else its row waits for ever."""
    judge, short = judge_of_everything, {}
    for part in judge.parts.values():
        n = judge.rule(part).verdict.n
        if n < (promised := max((more["n"] for more in part.get("extensions", ())), default=0)):
            short[part["id"]] = (n, promised)
    assert short == {}


def test_every_assay_finds_its_cells_in_its_study(judge_of_everything):
    judge = judge_of_everything
    for part in judge.parts.values():
        for case in part.get("cases", [{}]) if "plus" in part.get("assay", {}) else []:
            stat = part.get("matching", part["contrast"])["stat"]
            assay = filled({**part["assay"], "stat": stat}, case)
            n = len(judge.records.read(assay, judge.scene(part, case.get("network"))).values)
            assert n >= part["n"], f"assay of {part['id']}"


def test_every_fork_finds_its_cells_in_its_study(judge_of_everything):
    """The two that are checked at another scaling of the pixels have the arms that they compare there."""
    judge = judge_of_everything
    found = {
        part["id"]: judge.rule({**part, "network": network}).verdict.n
        for part in judge.parts.values()
        for network in part.get("forks", {}).values()
    }
    assert found["L1"] >= 6
    assert found["L2a"] >= 6


# the desk

DESK = claims.load(profile="desk")
MARGINS = ("kind", "n", "size", "band", "least", "margin", "two_sided", "end", "rungs", "scope", "headline", "prints")


@pytest.fixture(scope="module")
def desks():
    """Chapter -> a judge of its claims at the desk, on results of all that its own study trains there."""
    return {
        study: Judge(
            pd.DataFrame([plausible(cell) for cell in cells(study, "desk")]),
            "desk", claims.of(study, profile="desk"), chapters.networks("desk"),
        )
        for study in desk.DESKS
    }  # fmt: skip


def test_every_chapter_with_convolutional_networks_asks_something_at_the_desk(desks):
    assert all(judge.parts for judge in desks.values())
    assert {"M1-r20", "M2", "M3", "M4", "L6-conv2", "L7a-conv2", "L8-conv2", "E1-14to20", "T1-resnet20"} <= set(DESK)
    assert not {"M5", "RW1", "L9-conv2", "L11c", "E1", "E7", "E8", "Z6-conv2-value"} & set(DESK)


def test_every_claim_at_the_desk_finds_its_cells_there(desks):
    for study, judge in desks.items():
        claims.check_networks(claims.of(study, profile="desk"), chapters.networks("desk"))
        for part in judge.parts.values():
            assert judge.rule(part).verdict.n == part["n"], part["id"]
            for case in part.get("cases", [{}]) if "assay" in part else []:
                assay = filled({**part["assay"], "stat": part.get("matching", part["contrast"])["stat"]}, case)
                read = judge.records.read(assay, judge.scene(part, case.get("network")))
                assert len(read.values) == part["n"], f"assay of {part['id']}"
            if anchor := part.get("anchors"):
                rows = judge.records.at(judge.scene(part, anchor.get("network")), arm="ticket", level=0)
                assert len(rows) == part["n"], f"anchor of {part['id']}"


def test_margins_at_the_desk_are_those_at_the_paper_s_scale():
    """Levels and steps may differ, and the anchor must."""
    whole = {part["id"]: part for e in claims.load().values() for part in parts(e)}
    for ours in (part for e in DESK.values() for part in parts(e)):
        theirs = whole[ours["id"]]
        assert {name: ours.get(name) for name in MARGINS} == {name: theirs.get(name) for name in MARGINS}
        if anchor := ours.get("anchors"):
            assert anchor["band"] != theirs["anchors"]["band"]
            assert anchor["band"][1] - anchor["band"][0] == 4
        assert ours["theirs"] in (theirs["theirs"], None)


# networks and steps


@pytest.mark.parametrize("profile", PROFILES)
def test_every_network_and_every_step_is_there(profile):
    """Of a profile that lacks a claim's network the claim is not judged; of the paper's nothing is lacking."""
    networks = chapters.networks(profile)
    entries = claims.load(profile=profile)
    here = {name: e for name, e in entries.items() if e["network"] in networks[e["study"]].cells}
    assert len(here) == len(entries) if profile == "paper" else len(here) > 20
    claims.check_networks(here, networks)
    for e in here.values():
        own = networks[e["study"]]
        for name in mentioned(e):
            assert all(0 <= own.step(name, k) < own.cells[name].steps for k in steps(e)), (e["id"], name)


def steps(value, key=""):
    """Every rewind step that an entry names, wherever it stands."""
    if isinstance(value, dict):
        return [k for name, part in value.items() for k in steps(part, name if name in ("rewind", "by") else key)]
    if isinstance(value, list):
        return [k for part in value for k in steps(part, key)]
    return [value] if key == "rewind" and value not in ("rung", "case") else []


def test_steps_of_entries_are_found():
    """As names in the entries: the number a name means is the network's business."""
    entries = claims.load()
    assert set(steps(entries["M2"])) == {0, "k1000"}
    assert set(steps(entries["RW2"])) == {"k500", "k2000", "k8000", "k25000"}
    found = set(steps(list(entries.values()))) - {0}
    assert found == {"k100", "k500", "k1000", "k2000", "k8000", "k25000", "k6012", "epoch", "k"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "LeNet-5"}, "unknown network of claim X1 'LeNet-5'"),
        ({"forks": {"inputs": "LeNet, other pixels"}}, "'LeNet, other pixels'"),
        ({"anchors": {"stat": "test_accuracy_end", "band": [97, 99], "network": "LeNet-5"}}, "'LeNet-5'"),
        ({"contrast": {"stat": "tt", "plus": {"arm": "ticket", "network": {"best": ["LeNet", "No"]}}}}, "'No'"),
        ({"assay": {"plus": {"arm": "ticket", "network": "No"}}}, "'No'"),
        ({"cases": [{"network": "LeNet"}, {"network": "No"}]}, "'No'"),
        ({"rungs": [0, "1000"], "end": 0}, "step '1000' of LeNet"),
        ({"rungs": [0, "k1000"], "end": "late"}, "step 'late' of LeNet"),
    ],
)
def test_networks_and_steps_that_are_not_there(changes, message):
    claims.check_networks({"X1": entry()}, NETWORKS["paper"])
    with pytest.raises(BadInput, match=message):
        claims.check_networks({"X1": entry(**changes)}, NETWORKS["paper"])


# profiles


def test_the_quick_profile_judges_the_paper_s_entries():
    """Word for word, but for the draws of reinitialized tickets, of which it trains one."""
    paper, quick = (claims.load(profile=profile) for profile in ("paper", "quick"))
    changed = {name: (paper[name], quick[name]) for name in paper if paper[name] != quick[name]}
    assert set(changed) == {"L4a", "L4b", "L4b-tt", "L4c"}
    for ours, theirs in changed.values():
        assert [name for name in ours if ours[name] != theirs[name]] == ["contrast"]
        terms = [(ours["contrast"][name], theirs["contrast"][name]) for name in ("plus", "minus")]
        (one, other) = next(pair for pair in terms if pair[0] != pair[1])
        assert one | {"draw": [1]} == other
        assert one["draw"] == [1, 2, 3]


def test_a_value_by_profile_has_one_for_the_paper(tmp_path):
    """It stands in for the profiles that are not listed."""
    path = tmp_path / "claims.yml"
    text = CLAIMS.read_text(encoding="utf-8")
    path.write_text(text.replace("draw: {paper: [1, 2, 3], quick: [1]}", "draw: {quick: [1]}"))
    for profile in PROFILES:
        with pytest.raises(BadInput, match="paper"):
            claims.load(path, profile)


def test_claims_of_a_chapter():
    each = [claims.of(study, profile="quick") for study in STUDIES]
    assert [{e["study"] for e in own.values()} for own in each] == [{study} for study in STUDIES]
    assert {name: e for own in each for name, e in own.items()} == claims.load(profile="quick")


# the grammar

OWN = {"source": "our own question"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "feeling"}, "unknown kind"),
        ({"colour": "red"}, "unknown field of claim X1 'colour'"),
        ({"setting": {"model": "conv-2"}}, "unknown field of claim X1 'setting'"),
        ({"source": "hearsay"}, "unknown source"),
        ({"size": None}, "needs size or band or least"),
        ({"kind": "match", "margin": 0.1}, "needs assay"),
        ({"contrast": {"stat": "tt", "plus": {"arm": "ticket", "modle": "conv-2"}}}, "unknown term field"),
        ({"contrast": {"stat": "tt", "plus": {"arm": "ticket", "model": "conv-2"}}}, "unknown term field"),
        (
            {"contrast": {"stat": "tt", "plus": {"arm": "ticket", "sigma": 0.5}}},
            "unknown term field of claim X1 'sigma'",
        ),
        ({"contrast": {"stat": "test_accuracy", "plus": {"arm": "tickets"}}}, "unknown arm"),
        ({"contrast": {"plus": {"arm": "ticket"}}}, "no stat"),
        ({"contrast": {"stat": "test_accuracy", "times": {"arm": "ticket"}}}, "unknown contrast field"),
        ({"cases": [{}], "matching": {"stat": "test_accuracy", "plus": {"arm": "tickets"}}}, "unknown arm"),
        ({"prints": "loud"}, "unknown prints"),
        ({"kind": "regions"}, "needs regions"),
        (OWN | {"kind": "regions", "regions": [["one", None]]}, "at least two"),
        (OWN | {"kind": "regions", "regions": [["one", 0.1], ["two", 0.5]]}, "last end null"),
        (OWN | {"kind": "regions", "regions": [["one", 0.5], ["two", 0.1], ["three", None]]}, "ascending order"),
        ({"kind": "regions", "regions": [["one", 0.5], ["two", None]]}, "a question of our own"),
    ],
)
def test_bad_entries(changes, message):
    with pytest.raises(BadInput, match=message):
        claims.check(entry(**changes))


def test_a_term_may_name_its_arm_s_own_parameters():
    claims.check(entry(contrast={"stat": "tt", "plus": {"arm": "noise", "sigma": 0.5, "level": 7}}))


def test_missing_and_repeated(tmp_path):
    with pytest.raises(BadInput, match="no estimand"):
        claims.check({name: value for name, value in ENTRY.items() if name != "estimand"})
    text = CLAIMS.read_text(encoding="utf-8")
    twice = tmp_path / "claims.yml"
    twice.write_text(text.replace("id: L2a-mid", "id: L1"))
    with pytest.raises(BadInput, match="claim L1: every claim"):
        claims.load(twice)
    lost = tmp_path / "lost.yml"
    lost.write_text(text.replace("{claim: L11c.gains}", "{claim: L11c.wins}"))
    with pytest.raises(BadInput, match=r"unknown assay of claim L11a 'L11c\.wins'"):
        claims.load(lost)


def test_judging_needs_no_torch():
    code = "import sys; from tickets.evidence import claims; from tickets.book import verdicts; claims.load()"
    lib = str(Path(tickets.__file__).parents[1])
    told = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"],
        check=True, env={"PYTHONPATH": lib}, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert told.stdout == "False\n"
