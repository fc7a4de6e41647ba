"""The pipeline from notebook to staged page: what may not pass, and what is left of the machine."""

import importlib
import re

import build_book
import execution
import generated
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tickets.errors import BadInput
from tickets.files import BOOK, ROOT

NOTEBOOK = "notebooks/01_one.ipynb"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
NOISY = """
import os, sys, warnings
from pathlib import Path
print(Path("here").resolve(), object())
print("progress 3.1 it/s", file=sys.stderr)
{"path": os.getcwd(), "profile": profile}
"""


def write(path, *cells):
    """A notebook with the usual parameters; each cell is its source, or (source, tag)."""
    parameters = new_code_cell('profile: str = "smoke"  # smoke, quick or paper\ntrain: bool = False')
    parameters.metadata.tags = ["parameters"]
    book = new_notebook(cells=[parameters], metadata={"kernelspec": KERNEL})
    for cell in cells:
        source, *tags = (cell,) if isinstance(cell, str) else cell
        book.cells.append(new_code_cell(source, metadata={"tags": tags}))
    nbformat.write(book, path)
    return path


@pytest.fixture
def docstrings(monkeypatch):
    """The extension of Sphinx, which tells numba to leave functions as they are: here it may not."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.syspath_prepend(str(BOOK / "_ext"))
    return importlib.import_module("docstrings")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def executed(folder):
    """A noisy notebook executed twice: report, notebook, and both files."""
    source = write(folder / "01_noisy.ipynb", NOISY)
    targets = [folder / name / "out.ipynb" for name in ("first", "second")]
    reports = [execution.execute(source, target, {"profile": "quick"}, folder) for target in targets]
    return reports[0], nbformat.read(targets[0], as_version=4), targets


def test_unknown_parameter_is_refused_before_anything_runs(folder):
    source = write(folder / "02_plain.ipynb", "1")
    with pytest.raises(BadInput, match=r"02_plain.ipynb: unknown parameter profil; allowed: profile, train"):
        execution.execute(source, folder / "never.ipynb", {"profil": "quick"}, folder)
    assert not (folder / "never.ipynb").exists()


@pytest.mark.parametrize("cell", ["1 / 0", ("1 / 0", "raises-exception")], ids=["plain", "allowed to fail"])
def test_error_output_is_refused(folder, cell):
    source = write(folder / "03_error.ipynb", cell)
    with pytest.raises(execution.NotebookError, match=r"03_error.ipynb, cell \d: ZeroDivisionError"):
        execution.execute(source, folder / "error.ipynb", {}, folder)


def test_value_that_the_library_refuses_is_bad_input(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(build_book.ROOT / "lib"))
    cell = "from tickets import chapters\nchapters.cells('01_winning_tickets', profile)"
    source = write(folder / "04_profile.ipynb", cell)
    with pytest.raises(BadInput, match="unknown profile 'huge'"):
        execution.execute(source, folder / "bad.ipynb", {"profile": "huge"}, folder)


def test_injected_cell_is_not_shown(executed):
    _, book, _ = executed
    injected = [cell for cell in book.cells if "injected-parameters" in cell.metadata.get("tags", ())]
    assert ["remove-cell" in cell.metadata.tags for cell in injected] == [True]


def test_nothing_of_the_machine_is_left(executed, folder):
    _, book, targets = executed
    text = targets[0].read_text()
    assert str(folder) not in text
    assert " at 0x" not in text
    assert [output.get("name") for cell in book.cells for output in cell.outputs] == ["stdout", None]
    assert "papermill" not in book.metadata
    assert not any({"papermill", "execution"} & set(cell.metadata) for cell in book.cells)


def test_two_executions_give_the_same_bytes(executed):
    first, second = executed[2]
    assert first.read_bytes() == second.read_bytes()


def test_report_holds_all_parameters(executed):
    assert executed[0]["notebook"] == "01_noisy"
    assert executed[0]["parameters"] == {"profile": "'quick'", "train": "False"}


def test_the_progress_of_a_training_is_passed_on(folder, capsys):
    """Line by line: a training may take a day."""
    source = write(folder / "05_training.ipynb", 'import sys\nprint("3 of 9 populations", file=sys.stderr)')
    execution.execute(source, folder / "trained.ipynb", {"train": True}, folder)
    assert capsys.readouterr().err.splitlines() == ["3 of 9 populations"]


def test_unknown_study_is_refused(tmp_path):
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks/01_one.ipynb")
    with pytest.raises(BadInput, match="unknown study '02_two'; allowed: 01_one"):
        build_book.build(tmp_path, study="02_two")


def test_failed_build_leaves_the_former_site(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "html").mkdir()
    monkeypatch.setattr(build_book, "settle", lambda root: None)
    monkeypatch.setattr(build_book, "stage", lambda root, folder: folder.mkdir(parents=True))
    monkeypatch.setattr(build_book.generated, "write", lambda *_, **__: None)

    def refuse(folder, work):
        raise build_book.SiteError("a warning")

    monkeypatch.setattr(build_book, "render", refuse)
    with pytest.raises(build_book.SiteError):
        build_book.build(tmp_path, tmp_path / "html")
    assert (tmp_path / "html").is_dir()


def test_launch_buttons_only_with_a_public_address(tmp_path, monkeypatch):
    monkeypatch.delenv("TICKETS_REPOSITORY", raising=False)
    build_book.stage(build_book.ROOT, tmp_path / "here")
    assert "binderhub_url" not in (tmp_path / "here/_config.yml").read_text()
    monkeypatch.setenv("TICKETS_REPOSITORY", "https://example.org/tickets")
    build_book.stage(build_book.ROOT, tmp_path / "public")
    assert "binderhub_url" in (tmp_path / "public/_config.yml").read_text()


@pytest.mark.parametrize("address", ["", "https://github.com/someone/tickets"], ids=["no address", "with an address"])
def test_buttons_open_the_notebook_and_its_source(tmp_path, monkeypatch, address):
    """A book of one chapter, rendered: where a button of its page leads, and that there is none without an address.

    Sources are those of the branch that the book is made from; what is opened is on the one that .ci/launch pushes.
    """
    monkeypatch.setenv("TICKETS_REPOSITORY", address)
    monkeypatch.setenv("TICKETS_BRANCH", "trunk")
    build_book.stage(ROOT, folder := tmp_path / "stage")
    for page in folder.glob("*.md"):
        page.unlink()
    (folder / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=[new_markdown_cell("# One")], metadata={"kernelspec": KERNEL}), folder / NOTEBOOK)
    (folder / "intro.md").write_text("# Front")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters: [{file: notebooks/01_one}]\n")
    build_book.render(folder, tmp_path)
    page = (tmp_path / "_build/html/notebooks/01_one.html").read_text()
    found = set(re.findall(r'href="(https://[^"]*(?:someone/tickets|mybinder|colab)[^"]*)"', page))
    opened = {
        "https://mybinder.org/v2/gh/someone/tickets/launch?urlpath=lab/tree/notebooks/01_one.ipynb",
        "https://colab.research.google.com/github/someone/tickets/blob/launch/notebooks/01_one.ipynb",
        f"{address}/blob/trunk/notebooks/01_one.ipynb",
    }
    assert opened <= found if address else found == set()


def test_docstrings_become_text_that_means_itself(docstrings):
    lines = ["Weights w[i] * `mask`, **not** <b>,", "in_one", "", "Table:", "  a  1", "    b  2"]
    docstrings.rewrite(lines)
    assert lines == [
        r"Weights w[i] \* \ ``mask``\ , \*\*not\*\* \<b\>, in\_one",
        *("", "Table:", "", ".. code-block:: text", "", "      a  1", "        b  2", ""),
    ]


def test_a_table_stays_a_table(docstrings):
    lines = ["A row says:", "", "label     how it is named", "start     where it begins,", "          as a step"]
    docstrings.rewrite(lines)
    kept = ["    label     how it is named", "    start     where it begins,", "              as a step"]
    assert lines == ["A row says:", "", ".. code-block:: text", "", *kept, ""]


def test_signatures_are_free_of_the_command_line(docstrings):
    told = "(study: ~typing.Annotated[str, <typer.models.ArgumentInfo object at 0x7f58>], files: Annotated[list[Path], "
    told += "<typer.models.OptionInfo object at 0x7f59>] = None, other: dict[str, int] = 1)"
    plain = "(study: str, files: list[Path] = None, other: dict[str, int] = 1)"
    assert docstrings.signature(told, "int") == (plain, "int")
    code = "(start: Callable = <function begin>, redrawn: Callable = <function Arm.<lambda>>, own: dict = <factory>)"
    plain = "(start: Callable = begin, redrawn: Callable = ..., own: dict = ...)"
    assert docstrings.signature(code, None) == (plain, None)
    assert docstrings.signature(None, None) == (None, None)


def test_api_page_goes_into_packages(tmp_path):
    """Modules are named as they are imported; what only starts a program is none."""
    package = tmp_path / "whole"
    (package / "part").mkdir(parents=True)
    for name in ("__init__", "__main__", "part/__init__", "part/inner"):
        (package / f"{name}.py").write_text(f'"""Purpose of {name}."""\n')
    shown = generated.api(package)
    assert re.findall("^## `(.*)`", shown, re.MULTILINE) == ["whole", "whole.part", "whole.part.inner"]
    assert ".. automodule:: whole.part.inner\n" in shown


def test_every_entry_of_the_bibliography_is_cited():
    known = set(re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text("utf-8"), re.M))
    texts = [path.read_text("utf-8") for path in (*BOOK.glob("*.md"), *ROOT.glob("notebooks/*.ipynb"))]
    found = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", "".join(texts))
    assert {key for keys in found for key in keys.split(",")} == known
