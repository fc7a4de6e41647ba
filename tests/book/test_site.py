"""The built site: the real book from the recorded results, read link by link and opened in a real browser."""

import os
import re
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import build_book
import pytest
from axe_playwright_python.sync_playwright import Axe

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
CHAPTERS = tuple(f"notebooks/{path.stem}" for path in sorted((build_book.ROOT / "notebooks").glob("[0-9]*.ipynb")))
MAIN_PAGES = ("intro", "scorecard", "methods", "draw", "regimes", *CHAPTERS)
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """The links, the anchors and the loaded files of one page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.loaded = [], {""}, []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADING.get(tag, "")):
            self.loaded.append(given[LOADING[tag]])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


BARRED = """
import sys, uuid
from pathlib import Path

class Bar:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ImportError("records are read without torch")

sys.meta_path.insert(0, Bar())
Path({folder!r}, uuid.uuid4().hex).touch()
"""
"""What every kernel of the build starts with: torch cannot be imported, and that this was run leaves a file."""


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """The folder in which each kernel of the build leaves a file."""
    return tmp_path_factory.mktemp("started")


@pytest.fixture(scope="session")
def site(tmp_path_factory, started):
    """The book, built once, every warning an error; its kernels cannot import torch."""
    profile = tmp_path_factory.mktemp("ipython")
    (profile / "profile_default/startup").mkdir(parents=True)
    (profile / "profile_default/startup/barred.py").write_text(BARRED.format(folder=str(started)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(profile))
        return build_book.build(output=tmp_path_factory.mktemp("site") / "html", parameters={"train": False})


@pytest.fixture(scope="session")
def pages(site):
    return {str(path.relative_to(site).with_suffix("")): Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="session")
def address(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def tab(chromium, address):
    """A function that opens a page of the site and collects what goes wrong on it."""
    contexts = []

    def open_page(name, viewport=DESKTOP, mode="light"):
        contexts.append(chromium.new_context(viewport=viewport, color_scheme=mode))
        page = contexts[-1].new_page()
        page.wrong = watch(page, address)
        page.goto(f"{address}/{name}.html", wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()


def watch(page, address):
    """The list that outside requests, failed responses, console messages and uncaught errors of a page go to."""
    wrong = []
    page.on("request", lambda r: r.url.startswith((address, "data:")) or wrong.append(f"outside request {r.url}"))
    page.on("response", lambda r: r.status < 400 or wrong.append(f"{r.status} {r.url}"))
    page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: wrong.append(f"uncaught: {error}"))
    return wrong


def local(link):
    return not urlsplit(link).scheme and not link.startswith("//")


# without a browser


def test_site_is_whole(site, pages):
    assert {"index", "intro", "search", *MAIN_PAGES} <= set(pages)
    assert (site / ".nojekyll").exists()
    assert "reproduction" not in pages  # before something is trained there is nothing to compare
    assert not list(site.rglob("*.unfinished"))


def test_reading_records_needs_no_torch(site, started):
    """The book renders in seconds a chapter only as long as this holds: no kernel of the build could import it."""
    assert len(list(started.iterdir())) == len(CHAPTERS)


def test_links_and_anchors_resolve(site, pages):
    broken = []
    for name, page in pages.items():
        for link in filter(local, page.links):
            path, anchor = unquote(urlsplit(link).path), unquote(urlsplit(link).fragment)
            target = (site / name).parent / path if path else site / f"{name}.html"
            known = pages.get(os.path.relpath(target.with_suffix(""), site)) if target.suffix == ".html" else None
            if not target.exists() or (known and anchor not in known.anchors):
                broken.append(f"{name}: {link}")
    assert broken == []


def test_no_page_loads_a_file_from_elsewhere(pages):
    outside = [f"{name}: {file}" for name, page in pages.items() for file in page.loaded if not local(file)]
    assert [entry for entry in outside if ": data:" not in entry] == []


def test_no_path_of_the_machine_is_published(site):
    root = str(build_book.ROOT)
    found = [path for path in site.rglob("*.*") if path.suffix in (".html", ".ipynb", ".js", ".txt")]
    assert [str(path) for path in found if root in path.read_text("utf-8", errors="ignore")] == []


def test_plots_library_is_loaded_only_where_there_is_a_plot(site, pages):
    for name, page in pages.items():
        plots = "plotly-graph-div" in (site / f"{name}.html").read_text("utf-8")
        assert any("plotly.min.js" in file for file in page.loaded) == plots, name


# in the browser


@pytest.mark.parametrize(("viewport", "mode"), [(DESKTOP, "dark"), (PHONE, "light")], ids=["desktop", "phone"])
def test_every_page_opens_cleanly_and_fits(tab, pages, address, viewport, mode):
    wrong, page = [], tab("intro", viewport, mode)
    for name in sorted(set(pages) - {"index"}):  # index.html leads on to intro.html
        page.goto(f"{address}/{name}.html", wait_until="load")
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        wrong += [f"{name}: {overflow} px too wide"] if overflow > 0 else []
    assert wrong + page.wrong == []


def test_formulas_are_set(tab):
    page = tab("methods")
    page.wait_for_function("[...document.querySelectorAll('.math')].every(e => e.querySelector('mjx-container'))")
    assert page.wrong == []


def test_sidebar_opens_and_closes(tab):
    page = tab("intro", PHONE)
    link = page.get_by_role("link", name="How to read this book").first
    assert not link.is_visible()
    page.locator(".primary-toggle").first.click()
    link.wait_for(state="visible")
    link.click()
    page.wait_for_url(re.compile("how-to-read"))
    desktop = tab("intro")
    sidebar = desktop.locator(".bd-sidebar-primary")
    desktop.locator(".primary-toggle").first.click()
    desktop.wait_for_function("document.querySelector('.bd-sidebar-primary').getBoundingClientRect().right <= 0")
    assert sidebar.count() == 1


def test_search_finds_a_page(tab):
    page = tab("intro")
    page.keyboard.press("Control+k")
    page.keyboard.type("replicate")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    assert page.wrong == []


def test_dark_mode_follows_the_system_and_the_button(tab):
    page = tab("intro", mode="dark")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    modes = set()
    for _ in range(3):
        page.locator(".theme-switch-button").first.click()
        modes.add(page.evaluate(theme))
    assert modes == {"dark", "light"}


def test_scorecard_shows_what_is_chosen(tab):
    page = tab("scorecard", PHONE)
    visible, choose = page.locator("section.question tbody tr:visible"), lambda by: page.locator(f"[data-by={by}]")
    count = visible.count()
    choose("verdict").select_option("reproduced")
    assert {row.get_attribute("data-verdict") for row in visible.all()} == {"reproduced"}
    assert 0 < visible.count() < count
    choose("verdict").select_option("")
    choose("chapter").select_option(index=2)
    assert page.locator("h2[data-chapter]:visible").count() == 1
    choose("chapter").select_option("")
    assert visible.count() == count
    assert page.locator(".claim-filters output").inner_text() == f"{count} claims shown"


def test_scorecard_is_sorted_within_each_question(tab):
    page = tab("scorecard")
    order = "rows => rows.map(row => parseFloat(row.dataset.q || 2))"
    first = page.locator("section.question tbody").first.locator("tr")
    listed = first.evaluate_all("rows => rows.map(row => row.id)")
    page.locator("[data-by=order]").select_option("q")
    found = first.evaluate_all(order)
    assert found == sorted(found)
    page.locator("[data-by=order]").select_option("")
    assert first.evaluate_all("rows => rows.map(row => row.id)") == listed


def test_density_is_dragged_by_keyboard_and_everything_moves(tab):
    page = tab("notebooks/01_winning_tickets", PHONE)
    box, slider = page.locator(".explorer"), page.locator(".explorer input")
    picture = "canvas => canvas.toDataURL()"

    def seen():
        says = box.locator(".explorer-says").inner_text()
        curve = box.locator(".by-step path.line").nth(1).get_attribute("d")
        return says, box.locator("canvas").evaluate(picture), box.locator(".now").get_attribute("x1"), curve

    before = seen()
    slider.focus()
    page.keyboard.press("End")
    after = seen()
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert "winning ticket" in after[0]
    assert slider.get_attribute("aria-valuetext").endswith("% of the weights")


def test_every_figure_has_a_number_and_a_caption(pages, site):
    for name in ("intro", *(name for name in pages if name.startswith("notebooks/"))):
        text = (site / f"{name}.html").read_text("utf-8")
        chapter = re.match(r"notebooks/0*(\d+)", name)
        numbers = re.findall(r'<b class="number">Figure ([\d.]+)\.</b> (.)', text)
        expected = [f"{chapter[1]}.{i}" if chapter else str(i) for i in range(1, text.count("<figure id=") + 1)]
        assert [number for number, _ in numbers] == expected
        assert all(letter.isupper() for _, letter in numbers), name


def test_no_plumbing_is_shown(site):
    """What a reader might want to change is one click away, and nothing else of the code is."""
    for path in site.glob("notebooks/*.html"):
        assert path.read_text("utf-8").count("Show code cell source") == 1, path.name


def test_plots_take_their_colours_from_the_page(tab):
    for mode, light in (("light", False), ("dark", True)):
        page = tab("notebooks/02_linear_mode_connectivity", mode=mode)
        page.wait_for_function("document.querySelector('#plane-plot').layout.paper_bgcolor === 'rgba(0,0,0,0)'")
        ink = page.evaluate("getComputedStyle(document.querySelector('#plane-plot .xtick text')).fill")
        assert (sum(map(int, re.findall(r"\d+", ink)[:3])) > 380) == light, ink


def test_front_door_leads_to_the_findings_and_on_to_the_scorecard(tab):
    page = tab("index")
    page.wait_for_url(re.compile("intro"))
    assert page.get_by_role("heading", name="What we found").is_visible()
    page.locator("article a[href*='scorecard.html']").first.click()
    page.wait_for_url(re.compile("scorecard"))
    assert page.locator("table.claims").first.is_visible()


@pytest.mark.parametrize(("viewport", "mode"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", MAIN_PAGES)
def test_nothing_bars_a_reader(tab, name, viewport, mode):
    assert grave(tab(name, viewport, mode)) == []


def test_nothing_bars_a_reader_of_the_api(tab):
    assert grave(tab("api"), {"color-contrast": {"enabled": False}}) == []  # contrast takes 6 s on so long a page


def grave(page, rules=None):
    """Serious and critical violations that axe-core finds, each with a few of its places."""
    options = {"preload": False, "resultTypes": ["violations"], "rules": rules or {}}
    found = Axe().run(page, options=options).response["violations"]
    worst = [entry for entry in found if entry["impact"] in ("serious", "critical")]
    return [(entry["id"], [node["target"] for node in entry["nodes"]][:3]) for entry in worst]
