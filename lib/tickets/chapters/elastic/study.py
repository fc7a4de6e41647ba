"""Chapter 5: Chen et al. 2021, elastic tickets.

MLP-n is 784-(300 x n)-100-10, trained as the authors' script does it: plain gradient descent at a constant rate,
Kaiming initialization, standardized pixels, tickets returned to initialization, 20 % a round over all layers but the
output's, whose weights count. They train on all images; we keep the book's split and count 40 epochs on what is left.
"""

from collections.abc import Iterator

from ...cells import Cell
from ..winning_tickets.study import RESNET20
from .arms import SCORES, SPARSER

MLP = Cell(
    inputs="standard", init="kaiming", model="mlp-2x300", steps=round(40 * 55_000 / 128), batch=128, optimizer="sgd",
    learning_rate=0.1, scope="global", output_rate=0,
)  # fmt: skip
MLPS = {f"MLP-{n}": f"mlp-{n}x300" for n in (2, 3, 4)} | {"MLP-2, half as wide": "mlp-2x150"}
RESNETS = {f"ResNet-{n}": f"resnet-{n}" for n in (14, 20, 32, 44, 56)}
VGGS = {f"VGG-{n}": f"vgg-{n}" for n in (13, 16, 19)}


def images(model: str, held: int = 45_000) -> Cell:
    """160 epochs of batches of 128, counted on images that are not held out; the printed second drop, 160, is 120."""
    steps = [round(epoch * held / 128) for epoch in (160, 80, 120)]
    return RESNET20.but(model=model, steps=steps[0], drops=tuple(steps[1:]), learning_rate=0.1, init="kaiming")


TINY = images("resnet-14").but(dataset="digits16", steps=2, batch=8, drops=(1,))
NETWORKS = {
    "smoke": {name: MLP.but(model=model, dataset="digits", steps=60, batch=60) for name, model in MLPS.items()},
    "quick": {name: MLP.but(model=model, steps=860) for name, model in MLPS.items()},
    "paper": {
        **{name: MLP.but(model=model) for name, model in MLPS.items()},
        **{name: images(model) for name, model in {**RESNETS, **VGGS}.items()},
    },
}
"""What claims call the networks of the chapter, at each profile."""
MAIN = {profile: named["MLP-2"] for profile, named in NETWORKS.items()}
"""The network that most of the chapter starts from, at each profile."""
STEPS = {"paper": {**{name: {"k": 1000} for name in RESNETS}, **{name: {"k": 200} for name in VGGS}}}
"""The step that tickets of image networks return to."""
DEEP = ("MLP-2", "MLP-3", "MLP-4")
TRANSFERS = tuple((target, source) for target in DEEP for source in DEEP if target != source)
"""Target and source of E2's six transfers, by name."""
ENDS = (("MLP-4", "MLP-2"), ("MLP-2", "MLP-4"))
"""The two widest transfers, on which all controls are trained."""
WIDTHS = (("MLP-2", "MLP-2, half as wide"), ("MLP-2, half as wide", "MLP-2"))
"""Stretched and squeezed across the width."""
RUNG, SPARSE = 10, (15, 18)  # 10.7, and 3.5 and 1.8 % of the source's weights


def cells(profile: str) -> Iterator[Cell]:
    """Cells of the chapter, most valuable first."""
    yield from {"smoke": _smoke, "quick": _quick, "paper": _paper}[profile]()


def keeps_curves(cell: Cell) -> bool:
    """Of lines."""
    return cell.arm in ("elastic_chord", "chord")


def chains(named: dict[str, Cell], names, levels, r: int, step: int = 0) -> Iterator[Cell]:
    """Tickets of some networks; level 0 is the dense network."""
    for name in names:
        yield from (named[name].but(replicate=r, level=level, rewind=step if level else 0) for level in levels)


