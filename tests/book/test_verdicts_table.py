"""The table of verdicts: which rows it has, what counts in the one correction for many claims, and the file."""

import shutil
from itertools import product

import pandas as pd
import pytest
from handmade import (
    DENSE,
    ENTRY,
    NETWORKS,
    STUDY,
    TICKET,
    Kept,
    dense_and_ticket,
    entry,
    judged,
    plausible,
    row,
    verdicts_on,
)  # fmt: skip
from tickets import chapters
from tickets.book import scorecard, verdicts
from tickets.cells import Cell
from tickets.chapters import STUDIES, cells
from tickets.errors import BadInput
from tickets.evidence import claims
from tickets.evidence.asked import parts
from tickets.evidence.judge import Judge
from tickets.evidence.verdicts import REFUTING, SUPPORTING
from tickets.results.store import Store

OTHER = "02_linear_mode_connectivity"
OWN_SCALE = {
    entry["study"]
    for entry in claims.standing("paper")
    if entry["scope"] == "paper" and entry["headline"] and entry["network"].startswith("LeNet")
}
"""Chapters with claims on LeNet that are the papers' own: those of the others are analogs, which have no q."""
COMMITTED = Store.committed()
RECORDED = [study for study in STUDIES if (COMMITTED.recorded / f"{study}.jsonl").exists()]
JUDGED = [(p, study) for p in chapters.registered() for study in STUDIES if chapters.networks(p)[study].cells]


def lenets(cell):
    """Of LeNet and a few levels there is everything, and replicates differ."""
    there = cell.model == "lenet-300-100" and cell.level in (0, 7, 15)
    return plausible(cell) | {"barrier_test": 1 + 0.2 * (cell.replicate % 3)} if there else None


def ids(study):
    """Names of all rows of a chapter: its claims, and parts of them."""
    return {part["id"] for whole in claims.of(study).values() for part in (whole, *parts(whole))}


# profiles


def test_quick_yields_analogs_and_smoke_nothing():
    frame = dense_and_ticket(steps=5000)
    found = judged(entry(), frame, "quick")
    assert (found["claim"], found["scope"], found["profile"]) == ("X1-quick", "analog", "quick")
    assert judged(entry(), frame)["verdict"] == "not run"
    smoke = verdicts.rows(verdicts.judge(Kept(), "smoke"), "smoke")
    assert set(smoke["claim"]) == set().union(*map(ids, STUDIES))
    assert set(smoke["verdict"]) == {"not run"}
    with pytest.raises(BadInput, match="profile"):
        verdicts.judge(Kept(), "full")


def test_below_the_paper_s_scale_only_what_was_run_is_shown():
    nothing = Kept(lambda cell: None)
    assert verdicts.judge(nothing, "quick") == []
    assert verdicts.rows([], "quick").empty
    assert {whole.verdict.word for _, whole, _ in verdicts.judge(nothing, "paper")} == {"not run"}


def test_quick_results_are_read_with_the_steps_of_the_quick_networks():
    """Nothing is loosened: records of other budgets in the same table are other experiments."""
    others = pd.concat([dense_and_ticket(5), dense_and_ticket(5, steps=6000), dense_and_ticket(5, steps=2400)])
    found = judged(entry(), pd.concat([dense_and_ticket(steps=5000), others]), "quick")
    assert (found["n"], found["ours"]) == (10, pytest.approx(0.3))
    assert judged(entry(), others, "quick")["verdict"] == "not run"


@pytest.fixture(scope="module")
def everything():
    """A record of every cell of every study at every profile."""
    return pd.DataFrame([plausible(cell) for p, name in product(chapters.PROFILES, STUDIES) for cell in cells(name, p)])


@pytest.mark.parametrize(("profile", "study"), JUDGED)
def test_what_is_read_belongs_to_the_networks_of_its_profile(profile, study, everything):
    """Every record behind a verdict is of a network of the study at that profile, steps and all."""
    networks = chapters.networks(profile)
    judge = Judge(everything, profile, claims.of(study, profile=profile), networks)
    named = {(cell.model, cell.steps) for cell in networks[study].cells.values()}
    read = {(c.model, c.steps) for part in judge.parts.values() for c in judge.rule(part).rows.get("cell", [])}
    assert read
    assert read <= named


def test_analogs_of_two_chapters_keep_their_budgets_apart(tmp_path):
    assert {cells(study, "quick")[0].steps for study in (STUDY, OTHER)} == {5_000, 2_400}
    small = Kept(lambda cell: plausible(cell) if cell.steps < 20_000 else None)
    frame = verdicts.publish(small, tmp_path / "claims.csv").set_index("claim")
    assert {"L2b-quick", "M2-lenet-quick"} <= set(frame.index)
    assert not frame.index.duplicated().any()


