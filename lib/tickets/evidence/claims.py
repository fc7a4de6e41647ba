"""Claims: what papers say, registered in book/claims.yml before the runs; its head has the grammar."""

from pathlib import Path

from ..arms import ARMS
from ..errors import BadInput, choose
from ..networks import Networks, mentioned
from . import registration
from .asked import OWN, PRINTS, parts
from .registration import CLAIMS

REQUIRED = (
    "id", "study", "paper", "statement", "where", "theirs", "unit", "source", "estimand", "network", "prints", "n",
    "scope", "headline", "needs",
)  # fmt: skip
OPTIONAL = (
    "contrast", "kind", "size", "band", "least", "margin", "two_sided", "rungs", "end", "n_max", "half_width",
    "assay", "anchors", "forks", "cases", "matching", "extensions", "regions",
)  # fmt: skip
TERM = ("network", "arm", "level", "rewind", "draw", "order", "schedule", "stat")
"""What a term of a contrast may name, beside its arm's own parameters: the network says all else."""
SOURCES = ("read in the paper", "second-hand", "from memory", "our own question")
KINDS = {
    "effect": (("size", "band", "least"),),
    "match": (("margin",), ("assay",)),
    "value": (("margin",), ("theirs",)),
    "range": (("rungs",), ("end",), ("least", "margin"), ("least", "assay")),
    "onset": (("rungs",), ("end",), ("least",)),
    "concordance": (("cases",), ("matching",)),
    "regions": (("regions",),),
    "none": (),
}
"""Rules that an entry can name, and the fields that each needs (one of each group)."""


def load(path: Path = CLAIMS, profile: str = "paper") -> dict[str, dict]:
    """Claim -> its entry at a profile, in the order of the file; BadInput for what the grammar does not allow."""
    found = {}
    for entry in registration.standing(profile, path):
        for name in [entry.get("id"), *(part.get("id") for part in entry.get("parts", []))]:
            if not name or name in found:
                raise BadInput(f"claim {name}: every claim and every part needs an id of its own")
            found[name] = entry
        check(entry)
    entries = {entry["id"]: entry for entry in found.values()}
    for part in (part for entry in entries.values() for part in parts(entry)):
        if claim := part.get("assay", {}).get("claim"):
            choose(f"assay of claim {part['id']}", claim, found)
    return entries


def of(*studies: str, profile: str = "paper") -> dict[str, dict]:
    """Claim -> its entry, for the claims of some chapters."""
    return {name: entry for name, entry in load(profile=profile).items() if entry["study"] in studies}


def check(entry: dict) -> None:
    """BadInput for an entry with a field missing or a name in it that is not known."""
    where = f"claim {entry['id']}"
    if missing := [name for name in REQUIRED if name not in entry]:
        raise BadInput(f"{where}: no {missing[0]}")
    choose(f"scope of {where}", entry["scope"], ("paper", "analog"))
    choose(f"source of {where}", entry["source"], SOURCES)
    for part in parts(entry):
        for name in part:
            choose(f"field of {where}", name, REQUIRED + OPTIONAL)
        choose(f"kind of {where}", part.get("kind"), KINDS)
        choose(f"prints of {where}", part["prints"], PRINTS)
        for group in (("contrast",), *KINDS[part["kind"]]):
            if all(part.get(name) is None for name in group):
                raise BadInput(f"{where}: kind {part['kind']} needs {' or '.join(group)}")
        if part["kind"] == "regions":
            _check_regions(part, where)
        if part["kind"] in ("range", "onset"):
            choose(f"end of {where}", part["end"], part["rungs"])
        for name in ("contrast", *(("matching",) if part.get("cases") else ())):
            _check_contrast(part[name], where)


def _check_regions(part: dict, where: str) -> None:
    """Regions cut the whole axis in ascending order, each with a name; only our own questions stand between them."""
    *ends, last = (end for _, end in part["regions"])
    if not ends or last is not None or ends != sorted(set(ends)):
        raise BadInput(f"{where}: regions are at least two, [name, upper end], in ascending order, the last end null")
    if part["source"] != OWN or any("," in name for name, _ in part["regions"]):
        raise BadInput(f"{where}: regions belong to a question of our own, and have names without commas")


def _check_contrast(contrast: dict, where: str) -> None:
    for name, term in contrast.items():
        choose(f"contrast field of {where}", name, ("stat", "log", "constant", "plus", "minus", "slope"))
        if not isinstance(term, dict):
            continue
        arms = term["arm"] if isinstance(term.get("arm"), list) else [term.get("arm")]
        own = [name for arm in arms for name in ARMS[choose(f"arm of {where}", arm, ARMS)].own]
        for given in term:
            choose(f"term field of {where}", given, (*TERM, *own))
        if "stat" not in {**contrast, **term}:
            raise BadInput(f"{where}: no stat")


def check_networks(entries: dict[str, dict], networks: dict[str, Networks]) -> None:
    """BadInput for a claim that names a network or a step which its study does not have."""
    for entry in entries.values():
        here = networks[entry["study"]]
        for name in mentioned(entry):
            choose(f"network of claim {entry['id']}", name, here.cells)
        for part in parts(entry):
            for rung in (*part.get("rungs", ()), part.get("end")):
                if isinstance(rung, str):
                    here.step(part["network"], rung)
