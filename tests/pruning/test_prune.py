"""From scores to masks: exact counts, the paper's ladders, the densities that it prints."""

import math

import numpy as np
import pytest
from tickets.chapters.winning_tickets import study
from tickets.errors import BadInput
from tickets.nets import models
from tickets.pruning import prune, scores
from tickets.pruning.masks import Mask
from tickets.seeds import stream

RNG = np.random.default_rng(0)
LENET = (100, 80.0, 64.1, 51.3, 41.1, 32.9, 26.3, 21.1, 16.9, 13.5, 10.8, 8.7, 7.0, 5.6, 4.5, 3.6, 2.9, 2.3, 1.9)
IMAGE = {"lenet-300-100": (1, 28, 28)}


def sizes_and_rates(net):
    """Weights of each layer of a study's network at the paper's image size, and the fraction removed a round."""
    model = models.build(net.model, IMAGE.get(net.model, (3, 32, 32)), 10)
    sizes = {name: math.prod(model.shapes[name]) for name in model.prunable}
    rates = {"dense": net.rate, "conv": net.conv_rate, "output": net.output_rate}
    return sizes, {name: rates[kind] for name, kind in model.kind.items()}


def percent_kept(net, level):
    sizes, rates = sizes_and_rates(net)
    return 100 * sum(prune.ladder(sizes, rates, level).values()) / sum(sizes.values())


# ladders (protocols: Frankle & Carbin 2019, as they print them)


def test_the_ladder_of_lenet():
    assert [round(percent_kept(study.LENET, level), 1) for level in range(19)] == list(LENET)


@pytest.mark.parametrize(
    ("net", "level", "printed"),
    [
        (study.CONV2, 11, 8.8),
        (study.CONV2, 14, 4.6),
        (study.CONV4, 11, 11.1),
        (study.CONV4, 12, 9.2),
        (study.CONV6, 7, 26.6),  # of the layers as described; the paper's labels are 26.4, 15.1 and 10.5
        (study.CONV6, 10, 15.3),
        (study.CONV6, 12, 10.6),
    ],
    ids=lambda value: getattr(value, "model", str(value)),
)
def test_the_ladders_of_the_convolutional_networks(net, level, printed):
    assert round(percent_kept(net, level), 1) == printed


def test_the_output_layer_is_pruned_at_half_the_rate():
    _, rates = sizes_and_rates(study.CONV2)
    assert rates == {"conv1.weight": 0.1, "conv2.weight": 0.1, "fc1.weight": 0.2, "fc2.weight": 0.2, "fc3.weight": 0.1}
    kept = prune.ladder({"fc1.weight": 30_000, "fc3.weight": 1000}, rates, 2)
    assert kept == {"fc1.weight": 19_200, "fc3.weight": 810}


def test_each_round_removes_whole_weights_of_what_is_left():
    assert [prune.ladder({"w": 7}, {"w": 0.2}, level)["w"] for level in range(5)] == [7, 6, 5, 4, 3]
    assert prune.ladder({"w": 1000}, {"w": 0.2}, 1.5)["w"] == round(1000 * 0.8**1.5)
    assert prune.ladder({"w": 1000}, {"w": 0.2}, 2.0) == prune.ladder({"w": 1000}, {"w": 0.2}, 2)


# the densities of one-shot pruning


def test_levels_of_the_printed_one_shot_densities():
    assert [round(percent_kept(study.LENET, level), 1) for level in study.BETWEEN] == [95.0, 67.5, 17.6, 5.2]
    assert round(percent_kept(study.LENET, study.BETWEEN[3]), 2) == 5.17


# masks


def layered(*shapes):
    return {f"w{i}": RNG.normal(size=shape) for i, shape in enumerate(shapes)}


@pytest.mark.parametrize("count", [0, 1, 17, 40, 59, 60])
@pytest.mark.parametrize("kind", ["all unlike", "ties", "all equal", "signed zeros", "diverged"])
def test_what_stays_is_the_end_of_a_stable_sorting(kind, count):
    """Of equal scores the first in memory goes; what is not a number stays longest."""
    generator = np.random.default_rng(count)
    score = generator.normal(size=(8, 10)).astype(np.float32)
    if kind != "all unlike":
        score = {"ties": score.round(), "all equal": 0 * score + 1, "signed zeros": 0 * score}.get(kind, score)
    if kind == "diverged":
        score[::3, ::2] = np.nan
    kept = np.zeros(80, bool)
    kept[generator.permutation(80)[:60]] = True
    order = np.argsort(score.ravel()[kept], kind="stable")
    wanted = np.zeros(80, bool)
    wanted[np.flatnonzero(kept)[order[60 - count :]]] = True
    found = prune.keep_top({"w": score}, Mask({"w": kept.reshape(8, 10)}), {"w": count})["w"]
    assert (found.ravel() == wanted).all()


