"""One list of dependencies, the library installed beside them, and nothing of a particular machine in the tree."""

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import distributions

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from tickets import cli
from tickets.files import BOOK, ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
LOCK = (ROOT / "requirements.lock").read_text()
CONDA_NAMES = {"pytorch": "torch"}
MIB = 2**20

MACHINE_PATH = re.compile(r"(?<![\w./~])/(?:home|Users|root|work|opt|mnt|scratch)/\w")
INDEX_ADDRESS = re.compile(r"(?:index[-_]url|find[-_]links|index)[\s=:\"']+(?:https?|file)://", re.IGNORECASE)


def declared():
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for lines in lists for line in lines]


def locked():
    """Package -> its versions in the lock, one for each range of Pythons and platforms that needs another."""
    found = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def entries():
    """The lock entry by entry: package, hashes and what asked for it."""
    return re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]


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


def test_conda_installs_the_library_with_an_extra_that_exists():
    (line,) = conda()[1]
    assert set(re.findall(r"\[(.*)\]", line)) <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_lock_covers_what_is_declared(requirement):
    versions = locked().get(canonicalize_name(requirement.name), [])
    assert any(version in requirement.specifier for version in versions), f"locked {versions}"


def test_lock_was_made_from_what_is_declared():
    """What the lock says the project asked for itself is what the project asks for."""
    asked = {canonicalize_name(entry.split("==")[0]) for entry in entries() if "tickets (pyproject.toml)" in entry}
    assert asked == {canonicalize_name(requirement.name) for requirement in declared()}


def test_lock_has_a_hash_for_every_entry_and_no_address():
    assert [entry.split()[0] for entry in entries() if "--hash=sha256:" not in entry] == []
    assert "://" not in LOCK


def test_library_is_built_with_what_the_lock_has():
    """It is installed without a network, so its build can fetch nothing."""
    for requirement in map(Requirement, PYPROJECT["build-system"]["requires"]):
        assert any(version in requirement.specifier for version in locked()[requirement.name]), str(requirement)


def test_library_is_installed_from_this_tree(tmp_path):
    """Where neither the folder nor PYTHONPATH leads to it."""
    where = (sys.executable, "-I", "-c", "import tickets; print(tickets.__file__)")
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()
    assert found == str(ROOT / "lib/tickets/__init__.py")
    (installed,) = distributions(name=PROJECT["name"], path=[sysconfig.get_path("purelib")])
    assert installed.version == PROJECT["version"]
    assert '"editable": true' in installed.read_text("direct_url.json")


@pytest.fixture
def environment(tmp_path):
    """A function that runs .ci/environment with programs that only say what they were asked; what they installed."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)

    def make(uv_can_be_had):
        refuse = "" if uv_can_be_had else 'case "$*" in *"--quiet uv") exit 1 ;; esac'
        for name in ("python", "uv"):
            program = tmp_path / ".venv/bin" / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >> calls\n{refuse}\n')
            program.chmod(0o755)
        subprocess.run(("sh", ".ci/environment"), cwd=tmp_path, check=True, capture_output=True)
        return [line for line in (tmp_path / "calls").read_text().splitlines() if " install " in line]

    yield make
    assert (tmp_path / ".venv/.made").exists()
    assert (tmp_path / "requirements.lock").read_text() == LOCK


@pytest.mark.parametrize("uv_can_be_had", [True, False], ids=["with uv", "with pip"])
def test_environment_is_the_lock_and_the_library(environment, uv_can_be_had):
    """First the lock, with hashes; then the library alone, which fetches nothing and changes nothing of the lock."""
    uv, lock, library = environment(uv_can_be_had)
    assert uv.endswith("--quiet uv")
    assert lock.startswith("uv pip install" if uv_can_be_had else "python -m pip install")
    assert lock.endswith("--require-hashes -r requirements.lock")
    assert library.endswith("--editable .")
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(library.split())


def test_scripts_run_in_a_clone_whatever_git_does_to_line_ends(tmp_path):
    """With core.autocrlf a script of the shell would end in lines that no shell takes."""
    if not shutil.which("git"):
        pytest.skip("git is not there")
    here, there = tmp_path / "here", tmp_path / "there"
    for name in (".gitattributes", ".ci/environment", "Makefile"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, here / name)

    def git(*arguments):
        subprocess.run(("git", "-c", "user.name=x", "-c", "user.email=x", *arguments), check=True, capture_output=True)

    git("init", here)
    git("-C", here, "add", ".")
    git("-C", here, "commit", "--message", "x")
    git("clone", "--config", "core.autocrlf=true", here, there)
    assert b"\r" not in (there / ".ci/environment").read_bytes()
    assert b"\r" not in (there / "Makefile").read_bytes()
    subprocess.run(("sh", "-n", there / ".ci/environment"), check=True)


def test_no_path_or_index_of_a_machine_in_the_tree():
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for pattern in (MACHINE_PATH, INDEX_ADDRESS):
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []


def test_tree_stays_small():
    files = tracked()
    assert sum(path.stat().st_size for path in files) <= 40 * MIB
    assert sum(path.stat().st_size for path in files if path.is_relative_to(BOOK / "results")) <= 24 * MIB


def documented():
    """What pages tell a reader to do, and what `make` does."""
    return "".join(path.read_text() for path in (ROOT / "README.md", ROOT / "Makefile", *BOOK.glob("*.md")))


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", documented())) <= targets


def test_documented_commands_exist():
    commands = {command.name for command in cli.app.registered_commands}
    named = set(re.findall(r" -m tickets ([a-z]+)", documented()))
    assert named
    assert named <= commands


def test_documented_programs_exist():
    named = set(re.findall(r"(?:python|\(PY\)) -m ([\w.]+)", documented()))
    assert {"tickets", "benchmarks"} <= named
    assert [name for name in sorted(named) if not importlib.util.find_spec(name)] == []


def test_documented_imports_exist():
    found = re.findall(r"from (tickets[\w.]*) import (\w+)", documented())
    assert found
    for module, name in found:
        assert hasattr(importlib.import_module(module), name) or importlib.import_module(f"{module}.{name}")


def test_documented_paths_exist():
    named = set(re.findall(r"`((?:lib|book|notebooks|tests|benchmarks)/[\w./-]*)`", documented()))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
