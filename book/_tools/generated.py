"""The parts of pages that Python writes: the scorecard, the execution status, what was recorded, the API.

They land in `_generated/` of the staged book, where the pages under book/ include them.
"""

import platform
from collections.abc import Iterable
from importlib.metadata import version
from itertools import product
from pathlib import Path

import front
import pandas as pd
import release
import reproduction
import yaml
from markdown_table import markdown_table
from tickets import chapters
from tickets.arms import measures
from tickets.book import questions, scorecard
from tickets.book import verdicts as judged
from tickets.cells import unseeded
from tickets.chapters import drawing, regimes
from tickets.chapters.collection import released
from tickets.evidence import claims
from tickets.figures import style
from tickets.networks import mentioned
from tickets.results.store import Store
from tickets.running import status

from benchmarks import pictures

RATES = ("Rule", "Truth", "n", "Reproduced, %", "Partly, %", "Refuted, %", "Open, %")
"""How often each rule is wrong, as `benchmarks.rates` simulated it: heads of the table."""
PACKAGES = ("torch", "torchvision", "numpy", "pandas", "scipy", "numba", "papermill", "jupyter-book", "Sphinx")


def write(root: Path, folder: Path, reports: Iterable[dict], trained: bool) -> None:
    """Write every generated part of the staged book in `folder`.

    reports: from `execution.execute`, asked for when all else is there; trained: whether results of this machine
    stand beside the recorded ones.
    """
    (target := folder / "_generated").mkdir()
    store, rows, about = released(root), scorecard.read(root / "book/results/claims.csv"), questions.about()
    joined = regimes.joined(rows, lambda row: scorecard.verdict(row)[0], questions.every())
    asked = questions.groups(rows.values(), front.titles(root))
    parts = {
        "findings.md": front.findings(rows),
        "hero.html": front.hero(store, questions.written()["hero"]),
        "chapters.md": front.cards(root, rows),
        "doubts.md": front.doubts(rows, front.against_dense()),
        "scorecard.html": scorecard.html("page", rows.values(), asked, about),
        "scope.md": scope(rows),
        "corrections.md": corrections(root, rows),
        "open_claims.md": open_claims(root, store, rows),
        "error_rates.md": markdown_table(RATES, pd.read_csv(root / "book/results/error_rates.csv").to_numpy()),
        "versions.md": versions(),
        "recorded.md": recorded(store),
        "data_card.md": release.card(root),
        "drawing.html": drawing.page(root / "book/results"),
        "regimes.html": scorecard.html("joined", *joined, about, rows),
        **pictures.every(root / "book/results"),
        "api.md": api(root / "lib/tickets") + api(root / "benchmarks"),
        "execution.md": execution(reports),
    }
    if trained:
        here = Store(root / "build/results", recorded=None)
        parts["scorecard.html"] += own_verdicts(here, folder / "results/own_claims.csv")
        parts["reproduction.md"], cells = reproduction.report(store, here)
        if len(cells):
            cells.to_csv(folder / "results/reproduction.csv", index=False, lineterminator="\n")
    else:
        toc = folder / "_toc.yml"  # before something is trained there is nothing to compare
        toc.write_text(toc.read_text("utf-8").replace("      - file: reproduction\n", ""), "utf-8")
    for name, text in parts.items():
        (target / name).write_text(text, encoding="utf-8")


def corrections(root: Path, now: dict[str, dict]) -> str:
    """What was corrected and why, and the verdicts before and now of the claims that it concerns."""
    text = []
    for correction in yaml.safe_load((root / "book/corrections.yml").read_text("utf-8")):
        before = scorecard.read(root / "book/results" / correction["before"])
        text.append(f"## {correction['date']}\n")
        for change in correction["changes"]:
            rows = [
                (name, said(before[name]), said(now[name]))
                for entry in claims.entries(root / "book/claims.yml")
                if concerned(entry, change)
                for claim in (entry["id"], *(part["id"] for part in entry.get("parts", ())))
                for name in (claim, f"{claim}-desk")
                if name in before and name in now and int(now[name]["n"])
            ]
            shown = markdown_table(("Claim", "Before", "Now"), rows) if rows else "No recorded verdict is concerned.\n"
            text += [f"### {change['what']}\n", change["why"], shown]
    return "\n".join(text)


