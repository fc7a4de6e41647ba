"""Tables of claims for the book: the paper's number, ours, its interval and the verdict side by side, as HTML.

The input is the outside contract `book/results/claims.csv`, or rows with the same columns. Nothing is computed here:
what a page says about a claim is what the row says.
"""

import csv
import math
import re
from collections import Counter
from html import escape

from .errors import BadInput

COLUMNS = (
    *("claim", "paper", "statement", "theirs", "source", "ours", "low", "high"),
    *("n", "unit", "scope", "profile", "device", "verdict", "q", "needs"),
)
CONFIRMED = "read in the paper"
SIGNS = {
    "reproduced": "✓",
    "partly": "◐",
    "not reproduced": "✗",
    "contradicted": "⇄",
    "inconclusive": "?",
    "not run": "–",
}


def read(path) -> list[dict]:
    """The rows of a claims table, as dictionaries of text; BadInput if a column of the contract is missing."""
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
        if missing:
            raise BadInput(f"{path}: no column {', '.join(missing)}; a claims table has {', '.join(COLUMNS)}")
        return list(reader)


def verdict(row) -> tuple[str, str]:
    """The verdict's word (a key of SIGNS) and what was added to it: "smaller", a gate, "post hoc", "fragile"."""
    for word in sorted(SIGNS, key=len, reverse=True):
        if row["verdict"].startswith(word):
            return word, row["verdict"][len(word) :].lstrip(" :;,-")
    raise BadInput(f"claim {row['claim']}: unknown verdict {row['verdict']!r}; allowed: {', '.join(SIGNS)}")


def page(rows, links=None) -> str:
    """The front page's scorecard: the count, a filter by verdict, every claim; what never counts is folded away.

    links: claim -> address of its chapter.
    """
    counted, beside = ([row for row in rows if (row["scope"] == "paper") is wanted] for wanted in (True, False))
    return summary(counted) + filters(counted) + table(ordered(counted), links, anchors=True) + folded(beside, links)


def ordered(rows) -> list[dict]:
    """By verdict in the order of SIGNS, then as listed."""
    rank = list(SIGNS)
    return sorted(rows, key=lambda row: rank.index(verdict(row)[0]))


def summary(rows) -> str:
    """One sentence with the count of each verdict."""
    counts = Counter(verdict(row)[0] for row in rows)
    said = ", ".join(f"<strong>{counts[word]}</strong> {word}" for word in SIGNS if counts[word])
    return f"<p>Of <strong>{len(rows)}</strong> claims, tested at the papers’ own settings: {said}.</p>\n"


def filters(rows) -> str:
    """Buttons that keep only the claims of one verdict; they appear where scripts run."""
    counts = Counter(verdict(row)[0] for row in rows)
    buttons = "".join(
        f'<button type="button" data-keep="{word}" aria-pressed="false">{chip(word)} {counts[word]}</button>'
        for word in SIGNS
        if counts[word]
    )
    return f'<div class="claim-filters" role="group" aria-label="Show only one verdict" hidden>{buttons}</div>\n'


def folded(rows, links=None) -> str:
    """Rows that never count: parts of a claim, values and second readings, and analogs at other settings."""
    if not rows:
        return ""
    title = f"Beside the count: {len(rows)} parts of claims, second readings and analogs at other settings"
    return f'<details class="claims-beside"><summary>{title}</summary>\n{table(rows, links, anchors=True)}</details>\n'


