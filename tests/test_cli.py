"""The command line: what it fills, counts and records, and one line for every mistake."""

import json
import subprocess
import sys
from functools import partial

import pandas as pd
import pytest
import torch
from made_up import a_study
from tickets import chapters, cli
from tickets.book import verdicts
from tickets.cells import Cell
from tickets.files import ROOT
from tickets.results.store import Store
from tickets.running import work
from tiny import NET
from typer.testing import CliRunner

from benchmarks.__main__ import app as benchmarks

STUDY = "01_winning_tickets"
LENET = [*(NET.but(level=level) for level in range(3)), NET.but(arm="reinit", level=2, draw=1), NET.but(order=1)]
CONV = Cell(dataset="digits16", model="conv-2", steps=2, batch=8)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder that holds both layers of the command line's store and its table of claims, all still to be written."""

    class Here(Store):
        def __init__(self, local=tmp_path / "local", recorded=tmp_path / "recorded"):
            super().__init__(local, recorded)

    monkeypatch.setattr(cli, "Store", Here)
    monkeypatch.setattr(verdicts, "publish", partial(verdicts.publish, path=tmp_path / "recorded" / "claims.csv"))
    return tmp_path


@pytest.fixture
def tiny(monkeypatch):
    """A study of five perceptrons and a convolutional network, at profile smoke only; the other studies are empty."""
    for name, study in chapters.STUDIES.items():
        cells = [*LENET, CONV] if name == STUDY else []
        monkeypatch.setitem(chapters.STUDIES, name, a_study(cells, LENET[0], study))
    monkeypatch.setattr(chapters.desk, "DESKS", {})
    yield
    work._standing.cache_clear()  # which this process would keep, of these studies, for the tests that follow


