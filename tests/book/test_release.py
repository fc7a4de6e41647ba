"""The release: whole, the same twice, and of use in an environment that has nothing else of this project."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import distribution

import numpy as np
import pytest
import release
from packaging.requirements import Requirement
from safetensors.numpy import load
from tickets.chapters.collection import chains, released, ticket
from tickets.files import BOOK, ROOT
from tickets.results.provenance import VERSION
from tickets.results.store import read_masks
from unpacked import checked, unpacked

EXAMPLES = [path for path in sorted((BOOK / "examples").glob("*.py")) if "run(" not in path.read_text()]
ALONE = """
import sys
from importlib.util import find_spec
sys.path += sys.argv[1:]
import tickets
from tickets.chapters.collection import chains, ticket

assert tickets.__file__.startswith(sys.argv[1]), tickets.__file__
assert not any(map(find_spec, ("papermill", "pytest", "benchmarks"))), sys.path
found = ticket("01_winning_tickets", "LeNet", level=15, replicate=3)
print(found.mask.kept, found.record["result"]["kept"], found.weights["fc1.weight"].sum(), chains()["masks"].sum())
"""


def declared(lines, found):
    """The names of packages that a list of requirements asks for, with all that those need, without extras."""
    for one in map(Requirement, lines):
        if one.name not in found and (not one.marker or one.marker.evaluate({"extra": ""})):
            found.add(one.name)
            declared(distribution(one.name).requires or (), found)
    return found


@pytest.fixture(scope="module")
def fresh(folder, tmp_path_factory):
    """A folder of packages as a new environment has them: what the archive's pyproject.toml declares, nothing more."""
    packages = tmp_path_factory.mktemp("fresh")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    for name in declared(project["dependencies"], set()):
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(installed.locate_file(top))
    return packages


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return release.write(ROOT, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def folder(archive):
    return unpacked(archive, archive.parent / "unpacked")


def test_the_same_results_give_the_same_bytes(archive, tmp_path):
    assert release.write(ROOT, tmp_path).read_bytes() == archive.read_bytes()


def test_the_manifest_names_every_file_with_its_bytes(archive, folder):
    told = checked(archive, folder)
    assert archive.name == f"tickets-{VERSION}.zip"
    with_masks = {chain["key"] for chain in told["chains"] if chain["masks"]}
    assert with_masks == {path.stem for path in (folder / "book/results/masks").iterdir()}
    assert any(not chain["masks"] for chain in told["chains"])  # those are listed too
    assert told["version"] == VERSION


def test_masks_are_plain_safetensors_and_the_recorded_ones(folder):
    paths = sorted((folder / "book/results/masks").iterdir())
    assert {path.suffix for path in folder.rglob("*") if path.is_file()}.isdisjoint({".npz", ".pkl", ".pt", ".pyc"})
    for path in paths:
        recorded = read_masks(BOOK / "results/masks" / f"{path.stem}.npz")
        for name, array in load(path.read_bytes()).items():
            np.testing.assert_array_equal(array, recorded.pop(name))
        assert recorded == {}


def test_the_loader_needs_nothing_but_the_archive(folder, fresh, tmp_path):
    """Isolated: an empty folder, no environment but packages that the archive declares, and the library out of it."""
    command = (sys.executable, "-I", "-S", "-c", ALONE, str(folder / "lib"), str(fresh))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    kept, told, total, chains = done.stdout.split()
    here = ticket("01_winning_tickets", "LeNet", level=15, replicate=3)
    assert int(kept) == int(told) == here.mask.kept
    assert float(total) == pytest.approx(float(here.weights["fc1.weight"].sum()))
    assert int(chains) > 0


def test_this_library_reads_an_archive_too(folder):
    one, other = (ticket("02_linear_mode_connectivity", "LeNet", 9, 2, source=where) for where in (ROOT, folder))
    assert one.cell == other.cell
    assert all((one.mask[name] == other.mask[name]).all() for name in one.mask)
    assert released(folder).records.keys() == released(ROOT).records.keys()


def test_a_file_of_the_archive_that_was_changed_is_refused(archive, tmp_path):
    folder = unpacked(archive, tmp_path)
    for path in (folder / "book/results/masks").iterdir():
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(ValueError, match="not the masks that were recorded"):
        ticket("01_winning_tickets", "LeNet", 15, source=folder)


def test_the_card_says_what_is_there_and_what_is_not(folder):
    card = (folder / "README.md").read_text()
    assert "{{" not in card
    assert "{%" not in card
    for part in ("## What it holds", "## How it was made", "## What it is not", "## Licence", "masks.json"):
        assert part in card
    store = released(ROOT)
    assert f"{len(store.records)} records" in " ".join(card.split())
    with_masks, without = card.split("no masks")
    for (study, network, rewind, masks), rows in chains().groupby(["study", "network", "rewind", "masks"]):
        line = f"| {study} | {network} | {rewind} | {len(rows)} | 0 to {rows['levels'].max()} |"
        assert line in (with_masks if masks else without)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_the_page_print_what_stands_there(example):
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run((sys.executable, str(example)), env=env, capture_output=True, text=True, check=True)
    assert done.stdout == example.with_suffix(".txt").read_text()
    page = (BOOK / "tickets.md").read_text()
    assert all(f"examples/{example.stem}.{ending}" in page for ending in ("py", "txt"))
