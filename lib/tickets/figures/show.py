"""One figure on a page: the picture, its caption and alternative text, its numbers as a file, and what drew it.

The book numbers figures, page by page, and fills links to them with their numbers (book/_ext/apparatus.py).
"""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

from IPython.display import HTML
from jinja2 import Template
from matplotlib.gridspec import GridSpec

from .style import legend_below

TEMPLATE = Template(Path(__file__).with_name("figure.html").read_text("utf-8"), autoescape=True)
NARROW = 4.6
"""Inches of a figure for narrow screens, where panels stand below each other."""
NOT_RUN = "Not run: nothing of this is recorded at this profile yet."
PLOTLY = {"full_html": False, "include_plotlyjs": False, "config": {"displayModeBar": False}}
"""Of a plotly figure, which takes script and colours from the page (book/_static/plots.js)."""


def figure(
    there, make, name: str, alt: str, by: str, caption: str = "", as_is: bool = False, api: str = "../api.html"
) -> HTML:
    """A matplotlib or plotly figure or a `Page`, with alternative text, its numbers as a file, and what drew it.

    there: whether there is anything to draw, else a line says that it was not run; make: called without arguments,
    gives the figure and the numbers in it; name: stable id and file name; by: the full name of what drew it; caption:
    what is plotted, what lines and bands are, what to see; as_is: lightness is data, so dark mode must not turn it
    over; api: where the page finds the reference.
    """
    if not there:
        return HTML(f'<figure id="{name}" class="not-run"><figcaption>{NOT_RUN}</figcaption></figure>')
    drawn, data = make()
    if hasattr(drawn, "to_html"):
        picture = {"interactive": drawn.to_html(div_id=f"{name}-plot", **PLOTLY)}
    else:  # for narrow screens another image, on which letters keep their size and panels are stacked
        picture = {"wide": _svg(drawn)}
        stack(drawn, [axes for axes in drawn.axes if axes.get_visible()])
        picture["narrow"] = _svg(drawn)
    numbers = base64.b64encode(data.to_csv(index=False, float_format="%.6g").encode()).decode()
    said = {"name": name, "alt": alt, "by": by, "caption": caption, "as_is": as_is, "api": api, "numbers": numbers}
    return HTML(TEMPLATE.render(said, **picture))


@dataclass
class Page:
    """A figure that is HTML of its own: a template, and the data that its script draws."""

    template: Path
    data: dict

    def to_html(self, div_id: str, **_) -> str:
        numbers = json.dumps(self.data, separators=(",", ":")).replace("NaN", "null")
        return Template(self.template.read_text("utf-8")).render(name=div_id.removesuffix("-plot"), data=numbers)


def stack(drawn, panels) -> None:
    """Put the panels of a figure below each other, each as high as it was, with axis labels; pictures two in a row."""
    height, across = drawn.get_figheight() * panels[0].get_position().height, 1 if panels[0].axison else 2
    grid = GridSpec(-(-len(panels) // across), across, figure=drawn)
    drawn.set_size_inches(NARROW, max(height + 0.9, 2.6) * grid.nrows)
    for axes, place in zip(panels, grid, strict=False):
        axes.set_subplotspec(place)
        axes.tick_params(labelleft=True, labelbottom=True)
        for label in ("ylabel", "xlabel"):
            axes.set(**{label: next(filter(None, (getattr(p, f"get_{label}")() for p in (axes, *panels))), "")})
        axes.xaxis.label.set_visible(True)  # seaborn hides those of inner panels
        axes.yaxis.label.set_visible(True)
    for columns in (2, 1) if drawn.legends else ():  # a legend is laid out when it is made
        drawn.legends[0].remove()
        legend_below(drawn, panels, columns=columns)
        if drawn.legends[0].get_window_extent().width <= drawn.bbox.width:
            break
    drawn.tight_layout()


def _svg(drawn) -> str:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
