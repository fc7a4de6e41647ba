"""A small version of `make soak`, and a check that the soak would find a store that loses what it has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soak
from tickets.files import ROOT
from tickets.results.records import record_of
from tickets.results.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_runs_may_be_killed_at_any_moment():
    script = Path(soak.__file__)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run([sys.executable, script, "12", "1"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] >= 12
    assert found["rounds"] >= 1
    assert found["looks"] >= len(soak.CELLS)
    assert [found[name] for name in ("unreadable", "lost", "changed", "different")] == [0, 0, 0, 0]


def test_what_is_lost_changed_or_unreadable_is_counted(store):
    one, two, three = soak.CELLS[:3]
    for cell in (one, two, three):
        store.put(record_of(cell, {"test_accuracy": 97.0}, {}, [], {}, "then"))
    found = dict.fromkeys(("looks", "unreadable", "lost", "changed"), 0)
    before = soak.look(store, {}, found)
    store.beside(one, "json").unlink()
    store.put(record_of(two, {"test_accuracy": 12.0}, {}, [], {}, "then"))
    store.beside(three, "json").write_text("{")
    soak.look(Store(store.local, recorded=None), before, found)
    assert found == {"looks": 4, "unreadable": 1, "lost": 2, "changed": 1}
