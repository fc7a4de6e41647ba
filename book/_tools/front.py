"""What is computed on the front page (findings, the one figure, the chapters) and on the page of limitations."""

from html import escape
from pathlib import Path

import nbformat
import numpy as np
from tickets import chapters
from tickets.arms import measures
from tickets.book import questions, scorecard
from tickets.cells import like
from tickets.chapters.winning_tickets import figures
from tickets.evidence import claims
from tickets.evidence.asked import parts
from tickets.figures import style
from tickets.figures.show import figure
from tickets.results.store import Store


def findings(rows: dict[str, dict]) -> str:
    """The lead, then the sentences of chapters that are for the front page, as a list with links: those that stand."""
    chosen = [(one, "") for one in questions.written()["lead"]]
    chosen += [(one, asked.link) for asked in questions.every() for one in asked.answer if one.get("front")]
    told = ((questions.filled_in(one["text"], rows), link) for one, link in chosen if questions.stands(one, rows))
    return "\n".join(f'- {said} <a href="{link}">Read on</a>' if link else said for said, link in told)


def titles(root: Path) -> dict[str, str]:
    """Study -> title of its chapter, with its number."""
    return {
        study: nbformat.read(root / f"notebooks/{study}.ipynb", 4).cells[0].source.splitlines()[0].lstrip("# ")
        for study in chapters.STUDIES
    }


def hero(store: Store, arms: list[str]) -> str:
    """Accuracy against weights kept, a line an arm, and the dense network across."""
    net = chapters.main("01_winning_tickets", "paper")
    table = like(store.table(chapters.cells("01_winning_tickets", "paper")), net)
    rows = table[table["arm"].isin(arms) & (table["order"] == 0)]
    alt = (
        "Test accuracy against the share of weights kept, LeNet on MNIST: winning tickets stay above the dense network "
        "down to a few percent, reinitialized ones fall below it, random masks fall first."
    )
    columns = ["arm", "level", "density", "replicate", "draw", "test_accuracy"]
    drawn = lambda: (figures.ladder(rows, arms, ["test_accuracy"]), rows[columns])  # noqa: E731
    said = (
        f"LeNet on MNIST: test accuracy at early stop against the share of weights that are kept. Lines are means over "
        f"{style.replicates(rows)} (dots), bands 95 % intervals. The random mask's last mean is out of the picture."
    )
    return figure(len(rows), drawn, "hero", alt, f"{figures.__name__}.ladder", said, api="api.html").data


def cards(root: Path, rows: dict[str, dict]) -> str:
    """A numbered card a chapter: its title, what it asks, and the count of its verdicts; at the desk of what ran."""
    text = ["::::{grid} 1 1 2 2", ":gutter: 3", ""]
    for study, title in titles(root).items():
        names = [claim for asked in questions.of(study).values() for claim in asked.claims]
        own = [rows[name] for name in names]
        desk = [row for name in names if (row := rows.get(f"{name}-desk")) and int(row["n"])]
        kinds = ("", "paper", own), ("; analogs: ", "analog", own), ("; at the desk: ", "analog", desk)
        found = [(said, scorecard.html("told", [r for r in of if r["scope"] == scope])) for said, scope, of in kinds]
        counts = "".join(said + each for said, each in found if each)
        text += [f":::{{grid-item-card}} {title}", f":link: notebooks/{study}", ":link-type: doc"]
        text += ["", questions.written()["chapters"][study]["asks"], "", f"*{escape(counts)}*", ":::", ""]
    return "\n".join([*text, "::::", ""])


def against_dense() -> set[str]:
    """Claims that compare something with the dense network, of which there is a twin."""
    asked = [(entry["id"], part) for entry in claims.load().values() for part in parts(entry)]
    sides = [(name, part.get(side, {})) for name, part in asked for side in ("contrast", "matching")]
    terms = [(name, term) for name, side in sides for term in side.values() if isinstance(term, dict)]
    return {name for name, term in terms if 0 in np.ravel(term.get("level")).tolist() and not measures(term["arm"])}


def doubts(rows: dict[str, dict], compared: set[str]) -> str:
    """The decided claims of papers that rest on less than others, a line a reason; compared: see `against_dense`."""
    decided = [row for row in rows.values() if row["scope"] == "paper" and int(row["n"])]
    reasons = {
        "that compare with the dense network would be judged otherwise with its twin in its place": "fragile (A/A)",
        "are read with a rule or an estimand that was changed after their runs": "post hoc",
        "have a verdict that the correction for many claims does not bear out": "q > 0.05",
    }
    named = {why: [row["claim"] for row in decided if mark in row["verdict"]] for why, mark in reasons.items()}
    named["are known from other texts than the paper"] = [r["claim"] for r in decided if r["source"] == "second-hand"]
    totals = [sum(row["claim"] in compared for row in decided), *[len(decided)] * 3]
    shown = [
        f"- {len(n)} of {of} {why}: {', '.join(n) or 'none'}."
        for of, (why, n) in zip(totals, named.items(), strict=True)
    ]
    return "\n".join(shown) + "\n"
