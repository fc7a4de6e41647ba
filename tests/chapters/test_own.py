"""A network of one's own: trained as the library's are, judged as claims are, refused in one line."""

import os
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
import torch
from made_up import a_record
from small import SMALL, assert_close
from tickets.cells import Cell
from tickets.chapters.own import Own
from tickets.chapters.own.module import Module
from tickets.data import dataset, sources
from tickets.errors import BadInput
from tickets.files import BOOK, ROOT
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.imp import Start, starts
from tickets.running.run import run
from tickets.training.train import train
from torch import nn

EXAMPLE = BOOK / "examples/own_network.py"
DIGITS = sources.load("digits")
X, Y = DIGITS.train_images[:300].float() / 255, DIGITS.train_labels[:300]
TEST = DIGITS.test_images[:100].float() / 255, DIGITS.test_labels[:100]


@pytest.fixture(autouse=True)
def forgotten():
    """Nothing that a test brings is there for another one."""
    tables = (sources.GIVEN, models.FAMILIES, dataset.HELD_OUT)
    before = [dict(table) for table in tables]
    yield
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)


def perceptron():
    layers = nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 25), nn.ReLU(), nn.Linear(25, 10)
    return nn.Sequential(nn.Flatten(), *layers)


class Convolutions(nn.Module):
    """With batch normalization, and two linear layers side by side."""

    def __init__(self, width=6):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width)
        self.left, self.right, self.out = nn.Linear(width, 5), nn.Linear(width, 7), nn.Linear(12, 10)
        self.scale = nn.Parameter(torch.ones(10))

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        return self.scale * self.out(torch.cat([self.left(h), self.right(h)], 1).relu())


def own(module=None, train=(X, Y), test=TEST, level=2, steps=20, **fields):
    return Own(module or perceptron(), train, test, level, steps=steps, **fields)


# the module as a population


def test_weights_to_prune_are_those_of_linear_layers_and_convolutions():
    model = Module(Convolutions(), (1, 8, 8), 10)
    kinds = {"conv.weight": "conv", "left.weight": "dense", "right.weight": "dense", "out.weight": "output"}
    assert model.kind == kinds
    assert set(model.shapes) == {name for name, _ in Convolutions().named_parameters()}
    assert imp.ladder(Cell(model="conv-2", level=1, conv_rate=0.5), model) == {
        "conv.weight": 27, "left.weight": 24, "right.weight": 34, "out.weight": 108,
    }  # fmt: skip


def test_a_population_computes_what_each_module_computes_alone():
    """Batch normalization included: its running statistics are those that torch keeps."""
    model = Module(Convolutions(), (1, 8, 8), 10)
    weights = [model.init(np.random.default_rng(r)) for r in range(2)]
    params = {name: torch.stack([torch.from_numpy(w[name]) for w in weights]) for name in model.shapes}
    buffers = model.buffers(2)
    x = X[:40].view(2, 20, 1, 8, 8)
    trained, read = model.forward(params, buffers, x, True), model.forward(params, buffers, x, False)
    for r in range(2):
        alone = Convolutions()
        alone.load_state_dict({name: torch.from_numpy(array) for name, array in weights[r].items()}, strict=False)
        torch.testing.assert_close(trained[r], alone.train()(x[r]))
        torch.testing.assert_close(read[r], alone.eval()(x[r]))
        for name, buffer in alone.named_buffers():
            torch.testing.assert_close(buffers[name][r], buffer)


