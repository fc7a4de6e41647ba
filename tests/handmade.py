"""Hand-made results: rows of a tidy table as `Store.table` gives them, an entry of claims.yml, its verdict."""

import copy

import numpy as np
import pandas as pd
from tickets.arms import own_defaults
from tickets.book import verdicts
from tickets.cells import FIELDS, Cell
from tickets.evidence import claims
from tickets.evidence.contrasts import Records
from tickets.evidence.judge import Judge
from tickets.networks import Networks, Scene

STUDY = "01_winning_tickets"
LENETS = {
    "LeNet": Cell(), "LeNet, standardized pixels": Cell(inputs="standard"), "LeNet, 6000 steps": Cell(steps=6000),
}  # fmt: skip
NETWORKS = {
    "paper": {STUDY: Networks(LENETS)},
    **{profile: {STUDY: Networks({"LeNet": Cell(steps=5000)})} for profile in ("quick", "desk")},
}
DENSE, TICKET = {"arm": "ticket", "level": 0}, {"arm": "ticket", "level": 7}
ENTRY = {
    "id": "X1",
    "study": STUDY,
    "paper": "nobody2019",
    "statement": "Tickets at rung 7 gain 0.3 points.",
    "where": "Fig. 1",
    "theirs": 0.3,
    "unit": "pp",
    "source": "read in the paper",
    "estimand": "Ticket minus dense.",
    "network": "LeNet",
    "contrast": {
        "stat": "test_accuracy",
        "plus": TICKET,
        "minus": DENSE,
    },
    "prints": "difference",
    "kind": "effect",
    "size": 0.3,
    "n": 5,
    "scope": "paper",
    "headline": True,
    "needs": "a laptop",
}
JITTER = 0.01 * np.array([1, -1, 2, -2, 1, -1, 0, 0, 2, -2])


def entry(**changes):
    return {**copy.deepcopy(ENTRY), **changes}


def unsized(**changes):
    """An entry of a claim that names no size of an effect."""
    return {name: value for name, value in entry(**changes).items() if name != "size"}


def around(mean, spread=0.1, n=10):
    """n differences with exactly this mean, and half of them `spread` above it, half below."""
    return mean + spread * np.where(np.arange(n) % 2, 1.0, -1.0)


# tables


def described(cell):
    """What every row says of its cell."""
    spec = {name: getattr(cell, name) for name in FIELDS}
    return {"cell": cell, "key": cell.key()} | spec | own_defaults() | dict(cell.own)


def row(cell, **results):
    """A row of the tidy table; what a test does not name is unremarkable."""
    usual = {
        "early_stop_step": 2000, "test_accuracy": 98.0, "test_accuracy_end": 98.0, "validation_accuracy": 98.0,
        "kept": round(1000 * 0.8**cell.level), "density": 0.8**cell.level, "diverged": False,
        "best_step": [100, 5000], "best_loss": [0.5, 0.1], "device": "cpu", "registration": "then",
    }  # fmt: skip
    return {**described(cell), **usual, **results}


def plausible(cell):
    """A row with every statistic that an entry can name."""
    by_layer = ("moved_more", "grew", "rarity", "chosen_moved_more", "chosen_grew", "ticket_grew")
    nulls = ("chosen_moved_more_null", "chosen_grew_null", "ticket_grew_null")
    layers = {f"{name}_{i}": 0.5 for name in (*by_layer, *nulls) for i in (1, 2, 3)}
    sides = ("pixels", "units", "incoming", "outgoing", "outgoing_lit")
    spread = {f"spread_{side}": 0.5 for side in sides}
    barriers = {"barrier_test": 1.0, "barrier_test_reestimated": 1.0, "disagreement": 5.0, "distance_ratio": 0.4}
    overlaps = {"kappa": 0.5, "kappa_1": 0.5, "drift": 1.2}
    bare = (
        f"{word}_large_final_same_sign{end}" for word in ("accuracy", "common", "random") for end in ("", "_constant")
    )
    masked = dict.fromkeys([*bare, "accuracy_mask", *(f"accuracy_s{i}" for i in range(4))], 80.0)
    masked |= {"bits": 1.0, "factor": 2.5, "failed_15": 1.0, "best_share": 0.5, "change": 0.0, "share_kept": 45.0}
    masked |= {"accuracy": 97.0, "accuracy_trained": 98.0, "behind": 1.0, "best_keep": 0.5}
    masked |= {f"share_{name}": 0.05 for name in ("s0", "s1", "s2", "permuted", "sizes", "signs", "other")}
    rest = {"test_accuracy_mid": 98.0, "train_accuracy_end": 100.0, "validation_accuracy_end": 98.0}
    return row(cell, **layers, **spread, **barriers, **overlaps, **masked, **rest)


def table(arms, n=10, **fields):
    """Arms {(arm, level): {result: value or function of the replicate}} for n replicates, one draw each."""
    rows = []
    for r in range(n):
        for (arm, level), results in arms.items():
            found = {name: value(r) if callable(value) else value for name, value in results.items()}
            rows.append(row(Cell(arm=arm, level=level, replicate=r, **fields), **found))
    return pd.DataFrame(rows)


def dense_and_ticket(gain=0.3, n=10, **fields):
    """Dense networks of 98 % and tickets at rung 7 that gain `gain`, give or take."""
    accuracy = {("ticket", 0): 98.0, ("ticket", 7): lambda r: 98.0 + gain + JITTER[r % 10]}
    return table({arm: {"test_accuracy": value} for arm, value in accuracy.items()}, n, **fields)


def with_random(loss, **fields):
    """Tickets as good as dense networks, random masks worse by `loss`."""
    random = table({("random", 7): {"test_accuracy": lambda r: 98.0 - loss + JITTER[r]}}, **fields)
    return pd.concat([dense_and_ticket(0.0, **fields), random])


class Kept:
    """What judging asks of a store: `make` gives the row of a cell, or None where it is not recorded."""

    def __init__(self, make=plausible, recorded=None, registrations=None):
        self.make, self.recorded, self.standing, self.asked = make, recorded, registrations or {}, []

    def table(self, wanted):
        self.asked += wanted
        rows = [found for cell in wanted if (found := self.make(cell))]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["cell", *FIELDS, "key"])

    def registrations(self):
        return self.standing


# judging


def scene(network="LeNet", profile="paper"):
    return Scene(NETWORKS[profile][STUDY], network)


def read(frame, contrast, network="LeNet"):
    """The values of a contrast, by replicate."""
    return Records(frame).read(contrast, scene(network)).values


def verdicts_on(entries, frame, profile="paper", registrations=None):
    """The rows of some entries in the table of claims."""
    judge = Judge(frame, profile, entries, NETWORKS[profile], registrations)
    return verdicts.rows([(one, *judge.claim(one)) for one in entries.values()], profile)


def judged(entry_, frame, profile="paper", registrations=None):
    """The row of one entry in the table of claims."""
    claims.check(entry_)
    claims.check_networks({entry_["id"]: entry_}, NETWORKS[profile])
    return verdicts_on({entry_["id"]: entry_}, frame, profile, registrations).iloc[0]
