"""`python -m benchmarks`: time training against a plain PyTorch loop and against the machine's matrix products."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from tickets.errors import BadInput
from tickets.files import BOOK, ROOT

from . import FILES, bench

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    out: Annotated[Path, typer.Option(help="File for the figures.")] = ROOT / "build" / "bench.json",
    quick: Annotated[bool, typer.Option("--quick", help="A few steps, to see that it runs.")] = False,
    parts: Annotated[bool, typer.Option("--parts", help="Only the parts of a step of image networks.")] = False,
    sparseprop: Annotated[bool, typer.Option("--sparseprop", help="Only beside the layers of SparseProp.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Into book/results too, for the book's page.")] = False,
):
    """Time everything on a device, all in one run: only ratios within one run mean anything."""
    what = "parts" if parts else "sparseprop" if sparseprop else device
    try:
        if record and quick:
            raise BadInput("quick figures are not worth a record: give --quick or --record")
        if (parts or sparseprop) and device != "cpu":
            raise BadInput(f"device {device!r}: this is timed on a CPU, leave --device out")
        typer.echo(bench.as_text(bench.bench(what, out, quick)))
    except BadInput as error:
        typer.echo(f"benchmarks: {error}", err=True)
        raise typer.Exit(2) from error
    if record:
        shutil.copyfile(out, BOOK / "results" / FILES[what.split(":")[0]])


if __name__ == "__main__":
    sys.exit(app())
