"""The book to keep: pages without Jupyter Book and without a network, made again from what lies beside them."""

import os
import re
import subprocess
import sys

import archive
import build_book
import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from tickets.files import ROOT
from tickets.results.provenance import VERSION
from unpacked import checked, unpacked

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
FRONT = """# Front

A {term}`ticket`, {cite:t}`frankle2019lottery`, $w \\odot m$, and [a chapter](notebooks/01_one.ipynb).

```{glossary}
ticket
  A mask and weights.
```

```{eval-rst}
.. automodule:: tickets.errors
```

```{bibliography}
```
"""
PAGES = ("intro.html", "notebooks/01_one.html")
AGAIN = "import sys; sys.modules['jupyter_book'] = None; from sphinx.cmd.build import main; sys.exit(main())"


def small(folder):
    """The staged book cut down to a front and a chapter; its extensions, styles and settings are those of the book."""
    build_book.stage(ROOT, folder)
    for page in folder.glob("*.md"):
        page.unlink()
    (folder / "notebooks").mkdir()
    shown = new_output("display_data", {"text/html": "<figure id='f'><figcaption>drawn</figcaption></figure>"})
    cells = [new_markdown_cell("# One"), new_code_cell("1 + 1", outputs=[shown], metadata={"tags": ["remove-input"]})]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), folder / "notebooks/01_one.ipynb")
    (folder / "intro.md").write_text(FRONT)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters: [{file: notebooks/01_one}]\n")
    return folder


def made(render, work):
    """The folder of the pages that `render` makes of the small book, at a certain date and commit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1764115200")
        patch.setenv("TICKETS_COMMIT", "0123abc")
        patch.delenv("TICKETS_REPOSITORY", raising=False)
        render(small(work / "stage"), work)
    return work / "_build/html"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The pages of a small book as they are archived, with their sources."""
    return made(archive.render, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def packed(rendered, tmp_path_factory):
    return archive.write(rendered, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def folder(packed):
    return unpacked(packed, packed.parent / "unpacked")


def test_the_pages_are_those_of_the_book(rendered, tmp_path):
    """As Jupyter Book makes them from the same sources, but for what live code would need."""
    book = made(build_book.render, tmp_path)
    live = re.compile(r'\s*<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName[^<]*</script>', re.S)
    for name in PAGES:
        theirs, kept = ((site / name).read_text() for site in (book, rendered))
        assert re.sub(r"\s+", " ", live.sub(" ", theirs)) == re.sub(r"\s+", " ", kept)
    assert "drawn" in kept


def test_no_extension_is_jupyter_book_s(folder):
    text = (folder / "source/conf.py").read_text()
    (listed,) = re.findall(r"^extensions = (\[.*\])$", text, re.MULTILINE)
    named = yaml.safe_load(listed)
    assert {"myst_nb", "sphinx_book_theme", "assets", "apparatus", "docstrings"} <= set(named)
    assert [name for name in named if "jupyter" in name or name in ("sphinx_comments", "sphinx_thebe")] == []
    assert str(ROOT) not in text


def test_pages_are_made_again_from_the_archive_alone(folder, tmp_path):
    """Where importing Jupyter Book fails, and with the library of the archive: the same bytes."""
    told = ("PYTHONPATH", "SOURCE_DATE_EPOCH", "TICKETS_COMMIT", "TICKETS_REPOSITORY", "TICKETS_BRANCH")
    env = {name: value for name, value in os.environ.items() if name not in told}
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # other tests look at this folder
    command = (sys.executable, "-c", AGAIN, "-W", "-q", "-d", tmp_path / "trees", ".", tmp_path / "again")
    done = subprocess.run(command, cwd=folder / "source", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in (*PAGES, "search.html", "searchindex.js"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


def test_every_file_has_its_checksum_and_so_has_the_archive(packed, folder):
    told = checked(packed, folder)
    assert (packed.name, told["version"]) == (f"book-{VERSION}.zip", VERSION)
    library = "source/lib/tickets/errors.py"
    assert {"README.md", "index.html", "source/conf.py", library, "source/results/claims.csv"} <= set(told["files"])


def test_the_same_site_gives_the_same_bytes(rendered, packed, tmp_path):
    assert archive.write(rendered, tmp_path).read_bytes() == packed.read_bytes()


def test_the_card_names_what_is_there(folder):
    card = (folder / "README.md").read_text()
    named = re.findall(r"`((?:source/)?[\w./]+\.\w+|source/\w*)`", card)
    assert {"index.html", "manifest.json", "source/"} <= set(named)
    assert [name for name in named if not any((at / name).exists() for at in (folder, folder / "source"))] == []


def test_it_is_read_from_disk_without_a_network(chromium, folder):
    """Opened as a file: a page leads to the next, its formula is set, and nothing is asked of any host."""
    page, wrong = chromium.new_page(), []
    page.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or wrong.append(asked.url))
    page.on("requestfailed", lambda asked: wrong.append(asked.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((folder / "index.html").as_uri(), wait_until="load")
    page.wait_for_selector(".math mjx-container")
    page.get_by_role("link", name="a chapter").click()
    page.wait_for_selector("figcaption")
    assert wrong == []
    page.close()


def test_the_weekly_run_makes_it():
    weekly = yaml.safe_load((ROOT / ".github/workflows/archive.yml").read_text())
    assert weekly[True]["schedule"] == [{"cron": "17 5 * * 1"}]  # YAML reads the key `on` as true
    assert "make archive" in [step.get("run") for step in weekly["jobs"]["archive"]["steps"]]
    made = (ROOT / "Makefile").read_text().split("\narchive: ")[1].split("\n\n")[0]
    assert "book/_tools/archive.py" in made
