"""The budget of a training: learning rates, when it is read, and where it would have been stopped."""

import numpy as np
import pytest
from short_chain import MODEL, NET
from small import SMALL, starts_of
from tickets.cells import Cell
from tickets.chapters.linear_mode_connectivity.study import EPOCH, RESNET50
from tickets.pruning import imp
from tickets.training import schedule
from tickets.training.recorder import Recorder
from tickets.training.train import train


def test_early_stopping_reads_the_whole_budget():
    cell = NET.but(steps=200, learning_rate=0.02)
    for path in ("mlp", "autograd"):
        outcome = train([cell], SMALL, starts_of([cell], [imp.dense_mask(SMALL)]), path=path)[0][0]
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
    half = np.arange(300) < 150
    return recorder.outcome(0, imp.dense_mask(MODEL), half, 60.0, {}).result, recorder.curves[0]


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
    assert schedule.interval(Cell()) == 100
    stops, tests = schedule.stops(Cell(), 0), schedule.test_steps(Cell())
    assert stops == list(range(100, 50_001, 100))
    assert schedule.readouts(Cell()) == {"mid": 15_000, "end": 50_000}
    assert {15_000, 50_000} <= tests <= set(stops)
    assert len(tests) <= 26


def test_imagenet_is_validated_once_an_epoch():
    """50,000 images every 100 steps of 1024 would cost half as much as the training itself."""
    assert schedule.interval(RESNET50) == int(EPOCH) == 1202
    stops = schedule.stops(RESNET50, 0)
    assert stops[:2] == [1202, 2404]
    assert stops[-1] == RESNET50.steps == schedule.readouts(RESNET50)["end"]
    assert len(stops) <= 92
    assert schedule.test_steps(RESNET50) <= set(stops)
    assert schedule.interval(RESNET50.but(dataset="cifar10", augment="none")) == 100  # of the dataset, not the budget


@pytest.mark.parametrize("steps", [1, 2, 19, 47, 60, 333, 2001])
def test_short_budgets_have_all_readings(steps):
    cell = Cell(steps=steps)
    stops = schedule.stops(cell, 0)
    assert stops[-1] == steps
    assert schedule.test_steps(cell) <= set(stops)
    assert set(schedule.readouts(cell).values()) <= schedule.test_steps(cell)
    assert all(1 <= step <= steps for step in stops)