def moved(named: dict[str, Cell], pairs, levels, r: int, arm: str = "elastic", step: int = 0, **own) -> Iterator[Cell]:
    """Something of sources on targets. Random masks and new weights are of draw 1, and their trunks come first."""
    draw = int(own.get("carried", "both") != "both")
    for target, source in pairs:
        for level in levels:
            at = {"replicate": r, "level": level, "draw": draw, "rewind": step}
            cell = named[target].but(arm=arm, **at, source_model=named[source].model, **own)
            if step and draw:
                yield cell.trunk()
            yield cell


def transfers(named, pairs, levels, r: int, step: int = 0, own: bool = True, **how) -> Iterator[Cell]:
    """Elastic tickets, the same weights under random masks, and the target's own tickets at their densities."""
    yield from moved(named, pairs, levels, r, step=step, **how)
    yield from moved(named, pairs, levels, r, step=step, carried="weights", **how)
    if own:
        yield from moved(named, pairs, levels, r, "own_ticket", step=step, **how)


def _controls(named, pairs, levels, r: int, step: int = 0) -> Iterator[Cell]:
    """What the paper sets beside its image networks, and SynFlow."""
    yield from moved(named, pairs, levels, r, step=step, carried="mask")
    for score in SCORES:
        yield from moved(named, pairs, levels, r, "early", step=step, score=score)


def _by_script(named, r: int, rung: int) -> Iterator[Cell]:
    """As the authors' script maps layers: the last hidden one stays as it was drawn, and dense."""
    yield from moved(named, TRANSFERS, [rung], r, unmapped=True)
    yield from moved(named, TRANSFERS, [rung], r, carried="weights", unmapped=True)
    yield from moved(named, TRANSFERS, [rung], r, "own_ticket", unmapped=True)


def _added(named, pairs, levels, r: int, step: int = 0) -> Iterator[Cell]:
    """Other masks on the units that were added."""
    for added in ("snip", "permuted"):
        yield from moved(named, pairs, levels, r, step=step, added=added)


def _lines(named, pairs, level: int, r: int, step: int = 0, points: int = 21, **how) -> Iterator[Cell]:
    """E8: copies of elastic networks in another order of the data, and of the target's own ticket; lines to them."""
    for pair in pairs:
        yield from (cell.but(order=1) for cell in moved(named, [pair], [level], r, step=step, **how))
        for other in ("copy", "own"):
            yield from moved(named, [pair], [level], r, "elastic_chord", step, other=other, points=points, **how)
    for target in dict.fromkeys(target for target, _ in pairs):
        net = named[target].but(replicate=r, level=level, rewind=step)
        yield from (net.but(order=1), net.but(arm="chord", points=points))


def _paper() -> Iterator[Cell]:
    named, ten = NETWORKS["paper"], range(10)
    for r in ten:
        yield from chains(named, DEEP, range(RUNG + SPARSER + 1), r)
        yield from transfers(named, TRANSFERS, [RUNG], r)
        yield from _by_script(named, r, RUNG)
    for r in ten:
        yield from chains(named, DEEP, range(RUNG + SPARSER + 1, SPARSE[-1] + SPARSER + 1), r)
        yield from transfers(named, TRANSFERS, SPARSE, r)
    for r in ten:
        yield from _controls(named, ENDS, SPARSE, r)
        yield from _added(named, ENDS[:1], SPARSE, r)
    for r in ten:
        yield from _across_width(named, SPARSE, r)
    for r in ten:
        yield from _lines(named, (("MLP-4", "MLP-2"), ("MLP-4", "MLP-3")), RUNG, r)
    for r in ten:
        yield from _controls(named, ENDS, [RUNG], r)
        yield from _added(named, ENDS[:1], [RUNG], r)
    yield from _image_networks(named, range(5))


def _across_width(named, levels, r: int) -> Iterator[Cell]:
    """Our own question: units replicated or dropped across the width."""
    yield from chains(named, WIDTHS[0][1:], range(max(levels) + SPARSER + 1), r)
    yield from transfers(named, WIDTHS, levels, r)
    yield from _controls(named, WIDTHS, levels, r)
    yield from moved(named, WIDTHS[:1], levels, r, even=True)


