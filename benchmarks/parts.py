"""Where the time of a compiled step of an image network goes: its parts, each done alone, on one core.

A part does what it does in a step, on the activations and gradients that a whole step has left. What the parts do not
add up to is loss, settling of statistics, and what one of them loses or gains by the others' use of the cache.
"""

from functools import cache, partial
from itertools import product

import numpy as np
from tickets.training import passes
from tickets.training.kernels import adam_step, compiled_entry, dense_backward, dense_forward, sgd_step
from tickets.training.program import AFFINE, AGAIN, AVERAGE, CONV, POOL, Layers

from . import images
from .workloads import Unit

KEPT = (1, 0.5, 0.168, 0.036)
SWEEPS = {
    "forward": ((CONV,), ()),
    "backward": ((), (CONV,)),
    "norms": ((AFFINE,), (AFFINE, AGAIN)),
    "pools": ((POOL, AVERAGE), (POOL, AVERAGE)),
}
"""Part -> its operations on the way forward, and back: of convolutions; of normalizations or biases, with rectifiers
and residual sums; of pools and averages."""
SINGLE = ("pictures", "head", "optimizer")
"""Parts that are no operations of a sweep."""
PARTS = ("pictures", *SWEEPS, "head", "optimizer")


def cases(steps: int) -> dict:
    """Case -> (function, arguments) that prepares its unit of work; part "" is the whole step."""
    return {
        (*net, kept, part): (step, *net, images.NETS[net], kept, _few(net[1], steps), part)
        for net, kept, part in product(images.NETS, KEPT, ("", *PARTS))
    }


def _few(side: int, steps: int) -> int:
    return max(1, steps // (5 if side <= 16 else 20))


def rows(seconds: dict, steps: int, gflops: float) -> list[dict]:
    """A row for each network and density, milliseconds for a step; gflops: what the core's matrix products reach."""
    found = []
    for ((name, side), batch), kept in product(images.NETS.items(), KEPT):
        net = name, side, kept
        ms = {part: 1000 / _few(side, steps) * seconds[*net, part] for part in ("", *PARTS)}
        row = {"network": name, "side": side, "batch": batch, "density": kept, "ms": ms.pop("")}
        rate = 1e-6 * operations(name, side, batch, kept) / (ms["forward"] + ms["backward"])
        row |= {f"{part}_ms": value for part, value in ms.items()} | {"rest_ms": row["ms"] - sum(ms.values())}
        found.append(row | {"gflops": rate, "share_of_products": rate / gflops})
    return found


@compiled_entry
def _repeated(times, part, program, head, b, state, pictures, picked, rule):
    """Do a part so many times; -1: the operations that are left in the program, 0, 1, 2: as in SINGLE."""
    (value, keep, slow, fast, _, _), (adam, momentum, decay) = state, rule
    units, body, columns = head.widths.sum(), len(value) - head.first[-1], b.act.shape[1] * len(b.real)
    act = b.act[: units * columns // b.act.shape[1]].reshape(-1, columns)
    delta = b.slope[: units * len(b.real)].reshape(-1, columns)
    gradient, none, nothing = np.zeros_like(value), np.zeros(0, np.uint8), np.zeros((0, 0), value.dtype)
    for _ in range(times):
        if part == 0:
            passes._place(program.nodes[0], pictures[0], pictures[1], picked, (none > 0, none, none, 0), b.act)
        elif part == 1:
            dense_forward(head, value[body:], act[: head.widths[0]], act, nothing)
            dense_backward(head, value[body:], act, delta, gradient[body:], nothing, True)
        elif part == 2 and adam:
            adam_step(value, keep, gradient, slow, fast, 1e-3, 1000, decay)
        elif part == 2:
            sgd_step(value, keep, gradient, slow, 1e-3, momentum, decay)
        else:
            passes._sweeps(program.ahead, program, value, value[:0], b, len(b.real), len(picked), True, False)
            passes._sweeps(program.back, program, value, gradient, b, len(b.real), len(picked), True, True)


@cache
def step(name: str, side: int, batch: int, density: float, steps: int, part: str = "") -> Unit:
    """A unit of work: `steps` times a part of PARTS, or whole steps as in training."""
    net, told = images.prepared(name, side, batch, density, steps)
    whole = partial(passes.advance, *net.tables, net.state, *told)
    whole()
    if not part:
        return whole
    pictures, order, *_, rule = told
    left = [np.isin(ops["kind"], kinds) for ops, kinds in zip(net.program[:2], SWEEPS.get(part, ((), ())), strict=True)]
    program = net.program._replace(ahead=net.program.ahead[left[0]], back=net.program.back[left[1]])
    which = SINGLE.index(part) if part in SINGLE else -1
    unit = partial(_repeated, steps, which, program, net.head, net.buffers, net.state, pictures, order[0], rule)
    _repeated(0, *unit.args[1:])  # compiled now, not while it is timed
    return unit


def operations(name: str, side: int, batch: int, density: float) -> float:
    """Multiplications and additions that the convolutions of a step need: their output, and gradients of weights and
    inputs, of kept weights only; nobody needs the gradient of the pictures."""
    model = images.network(name, side)
    layers, kept = Layers(model), images.mask(model, density)
    total = 0
    for conv in layers.convs:
        weight = f"{conv.name}.weight"
        count = kept[weight].sum() if weight in kept else np.prod(model.shapes[weight])
        total += 2 * batch * count * np.prod(layers.nodes[conv.target][1:]) * (3 if conv.source else 2)
    return float(total)
