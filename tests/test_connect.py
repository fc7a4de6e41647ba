"""Connectivity: copies share their trunk, ends are what was trained, barriers and statistics are as defined."""

import numpy as np
import pytest
import torch
from tickets import connect, imp, models, run, studies, train
from tickets.cells import Cell
from tickets.layers import EPSILON, MOMENTUM
from tickets.masks import Mask
from tickets.models import NormNet
from tickets.store import Store
from torch.nn.functional import conv2d

NET = Cell(dataset="digits", steps=20, precision="float64")
MODEL = models.build("lenet-300-100", (1, 8, 8), 10)
K = 6
TICKET = NET.but(level=2, rewind=K)
CHORDS = [
    NET.but(arm="chord"),
    NET.but(arm="chord", rewind=K),
    TICKET.but(arm="chord"),
    TICKET.but(arm="chord", subject="random"),
    TICKET.but(arm="chord", subject="reinit", draw=1),
    TICKET.but(arm="rounds"),
    TICKET.but(arm="descent"),
]
PLANE = TICKET.but(arm="plane")
IMAGE_NET = Cell(
    dataset="digits", model="resnet-20", steps=4, batch=8, optimizer="sgd", learning_rate=0.05, momentum=0.9,
    scope="global", output_rate=0, augment="flip_crop", inputs="standard", precision="float64",
)  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A store with every measurement and all that they need."""
    store = Store(tmp_path_factory.mktemp("connect"), recorded=None)
    run.run([*CHORDS, PLANE], engine="serial", store=store)
    torch.set_flush_denormal(False)
    return store


def final_of(store, cell):
    return imp.final(store.tensors(cell))


def assert_same(one, other):
    for name in MODEL.shapes:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def differ(one, other):
    return max(np.abs(one[name] - other[name]).max() for name in MODEL.shapes) > 1e-3


# copies


def trunk(stop=K, draw=0):
    """The dense network `stop` steps into its training, from a draw of the initial weights."""
    weights = [imp.initial(NET, MODEL, draw)]
    return train.train([NET], MODEL, weights, [imp.dense_mask(MODEL)], stop=stop)[0][0].weights


@pytest.mark.parametrize("cell", [NET.but(order=1, rewind=K), NET.but(order=2, rewind=K)], ids=["one", "two"])
def test_a_copy_is_its_trunk_up_to_the_rewind_step(measured, cell):
    weights, mask = imp.start(cell, MODEL, measured)
    assert imp.first_step(cell) == K
    assert mask.density == 1
    assert_same(weights, trunk())
    other = train.train([cell.but(rewind=0)], MODEL, [imp.initial(NET, MODEL)], [mask], stop=K)[0][0]
    assert differ(weights, other.weights)  # the trunk is the order of the dense network, not the copy's


def test_copies_go_their_own_way_after_it(measured):
    dense, copy, late = (final_of(measured, c) for c in (NET, NET.but(order=1), NET.but(order=1, rewind=K)))
    assert differ(dense, copy)
    assert differ(dense, late)
    assert differ(copy, late)
    tickets = [final_of(measured, TICKET.but(order=order)) for order in (0, 1)]
    assert differ(*tickets)
    for name in MODEL.prunable:
        np.testing.assert_array_equal(tickets[0][name] == 0, tickets[1][name] == 0)


def test_branches_return_to_the_rewind_step_of_their_own_trunk(measured):
    ticket, random, reinit = (TICKET.but(arm=arm, draw=int(arm == "reinit")) for arm in ("ticket", "random", "reinit"))
    starts = {cell.arm: imp.start(cell, MODEL, measured) for cell in (ticket, random, reinit)}
    assert_same(starts["ticket"][0], trunk())
    assert_same(starts["random"][0], trunk())
    assert_same(starts["reinit"][0], trunk(draw=1))
    counts = [mask.counts() for _, mask in starts.values()]
    assert counts[0] == counts[1] == counts[2]
    assert any((starts["ticket"][1][name] != starts["random"][1][name]).any() for name in MODEL.prunable)


def test_trunks_of_a_population_are_trained_once_and_as_if_alone(monkeypatch):
    calls, original = [], train.train

    def watched(cells, *rest, **named):
        calls.append(cells)
        return original(cells, *rest, **named)

    monkeypatch.setattr(train, "train", watched)
    cells = [TICKET, TICKET.but(order=1), TICKET.but(level=1), TICKET.but(replicate=1), NET.but(order=1, rewind=K)]
    together = imp.rewound(cells, MODEL)
    assert [len(call) for call in calls] == [2]
    for cell, weights in zip(cells, together, strict=True):
        assert_same(weights, imp.rewound([cell], MODEL)[0])


def test_a_trunk_is_trained_once_for_all_branches_to_come(monkeypatch, tmp_path):
    """The store keeps it, for the same code, torch and device only; one that is cut off is trained again."""
    store, calls, original = Store(tmp_path, recorded=None), [], train.train

    def watched(cells, *rest, **named):
        calls.append(cells)
        return original(cells, *rest, **named)

    monkeypatch.setattr(train, "train", watched)
    first = imp.rewound([TICKET], MODEL, store=store)[0]
    for branch in (TICKET.but(order=1), TICKET.but(level=1, arm="random"), NET.but(order=1, rewind=K)):
        assert_same(imp.rewound([branch], MODEL, store=store)[0], first)
    assert len(calls) == 1
    for other in (TICKET.but(rewind=K - 1), TICKET.but(replicate=1), TICKET.but(arm="reinit", draw=1)):
        assert differ(imp.rewound([other], MODEL, store=store)[0], first)
    assert len(calls) == 4
    monkeypatch.setattr(imp, "fingerprint", lambda: "of other code")
    assert_same(imp.rewound([TICKET], MODEL, store=store)[0], first)
    assert len(calls) == 5
    (path,) = tmp_path.rglob(f"{NET.key()}.trunk-0-{K}.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    assert_same(imp.rewound([TICKET], MODEL, store=store)[0], first)
    assert len(calls) == 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_trunk_on_a_gpu_has_the_bits_of_the_network_it_belongs_to(monkeypatch):
    """Whoever its neighbours are: otherwise copies would differ in more than their order."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    cells = [IMAGE_NET.but(precision="float32", steps=40, replicate=r) for r in range(3)]
    model = models.build("resnet-20", (1, 8, 8), 10)
    starts = [imp.initial(cell, model) for cell in cells]
    masks = [imp.dense_mask(model)] * 3
    together = train.train(cells, model, starts, masks, "cuda", stop=30)[0]
    for cell, weights, other in zip(cells, starts, together, strict=True):
        alone = train.train([cell], model, [weights], masks[:1], "cuda", stop=30)[0][0]
        for name, array in alone.weights.items():
            np.testing.assert_array_equal(array, other.weights[name], err_msg=name)


