"""Chapter 2: Frankle et al. 2020, linear mode connectivity, with the rewinding claims of Frankle et al. 2019.

Settings of the 2020 paper's Table 1 as two independent readers report them. Where ours differ from the paper's: it
trains on all training images, we keep the book's split (5,000 held out) and read accuracy at the last step; it prunes
globally, LeNet keeps the layer-by-layer ladder of chapter 1 (output layer at half the rate), so that the two chapters
speak of the same tickets.

A copy is the network with another order of the data from the rewind step on; a chord needs both copies, and names them
first.
"""

from collections.abc import Iterator

from ...arms import ARMS, measures
from ...cells import Cell
from ..winning_tickets.study import RESNET20 as RESNET20_30K
from .arms import PULLED

LENET = Cell(steps=24_000)
RESNET20 = RESNET20_30K.but(steps=63_000, drops=(32_000, 48_000))
LOW = RESNET20.but(learning_rate=0.01)
WARM = RESNET20.but(learning_rate=0.03, warmup=30_000)
VGG16 = RESNET20.but(model="vgg-16")
VGG_LOW, VGG_WARM = VGG16.but(learning_rate=0.01), VGG16.but(warmup=30_000)
LARGER = (  # batches four and sixteen times larger, as many epochs
    RESNET20.but(batch=512, steps=15_750, drops=(8_000, 12_000)),
    RESNET20.but(batch=2048, steps=3_938, drops=(2_000, 3_000)),
)

EPOCH = (1_281_167 - 50_000) / 1024
"""Steps in an epoch of ImageNet: its training images less those held out, in batches of 1024; 1202.3 of them."""
FIFTH, EIGHTEENTH = round(5 * EPOCH), round(18 * EPOCH)
RESNET50 = RESNET20.but(  # 90 epochs; one round at rate 0.7 is one-shot pruning to 30 %
    dataset="imagenet", augment="resized_crop", model="resnet-50", batch=1024, steps=round(90 * EPOCH),
    learning_rate=0.4, warmup=FIFTH, drops=tuple(round(epoch * EPOCH) for epoch in (30, 60, 80)), rate=0.7,
    micro_batch=256,  # a whole batch needs 83 GiB of a GPU, and the paper's was spread over several
)  # fmt: skip

MAIN = {"smoke": LENET.but(dataset="digits", steps=60), "quick": LENET.but(steps=2_400), "paper": LENET}
"""The network that most of the chapter is about, at each profile."""
TINY = RESNET20.but(dataset="digits", steps=2, batch=8, drops=(1,))
NETWORKS = {
    "smoke": {"LeNet": MAIN["smoke"], "ResNet-20": TINY},
    "quick": {"LeNet": MAIN["quick"]},
    "paper": {
        "LeNet": LENET,
        "ResNet-20": RESNET20,
        "ResNet-20, low rate": LOW,
        "ResNet-20, warmup": WARM,
        "ResNet-20, batch 512": LARGER[0],
        "ResNet-20, batch 2048": LARGER[1],
        "ResNet-20, 30K steps": RESNET20_30K,
        "VGG-16": VGG16,
        "VGG-16, low rate": VGG_LOW,
        "VGG-16, warmup": VGG_WARM,
        "ResNet-50": RESNET50,
    },
}
"""The experiments of the chapter by their names, at each profile."""
RUNG = 15  # 3.6 % of LeNet's weights, the density of the paper
LAST = 21
BETWEEN = (3, 7, 9, 12, 17, 19, 21)  # other rungs at which LeNet tickets are copied


def cells(profile: str) -> Iterator[Cell]:
    """Cells of the chapter, most valuable first."""
    for cell in {"smoke": _smoke, "quick": _quick, "paper": _paper}[profile]():
        if cell.rewind and ARMS[cell.arm].redrawn(cell):
            yield cell.trunk()
        yield cell


def tickets(net: Cell, top: int, rewind: int = 0, start: int = 0) -> Iterator[Cell]:
    """The tickets of levels `start` to `top`; level 0 is the dense network, whatever the rewind step."""
    yield from (net.but(level=level, rewind=rewind if level else 0) for level in range(start, top + 1))


def chord(net: Cell, level: int, rewind: int = 0, subject: str = "ticket", pull: float = 0) -> Iterator[Cell]:
    """Two copies and the line between them; a first copy that is a network of the ladder is not named again."""
    draw = int(ARMS[subject].redrawn(net))
    line = net.but(arm="chord", level=level, rewind=rewind, draw=draw, subject=subject, pull=pull)
    yield from (cell for cell in ARMS["chord"].parents(line) if subject != "ticket" or cell.order)
    yield line


def keeps_curves(cell: Cell) -> bool:
    """Of measurements: lines and planes."""
    return measures(cell.arm)


