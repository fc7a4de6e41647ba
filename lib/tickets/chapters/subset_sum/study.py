"""Chapter 8: subset sums. Nearly everything is a matter of seconds; networks are trained only to be rebuilt.

The target is that of the authors' experiment, 784-500-10 without biases, 10 epochs on MNIST. Their file of results does
not say how it was trained (it was loaded); its printed weights are shrunk as by their script's own rate and decay,
which are used here, with two drops in place of a cosine. The second experiment searches, with chapter 6's edge-popup,
a wide network and one with five weights for each of the target's, which has as many.
"""

from collections.abc import Iterator

from ...cells import Cell
from ..popup import arms as popup  # noqa: F401, declares them
from .arms import LAWS, SEARCHES

EPOCH = 55_000 / 64
TARGET = Cell(
    model="fc-500", steps=round(10 * EPOCH), batch=64, optimizer="sgd", learning_rate=0.1, momentum=0.9,
    weight_decay=5e-4, drops=(round(6 * EPOCH), round(8 * EPOCH)),
)  # fmt: skip
WIDE = TARGET.but(model="fc-2508", init="kaiming", steps=round(30 * EPOCH), drops=())
"""Of the second experiment, 30 epochs, searched; `REDUNDANT` as well."""
REDUNDANT = WIDE.but(model="fc-500")
SHARES = (0.05, 0.02)
"""Of the weights that are kept there."""
NETWORKS = {
    "smoke": {"784-500-10": TARGET.but(dataset="digits", steps=60, drops=(40,))},
    "quick": {"784-500-10": TARGET.but(steps=round(EPOCH), drops=(round(0.8 * EPOCH),))},
    "paper": {"784-500-10": TARGET, "784-2508-10": WIDE, "784-500-10, redundant": REDUNDANT},
}
"""What claims call the networks of the chapter, at each profile."""
MAIN = {profile: named["784-500-10"] for profile, named in NETWORKS.items()}
TOLERANCES = (0.01, 0.1, 0.03, 0.003, 0.3, 0.5)
STEP_SIZES = (0.1, 0.01, 0.001)
"""Of edge-popup, which is read at its best."""


def cells(profile: str) -> Iterator[Cell]:
    """Cells of the chapter, most valuable first."""
    pools, networks, targets = {"smoke": (2, 1, 40), "quick": (3, 3, 1000), "paper": (10, 5, 1000)}[profile]
    nets = [MAIN[profile].but(replicate=r) for r in range(pools)]
    for net in nets:
        yield from (net.but(arm="subset_sums", law=law, targets=targets) for law in LAWS)
        yield net.but(arm="fixed_share", targets=targets)
        yield from searched(net, targets)
    for net in nets[:networks]:
        yield net
        yield from rebuilt(net)
    if profile == "paper":
        yield from (cell for r in range(5) for cell in second(WIDE, REDUNDANT, r, SHARES))
    if profile == "smoke":
        small = REDUNDANT.but(dataset="digits", steps=20)
        yield from second(small, small, 0, [0.5])


def second(wide: Cell, redundant: Cell, r: int, shares) -> Iterator[Cell]:
    """P3: edge-popup in both networks, in the redundant one with linear and with rectified units."""
    for keep in shares:
        yield wide.but(replicate=r, arm="edge_popup", level=1, keep=keep)
        for rectified in (False, True):
            yield redundant.but(replicate=r, arm="redundant", level=1, keep=keep, rectified=rectified)


def searched(net: Cell, targets: int) -> Iterator[Cell]:
    """The same pools searched in other ways."""
    for search in SEARCHES[1:]:
        for size in STEP_SIZES if search == "edge_popup" else STEP_SIZES[:1]:
            yield net.but(arm="subset_sums", search=search, step_size=size, targets=targets)


def rebuilt(net: Cell) -> Iterator[Cell]:
    """A network made of random numbers at every tolerance, with numbers of a row and of each weight, and products."""
    yield from (net.but(arm="rebuilt", tolerance=one) for one in TOLERANCES)
    yield from (net.but(arm="rebuilt", tolerance=one, pooled="own") for one in TOLERANCES[:2])
    yield net.but(arm="rebuilt", pooled="own", law="product")
