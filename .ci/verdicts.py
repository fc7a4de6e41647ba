"""Verdicts of a week, and whether they are those of the week before.

verdicts.py judge FILE           judge what build/results has, by itself, into a table of claims
verdicts.py changed OLD NEW      a Markdown table of the verdicts that are others; exit status 1 where there are any
"""

import csv
import re
import sys
from pathlib import Path


def judge(path: Path) -> None:
    """Write the table of claims of the local results alone."""
    from tickets.book import verdicts
    from tickets.files import LOCAL
    from tickets.results.store import Store

    verdicts.publish(Store(LOCAL, recorded=None), path)


def words(path: Path) -> dict[str, str]:
    """Claim of the quick profile -> the word of its verdict, without the remarks behind it."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["profile"] == "quick"]
    return {row["claim"]: re.split(r"[:(;]", row["verdict"])[0].strip() for row in rows}


def changed(old: Path, new: Path) -> list[tuple[str, str, str]]:
    """(claim, verdict then, verdict now) of each claim with another word; one that came or went counts."""
    before, now = words(old), words(new)
    every = {claim: (before.get(claim, "none"), now.get(claim, "none")) for claim in before | now}
    return [(claim, *pair) for claim, pair in sorted(every.items()) if pair[0] != pair[1]]


def main(command: str, *paths: str) -> int:
    files = [Path(path) for path in paths]
    if command == "judge":
        judge(*files)
        return 0
    found = changed(*files)
    lines = [f"{len(found)} verdicts of the quick profile are others than a week ago.", ""]
    lines += ["| Claim | Then | Now |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in found)]
    print("\n".join(lines if found else lines[:1]))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
