"""Tables of claims for the book: the paper's number, ours, its interval and the verdict side by side, as HTML.

The input is the outside contract `book/results/claims.csv`, or rows with the same columns. Nothing is computed here:
what a page says about a claim is what the row says. How it looks stands in templates/scorecard.html.
"""

import math
import re
from collections import Counter

import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from ..errors import BadInput
from .verdicts import COLUMNS, suffix

CONFIRMED = "read in the paper"
SIGNS = {
    "reproduced": "✓", "partly": "◐", "not reproduced": "✗", "contradicted": "⇄", "inconclusive": "?", "not run": "–",
    "yes": "✓", "in part": "◐", "no": "✗", "supports": "✓", "excludes": "◐", "open": "?",
}  # fmt: skip
"""Verdicts on claims, then findings on our own questions and controls."""
SCALES = {
    "points": (lambda x: math.asinh(20 * x), -30, 30, 0),
    "% earlier": (float, -100, 100, 0),
    **dict.fromkeys(("times as fast", "times as rare"), (lambda x: math.log(max(x, 1e-9)), 1 / 20, 20, 1)),
    "% of the weights": (lambda x: -math.log(max(x, 1e-9)), 100, 1, None),
    **dict.fromkeys(("%", "% of settings", "% of densities"), (float, 0, 100, None)),
    "": (lambda x: math.log10(max(x, 0) + 100), 0, 1e5, None),
}
"""Unit -> (scale, its ends, no difference) of the sketches."""
DEFAULT = (lambda x: math.asinh(4 * x), -2, 2, 0)
TERMS = {
    "n": "replicates: initializations with a split of the data of their own",
    "q": "share of claims with a q as small that would be expected to be wrong by chance",
    "fragile": "a choice that should not matter turns it: the dense network's twin, an exact test, other images",
    "post hoc": "the claim, or a rule that judges it, was changed or written after its runs",
    "records older than the claim": "networks of an earlier chapter are compared with new ones: the outcome was open",
    "densities differ": "the claim is on an average over densities, and one of them alone decides otherwise",
    "censored": "a step was not reached within the budget and is counted as its end",
}
"""What is said when one points at a word of a table."""
PAPERS = {"frankle2019lottery": "Frankle & Carbin 2019", "burkholz2022convolutional": "Burkholz 2022"}
"""Labels that a key of the bibliography does not give: two papers of one year, one author."""


def read(path) -> dict[str, dict]:
    """Claim -> its row of a claims table, all as text; BadInput if a column of the contract is missing."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [column for column in COLUMNS if column not in frame]:
        raise BadInput(f"{path}: no column {', '.join(missing)}; a claims table has {', '.join(COLUMNS)}")
    return {row["claim"]: row for row in frame.to_dict("records")}


def html(macro: str, *given) -> str:
    """One of the macros of the template: page, summary, table, answered, brief."""
    return str(getattr(_ENVIRONMENT.get_template("scorecard.html").module, macro)(*given))


# what a row says


def verdict(row) -> tuple[str, str]:
    """The verdict's word (a key of SIGNS) and what was added to it: "smaller", a gate, "post hoc", "fragile"."""
    for word in sorted(SIGNS, key=len, reverse=True):
        if row["verdict"].startswith(word):
            return word, row["verdict"][len(word) :].lstrip(" :;,-")
    raise BadInput(f"claim {row['claim']}: unknown verdict {row['verdict']!r}; allowed: {', '.join(SIGNS)}")


def added(row, brief: bool) -> str:
    """What was added to the verdict; brief: its remarks in a word, the numbers left to whoever opens the row."""
    note, bracket, remarks = verdict(row)[1].partition("(")
    short = ("post hoc", "fragile", "densities differ")
    words = [next((word for word in short if word in one), one) for one in remarks.rstrip(")").split("; ")]
    return f"{note}({'; '.join(dict.fromkeys(words))})" if bracket and brief else note + bracket + remarks


def base(row) -> str:
    """The claim's name in claims.yml, whatever the profile."""
    return row["claim"].removesuffix(suffix(row["profile"]))


