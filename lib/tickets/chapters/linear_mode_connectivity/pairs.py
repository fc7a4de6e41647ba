"""Tidy tables of pairs of networks: what was copied, how high the barrier is, how accurate a subnetwork is.

Barriers and gaps are in percentage points. The words are those of chapter 2 (see the glossary): a copy, its trunk, the
barrier, stable, matching.
"""

import numpy as np
import pandas as pd

from ...arms import measures
from ...cells import Cell, like
from ...evidence import verdicts
from ...figures.style import LABELS, interval, percent
from .arms import PULLED

STABLE = 2
"""Points: two copies with a smaller barrier in error are called stable (LMC, section 3)."""
MEASURED = (
    "barrier_test", "barrier_train", "barrier_test_reestimated", "barrier_test_repaired", "error_ends",
    "distance", "travelled", "distance_ratio", "angle", "disagreement", "disagreement_least",
)  # fmt: skip
"""Scalars of `lines.line` and `lines.geometry`; a table without measurements lacks their columns."""


def measured(rows: pd.DataFrame) -> pd.Series:
    """Which rows are measurements on networks, and no networks."""
    return rows["arm"].map(measures).astype(bool)


def named(table: pd.DataFrame, networks: dict[str, Cell]) -> pd.DataFrame:
    """The rows of the named experiments, with the columns `network` and `copied` and every column of `MEASURED`.

    copied: dense (level 0), ticket, random or reinit: what a row is, or what its two ends are.
    """
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *MEASURED])))
    parts = [like(table, cell).assign(network=name) for name, cell in networks.items()]
    rows = pd.concat([part for part in parts if len(part)] or parts[:1])
    what = rows["arm"].where(~measured(rows), rows["subject"])
    return rows.assign(copied=what.mask(rows["level"] == 0, "dense"))


def against_dense(rows: pd.DataFrame) -> pd.DataFrame:
    """Trained networks with `gap`, test accuracy at the last step minus that of their replicate's dense network, and
    `dense_sd`, the standard deviation of the latter over replicates.

    rows: as `named` gives them; second copies, restarted schedules and pulled networks are left out.
    """
    first = (rows["order"] == 0) & (rows["schedule"] == "resumed") & (rows["pull"] == 0)
    nets = rows[~measured(rows) & first]
    dense = nets[nets["copied"] == "dense"].set_index(["network", "replicate"])["test_accuracy_end"]
    whole = dense.reindex(pd.MultiIndex.from_frame(nets[["network", "replicate"]])).to_numpy()
    sd = nets["network"].map(dense.groupby("network").std())
    return nets.assign(gap=nets["test_accuracy_end"] - whole, dense_sd=sd)


def between(rows: pd.DataFrame) -> pd.DataFrame:
    """Measurements between two networks (arms chord, rounds and descent) with the density, the accuracy and the gap of
    the ticket, or other network, of their level.

    rows: as `named` gives them.
    """
    by = ["network", "copied", "level", "trunk", "draw", "replicate"]
    own = ["density", "test_accuracy_end"]
    nets = against_dense(rows).assign(trunk=lambda frame: frame["rewind"])
    found = rows[rows["arm"].isin(["chord", "rounds", "descent"]) & (rows["pull"] == 0)].drop(columns=own)
    found = found.assign(trunk=found["rewind"].mask(found["level"] == 0, 0))  # one dense network for all rewind steps
    return found.merge(nets[[*by, *own, "gap", "dense_sd"]], on=by, how="left").drop(columns="trunk")


