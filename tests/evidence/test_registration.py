"""Registration: what the hash of a claim covers, by profile, and what a record made under another wording is called."""

import copy
from collections import defaultdict
from dataclasses import replace

import pandas as pd
import pytest
import yaml
from handmade import ENTRY, NETWORKS, STUDY, dense_and_ticket, entry, judged, plausible
from tickets import cells, chapters
from tickets.cells import Cell
from tickets.evidence import claims, several, verdicts
from tickets.evidence.asked import parts
from tickets.evidence.claims import at_profile, entry_hash, hashes, standing
from tickets.evidence.contrasts import Records
from tickets.evidence.judge import Judge
from tickets.files import digest
from tickets.networks import Networks, mentioned

HERE = NETWORKS["paper"][STUDY]


def changed_network(profiles, profile, study, name, cell):
    """The same profiles, but that one network of one study is another cell at one of them."""
    found = copy.copy(profiles)
    networks = profiles[profile][study]
    found[profile] = {**profiles[profile], study: replace(networks, cells={**networks.cells, name: cell})}
    return found


def differing(before, after):
    assert set(before) == set(after)
    return {name for name in before if before[name] != after[name]}


# the wording


def test_registration_follows_the_entry():
    now = entry_hash(entry(), HERE)
    assert len(now) == 12
    assert now == entry_hash(entry(needs="a cluster"), HERE)
    assert now != entry_hash(entry(size=0.2), HERE)
    changed = entry()
    changed["contrast"]["plus"]["level"] = 8
    assert now != entry_hash(changed, HERE)


def test_every_field_is_hashed_but_those_that_change_nothing_that_is_judged():
    now = entry_hash(entry(), HERE)
    for name in ENTRY:
        assert (entry_hash(entry(**{name: "other"}), HERE) == now) == (name == "needs"), name
    assert entry_hash(entry(extensions=[{"n": 20, "date": "2026-11-25", "why": "precision"}]), HERE) == now
    assert entry_hash(entry(forks={}), HERE) != now
    assert entry_hash(entry(in_full="The statement, written out."), HERE) == now
    assert set(claims.UNHASHED) == {"needs", "extensions", "in_full"}


def written(path, **changes):
    path.write_text(yaml.safe_dump({"claims": [entry(**changes)]}))
    return path


def test_values_by_profile_are_resolved_before_hashing(tmp_path):
    """A change of the quick value is a new wording there, and leaves the paper's alone; and the other way round."""

    def draws(drawn):
        return {"contrast": {**ENTRY["contrast"], "minus": {"arm": "reinit", "level": 7, "draw": drawn}}}

    found = {
        name: hashes(NETWORKS, written(tmp_path / f"{name}.yml", **draws({"paper": paper, "quick": quick})))
        for name, paper, quick in (("now", [1, 2], [1]), ("quick", [1, 2], [2]), ("paper", [1, 2, 3], [1]))
    }
    assert set(found["now"]) == {"X1", "X1@quick"}
    assert differing(found["now"], found["quick"]) == {"X1@quick"}
    assert differing(found["now"], found["paper"]) == {"X1"}
    plain = hashes(NETWORKS, written(tmp_path / "plain.yml", **draws([1, 2])))
    assert plain["X1"] == found["now"]["X1"]


def test_a_value_that_a_profile_does_not_list_is_the_paper_s():
    given = {"n": {"paper": 5, "quick": 3}, "cases": [{"network": {"paper": "LeNet"}}], "forks": {}, "theirs": None}
    assert at_profile(given, "quick") == {"n": 3, "cases": [{"network": "LeNet"}], "forks": {}, "theirs": None}
    assert at_profile(given, "paper")["n"] == at_profile(given, "smoke")["n"] == 5


