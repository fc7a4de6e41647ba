"""The command line: `python -m tickets COMMAND`.

A user's mistake is one line and exit status 2; what failed for another reason is exit status 1, Ctrl-C is 130.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from . import chapters
from .errors import BadInput, MachineFault, choose
from .results.store import Store
from .running import faults, recording, travel
from .running import status as states
from .running.engines import ENGINES
from .running.plan import closure, in_shard
from .running.run import run

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
Study = Annotated[str, typer.Argument(help=f"One of: {', '.join(chapters.STUDIES)}.")]
GOES_ON = "what is finished is kept, and the same command goes on from here"
LocalStore = Annotated[str | None, typer.Option(help="Folder of the local results; default: build/results.")]
Profile = Annotated[str, typer.Option(help=f"One of: {', '.join(chapters.PROFILES)}.")]


@app.command("run")
def run_command(
    study: Study,
    profile: Profile = "smoke",
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes, state kept.", min=0)] = None,
    engine: Annotated[str, typer.Option(help=f"{', '.join(ENGINES)}, dask:ADDRESS or dask:FILE.")] = "processes",
    shard: Annotated[str, typer.Option(help="k/n: the k-th of n parts, for job arrays.")] = "1/1",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    model: Annotated[str | None, typer.Option(help="Only the cells of this network.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; default: one per core.", min=1)] = None,
    store: LocalStore = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
):
    """Train what the store lacks, most valuable first; safe to stop at any moment and to start again."""
    cells = chapters.cells(study, profile)
    if model:
        choose("model of this study", model, sorted({cell.model for cell in cells}))
        cells = [cell for cell in cells if cell.model == model]
    where = Store(store) if store else Store()
    limits = {"minutes": minutes, "shard": shard, "workers": workers, "retry_failed": retry_failed}
    run(cells, engine, device, where, say=partial(typer.echo, err=True), **limits)
    typer.echo(f"{study} {profile}: {states.left(where, cells)}")
    if faults.failed(where, closure(in_shard(cells, shard))):
        raise typer.Exit(1)


@app.command("status")
def status_command(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False):
    """Study by profile: cells, recorded, missing, and what the missing ones would cost on one worker."""
    rows = pd.DataFrame(states.status(Store()))
    text = rows.astype({"hours": float}).to_string(index=False, na_rep="?")
    typer.echo(rows.to_json(orient="records", indent=1) if as_json else text)


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="A new file; more than 15 MiB go on in FILE-2, FILE-3, ...")],
    study: Annotated[str | None, typer.Option(help="Only the cells of this study.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only the cells of this profile.")] = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="Also the weights that missing cells start from.")] = False,
    store: LocalStore = None,
):
    """Write local results into files that travel: records, and the masks of small networks."""
    names, profiles = [study] if study else chapters.STUDIES, [profile] if profile else chapters.PROFILES
    cells = [cell for name in names for p in profiles for cell in chapters.cells(name, p)]
    where = Store(store) if store else Store()
    typer.echo("\n".join(travel.export(file, where, closure(cells), tensors)))


@app.command("merge")
def merge_command(
    files: Annotated[list[Path], typer.Argument(help="Files that export wrote.")], store: LocalStore = None
):
    """Take exported results in: all files are checked first; what is there already stays, and differences are shown."""
    merged = travel.merge(files, Store(store) if store else Store())
    for paragraph in merged.conflicts:
        typer.echo(paragraph)
    typer.echo(f"{merged.new} new, {merged.agree} agree with what was there, {len(merged.conflicts)} differ from it")


@app.command("record")
def record_command(study: Study, profile: Profile = "paper"):
    """Take finished local results of a study into book/results, to be committed, and judge the claims again."""
    from .book import verdicts  # brings SciPy, which a worker does without

    total = recording.record(Store(), study, profile)
    judged = verdicts.publish(Store.committed())
    decided = judged["verdict"].str.startswith(("inconclusive", "open", "not run")).eq(False).sum()
    said = f"{decided} of {len(judged)} rows of claims.csv are decided"
    typer.echo(f"{study}: book/results holds {total} records; {said}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 for success, 1 for failures, 2 for bad input, 130 for Ctrl-C."""
    try:
        status = app(arguments, standalone_mode=False) or 0
        return _complain(f"stopped; {GOES_ON}", 130) if status == 130 else status
    except BadInput as error:
        return _complain(str(error), 2)
    except Exception as error:
        if hasattr(error, "format_message"):  # the option parser's own complaints
            return _complain(_with_names(error), 2)
        if line := str(error) if isinstance(error, (MachineFault, ConnectionError)) else faults.of_machine(error):
            return _complain(f"{line}; {GOES_ON}", 1)
        raise


def _with_names(error) -> str:
    """What the option parser says, with what it would take."""
    said, command = error.format_message().rstrip("."), error.ctx.command
    if isinstance(error, typer.BadParameter):
        return f"{said} ({error.param.help.rstrip('.')})"
    names = getattr(command, "commands", None) or [name for option in command.params for name in option.opts]
    return f"{said or 'no command'}: choose from {', '.join(names)}"


def _complain(line: str, status: int = 0) -> int:
    typer.echo(f"tickets: {line}", err=True)
    return status
