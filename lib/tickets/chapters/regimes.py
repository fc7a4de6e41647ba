"""Where a claim was asked, and whether that tells what became of it: network, density, learning rate, rewinding, scale.

Everything is read from the claims, the cells of their networks and the verdicts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

import pandas as pd

from ..cells import Cell, unseeded
from ..evidence import claims
from ..evidence.asked import parts
from ..figures.style import WORDS
from ..networks import Networks
from ..pruning import imp
from . import collection, networks
from .subset_sum.arms import NUMBERS

AXES = ("network", "density", "learning rate", "rewinding", "scale")
FAMILIES = {
    "lenet": "LeNet", "mlp": "MLP", "fc": "MLP", "conv": "Conv", "resnet": "ResNet", "vgg": "VGG", "": "numbers",
}  # fmt: skip
BOUNDS = (20, 5)
"""Percentages of weights between the classes of densities."""
HOLDS, FAILS = "reproduced", ("partly", "not reproduced", "contradicted")
BESIDE = ("assay", "forks", "anchors")
"""Parts of an entry that no claim is about."""
NOWHERE = "none"
SCALES = {"paper": "the paper's", "desk": "desk", "quick": "quick"}
RESAMPLED = 99_999


def regimes(rows: Mapping[str, dict], word) -> pd.DataFrame:
    """One row for each claim at each scale, parts and second readings left out: what it is, its verdict, its `AXES`.

    rows: of claims.csv, by the names there; word: row -> the word of its verdict. Columns: claim, base (its name in
    claims.yml), profile, scope, word, and one for each of the axes.
    """
    found = []
    for profile in SCALES:
        named = networks(profile)
        for entry in claims.standing(profile):
            name = entry["id"] if profile == "paper" else f"{entry['id']}-{profile}"
            if name in rows and rows[name]["scope"] in ("paper", "analog", "finding"):
                about = {"claim": name, "base": entry["id"], "profile": profile, "scope": rows[name]["scope"]}
                found.append({**about, "word": word(rows[name]), **regime(entry, named[entry["study"]], profile)})
    return pd.DataFrame(found, columns=["claim", "base", "profile", "scope", "word", *AXES])


def regime(entry: dict, named: Networks, profile: str) -> dict[str, str]:
    """Axis -> value, of a claim as it stands at a profile; where nothing is pruned, density and rewinding are `none`.

    density: of the sparsest network that the claim reads; rewinding: whether any of them returns to a later step.
    """
    arms, shares = (list(asked(parts(entry), field)) for field in ("arm", "keep"))
    cell, levels = named.cells[entry["network"]], [] if set(arms) == {"untrained"} else [*asked(parts(entry), "level")]
    steps = {named.step(entry["network"], step) for step in asked(parts(entry), "rewind")}
    alone = any(arm in NUMBERS for arm in arms)  # no network is read
    rate = f"{WORDS[cell.optimizer]}, {cell.learning_rate:g}"
    return {
        "network": FAMILIES["" if alone else cell.model.partition("-")[0]],
        "density": between(100 * min([density(unseeded(cell), max(levels)), *shares])) if levels else NOWHERE,
        "learning rate": NOWHERE if alone else rate + ", warmup" * bool(cell.warmup),
        "rewinding": ("a later step" if any(steps) else "initialization only") if levels else NOWHERE,
        "scale": "analog" if entry["scope"] == "analog" and profile == "paper" else SCALES[profile],
    }


def asked(value, field: str, rungs=()) -> Iterator:
    """All that an entry of claims.yml reads at, of one field, level or rewind; `rung` stands for its rungs."""
    if isinstance(value, Mapping):
        rungs = value.get("rungs", rungs)
        for name, part in value.items():
            if name == field:
                yield from (one for given in _flat(part) for one in (rungs if given == "rung" else [given]))
            elif name not in BESIDE:
                yield from asked(part, field, rungs)
    elif isinstance(value, list):
        for part in value:
            yield from asked(part, field, rungs)


def _flat(value) -> list:
    """The values of a field: one, several, or those that the best is picked from; of a case only what the cases say."""
    if isinstance(value, Mapping):
        value = value.get("best", value.get("worst"))
    return [one for one in (value if isinstance(value, list) else [value]) if one != "case"]


@cache
def density(cell: Cell, level: float) -> float:
    """Fraction of the weights that pruning leaves a network at a level of its ladder."""
    if cell.scope == "global":
        return (1 - cell.rate) ** level
    model, _ = collection.drawn(cell)
    kept = imp.ladder(cell.but(arm="one_shot", level=level), model)  # which may lie between two rungs
    return sum(kept.values()) / imp.dense_mask(model).size


def between(percent: float) -> str:
    """The class of a percentage of weights kept."""
    high, low = BOUNDS
    if percent == 100:
        return "level 0 only"
    return f"{high} % and more" if percent >= high else f"{low} to {high} %" if percent >= low else f"below {low} %"


# what predicts it


def tally(frame: pd.DataFrame, axis: str) -> dict[str, Counter]:
    """Value of an axis -> how often each verdict was given on a claim of a paper, most claims first."""
    papers = frame[frame["scope"] != "finding"]
    return {value: Counter(papers.loc[papers[axis] == value, "word"]) for value in papers[axis].value_counts().index}


def decided(counts: Mapping[str, Counter]) -> dict[str, tuple[int, int]]:
    """Value -> (claims that were reproduced, claims that were decided), where any was."""
    found = {v: (count[HOLDS], count[HOLDS] + sum(count[word] for word in FAILS)) for v, count in counts.items()}
    return {value: pair for value, pair in found.items() if pair[1]}


def association(pairs: Mapping[str, tuple[int, int]]) -> float | None:
    """p of no association (Fisher; with more than two values on random tables); None with fewer than two values."""
    from scipy import stats

    if len(pairs) < 2:
        return None
    table = [[held, among - held] for held, among in pairs.values()]
    if not all(map(sum, zip(*table, strict=True))):
        return 1.0  # all held, or none
    if len(table) == 2:
        return float(stats.fisher_exact(table).pvalue)
    method = stats.MonteCarloMethod(n_resamples=RESAMPLED, rng=0)
    return float(stats.fisher_exact(table, method=method).pvalue)


def joined(rows: Mapping[str, dict], word, questions) -> tuple[list[str], list[tuple], list[tuple]]:
    """What the page shows: the `matrix`, heads and lines, and the `predictors`."""
    frame = regimes(rows, word)
    return *matrix(frame, questions), predictors(frame)


def predictors(frame: pd.DataFrame) -> list[tuple]:
    """(axis, its tally, what was decided by value, p or None), one for each axis."""
    found = []
    for axis in AXES:
        pairs = decided(counts := tally(frame, axis))
        found.append((axis, counts, pairs, association(pairs)))
    return found


def matrix(frame: pd.DataFrame, questions) -> tuple[list[str], list[tuple]]:
    """(heads of columns, network at scale; of each question that has a claim: it, and head -> rows of the frame)."""
    more = {"paper": "", "desk": ", desk", "quick": ", quick"}
    heads = frame["network"] + frame["profile"].map(more)
    order = dict.fromkeys(f"{family}{scale}" for scale in more.values() for family in FAMILIES.values())
    order, lines = [head for head in order if (heads == head).any()], []
    for question in questions:
        own = frame["base"].isin(question.claims)
        if own.any():
            lines.append((question, {head: frame[own & (heads == head)].to_dict("records") for head in order}))
    return order, lines