def test_a_restarted_ticket_has_all_its_steps_from_the_rewind_step_on(store):
    again = TICKET.but(schedule="restarted")
    assert imp.parents(again) == [TICKET.but(level=1)]
    assert imp.first_step(again) == 0
    run.run([TICKET, again], engine="serial", store=store)
    assert_same(imp.start(again, MODEL, store)[0], trunk())
    assert differ(final_of(store, TICKET), final_of(store, again))
    steps = store.curves([TICKET, again], "step", "validation_loss").groupby("schedule")["step"].agg(["min", "max"])
    assert steps["min"].to_dict() == {"resumed": K + 1, "restarted": 1}
    assert set(steps["max"]) == {20}


# which networks leave tensors


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_networks_that_are_measured_leave_their_tensors(store, engine):
    random, other = NET.but(arm="random", level=1), NET.but(arm="random", level=1, draw=1)
    chord = NET.but(arm="chord", level=1, subject="random")
    run.run([random, other], engine="serial", store=store)
    assert not store.has_tensors(random)  # nothing starts from it
    before = store.get(random)["result"]
    run.run([chord], engine=engine, workers=1, store=store)
    assert [store.has_tensors(cell) for cell in (*imp.ends(chord), other)] == [True, True, False]
    assert store.get(random)["result"] == before
    assert run.plan([chord], store) == []


