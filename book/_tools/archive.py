"""The book for the long term: pages that plain Sphinx makes, without Jupyter Book, and all that they are made of.

    archive.py [FOLDER]      book-VERSION.zip and its checksum (default: build/release)

Unpacked, any browser reads `index.html` without a network. Sphinx makes the same pages from its folder `source`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from build_book import JUPYTER_BOOK, ROOT, SiteError, build
from release import VERSION, pack

LEFT_OUT = re.compile(r"'(?:jupyter_book|sphinx_jupyterbook_latex|sphinx_comments|sphinx_thebe)',? ?")
HEAD = """import os, sys
sys.path[:0] = [os.path.abspath(folder) for folder in ("_ext", "lib", ".")]
os.environ |= {told} | dict(os.environ)
"""
ALONE = "import sys; sys.modules['jupyter_book'] = None; from sphinx.cmd.build import main; sys.exit(main())"
PARTS = "lib/**/*.py", "lib/**/*.html", "benchmarks/*.py", "pyproject.toml", "requirements.lock", "README.md", "LICENSE"


def render(folder: Path, work: Path) -> None:
    """Pages of staged sources by Sphinx, where importing Jupyter Book fails; beside them sources and library."""
    site, made = work / "_build/html", folder / "conf.py"
    subprocess.run([sys.executable, "-c", JUPYTER_BOOK, "config", "sphinx", folder], check=True, capture_output=True)
    # what that wrote is all that is needed, less Jupyter Book's own extensions
    told = {name: os.environ.get(name, "") for name in ("SOURCE_DATE_EPOCH", "TICKETS_COMMIT")}
    made.write_text(HEAD.format(told=told) + LEFT_OUT.sub("", made.read_text("utf-8")), "utf-8")
    for path in (path for pattern in PARTS for path in ROOT.glob(pattern)):
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(ROOT))
    command = [sys.executable, "-c", ALONE, "-W", "-n", "--keep-going", "-q", "-d", work / "trees", folder, site]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SiteError(done.stdout + done.stderr)
    shutil.copytree(folder, site / "source", ignore=shutil.ignore_patterns("__pycache__"))


def write(site: Path, folder: Path) -> Path:
    """Pack a site with its sources, a manifest and how to read it; the same site gives the same bytes."""
    found = {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    return pack(folder / f"book-{VERSION}.zip", found | {"README.md": (ROOT / "book/_parts/archive.md").read_bytes()})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        site = build(output=Path(work, "html"), by=render)
        print(write(site, Path(*sys.argv[1:] or [ROOT / "build/release"])))
