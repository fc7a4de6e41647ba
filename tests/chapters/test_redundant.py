"""Redundant networks: what five weights for each make, their search, and what does not fit."""

import numpy as np
import pytest
import torch
from tickets.cells import Cell
from tickets.chapters.popup import redundant
from tickets.chapters.popup import search as popup
from tickets.data.reader import Reader
from tickets.errors import BadInput
from tickets.nets import models
from tickets.pruning import imp
from tickets.training import train

RULE = {
    "dataset": "digits", "model": "fc-500", "init": "kaiming", "optimizer": "sgd", "learning_rate": 0.1,
    "momentum": 0.9, "weight_decay": 5e-4, "batch": 20, "steps": 12, "precision": "float64", "level": 1,
}  # fmt: skip
WHOLE = models.build("fc-500", (1, 8, 8), 10)


def cell(**own):
    return Cell(**RULE, arm="redundant").but(**own)


def through_units(params, x, rectified):
    """Logits of images x [B, I], unit by unit: an input of a layer feeds hidden units of its own, these all outputs."""
    for layer in ("fc1", "fc2"):
        first, last = params[f"{layer}.inputs.weight"][:, 0], params[f"{layer}.weight"]
        times = len(first) // x.shape[1]
        hidden = torch.stack([x[:, k // times] * first[k] for k in range(len(first))], 1)
        x = (hidden.relu() if rectified else hidden) @ last.T
        x = x.relu() if layer == "fc1" else x
    return x


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("redundancy", [1, 3])
def test_a_layer_is_what_its_hidden_units_compute(redundancy, rectified):
    net = redundant.Redundant(WHOLE, redundancy, rectified)
    params = {name: torch.from_numpy(a).double() for name, a in net.drawn(np.random.default_rng(0)).items()}
    x = torch.rand(7, 64, dtype=torch.float64)
    found = net.forward({name: p[None] for name, p in params.items()}, {}, x[None], training=False)[0]
    torch.testing.assert_close(found, through_units(params, x, rectified), rtol=1e-10, atol=1e-12)


def test_it_has_as_many_weights_as_the_wide_network_but_for_68():
    sizes = [
        sum(np.prod(net.shapes[name]) for name in net.prunable)
        for net in (
            redundant.Redundant(models.build("fc-500", (1, 28, 28), 10), 5, False),
            models.build("fc-2508", (1, 28, 28), 10),
        )
    ]
    assert sizes == [1_991_420, 1_991_352]


@pytest.mark.parametrize("rectified", [False, True])
def test_all_together_its_weights_have_the_spread_of_a_layer(rectified):
    net = redundant.Redundant(models.build("fc-500", (1, 28, 28), 10), 5, rectified)
    params = {name: torch.from_numpy(a)[None] for name, a in net.drawn(np.random.default_rng(1)).items()}
    for name, inputs in (("fc1.weight", 784), ("fc2.weight", 500)):
        assert net.joined(params, name).square().mean().item() == pytest.approx(2 / inputs, rel=0.1)


@pytest.mark.parametrize(
    "own", [{"keep": 0.5}, {"keep": 0.1}, {"keep": 0.5, "rectified": True, "redundancy": 2}], ids=str
)
def test_a_search_is_a_plain_loop_through_its_hidden_units(own):
    one = cell(**own)
    start = imp.starts([one], WHOLE, None)[0]
    net, reader = redundant.of(one, WHOLE), Reader([one], dtype=torch.float64)
    frozen = {name: torch.from_numpy(array).double() for name, array in start.weights.items()}
    scores = {n: torch.from_numpy(s).double() for n, s in popup.first_scores(one, net).items()}
    slow = {name: torch.zeros_like(s) for name, s in scores.items()}
    for step in range(one.steps):
        x, y = reader.batch(torch.tensor([step]))
        params = {}
        for name, s in scores.items():
            order = s.abs().flatten().argsort(stable=True)
            mask = torch.zeros(s.numel(), dtype=torch.float64)
            mask[order[s.numel() - popup.kept(s.numel(), one.own["keep"]) :]] = 1
            params[name] = (frozen[name] * mask.view_as(s)).requires_grad_()
        logits = through_units(params, x[0].flatten(1), one.own["rectified"])
        torch.nn.functional.cross_entropy(logits, y[0]).backward()
        rate = one.learning_rate * (1 + np.cos(np.pi * step / one.steps)) / 2
        for name, s in scores.items():
            change = params[name].grad * frozen[name] * s.sign() + one.weight_decay * s
            slow[name] = one.momentum * slow[name] + change
            scores[name] = s - rate * slow[name]
    (found,), path = train.train([one], WHOLE, [start])
    assert path == "redundant"
    assert found.result["kept"] == sum(s.numel() for s in scores.values())
    for name, s in scores.items():
        assert found.weights[name] == pytest.approx(s.numpy(), abs=1e-10)


def test_replicates_are_drawn_apart_and_do_not_mix():
    cells = [cell(keep=0.3).but(replicate=r) for r in range(2)]
    begun = imp.starts(cells, WHOLE, None)
    assert not any((begun[0].weights[name] == begun[1].weights[name]).any() for name in begun[0].weights)
    together = train.train(cells, WHOLE, begun)[0]
    for one, start, outcome in zip(cells, begun, together, strict=True):
        alone = train.train([one], WHOLE, [start])[0][0]
        for name in start.weights:
            assert outcome.weights[name] == pytest.approx(alone.weights[name], abs=1e-10)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keep": 0.0}, "keep must lie in"),
        ({"redundancy": 0}, "redundancy must be 1 or more"),
        ({"model": "lenet-300-100"}, "lenet-300-100 has biases"),
        ({"inputs": "standard"}, "pixels in"),
        ({"optimizer": "adam"}, "plain gradient descent"),
    ],
)
def test_what_does_not_fit_is_refused(changes, said):
    with pytest.raises(BadInput, match=said):
        cell().but(**changes)
