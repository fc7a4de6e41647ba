"""Progress: never silent, a bar where a person watches, plain lines elsewhere."""

import sys

import pytest
from tickets.running.run import PLAIN, Progress, run
from tiny import CHAIN, serial


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """No notebook and no terminal."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.delenv(PLAIN, raising=False)


def told(*seconds):
    """Progress over as many populations as there are times."""
    tell = Progress()
    for done, at in enumerate(seconds, 1):
        tell(done, len(seconds), at)


def test_plain_lines_now_and_then_where_nobody_watches(capsys):
    told(1, 20, 40, 50)
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "3 of 4 populations, 40 s, 4.5 a minute, 13 s left",
        "4 of 4 populations, 50 s, 4.8 a minute, 0 s left",
    ]
    assert "\r" not in err
    assert out == ""


def test_a_population_that_failed_is_no_progress(capsys):
    Progress()(0, 4, 40)
    assert capsys.readouterr().err == "0 of 4 populations, 40 s\n"


def a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def a_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)


@pytest.mark.parametrize("where", [a_terminal, a_notebook])
def test_a_bar_where_a_person_watches(capsys, monkeypatch, where):
    where(monkeypatch)
    told(1, 2, 3, 4)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "4/4" in last
    assert "population/s" in last  # the rate
    assert "<00:00" in last  # the time left


def test_a_notebook_that_is_executed_for_the_book_has_plain_lines(capsys, monkeypatch):
    a_notebook(monkeypatch)
    monkeypatch.setenv(PLAIN, "yes")
    told(1, 2)
    assert capsys.readouterr().err.splitlines()[-1] == "2 of 2 populations, 2 s, 60 a minute, 0 s left"


def test_a_run_that_nobody_listens_to_tells_all_the_same(store, capsys):
    serial(CHAIN, store)
    assert "3 of 3 populations" in capsys.readouterr().err.splitlines()[-1]
    run(CHAIN, engine="serial", store=store, train=False)
    assert capsys.readouterr().err == ""
