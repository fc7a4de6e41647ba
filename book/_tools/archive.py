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
from release import VERSION, manifest, pack

LEFT_OUT = re.compile(r"'(?:jupyter_book|sphinx_jupyterbook_latex|sphinx_comments|sphinx_thebe)',? ?")
HEAD = """import os
import sys

sys.path[:0] = [os.path.abspath(folder) for folder in ("_ext", "lib", ".")]
for name, value in {told}.items():
    os.environ.setdefault(name, value)
"""
WITHOUT = "import sys; sys.modules['jupyter_book'] = None; from sphinx.cmd.build import main; sys.exit(main())"
PARTS = (
    "lib/**/*.py",
    "lib/**/*.html",
    "benchmarks/*.py",
    "pyproject.toml",
    "requirements.lock",
    "README.md",
    "LICENSE",
)


def configure(folder: Path) -> None:
    """Write the conf.py that Sphinx alone needs into staged sources, and the library that their pages document."""
    made = [sys.executable, "-c", JUPYTER_BOOK, "config", "sphinx", str(folder)]
    subprocess.run(made, check=True, capture_output=True)
    told = {name: os.environ.get(name, "") for name in ("SOURCE_DATE_EPOCH", "TICKETS_COMMIT")}
    text = (folder / "conf.py").read_text("utf-8")
    (folder / "conf.py").write_text(HEAD.format(told=told) + LEFT_OUT.sub("", text), "utf-8")
    for path in (path for pattern in PARTS for path in ROOT.glob(pattern)):
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(ROOT))


def render(folder: Path, work: Path) -> None:
    """The pages by Sphinx, every warning an error, where importing Jupyter Book fails; the sources among them."""
    configure(folder)
    site = work / "_build/html"
    command = [sys.executable, "-c", WITHOUT, "-W", "-n", "--keep-going", "-q", "-d", work / "trees", folder, site]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SiteError(done.stdout + done.stderr)
    shutil.copytree(folder, site / "source", ignore=shutil.ignore_patterns("__pycache__", "_build"))


def write(site: Path, folder: Path) -> Path:
    """Pack a site with its sources, a manifest and how to read it; the same site gives the same bytes."""
    found = {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    found["README.md"] = (ROOT / "book/_parts/archive.md").read_bytes()
    return pack(folder / f"book-{VERSION}.zip", manifest(found))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        site = build(output=Path(folder) / "html", by=render)
        print(write(site, Path(*sys.argv[1:] or [ROOT / "build/release"])))
