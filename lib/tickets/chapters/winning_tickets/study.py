"""Chapter 1: Frankle & Carbin 2019. Settings of the paper's Figure 2; arms and rungs as the claims name them."""

from collections.abc import Iterator

from ...cells import Cell

LENET = Cell()
CONV2 = Cell(dataset="cifar10", model="conv-2", steps=20_000, learning_rate=2e-4, conv_rate=0.1)
CONV4 = CONV2.but(model="conv-4", steps=25_000, learning_rate=3e-4)
CONV6 = CONV4.but(model="conv-6", steps=30_000, conv_rate=0.15)
RESNET20 = Cell(
    dataset="cifar10", inputs="standard", augment="flip_crop", model="resnet-20", steps=30_000, batch=128,
    optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-4, drops=(20_000, 25_000),
    scope="global", output_rate=0,
)  # fmt: skip
VGG19 = RESNET20.but(model="vgg-19", steps=112_000, batch=64, drops=(56_000, 84_000))

MAIN = {"smoke": LENET.but(dataset="digits", steps=60), "quick": LENET.but(steps=5_000), "paper": LENET}
"""The network that most of the chapter is about, at each profile."""
_RESNET20_WARM = RESNET20.but(learning_rate=0.03, warmup=20_000)
_LENETS = lambda net: {  # noqa: E731
    "LeNet": net,
    "LeNet, standardized pixels": net.but(inputs="standard"),
    "LeNet, rate 6e-4": net.but(learning_rate=6e-4),
    "LeNet, rate 2.4e-3": net.but(learning_rate=2.4e-3),
    "LeNet, SGD": net.but(optimizer="sgd", learning_rate=0.8),
}
NETWORKS = {
    "smoke": {"LeNet": MAIN["smoke"]},
    "quick": _LENETS(MAIN["quick"]),
    "paper": {
        **_LENETS(LENET),
        "Conv-2": CONV2,
        "Conv-4": CONV4,
        "Conv-6": CONV6,
        "Conv-2, dropout": CONV2.but(dropout=0.5, steps=60_000, learning_rate=3e-4),
        "Conv-4, dropout": CONV4.but(dropout=0.5, steps=75_000, learning_rate=2e-4),
        "Conv-6, dropout": CONV6.but(dropout=0.5, steps=90_000, learning_rate=2e-4),
        "ResNet-20": RESNET20,
        "ResNet-20, low rate": RESNET20.but(learning_rate=0.01),
        "ResNet-20, warmup": _RESNET20_WARM,
        "ResNet-20, warmup, layerwise": _RESNET20_WARM.but(scope="layerwise"),
        "VGG-19": VGG19,
        "VGG-19, low rate": VGG19.but(learning_rate=0.01),
        "VGG-19, warmup": VGG19.but(warmup=10_000),
    },
}
"""What claims call the networks of the chapter, at each profile."""
TOP = 17  # the last rung of the LeNet ladder: 2.3 % of the weights
SMOKED = "reinit random random_open redraw magnitude_at_init finetune dense_path anatomy degrees selection".split()  # noqa: SIM905
BETWEEN = (0.23, 1.765, 7.81, 13.34)  # one-shot densities that the paper prints: 95.0, 67.5, 17.6 and 5.17 %


def cells(profile: str) -> Iterator[Cell]:
    """Cells of the chapter, most valuable first."""
    yield from {"smoke": _smoke, "quick": _quick, "paper": _paper}[profile]()


def keeps_images(cell: Cell) -> bool:
    """At the rungs whose accuracies are compared image by image; on small images no claim compares two of them."""
    return cell.level in (0, 7, 9, 15) and not cell.dataset.endswith("_16")


def keeps_curves(cell: Cell) -> bool:
    """Of tickets and reinitialized tickets at the rungs that the figure of training curves can show."""
    drawn = cell.level in (0, 3, 7, 12, 15) and cell.draw < 2
    return cell.arm == "anatomy" or (drawn and cell.arm in ("ticket", "reinit"))


def ladder(net: Cell, top: int, replicates) -> Iterator[Cell]:
    """The tickets of levels 0 to `top`, one replicate after the other."""
    for r in replicates:
        yield from (net.but(replicate=r, level=level) for level in range(top + 1))


def arm(net: Cell, name: str, levels, replicates=(0,), **fields) -> Iterator[Cell]:
    """One arm at some levels, replicate by replicate."""
    for r in replicates:
        yield from (net.but(arm=name, level=level, replicate=r, **fields) for level in levels)


def _paper() -> Iterator[Cell]:
    for block in (range(10), range(10, 20)):  # the second ten extend the claims, see `extensions` in claims.yml
        yield from _tickets(block)
        for part in (_reinit, _one_shot, _anatomy, _controls):
            for r in block:
                yield from part(r)
    yield from arm(LENET, "dense_path", [15], range(10))
    yield from arm(LENET, "selection", [7, 15], range(20))
    for r in range(10):
        yield from _extras(r)
    yield from _second_readings()
    yield from _image_networks(range(5))


def _tickets(block) -> Iterator[Cell]:
    """L1 to L3 and the range of L4: the chains, the dense network in a second order, the assay of the matches."""
    for r in block:
        yield from ladder(LENET, TOP, [r])
        yield LENET.but(replicate=r, order=1)
        yield from arm(LENET, "random", [15], [r])


def _reinit(r: int) -> Iterator[Cell]:
    """L4: reinitialized tickets, at every rung down to 7.0 % and at the last one that the paper calls a ticket."""
    for draw in (1, 2, 3):
        yield from arm(LENET, "reinit", [7], [r], draw=draw)
    yield from arm(LENET, "reinit", [16, 15, *range(12, 7, -1), *range(6, 0, -1)], [r], draw=1)


