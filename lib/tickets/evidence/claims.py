"""Claims: what papers say, registered in book/claims.yml before the runs; its head has the grammar."""

from functools import cache
from pathlib import Path

import yaml

from ..arms import ARMS
from ..errors import BadInput, choose
from ..files import BOOK, digest
from ..networks import PROFILES, Networks, mentioned
from .asked import OWN, PRINTS, parts
from .verdicts import VERSIONS

CLAIMS = BOOK / "claims.yml"
UNHASHED = ("needs", "extensions", "in_full")
"""Fields that change nothing that is judged: `extensions`, which replicates were added; `in_full`, the statement."""
NESTED_SINCE = {"effect": 1, "match": 2}
"""Their versions when nested rules began to count: later ones change the hashes of what the outer rules judge."""
REQUIRED = (
    "id", "study", "paper", "statement", "where", "theirs", "unit", "source", "estimand", "network", "prints", "n",
    "scope", "headline", "needs",
)  # fmt: skip
OPTIONAL = (
    "contrast", "kind", "size", "band", "least", "margin", "two_sided", "rungs", "end", "n_max", "half_width",
    "assay", "anchors", "forks", "cases", "matching", "extensions", "regions", "in_full",
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


@cache
def entries(path: Path = CLAIMS) -> tuple[dict, ...]:
    """The claims of the book, templates merged in."""
    return tuple(yaml.load(Path(path).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["claims"])


def at_profile(value, profile: str):
    """An entry as it stands at a profile: {paper: ..., quick: ...} is one value there, where not listed the paper's."""
    if isinstance(value, dict):
        if value and set(value) <= set(PROFILES):
            if "paper" not in value:
                raise BadInput(f"value by profile {value}: none for paper")
            return at_profile(value.get(profile, value["paper"]), profile)
        return {name: at_profile(part, profile) for name, part in value.items()}
    return [at_profile(part, profile) for part in value] if isinstance(value, list) else value


def standing(profile: str, path: Path = CLAIMS) -> list[dict]:
    """The claims as they are at a profile; at the desk those only that say what they need there."""
    here, paper = (at_profile(list(entries(path)), name) for name in (profile, "paper"))
    return [e for e, whole in zip(here, paper, strict=True) if profile != "desk" or e["needs"] != whole["needs"]]


def load(path: Path = CLAIMS, profile: str = "paper") -> dict[str, dict]:
    """Claim -> its entry at a profile, in the order of the file; BadInput for what the grammar does not allow."""
    found = {}
    for entry in standing(profile, path):
        for name in [entry.get("id"), *(part.get("id") for part in entry.get("parts", []))]:
            if not name or name in found:
                raise BadInput(f"claim {name}: every claim and every part needs an id of its own")
            found[name] = entry
        check(entry)
    whole = {entry["id"]: entry for entry in found.values()}
    for part in (part for entry in whole.values() for part in parts(entry)):
        if claim := part.get("assay", {}).get("claim"):
            choose(f"assay of claim {part['id']}", claim, found)
    return whole


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
    if part["source"] != OWN or not ends or last is not None or ends != sorted(set(ends)):
        rule = "a question of our own has them, at least two, [name, upper end] in ascending order, the last end null"
        raise BadInput(f"{where}: regions: {rule}")


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


def entry_hash(entry: dict, networks: Networks) -> str:
    """Twelve hexadecimal digits over everything that a verdict can depend on: the entry, and the networks it names.

    Of a network all that is unlike the defaults of a cell: a field that is added later changes nothing. A rule that was
    changed in code enters with its version.
    """
    judged = {name: value for name, value in entry.items() if name not in UNHASHED}
    direct = rules(judged)
    nested = {rule for part in parts(judged) for rule in _nested(part)} - direct
    changed = {name: version for name, version in VERSIONS.items() if name in direct}
    changed |= {name: VERSIONS[name] for name in sorted(nested) if VERSIONS.get(name, 1) > NESTED_SINCE[name]}
    named = {name: networks.described(name) for name in sorted(set(mentioned(judged)))}
    return digest([judged, named, *([changed] if changed else [])])


def _nested(part: dict) -> set[str]:
    """The rules by which another rule judges each of its rungs or settings."""
    rung = {"match"} if "margin" in part else {"effect"}
    return {"range": rung, "onset": {"effect"}, "concordance": {"effect", "match"}}.get(part.get("kind"), set())


def rules(value) -> set[str]:
    """The rules that an entry and its parts are judged by."""
    if isinstance(value, dict):
        own = {value["kind"]} if "kind" in value else set()
        picked = {"best of several"} if "by" in value else set()
        return own | picked | {rule for part in value.values() for rule in rules(part)}
    return {rule for part in value for rule in rules(part)} if isinstance(value, list) else set()


def registered_as(claim: str, profile: str) -> str:
    """The name under which a claim is registered: its own at the paper's scale."""
    return claim if profile == "paper" else f"{claim}@{profile}"


def hashes(profiles: dict[str, dict[str, Networks]], path: Path = CLAIMS) -> dict[str, str]:
    """Registered name -> hash, of every claim at every profile (-> study -> its networks) that has one of them.

    Every record keeps them: it says which claims stood, in which wording, when it was made.
    """
    return {
        registered_as(entry["id"], profile): entry_hash(entry, networks[entry["study"]])
        for profile, networks in profiles.items()
        for entry in standing(profile, path)
        if any(name in networks[entry["study"]].cells for name in mentioned(entry))
    }