def tells(row) -> bool:
    """Whether there is something to say of a claim that its rule has all replicates of: a number, or a verdict."""
    return "more replicate" not in row["needs"] and (filled(row["ours"]) or verdict(row)[0] not in ("open", "not run"))


def counts(rows) -> list[tuple[str, int]]:
    """How often each verdict was given, in the order of SIGNS."""
    found = Counter(verdict(row)[0] for row in rows)
    return [(word, found[word]) for word in SIGNS if found[word]]


def citation(paper) -> str:
    """Authors and year from a key of the bibliography such as frankle2020linear; other text stays as it is."""
    key = re.match(r"([a-z]+)(\d{4})[a-z]*$", paper)
    return PAPERS.get(paper) or (f"{key[1].capitalize()} et al. {key[2]}" if key else paper)


def mean(row) -> str:
    """Our number, to two digits of its interval."""
    return number(row["ours"], _places(row))


def span(row) -> str:
    """Its 95 % interval; empty without one."""
    both = [number(row[name], _places(row)) for name in ("low", "high")]
    return " to ".join(both) if filled(row["low"]) else ""


def _places(row) -> int | None:
    """Decimal places that show its interval with two significant digits; None without one."""
    width = float(row["high"]) - float(row["low"]) if filled(row["low"]) else 0
    return max(0, 1 - math.floor(math.log10(width))) if 0 < width < math.inf else None


def explained(added: str) -> Markup:
    """What was added to a verdict, its terms with their meaning to point at."""
    text = escape(added)
    for term, meaning in TERMS.items():
        if len(term) > 1:
            text = text.replace(term, Markup('<abbr title="{}">{}</abbr>').format(meaning, term), 1)
    return text


def marked(text: str) -> Markup:
    """A sentence of questions.yml, its **bold** and *slanted* words as HTML."""
    bold = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text)))
    return Markup(re.sub(r"\*(.+?)\*", r"<em>\1</em>", bold))


def rate(q) -> str:
    """A false discovery rate to three decimals; below half of the last one it is only said to be small."""
    return "<\u00a00.001" if float(q) < 0.0005 else f"=\u00a0{float(q):.3f}"


def sketch(row, accepted=None) -> dict[str, str]:
    """Places in a small picture, on one scale for all rows of a unit: our interval and mean, the paper's number, null
    (no difference), and where the mean must lie to reproduce the claim: from `least` on, `width` wide.
    """
    scale, *ends, null = SCALES.get(row["unit"], DEFAULT)
    left, right = scale(ends[0]), scale(ends[1])
    place = lambda x: f"{4 + 112 * min(1, max(0, (scale(x) - left) / (right - left))):.1f}"  # noqa: E731
    least, most = accepted or (None, None)
    values = {name: row[name] for name in ("ours", "low", "high")} | {"null": null, "least": least, "most": most}
    values["paper"] = row["theirs"] if row["source"] == CONFIRMED else None
    at = {name: place(float(value)) for name, value in values.items() if filled(value)}
    return at | ({"width": f"{float(at['most']) - float(at['least']):.1f}"} if accepted else {})


def filled(value) -> bool:
    """Whether a field of a row holds something: neither empty nor NaN."""
    return value is not None and value != "" and value == value


def number(value, places=None, digits=3) -> str:
    """A number, or the text of one, for print: `places` decimals, or so many significant digits; nothing of nothing."""
    if not filled(value):
        return ""
    plain = ",.0f" if abs(float(value)) >= 1000 else f".{digits}g"  # a step is printed whole
    return f"{float(value):{plain if places is None else f'.{places}f'}}".replace("-", "−")


_ENVIRONMENT = Environment(loader=PackageLoader("tickets.book"), autoescape=True, trim_blocks=True)
_ENVIRONMENT.tests |= {"filled": filled, "ran": lambda row: verdict(row)[0] != "not run"}
_ENVIRONMENT.filters |= {"explained": explained, "marked": marked}
_ENVIRONMENT.globals |= {"signs": SIGNS, "confirmed": CONFIRMED, "terms": TERMS}
for function in (verdict, added, counts, citation, base, mean, span, rate, sketch, number):
    _ENVIRONMENT.globals[function.__name__] = function
