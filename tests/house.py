"""The map of the house: packages of the library and who imports whom, as it stands in CONTRIBUTING.md.

    python tests/house.py        write it anew

Drawn as Mermaid, which GitHub shows as a picture. Arrows that follow from others are left out.
"""

import re
from pathlib import Path

import grimp

GUIDE = Path(__file__).parents[1] / "CONTRIBUTING.md"
BLOCK = re.compile(r"```mermaid\n.*?```", re.DOTALL)


def arrows() -> dict[str, set[str]]:
    """Room -> the rooms that it imports: packages, and modules at the root."""
    graph = grimp.build_graph("tickets")
    rooms = sorted(child for child in graph.find_children("tickets") if child != "tickets.__main__")
    imports = lambda one, other: graph.direct_import_exists(importer=one, imported=other, as_packages=True)  # noqa: E731
    short = lambda name: name.removeprefix("tickets.")  # noqa: E731
    return {short(one): {short(other) for other in rooms if other != one and imports(one, other)} for one in rooms}


def reach(found: dict[str, set[str]], room: str) -> set[str]:
    """All that a room imports, directly or not."""
    seen: set[str] = set()
    waiting = list(found[room])
    while waiting:
        if (other := waiting.pop()) not in seen:
            seen.add(other)
            waiting += found[other]
    return seen


def drawn() -> str:
    """The map as a block of Mermaid."""
    found = arrows()
    lines = ["```mermaid", "flowchart TD"]
    for room, others in found.items():
        needed = [other for other in others if not any(other in reach(found, third) for third in others - {other})]
        lines += [f"  {room} --> {other}" for other in sorted(needed)]
    return "\n".join([*lines, "```"])


if __name__ == "__main__":
    GUIDE.write_text(BLOCK.sub(lambda _: drawn(), GUIDE.read_text()))