def _one_shot(r: int) -> Iterator[Cell]:
    """L5."""
    yield from arm(LENET, "one_shot", [5, *BETWEEN, 13, 15], [r])


def _anatomy(r: int) -> Iterator[Cell]:
    """L12, L13 and L18: no training."""
    for name in ("anatomy", "degrees"):
        yield from arm(LENET, name, [7, 15], [r])


def _controls(r: int) -> Iterator[Cell]:
    """L14 to L16."""
    yield from arm(LENET, "random", [15, 11, 7], [r])
    for name in ("redraw", "magnitude_at_init"):
        yield from arm(LENET, name, [15, 12, 7], [r])
    for sigma in (0.5, 3):
        yield from arm(LENET, "noise", [11, 7], [r], sigma=sigma)


def _extras(r: int) -> Iterator[Cell]:
    """Printed beside the claims, cheapest first: fair random masks, fine-tuning, more draws, more noise."""
    yield from arm(LENET, "random_open", [15, 11, 7], [r])
    yield from arm(LENET, "finetune", [15, 7], [r])
    for draw in (2, 3):
        yield from arm(LENET, "reinit", [16], [r], draw=draw)
    for sigma in (1, 2):
        yield from arm(LENET, "noise", [11, 7], [r], sigma=sigma)


def _second_readings() -> Iterator[Cell]:
    """What is printed beside the claims: standardized inputs, SGD, each arm at its own best learning rate."""
    for r in range(10):
        standard = LENET.but(inputs="standard")
        yield from chain_and_reinit(standard, 15, [7, 15], r)
        for draw in (2, 3):
            yield from arm(standard, "reinit", [7], [r], draw=draw)
    for r in range(10):
        sgd = LENET.but(optimizer="sgd", learning_rate=0.8)
        yield from ladder(sgd, 15, [r])
        yield sgd.but(replicate=r, order=1)
        yield from arm(sgd, "anatomy", [7, 15], [r])
    for r in range(10):
        for rate in (6e-4, 2.4e-3):
            yield from chain_and_reinit(LENET.but(learning_rate=rate), 7, [7], r)


def chain_and_reinit(net: Cell, top: int, levels, r: int) -> Iterator[Cell]:
    yield from ladder(net, top, [r])
    yield from arm(net, "reinit", levels, [r], draw=1)


def _image_networks(replicates) -> Iterator[Cell]:
    """L6 to L11 and L17: hours of a GPU, so the claims that decide most come first."""
    named = NETWORKS["paper"]
    warm = named["ResNet-20, warmup"]
    for r in replicates:
        yield from conv2(CONV2, r)
    for r in replicates:
        yield from chain_and_reinit(RESNET20, 10, [4, 7, 10], r)
        yield from ladder(named["ResNet-20, low rate"], 6, [r])
        yield from ladder(warm, 13, [r])
        yield from ladder(named["ResNet-20, warmup, layerwise"], 13, [r])
    for r in replicates:
        yield from conv4(CONV4, r)
        yield from ladder(CONV6, 21, [r])
    for name, top in (("Conv-2, dropout", 14), ("Conv-4, dropout", 13), ("Conv-6, dropout", 12)):
        yield from ladder(named[name], top, replicates)
    for r in replicates:
        yield from chain_and_reinit(VGG19, 12, [8, 12], r)
        yield from chain_and_reinit(named["VGG-19, low rate"], 18, [12], r)
        yield from chain_and_reinit(named["VGG-19, warmup"], 20, [8, 12], r)


def conv2(net: Cell, r: int, last: int = 17) -> Iterator[Cell]:
    """L6 to L8, L16b and C8 on Conv-2; `last`: the last rung above 2 %."""
    yield from chain_and_reinit(net, last, [*range(2, 8), 11, 17], r)
    yield from arm(net, "random", [7, 11], [r])
    yield from arm(net, "dense_path", [11], [r])
    yield net.but(replicate=r, order=1)


def conv4(net: Cell, r: int, last: int = 21) -> Iterator[Cell]:
    """L6 to L8 on Conv-4; `last`: the last rung above 2 %."""
    yield from chain_and_reinit(net, last, [*range(2, 7), last], r)
    yield net.but(replicate=r, order=1)


def _quick() -> Iterator[Cell]:
    """A tenth of the paper's steps on the real data: the shape of the result in minutes."""
    net = MAIN["quick"]
    for r in range(5):
        yield from ladder(net, 15, [r])
        yield net.but(replicate=r, order=1)
        yield from arm(net, "random", [7, 11, 15], [r])
        yield from arm(net, "reinit", [3, 5, 7, 9, 11, 13, 15], [r], draw=1)
        yield from arm(net, "one_shot", [5, 1.765, 7.81, 13, 15], [r])
        for name in ("anatomy", "degrees"):
            yield from arm(net, name, [7, 15], [r])


def _smoke() -> Iterator[Cell]:
    """Every arm and every network once, for seconds: shows that the machinery runs, decides nothing."""
    net = MAIN["smoke"]
    for r in range(2):
        yield from ladder(net, 4, [r])
        yield net.but(replicate=r, order=1)
        yield from arm(net, "one_shot", [1.765, 3], [r])
        for name in SMOKED:
            yield from arm(net, name, [2, 3], [r], draw=int(name == "reinit"))
        yield from arm(net, "noise", [2], [r], sigma=0.5)
    residual = RESNET20.but(warmup=2, drops=(2,))
    slim = (CONV2.but(model="conv-2x32"), residual.but(model="resnet-20x8"), VGG19.but(model="vgg-19x8"))
    for image_net in (CONV2, CONV4.but(dropout=0.5), CONV6, residual, *slim):
        yield from ladder(image_net.but(dataset="digits16", steps=2, batch=8), 1, [0])
