"""The facts of the papers, on short runs: what survives a round, and what the survivors return to."""

import numpy as np
import pytest
import torch
import twin
from oracle import load_replicate, plain
from short_chain import IMAGE_NET, MODEL, NET, chain, final_of, mask_of, stacked
from tickets.data import dataset, sources
from tickets.nets import models
from tickets.pruning import imp, prune
from tickets.pruning.masks import KEPT, mask_at, pruned_at
from tickets.running import run

# the chain


def test_a_chain_walks_down_the_ladder(trained):
    table = trained.table(chain(4)).set_index("level")
    sizes = {"fc1.weight": 19_200, "fc2.weight": 30_000, "fc3.weight": 1000}
    for level in range(5):
        kept = dict(sizes)
        for _ in range(level):
            kept = {name: n - round((0.1 if name == "fc3.weight" else 0.2) * n) for name, n in kept.items()}
        assert mask_of(trained, NET.but(level=level)).counts() == kept
        assert table["kept"][level] == sum(kept.values())
        assert table["density"][level] == pytest.approx(sum(kept.values()) / 50_200)
    assert table["density"].tolist() == pytest.approx([1, 0.802, 0.643, 0.517, 0.415], abs=1e-3)


def test_each_round_prunes_the_smallest_final_weights_of_each_layer(trained):
    for level in range(1, 5):
        before, after = NET.but(level=level - 1), NET.but(level=level)
        alive, kept, weights = mask_of(trained, before), mask_of(trained, after), final_of(trained, before)
        for name in alive:
            size = np.abs(weights[name])
            assert not (kept[name] & ~alive[name]).any()
            assert size[kept[name]].min() >= size[alive[name] & ~kept[name]].max()


def test_one_file_holds_the_masks_of_all_levels(trained):
    deepest = pruned_at(trained.tensors(NET.but(level=4)))
    for level in range(5):
        own = mask_of(trained, NET.but(level=level))
        for name, kept in mask_at(deepest, level).items():
            np.testing.assert_array_equal(kept, own[name])
    assert {int(level) for array in deepest.values() for level in np.unique(array)} == {1, 2, 3, 4, KEPT}


def test_survivors_return_to_their_initial_values(store, begun):
    run.run(chain(3), engine="serial", store=store)
    init = imp.initial(NET, MODEL)
    for level in range(1, 4):
        weights, mask, start = begun[NET.but(level=level)]
        assert start == 0
        assert mask.counts() == mask_of(store, NET.but(level=level)).counts()
        for name, array in weights.items():
            expected = init[name] * mask[name] if name in mask else init[name]
            np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("fields", [{}, {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9}], ids=str)
def test_survivors_return_to_the_rewind_step(store, begun, fields):
    k, net = 7, NET.but(**fields)
    cells = [net, net.but(level=1, rewind=k), net.but(level=2, rewind=k)]
    run.run(cells, engine="serial", store=store)
    init = imp.initial(net, MODEL)
    module = load_replicate(plain(NET.model, (1, 8, 8), 10), stacked(init), 0)
    twin.train(net, module, {}, stop=k)  # the dense run, k steps of it
    after_k = dict(zip(init, [p.detach().numpy().copy() for p in module.parameters()], strict=True))
    assert np.abs(after_k["fc2.weight"] - init["fc2.weight"]).max() > 1e-3
    for cell in cells[1:]:
        weights, mask, start = begun[cell]
        assert start == k
        for name, array in weights.items():
            expected = after_k[name] * mask[name] if name in mask else after_k[name]
            np.testing.assert_allclose(array, expected, rtol=0, atol=1e-10)
    # and from there on the ticket trains as anybody would train it: steps k and later of its own order
    weights, mask, _ = begun[cells[1]]
    module = load_replicate(plain(NET.model, (1, 8, 8), 10), stacked(weights), 0)
    places = {list(init).index(name): torch.from_numpy(np.array(kept)) for name, kept in mask.items()}
    twin.train(cells[1], module, places, start=k)
    mine = final_of(store, cells[1])
    for name, expected in zip(init, module.parameters(), strict=True):
        np.testing.assert_allclose(mine[name], expected.detach().numpy(), rtol=0, atol=1e-10)


def test_a_late_rewind_step_leaves_readings_behind(store):
    """At 30 % of the budget a network that starts later has no accuracy; it has all the others."""
    cell = NET.but(level=1, rewind=25)
    table = run.run([NET, cell], engine="serial", store=store)
    assert np.isnan(table["test_accuracy_mid"][1])
    assert table["early_stop_step"][1] > 25