def test_the_smallest_go_and_counts_are_exact():
    score = layered((10, 20), (5, 10))
    full = Mask.full({name: array.shape for name, array in score.items()})
    mask = prune.keep_top(score, full, {"w0": 37, "w1": 11})
    assert mask.counts() == {"w0": 37, "w1": 11}
    for name, kept in mask.items():
        assert score[name][kept].min() > score[name][~kept].max()


@pytest.mark.parametrize("count", [0, 1, 50, 75, 99, 100])
def test_counts_are_exact_when_half_of_all_weights_tie(count):
    score = np.concatenate([np.full(50, 0.5), RNG.random(50)])
    RNG.shuffle(score)
    for value in (score, np.zeros(100)):
        mask = prune.keep_top({"w": value.reshape(10, 10)}, Mask.full({"w": (10, 10)}), {"w": count})
        assert mask.kept == count
        kept = mask["w"].ravel()
        assert count in (0, 100) or value[kept].min() >= value[~kept].max()


def test_of_equal_weights_the_first_goes_first():
    mask = prune.keep_top({"w": np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 1.0]])}, Mask.full({"w": (2, 3)}), {"w": 3})
    assert mask["w"].tolist() == [[False, False, True], [False, True, True]]
    many = prune.keep_top({"w": np.tile([1.0, 0.0], (500, 1))}, Mask.full({"w": (500, 2)}), {"w": 300})
    assert not many["w"][:, 1].any()
    assert many["w"][:, 0].tolist() == [False] * 200 + [True] * 300


def test_what_is_pruned_stays_pruned():
    before = Mask({"w": RNG.random((20, 20)) < 0.5})
    score = {"w": np.where(before["w"], RNG.random((20, 20)), 9.0)}  # pruned weights with the highest scores
    for after in (prune.keep_top(score, before, {"w": 100}), prune.keep_top_global(score, before, 100)):
        assert after.kept == 100
        assert not (after["w"] & ~before["w"]).any()


def test_a_score_of_minus_infinity_or_not_a_number_keeps_the_count():
    score = np.array([[np.nan, -np.inf, 1.0, np.inf]])
    assert prune.keep_top({"w": score}, Mask.full({"w": (1, 4)}), {"w": 2}).kept == 2


def test_global_pruning_compares_layers():
    score = {"small": RNG.random((10, 10)), "large": 10 + RNG.random((10, 10))}
    full = Mask.full({"small": (10, 10), "large": (10, 10)})
    assert prune.keep_top_global(score, full, 130).counts() == {"small": 30, "large": 100}
    assert prune.keep_top(score, full, {"small": 65, "large": 65}).counts() == {"small": 65, "large": 65}
    both = np.concatenate([score["small"].ravel(), score["large"].ravel()])
    kept = prune.keep_top_global(score, full, 130)
    assert sorted(both)[-130] == min(score["small"][kept["small"]].min(), score["large"].min())


def test_global_pruning_keeps_the_shapes_of_layers():
    score = layered((4, 3, 3, 3), (2, 4))
    mask = prune.keep_top_global(score, Mask.full({name: array.shape for name, array in score.items()}), 20)
    assert {name: array.shape for name, array in mask.items()} == {"w0": (4, 3, 3, 3), "w1": (2, 4)}
    flat = np.sort(np.concatenate([array.ravel() for array in score.values()]))
    assert all((score[name][kept] >= flat[-20]).all() for name, kept in mask.items())
    assert mask.kept == 20


def test_more_than_there_is_cannot_be_kept():
    half = Mask({"w": np.arange(10).reshape(2, 5) % 2 == 0})
    for count in (6, -1):
        with pytest.raises(BadInput, match=f"cannot keep {count} of 5"):
            prune.keep_top({"w": np.zeros((2, 5))}, half, {"w": count})


# scores


def test_magnitude_does_not_know_the_sign():
    weights = {"w": np.array([[-3.0, 1.0, -0.5, 2.0]]), "bias": np.array([9.0])}
    assert scores.magnitude(weights, ["w"])["w"].tolist() == [[3.0, 1.0, 0.5, 2.0]]
    assert set(scores.magnitude(weights, ["w"])) == {"w"}
    kept = prune.keep_top(scores.magnitude(weights, ["w"]), Mask.full({"w": (1, 4)}), {"w": 2})
    assert kept["w"].tolist() == [[True, False, False, True]]


def test_random_scores_keep_every_weight_equally_often():
    draws = [scores.random({"w": (20, 30)}, stream("mask", draw=draw)) for draw in range(200)]
    kept = sum(prune.keep_top(score, Mask.full({"w": (20, 30)}), {"w": 120})["w"].astype(int) for score in draws)
    assert kept.sum() == 200 * 120
    assert kept.var() == pytest.approx(200 * 0.2 * 0.8, rel=0.25)  # binomial; 4 standard errors are 0.23
