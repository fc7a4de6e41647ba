"""Chapter 3: Zhou et al. 2019. The networks are those of chapter 1, whose chains by magnitude and random masks serve.

The paper trains 55 epochs of 55,000 images in batches of 60, 50,416 steps; chapter 1 takes 50,000. Actions are
registered as the authors' code takes them, in every round of a chain; once on chapter 1's tickets they are analogs.
"""

from collections.abc import Iterator

from ...arms import measures
from ...cells import Cell
from ..supermasks.criteria import BY_GRADIENT
from ..winning_tickets.study import CONV2, CONV4, CONV6, LENET, arm, ladder
from .actions import ONES

MAIN = {"smoke": LENET.but(dataset="digits", steps=60), "quick": LENET.but(steps=2_400), "paper": LENET}
"""The network that most of the chapter is about, at each profile."""
SUPERMASKS = {"optimizer": "sgd", "learning_rate": 100, "momentum": 0.9, "batch": 250}
"""Settings that the authors ship for LeNet; for Conv-2, -4 and -6 they are not known, and these are ours."""
EPOCHS = {
    "LeNet, supermasks": LENET.but(**SUPERMASKS, steps=440_000),
    "LeNet, supermasks, 200 epochs": LENET.but(**SUPERMASKS, steps=44_000),
    "Conv-2, supermasks": CONV2.but(**SUPERMASKS, steps=360_000),
    "Conv-4, supermasks": CONV4.but(**SUPERMASKS, steps=360_000),
    "Conv-6, supermasks": CONV6.but(**SUPERMASKS, steps=360_000),
}
FEW = LENET.but(**SUPERMASKS, steps=1_100)  # five epochs
LEARNED = ({}, {"constant": True}, {"rescaled": True}, {"constant": True, "rescaled": True})
TINY = CONV2.but(model="conv-2x32", dataset="digits16", steps=2, batch=8)
NETWORKS = {
    "smoke": {"LeNet": MAIN["smoke"], "Conv-2": TINY},
    "quick": {"LeNet": MAIN["quick"], **dict.fromkeys(list(EPOCHS)[:2], FEW)},
    "paper": {"LeNet": LENET, "Conv-2": CONV2, "Conv-4": CONV4, "Conv-6": CONV6, **EPOCHS},
}
"""What claims call the networks of the chapter, at each profile."""
RUNGS = (9, 14)  # 13.5 and 4.5 % of LeNet's weights
LOW = 4  # 41 %: little pruning
CHAINS = ("magnitude_increase", "movement", "large_init_large_final")
SMALL = ("small_final", "small_init_small_final")
ACTED = [name for name in ONES if name not in ("rewind", "permuted", "signed_permuted")]
FROZEN = ("freeze", "variant_1", "variant_2")
CONTROLS = ("random_zeros", "reversed_rule")


DENSITIES = (2, 7, 12, 16)
"""Rungs at which signs are looked at beside RUNGS: 64, 21, 7.0 and 2.9 %."""
LATER = (1_000, 100)
"""Steps that networks return to instead of their start, a little more than an epoch and a tenth of it."""
LATER_OWN = (
    {"ones": "signed_constant"}, {"ones": "constant"}, {"zeros": "freeze"}, {"zeros": "freeze_at_init"},
)  # fmt: skip


def cells(profile: str) -> Iterator[Cell]:
    """Cells of the chapter, most valuable first."""
    yield from {"smoke": _smoke, "quick": _quick, "paper": _paper}[profile]()


def keeps_curves(cell: Cell) -> bool:
    """Of measurements: accuracy over densities; of learned masks: their learning."""
    return measures(cell.arm) or cell.arm == "supermask"


def learned(net: Cell, r: int, *owns) -> Iterator[Cell]:
    """Supermasks, which have no rung: they stand at level 1. What has become of each is read after it."""
    yield from (net.but(replicate=r, arm=name, level=1, **own) for own in owns for name in ("supermask", "likely"))


def chain(net: Cell, top: int, replicates, **own) -> Iterator[Cell]:
    """A chain by another criterion or action, from the dense network to `top`, one replicate after the other."""
    for r in replicates:
        yield net.but(replicate=r)
        yield from arm(net, "deconstructed", range(1, top + 1), [r], **own)


def _paper() -> Iterator[Cell]:
    ten, five = range(10), range(5)
    for r in ten:
        yield from untrained(LENET, r)
    for r in ten:
        yield from _kept(LENET, r, RUNGS)
    for r in ten:
        yield from _pruned(LENET, r, (LOW, *RUNGS), FROZEN)
    full, short, *image_nets = EPOCHS.values()
    for r in five:
        yield from learned(short, r, *LEARNED)
    for r in five:
        yield from learned(full, r, LEARNED[0])
    for part in (_by_criterion, _small):
        for r in five:
            yield from part(LENET, r)
    for r in range(5, 10):
        yield from _by_criterion(LENET, r)
    for r in ten:
        yield from (LENET.but(replicate=r, arm="null_ladder", constant=constant) for constant in (True, False))
    yield LENET.but(arm="pixels", level=RUNGS[0])
    for r in ten:
        yield from _pruned(LENET, r, RUNGS[1:], CONTROLS)
    for r in ten:
        yield from _by_density(LENET, r)
    for k in LATER:
        for r in five:
            yield from _later(LENET, r, k)
    for r in ten:
        yield from _every_round(LENET, r, RUNGS[1])
    for r in five:
        yield from learned(full, r, *LEARNED[1:])
    for net, scored, top in zip((CONV2, CONV4, CONV6), image_nets, (17, 14, 14), strict=True):
        for r in five:
            yield from _image_network(net, r, top)
            yield from learned(scored, r, *LEARNED)


