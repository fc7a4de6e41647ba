"""A study of nine small networks and measurements, which several tests run, and how its tables are compared."""

import pandas as pd
from tickets.cells import Cell
from tickets.running.run import run

NET = Cell(dataset="digits", steps=20)
CHAIN = [NET.but(level=level) for level in range(3)]
TINY = [
    *CHAIN,
    NET.but(arm="one_shot", level=1.765),
    NET.but(arm="reinit", level=2, draw=1),
    NET.but(order=1),
    NET.but(arm="anatomy", level=2),
    *(cell.but(replicate=1) for cell in CHAIN[:2]),
]
BESIDE = ["seconds", "date", "source"]
"""What may differ between two runs of the same cells."""


def serial(cells, store, **named):
    """The table of some cells, run in this process."""
    return run(cells, engine="serial", store=store, **named)


def files(store, suffix="json"):
    """Names of the records in the local layer, with the moment each was written."""
    return {p.name: p.stat().st_mtime_ns for p in store.local.rglob(f"*.{suffix}") if p.parent.name != "registrations"}


def assert_equal_tables(one, other):
    """To the bit; NaN equals NaN."""
    pd.testing.assert_frame_equal(one.drop(columns=BESIDE), other.drop(columns=BESIDE), check_exact=True)
