"""Exported files taken apart and put together again, for the tests of what a merge refuses."""

import json
from zipfile import ZipFile

from safetensors.numpy import load, save


def members(path):
    with ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def packed(target, contents):
    """A file of members."""
    with ZipFile(target, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return target


def repacked(path, target, **changes):
    """The members of an exported file in a new one, some replaced by what a function makes of them."""
    kind = lambda name: name.split("/")[0].split(".")[0]  # noqa: E731
    same = lambda content: content  # noqa: E731
    return packed(target, {name: changes.get(kind(name), same)(content) for name, content in members(path).items()})


def lines_of(change):
    """A change to the last record of a file."""

    def apply(text):
        *first, last = text.decode().splitlines()
        return "\n".join([*first, json.dumps(change(json.loads(last)))])

    return {"records": apply}


def tensors_of(change):
    """A change to the arrays that cells left."""
    return {"tensors": lambda content: save(change(load(content)))}


def changed(record, part, **values):
    """A record with other values in one of its parts."""
    return {**record, part: {**record[part], **values}}