def test_replicates_are_drawn_by_the_layers_and_nothing_else_is_touched():
    module = Convolutions()
    with torch.no_grad():
        module.scale.fill_(2)
    before, state = deepcopy(module.state_dict()), torch.random.get_rng_state()
    model = Module(module, (1, 8, 8), 10)
    one, again, other = (model.init(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert_close(one, again, 0)
    assert all((one[name] != other[name]).any() for name in model.kind)
    assert (one["scale"] == 2).all()  # no layer draws it: it begins as it is given
    assert abs(one["conv.weight"]).max() <= 1 / 3  # torch's bound for a convolution of 9 inputs, 1 / sqrt(9)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_it_trains_as_the_same_network_of_the_library_does():
    """Equal weights, masks and order of the data: equal to 1e-10 in everything that is recorded."""
    model = Module(perceptron(), (1, 8, 8), 10)
    names = dict(zip(SMALL.shapes, model.shapes, strict=True))
    cell = Cell(dataset="digits", steps=40, precision="float64", level=1)
    weights = imp.initial(cell, SMALL)
    mask = imp.next_mask(cell, SMALL, {n: abs(weights[n]) for n in SMALL.prunable}, imp.dense_mask(SMALL))
    theirs = Start({names[n]: w for n, w in weights.items()}, type(mask)({names[n]: m for n, m in mask.items()}))
    one = train([cell], SMALL, [Start(weights, mask)], path="autograd")[0][0]
    other = train([cell], model, [theirs], path="autograd")[0][0]
    assert_close({names[n]: w for n, w in one.weights.items()}, other.weights, 1e-10)
    assert one.result == pytest.approx(other.result, abs=1e-10)
    assert one.wrong == other.wrong


class Sequence(nn.Module):
    """A recurrent network and attention over the rows of an image: of these only linear layers can be pruned."""

    def __init__(self):
        super().__init__()
        self.rows, self.attention = nn.LSTM(8, 12, batch_first=True), nn.MultiheadAttention(12, 2, batch_first=True)
        self.out = nn.Linear(12, 10)

    def forward(self, x):
        h = self.rows(x.flatten(1, 2))[0]
        return self.out(self.attention(h, h, h)[0].mean(1))


def test_recurrent_networks_and_attention_train_too(store):
    mine = own(Sequence(), level=1, steps=4, batch=10)
    assert mine.model.prunable == ("attention.out_proj.weight", "out.weight")
    table = run(mine.cells(1), engine="serial", store=store)
    assert table["kept"].tolist() == [264, 223, 223, 223]  # 144 - 29 and 120 - 12
    assert not table["diverged"].any()


def test_a_fingerprint_is_of_structure_and_code_and_not_of_the_draw():
    class Doubled(Convolutions):
        def forward(self, x):
            return 2 * super().forward(x)

    names = [
        Module(module, (1, 8, 8), 10).name for module in (Convolutions(), Convolutions(), Convolutions(7), Doubled())
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    changed = Convolutions()
    with torch.no_grad():
        changed.scale.fill_(2)
    assert Module(changed, (1, 8, 8), 10).name not in names


def test_data_are_named_after_what_is_in_them():
    assert own().ticket.dataset == own().ticket.dataset != own(train=(X + 0.1, Y)).ticket.dataset


# from tensors to a verdict


@pytest.mark.parametrize(("module", "rewind"), [(perceptron, 0), (Convolutions, 5)])
def test_a_ticket_and_its_controls_are_found(store, module, rewind):
    mine = own(module(), rewind=rewind, batch=30)
    table = run(mine.cells(5), engine="serial", store=store)
    assert len(table) == 5 * 5  # three levels and two controls
    for cell in mine.cells(1):
        found = store.tensors(cell) if cell.arm == "ticket" else {}
        for name in mine.model.prunable if found else ():
            gone = found[f"pruned_at/{name}"] <= cell.level
            assert (found[f"final/{name}"][gone] == 0).all()
    levels = table.set_index(["arm", "level"])["kept"].groupby(["arm", "level"]).unique()
    expected = {level: sum(imp.ladder(mine.ticket.ticket(level), mine.model).values()) for level in range(3)}
    assert {level: levels["ticket", level].tolist() for level in range(3)} == {k: [v] for k, v in expected.items()}
    assert levels["reinit", 2].tolist() == levels["random", 2].tolist() == [expected[2]]
    said = mine.verdicts(table)
    assert said["n"].tolist() == [5, 5, 5]
    ends = table.pivot_table(index="replicate", columns=["arm", "level"], values="test_accuracy_end")
    gains = ends["ticket", 2] - ends["reinit", 2]
    assert said["points"][1] == pytest.approx(gains.mean())
    (start,) = starts([mine.ticket], mine.model, store)
    assert start.mask.kept == expected[2]
    before = {path: path.stat().st_mtime_ns for path in store.local.rglob("*.json")}
    run(mine.cells(5), engine="serial", store=store)  # what is there is not trained again
    assert {path: path.stat().st_mtime_ns for path in store.local.rglob("*.json")} == before


def told(store, mine, **points):
    """What is said of accuracies by arm, each with its level; replicates differ by a tenth of a point."""
    for cell in mine.cells(6):
        name = "dense" if cell.is_dense else cell.arm
        end = points[name] + 0.1 * (cell.replicate % 2) * (name == "ticket")
        store.put(a_record(cell, test_accuracy_end=end, kept=100, diverged=False))
    return mine.verdicts(store.table(list(mine.cells(6))))


@pytest.mark.parametrize(
    ("points", "answers"),
    [
        ({"dense": 90, "ticket": 90, "reinit": 80, "random": 70}, ["yes", "yes", "yes"]),
        ({"dense": 90, "ticket": 88, "reinit": 88, "random": 70}, ["no (worse)", "no", "yes"]),
        ({"dense": 90, "ticket": 90, "reinit": 95, "random": 90.3}, ["open (gate G2", "no", "no"]),
    ],
)
def test_answers_follow_the_rules_of_the_book(store, points, answers):
    """A ticket as good as the dense network says nothing where a random mask is as good."""
    found = told(store, own(), **points)["answer"]
    assert all(said.startswith(wanted) for said, wanted in zip(found, answers, strict=True)), found.tolist()


def test_few_replicates_leave_all_open(store):
    mine = own()
    table = run(mine.cells(2), engine="serial", store=store)
    assert mine.verdicts(table)["answer"].str.startswith("open (n = 2 of 5").all()


# what cannot be used


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x.flatten(1)))[:, :10]


class Spare(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.Linear(64, 10), nn.Linear(3, 3)

    def forward(self, x):
        return self.used(x.flatten(1))


class Infinite(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        return self.layer(x.flatten(1)) / (x * 0).sum()


BAD = {
    "a shared parameter": ({"module": Shared()}, "parameters first.weight and second.weight are one tensor"),
    "nothing to prune": ({"module": nn.Flatten()}, "no weights to prune"),
    "a loss that is not finite": ({"module": Infinite()}, "the loss is nan before any training"),
    "inputs that are not finite": ({"train": (X / 0, Y)}, "train: some inputs are not finite"),
    "a parameter without a part": ({"module": Spare()}, "parameter spare.weight has no part in the loss"),
    "another size": ({"module": nn.Linear(8, 10)}, r"the module gives \[60, 1, 8, 10\]: must be \[60, 10\]"),
    "inputs that do not fit": ({"module": nn.Linear(9, 10)}, r"does not take inputs \[60, 1, 8, 8\]"),
    "dropout": ({"module": nn.Sequential(perceptron(), nn.Dropout(0.5))}, "layer 1: draws from torch's own generator"),
    "dropout inside": ({"module": nn.Sequential(nn.Flatten(), nn.LSTM(64, 10, 2, dropout=0.5))}, "layer 1: draws from"),
    "labels of another length": ({"train": (X, Y[:-1])}, "train: needs a label from 0 on for each input"),
    "labels that are numbers": ({"test": (TEST[0], TEST[1].float())}, "test: needs a label"),
    "labels below 0": ({"train": (X, Y - 1)}, "train: needs a label from 0 on"),
    "two shapes": ({"test": (TEST[0].flatten(1), TEST[1])}, "of two shapes"),
    "too few": ({"train": (X[:9], Y[:9])}, "too few"),
    "no level": ({"level": 0}, "level 0: must be 1 or more"),
    "what is set already": ({"arm": "random"}, "arm: is set here, for all networks of the study"),
    "a loader's scaling": ({"inputs": "unit"}, "inputs: is set here"),
    "a setting": ({"optimizer": "lion"}, "unknown optimizer 'lion'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_one_line(case):
    given, said = BAD[case]
    with pytest.raises(BadInput, match=said) as refused:
        own(**given)
    assert "\n" not in str(refused.value)
    assert sources.GIVEN == {}  # nothing is left of it


def test_a_training_that_diverges_is_one_line(store):
    mine = own(optimizer="sgd", learning_rate=1e30, level=1)
    table = run(mine.cells(1), engine="serial", store=store)
    with pytest.raises(BadInput, match=r"replicate 0 is not finite after training: lower learning_rate, now 1e\+30"):
        mine.verdicts(table)


# the page


def test_the_example_is_short_and_says_what_stands_on_the_page(tmp_path):
    lines = EXAMPLE.read_text().splitlines()
    assert len(lines) <= 20
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run((sys.executable, EXAMPLE), cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    here, there = (text.splitlines() for text in (done.stdout, EXAMPLE.with_suffix(".txt").read_text()))
    assert len(here) == len(there) == 5
    assert here[-1] == there[-1]  # so many weights are kept on any machine
    for one, other in zip(here[1:4], there[1:4], strict=True):
        assert one.split("?")[0] == other.split("?")[0]
        points = [float(line.split("?")[1].split()[0]) for line in (one, other)]
        assert points[0] == pytest.approx(points[1], abs=2)  # roundings differ from machine to machine
    assert "own_network.py" in (BOOK / "your-network.md").read_text()
