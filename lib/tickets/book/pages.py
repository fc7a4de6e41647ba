"""Pieces of a chapter's page: its claims, its settings, small tables."""

import pandas as pd
from IPython.display import HTML

from ..cells import Cell
from ..errors import BadInput, choose
from ..figures.style import WORDS
from ..files import LOCAL
from ..results.store import Store
from . import questions, scorecard, verdicts


class Judged:
    """The claims of a chapter as its page shows them: question by question, and all at its end.

    by_claim: rows as in claims.csv by the names of claims and parts in claims.yml; main: those of claims that count;
    desk: those at the desk, beside those at the paper's scale; rows: both; named: both, by what answers call them.
    """

    def __init__(self, results, study: str, profile: str):
        found = lambda p: {scorecard.base(row): row for row in verdicts.of_study(results, study, p).to_dict("records")}  # noqa: E731
        self.study, self.by_claim, self.desk = study, found(profile), found("desk") if profile == "paper" else {}
        self.named = self.by_claim | {row["claim"]: row for row in self.desk.values()}
        self.rows = [row for name, own in self.by_claim.items() for row in (own, self.desk.get(name)) if row]
        self.main = [row for row in self.by_claim.values() if row["scope"] in ("paper", "analog")]

    def tally(self) -> HTML:
        """The count of each verdict on the claims at their paper's scale, and on analogs."""
        return HTML(scorecard.html("summary", self.main))

    def answer(self, section: str) -> HTML:
        """What answers a question, then its claims with their parts."""
        asked = questions.of(self.study)[choose("section", section, questions.of(self.study))]
        sentences, rest = questions.answer(asked, self.named)
        counted = list(questions.counted(asked, self.by_claim).values())
        rows = [row for row in self.rows if scorecard.base(row).split(".")[0] in asked.claims]
        box = scorecard.html("answered", sentences, rest, counted, rows)
        return HTML(box + scorecard.html("table", rows, questions.about(), True))

    def overview(self) -> HTML:
        """Every verdict in a line."""
        return HTML(scorecard.html("brief", self.rows))

    def unsettled(self) -> HTML:
        """Claims that wait for replicates; then those that did not replicate or stay open, with a reason if known."""
        rows = [row for row in self.desk.values() if row["scope"] in ("analog", "finding")]
        waiting = [f"{row['claim']} (n = {row['n']})" for row in (*self.main, *rows) if row["n"] and row["needs"]]
        rows = self.main + [row for row in rows if row["scope"] == "analog"]
        why = questions.reasons(self.study, self.named)
        rest = [row for row in rows if not row["verdict"].startswith(("reproduced", "not run"))]
        named = lambda row: row["claim"] if row["profile"] == "desk" else scorecard.base(row)  # noqa: E731
        rest = [{**row, "why, where we know": why.get(named(row), "–")} for row in rest]
        listed = table(pd.DataFrame(rest, columns=["claim", "statement", "verdict", "why, where we know"]))
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
    each = ", ".join(f"{name} {share:.0%}" for name, share in parts.items())
    return {
        "data": WORDS[cell.dataset], "steps": f"{cell.steps:,}", "batch": f"{cell.batch:,}", "optimizer, rate": rate,
        "pruned per round": each if cell.scope == "layerwise" else f"{cell.rate:.0%} over all that is pruned, at once",
    }  # fmt: skip


def table(frame: pd.DataFrame) -> HTML:
    """A small table without its index, numbers as they are; a line where there is nothing in it."""
    if frame.empty:
        return HTML("<p>There is nothing to list.</p>")
    text = frame.to_html(index=False, border=0, na_rep="–", justify="left", escape=True).replace(" %", "\u00a0%")
    return HTML(f'<div style="overflow-x: auto" tabindex="0">{text}</div>')
