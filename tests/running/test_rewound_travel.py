"""Weights at a rewind step travel with the dense network that passed through them, checked like everything else."""

from types import SimpleNamespace

import numpy as np
import pytest
from repacked import changed, members, packed, repacked
from safetensors.numpy import load, save
from tickets.errors import BadInput
from tickets.files import array_digest
from tickets.pruning.masks import final
from tickets.results.store import Store
from tickets.running import parcels, travel
from tickets.running.plan import plan
from tiny import NET, assert_equal_tables, files, serial

K = 8
FIRST, SECOND, COPY = NET.but(level=1, rewind=K), NET.but(level=2, rewind=K), NET.but(order=1, rewind=K)
MEMBER = f"rewound/{NET.key()}-{K}.safetensors"


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A machine with a dense network and its first ticket, the second and a copy still to come, and what it exports."""
    folder = tmp_path_factory.mktemp("begun")
    store = Store(folder / "local", recorded=None)
    serial([NET, FIRST], store)
    travel.export(folder / "begun.zip", store, [NET, FIRST, SECOND, COPY])
    return SimpleNamespace(store=store, file=folder / "begun.zip", folder=folder)


def assert_equal_arrays(some, others):
    assert set(some) == set(others)
    for name, array in some.items():
        assert array.dtype == others[name].dtype
        np.testing.assert_array_equal(array, others[name])


# there and back


def test_weights_that_missing_cells_return_to_travel(begun, store):
    """Also without --tensors, of small networks; a copy then starts elsewhere with the same bits."""
    assert [name for name in members(begun.file) if name.startswith("rewound")] == [MEMBER]
    merged = travel.merge([begun.file], store)
    assert (merged.new, merged.agree, merged.conflicts) == (2, 0, [])
    assert_equal_arrays(store.rewound(COPY), begun.store.rewound(COPY))
    assert plan([COPY], store) == [(COPY,)]
    there = Store(begun.folder / "copied", recorded=None)
    assert_equal_tables(serial([COPY], store), serial([COPY], there))


def test_what_no_cell_returns_to_stays_behind(begun, tmp_path):
    travel.export(tmp_path / "done.zip", begun.store, [NET, FIRST])
    assert not [name for name in members(tmp_path / "done.zip") if name.startswith("rewound")]


def test_of_larger_networks_they_travel_with_the_tensors_only(store, tmp_path):
    """With the running statistics of normalization layers."""
    fields = {"model": "resnet-20", "steps": 2, "batch": 4, "optimizer": "sgd", "scope": "global", "output_rate": 0}
    dense = NET.but(dataset="digits16", inputs="standard", **fields)
    copy, here = dense.but(order=1, rewind=1), Store(tmp_path / "here", recorded=None)
    serial([dense, copy], here)
    here.beside(copy, "json").unlink()
    for weights in (False, True):
        travel.export(tmp_path / f"{weights}.zip", here, [dense, copy], weights=weights)
        names = [name for name in members(tmp_path / f"{weights}.zip") if name.startswith("rewound")]
        assert names == [f"rewound/{dense.key()}-1.safetensors"] * weights
    travel.merge([tmp_path / "True.zip"], store)
    assert_equal_arrays(store.rewound(copy), here.rewound(copy))
    assert any(name.endswith("running_var") for name in store.rewound(copy))


def test_an_unfinished_chain_goes_on_elsewhere_from_the_same_start(begun, store, tmp_path):
    travel.export(tmp_path / "chain.zip", begun.store, [NET, FIRST, SECOND], weights=True)
    travel.merge([tmp_path / "chain.zip"], store)
    assert plan([NET, FIRST, SECOND], store) == [(SECOND,)]
    elsewhere = Store(tmp_path / "elsewhere", recorded=None)
    assert_equal_tables(serial([SECOND], store), serial([SECOND], elsewhere))


def test_a_chain_that_arrives_beside_another_start_counts_as_absent(begun, store, tmp_path):
    """What its tensors began from comes with them."""
    travel.export(tmp_path / "chain.zip", begun.store, [NET, FIRST, SECOND], weights=True)
    other = {name: array + 1 for name, array in begun.store.rewound(FIRST).items()}
    store.put_rewound(NET, K, other)
    travel.merge([tmp_path / "chain.zip"], store)
    assert_equal_arrays(store.rewound(FIRST), other)  # what is there stays
    assert FIRST in store
    assert not store.has_tensors(FIRST)
    assert plan([SECOND], store) == [(FIRST,), (SECOND,)]


def test_merging_twice_changes_nothing(begun, store):
    travel.merge([begun.file], store)
    before = files(store), files(store, "safetensors")
    travel.merge([begun.file], store)
    assert (files(store), files(store, "safetensors")) == before


def test_lost_weights_arrive_again(begun, store):
    """Also where a damaged file is in their place."""
    for lose in (lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-1])):
        travel.merge([begun.file], store)
        lose(store.beside(NET, f"{K}.safetensors"))
        assert store.rewound(COPY) is None
        travel.merge([begun.file], store)
        assert_equal_arrays(store.rewound(COPY), begun.store.rewound(COPY))


def flipped(content):
    """One bit of the last weight, the digest as it was."""
    return content[:-1] + bytes([content[-1] ^ 1])


def test_damaged_weights_do_not_leave(begun, tmp_path):
    here = Store(tmp_path / "here", recorded=None)
    travel.merge([begun.file], here)
    path = here.beside(NET, f"{K}.safetensors")
    path.write_bytes(flipped(path.read_bytes()))
    travel.export(tmp_path / "results.zip", here, [NET, FIRST, COPY])
    assert MEMBER not in members(tmp_path / "results.zip")


# files that are not right


def weights(change):
    """A change to the weights that travel."""
    return lambda file, target: repacked(file, target, rewound=change)


def arrays(change):
    """A change to their arrays, which have a digest of their own again."""

    def apply(content):
        found = change(load(content))
        return save(found, {"digest": array_digest(found)})

    return weights(apply)


def renamed(name):
    """The same weights under the name of another member."""

    def apply(file, target):
        found = members(file)
        return packed(target, {name if old == MEMBER else old: content for old, content in found.items()})

    return apply


def without_owner(file, target):
    """The dense network's record left out."""
    keep = lambda text: b"\n".join(line for line in text.splitlines() if NET.key().encode() not in line)  # noqa: E731
    return repacked(file, target, records=keep)


