"""Chapter 6: Ramanujan et al. 2020. Perceptrons have the authors' own configuration for 20 of its 100 epochs.

Convolutional networks have all 100, with flips and crops; pixels are standardized, as in the authors' loaders. Signed
constants are the weights of most questions; normal ones, which have sizes to lose, those of the null ladder. Searches,
like learned masks, have no rung: they stand at level 1.
"""

from collections.abc import Iterator

from ...cells import Cell, unseeded
from ..popup.recipes import KEEPS, recipes
from ..subset_sum.study import MAIN as POOLS

RULE = {
    "init": "kaiming", "inputs": "standard", "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9,
    "weight_decay": 1e-4, "batch": 128,
}  # fmt: skip
"""Settings that the authors ship, for every network."""
EPOCH, CIFAR_EPOCH = 55_000 / 128, 45_000 / 128
LENET = Cell(**RULE, model="lenet-300-100", steps=round(20 * EPOCH))
CONV = Cell(**RULE, model="conv-2", dataset="cifar10", augment="flip_crop", steps=round(100 * CIFAR_EPOCH))
WIDTHS = {"x0.5": "lenet-150-50", "x2": "lenet-600-200", "x4": "lenet-1200-400"}
CONV_WIDTHS = {"x0.5": "conv-4x32", "x1.5": "conv-4x96", "x2": "conv-4x128"}
WORDS = {"sgd": "gradient descent", "adam": "Adam"}
RATES, SAMPLED_RATES = (0.1, 0.03, 0.3), (200, 60, 600)
"""Of edge-popup and of sampled masks, the authors' first; each is read at its best."""


def wide(name: str, net: Cell, widths) -> dict[str, Cell]:
    """A network and its kin of other widths, by their names."""
    return {name: net} | {f"{name} {width}": net.but(model=model) for width, model in widths.items()}


def rated(name: str, net: Cell) -> dict[str, Cell]:
    """A network at the rates that its two searches are tried at, by their names; the first of edge-popup is its own."""
    sampled = net.but(weight_decay=0)
    named = {f"{name}, rate {rate}": net.but(learning_rate=rate) for rate in RATES[1:]}
    return named | {f"{name}, sampled at {rate}": sampled.but(learning_rate=rate) for rate in SAMPLED_RATES}


def with_recipes(nets: dict[str, Cell]) -> dict[str, Cell]:
    """Image networks with the two recipes that their dense networks are trained by, by their names."""
    both = {name: recipes(search(net, 0)) for name, net in nets.items()}
    told = {f"{name}, trained by {WORDS[one.optimizer]}": one for name, pair in both.items() for one in pair}
    return nets | {name: one.but(arm="ticket", level=0) for name, one in told.items()}


def search(net: Cell, r: int, arm: str = "edge_popup", **own) -> Cell:
    """A search, or a measurement on one."""
    return net.but(replicate=r, arm=arm, level=1, **own)


PERCEPTRONS = wide("LeNet", LENET, WIDTHS) | wide("Fashion", LENET.but(dataset="fashion_mnist"), WIDTHS)
CONVS = wide("Conv-4", CONV.but(model="conv-4"), CONV_WIDTHS)
CONVS = with_recipes(CONVS | {f"Conv-{n}": CONV.but(model=f"conv-{n}") for n in (2, 6, 8)})
SMOKE = LENET.but(dataset="digits", steps=40, batch=20)
TINY = CONV.but(model="conv-2x32", dataset="digits16", augment="none", steps=2, batch=8)
QUICK = LENET.but(steps=round(2 * EPOCH))
NETWORKS = {
    "smoke": wide("LeNet", SMOKE, WIDTHS) | rated("LeNet", SMOKE) | {"Conv-2": TINY},
    "quick": wide("LeNet", QUICK, WIDTHS) | rated("LeNet", QUICK),
    "paper": PERCEPTRONS | rated("LeNet", LENET) | CONVS | rated("Conv-2", CONV),
}
"""What claims call the networks of the chapter, at each profile."""
for profile, named in NETWORKS.items():  # of chapter 8, for its subsets of fixed size: nothing is measured twice
    named["784-500-10"] = POOLS[profile]
MAIN = {profile: named["LeNet"] for profile, named in NETWORKS.items()}


def cells(profile: str) -> Iterator[Cell]:
    """Cells of the chapter, most valuable first."""
    yield from {"smoke": _smoke, "quick": _quick, "paper": _paper}[profile]()


