"""Every notebook runs at smoke through papermill, from nothing; its parameters are checked; it is committed clean."""

import re

import execution
import nbformat
import pytest
from tickets.errors import BadInput
from tickets.files import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
KEYS = {"profile", "train", "device", "engine", "store"}


@pytest.fixture(autouse=True)
def library_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "lib"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_smoke(path, tmp_path):
    """Trains every network of the smoke profile and draws every figure; what it draws is no placeholder."""
    given = {"profile": "smoke", "train": True, "engine": "serial", "store": str(tmp_path / "results")}
    execution.execute(path, tmp_path / path.name, given, ROOT)
    text = (tmp_path / path.name).read_text()
    assert text.count("<figure id=") >= 7
    assert "nothing of this is recorded" not in text
    assert str(ROOT) not in text
    assert str(tmp_path) not in nbformat.reads(text, 4).metadata.get("papermill", {}).get("output_path", "")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_recorded(path, tmp_path):
    """Without a single record, as at the quick profile, the page still renders: gaps stay gaps and say so."""
    given = {"profile": "quick", "train": False, "store": str(tmp_path / "results")}
    execution.execute(path, tmp_path / path.name, given, ROOT)
    text = (tmp_path / path.name).read_text()
    empty = text.count("nothing of this is recorded")
    assert empty >= 7
    assert text.count("<figure id=") - empty <= 1  # what needs no result: a drawing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters(path):
    assert set(execution.resolve(path, {})) >= KEYS
    with pytest.raises(BadInput, match="unknown parameter profil;"):
        execution.resolve(path, {"profil": "smoke"})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_bad_value_is_one_line(path, tmp_path):
    with pytest.raises((BadInput, execution.NotebookError), match="unknown profile 'tiny': choose from smoke"):
        execution.execute(path, tmp_path / path.name, {"profile": "tiny"}, ROOT)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path):
    cells = nbformat.read(path, 4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert sum("parameters" in cell.metadata.get("tags", ()) for cell in cells) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_sentence_reads_with_the_number_of_its_figure(path):
    """A link to a figure is filled with "Figure 3.4", whatever stands in it: it says so, or is in brackets."""
    text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    links = re.findall(r'(\(?)<a href="#([\w-]+)">([^<]*)</a>', text)
    named = [words for bracket, name, words in links if name != "all-verdicts" and not bracket]
    assert [words for words in named if "igure" not in words] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_readers_see_results_and_researchers_the_parameters(path):
    """The code of a page is in its notebook; of it only the parameters can be unfolded."""
    tags = [cell.metadata.get("tags", []) for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert tags[0] == ["parameters", "hide-input"]
    assert all(tag == ["remove-input"] for tag in tags[1:])