@pytest.mark.parametrize(("profile", "study"), JUDGED)
def test_a_run_under_the_claims_as_they_stand_is_not_post_hoc(profile, study, store):
    """At every profile, of every claim that shows a number there."""
    name = store.register(claims.hashes(chapters.registered()))
    registered = Kept(lambda cell: plausible(cell) | {"registration": name}, registrations=store.registrations())
    frame = verdicts.rows(verdicts.judge(registered, profile, [study]), profile)
    assert (frame["n"] > 0).all()
    assert list(frame.loc[frame["verdict"].str.contains("post hoc"), "claim"]) == []


# words


def test_a_note_says_what_happened_in_words():
    assert judged(entry(), dense_and_ticket(0.05))["verdict"] == "partly: smaller than claimed"
    assert judged(entry(), dense_and_ticket(1.0))["verdict"] == "partly: larger than claimed"
    whole = entry(parts=[{"id": "X1.a"}, {"id": "X1.b", "size": 3}])
    found = verdicts_on({"X1": whole}, dense_and_ticket())["verdict"].tolist()
    assert found == ["partly: X1.b smaller than claimed", "reproduced", "partly: smaller than claimed"]
    assert verdicts.in_words("X1.b higher", entry()) == "X1.b higher than the paper's"
    assert verdicts.in_words("higher", entry(source=verdicts.OWN)) == "higher than what was asked"
    sized = entry(size=0.3)
    assert verdicts.in_words("smaller", sized) == "smaller than claimed"
    bare = {name: value for name, value in sized.items() if name not in ("size", "band")}
    assert verdicts.in_words("smaller", {**bare, "least": 0.1}) == "smaller than asked for"


def test_a_compound_claim_has_the_unit_of_the_part_whose_number_it_shows():
    """Its weakest: here the second, of which nothing is claimed that holds."""
    parts_ = [{"id": "X1.a"}, {"id": "X1.b", "unit": "steps", "size": 3}]
    frame = verdicts_on({"X1": entry(parts=parts_)}, dense_and_ticket()).set_index("claim")
    assert frame["unit"].to_dict() == {"X1": "steps", "X1.a": "points", "X1.b": "steps"}
    frame = verdicts_on({"X1": entry(parts=parts_)}, dense_and_ticket().iloc[:0]).set_index("claim")
    assert frame["unit"]["X1"] == "points"


# our own questions


@pytest.fixture(scope="module")
def judged_lenets():
    """All claims at the paper's scale, where of LeNet and a few levels there is everything."""
    return verdicts.judge(Kept(lenets), "paper")


OURS = {"source": "our own question", "headline": False}


@pytest.mark.parametrize(
    ("gain", "answer"), [(0.3, "yes"), (1.0, "in part: larger than claimed"), (0.0, "no"), (-0.3, "no"), (0.15, "yes")]
)
def test_an_own_question_is_answered_and_names_no_paper(gain, answer):
    """At every profile, with its parts; no word of reproduction, since nobody claimed it."""
    for profile, steps in (("paper", 50_000), ("quick", 5_000)):
        found = judged(entry(**OURS), dense_and_ticket(gain, steps=steps), profile)
        assert (found["verdict"], found["paper"], found["scope"]) == (answer, "", "finding")
        assert pd.isna(found["q"])
    part = {"id": "X1.a", "statement": "In part."}
    frame = verdicts_on({"X1": entry(**OURS, parts=[part])}, dense_and_ticket(gain)).set_index("claim")
    assert frame["scope"].to_dict() == {"X1": "finding", "X1.a": "part"}
    assert {word.split(":")[0] for word in frame["verdict"]} == {answer.split(":")[0]}


def test_an_own_question_is_open_until_it_is_decided():
    assert judged(entry(**OURS), dense_and_ticket(n=4))["verdict"] == "open: n = 4 of 5"
    assert judged(entry(**OURS), dense_and_ticket(n=4).iloc[:0])["verdict"] == "not run"


def test_remarks_on_an_own_question_have_no_word_of_reproduction():
    again = pd.DataFrame([row(Cell(replicate=r, order=1), test_accuracy=98.6) for r in range(10)])
    frame = pd.concat([dense_and_ticket(), again])
    frame = frame.assign(registration=["now" if r > 4 else "then" for r in frame["replicate"]])
    standing = {"now": {"X1": claims.entry_hash(entry(**OURS), NETWORKS["paper"][STUDY])}}
    verdict = judged(entry(**OURS), frame, registrations=standing)["verdict"]
    assert "A/A" in verdict
    assert "registered replicates alone" in verdict
    assert not any(word in verdict for word in (*SUPPORTING, *REFUTING, "inconclusive"))


