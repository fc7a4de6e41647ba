"""The library's docstrings as autodoc wants them: plain text with `code`; tables stay as they are."""

import os
import re

os.environ["NUMBA_DISABLE_JIT"] = "1"  # compiled kernels are documented as the functions that they are

MARKUP = re.compile(r"([\\*_|<>])")
ANNOTATED = re.compile(r"~?[\w.]*Annotated\[((?:[^][<]|\[[^][]*\])*), <typer\.[\w. ]+ at 0x\w+>\]")
TIDY = ((ANNOTATED, r"\1"), (re.compile(r"<function (\w+)>"), r"\1"), (re.compile(r"<(?:[^<>]|<\w+>)+>"), "..."))
TABLE = re.compile(r"  |\S.*\S {3,}\S")
PART = "Alias for field number"  # what Python says of each part of a named tuple; of a class itself, how it is called


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("config-inited", plain_intrinsics)
    app.connect("autodoc-process-docstring", lambda *given: rewrite(given[-1]))
    app.connect("autodoc-process-signature", lambda *given: signature(*given[-2:]))
    app.connect("autodoc-skip-member", skipped)
    app.config.autodoc_member_order = "bysource"
    app.config.autodoc_preserve_defaults = True
    app.config.autodoc_default_options = {"members": True, "no-value": True}
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def skipped(app, kind, name, member, skip, options):
    """True for what has no words of its own; None leaves it to autodoc."""
    return True if str(member.__doc__).startswith((PART, f"{name}(")) else None


def plain_intrinsics(app, config):
    """What numba turns into machine code by itself is a function to a reader too."""
    from numba import extending  # a second that only this page needs

    extending.intrinsic = lambda function: function


def rewrite(lines):
    """Turn the lines of a docstring into reStructuredText, in place."""
    blocks = "\n".join(lines).split("\n\n")
    lines[:] = [*"\n\n".join(block(text) for text in blocks if text.strip()).split("\n"), ""]


def block(text):
    """A paragraph, its markup escaped outside `code`, then what is indented or a table below it, kept verbatim."""
    lines = text.strip("\n").split("\n")
    kept = next((index for index, line in enumerate(lines) if TABLE.match(line)), len(lines))
    parts = [escaped(" ".join(lines[:kept]))] if kept else []
    if kept < len(lines):
        parts.append(".. code-block:: text\n\n" + "\n".join(f"    {line}" for line in lines[kept:]))
    return "\n\n".join(parts)


def escaped(text):
    """Text whose special characters print as themselves, its `code` spans as literals."""
    spans = text.replace("``", "`").split("`")
    parts = [f"``{span}``" if index % 2 else MARKUP.sub(r"\\\1", span) for index, span in enumerate(spans)]
    return "\\ ".join(part for part in parts if part)


def signature(arguments, result):
    """(arguments, result) of a definition, without options of a command line in annotations or code in defaults."""
    for pattern, text in TIDY:
        arguments = pattern.sub(text, arguments) if arguments else arguments
    return arguments, result
