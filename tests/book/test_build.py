"""Building: whatever is in the way is one line, builds do not meet, and somebody always says what is going on."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import build_book
import pytest
from tickets.errors import BadInput
from tickets.files import ROOT


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book without notebooks whose two pages are rendered at once; the folder it is in."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(build_book, "settle", lambda root: None)
    monkeypatch.setattr(build_book, "stage", lambda root, folder: folder.mkdir())
    monkeypatch.setattr(build_book.generated, "write", lambda *_, **__: None)

    def render(folder, work):
        (work / "_build/html/page").mkdir(parents=True)
        for name in ("index.html", "page/index.html"):
            (work / "_build/html" / name).write_text(work.name)

    monkeypatch.setattr(build_book, "render", render)
    return tmp_path


def pages(site):
    """What its pages say: the name of the build that made them."""
    return {(site / name).read_text() for name in ("index.html", "page/index.html")}


def left_over(folder):
    """What builds have left beside the site."""
    return [path.name for path in folder.iterdir() if path.name != "html"]


# what is in the way


def test_git_may_be_missing(tmp_path, monkeypatch):
    for name in ("SOURCE_DATE_EPOCH", "TICKETS_PLAIN_PROGRESS", "MATPLOTLIBRC", "PYTHONPATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setenv("PATH", str(tmp_path))
    build_book.settle(ROOT)
    assert os.environ["SOURCE_DATE_EPOCH"] == build_book.LONG_AGO


def test_a_link_is_followed(book):
    (book / "build").mkdir()
    (book / "large-disk/site").mkdir(parents=True)
    (book / "build/html").symlink_to(book / "large-disk/site")
    for _ in range(2):  # into the empty folder, and in place of the former site
        assert build_book.build(book) == book / "large-disk/site"
    assert (book / "build/html").is_symlink()
    assert len(pages(book / "build/html")) == 1
    assert left_over(book / "build") == []
    assert [path.name for path in (book / "large-disk").iterdir()] == ["site"]


def test_builds_at_once_do_not_meet(book, monkeypatch):
    """Three finish at the same moment: each has a folder of its own, and one whole site is there in the end."""
    meet, render, failed = threading.Barrier(3, timeout=60), build_book.render, []

    def render_together(folder, work):
        render(folder, work)
        meet.wait()

    def build():
        try:
            build_book.build(book)
        except Exception as error:
            failed.append(error)

    monkeypatch.setattr(build_book, "render", render_together)
    builds = [threading.Thread(target=build) for _ in range(3)]
    for thread in builds:
        thread.start()
    for thread in builds:
        thread.join()
    assert failed == []
    assert len(pages(book / "build/html")) == 1
    assert left_over(book / "build") == []


def test_a_build_that_is_faster_is_replaced_too(book, monkeypatch):
    """It puts its site there between the two moves of this one."""
    rename, calls = Path.rename, []

    def meanwhile(path, target):
        calls.append(path)
        if len(calls) == 2:
            (book / "html").mkdir()
            (book / "html/index.html").write_text("the faster one's")
        return rename(path, target)

    build_book.build(book, book / "html")
    monkeypatch.setattr(Path, "rename", meanwhile)
    build_book.build(book, book / "html")
    assert len(calls) == 4
    assert len(pages(book / "html")) == 1


@pytest.fixture
def executed(book, monkeypatch):
    """A function that builds two notebooks and says what each was given, how many ran at once, and the reports."""
    for name in ("01_one", "02_two"):
        (book / f"notebooks/{name}.ipynb").touch()
    monkeypatch.setattr(build_book, "cores", lambda: 2)

    def build(together, **asked):
        given, meet, reports = {}, threading.Barrier(2 if together else 1, timeout=60), []
        running, most = set(), []

        def execute(source, target, parameters, root):
            assert target.name == source.name
            given[source.stem] = parameters
            running.add(source)
            meet.wait()
            most.append(len(running))
            meet.wait()
            running.discard(source)
            return {"notebook": source.stem, "seconds": 0.0}

        monkeypatch.setattr(build_book.execution, "execute", execute)
        monkeypatch.setattr(build_book.generated, "write", lambda root, folder, found, trained: reports.extend(found))
        build_book.build(book, **asked)
        return given, max(most), [report["notebook"] for report in reports]

    return build


def test_notebooks_share_the_cores_unless_they_train(executed, capsys):
    names, recorded, trained = ["01_one", "02_two"], {"train": False}, {"train": True}
    assert executed(True) == ({"01_one": {}, "02_two": {}}, 2, names)
    assert sorted(capsys.readouterr().err.splitlines()[:2]) == ["01_one: 0.0 s", "02_two: 0.0 s"]
    assert executed(False, parameters=trained) == (dict.fromkeys(names, trained), 1, names)
    asked = executed(False, parameters=trained, study="02_two")
    assert asked == ({"01_one": recorded, "02_two": trained}, 1, names)


def main(monkeypatch, capsys, *arguments):
    """Exit status of the program, and what it said."""
    monkeypatch.setattr(sys, "argv", ["build_book.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        build_book.main()
    out, err = capsys.readouterr()
    assert out == ""
    return ended.value.code, err


@pytest.fixture
def untouched(monkeypatch):
    """No notebook is executed: what is in the way is found before minutes of work."""
    monkeypatch.setattr(build_book, "settle", lambda root: None)
    monkeypatch.setattr(build_book, "run_one", lambda *_: pytest.fail("a notebook was executed"))


def test_an_output_that_cannot_be_written_is_one_line(untouched, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    status, said = main(monkeypatch, capsys, "--output", tmp_path / "file/html")
    assert status == 1
    (line,) = said.splitlines()
    assert str(tmp_path / "file") in line


@pytest.mark.parametrize("name", ["notes.txt", "notes"])
def test_an_output_that_is_something_else_is_left_alone(untouched, tmp_path, monkeypatch, capsys, name):
    path = tmp_path / name
    if not path.suffix:
        path.mkdir()
        path = path / "of-a-year.txt"
    path.write_text("precious")
    status, said = main(monkeypatch, capsys, "--output", tmp_path / name)
    assert status == 2
    assert said == f"{tmp_path / name} is there already and is no site: name another folder\n"
    assert path.read_text() == "precious"


# what is said


def test_each_part_is_named_with_its_seconds(capsys):
    with build_book.told("pages"):
        assert capsys.readouterr().err == "pages ... "  # before it is done
    assert capsys.readouterr().err == "0.0 s\n"


@pytest.mark.parametrize("error", [BadInput("no such study"), OSError("no space left"), KeyboardInterrupt()], ids=repr)
def test_what_stops_a_build_is_one_line(monkeypatch, capsys, error):
    def refuse(**_):
        raise error

    monkeypatch.setattr(build_book, "build", refuse)
    status, said = main(monkeypatch, capsys)
    assert status == {BadInput: 2, OSError: 1, KeyboardInterrupt: 130}[type(error)]
    assert len(said.splitlines()) == 1
    assert (str(error) or "stopped; the former site") in said


HEEDED = """
import runpy
import signal
import sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background of a shell ignores Ctrl-C
print("begun")
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("when", ["while libraries are loaded", "while notebooks are executed"])
def test_ctrl_c_is_one_line_at_any_moment(tmp_path, when):
    """As a terminal sends it: to the program and to all that it has started."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "book/_tools"), "PYTHONUNBUFFERED": "1"}
    command = [
        sys.executable,
        "-c",
        HEEDED,
        str(ROOT / "book/_tools/build_book.py"),
        "--output",
        str(tmp_path / "html"),
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=env, start_new_session=True, **pipes) as program:
        program.stdout.readline()
        begun = lambda: list(tmp_path.glob(".book-*/stage/notebooks/*.ipynb"))  # noqa: E731
        while "executed" in when and not begun() and program.poll() is None:
            time.sleep(0.1)
        time.sleep(0.3)
        os.killpg(program.pid, signal.SIGINT)
        said = program.communicate()[1].splitlines()
    assert said == [build_book.STOPPED]
    assert program.returncode in (130, -signal.SIGINT)
    assert list(tmp_path.iterdir()) == []


def test_building_from_records_loads_no_torch():
    """Seconds before the first notebook starts; nor the check of addresses that is longer to load than all else."""
    code = "import sys, build_book; print(*sorted({'torch', 'rfc3987_syntax.syntax_helpers'} & set(sys.modules)))"
    tools = {**os.environ, "PYTHONPATH": str(ROOT / "book/_tools")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=tools)
    assert done.stdout.split() == []
