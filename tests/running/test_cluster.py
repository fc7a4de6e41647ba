"""The recipes of the page on clusters, taken from the page itself, at smoke and on this machine."""

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import faulty
import pytest
from tickets import chapters
from tickets.files import BOOK, ROOT
from tickets.results.store import Store
from tickets.running.plan import plan

PAGE = (BOOK / "how-to-cluster.md").read_text()
SHELL = {**os.environ, "PYTHONUNBUFFERED": "1"}
CELLS = [cell for cell in chapters.cells("01_winning_tickets", "smoke") if cell.model == "lenet-300-100"]


def block(mark: str) -> str:
    """The one code block of the page that holds `mark`."""
    (found,) = [text for text in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if mark in text]
    return found


def here(text: str, folder: Path) -> str:
    """A recipe with this interpreter in place of the environment's, at smoke and in a store of the test."""
    text = text.replace(".venv/bin/python", sys.executable)
    text = text.replace(".venv/bin/dask", f"{sys.executable} -m dask")
    text = text.replace("dask scheduler", "dask scheduler --port 0")  # whatever else runs here
    text = text.replace("--profile paper", f"--profile smoke --model lenet-300-100 --store {folder / 'store'}")
    return text.replace("scheduler.json", str(folder / "scheduler.json"))


def test_the_job_array_fills_the_store(tmp_path):
    """Every task of the array in a shell with the variables that SLURM sets."""
    (tmp_path / "array.sh").write_text(here(block("#SBATCH --array"), tmp_path))
    for task in ("1", "2"):
        slurm = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}
        slurm["SLURM_SUBMIT_DIR"] = str(ROOT)
        command = ["bash", "-eu", str(tmp_path / "array.sh")]
        done = subprocess.run(command, cwd=tmp_path, env=SHELL | slurm, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "store", recorded=None)
    assert [cell for cell in CELLS if cell not in store] == []


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_the_scheduler_recipe_survives_a_node(tmp_path):
    """Two worker programs stand for two nodes; one is killed with all its processes while the run is on."""
    store = Store(tmp_path / "store", recorded=None)
    cells = [cell for group in plan(CELLS, store, shard="1/2") for cell in group]  # half of it is enough
    there = lambda: {p: p.stat().st_mtime_ns for p in store.local.glob("??/*.json")}  # noqa: E731
    with ExitStack() as programs, (tmp_path / "log").open("w") as log:

        def start(mark: str, **changes) -> subprocess.Popen:
            text = here(block(mark), tmp_path).replace("--engine dask", "--shard 1/2 --engine dask")
            for old, new in changes.items():
                text = text.replace(f"--{old} 4", f"--{old} {new}")
            named = {"cwd": ROOT, "env": SHELL, "stdout": log, "stderr": log, "start_new_session": True}
            program = subprocess.Popen(["bash", "-eu", "-c", text], **named)
            programs.callback(end, program)
            return program

        scheduler, file = start("dask scheduler"), tmp_path / "scheduler.json"
        node, _ = start("--nworkers 4", nworkers=1), start("--nworkers 4", nworkers=1)
        faulty.wait_for(lambda: file.exists() or scheduler.poll() is not None)
        assert file.exists(), (tmp_path / "log").read_text()[-3000:]
        main = start("--engine dask:scheduler.json")
        faulty.wait_for(lambda: len(there()) >= 4 or main.poll() is not None)
        os.killpg(node.pid, signal.SIGKILL)
        finished = there()
        assert 4 <= len(finished) < len(cells)
        assert main.wait() == 0, (tmp_path / "log").read_text()[-3000:]
    assert [cell for cell in cells if cell not in store] == []
    again = [path for path, written in finished.items() if there()[path] != written]
    assert len(again) <= 1  # its record was there, and word of it had not left the node


def end(program: subprocess.Popen) -> None:
    """Kill a program with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