# pruning over the whole network


def test_global_pruning_removes_a_share_of_what_is_left(store, few_digits):
    model = models.build("resnet-20", (1, 16, 16), 10)
    cells = [IMAGE_NET.but(level=level, steps=2, precision="float32") for level in range(3)]
    table = run.run(cells, engine="serial", store=store)
    size = sum(np.prod(model.shapes[name]) for name in model.prunable)
    kept = [size]
    for _ in range(2):
        kept.append(kept[-1] - round(0.2 * kept[-1]))
    assert table["kept"].tolist() == kept
    counts = mask_of(store, cells[2]).counts()
    shares = [counts[name] / np.prod(model.shapes[name]) for name in counts]
    assert max(shares) - min(shares) > 0.05  # layers were compared with each other
    pooled = np.concatenate([np.abs(final_of(store, cells[0])[name]).ravel() for name in model.prunable])
    first = mask_of(store, cells[1])
    smallest = min(np.abs(final_of(store, cells[0])[name])[kept].min() for name, kept in first.items())
    assert smallest == np.sort(pooled)[-kept[1]]
    assert not any(name in first for name in model.shapes if "shortcut" in name or name.startswith("fc"))


def test_the_output_layer_is_the_last_of_every_network(store, few_digits):
    """A mask that comes out of a file still lists its layers from input to output."""
    model = models.build("resnet-20", (1, 16, 16), 10)
    cells = [IMAGE_NET.but(level=level, steps=2, precision="float32") for level in range(2)]
    table = run.run(cells, engine="serial", store=store)
    mask = imp.starts([cells[1]], model, store)[0].mask
    assert tuple(mask) == model.prunable
    assert table["min_fan_in"][1] == mask["block9.conv2.weight"].reshape(64, -1).sum(1).min()


# a network and its neighbours


def test_a_record_counts_what_the_mask_leaves(trained):
    row = trained.table([NET.but(level=4)]).iloc[0]
    mask = mask_of(trained, NET.but(level=4))
    assert row["min_fan_in"] == mask["fc3.weight"].sum(1).min()
    dead = (~mask["fc1.weight"].any(1) | ~mask["fc2.weight"].any(0)).sum()
    dead += (~mask["fc2.weight"].any(1) | ~mask["fc3.weight"].any(0)).sum()
    assert row["dead_units"] == dead


def test_digits_are_learned(trained):
    """The machinery learns: 40 steps take the digits far above chance, and validation images are not trained on."""
    row = trained.table([NET]).iloc[0]
    assert row["test_accuracy_end"] > 70
    picked, held_out = dataset.split(sources.load("digits"), 0)
    assert not set(picked) & set(held_out)


def test_the_ladder_of_a_cell_is_that_of_its_rates():
    cell = NET.but(level=3, rate=0.5, output_rate=0.25)
    rates = {"fc1.weight": 0.5, "fc2.weight": 0.5, "fc3.weight": 0.25}
    sizes = {"fc1.weight": 19_200, "fc2.weight": 30_000, "fc3.weight": 1000}
    assert imp.ladder(cell, MODEL) == prune.ladder(sizes, rates, 3)


def test_parents_are_the_networks_that_an_arm_is_made_from():
    two = NET.but(level=2)
    assert NET.parents() == []
    assert NET.but(order=1).parents() == []
    assert two.parents() == [NET.but(level=1)]
    assert NET.but(level=1, rewind=5).parents() == [NET]
    assert NET.but(order=1, rewind=5).parents() == [NET]
    assert NET.but(level=2, rewind=5).parents() == [NET, NET.but(level=1, rewind=5)]
    for arm in ("reinit", "random", "random_open", "redraw", "magnitude_at_init", "noise", "dense_path"):
        assert two.but(arm=arm, draw=2).parents() == [two]
    late = NET.but(arm="reinit", draw=2, level=2, rewind=5)
    assert late.parents() == [NET.but(draw=2, steps=5), NET.but(level=2, rewind=5)]  # its own trunk, which stops there
    assert NET.but(arm="one_shot", level=1.765).parents() == [NET]
    assert two.but(arm="finetune").parents() == [NET.but(level=1), two]
    assert two.but(arm="anatomy").parents() == [NET.but(order=1), two]