def settings(copies: pd.DataFrame, margins: dict[str, float], least_n: dict[str, int]) -> pd.DataFrame:
    """Subnetworks setting by setting: their barrier, their gap, and what the verdict rules say of both.

    copies: the chords that `between` gives; margins: model -> points by which a matching network may fall short;
    least_n: model -> replicates below which nothing is decided. `within sd` is the paper's own criterion as readers
    report it: the mean gap is above minus one standard deviation of the dense network.
    """
    found = []
    subnetworks = copies[(copies["copied"] != "dense") & copies["gap"].notna() & copies["model"].isin(list(margins))]
    for (network, what, _, k), part in subnetworks.groupby(["network", "copied", "level", "rewind"], sort=False):
        model = part["model"].iloc[0]
        each = part.groupby("replicate")[["barrier_test", "gap"]].mean()
        stable = verdicts.effect(STABLE - each["barrier_test"], 0, least_n=least_n[model])
        match = verdicts.match(each["gap"], margins[model], least_n=least_n[model])
        sd = part["dense_sd"].iloc[0]
        found.append(
            {
                "network": network,
                "subnetwork": f"{LABELS[what]}, {percent(part['density'].iloc[0])}",
                "from": int(k),
                "n": len(each),
                "barrier": _said(each["barrier_test"]),
                "stable": _word(stable),
                "accuracy": _said(each["gap"]),
                "matching": _word(match),
                "within sd": "–" if np.isnan(sd) else "yes" if each["gap"].mean() > -sd else "no",
            }
        )
    return pd.DataFrame(found)


def parting(said: pd.DataFrame, network: str) -> str:
    """Where stability and accuracy part company: subnetworks of `network`, copied at step 0, that have one of the two.

    said: as `settings` gives it. Undecided ones are left out.
    """
    lines = {("yes", "no"): "Stable and less accurate", ("no", "yes"): "As accurate and not stable"}
    rows = [row for row in said.to_dict("records") if (row["network"], row["from"]) == (network, 0)]
    each = {words: [row["subnetwork"] for row in rows if (row["stable"], row["matching"]) == words] for words in lines}
    return "\n".join(f"- {line}: {'; '.join(each[words]) or 'none'}." for words, line in lines.items())


def pulled(rows: pd.DataFrame) -> pd.DataFrame:
    """Pulled and pushed networks setting by setting: accuracy minus that of the same network left alone, and barrier.

    rows: as `named` gives them. One row per network, arm, level, rewind step and pull; means over replicates. The
    column "minus the ticket" compares with the ticket left alone, whatever the network started from.
    """
    if not rows["arm"].isin(PULLED).any():
        return pd.DataFrame()
    first, alone = rows[rows["order"] == 0], {"ticket": "pulled", "reinit": "pulled_reinit"}
    by = ["network", "arm", "level", "rewind", "replicate"]
    plain = first[(first["schedule"] == "resumed") & (first["level"] > 0) & first["arm"].isin(list(alone))]
    plain = plain[plain["draw"] <= 1].assign(arm=lambda frame: frame["arm"].map(alone))[[*by, "test_accuracy_end"]]
    tickets = plain[plain["arm"] == "pulled"].drop(columns="arm")
    chords = rows[(rows["arm"] == "chord") & rows["subject"].isin(PULLED)].assign(arm=lambda frame: frame["subject"])
    nets = first[first["arm"].isin(PULLED)].drop(columns="barrier_test")
    nets = nets.merge(plain, on=by, how="left", suffixes=("", "_alone"))
    nets = nets.merge(tickets, on=[name for name in by if name != "arm"], how="left", suffixes=("", "_ticket"))
    nets = nets.merge(chords[[*by, "pull", "barrier_test"]], on=[*by, "pull"], how="left")
    for name in ("alone", "ticket"):
        nets[f"minus_{name}"] = nets["test_accuracy_end"] - nets[f"test_accuracy_end_{name}"]
    return pd.DataFrame(
        {
            "network": network,
            "subnetwork": f"{LABELS[arm]}, {percent(part['density'].iloc[0])}",
            "from": int(k),
            "pull": pull,
            "n": len(part),
            "accuracy gained": _said(part["minus_alone"]),
            "minus the ticket": _said(part["minus_ticket"]),
            "barrier": _said(part["barrier_test"]),
        }
        for (network, arm, _, k, pull), part in nets.groupby(["network", "arm", "level", "rewind", "pull"])
    )


def _word(verdict: verdicts.Verdict) -> str:
    return "undecided" if not verdict.decided else "yes" if verdict.holds else "no"


def _said(values: pd.Series) -> str:
    """Mean and half-width of its interval, with two decimals; of what has been recorded, a dash where nothing has."""
    if values.isna().all():
        return "–"
    mean, low, high = interval(values)
    return f"{mean:.2f}" + (f" ± {(high - low) / 2:.2f}" if low < high else "")