def test_the_own_questions_of_the_book(judged_lenets):
    """Controls among them: none has a paper's name, none is counted."""
    frame = verdicts.rows(judged_lenets, "paper")
    own = frame[frame["source"] == verdicts.OWN]
    assert {"C8", "Q1-lenet", "Q2-lenet"} <= set(own["claim"])
    assert set(own["paper"]) == {""}
    assert set(own["scope"]) == {"finding", "part"}
    words = set(own["verdict"].str.extract(r"^([a-z ]*[a-z])", expand=False))
    assert words <= {"yes", "in part", "no", "open", "not run"}
    assert not set(own["claim"]) & set(verdicts.counted(judged_lenets))
    assert (frame.loc[frame["source"] != verdicts.OWN, "paper"] != "").all()


# one correction for many claims


def test_a_refuted_claim_has_a_q_though_a_part_of_it_was_not_run():
    """Its n is that of the part that decides: nothing that is said escapes the correction."""
    parts_ = [
        {"id": "X1.a", "contrast": {**ENTRY["contrast"], "plus": DENSE, "minus": TICKET}},
        {"id": "X1.b", "contrast": {**ENTRY["contrast"], "plus": {"arm": "ticket", "level": 9}}},
    ]
    frame = verdicts_on({"X1": entry(parts=parts_)}, dense_and_ticket()).set_index("claim")
    assert frame["verdict"].to_dict() == {"X1": "contradicted: X1.a", "X1.a": "contradicted", "X1.b": "not run"}
    assert (frame["n"]["X1"], frame["q"].notna().to_dict()) == (10, {"X1": True, "X1.a": False, "X1.b": False})


def test_q_counts_claims_and_not_readings():
    entries = {f"X{i}": entry(id=f"X{i}") for i in range(4)}
    entries["X4"] = entry(id="X4", headline=False)
    entries["X5"] = entry(id="X5", contrast={**ENTRY["contrast"], "plus": {"arm": "ticket", "level": 9}})
    frame = verdicts_on(entries, dense_and_ticket()).set_index("claim")
    p = Judge(dense_and_ticket(), "paper", entries, NETWORKS["paper"]).rule(entry()).verdict.p
    assert frame["q"][:4].to_numpy() == pytest.approx(p)  # four equal claims: q = p x 4 / 4
    assert frame["q"][["X4", "X5"]].isna().all()
    assert frame["scope"]["X4"] == "reading"


def test_what_is_shortened_never_reads_as_the_paper_s_scale():
    entries = {"X1": entry(scope="analog"), "X2": entry(id="X2", scope="analog", headline=False)}
    entries["X3"] = entry(id="X3", source=verdicts.OWN, headline=False)
    frame = verdicts_on(entries, dense_and_ticket()).set_index("claim")
    assert frame["scope"].to_dict() == {"X1": "analog", "X2": "analog reading", "X3": "finding"}
    assert frame["q"].isna().all()


def test_our_own_questions_are_not_corrected_with_the_papers():
    """A value has no headline and counts, but not one that no paper has."""
    theirs = {"kind": "value", "theirs": 0.3, "margin": 1.0, "headline": False}
    entries = {"X1": entry(**theirs), "X2": entry(id="X2", source=verdicts.OWN, **theirs)}
    frame = verdicts_on(entries, dense_and_ticket()).set_index("claim")
    assert frame["q"].notna().to_dict() == {"X1": True, "X2": False}


def test_a_statement_is_written_out_for_readers_and_hashed_as_it_was():
    plain, full = entry(), entry(in_full="All of it.")
    assert verdicts_on({"X1": full}, dense_and_ticket())["statement"].tolist() == ["All of it."]
    networks = NETWORKS["paper"][plain["study"]]
    assert claims.entry_hash(full, networks) == claims.entry_hash(plain, networks)
    assert claims.entry_hash({**full, "statement": "Other."}, networks) != claims.entry_hash(plain, networks)


def test_analogs_have_no_q():
    assert pd.isna(judged(entry(), dense_and_ticket(steps=5000), "quick")["q"])


@pytest.fixture(scope="module")
def published_lenets(judged_lenets, tmp_path_factory):
    """(a store that holds `lenets` with the p-values of all its claims, their rows by claim)."""
    kept = Kept(lenets, recorded=tmp_path_factory.mktemp("published"))
    judge = verdicts.judge

    def once(store, profile, *studies):
        return judged_lenets if profile == "paper" else judge(store, profile, *studies)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "judge", once)
        return kept, verdicts.publish(kept, kept.recorded / "claims.csv").set_index("claim")


