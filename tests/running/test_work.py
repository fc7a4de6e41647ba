"""What a worker does with a population, and what its records say of themselves."""

import getpass
import json
import platform
from pathlib import Path

import torch
from tickets import chapters
from tickets.evidence import claims
from tickets.files import ROOT
from tickets.running.plan import plan
from tiny import CHAIN, NET, TINY, assert_equal_tables, serial


def test_lost_tensors_of_a_parent_are_computed_again(tiny, store):
    serial(CHAIN[:2], store)
    for cell in CHAIN[:2]:
        store.beside(cell, "safetensors").unlink()
    assert plan(CHAIN, store) == [(cell,) for cell in CHAIN]
    table = serial(CHAIN, store)
    assert_equal_tables(table, tiny[0].table(CHAIN))
    assert all(store.has_tensors(cell) for cell in CHAIN)


def test_a_record_stays_when_its_network_is_trained_again(tiny, store, capfd):
    """For its weights, say, on a machine that rounds in another way; that the numbers differ is said."""
    serial(CHAIN[:1], store)
    path = store.beside(NET, "json")
    record = json.loads(path.read_text())
    record["result"]["test_accuracy"] = 12.5
    path.write_text(json.dumps(record))
    store.beside(NET, "safetensors").unlink()
    capfd.readouterr()
    serial(CHAIN[:2], store)
    assert store.get(NET)["result"]["test_accuracy"] == 12.5
    assert store.has_tensors(NET)
    said = capfd.readouterr().err
    assert "trained again" in said
    assert "test_accuracy: 12.5 here" in said


# what a record says about itself


def test_provenance_names_no_host_and_no_person(tiny):
    store, _ = tiny
    for path in [store.beside(cell, "json") for cell in TINY]:
        text = json.loads(path.read_text())["provenance"]
        assert set(text) == {
            "version", "algorithm", "source", "torch", "numba", "device", "device_kind", "threads", "precision", "path",
            "population", "seconds", "date",
        }  # fmt: skip
        values = " ".join(map(str, text.values()))
        for secret in (platform.node(), getpass.getuser(), str(ROOT), str(Path.home()), str(store.local)):
            assert not (len(secret) > 3 and secret in values)
        assert "/" not in values.replace(text["device"], "")
        assert (text["threads"], text["population"], text["device_kind"]) == (1, 1, "cpu")
        assert text["torch"] == torch.__version__
        assert text["seconds"] > 0


def test_records_carry_the_claims_that_stood(tiny):
    store, table = tiny
    (digest,) = set(table["registration"])
    assert store.registrations() == {digest: claims.hashes(chapters.registered())}
