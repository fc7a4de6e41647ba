"""The path of a GPU, without one: tensors claim to be on another device, and torch checks devices at every operation.

Nothing is computed (numbers that are read are made up), but all that a run does is done: steps, evaluations,
checkpoints that are gone on from, weights that are returned to, copies, and what is measured between them.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tickets.cells import Cell
from tickets.connectivity import mixtures
from tickets.data import dataset, sources
from tickets.data.reader import Reader
from tickets.running import faults, run, work
from tickets.training import autograd, checkpoint
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

SGD = {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4}
NETWORKS = {
    "lenet-300-100": Cell(dataset="digits", steps=3),
    "conv-2": Cell(dataset="digits16", model="conv-2", steps=3, batch=8, micro_batch=4),
    "resnet-20": Cell(
        dataset="digits16", model="resnet-20", steps=3, batch=8, scope="global", output_rate=0, augment="flip_crop",
        inputs="standard", **SGD,
    ),
}  # fmt: skip
ELSEWHERE = "meta"
"""What stands for cuda: torch takes no derivatives on a cuda that has no driver, but on this one it does."""


def claimed(make):
    """FakeTensor.__new__ with another device in place of cuda."""

    def new(cls, mode, tensor, device, *rest, **named):
        device = torch.device(ELSEWHERE) if torch.device(device).type == "cuda" else device
        return make(cls, mode, tensor, device, *rest, **named)

    return staticmethod(new)


def made_up(tensor):
    """Numbers for a tensor that has none; of one on a GPU there is no array."""
    assert tensor.device.type == "cpu"
    draw, kind = np.random.default_rng(tensor.numel()), str(tensor.dtype).removeprefix("torch.")
    return np.asarray(draw.random(tuple(tensor.shape)) * (1 if tensor.is_floating_point() else 10)).astype(kind)


class Places(list):
    """A range of numbers, split as a tensor is."""

    def split(self, size):
        return [self[i : i + size] for i in range(0, len(self), size)]


def watched(step, **changes):
    """An optimizer's step that looks itself where its tensors are: fused ones are not looked at, or have no twin."""

    def checked(*lists, **named):
        assert {tensor.device.type for tensors in lists for tensor in tensors} == {ELSEWHERE}
        step(*lists, **named | changes)

    return checked


@pytest.fixture
def gpu(monkeypatch, few_digits):
    """cuda is there, as far as the library can tell."""
    for name in ("digits", "digits16"):
        assert sources.load(name).moments.numel() == 2  # known before: counted from real pixels
    dataset._moments_on.cache_clear()
    ranges = torch.arange
    plain = lambda *ends, device=None: ranges(*ends, device=device) if device else Places(range(*ends))  # noqa: E731
    monkeypatch.setattr(torch, "arange", plain)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(run, "check_device", lambda *_, **__: None)
    monkeypatch.setattr(work, "settle", lambda device: None)
    monkeypatch.setattr(autograd, "sgd", watched(autograd.sgd, fused=False, lr=0.1))
    monkeypatch.setattr(autograd, "adam", watched(autograd.adam, lr=0.1))
    monkeypatch.setattr(autograd, "recordable", lambda device: False)
    monkeypatch.setattr(FakeTensor, "__new__", claimed(FakeTensor.__new__))
    monkeypatch.setattr(FakeTensor, "numpy", made_up)
    with torch.autograd.set_multithreading_enabled(False), FakeTensorMode(allow_non_fake_inputs=True):
        yield
    dataset._moments_on.cache_clear()  # of tensors that are none


def cells_of(net):
    """Networks that leave weights on their way, return to them, are pruned and copied there, and are measured."""
    copies = [net.but(order=order, rewind=1) for order in (1, 2)]
    tickets = [net.but(level=1, rewind=1, order=order) for order in (0, 1)]
    chords = [net.but(arm="chord", rewind=1, points=3), net.but(arm="chord", level=1, rewind=1, points=3)]
    return [net, *copies, *tickets, *chords]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_on_a_gpu_mixes_no_devices(gpu, store, monkeypatch, name):
    """In sittings, each of which ends at the next checkpoint."""
    cells, sittings = cells_of(NETWORKS[name]), 0
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: np.inf))
    monkeypatch.setattr(mixtures, "BATCHES", 2)
    while any(cell not in store for cell in cells) and not faults.report(store, cells):
        run.run(cells, engine="serial", device="cuda", store=store, minutes=60, say=print)
        sittings += 1
    assert faults.report(store, cells) == []
    assert sittings == 4  # the dense network pauses twice, its copies and tickets once
    table = store.table(cells)
    assert set(table["device_kind"]) == {"cuda"}
    assert set(table["path"]) == {"autograd", "measured"}
    assert table["population"].max() > 1


def test_a_tensor_that_stayed_behind_is_found(gpu, store, monkeypatch):
    """What the test above can find: labels that nobody took to the GPU."""
    init = Reader.__init__

    def forgetful(reader, *arguments):
        init(reader, *arguments)
        reader._labels["train"] = reader.data.train_labels

    monkeypatch.setattr(Reader, "__init__", forgetful)
    net = NETWORKS["lenet-300-100"]
    run.run([net], engine="serial", device="cuda", store=store, say=lambda line: None)
    assert "found two different devices" in faults.failure(store, net)["traceback"]
