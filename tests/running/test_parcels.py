"""Files that are merged: no file can do more than bring results, and one that is not right brings nothing."""

import random
from zipfile import ZipFile

import numpy as np
import pytest
from repacked import changed, lines_of, repacked, tensors_of
from tickets.data import sources
from tickets.errors import BadInput
from tickets.running import parcels, travel

BAD = {
    "cut off": lambda content: content[:1000],
    "another schema": lines_of(lambda r: {**r, "schema": 2}),
    "a key that is not its cell's": lines_of(lambda r: {**r, "key": "0" * 24}),
    "a path for a key": lines_of(lambda r: {**r, "key": "../../escaped"}),
    "an edited cell": lines_of(lambda r: {**r, "cell": {**r["cell"], "steps": 7}}),
    "a result that is no number": lines_of(lambda r: changed(r, "result", test_accuracy="97")),
    "a number without end": lines_of(lambda r: changed(r, "result", test_accuracy=10**400)),
    "a cell without end": lines_of(lambda r: {**r, "cell": {**r["cell"], "replicate": 10**400}}),
    "a curve of texts": lines_of(lambda r: changed(r, "curves", step=["<script>"])),
    "a provenance of a page": lines_of(lambda r: changed(r, "provenance", device="x" * 1000)),
    "a number for the weights it began from": lines_of(lambda r: changed(r, "provenance", start=5)),
    "a path for a registration": lines_of(lambda r: {**r, "registration": "../../escaped"}),
    "nested without end": {"records": lambda text: "[" * 200_000},
    "no text": {"records": lambda text: b"\xff\xfe\x00"},
    "tensors without their record": {"records": lambda text: b"\n".join(text.splitlines()[:1])},
    "another registration": {"registrations": lambda text: text.replace(b"a", b"b")},
    "a registration's path": {"registrations": lambda text: b'{"../../escaped": {}}'},
    "tensors cut off": {"tensors": lambda content: content[:-100]},
    "a pickle for tensors": {"tensors": lambda content: b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01."},
    "a layer too few": tensors_of(lambda a: {n: a[n] for n in list(a)[1:]}),
    "another shape": tensors_of(lambda a: {n: array.T.copy() for n, array in a.items()}),
    "another type": tensors_of(lambda a: {n: array.astype(np.int16) for n, array in a.items()}),
    "a level too deep": tensors_of(lambda a: {n: np.full_like(array, 9) for n, array in a.items()}),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_not_right_is_named_and_nothing_is_written(home, store, tmp_path, what):
    """Also beside a file that is right, and nothing outside the store either."""
    bad = tmp_path / "bad.zip"
    if isinstance(BAD[what], dict):
        repacked(home.file, bad, **BAD[what])
    else:
        bad.write_bytes(BAD[what](home.file.read_bytes()))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=r"bad\.zip") as caught:
        travel.merge([home.file, bad], store)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../escaped.json", "/escaped", "tensors/../../x.safetensors", "a.pkl"])
def test_members_of_another_name_are_refused(home, store, tmp_path, name):
    bad = repacked(home.file, tmp_path / "bad.zip")
    with ZipFile(bad, "a") as file:
        file.writestr(name, "{}")
    with pytest.raises(BadInput, match="not a file of results"):
        travel.merge([bad], store)
    assert not store.local.exists()


def test_a_file_that_swells_is_refused(home, store, tmp_path, monkeypatch):
    monkeypatch.setattr(parcels, "MOST_UNPACKED", 100_000)
    with pytest.raises(BadInput, match=r"^results\.zip: unpacks to more than"):
        travel.merge([home.file], store)
    monkeypatch.setattr(parcels, "MOST", 1000)
    with pytest.raises(BadInput, match=r"^results\.zip: larger than"):
        travel.merge([home.file], store)
    assert not store.local.exists()


def test_a_name_that_is_no_text_is_refused(home, tmp_path):
    """Its flag says that it is UTF-8, and it is not."""
    bad = tmp_path / "bad.zip"
    with ZipFile(bad, "w") as file:
        file.writestr("\u00e9.jsonl", "")
    bad.write_bytes(bad.read_bytes().replace("\u00e9".encode(), b"\xff\xfe"))
    with pytest.raises(BadInput, match=r"^bad\.zip: not a readable file of results"):
        parcels.contents(bad)


def flipped(content, place, bit):
    spoilt = bytearray(content)
    spoilt[place] ^= 1 << bit
    return bytes(spoilt)


def test_a_byte_that_flipped_is_found_out_or_harmless(home, store):
    """Wherever it lies: the file is refused in one line, or what it says is unharmed."""
    content, path, generator = home.file.read_bytes(), home.folder / "flipped.zip", random.Random(0)
    refused = 0
    for _ in range(60):
        path.write_bytes(flipped(content, generator.randrange(len(content)), generator.randrange(8)))
        try:
            found = parcels.contents(path)[1]
            assert [parcel[1] for parcel in found] == [parcel[1] for parcel in parcels.contents(home.file)[1]]
        except BadInput:
            refused += 1
    assert refused > 50


def test_no_flipped_bit_of_the_list_of_members_hides_one(home):
    """A longer name, note or offset can swallow the members that follow, without an error of the archive's reader."""
    content, path = home.file.read_bytes(), home.folder / "flipped.zip"
    with ZipFile(home.file) as file:
        began, right = file.start_dir, {name: file.read(name) for name in file.namelist()}
    places = [(place, bit) for place in range(began, len(content)) for bit in range(8)]
    assert len(places) > 500
    refused = 0
    for place, bit in places:
        path.write_bytes(flipped(content, place, bit))
        try:
            assert parcels._members(path) == right, (place - began, bit)
        except BadInput:
            refused += 1
    assert refused > len(places) / 3


def test_datasets_are_described_as_they_are():
    for name in ("digits", "digits16"):
        dataset = sources.load(name)
        assert sources.described(name) == (dataset.shape, dataset.classes)
    assert sources.described("cifar100") == ((3, 32, 32), 100)
