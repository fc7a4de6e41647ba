"""W_k: only what its digest says it is, and one for both ends of what is measured."""

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save
from tickets.cells import Cell
from tickets.files import array_digest
from tickets.running.plan import plan
from tiny import NET, serial

K = 8
ONE, OTHER = (NET.but(order=order, rewind=K) for order in (1, 2))
LINE = NET.but(arm="chord", rewind=K, points=3)


def off_by_a_rounding(weights):
    """The weights of a trunk that was trained again, of which a single one rounded to its neighbour."""
    found = {name: array.copy() for name, array in weights.items()}
    first = found["fc1.weight"]
    first[0, 0] = np.nextafter(first[0, 0], np.inf, dtype=first.dtype)
    return found


def kept(store):
    """The file of W_k."""
    return store.beside(NET, f"{K}.safetensors")


def began(store, cell: Cell) -> str:
    """Digest of the weights that what a network left began from."""
    with safe_open(store.beside(cell, "safetensors"), framework="np") as file:
        return file.metadata()["start"]


@pytest.mark.parametrize("digest", ["of what they were", ""], ids=["another digest", "none"])
def test_weights_that_are_not_what_their_digest_says_are_not_used(store, digest):
    """They are trained again, up to their step, and come out as they were."""
    serial([NET, ONE], store)
    first = store.rewound(ONE)
    metadata = {"digest": array_digest(first)} if digest else None
    kept(store).write_bytes(save(off_by_a_rounding(first), metadata))
    assert store.rewound(ONE) is None
    assert plan([NET, ONE, OTHER], store) == [(NET,), (OTHER,)]
    serial([NET, ONE, OTHER], store)
    assert array_digest(store.rewound(OTHER)) == array_digest(first)
    assert store.get(ONE)["provenance"]["start"] == store.get(OTHER)["provenance"]["start"] == array_digest(first)


def test_two_copies_that_are_compared_began_from_one_w_k(store):
    """A machine that rounds in another way trained the trunk again: "copied at 8" must not become "copied near 0"."""
    serial([NET, ONE], store)
    first = store.rewound(ONE)
    store.put_rewound(NET, K, off_by_a_rounding(first))
    now = store.start_of(ONE)
    assert now != array_digest(first) == began(store, ONE)
    assert plan([NET, ONE, OTHER, LINE], store) == [(OTHER,), (ONE,), (LINE,)]
    serial([NET, ONE, OTHER, LINE], store)
    assert began(store, ONE) == began(store, OTHER) == now
    assert store.get(LINE)["provenance"]["start"] == now
    assert store.get(ONE)["provenance"]["start"] == array_digest(first)  # the first record of a network stays
