"""Pieces of pages that Python writes: what open claims would cost, and which of them a correction concerns."""

import generated
import pytest
from made_up import a_record
from tickets import chapters
from tickets.evidence import registration
from tickets.files import ROOT
from tickets.results.store import Store


def test_a_step_costs_what_was_benchmarked_or_the_median_of_what_is_recorded(tmp_path, monkeypatch):
    net = chapters.main("01_winning_tickets", "paper")
    cells = [net.but(replicate=r) for r in range(3)] + [net.but(arm="anatomy", level=7)]
    monkeypatch.setattr(chapters, "STUDIES", {"01_winning_tickets": None})
    monkeypatch.setattr(chapters, "cells", lambda study, profile: cells)
    store = Store(tmp_path, recorded=None)
    for cell, seconds in zip(cells, (50, 100, 500, 1), strict=True):
        record = a_record(cell)
        store.put({**record, "provenance": {**record["provenance"], "seconds": seconds}})
    bench = {"convolutions": [{"network": "conv-2", "batch": 60, "alone_ms": 180.0}]}
    timed = generated.per_step(store, bench)
    assert timed == {("lenet-300-100", 60): pytest.approx(1000 * 100 / net.steps), ("conv-2", 60): 180.0}
    assert generated.hours_of("conv-2", 60, 2_000_000, timed) == "100"
    assert generated.hours_of("conv-2", 128, 2_000_000, timed) == "–"


def test_what_was_extended_stands_in_the_table_of_old_and_new_verdicts():
    text = generated.corrections(ROOT)
    table = text.split("No correction: ten more replicates of LeNet")[1].split("###")[0]
    extended = [e["id"] for e in registration.entries() if e.get("extensions") and e["study"] == "01_winning_tickets"]
    assert len(extended) > 20
    assert all(f"| {name} |" in table for name in ("L1", "L4c", "L5c"))
