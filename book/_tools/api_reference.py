"""The API page from the library's sources: read, never imported, so that a book needs no torch to document it.

Docstrings of the library are plain text with `code`; indented blocks are tables or formulas and stay as they are.
"""

import ast
import re
from pathlib import Path
from textwrap import dedent

MARKUP = re.compile(r"([\\*_\[\]{}$<>|#~^])")
Definition = ast.FunctionDef | ast.ClassDef


def reference(package: Path) -> str:
    """Markdown with one section per documented module of a package: its purpose and its public definitions."""
    files = sorted(path for path in package.rglob("*.py") if path.name != "__main__.py")
    return "\n".join(module(package, path) for path in files)


def module(package: Path, path: Path) -> str:
    """One module: heading, docstring, then its public functions and classes in the order of the file."""
    tree = ast.parse(path.read_text("utf-8"))
    relative = path.relative_to(package.parent).with_suffix("")
    name = ".".join(part for part in relative.parts if part != "__init__")
    parts = [f"## `{name}`\n", f"```{{py:module}} {name}\n```\n", prose(ast.get_docstring(tree))]
    parts += [definition(node, name) for node in public(tree)]
    return "\n".join(parts)


def public(tree: ast.Module | ast.ClassDef) -> list[Definition]:
    """Documented functions and classes whose names do not start with an underscore."""
    named = [node for node in tree.body if isinstance(node, Definition) and not node.name.startswith("_")]
    return [node for node in named if ast.get_docstring(node)]


def definition(node: Definition, scope: str, fence: str = "`````") -> str:
    """A `py:function` or `py:class` directive, methods nested, which other pages can refer to."""
    kind = "class" if isinstance(node, ast.ClassDef) else "method" if len(fence) < 5 else "function"
    body = prose(ast.get_docstring(node))
    if kind == "class":
        body += "\n" + "\n".join(definition(method, scope, "````") for method in public(node))
    return f"{fence}{{py:{kind}}} {signature(node)}\n:module: {scope}\n\n{body}\n{fence}\n"


class Plain(ast.NodeTransformer):
    """Annotations without what is meant for a command line, defaults without code."""

    def visit_Subscript(self, node):
        if ast.unparse(node.value) == "Annotated":
            return self.visit(node.slice.elts[0])
        return self.generic_visit(node)

    def visit_JoinedStr(self, node):
        return ast.Constant(...)

    visit_Lambda = visit_JoinedStr


def signature(node: Definition) -> str:
    """`name(arguments) -> result` as in the source; a class with annotated fields shows their names and defaults."""
    node = Plain().visit(node)
    if isinstance(node, ast.FunctionDef):
        result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        node.args.args = [entry for entry in node.args.args if entry.arg not in ("self", "cls")]
        return f"{node.name}({ast.unparse(node.args)}){result}"
    fields = [ast.unparse(entry) for entry in node.body if isinstance(entry, ast.AnnAssign)]
    return f"{node.name}({', '.join(fields)})" if fields else node.name


def prose(docstring: str | None) -> str:
    """Docstring as Markdown: paragraphs with their markup escaped outside `code`, indented blocks kept verbatim."""
    parts = []
    for text in (docstring or "").split("\n\n"):
        plain, indented, table = f"\n{text}".partition("\n  ")
        parts.append(escaped(plain.strip().replace("\n", " ")))
        if indented:
            parts.append("```text\n" + dedent(f"  {table}") + "\n```")
    return "\n\n".join(filter(None, parts)) + "\n"


def escaped(text: str) -> str:
    """Text whose special characters print as themselves, outside `code` spans."""
    spans = text.replace("``", "`").split("`")
    return "`".join(span if index % 2 else MARKUP.sub(r"\\\1", span) for index, span in enumerate(spans))