def keeps_curves(cell: Cell) -> bool:
    """Courses over shares, images of first layers, subsets of fixed size, and how LeNet learns."""
    return cell.arm in ("course", "first_layer", "fixed_share") or learns(cell)


def learns(cell: Cell) -> bool:
    """Whether it is LeNet, trained, or searched as most of the chapter has it."""
    net = unseeded(cell)
    return net in MAIN.values() and cell in (
        search(net, cell.replicate, "trained"),
        search(net, cell.replicate, constant=True),
    )


def over_shares(net: Cell, r: int) -> Iterator[Cell]:
    """H1, H7: signed constants at every share."""
    yield from (search(net, r, constant=True, keep=keep) for keep in KEEPS)
    yield search(net, r, "course", constant=True)


def compared(net: Cell, r: int, *owns) -> Iterator[Cell]:
    """H2, H3: searches at one half and what training makes of the same network."""
    yield from recipes(search(net, r))
    for own in owns or ({"constant": True},):
        yield from (search(net, r, arm, **own) for arm in ("edge_popup", "against"))


def nulls(net: Cell, r: int, *owns) -> Iterator[Cell]:
    """H4, H6: both kinds of weights, and what is left of what was found."""
    for own in owns or ({}, {"constant": True}):
        yield from (search(net, r, arm, **own) for arm in ("edge_popup", "left_over"))


def at_rates(named: dict[str, Cell], name: str, r: int) -> Iterator[Cell]:
    """H5: edge-popup and sampled masks, each at three rates."""
    for other in rated(name, named[name]):
        arm = "sampled" if "sampled" in other else "edge_popup"
        yield search(named[other], r, arm, constant=True)


def _perceptrons(named: dict[str, Cell], name: str, r: int) -> Iterator[Cell]:
    yield from over_shares(named[name], r)
    yield from nulls(named[name], r)
    for width in ("", *(f" {width}" for width in WIDTHS)):
        yield from compared(named[name + width], r)


def _paper() -> Iterator[Cell]:
    named = NETWORKS["paper"]
    for r in range(10):
        yield from over_shares(named["LeNet"], r)
        yield POOLS["paper"].but(replicate=r, arm="fixed_share")
    for r in range(10):
        yield from _perceptrons(named, "LeNet", r)
    for r in range(10):
        yield from at_rates(named, "LeNet", r)
    for r in range(10):
        yield from _others(named["LeNet"], r)
    for r in range(10):
        yield from _perceptrons(named, "Fashion", r)
    for r in range(5):
        yield from images(named, r)


def _others(net: Cell, r: int) -> Iterator[Cell]:
    """Other scores on the same weights, the scaled recipe, normal weights at other shares, and first layers."""
    yield search(net, r, constant=True).but(draw=1)
    yield from (search(net, r, constant=True, scaled=True, keep=keep) for keep in (0.3, 0.7))
    yield search(net, r, "first_layer", constant=True)


def images(named: dict[str, Cell], r: int) -> Iterator[Cell]:
    """Convolutional networks, as many of them as a profile has."""
    for name in ("Conv-2", "Conv-4"):
        yield from over_shares(named[name], r)
    for name in (name for name in named if name.startswith("Conv") and "," not in name):
        yield from compared(named[name], r)
    yield search(named["Conv-4"], r)
    if "Conv-2, rate 0.3" in named:
        yield from at_rates(named, "Conv-2", r)


def _quick() -> Iterator[Cell]:
    """A tenth of the steps: the shape of the result in minutes."""
    named = NETWORKS["quick"]
    for r in range(3):
        yield from _perceptrons(named, "LeNet", r)
        yield POOLS["quick"].but(replicate=r, arm="fixed_share")
        yield from at_rates(named, "LeNet", r)
        yield from _others(named["LeNet"], r)


def _smoke() -> Iterator[Cell]:
    """Every arm once, for seconds: shows that the machinery runs, decides nothing."""
    named = NETWORKS["smoke"]
    yield from compared(named["Conv-2"], 0)
    for r in range(2):
        yield from _perceptrons(named, "LeNet", r)
        yield POOLS["smoke"].but(replicate=r, arm="fixed_share", targets=40)
        yield from at_rates(named, "LeNet", r)
        yield from _others(named["LeNet"], r)