def open_claims(root: Path, store: Store, now: dict[str, dict]) -> str:
    """What was not run, network by network: what it would cost, and the undecided claims that name it."""
    plans, rows = list(product(("paper", "desk"), chapters.STUDIES)), {}
    timed = status.seconds_per_step(store, [cell for p, study in plans for cell in chapters.cells(study, p)])
    for row in (pictures.read(root / "book/results") or {}).get("images", ()):
        timed |= {("network", row["network"], row["batch"], None): row["ms"] / 1000} if row["density"] == 1 else {}
    for profile, study in plans:
        cells, entries = chapters.cells(study, profile), claims.of(study, profile=profile).values()
        absent = [(unseeded(c).key(), c) for c in cells if c not in store and not measures(c.arm)]
        for name, network in chapters.networks(profile)[study].cells.items():
            own = unseeded(network).key()
            missing = [c for key, c in absent if key == own]
            asked = {entry["id"] + judged.suffix(profile): entry["n"] for entry in entries if name in mentioned(entry)}
            waits = [c for c, n in asked.items() if int(now[c]["n"]) < n or ": 0 of " in now[c]["verdict"]]
            if missing:
                cost = "–" if (hours := status.hours_of(missing, timed)) is None else f"{hours:,.0f}"
                million = f"{sum(cell.steps for cell in missing) / 1e6:.1f}"
                rows.setdefault(study, []).append((profile, name, len(missing), million, cost, ", ".join(waits) or "–"))
    heads = ("Profile", "Network", "Trainings", "Million steps", "Hours", "Would decide, in part or whole")
    tables = (f"## `{study}`\n\n{markdown_table(heads, rows[study])}" for study in chapters.STUDIES if study in rows)
    return "\n".join(tables) or "Every claim has been run.\n"


def concerned(entry: dict, change: dict) -> bool:
    """Whether a correction is about a claim: named, judged by a rule that it changed, or given more replicates."""
    extended = "extended" in change and bool(entry.get("extensions"))
    by_rule = not claims.rules(entry).isdisjoint(change.get("kinds", ()))
    return entry["id"] in change.get("claims", ()) or by_rule or extended


def said(row: dict) -> str:
    """A verdict with its number, for a table."""
    span = f" [{scorecard.span(row)}]" if row["low"] else ""
    return f"{row['verdict']}: {scorecard.mean(row)}{span} {row['unit']}, n = {row['n']}".replace("|", "")


def own_verdicts(here: Store, table: Path) -> str:
    """What the results trained on this machine say by themselves, under the same rules; written to `table` too."""
    judged.publish(here, table)
    rows = [row for row in scorecard.read(table).values() if scorecard.filled(row["ours"])]
    shown = scorecard.html("table", rows, questions.about(), False) if rows else "<p>No claim has results yet.</p>"
    return f"<h2>Trained on this machine</h2>\n{shown}"


def scope(now: dict[str, dict]) -> str:
    """On which networks and data the verdicts rest so far, at the papers' own settings and at the desk."""
    text = {
        "paper": "Decided so far are claims and questions about {}; {} more were run and are open, the rest *not run*.",
        "desk": "At the desk, where networks and images are smaller, some are decided about {}; {} more are begun.",
    }
    for profile, sentence in text.items():
        networks, found = chapters.networks(profile), {}
        asked = [(entry, now[entry["id"] + judged.suffix(profile)]) for entry in claims.standing(profile)]
        words = [(e, scorecard.verdict(r)[0]) for e, r in asked if "reading" not in r["scope"] and int(r["n"])]
        decided = [entry for entry, word in words if word not in ("inconclusive", "open")]
        for cell in (networks[entry["study"]].cells.get(name) for entry in decided for name in mentioned(entry)):
            found.setdefault(style.WORDS[cell.model], {})[style.WORDS[cell.dataset.partition("-")[0]]] = None
        named = "; ".join(f"{net}{',' * (',' in net)} on {' and '.join(data)}" for net, data in found.items())
        text[profile] = sentence.format(named or "nothing", len(words) - len(decided))
    return " ".join(text.values()) + "\n"


def execution(reports: Iterable[dict]) -> str:
    """One line per notebook: the parameters it was executed with, and how long that took."""
    rows = []
    for report in reports:
        name, given = report["notebook"], dict(report["parameters"])
        profile = given.pop("profile", "").strip("\"'")
        rest = ", ".join(f"`{parameter}={value}`" for parameter, value in given.items())
        rows.append((f"[{name}](notebooks/{name}.ipynb)", profile, rest, f"{report['seconds']:.1f}"))
    return markdown_table(("Notebook", "Profile", "Parameters", "Seconds"), rows)


def api(package: Path) -> str:
    """A section for each module of a package, which autodoc fills (`_ext/docstrings.py`)."""
    paths = [path.relative_to(package.parent) for path in sorted(package.rglob("*.py")) if path.name != "__main__.py"]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return "".join(f"## `{name}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n\n" for name in names)


def versions() -> str:
    """The packages that executed the notebooks and built the pages."""
    rows = ("Python", platform.python_version()), *((name, version(name)) for name in PACKAGES)
    return markdown_table(("Package", "Version"), rows)


def recorded(store: Store) -> str:
    """What a store holds, by study, profile and machine: cells, training time, dates."""
    tables = {(s, p): store.table(chapters.cells(s, p)) for s in chapters.STUDIES for p in chapters.PROFILES}
    days = lambda dates: " to ".join(sorted({str(day)[:10] for day in (dates.min(), dates.max())}))  # noqa: E731
    rows = [
        (*named, device, torch, len(part), f"{part.seconds.sum() / 3600:.2f}", days(part.date))
        for named, table in tables.items()
        for (device, torch), part in table.groupby(["device", "torch"] if len(table) else [], sort=True)
    ]
    heads = ("Study", "Profile", "Device", "torch", "Cells", "Hours", "Recorded")
    return markdown_table(heads, rows) if rows else "Nothing is recorded yet."
