"""What is computed on the front page (findings, the one figure, the chapters) and on the page of limitations."""

import re
from html import escape
from pathlib import Path

import nbformat
import yaml
from tickets import chapters
from tickets.book import scorecard
from tickets.cells import like
from tickets.chapters.winning_tickets import figures
from tickets.figures.show import figure
from tickets.results.store import Store

SLOT = re.compile(r"\{([\w.-]+)(?:!([ip]))?\}")


def findings(entries: list[dict], rows: dict[str, dict]) -> str:
    """The sentences whose claims still have the verdicts that they were written for, as a Markdown list with links."""
    return "\n".join(
        f'- {filled_in(entry["text"], rows)} <a href="{entry["link"]}">Read on</a>'
        for entry in entries
        if stands(entry, rows)
    )


def stands(entry: dict, rows: dict[str, dict]) -> bool:
    """Whether all claims of a sentence have the verdicts that it was written for, and it says so if one is fragile."""
    fragile = any("fragile" in rows[name]["verdict"] for name in entry["claims"])
    right = all(scorecard.verdict(rows[name])[0] == word for name, word in entry["claims"].items())
    return right and fragile == ("fragile" in entry["text"])


def filled_in(text: str, rows: dict[str, dict]) -> str:
    """A sentence with its numbers, as the scorecard prints them."""

    def number(slot: re.Match) -> str:
        row = rows[slot[1]]
        if slot[2] == "p":
            return scorecard.number(row["theirs"])
        places = scorecard.decimals(float(row["high"] or "nan") - float(row["low"] or "nan"))
        shown = [scorecard.number(row[name], places) for name in (("low", "high") if slot[2] else ("ours",))]
        return " to ".join(shown)

    return SLOT.sub(number, text.strip())


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
    by = "tickets.chapters.winning_tickets.figures.ladder"
    drawn = lambda: (figures.ladder(rows, arms, ["test_accuracy"]), rows[columns])  # noqa: E731
    return figure(len(rows), drawn, "hero", alt, by, api="api.html").data


def cards(root: Path, rows: dict[str, dict], entries, asks: dict[str, str]) -> str:
    """A numbered card a chapter: its title, what it asks, and the count of its verdicts."""
    text = ["::::{grid} 1 1 2 2", ":gutter: 3", ""]
    for number, study in enumerate(chapters.STUDIES, 1):
        title = nbformat.read(root / f"notebooks/{study}.ipynb", 4).cells[0].source.splitlines()[0].lstrip("# ")
        own = [rows[entry["id"]] for entry in entries if entry["study"] == study]
        counted = [row for row in own if row["scope"] == "paper"]
        counts = ", ".join(f"{count} {word}" for word, count in scorecard.counts(counted))
        text += [f":::{{grid-item-card}} {number}. {title}", f":link: notebooks/{study}", ":link-type: doc"]
        text += ["", asks.get(study, ""), "", f"*{escape(counts)}*", ":::", ""]
    return "\n".join([*text, "::::", ""])


def doubts(rows: dict[str, dict]) -> str:
    """The decided claims of papers that rest on less than the others, by reason, as a Markdown list."""
    decided = [row for row in rows.values() if row["scope"] == "paper" and int(row["n"])]
    reasons = {
        "would be judged otherwise if the dense network were exchanged for its twin": "fragile (A/A)",
        "are read with a rule or an estimand that was changed after their runs": "post hoc",
        "have a verdict that the correction for many claims does not bear out": "q > 0.05",
    }
    named = {why: [row["claim"] for row in decided if mark in row["verdict"]] for why, mark in reasons.items()}
    named["are known to us from another text than the paper"] = [
        row["claim"] for row in decided if row["source"] == "second-hand"
    ]
    shown = (f"- {len(names)} of {len(decided)} {why}: {', '.join(names) or 'none'}." for why, names in named.items())
    return "\n".join(shown) + "\n"


def parts(root: Path, rows: dict[str, dict], entries) -> dict[str, str]:
    """File name -> content."""
    store = Store(local=root / "build/none", recorded=root / "book/results")
    written = yaml.safe_load((root / "book/findings.yml").read_text("utf-8"))
    return {
        "findings.md": findings(written["findings"], rows),
        "hero.html": hero(store, written["hero"]),
        "chapters.md": cards(root, rows, entries, written["asks"]),
        "doubts.md": doubts(rows),
    }