def untrained(net: Cell, r: int) -> Iterator[Cell]:
    """Z4: one training a replicate, that of the dense network."""
    yield from (net.but(replicate=r), net.but(replicate=r, arm="untrained"))


def _kept(net: Cell, r: int, rungs) -> Iterator[Cell]:
    """Z2-once, Z2-code: actions on the kept weights of chapter 1's tickets."""
    yield from ladder(net, max(rungs), [r])
    for ones in (name for name in ONES if name != "rewind"):
        yield from arm(net, "altered", rungs, [r], ones=ones)


def _pruned(net: Cell, r: int, rungs, actions) -> Iterator[Cell]:
    """Z3-once: actions on pruned weights, and a random mask at each rung."""
    yield from ladder(net, max(rungs), [r])
    yield from arm(net, "random", rungs, [r])
    for zeros in actions:
        yield from arm(net, "altered", rungs, [r], zeros=zeros)


def _by_criterion(net: Cell, r: int) -> Iterator[Cell]:
    """Z1: three chains; random masks and large initial weights need none."""
    yield from ladder(net, RUNGS[1], [r])
    yield from arm(net, "random", RUNGS, [r])
    yield from arm(net, "magnitude_at_init", RUNGS, [r])
    for criterion in CHAINS:
        yield from chain(net, RUNGS[1], [r], criterion=criterion)


def _small(net: Cell, r: int) -> Iterator[Cell]:
    """Z1-small: the criteria that keep what is small."""
    yield from arm(net, "deconstructed", RUNGS, [r], criterion="small_init")
    for criterion in SMALL:
        yield from chain(net, RUNGS[1], [r], criterion=criterion)


def _by_density(net: Cell, r: int) -> Iterator[Cell]:
    """Our own question: constants with and without the signs, at more densities."""
    yield from ladder(net, max(DENSITIES), [r])
    for ones in ("signed_constant", "constant"):
        yield from arm(net, "altered", DENSITIES, [r], ones=ones)


def _later(net: Cell, r: int, k: int) -> Iterator[Cell]:
    """Our own questions: signs, and what becomes of pruned weights, where the network returns to step k."""
    yield net.but(replicate=r)
    yield from arm(net, "ticket", range(1, RUNGS[1] + 1), [r], rewind=k)
    for own in LATER_OWN:
        yield from arm(net, "altered", RUNGS, [r], rewind=k, **own)


def _every_round(net: Cell, r: int, top: int) -> Iterator[Cell]:
    """Z2 and Z3: a chain for each action."""
    for ones in ACTED:
        yield from chain(net, top, [r], ones=ones)
    for zeros in FROZEN:
        yield from chain(net, top, [r], zeros=zeros)


def _image_network(net: Cell, r: int, top: int) -> Iterator[Cell]:
    """Convolutional networks: the two best criteria, the actions in every round, masks of untrained weights."""
    yield from untrained(net, r)
    yield from ladder(net, top, [r])
    yield from arm(net, "random", [LOW], [r])
    yield from chain(net, top, [r], criterion="magnitude_increase")
    yield from _every_round(net, r, top)
    if net == CONV2:
        yield from zeros_once(net, r, LOW, RUNGS[1])


def zeros_once(net: Cell, r: int, little: int, much: int) -> Iterator[Cell]:
    """Z3-conv2-once: freezing at much pruning, and variant 1 at little and at much."""
    yield from ladder(net, much, [r])
    yield from arm(net, "random", [little], [r])
    yield from arm(net, "altered", [much], [r], zeros="freeze")
    yield from arm(net, "altered", [little, much], [r], zeros="variant_1")


def _quick() -> Iterator[Cell]:
    """A twentieth of the paper's steps, actions once: the shape of the result in minutes."""
    net = MAIN["quick"]
    for r in range(3):
        yield from untrained(net, r)
        yield from _kept(net, r, RUNGS)
        yield from _by_criterion(net, r)
        yield from learned(FEW, r, *LEARNED)


def _smoke() -> Iterator[Cell]:
    """Every arm, criterion and action once, for seconds: shows that the machinery runs, decides nothing."""
    # what takes longest comes first
    yield from ladder(TINY, 1, [0])
    yield from arm(TINY, "altered", [1], zeros="variant_2")
    yield from chain(TINY, 1, [0], criterion="movement", ones="signed_constant")
    yield from learned(TINY.but(**SUPERMASKS).but(batch=8), 0, LEARNED[3])
    net = MAIN["smoke"]
    for r in range(2):
        yield from untrained(net, r)
        yield from (net.but(replicate=r, arm=name, level=2) for name in ("null_ladder", "pixels"))
        yield from _kept(net, r, [2])
        yield from _pruned(net, r, [2], (*FROZEN, *CONTROLS))
        yield from arm(net, "deconstructed", [2], [r], criterion="small_init")
        for criterion in (*CHAINS, *SMALL, "large_final_same_sign"):
            yield from chain(net, 2, [r], criterion=criterion)
        for criterion in BY_GRADIENT:
            yield from arm(net, "deconstructed", [2], [r], criterion=criterion)
        for own in ({"ones": "signed_reshuffle"}, {"zeros": "variant_2"}, {"ones": "constant", "zeros": "freeze"}):
            yield from chain(net, 2, [r], **own)
        yield from learned(net.but(**SUPERMASKS, steps=10), r, *LEARNED)
        yield from (net.but(replicate=r, level=level, rewind=6) for level in (1, 2))
        yield from arm(net, "altered", [2], [r], zeros="freeze_at_init", rewind=6)
