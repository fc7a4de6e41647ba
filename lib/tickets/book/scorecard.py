"""Tables of claims for the book: the paper's number, ours, its interval and the verdict side by side, as HTML.

The input is the outside contract `book/results/claims.csv`, or rows with the same columns. Nothing is computed here:
what a page says about a claim is what the row says. How it looks stands in templates/scorecard.html.
"""

import csv
import math
import re
from collections import Counter

from jinja2 import Environment, PackageLoader

from ..errors import BadInput
from .verdicts import COLUMNS

CONFIRMED = "read in the paper"
SIGNS = {
    "reproduced": "✓",
    "partly": "◐",
    "not reproduced": "✗",
    "contradicted": "⇄",
    "inconclusive": "?",
    "not run": "–",
    "yes": "✓",
    "no": "✗",
    "open": "?",
}
"""Verdicts on claims, then findings on our own questions and controls."""
PAPERS = {"frankle2019lottery": "Frankle & Carbin 2019"}
"""Labels that a key of the bibliography does not give: two papers of one year by one first author."""


def read(path) -> list[dict]:
    """The rows of a claims table, as dictionaries of text; BadInput if a column of the contract is missing."""
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
        if missing:
            raise BadInput(f"{path}: no column {', '.join(missing)}; a claims table has {', '.join(COLUMNS)}")
        return list(reader)


# tables


def page(rows, links=None) -> str:
    """The front page's scorecard: the count, a filter by verdict, every claim; what never counts is folded away.

    links: claim -> address of its chapter.
    """
    main, beside = ([row for row in rows if (row["scope"] == "paper") is wanted] for wanted in (True, False))
    title = f"Beside the count: {len(beside)} parts of claims, second readings, findings and analogs"
    shown = summary(main) + str(_html().filters(main)) + table(ordered(main), links, anchors=True)
    return shown + (folded(title, beside, links, anchors=True) if beside else "")


def ordered(rows) -> list[dict]:
    """By verdict in the order of SIGNS, then as listed."""
    rank = list(SIGNS)
    return sorted(rows, key=lambda row: rank.index(verdict(row)[0]))


def summary(rows) -> str:
    """One sentence with the count of each verdict."""
    return str(_html().summary(rows))


def table(rows, links=None, anchors=False) -> str:
    """An HTML table of claims; on a narrow screen the style sheet turns its rows into cards.

    anchors: whether rows get an id to link to (once on a page: a claim may stand in several tables).
    """
    return str(_html().table(rows, links or {}, anchors))


def folded(title: str, rows, links=None, anchors=False) -> str:
    """The same below a line to be opened."""
    return str(_html().folded(title, rows, links or {}, anchors))


# what a row says


def verdict(row) -> tuple[str, str]:
    """The verdict's word (a key of SIGNS) and what was added to it: "smaller", a gate, "post hoc", "fragile"."""
    for word in sorted(SIGNS, key=len, reverse=True):
        if row["verdict"].startswith(word):
            return word, row["verdict"][len(word) :].lstrip(" :;,-")
    raise BadInput(f"claim {row['claim']}: unknown verdict {row['verdict']!r}; allowed: {', '.join(SIGNS)}")


def counts(rows) -> list[tuple[str, int]]:
    """How often each verdict was given, in the order of SIGNS."""
    found = Counter(verdict(row)[0] for row in rows)
    return [(word, found[word]) for word in SIGNS if found[word]]


def citation(paper) -> str:
    """Authors and year from a key of the bibliography such as frankle2020linear; other text stays as it is."""
    key = re.match(r"([a-z]+)(\d{4})[a-z]*$", paper)
    return PAPERS.get(paper) or (f"{key[1].capitalize()} et al. {key[2]}" if key else paper)


def result(row) -> dict:
    """Our number with its unit, its 95 % interval, n and q, and a sketch of where the paper's number lies."""
    ours, low, high = (float(row[name]) if filled(row[name]) else math.nan for name in ("ours", "low", "high"))
    places = decimals(high - low)
    facts = [f"{number(low, places)} to {number(high, places)}"] if low <= high else []
    facts += [f"n\u00a0=\u00a0{number(row['n'])}"] if filled(row["n"]) else []
    facts += [rate(float(row["q"]))] if filled(row["q"]) else []
    shown = quantity(number(ours, places), row["unit"])
    return {"shown": shown, "facts": facts, "sketch": sketch(ours, low, high, row) if low <= high else None}


def rate(q: float) -> str:
    """A false discovery rate to three decimals; below half of the last one it is only said to be small."""
    return "q\u00a0<\u00a00.001" if q < 0.0005 else f"q\u00a0=\u00a0{q:.3f}"


def sketch(ours, low, high, row) -> dict[str, str]:
    """Places in a small picture: our interval and mean; the paper's number and no difference, where there are such."""
    places = {"ours": ours, "low": low, "high": high}
    if row["unit"] == "points":
        places["zero"] = 0.0
    if is_number(row["theirs"]) and row["source"] == CONFIRMED:
        places["paper"] = float(row["theirs"])
    left, right = min(places.values()), max(places.values())
    return {name: f"{6 + 108 * (value - left) / ((right - left) or 1):.1f}" for name, value in places.items()}


def filled(value) -> bool:
    """Whether a field of a row holds something: neither empty nor NaN."""
    return value is not None and value != "" and value == value


def is_number(value) -> bool:
    """Whether a field is a finite number, or the text of one."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def decimals(width) -> int | None:
    """Decimal places that show an interval of this width with two significant digits."""
    return max(0, 1 - math.floor(math.log10(width))) if width > 0 and math.isfinite(width) else None


def number(value, places=None) -> str:
    """A number for print: `places` decimals, or three significant digits; text stays text."""
    if not is_number(value):
        return str(value)
    plain = ",.0f" if abs(float(value)) >= 1000 else ".3g"  # a step is printed whole
    shown = f"{float(value):{plain if places is None else f'.{places}f'}}"
    return shown.replace("-", "−")


def quantity(shown, unit) -> str:
    """A printed number with its unit."""
    return f"{shown} {unit}" if unit and is_number(shown.replace("−", "-").replace(",", "")) else shown


def _html():
    """The macros of the template."""
    return _ENVIRONMENT.get_template("scorecard.html").module


_ENVIRONMENT = Environment(loader=PackageLoader("tickets.book"), autoescape=True, trim_blocks=True)
_ENVIRONMENT.tests["filled"] = filled
_ENVIRONMENT.globals |= {
    "signs": SIGNS, "confirmed": CONFIRMED, "verdict": verdict, "counts": counts, "citation": citation,
    "result": result, "number": number, "quantity": quantity,
}  # fmt: skip
