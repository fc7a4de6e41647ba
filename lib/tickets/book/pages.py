"""Pieces of a chapter's page: its claims, its settings, small tables."""

from html import escape

import pandas as pd
from IPython.display import HTML

from ..cells import Cell
from ..evidence.claims import load
from ..figures.style import WORDS
from . import scorecard, verdicts


def claims(rows: list[dict], *names: str, anchors: bool = False) -> HTML:
    """The named claims with their parts (all where none is named), as the scorecard shows them; unrun ones folded.

    names: ids as in claims.yml, whatever the profile; anchors: rows get ids to link to, once on a page.
    """
    whole = lambda row: row["claim"].removesuffix(verdicts.suffix(row["profile"])).split(".")[0]  # noqa: E731
    chosen = [row for row in rows if not names or whole(row) in names]
    ran = [row for row in chosen if not row["verdict"].startswith("not run")]
    rest = [row for row in chosen if row not in ran]
    shown = scorecard.table(ran, anchors=anchors) if ran else ""
    if rest:
        title = f"Not run: {', '.join(row['claim'] for row in rest if '.' not in row['claim'])}, and what they need"
        shown += scorecard.folded(title, rest, anchors=anchors)
    return HTML(shown)


class Judged:
    """The claims of a chapter as its page shows them: all, some by name, and those that did not replicate.

    rows: as in claims.csv; main: those at the paper's scale, or analogs, that the scorecard shows.
    """

    def __init__(self, results, study: str, profile: str):
        self.rows = verdicts.of_study(results, study, profile).to_dict("records")
        self.main = [row for row in self.rows if row["scope"] in ("paper", "analog")]
        self.suffix = verdicts.suffix(profile)

    def __call__(self, *names: str) -> HTML:
        """The verdicts on some claims, with their parts, where this page has them."""
        return claims(self.rows, *names)

    def overview(self) -> HTML:
        """The count of each verdict, and every claim with an anchor."""
        return HTML(scorecard.summary(self.main) + claims(self.main, anchors=True).data)

    def unsettled(self) -> HTML:
        """Claims that wait for replicates, by name; then a table of those that did not replicate or stay open."""
        needed = {entry["id"] + self.suffix: entry["n"] for entry in load().values()}
        short = [row for row in self.main if row["n"] and row["n"] < needed[row["claim"]]]
        waiting = [row["claim"] for row in short if row["verdict"].startswith("inconclusive")]
        held = ("reproduced", "not run")
        rest = [row for row in self.main if not row["verdict"].startswith(held) and row["claim"] not in waiting]
        listed = table(pd.DataFrame(rest, columns=["claim", "statement", "verdict", "needs"]))
        return HTML(f"<p>Waiting for more replicates: {', '.join(waiting) or 'none'}.</p>\n{listed.data}")


def setting(cell: Cell) -> dict[str, str]:
    """How a network is trained and pruned: a row of a table of settings, by its column heads."""
    rate = f"{WORDS[cell.optimizer]}, {cell.learning_rate:g}"
    rate += f", /10 at {' and '.join(f'{step:,}' for step in cell.drops)}" if cell.drops else ""
    rate += f", {cell.warmup:,} steps of warmup" if cell.warmup else ""
    parts = {"dense layers": cell.rate, "convolutions": cell.conv_rate, "output layer": cell.output_rate}
    if cell.model.startswith("lenet"):
        del parts["convolutions"]
    each = f"{cell.rate:.0%} over all layers"
    if cell.scope == "layerwise":
        each = ", ".join(f"{name} {share:.0%}" for name, share in parts.items())
    return {
        "data": WORDS[cell.dataset], "steps": f"{cell.steps:,}", "batch": f"{cell.batch:,}", "optimizer, rate": rate,
        "pruned per round": each,
    }  # fmt: skip


def table(frame: pd.DataFrame, caption: str = "") -> HTML:
    """A small table without its index, numbers as they are; a line where there is nothing in it."""
    if frame.empty:
        return HTML("<p>There is nothing to list.</p>")
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    text = frame.to_html(index=False, border=0, na_rep="–", justify="left", escape=True).replace(" %", "\u00a0%")
    return HTML(f'<div style="overflow-x: auto" tabindex="0">{text.replace(">", ">" + head, 1)}</div>')
