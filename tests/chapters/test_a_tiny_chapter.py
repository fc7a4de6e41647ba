"""A chapter costs its own folder: a third one, written by the recipe of CONTRIBUTING.md in a copy of the tree.

One arm, one claim, one notebook. Nothing that was there is changed but the list of chapters, the claims and the
questions, to which lines are added; then it trains, is judged and its notebook runs.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tickets.files import ROOT

ARMS = '''"""Arms of chapter 18."""

from ...arms import Arm, declare
from ...pruning import imp
from ...pruning.imp import Start


def halved(cell, model, store, weights):
    """The ticket, its initial weights scaled."""
    mask = imp.ticket_mask(cell, model, store)
    return Start({name: array * cell.own["factor"] for name, array in weights.items()}, mask)


declare(halved=Arm("halved ticket", start=halved, own={"factor": 0.5}, mask_suffices=True))
'''
STUDY = '''"""Chapter 18: does the scale of a ticket's initial weights matter?"""

from ...cells import Cell

LENET = Cell(steps=60, dataset="digits")
MAIN = {"smoke": LENET, "quick": LENET, "paper": LENET}
NETWORKS = {profile: {"LeNet": LENET} for profile in MAIN}


def cells(profile):
    """The dense network, two tickets and the halved one, six replicates."""
    for r in range(6):
        net = MAIN[profile].but(replicate=r)
        yield from (net.but(level=level) for level in range(3))
        yield net.but(arm="halved", level=2)
'''
CLAIM = """
  - id: TINY1
    study: 18_scale
    paper: frankle2019lottery
    statement: Halved tickets are as accurate.
    where: nowhere
    theirs: null
    unit: pp
    source: our own question
    estimand: Halved ticket minus ticket at rung 2.
    network: LeNet
    prints: difference
    n: 6
    scope: paper
    headline: true
    needs: seconds
    contrast: {stat: test_accuracy_end, plus: {arm: halved, level: 2}, minus: {arm: ticket, level: 2}}
    kind: match
    margin: 30
    assay: {plus: {arm: ticket, level: 2, stat: kept}, minus: {arm: ticket, level: 2, stat: early_stop_loss}}
"""
CELL = """from tickets import chapters
from tickets.book import pages
from tickets.files import LOCAL
from tickets.results.store import Store
from tickets.running.run import run

results = Store(store or LOCAL, recorded=None) if train else Store(store) if store else Store.committed()
table = run(chapters.cells("18_scale", profile), engine=engine, device=device, store=results, train=train)
pages.Judged(results, "18_scale", profile).answer("scale")
"""
QUESTION = """
  18_scale:
    asks: Does the scale matter?
    questions:
      - {section: scale, ask: Scale, claims: [TINY1], answer: []}
"""
TOUCHED = {"lib/tickets/chapters/__init__.py", "book/claims.yml", "book/questions.yml"}
NEW = {
    "lib/tickets/chapters/scale/__init__.py", "lib/tickets/chapters/scale/arms.py",
    "lib/tickets/chapters/scale/study.py", "notebooks/18_scale.ipynb",
}  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the sources with the third chapter in it."""
    copy = tmp_path_factory.mktemp("copy") / "tree"
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", "masks")
    for name in ("lib", "book", "notebooks", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    folder = copy / "lib/tickets/chapters/scale"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Chapter 18."""\n\nfrom . import arms as arms\n')
    (folder / "arms.py").write_text(ARMS)
    (folder / "study.py").write_text(STUDY)
    listed = copy / "lib/tickets/chapters/__init__.py"
    text = listed.read_text().replace(
        "from .winning_tickets", "from .scale import study as scale\nfrom .winning_tickets"
    )
    listed.write_text(text.replace("STUDIES = {", 'STUDIES = {"18_scale": scale, '))
    with (copy / "book/claims.yml").open("a") as file:
        file.write(CLAIM)
    with (copy / "book/questions.yml").open("a") as file:
        file.write(QUESTION)
    write_notebook(copy / "notebooks/18_scale.ipynb")
    return copy


def write_notebook(path: Path) -> None:
    """A title, the parameters that every notebook has, one cell."""
    first = json.loads((ROOT / "notebooks/01_winning_tickets.ipynb").read_text())
    parameters = next(c for c in first["cells"] if "parameters" in c["metadata"].get("tags", ()))
    parameters["source"] = [line for line in parameters["source"] if not line.startswith("shown")]
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": ["# Scale"]}
    code = {"cell_type": "code", "id": "all", "metadata": {}, "source": [CELL], "outputs": [], "execution_count": None}
    path.write_text(json.dumps({**first, "cells": [title, parameters, code]}))


def in_tree(tree: Path, *command: str) -> subprocess.CompletedProcess:
    there = {**os.environ, "PYTHONPATH": str(tree / "lib")}
    return subprocess.run([sys.executable, *command], cwd=tree, env=there, capture_output=True, text=True, check=False)


def test_it_touches_only_its_own_files_and_three_lists(tree):
    files = {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    before = {name: (ROOT / name).read_bytes() for name in files if (ROOT / name).exists()}
    assert set(files) - set(before) == NEW
    changed = {name for name, content in before.items() if content != files[name]}
    assert changed == TOUCHED
    for name in changed:
        old, new = before[name].decode().splitlines(), files[name].decode().splitlines()
        gone = [line for line in old if line not in new]
        assert not [line for line in gone if not line.startswith("STUDIES = {")]


def test_it_trains_and_its_claim_is_judged(tree):
    done = in_tree(
        tree, "-m", "tickets", "run", "18_scale", "--profile", "paper", "--engine", "serial", "--store", "own"
    )
    assert done.returncode == 0, done.stderr
    code = (
        "from tickets.book import verdicts; from tickets.results.store import Store\n"
        "row = verdicts.of_study(Store('own', recorded=None), '18_scale', 'paper').iloc[0]\n"
        "print(row.claim, row.n, row.verdict)"
    )
    said = in_tree(tree, "-c", code)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("TINY1 6 yes")


def test_its_notebook_runs(tree):
    code = (
        "import sys; sys.path.insert(0, 'book/_tools')\n"
        "from pathlib import Path; import execution\n"
        "execution.execute(Path('notebooks/18_scale.ipynb'), Path('out.ipynb'), {'profile': 'smoke'}, Path.cwd())\n"
        "print('<summary>Not run: ' in Path('out.ipynb').read_text())"
    )
    said = in_tree(tree, "-c", code)
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip() == "True"