def _paper() -> Iterator[Cell]:
    for block in (range(10), range(10, 20)):  # the second ten extend the claims, see `extensions` in claims.yml
        for part in (_lenet, _lenet_by_density, _pulled):
            for r in block:
                yield from part(LENET.but(replicate=r))
    for r in range(5):
        yield from matching(LENET.but(replicate=r), RUNG, (1000,))
    nets = [[net.but(replicate=r) for r in range(5)] for net in (RESNET20, LOW, WARM, VGG16, VGG_LOW, VGG_WARM)]
    standard, low, warm, vgg, vgg_low, vgg_warm = nets
    for net in standard:
        yield from dense_copies(net, (0, 2000, 500))
    for net, slow in zip(standard, low, strict=True):
        yield from matching(net, 8, (0, 1000))
        yield from matching(slow, 11, (0, 1000))
    for net in standard:
        yield from _resnet20(net)
    for net in standard:
        yield from (cell for k in (0, 500) for cell in _pulled(net, 8, k))
    for net in warm:
        yield from matching(net, 11, (0, 1000))
    for net, level in ((LENET, RUNG), (LOW, 11), (WARM, 11)):  # what a match of M2 must be told apart from
        yield from (net.but(arm="random", level=level, rewind=k, replicate=r) for r in range(5) for k in (0, 1000))
    for net in vgg:
        yield from dense_copies(net, (0, 1000, 500, 2000))
    for net in [RESNET20_30K.but(replicate=r) for r in range(5)]:
        yield from _rewinding(net)
    for batch in LARGER:
        for net in [batch.but(replicate=r) for r in range(5)]:
            yield from matching(net, 8, (0,))
    for some, level in ((vgg, 19), (vgg_warm, 19), (vgg_low, 13)):
        for net in some:
            yield from matching(net, level, (0, 1000))
    large = [RESNET50.but(replicate=r) for r in range(5)]
    yield from (cell for net in large for cell in dense_copies(net, (0, EIGHTEENTH)))
    yield from (cell for net in large for cell in matching(net, 1, (0, FIFTH)))


def _lenet(net: Cell) -> Iterator[Cell]:
    """M1 and M2 for LeNet: the dense network and the ticket at 3.6 %, with a random mask as the known-bad arm."""
    yield from tickets(net, RUNG)
    for level in (0, RUNG):
        yield from chord(net, level)
    yield from chord(net, RUNG, subject="random")


def _lenet_by_density(net: Cell) -> Iterator[Cell]:
    """Our own question: at which density does a LeNet ticket stop being stable, and is it still accurate there?"""
    yield from tickets(net, LAST, start=RUNG + 1)
    for level in BETWEEN:
        yield from chord(net, level)
        yield net.but(arm="random", level=level)
    yield from (net.but(arm="rounds", level=level) for level in (0, 3, 7, 11, 15, 19))
    yield from (net.but(arm="descent", level=level) for level in (3, 7, 11, 15, 19))
    if net.replicate == 0:
        yield net.but(arm="plane", level=RUNG)


def _pulled(net: Cell, level: int = RUNG, rewind: int = 0) -> Iterator[Cell]:
    """Cause, not company (idea of Maene et al. 2021): tickets pushed from the optimum they were read from, or to it."""
    yield net.but(arm="reinit", level=level, rewind=rewind, draw=1)
    for pull in (-1, 2):
        for subject in PULLED:
            yield from chord(net, level, rewind, subject, pull)


def dense_copies(net: Cell, steps) -> Iterator[Cell]:
    """M1: dense copies made at some steps."""
    yield net
    for k in steps:
        yield from chord(net, 0, k)


def matching(net: Cell, level: int, steps) -> Iterator[Cell]:
    """M2: tickets at the paper's density rewound to some steps, their accuracy and their chords."""
    for k in steps:
        yield from tickets(net, level, k)
        yield from chord(net, level, k)


def _resnet20(net: Cell) -> Iterator[Cell]:
    """M3 to M7 on ResNet-20 at 16.8 %, and the remaining steps of M1."""
    yield from dense_copies(net, (1000,))
    yield from matching(net, 8, (500,))
    for subject in ("random", "reinit"):
        for k in (0, 1000):
            yield from chord(net, 8, k, subject)
    yield from tickets(net, 12, 1000, start=9)
    yield from (net.but(arm="random", level=level, rewind=1000) for level in (1, 3))
    yield from dense_copies(net, (4000,))
    yield from (net.but(arm="rounds", level=level, rewind=k) for k in (0, 1000) for level in (1, 4, 7))


def _rewinding(net: Cell) -> Iterator[Cell]:
    """RW1 and RW2: tickets at 16.8 % rewound to early and late steps, with what is left of the budget and with all."""
    for k in (0, 500, 2000, 8000, 25_000):
        yield from tickets(net, 8, k)
        if k == 500:
            yield net.but(arm="random", level=8, rewind=k)
        if k:
            yield net.but(level=8, rewind=k, schedule="restarted")


def _quick() -> Iterator[Cell]:
    """A tenth of the paper's steps, LeNet alone: the shape of the result in minutes."""
    for r in range(5):
        net = MAIN["quick"].but(replicate=r)
        yield from _lenet(net)
        yield from (cell for level in (7, 11) for cell in (*chord(net, level), net.but(arm="random", level=level)))
        yield from (net.but(arm=name, level=level) for name in ("rounds", "descent") for level in (3, 7, 11))
    yield MAIN["quick"].but(arm="plane", level=RUNG)


def _smoke() -> Iterator[Cell]:
    """Every arm once, for seconds: shows that the machinery runs, decides nothing. Lines of three points."""
    read = ("chord", "rounds", "descent")
    return (cell.but(points=3) if cell.arm in read else cell for cell in _every_arm())


def _every_arm() -> Iterator[Cell]:
    # what takes longest comes first
    yield TINY
    yield from (TINY.but(order=order, rewind=1) for order in (2, 1))
    yield TINY.but(arm="chord", rewind=1)
    for r in range(2):
        net = MAIN["smoke"].but(replicate=r)
        for k in (0, 6):
            yield from tickets(net, 3, k)
            for level in (0, 2):
                yield from chord(net, level, k)
            yield from chord(net, 2, k, "random")
        yield from chord(net, 2, 6, "reinit")
        yield net.but(level=2, rewind=6, schedule="restarted")
        yield net.but(arm="reinit", level=2, draw=1)
        yield from (cell for subject in PULLED for cell in chord(net, 2, 0, subject, 2))
        yield from (net.but(arm=name, level=2) for name in ("rounds", "descent"))
    yield MAIN["smoke"].but(arm="plane", level=2)