def table(rows, links=None, anchors=False) -> str:
    """An HTML table of claims; on a narrow screen the style sheet turns its rows into cards.

    anchors: whether rows get an id to link to (once on a page: a claim may stand in several tables).
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Claim", "Paper", "Ours"))
    body = "\n".join(table_row(row, (links or {}).get(row["claim"]), anchors) for row in rows)
    return f'<table class="claims"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n'


def table_row(row, link=None, anchor=False) -> str:
    """One claim. What was not run says what it needs instead of a result."""
    ours, label = (ours_cell(row), "Ours") if filled(row["ours"]) else (small(row["needs"]), "Needs")
    cells = f'<td>{claim_cell(row, link)}</td><td data-label="Paper">{theirs_cell(row)}</td>'
    cells += f'<td data-label="{label}">{ours}</td>'
    name = f' id="claim-{escape(row["claim"])}"' if anchor else ""
    return f'<tr{name} data-verdict="{verdict(row)[0]}">{cells}</tr>'


def chip(word) -> str:
    """A verdict as a coloured label; its sign carries the meaning where colour does not."""
    return f'<span class="verdict {word.replace(" ", "-")}"><span aria-hidden="true">{SIGNS[word]}</span> {word}</span>'


def claim_cell(row, link=None) -> str:
    """Verdict, name (a link into the chapter where there is one), sentence and paper of a claim."""
    word, added = verdict(row)
    name = escape(row["claim"])
    name = f'<a href="{escape(link)}">{name}</a>' if link else f"<strong>{name}</strong>"
    scope = "" if row["scope"] == "paper" else f" · {row['scope']}"
    head = f"{chip(word)} {name} " + (f'<span class="added">{escape(added)}</span>' if added else "")
    return f"<div>{head}</div>{escape(row['statement'])} {small(citation(row['paper']) + scope)}"


def citation(paper) -> str:
    """Author and year from a key of the bibliography such as frankle2019lottery; other text stays as it is."""
    key = re.match(r"([a-z]+)(\d{4})[a-z]*$", paper)
    return f"{key[1].capitalize()} {key[2]}" if key else paper


def theirs_cell(row) -> str:
    """The paper's number and how it is known; one that was not read in the paper is not printed as the paper's."""
    if not filled(row["theirs"]):
        return small("no number")
    if row["source"] != CONFIRMED:
        return small(f"not confirmed ({row['source']})")
    return f"{escape(quantity(number(row['theirs']), row['unit']))} {small(CONFIRMED)}"


def ours_cell(row) -> str:
    """Our number, its 95 % interval, n and q, and a sketch of where the paper's number lies."""
    ours, low, high = (float(row[name]) if filled(row[name]) else math.nan for name in ("ours", "low", "high"))
    places = decimals(high - low)
    facts = [f"{number(low, places)} to {number(high, places)}"] if low <= high else []
    facts += [f"n\u00a0=\u00a0{number(row['n'])}"] if filled(row["n"]) else []
    facts += [rate(float(row["q"]))] if filled(row["q"]) else []
    shown = escape(quantity(number(ours, places), row["unit"])) + " " + small(", ".join(facts))
    return shown + (sketch(ours, low, high, row) if low <= high else "")


def rate(q: float) -> str:
    """A false discovery rate to three decimals; below half of the last one it is only said to be small."""
    return "q\u00a0<\u00a00.001" if q < 0.0005 else f"q\u00a0=\u00a0{q:.3f}"


def sketch(ours, low, high, row) -> str:
    """A small picture: our interval and mean, the paper's number as an open ring, no difference as a faint line."""
    differs, printed = row["unit"] == "pp", is_number(row["theirs"]) and row["source"] == CONFIRMED
    zero, paper = 0.0 if differs else ours, float(row["theirs"]) if printed else ours
    left, right = min(low, paper, zero), max(high, paper, zero)
    x = {
        name: f"{6 + 108 * (value - left) / ((right - left) or 1):.1f}"
        for name, value in (("zero", zero), ("paper", paper), ("ours", ours), ("low", low), ("high", high))
    }
    line = f'<line class="zero" x1="{x["zero"]}" x2="{x["zero"]}" y1="1" y2="15"/>' if differs else ""
    ring = f'<circle class="paper" cx="{x["paper"]}" cy="8" r="4"/>' if printed else ""
    return (
        f'<svg class="sketch" viewBox="0 0 120 16" width="120" height="16" aria-hidden="true">{line}'
        f'<line x1="{x["low"]}" x2="{x["high"]}" y1="8" y2="8"/><circle cx="{x["ours"]}" cy="8" r="2.5"/>{ring}</svg>'
    )


def small(value) -> str:
    return f"<small>{escape(str(value))}</small>" if filled(value) else ""


def filled(value) -> bool:
    """Whether a field of a row holds something: neither empty nor NaN."""
    return value is not None and value != "" and value == value


def is_number(value) -> bool:
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