def test_normalization_statistics_are_among_the_tensors(store, few_digits):
    model = models.build("resnet-20", (1, 8, 8), 10)
    run.run([IMAGE_NET.but(level=1)], engine="serial", store=store)
    for cell in (IMAGE_NET, IMAGE_NET.but(level=1)):
        found = final_of(store, cell)
        assert set(found) == {*model.shapes, *model.buffers(1)}
        assert np.abs(found["conv1.norm.running_mean"]).max() > 1e-3
        task = connect.Task(cell, model, [found])
        loss, predicted = task.read(np.ones((1, 1)), "test")
        accuracy = 100 - task.errors(loss, predicted, "test")[0]
        assert accuracy == pytest.approx(store.get(cell)["result"]["test_accuracy_end"])


# lines


def test_a_barrier_is_the_highest_error_above_the_mean_of_the_ends():
    assert connect.barrier(np.array([10.0, 30, 20])) == 15
    assert connect.barrier(np.array([7.0, 7, 7])) == 0
    assert connect.barrier(np.array([10.0, 5, 20])) == 5


@pytest.mark.parametrize("cell", CHORDS, ids=lambda cell: f"{cell.arm}-{cell.level}-{cell.rewind}-{cell.subject}")
def test_the_ends_of_a_line_are_the_trained_networks(measured, cell):
    record = measured.get(cell)
    curves, result = record["curves"], record["result"]
    assert curves["alpha"] == np.linspace(0, 1, 30).tolist()
    ends = [measured.get(end)["result"] for end in imp.ends(cell)]
    for part in ("test", "train"):
        errors = [100 - end[f"{part}_accuracy_end"] for end in ends]
        assert [curves[f"{part}_error"][place] for place in (0, -1)] == pytest.approx(errors)
    test = curves["test_error"]
    assert result["error_ends"] == pytest.approx((test[0] + test[-1]) / 2)
    assert result["barrier_test"] == pytest.approx(max(test) - result["error_ends"])
    assert result["disagreement"] >= result["disagreement_least"] - 1e-9
    assert result["disagreement"] > 0
    assert result["distance"] > 0
    assert 0 < result["angle"] < 90


def test_the_ends_are_those_that_the_cell_says():
    assert imp.ends(CHORDS[0]) == [NET, NET.but(order=1)]
    assert imp.ends(CHORDS[1]) == [NET, NET.but(order=1, rewind=K)]
    assert imp.ends(CHORDS[2].but(points=11)) == [TICKET, TICKET.but(order=1)]
    assert imp.ends(CHORDS[3]) == [TICKET.but(arm="random"), TICKET.but(arm="random", order=1)]
    assert imp.ends(CHORDS[4]) == [TICKET.but(arm="reinit", draw=1, order=order) for order in (0, 1)]
    assert imp.ends(CHORDS[5]) == [TICKET, TICKET.but(level=3)]
    assert imp.ends(CHORDS[6]) == [NET, TICKET]
    assert imp.ends(PLANE) == [NET, NET.but(order=1, rewind=K), TICKET]


def test_a_network_and_itself_have_no_barrier(measured):
    own = final_of(measured, NET)
    scalars, curves = connect.line(connect.Task(NET, MODEL, [own, own]), np.linspace(0, 1, 5))
    result = measured.get(NET)["result"]
    assert scalars["barrier_test"] == scalars["barrier_train"] == scalars["disagreement"] == 0
    assert curves["test_error"] == pytest.approx([100 - result["test_accuracy_end"]] * 5)
    assert curves["train_error"] == pytest.approx([100 - result["train_accuracy_end"]] * 5)


