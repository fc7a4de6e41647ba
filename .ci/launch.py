"""The notebooks as launch buttons open them, changed in place: the quick profile is preset, the library fetched.

launch.py ADDRESS COMMIT         where this repository is public, and its commit that the library is fetched from
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from textwrap import fill

ROOT = Path(__file__).resolve().parents[1]
PRESET = {"profile": '"quick"', "train": "True", "engine": '"serial"'}  # several processes do not fit a small machine
DRAWING = ("jinja2", "plotly")  # what the library needs of the extra `book`
NOTE = """\
**You came here by a launch button: run all cells, from the top.** The next cell fetches the library where it is
missing. Then the chapter is trained at the profile *quick*, which takes minutes on one processor core: small versions
of the experiments, on real data, whose verdicts are *analogs* and judge no paper. To see in seconds what the book
shows, set `profile = "paper"` and `train = False` in the cell of parameters below."""
SET_UP = '''\
# Where the library is not at hand, as on Colab, this cell fetches it; everywhere else it does nothing.
import os
import subprocess
import sys
from importlib.util import find_spec

packages = """{packages}"""
if find_spec("tickets") is None:
    folder = os.path.abspath("lottery-tickets")
    for command in (
        ["git", "init", "--quiet", folder],
        ["git", "-C", folder, "fetch", "--quiet", "--depth", "1", "{address}", "{commit}"],
        ["git", "-C", folder, "checkout", "--quiet", "--force", "FETCH_HEAD"],
        # only what is missing: packages that are there may be loaded already, so their versions stay
        [sys.executable, "-m", "pip", "install", "--quiet", *packages.split()],
    ):
        subprocess.run(command, check=True)
    sys.path.insert(0, f"{{folder}}/lib")
    os.environ["PYTHONPATH"] = f"{{folder}}/lib"  # for processes that are started from here'''


def packages() -> list[str]:
    """What the library needs, by name, without the versions that the book was made with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [*(re.match(r"[\w-]+", line)[0] for line in project["dependencies"]), *DRAWING]


def preset(source: str) -> str:
    """The cell of parameters with the values of PRESET, its comments as they are."""
    for name, value in PRESET.items():
        source, count = re.subn(rf"^{name} = \S+", f"{name} = {value}", source, flags=re.MULTILINE)
        if count != 1:
            sys.exit(f"the cell of parameters sets {name} {count} times")
    return source.replace('"serial"  # or serial,', '"serial"  # or processes,')


def plain(source: str, address: str, commit: str) -> str:
    """Text in which terms and citations, which only the book resolves, are words, and links lead to the pages."""
    source = re.sub(r"\{term\}`([^`<]*?)(?: <[^`]*>)?`", r"\1", source)
    source = re.sub(r"\{cite(?::\w)?\}`([^`]*)`", rf"[\[\1\]]({address}/blob/{commit}/book/references.bib)", source)
    return re.sub(r"\]\(\.\./([\w-]+)\.(?:md|html)", rf"]({address}/blob/{commit}/book/\1.md", source)


def launched(notebook: dict, address: str, commit: str) -> dict:
    """The notebook that a button opens: title, note, set-up, parameters as preset, and the rest."""
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            text = plain(text, address, commit)
        elif "parameters" in cell["metadata"].get("tags", ()):
            text = preset(text)
        cell["source"] = text.splitlines(keepends=True)
    fetch = SET_UP.format(address=address, commit=commit, packages=fill(" ".join(packages()), 100))
    note = {"cell_type": "markdown", "id": "launch-note", "metadata": {}, "source": NOTE.splitlines(keepends=True)}
    code = {"cell_type": "code", "id": "launch-set-up", "metadata": {}, "source": fetch.splitlines(keepends=True)}
    notebook["cells"][1:1] = [note, code | {"execution_count": None, "outputs": []}]
    return notebook


def main(address: str, commit: str) -> None:
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        changed = launched(json.loads(path.read_text("utf-8")), address, commit)
        path.write_text(json.dumps(changed, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
