"""The parts of pages that Python writes: the scorecard, the execution status, what was recorded, the API.

They land in `_generated/` of the staged book, where the pages under book/ include them.
"""

import platform
from importlib.metadata import version
from pathlib import Path

import api_reference
import reproduction
from markdown_table import markdown_table
from tickets import chapters
from tickets.book import scorecard
from tickets.book import verdicts as judged
from tickets.evidence import registration
from tickets.results.store import Store

from benchmarks import pictures

PACKAGES = ("torch", "torchvision", "numpy", "pandas", "scipy", "numba", "papermill", "jupyter-book", "Sphinx")


def write(root: Path, folder: Path, reports: list[dict], trained: bool) -> None:
    """Write every generated part of the staged book in `folder`.

    reports: from `execution.execute`; trained: whether results of this machine stand beside the recorded ones.
    """
    target = folder / "_generated"
    target.mkdir()
    parts = {
        "scorecard.html": verdicts(root, folder) + (own_verdicts(root, folder) if trained else ""),
        "execution.md": execution(reports),
        "versions.md": versions(),
        "recorded.md": recorded(Store(local=root / "build/none", recorded=root / "book/results")),
        "costs.html": pictures.page(pictures.read(root / "book/results")),
        "reproduction.md": reproduction.NOTHING,
        "api.md": api_reference.reference(root / "lib/tickets") + api_reference.reference(root / "benchmarks"),
    }
    if trained:
        parts["reproduction.md"], cells = reproduction.report(
            Store(local=root / "build/none", recorded=root / "book/results"),
            Store(root / "build/results", recorded=None),
        )
        if len(cells):
            cells.to_csv(folder / "results/reproduction.csv", index=False, lineterminator="\n")
    for name, text in parts.items():
        (target / name).write_text(text, encoding="utf-8")


def verdicts(root: Path, folder: Path) -> str:
    """The scorecard of the recorded results."""
    rows = scorecard.read(root / "book/results/claims.csv")
    return scorecard.page(rows, chapter_links(rows, root, folder))


def own_verdicts(root: Path, folder: Path) -> str:
    """What the results trained on this machine say by themselves, under the same rules."""
    own = folder / "results/own_claims.csv"
    judged.publish(Store(local=root / "build/results", recorded=None), own)
    rows = [row for row in scorecard.read(own) if scorecard.filled(row["ours"])]
    shown = scorecard.table(rows, chapter_links(rows, root, folder)) if rows else "<p>No claim has results yet.</p>"
    return f"<h3>Trained on this machine</h3>\n{shown}"


def chapter_links(rows: list[dict], root: Path, folder: Path) -> dict[str, str]:
    """Claim -> its row in its chapter, or the chapter where that shows no such row; an analog as what it resembles."""
    study = {
        named["id"]: entry["study"]
        for entry in registration.entries(root / "book/claims.yml")
        for named in (entry, *entry.get("parts", ()))
    }
    pages = {path.stem: path.read_text("utf-8") for path in (folder / "notebooks").glob("*.ipynb")}
    links, ends = {}, [judged.suffix(profile) for profile in chapters.registered() if profile != "paper"]
    for claim in (row["claim"] for row in rows):
        name = study.get(next((claim.removesuffix(end) for end in ends if claim.endswith(end)), claim))
        if name in pages:
            links[claim] = f"notebooks/{name}.html" + (f"#claim-{claim}" if f'"claim-{claim}\\"' in pages[name] else "")
    return links


def execution(reports: list[dict]) -> str:
    """One line per notebook: the parameters it was executed with, and how long that took."""
    rows = [
        (link(report["notebook"]), *split_profile(report["parameters"]), f"{report['seconds']:.1f}")
        for report in reports
    ]
    return markdown_table(("Notebook", "Profile", "Parameters", "Seconds"), rows)


def split_profile(parameters: dict) -> tuple[str, str]:
    rest = ", ".join(f"`{name}={value}`" for name, value in parameters.items() if name != "profile")
    return parameters.get("profile", "").strip("\"'"), rest


def link(notebook: str) -> str:
    return f"[{notebook}](notebooks/{notebook}.ipynb)"


def versions() -> str:
    """The packages that executed the notebooks and built the pages."""
    rows = [("Python", platform.python_version())] + [(name, version(name)) for name in PACKAGES]
    return markdown_table(("Package", "Version"), rows)


def recorded(store: Store) -> str:
    """What a store holds, by study, profile and machine: cells, training time, dates."""
    rows = [
        row for study in chapters.STUDIES for profile in chapters.PROFILES for row in by_machine(store, study, profile)
    ]
    heads = ("Study", "Profile", "Device", "torch", "Cells", "Hours", "Recorded")
    return markdown_table(heads, rows) if rows else "Nothing is recorded yet."


def by_machine(store: Store, study: str, profile: str) -> list[tuple]:
    table = store.table(chapters.cells(study, profile))
    if table.empty:
        return []
    return [
        (study, profile, device, torch, len(part), f"{part.seconds.sum() / 3600:.2f}", days(part.date))
        for (device, torch), part in table.groupby(["device", "torch"], sort=True)
    ]


def days(dates) -> str:
    """First and last day of ISO dates."""
    first, last = str(dates.min())[:10], str(dates.max())[:10]
    return first if first == last else f"{first} to {last}"