def test_two_ends_that_are_one_network_are_refused(measured):
    """One model under two names is "stable at initialization" whatever was trained."""
    one, other = final_of(measured, NET), final_of(measured, NET.but(order=1))
    connect.check_apart([one, other], CHORDS[0])
    for twice in ([one, one], [one, {name: array.copy() for name, array in one.items()}], [other, one, one]):
        with pytest.raises(ValueError, match="two ends are one network"):
            connect.check_apart(twice, CHORDS[0])
    with pytest.raises(ValueError, match="two ends are one network"):
        connect.check_apart([one, {**other, "fc1.weight": one["fc1.weight"]}], CHORDS[0])


def test_a_line_in_the_store_between_equal_networks_is_refused(measured, store):
    for cell in imp.ends(CHORDS[0]):
        store.put(measured.get(cell), measured.tensors(NET))
    with pytest.raises(ValueError, match="two ends are one network"):
        run.compute((CHORDS[0],), store)
    torch.set_flush_denormal(False)


def test_all_points_together_are_each_point_alone(measured):
    ends = [final_of(measured, cell) for cell in imp.ends(CHORDS[0])]
    task, coefficients = connect.Task(NET, MODEL, ends), torch.tensor([[1, 0], [0.7, 0.3], [-0.2, 1.2]]).double()
    x = next(task.inputs("test", 50))[0]
    together = task.mixture(coefficients)(x)
    for c, logits in zip(coefficients.tolist(), together, strict=True):
        params = {n: torch.from_numpy(c[0] * ends[0][n] + c[1] * ends[1][n])[None] for n in MODEL.shapes}
        alone = MODEL.forward(params, {}, x[None], training=False)[0]
        torch.testing.assert_close(logits, alone, rtol=0, atol=1e-10)


def test_a_network_that_diverged_has_the_error_of_chance(measured):
    gone = {name: np.full_like(array, np.nan) for name, array in final_of(measured, NET).items()}
    task = connect.Task(NET, MODEL, [final_of(measured, NET), gone])
    assert task.errors(*task.read(np.array([[0.0, 1]]), "test"), "test").tolist() == [90]


# geometry


def test_distances_and_angles_are_those_of_the_masked_movements():
    model = models.build("lenet-300-100", (1, 2, 2), 10)
    zeros = {name: np.zeros(shape) for name, shape in model.shapes.items()}
    start = {**zeros, "fc1.weight": zeros["fc1.weight"] + 5}  # pruned weights of the start count for nothing
    kept = {name: np.zeros(model.shapes[name], bool) for name in model.prunable}
    mask = Mask(kept)
    one, other = ({**zeros, "fc1.bias": zeros["fc1.bias"].copy()} for _ in range(2))
    one["fc1.bias"][0], other["fc1.bias"][1] = 3, 4
    found = connect.geometry([one, other], [mask, mask], start, model)
    assert found == pytest.approx({"distance": 5, "travelled": 3.5, "distance_ratio": 5 / 3.5, "angle": 90})
    other["fc1.bias"][:2] = 8, 0
    found = connect.geometry([one, other], [mask, mask], start, model)
    assert found == pytest.approx({"distance": 5, "travelled": 5.5, "distance_ratio": 5 / 5.5, "angle": 0})


