"""The built site as one PDF: its pages, one after the other, in a browser that prints them.

build/html becomes build/release/tickets-VERSION.pdf, with its checksum. Headings become bookmarks and links stay links;
what a reader can move or draw stands still (`_parts/print.js`, `.css`).
"""

import os
import shutil
import sys
from contextlib import contextmanager

from playwright.sync_api import sync_playwright
from release import VERSION, checksum
from tickets.files import ROOT

NO_BROWSER = "no browser: apt-get install chromium, or .venv/bin/playwright install chromium"
FOOTER = """<p style="width: 100%; text-align: center; font: 8px sans-serif">
<span class="pageNumber"></span> / <span class="totalPages"></span></p>"""


@contextmanager
def browser():
    """An installed Chromium, which lets pages on disk read each other; where there is none the program ends."""
    with sync_playwright() as playwright:
        names = "chromium", "google-chrome", playwright.chromium.executable_path
        if not (found := next(filter(None, map(shutil.which, names)), None)):
            sys.exit(NO_BROWSER)
        flags = ["--allow-file-access-from-files"] + ["--no-sandbox"] * (getattr(os, "geteuid", lambda: 1)() == 0)
        with playwright.chromium.launch(executable_path=found, args=flags) as chromium:
            yield chromium


def join(page, site):
    """Put all pages of a site into a page of the browser, in the order of its contents, as they are printed."""
    page.goto((site.resolve() / "index.html").as_uri(), wait_until="load")
    page.wait_for_selector("article.bd-article")  # the first page leads on
    page.evaluate((ROOT / "book/_parts/print.js").read_text("utf-8"))
    page.add_style_tag(path=ROOT / "book/_parts/print.css")


def write(site, target, chromium):
    """Print the pages of a site into the file `target` and return that; RuntimeError where a script fails."""
    page, wrong = chromium.new_page(color_scheme="light", viewport={"width": 670, "height": 970}), []  # A4 less margins
    page.on("pageerror", lambda error: wrong.append(error))
    join(page, site)
    if wrong:
        raise RuntimeError(f"{site}: {wrong[0]}")
    target.parent.mkdir(parents=True, exist_ok=True)
    page.pdf(
        path=target, format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "16mm"), tagged=True,
        print_background=True, outline=True, display_header_footer=True, header_template="<p></p>",
        footer_template=FOOTER,
    )  # fmt: skip
    checksum(target)
    return target


if __name__ == "__main__":
    with browser() as chromium:
        print(write(ROOT / "build/html", ROOT / f"build/release/tickets-{VERSION}.pdf", chromium))
