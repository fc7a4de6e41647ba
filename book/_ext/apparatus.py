"""What a scholarly page carries: numbered figures with references to them, an imprint, and how to cite it."""

import os
import re
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from itertools import count

FIGURE = re.compile(r'(<figure id="([\w-]+)"[^>]*>)(.*?<figcaption>)', re.DOTALL)
CHAPTER = re.compile(r"notebooks/0*(\d+)_")
BIBTEX = """@misc{{tickets{year}{key},
  author = {{{author}}},
  title  = {{{title}}},
  year   = {{{year}}},
  note   = {{{book}, version {version}{commit}}}{url}
}}"""


def setup(app):
    app.connect("html-page-context", equip, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def equip(app, pagename, templatename, context, doctree):
    """Number the figures of a written page, fill links to them, and put the imprint below it."""
    if context.get("body") and doctree is not None:
        context["body"] = numbered(context["body"], pagename) + imprint(app.config, pagename, context.get("title", ""))


def numbered(body, pagename):
    """Figures count from 1 on every page, in a chapter behind its number; a link to one gets its number as text."""
    chapter, numbers, names = CHAPTER.match(pagename), count(1), {}

    def name(found):
        names[found[2]] = f"Figure {f'{chapter[1]}.' if chapter else ''}{next(numbers)}"
        return f'{found[1]}{found[3]}<b class="number">{names[found[2]]}.</b> '

    body = FIGURE.sub(name, body)
    for target, text in names.items():
        body = re.sub(rf'(<a href="#{target}">)[^<]*(</a>)', rf"\g<1>{text}\g<2>", body)
    return body


def imprint(config, pagename, title):
    """Authors, version, date, commit and licence of a page, where its source is, and how to cite it."""
    when = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    commit, address = os.environ.get("TICKETS_COMMIT", ""), os.environ.get("TICKETS_REPOSITORY", "")
    plain = re.sub(r"<[^>]+>", "", title)
    parts = [config.author, f"version {version('tickets')}", f"{when:%-d %B %Y}", f"commit {commit}" * bool(commit)]
    parts = [escape(part) for part in [*parts, "MIT licence"] if part]
    branch, ending = os.environ.get("TICKETS_BRANCH", "main"), "ipynb" if CHAPTER.match(pagename) else "md"
    if address:
        path = f"{pagename}.{ending}" if CHAPTER.match(pagename) else f"book/{pagename}.{ending}"
        parts.append(f'<a href="{escape(address)}/blob/{branch}/{path}">source of this page</a>')
    entry = BIBTEX.format(
        year=when.year, key=re.sub(r"\W", "", pagename.rpartition("/")[2]), author=config.author, title=plain,
        book=config.html_title, version=version("tickets"), commit=f", commit {commit}" * bool(commit),
        url=f",\n  url    = {{{address}}}" * bool(address),
    )  # fmt: skip
    cite = f"<details><summary>Cite this page</summary><pre>{escape(entry)}</pre></details>"
    return f'<footer class="imprint"><p>{" · ".join(parts)}</p>{cite}</footer>'
