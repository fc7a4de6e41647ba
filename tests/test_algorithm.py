"""The facts of the papers, on short runs: what survives, what it returns to, and what each control changes."""

import numpy as np
import pytest
import torch
import twin
from oracle import load_replicate, plain
from tickets import data, imp, models, population, prune, run, schedule, train
from tickets.cells import PULLED, Cell
from tickets.errors import BadInput
from tickets.masks import KEPT, Mask, mask_at
from tickets.recorder import Recorder
from tickets.store import pruned_at

NET = Cell(dataset="digits", steps=40, precision="float64")
MODEL = models.build("lenet-300-100", (1, 8, 8), 10)
IMAGE_NET = Cell(
    dataset="digits16", model="resnet-20", steps=6, batch=8, optimizer="sgd", learning_rate=0.05, momentum=0.9,
    weight_decay=1e-4, scope="global", output_rate=0, augment="flip_crop", inputs="standard", precision="float64",
)  # fmt: skip


def chain(top, **fields):
    return [NET.but(level=level, **fields) for level in range(top + 1)]


def random_mask(model, density, seed=0):
    generator = np.random.default_rng(seed)
    return Mask({name: generator.random(model.shapes[name]) < density for name in model.prunable})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with a chain of four levels of two replicates, and the dense network in a second order."""
    from tickets.store import Store

    store = Store(tmp_path_factory.mktemp("chain"), recorded=None)
    run.run([*chain(4), *chain(4, replicate=1), NET.but(order=1)], engine="serial", store=store)
    torch.set_flush_denormal(False)
    return store


@pytest.fixture
def begun(monkeypatch):
    """What each network really started training with: cell -> (weights as trained, mask, first step)."""
    seen = {}

    def watch(name, original):
        def watched(cells, model, weights, masks, device, start, stop, keep, **more):
            if stop is None:
                seen.update({c: (w, m, start) for c, w, m in zip(cells, weights, masks, strict=True)})
            return original(cells, model, weights, masks, device, start, stop, keep, **more)

        monkeypatch.setitem(train.PATHS, name, watched)

    for name, original in train.PATHS.items():
        watch(name, original)
    return seen


def mask_of(store, cell):
    return mask_at(pruned_at(store.tensors(cell)), cell.level)


def final_of(store, cell):
    return imp.final(store.tensors(cell))


def start_of(store, **fields):
    return imp.start(NET.but(**fields), MODEL, store)


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


def stacked(weights):
    return {name: torch.from_numpy(np.array(array))[None].double() for name, array in weights.items()}


def test_a_late_rewind_step_leaves_readings_behind(store):
    """At 30 % of the budget a network that starts later has no accuracy; it has all the others."""
    cell = NET.but(level=1, rewind=25)
    table = run.run([NET, cell], engine="serial", store=store)
    assert np.isnan(table["test_accuracy_mid"][1])
    assert table["early_stop_step"][1] > 25


# training under a mask


OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-2},
    "adam": {"weight_decay": 1e-2},
}


@pytest.mark.parametrize("density", [0.6, 0.1])
@pytest.mark.parametrize("path", ["mlp", "autograd"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pruned_weights_are_exactly_zero_after_training(optimizer, path, density):
    cell, mask = NET.but(precision="float32", **OPTIMIZERS[optimizer]), random_mask(MODEL, density)
    final = train.train([cell], MODEL, [imp.initial(cell, MODEL)], [mask], path=path)[0][0].weights
    for name, kept in mask.items():
        assert (final[name][~kept] == 0).all()
        assert (final[name][kept] != 0).mean() > 0.99


@pytest.mark.parametrize("path", ["mlp", "autograd"])
def test_negative_weights_train(path):
    mask, init = random_mask(MODEL, 0.5), imp.initial(NET, MODEL)
    final = train.train([NET], MODEL, [init], [mask], path=path)[0][0].weights
    for name in ("fc2.weight", "fc3.weight"):
        negative = mask[name] & (init[name] < 0)
        positive = mask[name] & (init[name] > 0)
        moved = np.abs(final[name] - init[name]) > 1e-4
        assert moved[negative].mean() > 0.9
        assert moved[negative].mean() == pytest.approx(moved[positive].mean(), abs=0.03)


@pytest.mark.parametrize("path", ["mlp", "autograd"])
def test_pruned_weights_are_zero_also_where_training_diverged(path):
    mask, cell = random_mask(MODEL, 0.5), NET.but(optimizer="sgd", learning_rate=1e30, precision="float32")
    outcome = train.train([cell], MODEL, [imp.initial(cell, MODEL)], [mask], path=path)[0][0]
    assert outcome.result["diverged"]
    assert all((outcome.weights[name][~kept] == 0).all() for name, kept in mask.items())


@pytest.mark.parametrize("path", ["mlp", "autograd"])
def test_a_diverged_training_is_an_outcome(path):
    cell = NET.but(optimizer="sgd", learning_rate=1e6, precision="float32")
    result = train.train([cell], MODEL, [imp.initial(cell, MODEL)], [imp.dense_mask(MODEL)], path=path)[0][0].result
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
    weights = [imp.initial(cell, model) for cell in cells]
    one_by_one = [
        train.train([c], model, [w], [m], path="autograd")[0][0] for c, w, m in zip(cells, weights, masks, strict=True)
    ]
    return train.train(cells, model, weights, masks, path="autograd")[0], one_by_one


def assert_same(one, other):
    for name in other.weights:
        np.testing.assert_allclose(one.weights[name], other.weights[name], rtol=0, atol=1e-10, err_msg=name)
    assert one.result == pytest.approx(other.result, abs=1e-10, rel=0)
    assert one.wrong == other.wrong


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
    without = train.train([cells[0].but(dropout=0.0)], model, [imp.initial(cells[0], model)], [imp.dense_mask(model)])[
        0
    ][0]
    assert np.abs(without.weights["fc2.weight"] - together[0].weights["fc2.weight"]).max() > 1e-5


def test_dropout_halves_the_units_and_keeps_the_mean():
    cells = [NET.but(dropout=0.4, replicate=r) for r in range(2)]
    drop, ones = population._dropout(cells, "cpu"), torch.ones(2, 50, 200)
    first, second = drop(ones), drop(ones)
    assert first.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert first.mean().item() == pytest.approx(1, abs=0.03)
    for one, other in ((first[0], first[1]), (first[0], second[0])):
        assert (one == other).float().mean().item() == pytest.approx(0.4**2 + 0.6**2, abs=0.03)
    assert population._dropout([NET], "cpu") is None


# budget, early stopping, learning rate


def test_early_stopping_reads_the_whole_budget():
    cell, model = NET.but(steps=200, learning_rate=0.02), models.MLP("small", (1, 8, 8), 10, hidden=(40, 25))
    for path in ("mlp", "autograd"):
        outcome = train.train([cell], model, [imp.initial(cell, model)], [imp.dense_mask(model)], path=path)[0][0]
        losses, steps = outcome.curves["validation_loss"], outcome.curves["step"]
        best = int(np.argmin(losses))
        assert steps[-1] == 200
        assert best < len(steps) - 1  # the minimum lies before the end, and training went on
        assert outcome.result["early_stop_step"] == steps[best]
        assert outcome.result["early_stop_loss"] == losses[best]
        assert outcome.result["validation_accuracy"] == outcome.curves["validation_accuracy"][best]
        assert outcome.result["validation_loss_end"] == losses[-1] > losses[best]
        assert len(outcome.wrong) == round(300 * (1 - outcome.result["test_accuracy"] / 100))


def recorded(*losses):
    recorder = Recorder([NET.but(steps=len(losses))], 10)
    for step, loss in enumerate(losses, 1):
        recorder.validated(step, [loss], [step])
        recorder.tested(step, [10.0 * step])
    nothing = np.zeros(300, bool)
    return recorder.outcome(0, imp.dense_mask(MODEL), 50.0, nothing, 60.0, {}).result, recorder.curves[0]


def test_of_tied_minima_the_first_counts():
    result, curves = recorded(3.0, 1.0, 2.0, 1.0, 1.5)
    assert (result["early_stop_step"], result["early_stop_loss"], result["validation_accuracy"]) == (2, 1.0, 2.0)
    assert (curves["best_step"], curves["best_loss"]) == ([1, 2], [3.0, 1.0])
    assert result["validation_loss_end"] == 1.5
    assert not result["diverged"]


def test_a_network_that_diverges_keeps_its_last_minimum():
    result, _ = recorded(3.0, 2.0, float("inf"), float("nan"))
    assert result["early_stop_step"] == 2
    assert result["diverged"]
    assert result["test_accuracy"] == 50.0
    assert result["test_accuracy_end"] == result["train_accuracy_end"] == result["validation_accuracy_end"] == 10.0


def test_warmup_rises_from_zero_and_drops_divide_by_ten():
    rates = schedule.learning_rates(Cell(steps=100, learning_rate=0.1, warmup=20, drops=(50, 75)))
    assert rates[[0, 9, 19, 20, 49]] == pytest.approx([0.005, 0.05, 0.1, 0.1, 0.1])
    assert rates[[50, 74, 75, 99]] == pytest.approx([0.01, 0.01, 0.001, 0.001])
    assert (np.diff(rates[:20]) > 0).all()
    assert (schedule.learning_rates(Cell(steps=10, learning_rate=0.3)) == 0.3).all()


def test_validation_is_every_100_steps_of_the_papers_budget():
    assert schedule.interval(50_000) == 100
    stops, tests = schedule.stops(Cell(), 0), schedule.test_steps(50_000)
    assert stops == list(range(100, 50_001, 100))
    assert schedule.readouts(50_000) == {"mid": 15_000, "end": 50_000}
    assert {15_000, 50_000} <= tests <= set(stops)
    assert len(tests) <= 26


@pytest.mark.parametrize("steps", [1, 2, 19, 47, 60, 333, 2001])
def test_short_budgets_have_all_readings(steps):
    stops = schedule.stops(Cell(steps=steps), 0)
    assert stops[-1] == steps
    assert schedule.test_steps(steps) <= set(stops)
    assert set(schedule.readouts(steps).values()) <= schedule.test_steps(steps)
    assert all(1 <= step <= steps for step in stops)


def test_a_record_counts_what_the_mask_leaves(trained):
    row = trained.table([NET.but(level=4)]).iloc[0]
    mask = mask_of(trained, NET.but(level=4))
    assert row["min_fan_in"] == mask["fc3.weight"].sum(1).min()
    dead = (~mask["fc1.weight"].any(1) | ~mask["fc2.weight"].any(0)).sum()
    dead += (~mask["fc2.weight"].any(1) | ~mask["fc3.weight"].any(0)).sum()
    assert row["dead_units"] == dead


def test_the_output_layer_is_the_last_of_every_network(store, few_digits):
    """A mask that comes out of a file still lists its layers from input to output."""
    model = models.build("resnet-20", (1, 16, 16), 10)
    cells = [IMAGE_NET.but(level=level, steps=2, precision="float32") for level in range(2)]
    table = run.run(cells, engine="serial", store=store)
    mask = imp.start(cells[1], model, store)[1]
    assert tuple(mask) == model.prunable
    assert table["min_fan_in"][1] == mask["block9.conv2.weight"].reshape(64, -1).sum(1).min()


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


# branches: what each arm shares with the ticket, and what it does not


def test_reinit_shares_the_mask_and_not_the_weights(trained):
    ticket = mask_of(trained, NET.but(level=3))
    fresh = [start_of(trained, arm="reinit", level=3, draw=draw) for draw in (1, 2)]
    init = imp.initial(NET, MODEL)
    for weights, mask in fresh:
        assert all((mask[name] == ticket[name]).all() for name in ticket)
        assert (weights["fc1.weight"] != init["fc1.weight"]).mean() > 0.99
        assert weights["fc1.weight"].std() == pytest.approx(init["fc1.weight"].std(), rel=0.03)
    assert (fresh[0][0]["fc1.weight"] != fresh[1][0]["fc1.weight"]).mean() > 0.99
    deeper = start_of(trained, arm="reinit", level=4, draw=1)[0]
    np.testing.assert_array_equal(deeper["fc1.weight"], fresh[0][0]["fc1.weight"])  # one redraw for every level


def test_random_has_the_counts_of_the_ticket_elsewhere(trained):
    ticket = mask_of(trained, NET.but(level=3))
    weights, mask = start_of(trained, arm="random", level=3)
    assert mask.counts() == ticket.counts()
    density = ticket["fc1.weight"].mean()
    assert (mask["fc1.weight"] & ticket["fc1.weight"]).mean() == pytest.approx(density**2, abs=0.02)  # by chance
    np.testing.assert_array_equal(weights["fc1.weight"], imp.initial(NET, MODEL)["fc1.weight"])
    other = start_of(trained, arm="random", level=3, draw=1)[1]
    assert (other["fc1.weight"] != mask["fc1.weight"]).any()
    assert (start_of(trained, arm="random", level=3, replicate=1)[1]["fc1.weight"] != mask["fc1.weight"]).any()


def test_random_open_leaves_the_output_dense(trained):
    ticket = mask_of(trained, NET.but(level=3))
    _, mask = start_of(trained, arm="random_open", level=3)
    assert mask.counts() == {**ticket.counts(), "fc3.weight": 1000}
    closed = start_of(trained, arm="random", level=3)[1]
    np.testing.assert_array_equal(mask["fc1.weight"], closed["fc1.weight"])


def test_one_shot_prunes_the_dense_network_once_to_the_counts_of_the_ladder(trained):
    dense = final_of(trained, NET)
    weights, mask = start_of(trained, arm="one_shot", level=4)
    assert mask.counts() == mask_of(trained, NET.but(level=4)).counts()
    for name, kept in mask.items():
        assert np.abs(dense[name])[kept].min() >= np.abs(dense[name])[~kept].max()
    np.testing.assert_array_equal(weights["fc1.weight"], imp.initial(NET, MODEL)["fc1.weight"])
    between = start_of(trained, arm="one_shot", level=2.5)[1]
    hidden = [round(size * 0.8**2.5) for size in (19_200, 30_000)]
    assert list(between.counts().values()) == [*hidden, round(1000 * 0.9**2.5)]


def test_redraw_takes_values_from_the_layers_own_kept_initial_weights(trained):
    ticket, init = mask_of(trained, NET.but(level=3)), imp.initial(NET, MODEL)
    weights, mask = start_of(trained, arm="redraw", level=3)
    for name, kept in ticket.items():
        np.testing.assert_array_equal(mask[name], kept)
        pool, drawn = set(init[name][kept].tolist()), weights[name][kept].tolist()
        assert set(drawn) <= pool
        assert len(set(drawn)) == pytest.approx(len(drawn) * (1 - np.exp(-1)), rel=0.1)  # with replacement
        assert (weights[name][kept] == init[name][kept]).mean() < 0.05
        assert weights[name].shape == kept.shape
        assert weights[name].dtype == init[name].dtype
    np.testing.assert_array_equal(weights["fc1.bias"], init["fc1.bias"])


def test_magnitude_at_init_keeps_the_largest_initial_weights(trained):
    init = imp.initial(NET, MODEL)
    weights, mask = start_of(trained, arm="magnitude_at_init", level=3)
    assert mask.counts() == mask_of(trained, NET.but(level=3)).counts()
    for name, kept in mask.items():
        assert np.abs(init[name])[kept].min() >= np.abs(init[name])[~kept].max()
        np.testing.assert_array_equal(weights[name], init[name])


@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_noise_has_the_stated_size(trained, sigma):
    init = imp.initial(NET, MODEL)
    weights, mask = start_of(trained, arm="noise", level=3, sigma=sigma)
    ticket = mask_of(trained, NET.but(level=3))
    for name, kept in ticket.items():
        np.testing.assert_array_equal(mask[name], kept)
        noise = weights[name] - init[name]
        assert noise.std() == pytest.approx(sigma * init[name].std(), rel=4 / np.sqrt(2 * noise.size))
        assert abs(np.corrcoef(noise.ravel(), init[name].ravel())[0, 1]) < 5 / np.sqrt(noise.size)
        assert weights[name].dtype == np.float32
    np.testing.assert_array_equal(weights["fc2.bias"], init["fc2.bias"])
    again = start_of(trained, arm="noise", level=4, sigma=sigma)[0]
    np.testing.assert_array_equal(again["fc1.weight"], weights["fc1.weight"])


def test_finetuning_starts_where_the_mask_was_read(trained):
    weights, mask = start_of(trained, arm="finetune", level=3)
    source = final_of(trained, NET.but(level=2))
    for name, array in source.items():
        np.testing.assert_array_equal(weights[name], array)
    ticket = mask_of(trained, NET.but(level=3))
    assert all((mask[name] == ticket[name]).all() for name in ticket)


def test_all_arms_train(trained, begun):
    """Each arm through `run`, under the mask that its start says."""
    arms = (
        "reinit",
        "random",
        "random_open",
        "one_shot",
        "redraw",
        "magnitude_at_init",
        "noise",
        "finetune",
        "dense_path",
    )
    cells = [NET.but(arm=arm, level=2, draw=1, sigma=0.5 * (arm == "noise"), pull=arm in PULLED) for arm in arms]
    table = run.run(cells, engine="serial", store=trained)
    assert table["arm"].tolist() == list(arms)
    assert (table["test_accuracy"] > 30).all()
    for cell, row in zip(cells, table.itertuples(), strict=True):
        weights, mask, start = begun[cell]
        assert start == 0
        assert mask.kept == row.kept
        assert all((weights[name][~kept] == 0).all() for name, kept in mask.items())
        assert not trained.has_tensors(cell)  # nothing starts from them


def test_parents_are_the_networks_that_an_arm_is_made_from():
    two = NET.but(level=2)
    assert imp.parents(NET) == []
    assert imp.parents(NET.but(order=1)) == []
    assert imp.parents(two) == [NET.but(level=1)]
    assert imp.parents(NET.but(level=1, rewind=5)) == [NET]
    for arm in ("reinit", "random", "random_open", "redraw", "magnitude_at_init", "noise", "dense_path"):
        assert imp.parents(two.but(arm=arm, draw=2, sigma=1)) == [two]
    assert imp.parents(NET.but(arm="one_shot", level=1.765)) == [NET]
    assert imp.parents(two.but(arm="finetune")) == [NET.but(level=1), two]
    assert imp.parents(two.but(arm="anatomy")) == [NET.but(order=1), two]


def test_the_ladder_of_a_cell_is_that_of_its_rates():
    cell = NET.but(level=3, rate=0.5, output_rate=0.25)
    rates = {"fc1.weight": 0.5, "fc2.weight": 0.5, "fc3.weight": 0.25}
    sizes = {"fc1.weight": 19_200, "fc2.weight": 30_000, "fc3.weight": 1000}
    assert imp.ladder(cell, MODEL) == prune.ladder(sizes, rates, 3)


def cosine(weights, goal, mask):
    one, other = (np.concatenate([w[name][mask[name]] for name in mask]) for w in (weights, goal))
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def test_a_pulled_ticket_ends_nearer_to_what_its_mask_was_read_from(trained):
    """And a pushed one further away; the weights of a population of both are those of each alone."""
    cells = [NET.but(arm="pulled", level=2, pull=pull) for pull in (-50, 50)]
    goal = final_of(trained, NET.but(level=1))
    mask = mask_of(trained, NET.but(level=2))
    start = imp.start(cells[0], MODEL, trained)[0]
    goals = imp.goals(cells, trained)
    together, _ = train.train(cells, MODEL, [start] * 2, [mask] * 2, path="autograd", goals=goals)
    ends = together[0].weights, final_of(trained, NET.but(level=2)), together[1].weights
    pushed, left_alone, pulled = (1 - cosine(weights, goal, mask) for weights in ends)
    assert pushed > 2 * left_alone
    assert pulled < 0.5 * left_alone
    for cell, outcome in zip(cells, together, strict=True):
        (alone,), _ = train.train([cell], MODEL, [start], [mask], goals=imp.goals([cell], trained))
        for name, array in alone.weights.items():
            np.testing.assert_allclose(outcome.weights[name], array, rtol=0, atol=1e-10)


def test_only_pulled_arms_have_a_pull():
    for fields in ({"pull": 1.0}, {"arm": "pulled"}, {"arm": "reinit", "draw": 1, "pull": -1.0}):
        with pytest.raises(BadInput, match="pull"):
            NET.but(level=2, **fields)
    two = NET.but(level=2)
    assert imp.parents(two.but(arm="pulled_reinit", draw=1, pull=2)) == [NET.but(level=1), two]
    ends = imp.ends(two.but(arm="chord", subject="pulled", pull=2))
    assert ends == [two.but(arm="pulled", pull=2, order=order) for order in (0, 1)]


def test_the_dense_path_starts_where_the_ticket_starts(trained, begun):
    """Control C8: what differs is the path alone."""
    ticket, again = NET.but(level=3), NET.but(level=3, arm="dense_path")
    run.compute((ticket,), trained)  # again, so that its start is seen
    table = run.run([ticket, again], engine="serial", store=trained)
    assert table["path"].tolist() == ["mlp", "mlp-dense"]
    for name, array in begun[ticket][0].items():
        np.testing.assert_array_equal(array, begun[again][0][name])
    assert begun[ticket][1].counts() == begun[again][1].counts()
    assert abs(table["test_accuracy_end"].diff().iloc[1]) < 3


def test_digits_are_learned(trained):
    """The machinery learns: 40 steps take the digits far above chance, and validation images are not trained on."""
    row = trained.table([NET]).iloc[0]
    assert row["test_accuracy_end"] > 70
    picked, held_out = data.split(data.load("digits"), 0)
    assert not set(picked) & set(held_out)
