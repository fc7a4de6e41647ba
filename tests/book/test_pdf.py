"""The site as one PDF: a small site by hand, and what must become of its links, its figures and what moves in it."""

import hashlib
import re
from contextlib import nullcontext
from types import SimpleNamespace

import pdf
import pytest

NAV = """<nav class="bd-links"><ul><li><a class="reference internal" href="{root}intro.html">Intro</a></li>
<li><a class="reference internal" href="{root}notebooks/one.html">One</a></li>
<li><a class="reference internal" href="https://elsewhere.example/">Elsewhere</a></li></ul></nav>"""
PAGE = """<!doctype html><html data-theme="dark"><head><meta charset="utf-8"></head><body>{nav}
<article class="bd-article"><h1 id="top">{title}<a class="headerlink" href="#top">#</a></h1>{body}</article></body>"""
INTRO = """<p id="text">See <a href="notebooks/one.html#deep">below</a>, <a href="results/data.csv">the data</a> and
<a href="https://elsewhere.example/">elsewhere</a>.</p>"""
ONE = """<h2 id="deep">Deep inside</h2><p>Back <a href="../intro.html">to the front</a> or <a href="#deep">here</a>.</p>
<img src="../dot.svg" alt="a dot"><details class="claims-beside"><summary>Parts</summary><p>folded away</p></details>
<details class="hide above-input"><summary>code</summary><pre>secret = 1</pre></details>
<div class="explorer"><input type="range" value="3"><output></output><script>
document.currentScript.closest(".explorer").querySelector("output").textContent = "stands still at 3";</script></div>"""
DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle cx="20" cy="20" r="18"/></svg>'
LOOK = """() => ({
  text: document.body.innerText, theme: document.documentElement.dataset.theme,
  inputs: [...document.querySelectorAll("input")].filter((one) => one.offsetParent).length,
  dots: [...document.images].map((image) => image.naturalWidth),
  links: [...document.querySelectorAll("article a")].map((link) => link.getAttribute("href")),
  lost: [...document.querySelectorAll('a[href^="#"]')].filter((a) => !document.getElementById(a.hash.slice(1))).length,
})"""


def small_site(folder, one=ONE):
    (folder / "notebooks").mkdir(parents=True)
    (folder / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=intro.html" />')
    (folder / "intro.html").write_text(PAGE.format(nav=NAV.format(root=""), title="The front", body=INTRO))
    page = PAGE.format(nav=NAV.format(root="../"), title="Chapter one", body=one)
    (folder / "notebooks/one.html").write_text(page)
    (folder / "dot.svg").write_text(DOT)
    return folder


def bookmarks(content):
    """(depth, title) of the bookmarks of a PDF, in their order."""
    objects = dict(re.findall(rb"(\d+) 0 obj\s*<<(.*?)>>\s*endobj", content, re.S))

    def below(entry, depth):
        link = re.search(rb"/First (\d+) 0 R", entry)
        while link:
            entry = objects[link[1]]
            yield depth, re.search(rb"/Title \((.*?)\)", entry)[1].decode()
            yield from below(entry, depth + 1)
            link = re.search(rb"/Next (\d+) 0 R", entry)

    return list(below(objects[re.search(rb"/Outlines (\d+) 0 R", content)[1]], 0))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return small_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def joined(chromium, site):
    """What a browser sees of the joined pages just before it prints them, as `pdf.join` leaves it."""
    page = chromium.new_page()
    pdf.join(page, site)
    yield page.evaluate(LOOK)
    page.close()


@pytest.fixture(scope="module")
def printed(chromium, site, tmp_path_factory):
    return pdf.write(site, tmp_path_factory.mktemp("pdf") / "book.pdf", chromium)


def test_pages_stand_in_the_order_of_the_contents(joined):
    text = joined["text"]
    places = [text.index(part) for part in ("The front", "Chapter one", "Deep inside", "folded away")]
    assert places == sorted(places)
    assert "#" not in text  # the marks of headings


def test_links_within_the_book_lead_on_and_others_stay(joined):
    expected = ["#notebooks-one--deep", None, "https://elsewhere.example/", "#intro", "#notebooks-one--deep"]
    assert joined["links"] == expected  # a file of the site is no part of a PDF
    assert joined["lost"] == 0


def test_figures_are_there_and_light(joined):
    assert joined["dots"] == [40]
    assert joined["theme"] == "light"


def test_what_moves_stands_still(joined):
    assert "stands still at 3" in joined["text"]
    assert joined["inputs"] == 0
    assert "secret" not in joined["text"]  # code that pages fold away


def test_the_pdf_has_bookmarks_links_and_page_numbers(printed):
    content = printed.read_bytes()
    assert content.startswith(b"%PDF")
    assert bookmarks(content) == [(0, "The front"), (0, "Chapter one"), (1, "Deep inside")]
    pages = len(re.findall(rb"/Type /Page\b", content))
    assert pages == 3  # the front, the contents, one chapter
    assert content.count(b"/Subtype /Link") >= 6


def test_its_checksum_lies_beside_it(printed):
    digest, name = printed.with_suffix(".pdf.sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(printed.read_bytes()).hexdigest(), "book.pdf")


def test_a_script_that_fails_is_no_book(chromium, tmp_path):
    site = small_site(
        tmp_path / "site", '<div class="explorer"><script>throw new Error("broken explorer");</script></div>'
    )
    with pytest.raises(RuntimeError, match="broken explorer"):
        pdf.write(site, tmp_path / "book.pdf", chromium)
    assert not (tmp_path / "book.pdf").exists()


def test_without_a_browser_one_line_says_how_to_get_one(monkeypatch, tmp_path):
    nowhere = SimpleNamespace(chromium=SimpleNamespace(executable_path=str(tmp_path / "chrome")))
    monkeypatch.setattr(pdf, "sync_playwright", lambda: nullcontext(nowhere))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="apt-get install chromium"), pdf.browser():
        pass
