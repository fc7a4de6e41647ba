"""The questions of the chapters, and their answers: sentences that stand only while verdicts are what they say.

Written in book/questions.yml; its head has the grammar. A row is one of claims.csv, found by the claim's name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import yaml

from ..evidence import claims
from ..evidence.asked import accepted, parts
from ..files import BOOK
from . import scorecard
from .verdicts import suffix

SHOWN = ("paper", "quick", "desk")
"""Profiles whose rows stand on pages."""
SLOT = re.compile(r"\{([\w.-]+)(?:!([ip]))?\}")
READ = {None: scorecard.mean, "i": scorecard.span, "p": lambda row: scorecard.number(row["theirs"], digits=6)}
"""What a slot reads in the row that it names."""
Rows = Mapping[str, dict]


@dataclass(frozen=True)
class Question:
    """A section of a chapter: its heading and the anchor of that, its claims, the sentences that may answer it."""

    study: str
    section: str
    ask: str
    claims: tuple[str, ...]
    answer: tuple[dict, ...] = ()

    @property
    def link(self) -> str:
        """From the front page."""
        return f"notebooks/{self.study}.html#{self.section}"


@cache
def written() -> dict:
    """The file as it is."""
    return yaml.safe_load((BOOK / "questions.yml").read_text("utf-8"))


def of(study: str) -> dict[str, Question]:
    """Section -> question, of a chapter, in its order."""
    asked = [Question(study, **entry) for entry in written()["chapters"].get(study, {}).get("questions", ())]
    return {question.section: question for question in asked}


def every() -> list[Question]:
    """Of all chapters."""
    return [question for study in written()["chapters"] for question in of(study).values()]


# answers


def stands(sentence: dict, rows: Rows) -> bool:
    """Whether all claims of a sentence have the verdicts that it was written for, and it says so if one is fragile."""
    if not set(sentence["claims"]) <= set(rows):
        return False
    fragile = any("fragile" in rows[name]["verdict"] for name in sentence["claims"])
    given = {name: " ".join([*scorecard.verdict(rows[name]), ""]) for name in sentence["claims"]}
    right = all(given[name].startswith(f"{word} ") for name, word in sentence["claims"].items())
    return right and fragile == ("fragile" in sentence["text"])


def filled_in(text: str, rows: Rows) -> str:
    """A sentence with its numbers, as the scorecard prints them."""
    return SLOT.sub(lambda slot: READ[slot[2]](rows[slot[1]]), text.strip())


def answer(asked: Question, rows: Rows) -> tuple[list[str], list[dict]]:
    """(the sentences that stand, with their numbers; the rows of decided claims that none of them tells of).

    Only claims count that the headline counts, or that are our own; second readings stand in the table below.
    """
    standing = [sentence for sentence in asked.answer if stands(sentence, rows)]
    told = {name for sentence in standing for name in sentence["claims"]}
    rest = [row for name, row in counted(asked, rows).items() if name not in told and scorecard.tells(row)]
    return [filled_in(sentence["text"], rows) for sentence in standing], rest


def counted(asked: Question, rows: Rows) -> dict[str, dict]:
    """Claim -> row, at every scale, of a question's claims but for second readings."""
    own = [name for name, row in rows.items() if scorecard.base(row) in asked.claims and "reading" not in row["scope"]]
    return {name: rows[name] for name in sorted(own, key=lambda name: asked.claims.index(scorecard.base(rows[name])))}


def reasons(study: str, rows: Rows) -> dict[str, str]:
    """Claim -> why it failed, written by hand for the verdict that it had, while it has that verdict."""
    known = written()["chapters"][study].get("reasons", {})
    standing = (name for name, why in known.items() if stands({"claims": {name: why["of"]}, **why}, rows))
    return {name: known[name]["text"] for name in standing}


# the scorecard


@cache
def about() -> dict[str, dict]:
    """Name in claims.csv -> entry of a claim or part as it is at that profile, network, where it is shown, where its
    mean must lie (None where parts differ)."""
    found = {}
    for entry, end in ((entry, suffix(profile)) for profile in SHOWN for entry in claims.standing(profile)):
        at = {"network": entry["network"], "link": f"notebooks/{entry['study']}.html#claim-{entry['id']}"}
        each = {part["id"] + end: {**at, "entry": part, "accepted": accepted(part)} for part in parts(entry)}
        ends = {part["accepted"] for part in each.values()}
        whole = {**at, "entry": entry, "accepted": ends.pop() if len(ends) == 1 else None}
        found |= {entry["id"] + end: whole, **each}
    return found


def groups(rows: Iterable[dict], titles: Mapping[str, str]) -> list[tuple]:
    """(title of the chapter, question, its claims): of each claim name, row at the paper's scale, rows at smaller ones.

    rows: of claims.csv; titles: study -> title.
    """
    scales: dict[str, dict[str, dict]] = {}
    for row in rows:
        scales.setdefault(scorecard.base(row), {})[row["profile"]] = row
    found = []
    for asked in every():
        own = [(name, at.pop("paper", None), [*at.values()]) for name in asked.claims if (at := scales.get(name))]
        found.append((titles[asked.study], asked, own))
    return found
