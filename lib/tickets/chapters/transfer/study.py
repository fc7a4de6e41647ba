"""Chapter 4: Morcos et al. 2019, tickets across datasets and optimizers.

The paper's networks are VGG-19 and ResNet-50; its protocol is in appendix A. LeNet on MNIST, its halves and
Fashion-MNIST are analogs with ids of their own, at the protocol of chapter 1: pruned layer by layer, returned to
initialization, so that their MNIST tickets are those of chapter 1. The paper trains on all training images; we keep the
book's split and count epochs on what is left of CIFAR; other data get as many steps. A half of MNIST is trained for as
many epochs as the whole, in half as many steps.
"""

from collections.abc import Iterator

from ...cells import Cell
from ..winning_tickets.study import LENET, VGG19, ladder

SGD = {"optimizer": "sgd", "learning_rate": 0.03, "momentum": 0.9}
"""The rate of 0.01, 0.03 and 0.1 with the best validation accuracy of one dense network at the last step (98.06, 98.30
and 97.56 %), of replicate 99, which no claim uses."""
PLAIN = {"optimizer": "sgd", "learning_rate": 0.01}
"""Of a report that MNIST's tickets help on Fashion-MNIST only under this optimizer."""
HALF = LENET.but(steps=LENET.steps // 2)


def images(epochs: int, held: int = 45_000, drops=(), **fields) -> Cell:
    """A network at the paper's protocol: batches of 512, epochs counted on the images that are not held out."""
    steps = [round(epoch * held / 512) for epoch in (epochs, *drops)]
    return VGG19.but(batch=512, steps=steps[0], drops=tuple(steps[1:]), **fields)


VGG = images(160, drops=(80, 120))
VGG_HALF = images(160, 22_500, (80, 120))
RESNET = images(90, drops=(50, 65, 80), model="resnet-20")
RESNET_HALF = images(90, 22_500, (50, 65, 80), model="resnet-20")
ADAM = {"optimizer": "adam", "learning_rate": 3e-4, "momentum": 0.0}
EPOCH, HALF_EPOCH = 88, 44
"""Steps: what tickets of image networks return to is the end of CIFAR's first epoch, whatever the data."""


def _lenets(net: Cell, one: str, other: str, halved: str) -> dict[str, Cell]:
    """The analogs, on a dataset, another of its shape, and the halves of one."""
    half = net.but(steps=net.steps // 2)
    first, second = net.but(dataset=one), net.but(dataset=other)
    return {
        "MNIST": first,
        "Fashion": second,
        "MNIST, SGD": first.but(**SGD),
        "MNIST half a": half.but(dataset=f"{halved}-a"),
        "MNIST half b": half.but(dataset=f"{halved}-b"),
        "MNIST, SGD 0.01": first.but(**PLAIN),
        "Fashion, SGD 0.01": second.but(**PLAIN),
    }


NETWORKS = {
    "smoke": _lenets(LENET.but(steps=60), "digits-a", "digits-b", "digits"),
    "quick": _lenets(LENET.but(steps=2_500), "mnist", "fashion_mnist", "mnist"),
    "paper": {
        **_lenets(LENET, "mnist", "fashion_mnist", "mnist"),
        "VGG-19, CIFAR-10 half a": VGG_HALF.but(dataset="cifar10-a"),
        "VGG-19, CIFAR-10 half b": VGG_HALF.but(dataset="cifar10-b"),
        "VGG-19, CIFAR-10": VGG,
        "VGG-19, CIFAR-100": VGG.but(dataset="cifar100"),
        "VGG-19, CIFAR-100 coarse": VGG.but(dataset="cifar100_coarse"),
        "VGG-19, Fashion": VGG.but(dataset="fashion_mnist32"),
        "VGG-19, SVHN": VGG.but(dataset="svhn"),
        "VGG-19, CIFAR-10, Adam": VGG.but(**ADAM),
        "ResNet-20, CIFAR-10 half a": RESNET_HALF.but(dataset="cifar10-a"),
        "ResNet-20, CIFAR-10 half b": RESNET_HALF.but(dataset="cifar10-b"),
        "ResNet-20, CIFAR-10": RESNET,
        "ResNet-20, CIFAR-100": RESNET.but(dataset="cifar100"),
        "ResNet-20, CIFAR-100 coarse": RESNET.but(dataset="cifar100_coarse"),
    },
}
"""What claims call the networks of the chapter, at each profile."""
MAIN = {profile: named["MNIST"] for profile, named in NETWORKS.items()}
"""The network whose tickets the chapter shares with chapter 1, at each profile."""
STEPS = {
    "paper": {
        name: {"epoch": HALF_EPOCH if "half" in name else EPOCH}
        for name in NETWORKS["paper"]
        if NETWORKS["paper"][name].scope == "global"
    }
}
"""The step that the paper's tickets return to, by network."""
TOP = 17
CLAIMED = (12, 17)  # 7.0 and 2.3 % of LeNet's weights
DRAWN = (15, 7)  # rungs that figures show beside them
IMAGES = (9, 15)  # 13.4 and 3.5 % of an image network's weights
READ = (3, 7, 12, 15, 17)  # where masks are compared
ACROSS = (("Fashion", "MNIST"), ("MNIST", "Fashion"))
OPTIMIZERS = (("MNIST", "MNIST, SGD"), ("MNIST, SGD", "MNIST"))
HALVES = (("MNIST half a", "MNIST half b"), ("MNIST half b", "MNIST half a"))
PLAINLY = (("Fashion, SGD 0.01", "MNIST, SGD 0.01"), ("MNIST, SGD 0.01", "Fashion, SGD 0.01"))
"""Target and source of each transfer, by name."""


def cells(profile: str) -> Iterator[Cell]:
    """Cells of the chapter, most valuable first."""
    yield from {"smoke": _smoke, "quick": _quick, "paper": _paper}[profile]()


def origin(target: Cell, source: Cell) -> dict[str, object]:
    """The own parameters that say where a ticket of `target` comes from: in what the two networks differ."""
    found = {"source_dataset": source.dataset} if source.dataset != target.dataset else {}
    if source.optimizer != target.optimizer:
        found |= {"source_optimizer": source.optimizer, "source_rate": source.learning_rate}
        found |= {"source_momentum": source.momentum} if source.momentum else {}
    return found


def carried(target: Cell, source: Cell, levels, what=("both", "nothing"), **fields) -> Iterator[Cell]:
    """What a source's tickets carry to a target. Random masks and new weights are those of draw 1, whatever else is."""
    for kind in what:
        drawn = {} if kind in ("both", "mask") else fields
        for level in levels:
            own = {"carried": kind, **origin(target, source), **drawn}
            yield target.but(arm="transferred", level=level, draw=int(kind != "both"), **own)


def _transfers(named: dict[str, Cell], pairs, levels, r: int, what=("both", "nothing")) -> Iterator[Cell]:
    for target, source in pairs:
        yield from carried(named[target].but(replicate=r), named[source], levels, what)


def _chains(named: dict[str, Cell], pairs, top: int, r: int) -> Iterator[Cell]:
    for name in dict.fromkeys(name for pair in pairs for name in reversed(pair)):
        yield from ladder(named[name], top, [r])


def overlaps(named: dict[str, Cell], levels, r: int, apart: int) -> Iterator[Cell]:
    """Masks of two tickets of one initialization side by side, or of two that are `apart`."""
    for target, source in (ACROSS[1], OPTIMIZERS[0], HALVES[1]):
        target, source = named[target].but(replicate=r), named[source]  # the target's own masks may be recorded ones
        own = {"apart": apart, **origin(target, source)}
        yield from (target.but(arm="overlap", level=level, **own) for level in levels)


def _paper() -> Iterator[Cell]:
    named, ten = NETWORKS["paper"], range(10)
    for pairs in (ACROSS, OPTIMIZERS):
        for r in ten:
            yield from _chains(named, pairs, TOP, r)
            yield from _transfers(named, pairs, CLAIMED, r)
    for r in ten:
        yield from _transfers(named, ACROSS, CLAIMED, r, ("mask", "weights"))
    for r in ten:
        yield from _chains(named, HALVES, TOP, r)
        yield from _transfers(named, HALVES, CLAIMED, r)
    for r in ten:
        yield from overlaps(named, READ, r, 0)
        if r:
            yield from overlaps(named, READ, r - 1, 1)
    for r in range(6):
        yield from _chains(named, PLAINLY, TOP, r)
        yield from _transfers(named, PLAINLY, CLAIMED, r, ("both", "mask", "nothing"))
    for level in DRAWN:
        for r in ten:
            yield from _transfers(named, ACROSS + OPTIMIZERS, [level], r)
    for r in ten:  # the paper's own random tickets, whose masks are permuted over the whole network
        for target, source in ACROSS:
            net = named[target].but(replicate=r)
            yield from carried(net, named[source], CLAIMED, ("nothing",), permuted="network")
    yield from _image_networks(named, range(6))


def _image_networks(named: dict[str, Cell], replicates) -> Iterator[Cell]:
    """T1, T2, T3 and T5 at the paper's protocol, T1 and T2 on a ResNet: hours of a GPU."""
    vgg = lambda *names: [f"VGG-19, {name}" for name in names]  # noqa: E731
    halves = vgg("CIFAR-10 half a", "CIFAR-10 half b")
    ten, hundred, coarse, fashion = vgg("CIFAR-10", "CIFAR-100", "CIFAR-100 coarse", "Fashion")
    numbers, adam = vgg("SVHN", "CIFAR-10, Adam")
    half_a, half_b, whole, fine, labels = (name for name in named if name.startswith("ResNet-20"))
    for pairs in (
        [halves, halves[::-1]],
        [(fashion, hundred), (fashion, ten), (fashion, coarse)],
        [(adam, ten), (ten, adam)],
        [(numbers, hundred), (numbers, ten)],
        [(half_a, half_b), (half_b, half_a)],
        [(ten, hundred), (ten, coarse), (hundred, ten)],
        [(whole, fine), (whole, labels), (fine, whole), (labels, whole)],
    ):
        for r in replicates:
            yield from _rewound(named, pairs, r)
    for r in replicates:
        yield from _tickets(named[ten].but(replicate=r), EPOCH, range(16, 31))


def _rewound(named: dict[str, Cell], pairs, r: int) -> Iterator[Cell]:
    """Chains that return to the end of the first epoch, and what their tickets carry, at 51 to 26 and 13 to 3.5 %."""
    nets = {name: named[name].but(replicate=r) for pair in pairs for name in reversed(pair)}
    step = {name: STEPS["paper"][name]["epoch"] for name in nets}
    for name, net in nets.items():
        yield from _tickets(net, step[name], range(16))
    for target, source in pairs:
        yield from rewound(nets[target].but(rewind=0), nets[source], step[target], (*IMAGES, 3, 4, 5, 6))


def _tickets(net: Cell, step: int, levels) -> Iterator[Cell]:
    yield from (net.but(level=level, rewind=step if level else 0) for level in levels)


def rewound(target: Cell, source: Cell, step: int, levels, what=("both", "nothing")) -> Iterator[Cell]:
    """The same as `carried` of tickets that return to a step; trunks of new weights before what starts from them."""
    for cell in carried(target.but(level=1, rewind=step), source, levels, what, permuted="network"):
        if cell.draw:
            yield cell.trunk()
        yield cell


def _quick() -> Iterator[Cell]:
    """A twentieth of the steps, LeNet alone: the shape of the result in minutes."""
    named = NETWORKS["quick"]
    for r in range(3):
        for pairs in (ACROSS, OPTIMIZERS, HALVES):
            yield from _chains(named, pairs, TOP, r)
            yield from _transfers(named, pairs, CLAIMED, r)
        yield from _transfers(named, ACROSS, CLAIMED, r, ("mask", "weights"))
    for r in range(3):
        yield from overlaps(named, READ, r, 0)
        if r:
            yield from overlaps(named, READ, r - 1, 1)


def _smoke() -> Iterator[Cell]:
    """Every kind of transfer once, on halves of the digits: shows that the machinery runs, decides nothing."""
    named = NETWORKS["smoke"]
    for r in range(2):
        for pairs in (ACROSS, OPTIMIZERS, HALVES):
            yield from _chains(named, pairs, 2, r)
            yield from _transfers(named, pairs, [2], r)
        yield from _transfers(named, ACROSS, [2], r, ("mask", "weights"))
        yield from overlaps(named, [2], r, 0)
    yield from overlaps(named, [2], 0, 1)
    yield from carried(named["MNIST"], named["Fashion"], [2], ("nothing",), permuted="network")
    for model, what in (("vgg-19x8", ("both",)), ("resnet-20", ("both", "nothing"))):
        one, other = (VGG_HALF.but(model=model, dataset=f"digits16-{x}", steps=2, batch=8, drops=(1,)) for x in "ab")
        yield from _tickets(one, 1, range(2))
        yield other
        yield from rewound(other, one, 1, [1], what)
