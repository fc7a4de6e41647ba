"""The one exception a user can cause."""


class BadInput(ValueError):
    """Something the user named is not there or not allowed: one line that names the thing and what is allowed."""


def choose(what: str, name: str, allowed) -> str:
    """Return `name` if it is among `allowed`, else raise a BadInput that lists them."""
    if name not in allowed:
        raise BadInput(f"unknown {what} {name!r}: choose from {', '.join(map(str, allowed))}")
    return name
