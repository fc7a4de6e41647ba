"""The two exceptions that end a run in one line."""


class BadInput(ValueError):
    """Something the user named is not there or not allowed: one line that names the thing and what is allowed."""


class MachineFault(RuntimeError):
    """Something of this machine is not as it must be: a disk, a memory, a device; one line that names it.

    No network has failed by it, so nothing is marked; the same command goes on once it is mended.
    """


def choose(what: str, name: str, allowed) -> str:
    """Return `name` if it is among `allowed`, else raise a BadInput that lists them."""
    if name not in allowed:
        raise BadInput(f"unknown {what} {name!r}: choose from {', '.join(map(str, allowed))}")
    return name
