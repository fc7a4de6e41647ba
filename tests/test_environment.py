"""One list of dependencies, and nothing of a particular machine in the tree."""

import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from tickets import cli
from tickets.store import BOOK, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
CONDA_NAMES = {"pytorch": "torch"}
MIB = 2**20

MACHINE_PATH = re.compile(r"(?<![\w./~])/(?:home|Users|root|work|opt|mnt|scratch)/\w")
INDEX_ADDRESS = re.compile(r"(?:index[-_]url|find[-_]links|index)[\s=:\"']+(?:https?|file)://", re.IGNORECASE)


def declared():
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for lines in lists for line in lines]


def conda():
    *packages, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return dict((*line.split("="), "")[:2] for line in packages), pip["pip"]


def tracked():
    listing = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return files or pytest.skip("not a git checkout")


def test_conda_names_the_pins_of_the_project_and_nothing_else():
    packages, pip = conda()
    pins = {requirement.name: str(requirement.specifier) for requirement in declared()}
    assert packages.pop("python") in SpecifierSet(PROJECT["requires-python"])
    assert packages.pop("pip") == ""
    assert {CONDA_NAMES.get(name, name): f"=={version}" for name, version in packages.items()} == {
        name: pins[name] for name in ("torch", "torchvision")
    }
    assert pip == ["-e .[book]"]


def test_lock_covers_what_is_declared():
    locked = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.MULTILINE):
        locked.setdefault(canonicalize_name(name), []).append(version)
    for requirement in declared():
        versions = locked.get(canonicalize_name(requirement.name), [])
        assert any(version in requirement.specifier for version in versions), f"{requirement}: locked {versions}"


def test_lock_has_a_hash_for_every_entry_and_no_address():
    entries = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in LOCK


def test_no_path_or_index_of_a_machine_in_the_tree():
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for pattern in (MACHINE_PATH, INDEX_ADDRESS):
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []


def test_tree_stays_small():
    files = tracked()
    assert sum(path.stat().st_size for path in files) <= 14 * MIB
    assert sum(path.stat().st_size for path in files if path.is_relative_to(BOOK / "results")) <= 8 * MIB


def documented():
    return "".join(path.read_text() for path in (ROOT / "README.md", *BOOK.glob("how-to-*.md")))


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", documented())) <= targets


def test_documented_commands_exist():
    commands = {command.name for command in cli.app.registered_commands}
    assert set(re.findall(r"python -m tickets ([a-z]+)", documented())) <= commands
