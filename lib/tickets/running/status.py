"""What is there and what is missing, study by study, and what the rest would cost."""

import statistics

from .. import chapters
from ..arms import ARMS, measures
from ..cells import Cell
from ..results.store import Store
from .faults import failed


def status(store: Store) -> list[dict]:
    """One row per study, profile and network.

    cells; there: recorded or local; missing; failed: those of the missing that raised or killed their worker; hours:
    what the missing ones would take on one core, None where no core has recorded anything comparable.
    """
    plans = {(study, name): chapters.cells(study, name) for study in chapters.STUDIES for name in chapters.PROFILES}
    rates = seconds_per_step(store, [cell for cells in plans.values() for cell in cells])
    rows = []
    for (study, profile), cells in plans.items():
        for model in dict.fromkeys(cell.model for cell in cells):
            mine = [cell for cell in cells if cell.model == model]
            missing = [cell for cell in mine if cell not in store]
            named = {"study": study, "profile": profile, "model": model}
            counts = {"cells": len(mine), "there": len(mine) - len(missing), "missing": len(missing)}
            rows.append(named | counts | {"failed": len(failed(store, missing)), "hours": hours_of(missing, rates)})
    return rows


def left(store: Store, cells: list[Cell]) -> str:
    """What is there and what is left of some cells, as one line."""
    missing = [cell for cell in cells if cell not in store]
    hours = hours_of(missing, seconds_per_step(store, cells)) if missing else None
    cost = "" if hours is None else f", about {hours:g} hours of one worker"
    return f"{len(cells) - len(missing)} of {len(cells)} cells are there, {len(missing)} are missing{cost}"


def hours_of(missing: list[Cell], rates: dict) -> float | None:
    """Hours of one worker for the missing cells, at the rates of `seconds_per_step`; None where one is unknown."""
    trained = [cell for cell in missing if not measures(cell.arm)]
    cost = [rates.get(_kind(cell, round(cell.level)), rates.get(_kind(cell, None))) for cell in trained]
    if None in cost:
        return None
    return round(sum(rate * cell.steps for rate, cell in zip(cost, trained, strict=True)) / 3600, 2)


def seconds_per_step(store: Store, cells: list[Cell]) -> dict[tuple, float]:
    """`_kind` -> median seconds per step of a core's records; level None: at all densities, which set what it costs."""
    seen: dict[tuple, list[float]] = {}
    for cell in dict.fromkeys(cells):
        record = store.get(cell)
        if record and not measures(cell.arm) and record["provenance"]["device_kind"] == "cpu":
            for level in (round(cell.level), None):
                seen.setdefault(_kind(cell, level), []).append(record["provenance"]["seconds"] / cell.steps)
    return {key: statistics.median(values) for key, values in seen.items()}


def _kind(cell: Cell, level: int | None) -> tuple:
    """What a step costs by: what is trained (weights, or the scores of a search), the network, the batch, the level."""
    return ARMS[cell.arm].together, cell.model, cell.batch, level