def test_the_plane_passes_through_its_three_networks():
    generator = np.random.default_rng(0)
    networks = generator.standard_normal((3, 50))
    at, x, y, coefficients = connect.grid(*networks)
    assert coefficients.shape == (441, 3)
    np.testing.assert_allclose(coefficients.sum(1), 1)
    gaps = lambda points: np.linalg.norm(points[:, None] - points[None], axis=2)  # noqa: E731
    np.testing.assert_allclose(gaps(at), gaps(networks))  # a plane keeps distances
    places = np.stack([a.ravel() for a in np.meshgrid(x, y)], 1)
    np.testing.assert_allclose(gaps(coefficients @ networks), gaps(places), atol=1e-6)
    assert x[0] == pytest.approx(at[:, 0].min() - 0.2 * np.ptp(at[:, 0]))
    assert y[-1] == pytest.approx(1.2 * at[2, 1])


def test_a_plane_survives_being_recorded(measured, tmp_path):
    both = Store(measured.local, tmp_path / "recorded")
    both.record("02_study", [PLANE], NET)
    fresh, curves = Store(tmp_path / "none", tmp_path / "recorded").get(PLANE), measured.get(PLANE)["curves"]
    rows = [name for name in curves if name.startswith("error_")]
    assert len(rows) == len(curves["x"]) == len(curves["y"]) == 21
    for name in (*rows, "x", "y", "network_x", "network_y"):
        np.testing.assert_allclose(fresh["curves"][name], curves[name], rtol=1e-4)
    grid = np.array([curves[name] for name in rows])
    assert grid.shape == (21, 21)
    assert np.ptp(grid) > 1
    result = measured.get(PLANE)["result"]
    expected = [100 - measured.get(end)["result"]["test_accuracy_end"] for end in imp.ends(PLANE)]
    assert [result[f"error_{i}"] for i in range(3)] == pytest.approx(expected)


def test_curves_of_a_line_survive_being_recorded(measured, tmp_path):
    both = Store(measured.local, tmp_path / "recorded")
    both.record("02_study", CHORDS, NET)
    fresh = Store(tmp_path / "none", tmp_path / "recorded")
    for cell in CHORDS:
        assert set(fresh.get(cell)["curves"]) == set(measured.get(cell)["curves"])
        assert len(fresh.get(cell)["curves"]["test_error"]) == 30
    assert len(fresh.curves(CHORDS, "alpha", "test_error")) == 30 * len(CHORDS)


# networks with batch normalization


class OneNorm(NormNet):
    """One normalized convolution of three channels, averaged, and an output layer."""

    def __init__(self):
        super().__init__("one-norm", (1, 8, 8), 10)
        self._add_conv_norm("conv1", 1, 3)
        self._add("fc", (10, 3), kind=None)

    def features(self, x, conv_norm):
        return conv_norm(x, "conv1")


@pytest.fixture
def normed():
    """Two hand-made networks with different statistics and scales, one channel's of opposite sign, and their task."""
    model, generator, networks = OneNorm(), np.random.default_rng(3), []
    for k in range(2):
        network = {name: generator.standard_normal(shape) for name, shape in model.shapes.items()}
        network["conv1.norm.weight"] = np.array([1.0, 0.5, 2.0 if k else -1.0])
        network["conv1.norm.running_mean"] = generator.standard_normal(3)
        network["conv1.norm.running_var"] = np.array([1.0, 4.0, 0.25]) * (1 + 3 * k)
        networks.append(network)
    return connect.Task(IMAGE_NET.but(inputs="unit"), model, networks), networks


HALF = torch.tensor([[0.5, 0.5], [0.2, 0.8]], dtype=torch.float64)


def mixed(networks, name, p):
    return sum(c * torch.from_numpy(network[name]) for c, network in zip(HALF[p].tolist(), networks, strict=True))


def batches(task):
    return [x for (x, _), _ in zip(task.inputs("train", 8), range(100), strict=False)]


def test_kept_statistics_are_mixed_like_weights(normed):
    task, networks = normed
    params, running = task.normalized(HALF, "kept")
    for p in range(2):
        for name, found in {**params, **running}.items():
            torch.testing.assert_close(found[p], mixed(networks, name, p))


