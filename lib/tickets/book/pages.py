"""Pieces of a chapter's page: its claims, its settings, small tables."""

from html import escape

import pandas as pd
from IPython.display import HTML

from ..cells import Cell
from ..errors import BadInput
from ..figures.style import WORDS
from ..files import LOCAL
from ..results.store import Store
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
        waiting = [row["claim"] for row in self.main if row["n"] and row["needs"]]
        held = ("reproduced", "not run")
        rest = [row for row in self.main if not row["verdict"].startswith(held)]
        listed = table(pd.DataFrame(rest, columns=["claim", "statement", "verdict", "needs"]))
        return HTML(f"<p>Waiting for more replicates: {', '.join(waiting) or 'none'}.</p>\n{listed.data}")


def results_of(store: str, train: bool) -> Store:
    """The store that a notebook reads: what is recorded, or a folder of local results, which training fills.

    BadInput for parameters of another kind: papermill hands over whatever it is given.
    """
    if not isinstance(train, bool):
        raise BadInput(f"train {train!r}: must be True or False")
    if not isinstance(store, str):
        raise BadInput(f"store {store!r}: must be the name of a folder, or empty")
    if train:
        return Store(store or LOCAL, recorded=None)
    return Store(store) if store else Store.committed()


def chosen(name: str, given, allowed) -> list[int]:
    """A parameter that lists pruning rounds; BadInput unless every one of them is in the study."""
    rounds = sorted(set(allowed))
    if not isinstance(given, list) or not all(type(one) is int and one in rounds for one in given):
        raise BadInput(f"{name} {given!r}: must be a list of pruning rounds among {', '.join(map(str, rounds))}")
    return given


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
