"""One figure on a page: the picture, its alternative text, its numbers as a file, and a link to what drew it."""

import base64
import io
from html import escape

from IPython.display import HTML

NOT_RUN = HTML('<p class="not-run">Not run: nothing of this is recorded at this profile yet.</p>')


def figure(there, make, name: str, alt: str, by: str, as_is: bool = False, api: str = "../api.html") -> HTML:
    """A matplotlib or plotly figure with alternative text, its numbers as a file, and a link to what drew it.

    there: whether there is anything to draw, else a line says that it was not run; make: called without arguments,
    gives the figure and the numbers in it; name: stable id and file name; by: the full name of what drew it;
    as_is: lightness is data, so dark mode must not turn it over; api: where the page finds the reference.
    """
    if not there:
        return NOT_RUN
    drawn, data = make()
    picture = _interactive(drawn, name) if hasattr(drawn, "to_html") else _static(drawn, alt)
    numbers = base64.b64encode(data.to_csv(index=False, float_format="%.6g").encode()).decode()
    links = (
        f'<a download="{name}.csv" href="data:text/csv;base64,{numbers}">data</a> · '
        f'<a href="{api}#{by}">{".".join(by.split(".")[-2:])}</a>'
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
