"""Pieces of a chapter's page: a figure with its text, its data and the function behind it; claims; a table."""

import base64
import io
from html import escape

import pandas as pd
from IPython.display import HTML

from . import scorecard
from .cells import Cell
from .claims import judged, load

WORDS = {
    "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100",
    "imagenet": "ImageNet", "digits": "8x8 digits", "digits16": "16x16 digits",
    "lenet-300-100": "LeNet-300-100", "conv-2": "Conv-2", "conv-4": "Conv-4", "conv-6": "Conv-6",
    "resnet-20": "ResNet-20", "resnet-50": "ResNet-50", "vgg-16": "VGG-16", "vgg-19": "VGG-19",
    "adam": "Adam", "sgd": "SGD",
}  # fmt: skip
"""How pages write the values of a cell."""
NOT_RUN = HTML('<p class="not-run">Not run: nothing of this is recorded at this profile yet.</p>')


def figure(there, make, name: str, alt: str, by: str, as_is: bool = False, api: str = "../api.html") -> HTML:
    """A matplotlib or plotly figure with alternative text, its numbers as a file, and a link to what drew it.

    there: whether there is anything to draw, else a line says that it was not run; make: called without arguments,
    gives the figure and the numbers in it; name: stable id and file name; by: what drew it, as in "plots.ladder";
    as_is: lightness is data, so dark mode must not turn it over; api: where the page finds the reference.
    """
    if not there:
        return NOT_RUN
    drawn, data = make()
    picture = _interactive(drawn, name) if hasattr(drawn, "to_html") else _static(drawn, alt)
    numbers = base64.b64encode(data.to_csv(index=False, float_format="%.6g").encode()).decode()
    links = (
        f'<a download="{name}.csv" href="data:text/csv;base64,{numbers}">data</a> · '
        f'<a href="{api}#tickets.{by}">tickets.{by}</a>'
    )
    label = f'id="{name}" role="group" aria-label="{escape(alt)}"' + ' class="as-is"' * as_is
    return HTML(f"<figure {label}>{picture}<figcaption>{links}</figcaption></figure>")


def _static(drawn, alt: str) -> str:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    source = base64.b64encode(buffer.getvalue()).decode()
    return f'<div class="wide" tabindex="0"><img alt="{escape(alt)}" src="data:image/svg+xml;base64,{source}"></div>'


def _interactive(drawn, name: str) -> str:
    return drawn.to_html(
        full_html=False, include_plotlyjs=False, div_id=f"{name}-plot", config={"displayModeBar": False}
    )


def claims(rows: list[dict], *names: str, anchors: bool = False) -> HTML:
    """The named claims with their parts (all where none is named), as the scorecard shows them; unrun ones folded.

    names: ids as in claims.yml, whatever the profile; anchors: rows get ids to link to, once on a page.
    """
    whole = lambda claim: claim.removesuffix("-quick").split(".")[0]  # noqa: E731
    chosen = [row for row in rows if not names or whole(row["claim"]) in names]
    ran = [row for row in chosen if not row["verdict"].startswith("not run")]
    rest = [row for row in chosen if row not in ran]
    shown = scorecard.table(ran, anchors=anchors) if ran else ""
    if rest:
        title = f"Not run: {', '.join(row['claim'] for row in rest if '.' not in row['claim'])}, and what they need"
        folded = scorecard.table(rest, anchors=anchors)
        shown += f'<details class="claims-beside"><summary>{title}</summary>\n{folded}</details>\n'
    return HTML(shown)


class Judged:
    """The claims of a chapter as its page shows them: all, some by name, and those that did not replicate.

    rows: as in claims.csv; main: those at the paper's scale, or analogs, that the scorecard shows.
    """

    def __init__(self, results, study: str, profile: str):
        self.rows = judged(results, profile, [study]).to_dict("records")
        self.main = [row for row in self.rows if row["scope"] in ("paper", "analog")]
        self.suffix = "-quick" * (profile == "quick")

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
