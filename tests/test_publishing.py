"""What runs by itself: workflows of a known form, scripts that exist, verdicts compared, a container of this tree."""

import csv
import hashlib
import json
import re
import runpy
import shutil
import subprocess
import sys
import tarfile

import pytest
import yaml
from tickets.book.verdicts import COLUMNS
from tickets.files import ROOT

WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
VERDICTS = ROOT / ".ci/verdicts.py"
DOCKERFILE = (ROOT / ".devcontainer/Dockerfile").read_text()


def jobs():
    """(workflow and job as one name, job) of every workflow."""
    read = {name: yaml.safe_load(path.read_text()) for name, path in WORKFLOWS.items()}
    return {f"{name}, {job}": spec for name, workflow in read.items() for job, spec in workflow["jobs"].items()}


def commands(job):
    return [step["run"] for step in job["steps"] if "run" in step]


# workflows


def test_workflows_have_the_form_of_workflows():
    pytest.importorskip("check_jsonschema")
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows")
    done = subprocess.run((*command, *WORKFLOWS.values()), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert set(WORKFLOWS) == {"every-change", "weekly", "archive"}


def test_lint_checks_them():
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    assert "check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml" in lint


@pytest.mark.parametrize("name", jobs())
def test_a_job_ends_and_runs_what_exists(name):
    job = jobs()[name]
    assert job["timeout-minutes"] <= 180
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in commands(job):
        assert "\n" not in command  # what is longer is a script, which can be run here
        assert set(re.findall(r"make ([a-z]+)", command)) <= targets
        assert all((ROOT / script).is_file() for script in re.findall(r"\.ci/[\w.]+", command))
    assert all("@" in step["uses"] for step in job["steps"] if "uses" in step)


def test_only_what_writes_may_write():
    read = {name: yaml.safe_load(path.read_text()) for name, path in WORKFLOWS.items()}
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in read.values())
    allowed = {name: job["permissions"] for name, job in jobs().items() if "permissions" in job}
    assert {name: sorted(k for k, v in given.items() if v == "write") for name, given in allowed.items()} == {
        "every-change, publish": ["id-token", "pages"],
        "every-change, launch": ["contents"],
        "every-change, release": ["contents"],
        "weekly, compare": ["issues"],
    }


def test_nothing_is_published_that_was_not_tested():
    every = {name.split(", ")[1]: job for name, job in jobs().items() if name.startswith("every")}
    assert commands(every["test"])[-1] == "bash .ci/run"
    assert every["book"]["needs"] == "test"
    assert {every[name]["needs"] for name in ("publish", "launch", "release")} == {"book"}
    assert every["launch"]["if"] == every["publish"]["if"]  # what the buttons open belongs to the pages they are on
    assert commands(every["book"])[-4:] == ["sh .ci/browser", "make release", "sh .ci/site", "make archive"]
    made = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}: book" in made for target in ("release", "pdf"))


def test_the_public_address_is_set_in_one_place():
    texts = [path for path in [*ROOT.glob(".github/**/*"), *ROOT.glob(".ci/*"), ROOT / "Makefile"] if path.is_file()]
    found = [path.name for path in texts if "TICKETS_REPOSITORY:" in path.read_text()]
    assert found == ["every-change.yml"]
    book = jobs()["every-change, book"]["env"]
    assert book["TICKETS_REPOSITORY"] == "${{ github.server_url }}/${{ github.repository }}"


@pytest.mark.parametrize("name", ["site", "quick", "changed", "environment", "run", "launch"])
def test_scripts_are_right_for_their_shell(name):
    path = ROOT / ".ci" / name
    shell = path.read_text().splitlines()[0].rpartition("/")[2]
    subprocess.run((shell, "-n", path), check=True)


# verdicts of two weeks


