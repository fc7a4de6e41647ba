"""The command line: `python -m tickets COMMAND`. A user's mistake is one line and exit status 2."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm.std import tqdm

from . import status as states
from . import studies
from .errors import BadInput, choose
from .run import ENGINES, run
from .store import BOOK, ROOT, Store

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
Study = Annotated[str, typer.Argument(help=f"One of: {', '.join(studies.STUDIES)}.")]
Profile = Annotated[str, typer.Option(help=f"One of: {', '.join(studies.PROFILES)}.")]


@app.command("run")
def run_command(
    study: Study,
    profile: Profile = "smoke",
    minutes: Annotated[float | None, typer.Option(help="Start no new work after so many minutes.", min=0)] = None,
    engine: Annotated[str, typer.Option(help=f"One of: {', '.join(ENGINES)}.")] = "processes",
    shard: Annotated[str, typer.Option(help="k/n: the k-th of n parts, for job arrays.")] = "1/1",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    model: Annotated[str | None, typer.Option(help="Only the cells of this network.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; default: one per core.", min=1)] = None,
    store: Annotated[str | None, typer.Option(help="Folder of the local results; default: build/results.")] = None,
):
    """Train what the store lacks, most valuable first; safe to stop at any moment and to start again."""
    cells = studies.cells(study, profile)
    if model:
        choose("model of this study", model, sorted({cell.model for cell in cells}))
        cells = [cell for cell in cells if cell.model == model]
    where = Store(store) if store else Store()
    with _Progress() as tell:
        run(cells, engine, device, where, minutes=minutes, shard=shard, workers=workers, tell=tell)
    missing = sum(cell not in where for cell in cells)
    typer.echo(f"{study} {profile}: {len(cells) - missing} of {len(cells)} cells are there, {missing} are missing")


@app.command("status")
def status_command(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False):
    """Study by profile: cells, recorded, missing, and what the missing ones would cost on one worker."""
    rows = states.status(Store())
    typer.echo(json.dumps(rows, indent=1) if as_json else states.as_text(rows))


@app.command("record")
def record_command(study: Study, profile: Profile = "paper"):
    """Take finished local results of a study into book/results, to be committed, and judge the claims again."""
    from . import claims

    total = Store().record(study, studies.cells(study, profile))
    judged = claims.publish(Store.committed())
    decided = judged["verdict"].str.startswith(("inconclusive", "not run")).eq(False).sum()
    typer.echo(
        f"{study}: book/results holds {total} records; {decided} of {len(judged)} rows of claims.csv are decided"
    )


@app.command("bench")
def bench_command(
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    out: Annotated[Path, typer.Option(help="File for the figures.")] = ROOT / "build" / "bench.json",
    quick: Annotated[bool, typer.Option("--quick", help="A few steps, to see that it runs.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Into book/results too, for the book's page.")] = False,
):
    """Time training against a plain PyTorch loop and against the machine's matrix products, in one run."""
    from . import bench, costs

    if record and quick:
        raise BadInput("quick figures are not worth a record: give --quick or --record")
    typer.echo(bench.as_text(bench.bench(device, out, quick)))
    if record:
        shutil.copyfile(out, BOOK / "results" / costs.FILES[device.split(":")[0]])


class _Progress:
    """A bar with rate and time left on a terminal, a plain line now and then elsewhere."""

    def __enter__(self):
        self.bar, self.told = None, -1.0
        return self

    def __call__(self, done: int, total: int, seconds: float) -> None:
        if sys.stderr.isatty():
            self.bar = self.bar or tqdm(total=total, unit="network", smoothing=0.1)
            self.bar.update(done - self.bar.n)
        elif done == total or seconds - self.told > 30:
            self.told = seconds
            typer.echo(f"{done} of {total} populations, {seconds:.0f} s", err=True)

    def __exit__(self, *_):
        if self.bar:
            self.bar.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 for success, 2 for bad input."""
    try:
        app(arguments, standalone_mode=False)
    except BadInput as error:
        return _complain(str(error))
    except Exception as error:
        if hasattr(error, "format_message"):  # the option parser's own complaints
            return _complain(_with_names(error))
        raise
    return 0


def _with_names(error) -> str:
    """What the option parser says, with what it would take."""
    said, command = error.format_message().rstrip("."), error.ctx.command
    if isinstance(error, typer.BadParameter):
        return f"{said} ({error.param.help.rstrip('.')})"
    names = getattr(command, "commands", None) or [name for option in command.params for name in option.opts]
    return f"{said or 'no command'}: choose from {', '.join(names)}"


def _complain(line: str) -> int:
    typer.echo(f"tickets: {line}", err=True)
    return 2
