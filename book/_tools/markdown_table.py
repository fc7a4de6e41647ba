"""A table as Markdown, for the generated parts of pages."""


def markdown_table(heads: tuple, rows) -> str:
    """The rows under their heads; every cell as its text."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