def _image_networks(named, replicates) -> Iterator[Cell]:
    """E1 and E5 to E8 at the paper's protocol: days of a GPU."""
    net = lambda *sizes: tuple(f"{'ResNet' if n not in (13, 19, 16) else 'VGG'}-{n}" for n in sizes)  # noqa: E731
    k, levels = STEPS["paper"], (6, 10, 13)
    for pairs in (
        [net(32, 20)],
        [net(20, 14), net(14, 20)],
        [net(56, 32)],
        [net(44, 14), net(44, 32)],
        [net(16, 13), net(19, 13)],
    ):
        for r in replicates:
            step = k[pairs[0][0]]["k"]
            names = dict.fromkeys(name for pair in pairs for name in reversed(pair))
            yield from chains(named, names, range(max(levels) + SPARSER + 1), r, step)
            yield from transfers(named, pairs, levels, r, step)
            yield from _controls(named, pairs, levels, r, step)
    for r in replicates:
        for blocks in REPLICATED.values():
            yield from moved(named, [net(56, 32)], [13], r, step=1000, blocks=blocks)
        yield from _added(named, [net(56, 32)], [13], r, 1000)
    for r in replicates:
        yield from moved(named, [net(32, 20), net(32, 14)], [10], r, step=1000, blocks="interpolate")
        yield from _lines(named, [net(32, 20), net(32, 14)], 10, r, 1000, blocks="interpolate")


REPLICATED = {
    "two early": "0:0;1:1,3,5;2:2,4,6;3:7;4:8",
    "two late": "0:0;1:1;2:2;3:3,5,7;4:4,6,8",
    "one early": "0:0;1:1,2,3,4,5;2:6;3:7;4:8",
    "one late": "0:0;1:1;2:2;3:3;4:4,5,6,7,8",
}
"""E6: which blocks of ResNet-32 are copied for ResNet-56, instead of all four once."""


def _quick() -> Iterator[Cell]:
    """Two epochs instead of forty, three replicates: the shape of the result in minutes."""
    named = NETWORKS["quick"]
    for r in range(3):
        yield from chains(named, DEEP, range(RUNG + SPARSER + 1), r)
        yield from transfers(named, TRANSFERS, [RUNG], r)
        yield from moved(named, ENDS, [RUNG], r, carried="mask")
    for r in range(3):
        for score in ("snip", "magnitude"):
            yield from moved(named, ENDS, [RUNG], r, "early", score=score)
        yield from _lines(named, ENDS[:1], RUNG, r, points=11)


def _smoke() -> Iterator[Cell]:
    """Every arm, map and control once, for seconds: shows that the machinery runs, decides nothing."""
    # what takes longest comes first
    for target, given in (("vgg-16x8", "vgg-13x8"), ("resnet-20x8", "resnet-14x8")):
        nets, pair = {name: TINY.but(model=name) for name in (target, given)}, [(target, given)]
        yield from chains(nets, [given], range(2), 0, 1)
        yield nets[target]
        yield from moved(nets, pair, [1], 0, step=1)
    yield from moved(nets, pair, [1], 0, step=1, carried="nothing")
    yield from moved(nets, pair, [1], 0, "early", step=1, score="synflow")
    yield from moved(nets, pair, [1], 0, step=1, added="snip")
    named = NETWORKS["smoke"]
    for r in range(2):
        yield from chains(named, DEEP, range(SPARSER + 3), r)
        yield from transfers(named, TRANSFERS, [2], r)
        yield from _by_script(named, r, 2)
    for r in range(2):
        yield from _controls(named, ENDS[::-1], [2], r)
        yield from moved(named, ENDS, [2], r, carried="nothing")
        yield from _added(named, ENDS[:1], [2], r)
        yield from _across_width(named, [2], r)
    yield from _lines(named, ENDS[1:], 2, 0, points=3)
