"""The built site as one PDF: its pages, one after the other, in a browser that prints them.

    pdf.py [SITE [FILE]]      default: build/html into build/release/tickets-VERSION.pdf, with its checksum

Headings become bookmarks and links stay links; what a reader can move or draw stands still (`_parts/print.js`, `.css`).
"""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright
from release import VERSION, checksum

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / "book/_parts"
NO_BROWSER = "no browser: apt-get install chromium, or .venv/bin/playwright install chromium"
MARGIN = dict.fromkeys(("top", "bottom", "left", "right"), "16mm")
FOOTER = """<p style="width: 100%; text-align: center; font: 8px sans-serif">
<span class="pageNumber"></span> / <span class="totalPages"></span></p>"""


@contextmanager
def browser(*flags):
    """An installed Chromium; FileNotFoundError in one line where there is none."""
    with sync_playwright() as playwright:
        installed = shutil.which("chromium") or shutil.which("google-chrome") or playwright.chromium.executable_path
        if not Path(installed).exists():
            raise FileNotFoundError(NO_BROWSER)
        as_root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        with playwright.chromium.launch(executable_path=installed, args=[*as_root, *flags]) as chromium:
            yield chromium


def write(site, target):
    """Print the pages of a site, in the order of its contents, into the file `target`; RuntimeError where a script fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with browser("--allow-file-access-from-files") as chromium:
        page, wrong = chromium.new_page(color_scheme="light"), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.set_default_timeout(300_000)
        page.goto((site.resolve() / "index.html").as_uri(), wait_until="load")
        page.wait_for_selector("article.bd-article")  # the first page leads on
        page.evaluate((PARTS / "print.js").read_text("utf-8"))
        page.add_style_tag(path=PARTS / "print.css")
        page.pdf(
            path=target, format="A4", margin=MARGIN, print_background=True, outline=True, tagged=True,
            display_header_footer=True, header_template="<p></p>", footer_template=FOOTER,
        )  # fmt: skip
    if wrong:
        raise RuntimeError(f"{target}: {wrong[0]}")
    checksum(target)
    return target


if __name__ == "__main__":
    usual = (ROOT / "build/html", ROOT / f"build/release/tickets-{VERSION}.pdf")
    try:
        print(written := write(*map(Path, (*sys.argv[1:], *usual[len(sys.argv) - 1 :]))), end=": ")
        print(f"{written.stat().st_size / 2**20:.1f} MiB")
    except FileNotFoundError as error:
        sys.exit(str(error))
