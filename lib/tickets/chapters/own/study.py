"""The study of a reader's own network: a ladder of tickets, two controls at its end, and what they say."""

from collections.abc import Iterator

import pandas as pd
import torch

from ...cells import Cell
from ...data import dataset, sources
from ...errors import BadInput
from ...evidence.asked import OWN, said
from ...evidence.judge import Judge
from ...evidence.verdicts import LEAST_N
from ...files import array_digest
from ...nets import models
from ...networks import Networks
from .module import Module

Part = tuple[torch.Tensor, torch.Tensor]
SET_HERE = {"dataset", "inputs", "model", "init", "arm", "replicate", "draw", "order"}
"""Fields of a cell that tell the networks of the study apart, or are given by module and tensors."""
HELD_OUT = 0.1
"""Share of the training data that each replicate holds out as its validation data."""


class Own:
    """A module and tensors as a study: `cells` for `running.run.run` (engine serial), `verdicts` of its table.

    train, test: (inputs [N, ...], labels [N] from 0). level: rounds of pruning of the ticket that is judged; least:
    points of accuracy by which it must beat both controls; margin: points that it may fall short of the dense network;
    both are said before anything is trained. fields: of the cells (`steps`, `batch`, `optimizer`, `learning_rate`,
    `rate`, `rewind`, ...). BadInput for data, a module or a setting that cannot be used.

    model: the network, see `Module`; ticket: the cell of the judged ticket of replicate 0.
    """

    def __init__(self, module, train: Part, test: Part, level: int, least: float = 0.5, margin: float = 0.5, **fields):
        if taken := sorted({*fields} & SET_HERE):
            raise BadInput(f"{taken[0]}: is set here, for all networks of the study")
        data = _dataset(train, test)
        self.model = Module(module, data.shape, data.classes)
        self.ticket = Cell(dataset=data.name, model=self.model.name, inputs="given", level=level, **fields)
        if level < 1:
            raise BadInput(f"level {level}: must be 1 or more, level 0 is the dense network")
        first = slice(0, self.ticket.micro_batch or self.ticket.batch)
        self.model.check(data.train_images[first], data.train_labels[first])
        self.entries = {entry["id"]: entry for entry in _entries(level, self.ticket.rewind, least, margin)}
        sources.GIVEN[data.name], models.FAMILIES[self.model.name] = data, lambda *_: self.model
        dataset.HELD_OUT[data.name] = max(1, round(HELD_OUT * len(data.train_labels)))

    def cells(self, replicates: int = LEAST_N) -> Iterator[Cell]:
        """The chain of each replicate, its ticket's mask on other initial weights, and a random mask of its density."""
        for r in range(replicates):
            own = self.ticket.but(replicate=r)
            yield from (own.ticket(level) for level in range(self.ticket.level + 1))
            yield own.but(arm="reinit", draw=1)
            yield own.but(arm="random")

    def verdicts(self, table: pd.DataFrame) -> pd.DataFrame:
        """What the records say of the ticket, a row a question: points of test accuracy at the end, 95 % interval.

        BadInput where a dense network's loss was not finite at its end: nothing can be said of its tickets.
        """
        dense = table[(table["level"] == 0) & (table["arm"] == "ticket")]
        if len(failed := dense[dense["diverged"].eq(True)]):
            which, rate = failed["replicate"].iloc[0], self.ticket.learning_rate
            raise BadInput(
                f"the loss of replicate {which} is not finite after training: lower learning_rate, now {rate:g}"
            )
        judge = Judge(table, "paper", self.entries, {"own": Networks({"own": self.ticket.dense()})})
        rows = []
        for entry in self.entries.values():
            found, _ = judge.claim(entry)
            verdict = said(entry, found.verdict) + f" ({found.verdict.note})" * bool(found.verdict.note)
            rows.append((entry["statement"], found.ours, found.low, found.high, found.verdict.n, verdict))
        return pd.DataFrame(rows, columns=["question", "points", "low", "high", "n", "answer"])


def _entries(level: int, rewind: int, least: float, margin: float) -> Iterator[dict]:
    """The questions as entries of claims.yml have them. A match counts only where a random mask is seen to be worse."""
    ticket = {"arm": "ticket", "level": level, "rewind": rewind}
    dense, random = {"arm": "ticket", "level": 0}, {**ticket, "arm": "random"}
    shared = {
        "study": "own", "network": "own", "n": LEAST_N, "scope": "analog", "source": OWN, "prints": "difference",
        "unit": "pp", "headline": True,
    }  # fmt: skip
    match = {"kind": "match", "margin": margin, "assay": {"plus": ticket, "minus": random}}
    asked = (
        ("as good as the dense network?", dense, match),
        ("better than reinitialized?", {**ticket, "arm": "reinit"}, {"kind": "effect", "least": least}),
        ("better than a random mask?", random, {"kind": "effect", "least": least}),
    )
    for question, other, rule in asked:
        contrast = {"stat": "test_accuracy_end", "plus": ticket, "minus": other}
        yield {**shared, **rule, "id": question, "statement": question, "contrast": contrast}


def _dataset(train: Part, test: Part) -> dataset.Dataset:
    """The tensors as a dataset, named after what is in them; BadInput where they do not fit together."""
    for name, (x, y) in (("train", train), ("test", test)):
        if len(x) != len(y) or y.ndim != 1 or y.is_floating_point() or (len(y) and y.min() < 0):
            raise BadInput(
                f"{name}: needs a label from 0 on for each input, has {list(x.shape)} and {list(y.shape)} {y.dtype}"
            )
        if not torch.isfinite(x.float()).all():
            raise BadInput(f"{name}: some inputs are not finite, so no loss would be")
    if len(train[0]) < 20 or train[0].shape[1:] != test[0].shape[1:] or not len(test[0]):
        raise BadInput(
            f"train and test: {list(train[0].shape)} and {list(test[0].shape)} are too few, or of two shapes"
        )
    parts = {"x": train[0], "y": train[1], "test x": test[0], "test y": test[1]}
    name = f"own_{array_digest({name: tensor.numpy() for name, tensor in parts.items()})}"
    classes = 1 + int(max(train[1].max(), test[1].max()))
    return dataset.Dataset(name, train[0], train[1].long(), test[0], test[1].long(), classes)
