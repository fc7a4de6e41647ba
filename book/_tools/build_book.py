"""Build the book: stage the sources, execute every notebook, write the generated parts, run Sphinx.

    build_book.py                                        the site from the recorded results
    build_book.py --train --profile quick [--study S]    train what the store lacks, then the site

Everything happens in build/: a copy of the sources in build/stage, the finished site in build/html. The copy mirrors
the repository, so that links to a notebook's source fit, while the page's download is the executed notebook.
"""

import argparse
import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from itertools import count
from multiprocessing.pool import ThreadPool
from pathlib import Path
from tempfile import TemporaryDirectory

STOPPED = "stopped; the former site, if there was one, is still there"


def stopped(kind, error, trace):
    """Ctrl-C is one line, also while libraries are loaded."""
    print(STOPPED, file=sys.stderr) if kind is KeyboardInterrupt else sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    sys.excepthook = stopped

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lib"), str(ROOT)]  # the library and the benchmarks of this tree
sys.modules["rfc3987_syntax"] = None  # two seconds to load, for a check of addresses that no notebook has

import execution  # noqa: E402
import generated  # noqa: E402
import yaml  # noqa: E402
from jupyter_core.utils import ensure_event_loop  # noqa: E402
from tickets.errors import BadInput  # noqa: E402
from tickets.running.engines import cores  # noqa: E402

LAST_COMMIT = ("log", "-1", "--format=%ct %h")
JUPYTER_BOOK = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyter_book.cli.main import main; main()"
LONG_AGO = "1767225600"  # 1 January 2026, where there is no commit to take the date from
LAUNCHERS = {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"}
LAUNCHED = "launch"  # the branch that they open: .ci/launch makes it


class SiteError(RuntimeError):
    """Sphinx refused the book: its own messages, printed before, say why."""


def build(root=ROOT, output=None, parameters=None, study=None, by=None):
    """Build the book of `root` into folder `output` (default: build/html); returns that folder.

    `parameters` go to every notebook, `study` (a notebook's name) limits training to one of them. `by`: what
    renders the pages, in place of `render`. A failed build leaves the former site in place.
    """
    root, output = Path(root), Path(output or root / "build/html").resolve()  # a link is followed, not replaced
    sources = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    names = [source.stem for source in sources]
    if study not in (None, *names):
        raise BadInput(f"unknown study {study!r}; allowed: {', '.join(names)}")
    refuse_another_folder(output)
    settle(root)
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".book-", dir=output.parent, ignore_cleanup_errors=True) as folder:  # of its own
        work = Path(folder)
        stage(root, work / "stage")
        given, trained = parameters or {}, bool(parameters and parameters.get("train"))
        with ThreadPool(1 if trained else cores()) as pool:  # a training takes all cores itself
            own = lambda source: given if study in (None, source.stem) else {"train": False}  # noqa: E731
            reports = pool.imap(lambda s: run_one(s, work / "stage/notebooks", own(s), root), sources)
            # what tells of a training is written after it, all else while notebooks are executed
            generated.write(root, work / "stage", [*reports] if trained else reports, trained)
        with told("pages"):
            (by or render)(work / "stage", work)
        replace(output, work / "_build/html", work)
    return output


def refuse_another_folder(output):
    """What is replaced is a former site: BadInput where anything else stands in its place."""
    is_site, is_empty = (output / "index.html").is_file(), output.is_dir() and not any(output.iterdir())
    if output.exists() and not is_site and not is_empty:
        raise BadInput(f"{output} is there already and is no site: name another folder")


def replace(output, site, work):
    """Move a finished site to `output` and the former one into `work`, whoever else does so at the same moment."""
    for attempt in count():
        with suppress(FileNotFoundError):
            output.rename(work / f"former-{attempt}")
        try:
            return site.rename(output)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another build was faster: once more
                raise


@contextmanager
def told(name):
    """Say what is being done, and how long it took."""
    print(f"{name} ...", end=" ", flush=True, file=sys.stderr)
    began = time.perf_counter()
    yield
    print(f"{time.perf_counter() - began:.1f} s", file=sys.stderr)


def run_one(source, folder, parameters, root):
    """Execute one notebook, and say how long it took."""
    with closing(ensure_event_loop()):  # this thread's
        report = execution.execute(source, folder / source.name, parameters, root)
    print(f"{source.stem}: {report['seconds']:.1f} s", file=sys.stderr)
    return report


def settle(root):
    """Make the same book twice give the same bytes: fixed dates, fixed ids in SVG, the library of this tree."""
    git = shutil.which("git")  # a fresh machine has Python and make
    commit = subprocess.run([git, *LAST_COMMIT], cwd=root, capture_output=True, text=True, check=False) if git else None
    when, name = ((commit and commit.stdout.split()) or [LONG_AGO, ""])[:2]
    os.environ.setdefault("SOURCE_DATE_EPOCH", when)
    os.environ["TICKETS_COMMIT"] = name  # for the imprint of every page
    os.environ["TICKETS_PLAIN_PROGRESS"] = "yes"  # nobody watches a notebook that is being executed
    os.environ["MATPLOTLIBRC"] = str(root / "book/_tools/matplotlibrc")
    os.environ["PYTHONPATH"] = f"{root / 'lib'}{os.pathsep}{root}"


def stage(root, folder):
    """Copy the book's sources into `folder`, with launch buttons only where the public address is known."""
    shutil.copytree(root / "book", folder, ignore=shutil.ignore_patterns("_tools", "__pycache__"))
    if address := os.environ.get("TICKETS_REPOSITORY", ""):
        path = folder / "_config.yml"
        config = yaml.safe_load(path.read_text("utf-8"))
        config["repository"] = {"url": address, "branch": LAUNCHED}
        config["launch_buttons"] = LAUNCHERS | {"notebook_interface": "jupyterlab"}
        config["html"] |= {"use_repository_button": True, "use_issues_button": True}
        path.write_text(yaml.safe_dump(config), "utf-8")


def render(folder, work):
    """Jupyter Book's Sphinx build with every warning an error, unknown references included."""
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(folder), "--path-output", str(work)]
    done = subprocess.run([*command, "-W", "-n", "--keep-going", "-q"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SiteError(done.stdout + done.stderr)


def main():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain, allow_abbrev=False)
    parser.add_argument("--train", action="store_true")
    for name in ("profile", "device", "engine", "store", "study", "output"):
        parser.add_argument(f"--{name}")
    parameters = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    study, output = parameters.pop("study", None), parameters.pop("output", None)
    try:
        print(build(output=output, parameters=parameters, study=study) / "index.html")
    except (BadInput, execution.NotebookError, SiteError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, BadInput) else 1)
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
