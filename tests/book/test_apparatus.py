"""What a page carries: numbered figures, references to them, an imprint, a citation."""

import sys
from types import SimpleNamespace

import pytest
from tickets.files import BOOK

sys.path.append(str(BOOK / "_ext"))
import apparatus

BODY = """<p><a href="#second">the figure</a>, <a href="#else">elsewhere</a></p>
<figure id="first" role="group"><picture></picture><figcaption>One.</figcaption></figure>
<figure id="second" class="not-run"><figcaption>Two.</figcaption></figure>"""
CONFIG = SimpleNamespace(author="The authors", html_title="The book")


@pytest.mark.parametrize(("page", "number"), [("notebooks/03_deconstructing", "3."), ("intro", "")])
def test_figures_are_numbered_page_by_page_and_links_know_it(page, number):
    body = apparatus.numbered(BODY, page)
    assert f'<figcaption><b class="number">Figure {number}1.</b> One.' in body
    assert f'<figcaption><b class="number">Figure {number}2.</b> Two.' in body
    assert f'<a href="#second">Figure {number}2</a>, <a href="#else">elsewhere</a>' in body


def test_an_imprint_says_who_what_and_when(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1764115200")  # 26 November 2025
    monkeypatch.setenv("TICKETS_COMMIT", "abc1234")
    monkeypatch.delenv("TICKETS_REPOSITORY", raising=False)
    text = apparatus.imprint(CONFIG, "scorecard", "Score <em>card</em>")
    for part in ("The authors", "26 November 2025", "commit abc1234", "MIT licence", "@misc{tickets2025scorecard"):
        assert part in text
    assert "title  = {Score card}" in text
    assert "source of this page" not in text
    assert "url" not in text


def test_the_source_of_a_page_is_linked_where_the_address_is_known(monkeypatch):
    monkeypatch.setenv("TICKETS_REPOSITORY", "https://example.org/tickets")
    for page, path in (("scorecard", "book/scorecard.md"), ("notebooks/01_a", "notebooks/01_a.ipynb")):
        text = apparatus.imprint(CONFIG, page, "T")
        assert f'<a href="https://example.org/tickets/blob/main/{path}">source of this page</a>' in text
        assert "url    = {https://example.org/tickets}" in text
