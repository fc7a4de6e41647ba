"""How a figure is shown: caption, text, numbers, a drawing for phones, and a line where nothing was run."""

import base64
import re
from xml.etree import ElementTree

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from tickets.figures import show, style

DATA = pd.DataFrame({"x": [1, 2], "y": [0.5, 0.25]})
SHOWN = ("ladder", "An <alt>.", "tickets.figures.style.finish", "What & how.")


def drawn(panels, **shared):
    figure, grid = plt.subplots(1, panels, figsize=(9, 3), squeeze=False, **shared)
    for axes in grid.flat:
        axes.plot([1, 2], [3, 4], label="line")
    grid[0, 0].set_ylabel("accuracy")
    figure.legend(ncols=4)
    plt.close(figure)
    return figure


def pictures(html):
    """The SVG of each drawing of a figure."""
    return [ElementTree.fromstring(base64.b64decode(text)) for text in re.findall(r"svg\+xml;base64,([\w+/=]+)", html)]


def size(svg):
    return [float(svg.get(name).removesuffix("pt")) for name in ("width", "height")]


def test_a_figure_has_caption_text_numbers_and_source():
    html = show.figure(True, lambda: (drawn(1), DATA), *SHOWN).data
    assert '<figure id="ladder" role="group" aria-label="An &lt;alt&gt;.">' in html
    assert "<figcaption>What &amp; how. <small>" in html
    assert '<a href="../api.html#tickets.figures.style.finish">style.finish</a>' in html
    numbers = base64.b64decode(re.search(r"csv;base64,([\w+/=]+)", html)[1]).decode()
    assert numbers == "x,y\n1,0.5\n2,0.25\n"


def test_what_was_not_run_keeps_its_place():
    html = show.figure(0, lambda: pytest.fail("nothing to draw"), *SHOWN).data
    assert html.startswith('<figure id="ladder" class="not-run">')
    assert show.NOT_RUN in html


def test_panels_stand_below_each_other_on_a_phone():
    html = show.figure(True, lambda: (drawn(3, sharey=True), DATA), *SHOWN).data
    assert '<source media="(max-width: 600px)"' in html
    narrow, wide = (size(svg) for svg in pictures(html))
    assert narrow[0] < 0.6 * wide[0]
    assert narrow[1] > 2 * wide[1]


def test_letters_of_a_single_panel_keep_their_size_on_a_phone():
    narrow, wide = (size(svg) for svg in pictures(show.figure(True, lambda: (drawn(1), DATA), *SHOWN).data))
    assert narrow[0] < 0.6 * wide[0]
    assert narrow[1] == pytest.approx(wide[1], rel=0.3)


def test_stacked_panels_have_labels_of_their_own():
    figure = drawn(2, sharey=True)
    show.stack(figure, figure.axes)
    upper, lower = figure.axes
    assert upper.get_position().y0 > lower.get_position().y1
    assert lower.get_ylabel() == "accuracy"
    assert lower.yaxis.get_tick_params()["labelleft"]


@pytest.mark.parametrize(("name", "columns"), [("a longer name", 2), ("a name too long for two to stand in a row", 1)])
def test_a_legend_is_no_wider_than_a_phone(name, columns):
    figure = drawn(2)
    for i in range(4):
        figure.axes[0].plot([1], [1], label=f"{name} {i}")
    style.legend_below(figure, figure.axes)
    figure.legends[0].remove()  # that of `drawn`
    figure.canvas.draw()
    wide = figure.legends[0].get_window_extent().width / figure.dpi
    show.stack(figure, figure.axes)
    figure.canvas.draw()
    narrow = figure.legends[0].get_window_extent().width / figure.dpi
    assert wide > show.NARROW > narrow
    assert figure.legends[0]._ncols == columns


def test_pictures_stand_two_in_a_row():
    figure = drawn(4)
    for axes in figure.axes:
        axes.set_axis_off()
    show.stack(figure, figure.axes)
    first, second, third, _ = (axes.get_position() for axes in figure.axes)
    assert first.y0 == second.y0
    assert first.x1 < second.x0
    assert third.y1 < first.y0


def test_a_page_gets_its_name_and_numbers(tmp_path):
    template = tmp_path / "page.html"
    template.write_text('<div id="{{ name }}">{{ data }}</div>')
    page = show.Page(template, {"spans": [[1.5, float("nan")]]})
    html = show.figure(True, lambda: (page, DATA), *SHOWN).data
    assert '<div id="ladder">{"spans":[[1.5,null]]}</div>' in html