def test_a_chapter_shows_the_q_of_the_whole_scorecard(published_lenets):
    """One correction for many claims: a page must not print another q than the front page."""
    kept, whole = published_lenets
    for study in STUDIES:
        own = verdicts.of_study(kept, study, "paper").set_index("claim")
        assert set(own.index) == ids(study)
        assert own["q"].notna().any() == (study in OWN_SCALE)
        pd.testing.assert_series_equal(own["q"], whole.loc[own.index, "q"], rtol=1e-5, atol=0)


def test_without_the_other_chapters_p_values_q_would_be_another(published_lenets):
    """They do enter: a chapter judged alone has fewer claims to correct for."""
    kept, _ = published_lenets
    alone = verdicts.of_study(Kept(lenets), OTHER, "paper").set_index("claim")
    corrected = verdicts.of_study(kept, OTHER, "paper").set_index("claim")
    decided = alone["q"].notna()
    assert (corrected["q"][decided] >= alone["q"][decided]).all()
    assert (corrected["q"][decided] > alone["q"][decided]).any()


def test_of_the_other_chapters_no_record_is_read():
    for profile, study in JUDGED:
        kept = Kept(lambda cell: None)
        verdicts.of_study(kept, study, profile)
        assert kept.asked == cells(study, profile)


# what is recorded


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The recorded layer judged again: the folder with both tables, as they would be recorded now, and all rows."""
    folder = tmp_path_factory.mktemp("recorded")
    shutil.copytree(COMMITTED.recorded, folder, dirs_exist_ok=True)
    (folder / verdicts.RATES).unlink()
    return folder, verdicts.publish(Store(folder / "nothing", folder), folder / "claims.csv")


def test_recorded_p_values_agree_with_what_is_recorded(published):
    now, then = (pd.read_csv(folder / verdicts.RATES) for folder in (published[0], COMMITTED.recorded))
    pd.testing.assert_frame_equal(now, then, rtol=1e-5, atol=0)
    assert set(now["study"]) <= set(RECORDED)
    assert set(now["claim"]) <= set(claims.load())


def test_the_recorded_table_agrees_with_what_is_recorded(published):
    now, then = (scorecard.read(folder / "claims.csv") for folder in (published[0], verdicts.TABLE.parent))
    assert now == then


@pytest.mark.parametrize("study", RECORDED)
def test_a_chapter_of_the_book_is_judged_from_its_own_records(study, published, tmp_path):
    """With records of chapters that it shares none with out of reach: the same rows, and the q of the front page."""
    shutil.copytree(COMMITTED.recorded / "registrations", tmp_path / "registrations")
    own = set(cells(study, "paper"))
    shared = [other for other in RECORDED if other == study or own & set(cells(other, "paper"))]
    for name in (*(f"{other}.jsonl" for other in shared), verdicts.RATES):
        shutil.copyfile(COMMITTED.recorded / name, tmp_path / name)
    alone = verdicts.of_study(Store(tmp_path / "nothing", tmp_path), study, "paper").set_index("claim")
    whole = published[1].set_index("claim").loc[alone.index]
    rated = set(pd.read_csv(COMMITTED.recorded / verdicts.RATES).study)
    assert study in rated or not alone["q"].notna().any()
    assert alone["q"].notna().any() == whole["q"].notna().any()
    number = {"theirs": float}  # of a chapter whose papers print none it is empty
    pd.testing.assert_frame_equal(alone.astype(number), whole.astype(number), rtol=1e-5, atol=0)


# the file


def test_csv(tmp_path):
    path = tmp_path / "claims.csv"
    frame = verdicts_on({"X1": entry(), "X2": entry(id="X2", theirs=None)}, dense_and_ticket())
    verdicts.write(frame, path)
    lines = path.read_text().splitlines()
    assert lines[0] == "claim,paper,statement,theirs,source,ours,low,high,n,unit,scope,profile,device,verdict,q,needs"
    assert lines[1].split(",")[3:9] == ["0.3", "read in the paper", "0.3", "0.289336", "0.310664", "10"]
    assert lines[2].split(",")[3] == ""
    rows = list(scorecard.read(path).values())  # the book's reader
    assert tuple(rows[0]) == tuple(scorecard.COLUMNS) == verdicts.COLUMNS
    assert scorecard.verdict(rows[0])[0] == "reproduced"