def table(path, **verdicts):
    """A table of claims of the quick profile; names with _paper are at the paper's scale."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for claim, verdict in verdicts.items():
            profile = "paper" if claim.endswith("_paper") else "quick"
            writer.writerow({"claim": claim, "profile": profile, "verdict": verdict})
    return path


def compared(tmp_path, then, now):
    files = table(tmp_path / "then.csv", **then), table(tmp_path / "now.csv", **now)
    done = subprocess.run(
        (sys.executable, "-I", VERDICTS, "changed", *files), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_other_words_are_told_and_other_remarks_are_not(tmp_path):
    then = {"L1": "reproduced", "L2": "partly: smaller than claimed (fragile)", "L3": "inconclusive", "L4_paper": "yes"}
    now = {"L1": "reproduced (q > 0.05)", "L2": "partly: larger than claimed", "L3": "inconclusive", "L4_paper": "no"}
    status, said = compared(tmp_path, then, now)
    assert (status, said.strip()) == (0, "0 verdicts of the quick profile are others than a week ago.")
    status, said = compared(tmp_path, then, {**now, "L3": "not reproduced: lower", "L5": "yes"})
    assert status == 1
    assert said.splitlines()[2:] == [
        "| Claim | Then | Now |", "|---|---|---|", "| L3 | inconclusive | not reproduced |", "| L5 | none | yes |",
    ]  # fmt: skip


def test_local_results_are_judged_by_themselves(tmp_path, monkeypatch):
    from tickets import files

    monkeypatch.setattr(files, "LOCAL", tmp_path / "results")
    judge = runpy.run_path(str(VERDICTS))["judge"]
    judge(tmp_path / "verdicts.csv")
    with (tmp_path / "verdicts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["verdict"] for row in rows} == {"not run"}
    assert {row["profile"] for row in rows} == {"paper", "desk"}  # of quick ones only what has records


@pytest.mark.parametrize("then", ["reproduced", "contradicted", None])
def test_an_issue_is_opened_where_a_verdict_changed(tmp_path, then):
    """With a program in place of GitHub's that says what it was asked."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "now").mkdir()
    table(tmp_path / "now/verdicts.csv", L1="reproduced")
    program = tmp_path / "bin/gh"
    program.parent.mkdir()
    before = "mkdir before && cp then.csv before/verdicts.csv" if then else "false"
    answers = f'case "$2" in list) echo {17 if then else ""} ;; download) {before} ;; esac'
    program.write_text(f'#!/bin/sh\necho "$@" >> asked\n{answers}\n')
    program.chmod(0o755)
    table(tmp_path / "then.csv", L1=then or "reproduced")
    env = {"PATH": f"{program.parent}:{shutil.os.environ['PATH']}"}
    subprocess.run(("sh", ".ci/changed"), cwd=tmp_path, env=env, check=True, capture_output=True)
    asked = (tmp_path / "asked").read_text()
    assert ("issue create" in asked) == (then == "contradicted")


# the site as an archive


@pytest.mark.skipif(not shutil.which("git"), reason="git is not there")
def test_the_archive_of_the_site_is_whole_and_the_same_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1764115200")
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "build/html/page").mkdir(parents=True)
    for name in ("index.html", "page/a b.html"):
        (tmp_path / "build/html" / name).write_text(name)
    seen = []
    for _ in range(2):
        subprocess.run(("sh", ".ci/site"), cwd=tmp_path, check=True)
        (path,) = (tmp_path / "build/release").glob("site-*.tar.gz")
        seen.append(path.read_bytes())
    assert seen[0] == seen[1]
    digest, name = path.with_name(f"{path.name}.sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(seen[0]).hexdigest(), path.name)
    with tarfile.open(path) as archive:
        files = {member.name for member in archive.getmembers() if member.isfile()}
    assert files == {"html/index.html", "html/page/a b.html"}
    manifest = path.with_name(path.name.replace(".tar.gz", ".manifest")).read_text()
    assert f"{hashlib.sha256(b'page/a b.html').hexdigest()}  ./page/a b.html" in manifest.splitlines()


# containers


def test_the_container_is_made_of_what_is_there():
    """Before the sources only what the environment needs, so that it is not made anew for every change."""
    copied = [line.split()[2:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY")]
    assert copied[-1] == ["."]
    named = [name for names in copied[:-1] for name in names]
    assert all((ROOT / name).exists() for name in named)
    assert {"Makefile", "pyproject.toml", "requirements.lock", ".ci", "lib"} <= set(named)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".venv", "build", "data"} <= set(ignored)
    assert not set(ignored) & set(named)


def test_the_container_runs_a_python_of_the_project_and_no_root():
    assert "FROM python:3.11-" in DOCKERFILE
    assert DOCKERFILE.index("USER reader") < DOCKERFILE.index("make environment")
    assert '"--ip=0.0.0.0"' in DOCKERFILE


def test_the_development_container_is_the_first_stage():
    told = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    build = told["build"]
    assert (ROOT / ".devcontainer" / build["dockerfile"]).read_text() == DOCKERFILE
    assert (ROOT / ".devcontainer" / build["context"]).resolve() == ROOT
    assert f"AS {build['target']}" in DOCKERFILE
    assert f"useradd --create-home {told['remoteUser']}" in DOCKERFILE
    assert told["postCreateCommand"] == "make environment"


def test_one_version_everywhere():
    import tomllib

    from tickets.results.provenance import VERSION

    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert VERSION == written == cited
    assert f"## {written}" in (ROOT / "CHANGELOG.md").read_text()
