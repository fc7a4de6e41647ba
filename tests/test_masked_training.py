"""Training under a mask, of one network or of a population, on both paths: what is pruned stays zero, come what may."""

import numpy as np
import pytest
import torch
from short_chain import IMAGE_NET, MODEL, NET
from small import assert_same, random_mask, starts_of
from tickets.nets import models
from tickets.pruning import imp
from tickets.running import run
from tickets.training import autograd
from tickets.training.train import train

OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-2},
    "adam": {"weight_decay": 1e-2},
}


def trained_alone(cell, mask, model=MODEL, path=None):
    return train([cell], model, starts_of([cell], [mask], model), path=path)[0][0]


@pytest.mark.parametrize("density", [0.6, 0.1])
@pytest.mark.parametrize("path", ["mlp", "autograd"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pruned_weights_are_exactly_zero_after_training(optimizer, path, density):
    cell, mask = NET.but(precision="float32", **OPTIMIZERS[optimizer]), random_mask(MODEL, density)
    final = trained_alone(cell, mask, path=path).weights
    for name, kept in mask.items():
        assert (final[name][~kept] == 0).all()
        assert (final[name][kept] != 0).mean() > 0.99


@pytest.mark.parametrize("path", ["mlp", "autograd"])
def test_negative_weights_train(path):
    mask, init = random_mask(MODEL, 0.5), imp.initial(NET, MODEL)
    final = trained_alone(NET, mask, path=path).weights
    for name in ("fc2.weight", "fc3.weight"):
        negative = mask[name] & (init[name] < 0)
        positive = mask[name] & (init[name] > 0)
        moved = np.abs(final[name] - init[name]) > 1e-4
        assert moved[negative].mean() > 0.9
        assert moved[negative].mean() == pytest.approx(moved[positive].mean(), abs=0.03)


@pytest.mark.parametrize("path", ["mlp", "autograd"])
def test_pruned_weights_are_zero_also_where_training_diverged(path):
    mask, cell = random_mask(MODEL, 0.5), NET.but(optimizer="sgd", learning_rate=1e30, precision="float32")
    outcome = trained_alone(cell, mask, path=path)
    assert outcome.result["diverged"]
    assert all((outcome.weights[name][~kept] == 0).all() for name, kept in mask.items())


@pytest.mark.parametrize("path", ["mlp", "autograd"])
def test_a_diverged_training_is_an_outcome(path):
    cell = NET.but(optimizer="sgd", learning_rate=1e6, precision="float32")
    result = trained_alone(cell, imp.dense_mask(MODEL), path=path).result
    assert result["diverged"] is True
    assert not np.isfinite(result["validation_loss_end"])
    accuracies = {name: value for name, value in result.items() if "accuracy" in name}
    assert len(accuracies) == 6
    assert accuracies == dict.fromkeys(accuracies, 10.0)  # chance, not what an argmax over NaN happens to say


def test_a_diverged_training_is_recorded(store):
    table = run.run(
        [NET.but(optimizer="sgd", learning_rate=1e6, precision="float32"), NET], engine="serial", store=store
    )
    assert table["diverged"].tolist() == [True, False]
    assert table["test_accuracy_end"][0] == 10.0
    assert table["test_accuracy_end"][1] > 50


# populations


def together_and_alone(cells, model, masks):
    """(outcomes of a population, of each network by itself)."""
    one_by_one = [trained_alone(cell, mask, model, "autograd") for cell, mask in zip(cells, masks, strict=True)]
    return train(cells, model, starts_of(cells, masks, model), path="autograd")[0], one_by_one


def test_a_network_does_not_see_its_neighbours():
    cells = [NET.but(replicate=r, level=r, order=r % 2) for r in range(4)]
    masks = [random_mask(MODEL, density) for density in (1.0, 0.5, 0.1, 0.02)]
    for one, other in zip(*together_and_alone(cells, MODEL, masks), strict=True):
        assert_same(one, other)


def test_a_network_with_batch_normalization_does_not_see_its_neighbours(few_digits):
    model = models.build("resnet-20", (1, 16, 16), 10)
    cells = [IMAGE_NET.but(replicate=r, level=r, steps=3) for r in range(2)]
    together, alone = together_and_alone(cells, model, [random_mask(model, density) for density in (1.0, 0.2)])
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)
    assert np.abs(together[0].weights["fc.weight"] - together[1].weights["fc.weight"]).max() > 1e-2


def test_dropout_is_seeded_per_network(few_digits):
    model = models.build("conv-2", (1, 8, 8), 10)
    cells = [NET.but(model="conv-2", dropout=0.5, steps=4, batch=8, replicate=r) for r in range(2)]
    together, alone = together_and_alone(cells, model, [imp.dense_mask(model)] * 2)
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)
    without = trained_alone(cells[0].but(dropout=0.0), imp.dense_mask(model), model)
    assert np.abs(without.weights["fc2.weight"] - together[0].weights["fc2.weight"]).max() > 1e-5


def test_dropout_halves_the_units_and_keeps_the_mean():
    cells = [NET.but(dropout=0.4, replicate=r) for r in range(2)]
    drop, ones = autograd.dropout(cells, "cpu"), torch.ones(2, 50, 200)
    first, second = drop(ones), drop(ones)
    assert first.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert first.mean().item() == pytest.approx(1, abs=0.03)
    for one, other in ((first[0], first[1]), (first[0], second[0])):
        assert (one == other).float().mean().item() == pytest.approx(0.4**2 + 0.6**2, abs=0.03)
    assert autograd.dropout([NET], "cpu") is None
