"""Execute one notebook for the book: parameters checked, errors fatal, nothing of this machine left in the result."""

import re
import sys
import time

import nbformat
import papermill
from tickets.errors import BadInput

ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")  # of an object's repr
KERNEL_FILE = re.compile(r"[\w./-]{0,200}ipykernel_\d+/\d+\.py")  # bounded: pictures are one long word
MACHINE_METADATA = ("papermill", "widgets", "signature")


class NotebookError(RuntimeError):
    """A cell of a notebook failed."""


def execute(source, target, parameters, root):
    """Run notebook `source` in folder `root` with `parameters` (name -> value), write it to `target`.

    Returns what the provenance page prints: notebook, parameters (defaults included) and seconds. Raises BadInput on a
    parameter that the notebook does not declare (papermill only warns) or on a value that the library refuses,
    NotebookError on a failing cell, also on one that was allowed to fail.
    """
    resolved = resolve(source, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    try:
        notebook = papermill.execute_notebook(
            source, target, parameters, cwd=root, kernel_name="python3", language="python", progress_bar=False,
            extra_arguments=["--log-level=50"],  # a kernel warns about its local connection and its end
            stderr_file=sys.stderr if parameters.get("train") else None,  # the progress of a training
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        if error.ename == BadInput.__name__:
            raise BadInput(error.evalue) from error
        raise NotebookError(f"{source.name}, cell {error.cell_index}: {error.ename}: {error.evalue}") from error
    seconds = time.perf_counter() - began
    for index, cell in enumerate(notebook.cells):  # Sphinx renders a recorded error without a word
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                raise NotebookError(f"{source.name}, cell {index}: {output.ename}: {output.evalue}")
    nbformat.write(clean(notebook, source.stem, root), target)
    return {"notebook": source.stem, "parameters": resolved, "seconds": seconds}


def resolve(source, parameters):
    """All parameters of a notebook, as text, with the given ones in place of their defaults."""
    declared = papermill.inspect_notebook(str(source))
    if unknown := sorted(set(parameters) - set(declared)):
        allowed = ", ".join(declared) or "it has none"
        raise BadInput(f"{source.name}: unknown parameter {', '.join(unknown)}; allowed: {allowed}")
    defaults = {name: entry["default"] for name, entry in declared.items()}
    return defaults | {name: repr(value) for name, value in parameters.items()}


def clean(notebook, slug, root):
    """Leave the injected cell out of the page and drop what differs from run to run or names this machine."""
    for name in MACHINE_METADATA:
        notebook.metadata.pop(name, None)
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{slug}-{index}"
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.metadata.tags.append("remove-cell")  # its values are on the provenance page
        if cell.cell_type == "code":
            cell.outputs = [scrub(output, root) for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def scrub(value, root):
    """`value` (nested dicts, lists, text) without paths of this machine and addresses in memory."""
    if isinstance(value, dict):
        return type(value)({key: scrub(entry, root) for key, entry in value.items()})
    if isinstance(value, list):
        return [scrub(entry, root) for entry in value]
    if isinstance(value, str):
        return ADDRESS.sub("", KERNEL_FILE.sub("cell", value.replace(f"{root}/", "").replace(str(root), ".")))
    return value
