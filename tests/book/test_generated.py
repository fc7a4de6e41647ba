"""Pieces of pages that Python writes: what open claims would cost, and which of them a correction concerns."""

import re

import generated
import pytest
from made_up import a_record
from tickets import chapters
from tickets.book import scorecard
from tickets.evidence import claims
from tickets.files import ROOT
from tickets.results.store import Store
from tickets.running import status


def test_a_step_costs_the_median_of_what_is_recorded(tmp_path):
    net = chapters.main("01_winning_tickets", "paper")
    cells = [net.but(replicate=r) for r in range(3)] + [net.but(arm="anatomy", level=7)]
    store = Store(tmp_path, recorded=None)
    for cell, seconds in zip(cells, (50, 100, 500, 1), strict=True):
        record = a_record(cell)
        store.put({**record, "provenance": {**record["provenance"], "seconds": seconds}})
    timed = status.seconds_per_step(store, cells)
    median = pytest.approx(100 / net.steps)
    assert timed == {("network", "lenet-300-100", 60, level): median for level in (0, None)}
    assert status.hours_of([net.but(level=5), net.but(arm="anatomy", level=5)], timed) == round(100 / 3600, 2)
    assert status.hours_of([net.but(batch=30)], timed) is None


def test_what_was_extended_stands_in_the_table_of_old_and_new_verdicts():
    text = generated.corrections(ROOT, scorecard.read(ROOT / "book/results/claims.csv"))
    table = text.split("No correction: ten more replicates of LeNet")[1].split("###")[0]
    extended = [e["id"] for e in claims.entries() if e.get("extensions") and e["study"] == "01_winning_tickets"]
    assert len(extended) > 20
    assert all(f"| {name} |" in table for name in ("L1", "L4c", "L5c"))


def test_the_page_of_open_claims_has_every_claim_that_waits_for_a_network_and_no_other():
    rows = scorecard.read(ROOT / "book/results/claims.csv")
    rows["M1-r20"] |= {"n": "3", "verdict": "inconclusive: n = 3 of 5"}  # one begun, one decided, of what was not run
    rows["L6-conv2"] |= {"n": "5", "verdict": "reproduced", "needs": ""}
    tables = generated.open_claims(ROOT, Store.committed(), rows).split("## `")[1:]
    assert {table.partition("`")[0] for table in tables} <= set(chapters.STUDIES)
    lines = [
        line.split(" | ") for table in tables for line in table.splitlines() if line.startswith(("| paper", "| desk"))
    ]
    named = {claim for *_, claims_of in lines for claim in claims_of.removesuffix(" |").split(", ")} - {"–"}
    assert {"ResNet-20, warmup", "VGG-13", "VGG-19, CIFAR-100"} <= {name for _, name, *_ in lines}  # also sources
    undecided = re.compile(r"not run|.* n = \d+ of \d+|inconclusive: (0 of \d+ settings|printed, never judged)")
    assert all(undecided.match(rows[claim]["verdict"]) for claim in named)
    assert {"M1-r20", "L6-conv2-desk", "M2"} <= named
    assert "L6-conv2" not in named
    assert all(int(trainings) > 0 and float(steps) >= 0 for _, _, trainings, steps, *_ in lines)
    assert {name for name, row in rows.items() if row["scope"] == "paper" and "GPU" in row["needs"]} <= named