BAD = {
    "cut off": weights(lambda content: content[:-100]),
    "a pickle": weights(lambda content: b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01."),
    "a flipped bit": weights(flipped),
    "a layer too few": arrays(lambda a: {name: a[name] for name in list(a)[1:]}),
    "a layer too many": arrays(lambda a: {**a, "fc9.weight": a["fc1.weight"]}),
    "another shape": arrays(lambda a: {name: array.T.copy() for name, array in a.items()}),
    "another type": arrays(lambda a: {name: array.astype(np.float64) for name, array in a.items()}),
    "a network's tensors": arrays(lambda a: {f"final/{name}": array for name, array in a.items()}),
    "a ticket's": renamed(f"rewound/{FIRST.key()}-{K}.safetensors"),
    "of no record": renamed(f"rewound/{'0' * 24}-{K}.safetensors"),
    "of a missing record": without_owner,
    "of no step": renamed(f"rewound/{NET.key()}.safetensors"),
    "of a step before the first": renamed(f"rewound/{NET.key()}-0.safetensors"),
    "of a step after the last": renamed(f"rewound/{NET.key()}-{NET.steps + 1}.safetensors"),
    "tensors of a step": renamed(f"tensors/{NET.key()}-{K}.safetensors"),
}


@pytest.mark.parametrize("what", BAD)
def test_weights_that_are_not_right_are_named_and_nothing_is_written(begun, store, tmp_path, what):
    """In one line, also beside a file that is right."""
    bad = BAD[what](begun.file, tmp_path / "bad.zip")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=r"bad\.zip") as caught:
        travel.merge([begun.file, bad], store)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", [f"rewound/{NET.key()}-../x.safetensors", f"rewound/{NET.key()}--1.safetensors"])
def test_steps_of_another_form_are_refused(begun, store, tmp_path, name):
    bad = renamed(name)(begun.file, tmp_path / "bad.zip")
    with pytest.raises(BadInput, match="not a file of results"):
        travel.merge([bad], store)
    assert not store.local.exists()


def test_contents_are_cells_with_record_tensors_and_weights(begun):
    registrations, found = parcels.contents(begun.file)
    assert registrations == begun.store.registrations()
    assert [cell for cell, *_ in found] == [NET, FIRST]
    assert [set(rewound) for *_, rewound in found] == [{K}, set()]
    assert_equal_arrays(found[0][3][K], begun.store.rewound(COPY))
    assert changed(found[0][1], "result") == begun.store.get(NET)
    assert not [name for name in found[1][2] if final({name: found[1][2][name]})]  # masks alone