def test_reestimated_statistics_are_those_of_forward_passes(normed):
    task, networks = normed
    params, running = task.normalized(HALF, "reestimated")
    for p in range(2):
        mean, var = torch.zeros(3).double(), torch.ones(3).double()
        for x in batches(task):
            z = conv2d(x, mixed(networks, "conv1.weight", p), padding=1)
            mean = (1 - MOMENTUM) * mean + MOMENTUM * z.mean((0, 2, 3))
            var = (1 - MOMENTUM) * var + MOMENTUM * z.var((0, 2, 3))
        torch.testing.assert_close(running["conv1.norm.running_mean"][p], mean)
        torch.testing.assert_close(running["conv1.norm.running_var"][p], var)
        torch.testing.assert_close(params["conv1.norm.weight"][p], mixed(networks, "conv1.norm.weight", p))


def test_repair_takes_channels_to_the_mixed_mean_and_deviation(normed):
    """Rescaled by hand to the mixed moments of the ends and then normalized as kept, it says what `repaired` says."""
    task, networks = normed
    running = task.normalized(HALF, "repaired")[1]
    kept = task.normalized(HALF, "kept")[1]
    x = torch.cat(batches(task))
    across = lambda t: t[:, None, None]  # noqa: E731
    for p in range(2):
        z = conv2d(x, mixed(networks, "conv1.weight", p), padding=1)
        mean, var = (running[f"conv1.norm.running_{name}"][p] for name in ("mean", "var"))
        goal = mixed(networks, "conv1.norm.running_mean", p)
        spread = sum(
            c * (torch.from_numpy(network["conv1.norm.running_var"]) + EPSILON).sqrt()
            for c, network in zip(HALF[p].tolist(), networks, strict=True)
        )
        rescaled = (z - across(mean)) / across((var + EPSILON).sqrt()) * across(spread) + across(goal)
        torch.testing.assert_close(rescaled.mean((0, 2, 3)), goal, rtol=0, atol=0.1)  # the estimate is a running mean
        torch.testing.assert_close(rescaled.std((0, 2, 3)), spread, rtol=0.1, atol=0)
        kept_mean, kept_var = (kept[f"conv1.norm.running_{name}"][p] for name in ("mean", "var"))
        scale, shift = (mixed(networks, f"conv1.norm.{name}", p) for name in ("weight", "bias"))
        normal = (rescaled - across(kept_mean)) / across((kept_var + EPSILON).sqrt()) * across(scale) + across(shift)
        logits = normal.mean((2, 3)) @ mixed(networks, "fc.weight", p).T + mixed(networks, "fc.bias", p)
        torch.testing.assert_close(task.mixture(HALF, "repaired")(x)[p], logits)


def test_an_image_network_has_a_barrier_under_all_statistics(store, few_digits):
    chord = IMAGE_NET.but(arm="chord", rewind=2, points=3)
    result = run.run([chord], engine="serial", store=store).iloc[0]
    curves = store.get(chord)["curves"]
    for suffix in ("", "_reestimated", "_repaired"):
        errors = np.array(curves[f"test_error{suffix}"])
        assert len(errors) == 3
        assert result[f"barrier_test{suffix}"] == pytest.approx(connect.barrier(errors))
    ends = [100 - store.get(end)["result"]["test_accuracy_end"] for end in imp.ends(chord)]
    assert [curves["test_error"][0], curves["test_error"][-1]] == pytest.approx(ends)


# the chapter


def test_the_smoke_study_runs_from_end_to_end(store):
    cells = studies.cells("02_linear_mode_connectivity", "smoke")
    table = run.run(cells, engine="serial", store=store)
    assert table["key"].tolist() == [cell.key() for cell in cells]
    lines = table[table["arm"].isin(["chord", "rounds", "descent"])]
    assert set(lines["rewind"]) == {0, 1, 6}
    assert np.isfinite(lines[["barrier_test", "barrier_train", "distance_ratio", "disagreement"]]).all(axis=None)