def test_the_desk_has_the_claims_that_say_what_they_need_there(tmp_path):
    path = tmp_path / "claims.yml"
    needs = {"paper": "a GPU", "desk": "a night"}
    asked = [entry(), entry(id="X2", needs=needs), entry(id="X3", needs=needs, n={"paper": 10, "desk": 6})]
    path.write_text(yaml.safe_dump({"claims": asked}))
    assert [(e["id"], e["needs"], e["n"]) for e in standing("desk", path)] == [
        ("X2", "a night", 5),
        ("X3", "a night", 6),
    ]
    for profile in ("paper", "quick"):
        assert [(e["id"], e["n"]) for e in standing(profile, path)] == [("X1", 5), ("X2", 5), ("X3", 10)]
    each = {f"X{i}{at}" for i in (1, 2, 3) for at in ("", "@quick")}
    assert set(hashes(NETWORKS, path)) == each | {"X2@desk", "X3@desk"}


# the rules

JUDGES = {
    "effect": (verdicts, "effect"),
    "match": (verdicts, "match"),
    "value": (verdicts, "value"),
    "range": (several, "ranged"),
    "onset": (several, "onset"),
    "concordance": (several, "concordance"),
    "best of several": (Records, "_pick"),
}
"""Rule -> the code that judges by it."""


def with_rule_changed(rule, monkeypatch):
    """The claims whose hash at the paper's scale changes when a rule is changed in code."""
    profiles = {"paper": chapters.networks("paper")}
    before = hashes(profiles)
    monkeypatch.setitem(verdicts.VERSIONS, rule, 99)
    return differing(before, hashes(profiles))


