"""Arms of chapter 8, all of them measurements: no weight is trained but those of the network that is rebuilt."""

from ...arms import Arm, declare
from ...errors import BadInput, choose

LAWS = ("uniform", "product", "hyperbolic", "gadget")
SEARCHES = ("exact", "greedy", "relaxed", "edge_popup")
NUMBERS = ("subset_sums", "fixed_share")
"""What is measured on random numbers alone, without a network."""


def subset_sums(cell, model, store, device):
    """Bits gained by each number that is added to a pool, under one law and search."""
    from . import pools  # brings numba

    return pools.measure(cell)


def fixed_share(cell, model, store, device):
    """Bits of the best subsets of each fixed size."""
    from . import pools  # brings numba

    return pools.measure_sizes(cell)


def rebuilt(cell, model, store, device):
    """A trained network made of random numbers by deletion."""
    from . import rebuilt  # brings numba and torch

    return rebuilt.measure(cell, model, store, device)


def check_sums(cell) -> None:
    """BadInput for an unknown law or search, too few targets, or a search among the hidden units of gadgets."""
    choose("law", cell.own["law"], LAWS)
    choose("search", cell.own["search"], SEARCHES)
    if cell.own["targets"] < 2 or cell.own["step_size"] <= 0:
        raise BadInput("subset_sums: needs two targets and a positive step_size")
    if cell.own["law"] == "gadget" and cell.own["search"] != "exact":
        raise BadInput("law gadget: its hidden units are searched exactly")


def check_rebuilt(cell) -> None:
    """BadInput for an unknown law or sharing, or a tolerance without a bit."""
    choose("law", cell.own["law"], ("uniform", "product"))
    choose("pooled", cell.own["pooled"], ("row", "own"))
    if not 1e-4 <= cell.own["tolerance"] <= 0.5:
        raise BadInput(f"tolerance {cell.own['tolerance']}: must be 0.0001 to 0.5")


def no_parents(cell) -> list:
    """Pools are drawn and not trained."""
    return []


declare(
    subset_sums=Arm(
        "subset sums of random numbers", measure=subset_sums, parents=no_parents, check=check_sums,
        own={"law": "uniform", "search": "exact", "step_size": 0.1, "targets": 1000},
    ),
    fixed_share=Arm("subsets of fixed size", measure=fixed_share, parents=no_parents, own={"targets": 1000}),
    rebuilt=Arm(
        "rebuilt by deletion", measure=rebuilt, parents=lambda cell: [cell.dense()], check=check_rebuilt,
        own={"law": "uniform", "tolerance": 0.01, "pooled": "row"},
    ),
)  # fmt: skip
