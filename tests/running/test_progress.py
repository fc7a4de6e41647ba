"""Progress: plain lines where nobody watches, a bar where somebody does."""

import sys

from tickets.running.progress import Progress


def test_progress_is_plain_lines_where_nobody_watches(capsys):
    tell = Progress()
    for done, seconds in enumerate((0, 40, 50, 60), 1):
        tell(done, 4, seconds)
    lines = capsys.readouterr().err
    assert lines.splitlines() == [
        "2 of 4 populations, 40 s, 3 a minute, 40 s left",
        "4 of 4 populations, 60 s, 4 a minute, 0 s left",
    ]
    assert "\r" not in lines


def test_progress_is_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell = Progress()
    for done in range(1, 5):
        tell(done, 4, float(done))
    assert "4/4" in capsys.readouterr().err.split("\r")[-1]