@pytest.fixture(scope="module")
def judged_by():
    """Rule -> the claims that its code was really called for, each claim judged by itself."""
    frame = pd.DataFrame([plausible(cell) for study in chapters.STUDIES for cell in chapters.cells(study, "paper")])
    entries, called = claims.load(), defaultdict(set)
    judge, now = Judge(frame, "paper", entries, chapters.networks("paper")), []

    def watched(rule, code):
        def call(*args, **kwargs):
            called[rule].update(now)
            return code(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for rule, (where, name) in JUDGES.items():
            patch.setattr(where, name, watched(rule, getattr(where, name)))
        for name, whole in entries.items():
            now[:] = [name]
            for part in parts(whole):
                judge.rule(part)
    return called


@pytest.mark.parametrize("rule", JUDGES)
def test_a_changed_rule_changes_claims_of_its_kind_and_none_that_it_does_not_judge(rule, monkeypatch, judged_by):
    kinds = {name: {part["kind"] for part in parts(whole)} for name, whole in claims.load().items()}
    changed = with_rule_changed(rule, monkeypatch)
    assert {name for name, own in kinds.items() if rule in own} <= changed <= judged_by[rule]
    assert changed


@pytest.mark.parametrize("rule", JUDGES)
def test_a_changed_rule_changes_every_claim_that_it_judges(rule, monkeypatch, judged_by):
    assert with_rule_changed(rule, monkeypatch) == judged_by[rule]


def test_a_rule_that_was_never_changed_is_not_in_a_hash():
    """Claims that are judged by such rules alone keep the hash that they had before rules had versions."""
    worded = {name: value for name, value in entry().items() if name != "needs"}
    assert entry_hash(entry(), HERE) == digest([worded, {"LeNet": HERE.described("LeNet")}])


# the networks


@pytest.mark.parametrize("profile", ["paper", "quick"])
@pytest.mark.parametrize(
    ("study", "name"), [(STUDY, "LeNet, standardized pixels"), ("02_linear_mode_connectivity", "LeNet")]
)
def test_a_hash_changes_with_its_network_at_that_profile_and_only_there(profile, study, name):
    """Of every claim that names the network, as its own, as a fork, as a case or in a term, and of no other."""
    profiles = chapters.registered()
    cell = profiles[profile][study].cells[name]
    other = changed_network(profiles, profile, study, name, cell.but(batch=61))
    own = {claim for claim, e in claims.load(profile=profile).items() if e["study"] == study and name in mentioned(e)}
    registered = hashes(profiles)
    naming = {claims.registered_as(claim, profile) for claim in own} & set(registered)
    assert len(naming) > 1
    assert differing(registered, hashes(other)) == naming


def test_a_hash_covers_the_networks_that_terms_and_forks_name():
    pixels = "LeNet, standardized pixels"
    moved = Networks({**HERE.cells, pixels: Cell(inputs="standard", learning_rate=1e-3)})
    for changes in (
        {"forks": {"inputs": pixels}},
        {"anchors": {"stat": "test_accuracy_end", "band": [97, 99], "network": pixels}},
        {"contrast": {"stat": "tt", "plus": {"arm": "ticket", "network": {"best": ["LeNet", pixels], "by": "tt"}}}},
        {"cases": [{"network": pixels, "margin": 0.5}]},
    ):
        assert entry_hash(entry(**changes), HERE) != entry_hash(entry(**changes), moved), changes
    assert entry_hash(entry(), HERE) == entry_hash(entry(), moved)


def test_a_hash_covers_named_steps():
    """What k1000 means is part of the claim, wherever the network says it."""
    here, there = (Networks(HERE.cells, {"LeNet": {"k1000": step}}) for step in (48, 50))
    assert entry_hash(entry(), here) != entry_hash(entry(), there)
    assert entry_hash(entry(), HERE) == entry_hash(entry(), Networks(HERE.cells, {"LeNet": {}}))
    elsewhere = Networks(HERE.cells, {"LeNet, standardized pixels": {"k1000": 48}})
    assert entry_hash(entry(), HERE) == entry_hash(entry(), elsewhere)


def test_a_field_that_is_added_changes_no_hash(monkeypatch):
    """A field of cells that is added with a default says nothing new of a network that has the default."""
    profiles = chapters.registered()
    before = hashes(profiles)
    monkeypatch.setattr(Cell, "averaging", 0.0, raising=False)
    monkeypatch.setattr(cells, "FIELDS", (*cells.FIELDS, "averaging"))
    assert Cell().to_dict()["averaging"] == 0.0  # the field is there
    assert hashes(profiles) == before
    averaged = Cell()
    object.__setattr__(averaged, "averaging", 0.9)
    changed = hashes(changed_network(profiles, "paper", STUDY, "LeNet", averaged))
    assert "L1" in differing(before, changed)


def test_claims_are_registered_at_every_profile_that_has_their_network():
    profiles = chapters.registered()
    assert set(profiles) == {"quick", "desk", "paper"}  # smoke judges nothing
    registered = hashes(profiles)
    assert set(claims.load()) <= set(registered)
    assert {"L2b@quick", "M2-lenet@quick"} <= set(registered)
    assert not {"L6-conv2@quick", "M1-vgg@quick", "L1@smoke", "L1@paper", "L1@desk"} & set(registered)
    assert {"M1-r20@desk", "L6-conv2@desk"} <= set(registered)
    assert not {"M5@desk", "Z6-conv2-value@desk"} & set(registered)  # which say nothing of the desk
    assert registered["L2b@quick"] != registered["L2b"]  # the network is another


def test_the_registered_claims_are_kept_with_the_records(store):
    profiles = chapters.registered()
    name = store.register(hashes(profiles))
    assert store.registrations() == {name: hashes(profiles)}
    assert store.register(hashes(profiles)) == name
    assert len(store.registrations()) == 1
    cell = Cell(steps=4000)
    other = store.register(hashes(changed_network(profiles, "quick", STUDY, "LeNet", cell)))
    assert set(store.registrations()) == {name, other}


# what it is for


def test_post_hoc():
    frame, now = dense_and_ticket(), entry_hash(entry(), HERE)
    assert judged(entry(), frame, registrations={"then": {"X1": now}})["verdict"] == "reproduced"
    for then in ({"then": {"X1": "other"}}, {"then": {}}, {}):
        assert judged(entry(), frame, registrations=then)["verdict"] == "reproduced (post hoc)"


def test_post_hoc_below_the_paper_s_scale():
    """An analog was registered under the networks of its own profile."""
    frame, now = dense_and_ticket(steps=5000), entry_hash(entry(), NETWORKS["quick"][STUDY])
    registered = {"then": {"X1@quick": now}}
    assert judged(entry(), frame, "quick", registered)["verdict"] == "reproduced"
    for then in ({"then": {"X1": now}}, {"then": {"X1@quick": entry_hash(entry(), HERE)}}):
        assert judged(entry(), frame, "quick", then)["verdict"] == "reproduced (post hoc)"