def contents(folder):
    """Relative path -> bytes of every file below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def train_perceptrons(*more):
    return cli.main(["run", STUDY, "--engine", "serial", "--model", "lenet-300-100", *more])


def rows(capsys):
    """The rows of `status --json`, by model."""
    capsys.readouterr()
    assert cli.main(["status", "--json"]) == 0
    return {row["model"]: row for row in json.loads(capsys.readouterr().out)}


# mistakes


@pytest.mark.parametrize(
    ("arguments", "thing", "allowed"),
    [
        (["run", "01"], "study '01'", STUDY),
        (["run", STUDY, "--profile", "full"], "profile 'full'", "smoke, quick, desk, paper"),
        (["run", STUDY, "--engine", "threads"], "engine 'threads'", "serial, processes, dask"),
        (["run", STUDY, "--device", "tpu"], "device 'tpu'", "cpu, cuda"),
        (["run", STUDY, "--device", "cuda"], "device 'cuda'", "cpu"),
        (["run", STUDY, "--shard", "3/2"], "shard '3/2'", "1 <= k <= n"),
        (["run", STUDY, "--model", "lenet-5"], "model of this study 'lenet-5'", "lenet-300-100"),
        (["run", STUDY, "--minutes", "-1"], "'--minutes'", "greater than or equal to 0"),
        (["run", STUDY, "--workers", "0"], "'--workers'", "greater than or equal to 1"),
        (["run", STUDY, "--gpu"], "--gpu", "--device"),
        (["run"], "'study'", STUDY),
        (["record", "01"], "study '01'", STUDY),
        (["record", STUDY, "--profile", "full"], "profile 'full'", "smoke, quick, desk, paper"),
        (["status", "--all"], "--all", "--json"),
        (["train"], "'train'", "run, status, export, merge, record"),
        (["bench"], "'bench'", "run, status, export, merge, record"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line_and_leaves_nothing(here, monkeypatch, capsys, arguments, thing, allowed):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert thing in line
    assert allowed in line[line.index(thing) + len(thing) :]
    assert out == ""
    assert contents(here) == {}


@pytest.mark.parametrize(
    ("device", "thing", "allowed"), [("tpu", "device 'tpu'", "cpu, cuda"), ("cuda", "device 'cuda'", "cpu")]
)
def test_a_mistake_of_the_benchmarks_is_one_line_too(tmp_path, monkeypatch, device, thing, allowed):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = CliRunner().invoke(benchmarks, ["--device", device, "--out", str(tmp_path / "bench.json")])
    (line,) = said.stderr.splitlines()
    assert (said.exit_code, said.stdout) == (2, "")
    assert allowed in line[line.index(thing) + len(thing) :]
    assert contents(tmp_path) == {}


def test_no_command_is_answered_with_help(capsys):
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert "Usage" in out
    assert len(err.splitlines()) == 1


def test_a_shell_sees_the_line_and_the_exit_status(tmp_path):
    command = [sys.executable, "-m", "tickets", "run", STUDY, "--engine", "threads", "--store", str(tmp_path / "local")]
    done = subprocess.run(command, cwd=ROOT / "lib", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tickets: unknown engine 'threads': choose from serial, processes, dask\n"
    assert contents(tmp_path) == {}


LONG = "a" * 300
"""A name that no file can have: to root there is no folder that cannot be written."""


@pytest.mark.parametrize(
    ("arguments", "status", "thing"),
    [
        (["run", STUDY, "--engine", "serial", "--store", "file/local"], 1, "file/local"),
        (["run", STUDY, "--engine", "processes", "--workers", "1", "--store", LONG], 1, LONG),
        (["export", f"{LONG}.zip"], 1, LONG),
        (["export", "file/results.zip"], 2, "there is no folder file"),
        (["export", "nowhere/results.zip"], 2, "there is no folder nowhere"),
        (["export", "."], 2, "is there already"),
        (["merge", "file/results.zip"], 2, "file/results.zip"),
        (["record", STUDY, "--profile", "smoke"], 1, "recorded"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_written_is_one_line(here, tiny, monkeypatch, capsys, arguments, status, thing):
    train_perceptrons()
    monkeypatch.chdir(here)
    (here / "file").touch()
    (here / "recorded").touch()
    before = contents(here)
    capsys.readouterr()
    assert cli.main(arguments) == status
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("tickets: ")
    assert thing in line
    assert out == ""
    assert contents(here) == before


# run and status


def test_run_fills_the_store_and_status_counts_it(here, tiny, capsys):
    before = rows(capsys)
    assert (before["lenet-300-100"]["there"], before["lenet-300-100"]["missing"]) == (0, 5)
    assert before["lenet-300-100"]["hours"] is None  # nothing comparable was ever timed
    assert train_perceptrons() == 0
    assert f"{STUDY} smoke: 5 of 5 cells are there, 0 are missing" in capsys.readouterr().out
    after = rows(capsys)
    expected = {
        "study": STUDY,
        "profile": "smoke",
        "model": "lenet-300-100",
        "cells": 5,
        "there": 5,
        "missing": 0,
        "failed": 0,
    }
    assert after["lenet-300-100"] == {**expected, "hours": 0}
    assert (after["conv-2"]["there"], after["conv-2"]["missing"], after["conv-2"]["hours"]) == (0, 1, None)


def test_status_prints_a_line_a_row(here, tiny, capsys):
    assert cli.main(["status"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["study", "profile", "model", "cells", "there", "missing", "failed", "hours"]
    assert [line.split() for line in lines] == [
        [STUDY, "smoke", "lenet-300-100", "5", "0", "5", "0", "?"],
        [STUDY, "smoke", "conv-2", "1", "0", "1", "0", "?"],
    ]


def test_a_second_run_trains_nothing(here, tiny, capsys):
    train_perceptrons()
    first = contents(here)
    assert train_perceptrons() == 0
    assert contents(here) == first
    assert "populations" not in capsys.readouterr().err.split("\n", 1)[1]


def test_no_minutes_leave_everything_missing(here, tiny, capsys):
    assert train_perceptrons("--minutes", "0") == 0
    assert "0 of 5 cells are there, 5 are missing" in capsys.readouterr().out
    assert rows(capsys)["lenet-300-100"]["missing"] == 5


def test_run_writes_where_it_is_told(here, tiny):
    assert train_perceptrons("--store", str(here / "elsewhere")) == 0
    assert (here / "elsewhere").is_dir()
    assert not (here / "local").exists()


def test_shards_together_are_the_whole(here, tiny, capsys):
    for k in (1, 2):
        assert train_perceptrons("--shard", f"{k}/2") == 0
    assert rows(capsys)["lenet-300-100"]["missing"] == 0


# record


def test_record_takes_what_is_finished_into_the_book(here, tiny, capsys):
    train_perceptrons()
    capsys.readouterr()
    assert cli.main(["record", STUDY, "--profile", "smoke"]) == 0
    assert f"{STUDY}: book/results holds 5 records" in capsys.readouterr().out
    lines = (here / "recorded" / f"{STUDY}.jsonl").read_text().splitlines()
    assert {json.loads(line)["key"] for line in lines} == {cell.key() for cell in LENET}
    table = pd.read_csv(here / "recorded" / "claims.csv")
    assert tuple(table.columns) == verdicts.COLUMNS
    assert table["verdict"].str.startswith("not run").all()  # smoke decides nothing


def test_record_counts_the_rows_that_are_decided(here, tiny, monkeypatch, capsys):
    said = ["not run", "inconclusive: n = 2 of 5", "open: n = 2 of 5", "yes (post hoc)", "not reproduced", "partly"]
    monkeypatch.setattr(verdicts, "publish", lambda store: pd.DataFrame({"verdict": said}))
    assert cli.main(["record", STUDY, "--profile", "smoke"]) == 0
    assert "3 of 6 rows of claims.csv are decided" in capsys.readouterr().out


def test_recording_twice_changes_nothing(here, tiny):
    train_perceptrons()
    cli.main(["record", STUDY, "--profile", "smoke"])
    first = contents(here / "recorded")
    assert cli.main(["record", STUDY, "--profile", "smoke"]) == 0
    assert contents(here / "recorded") == first


def test_recorded_results_are_there_on_another_machine(here, tiny, capsys):
    train_perceptrons()
    cli.main(["record", STUDY, "--profile", "smoke"])
    (here / "local").rename(here / "gone")
    assert rows(capsys)["lenet-300-100"]["there"] == 5
    assert train_perceptrons() == 0
    assert not (here / "local").exists()
