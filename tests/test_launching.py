"""What the launch buttons open: a preset that papermill still changes, a library from a clone, a branch of a commit."""

import ast
import json
import re
import runpy
import shutil
import subprocess
import sys

import execution
import nbformat
import papermill
import pytest
import yaml
from nbformat.v4 import new_code_cell
from tickets.files import ROOT

LAUNCH = runpy.run_path(str(ROOT / ".ci/launch.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
ADDRESS, COMMIT = "https://github.com/someone/tickets", "0123abc"
OF = {  # module -> the package that it is part of, or that brings it along
    "sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "torchvision", "threadpoolctl": "scikit-learn",
    "markupsafe": "jinja2", "llvmlite": "numba",
}  # fmt: skip
AT_HAND = {"IPython", "distributed"}  # of the notebook itself; of an engine that nothing preset uses
NOT_AT_HAND = """
import sys
from importlib.util import find_spec
from pathlib import Path
sys.path[:] = [folder for folder in sys.path if not (Path(folder or ".") / "tickets/__init__.py").exists()]
sys.meta_path[:] = [one for one in sys.meta_path if "editable" not in str(one)]
assert find_spec("tickets") is None
"""


def launched(path, address=ADDRESS, commit=COMMIT):
    """A notebook of the book as a button opens it."""
    changed = LAUNCH["launched"](json.loads(path.read_text("utf-8")), address, commit)
    return nbformat.reads(json.dumps(changed), 4)


def git(folder, *arguments):
    command = ("git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """(folder, commit) of a repository like this one: the library, chapter 8, and what both read."""
    if not shutil.which("git"):
        pytest.skip("git is not there")
    folder = tmp_path_factory.mktemp("public") / "tickets"
    ignored = shutil.ignore_patterns("__pycache__", "masks", "*.egg-info", "0[1-7]_*.jsonl")
    for name in ("lib", "book", ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "notebooks").mkdir()
    for name in ("pyproject.toml", "notebooks/08_subset_sum.ipynb"):
        shutil.copy(ROOT / name, folder / name)
    git(folder.parent, "init", "--initial-branch", "main", folder)
    git(folder, "add", ".")
    git(folder, "commit", "--message", "x")
    return folder, git(folder, "rev-parse", "HEAD")


def away(tmp_path, monkeypatch):
    """A machine that has the packages, but neither the library nor a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


# the notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_quick_profile_is_preset_and_the_rest_is_the_chapter(path, tmp_path):
    book, own = launched(path), nbformat.read(path, 4)
    nbformat.validate(book)
    nbformat.write(book, tmp_path / path.name)
    preset, written = execution.resolve(tmp_path / path.name, {}), execution.resolve(path, {})
    assert preset == {**written, "profile": '"quick"', "train": "True", "engine": '"serial"'}
    note, fetch = book.cells[1:3]
    assert book.cells[0].source.splitlines()[0] == own.cells[0].source.splitlines()[0]
    assert all(word in note.source for word in ("run all cells", "quick", 'profile = "paper"', "train = False"))
    assert f'"{ADDRESS}", "{COMMIT}"' in fetch.source
    code = [[cell.source for cell in one.cells if cell.cell_type == "code"] for one in (book, own)]
    assert code[0][2:] == code[1][1:]
    assert own.cells[1].source.count("\n") == book.cells[3].source.count("\n")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_text_reads_as_text(path):
    text = "\n".join(cell.source for cell in launched(path).cells if cell.cell_type == "markdown")
    assert re.findall(r"\{\w+\}`", text) == []
    assert "](../" not in text
    pages = re.findall(rf"\]\({ADDRESS}/blob/{COMMIT}/([\w./-]+)", text)
    assert pages
    assert [page for page in pages if not (ROOT / page).exists()] == []


def test_words_links_and_values():
    plain, at = LAUNCH["plain"], f"{ADDRESS}/blob/{COMMIT}/book"
    assert plain("a {term}`winning ticket <ticket>`, a {term}`level`", ADDRESS, COMMIT) == "a winning ticket, a level"
    assert plain("so {cite}`one2018a`.", ADDRESS, COMMIT) == rf"so [\[one2018a\]]({at}/references.bib)."
    assert plain("[x](../methods.md#gates) [y](08_subset_sum.ipynb)", ADDRESS, COMMIT) == (
        f"[x]({at}/methods.md#gates) [y](08_subset_sum.ipynb)"
    )
    given = 'profile = "paper"  # smoke, quick\ntrain = False  # or True\nengine = "processes"  # or serial, dask'
    asked = 'profile = "quick"  # smoke, quick\ntrain = True  # or True\nengine = "serial"  # or processes, dask'
    assert LAUNCH["preset"](given) == asked
    with pytest.raises(SystemExit, match="sets train 0 times"):
        LAUNCH["preset"](given.replace("train", "trained"))


def test_every_package_that_the_library_imports_is_asked_for():
    found = set()
    for path in (ROOT / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    needed = {OF.get(name, name) for name in found - set(sys.stdlib_module_names) - AT_HAND - {"tickets"}}
    assert needed <= set(LAUNCH["packages"]())


# the cell that fetches the library


def run_set_up(before, after, address, commit):
    code = "\n".join((before, LAUNCH["SET_UP"].format(address=address, commit=commit, packages="numpy pyyaml"), after))
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_it_fetches_the_library_of_the_commit(repository, tmp_path, monkeypatch):
    """Of an earlier commit than the branch has; and once more, as after a restart."""
    away(tmp_path, monkeypatch)
    folder, commit = repository
    (folder / "later").touch()
    git(folder, "add", "later")
    git(folder, "commit", "--message", "later")
    seen = "import tickets; print(tickets.__file__, os.environ['PYTHONPATH'])"
    for _ in range(2):
        found, path = run_set_up(NOT_AT_HAND, seen, folder.as_uri(), commit)
        assert found == str(tmp_path / "lottery-tickets/lib/tickets/__init__.py")
        assert path == str(tmp_path / "lottery-tickets/lib")
    assert not (tmp_path / "lottery-tickets/later").exists()
    git(folder, "reset", "--hard", commit)


def test_it_does_nothing_where_the_library_is_at_hand(tmp_path, monkeypatch):
    away(tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "lib"))
    refused = "import subprocess\nsubprocess.run = None"
    seen = "print(len(sys.path) == before, os.environ['PYTHONPATH'])"
    said = run_set_up(f"{refused}\nimport sys\nbefore = len(sys.path)", seen, "nowhere", "none")
    assert said == ["True", str(ROOT / "lib")]
    assert list(tmp_path.iterdir()) == []


def test_a_launched_chapter_runs_from_the_top_and_papermill_has_the_last_word(repository, tmp_path, monkeypatch):
    """In an empty folder, on a machine without the library; as its note says, it can show what the book shows."""
    away(tmp_path, monkeypatch)
    folder, commit = repository
    book = launched(folder / "notebooks/08_subset_sum.ipynb", folder.as_uri(), commit)
    book.cells.insert(0, new_code_cell(NOT_AT_HAND))
    book.cells.append(new_code_cell("import tickets\nprint(profile, train, engine, tickets.__file__)"))
    nbformat.write(book, tmp_path / "opened.ipynb")
    done = papermill.execute_notebook(
        "opened.ipynb", "done.ipynb", {"profile": "paper", "train": False}, cwd=tmp_path, kernel_name="python3",
        progress_bar=False,
    )  # fmt: skip
    said = done.cells[-1].outputs[0].text.split()
    assert said == ["paper", "False", "serial", str(tmp_path / "lottery-tickets/lib/tickets/__init__.py")]
    text = (tmp_path / "done.ipynb").read_text()
    assert text.count("<figure id=") >= 7
    assert "nothing of this is recorded" not in text


# the branch, and where it is opened


def test_the_branch_is_the_commit_and_its_notebooks(repository, tmp_path):
    """Pushed twice from two clones: the same commit, whose parent is the one that was published."""
    folder, commit = repository
    remote, seen = tmp_path / "remote.git", []
    git(tmp_path, "clone", "--bare", folder, remote)
    for name in ("one", "two"):
        git(tmp_path, "clone", "--depth", "1", remote.as_uri(), name)
        subprocess.run(("sh", ".ci/launch"), cwd=tmp_path / name, check=True, capture_output=True)
        seen.append(git(remote, "rev-parse", "launch"))
    assert seen[0] == seen[1]
    assert git(remote, "rev-parse", "launch^") == git(remote, "rev-parse", "main") == commit
    assert git(remote, "diff", "--name-only", "main", "launch") == "notebooks/08_subset_sum.ipynb"
    shown = git(remote, "show", "launch:notebooks/08_subset_sum.ipynb")
    assert f'\\"{remote.as_uri().removesuffix(".git")}\\", \\"{commit}\\"' in shown
    assert 'profile = \\"quick\\"' in shown


def test_binder_takes_the_environment_file():
    """A Dockerfile at the top, or a folder for Binder alone, would be taken in its place."""
    assert not [name for name in ("Dockerfile", "binder", ".binder") if (ROOT / name).exists()]
    *_, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert pip == {"pip": ["-e .[book]"]}
