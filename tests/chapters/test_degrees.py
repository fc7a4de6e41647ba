"""Degrees of units: their spread beyond chance, whatever the number of places, against hand-made and random masks."""

import numpy as np
import pytest
from tickets.chapters.winning_tickets import anatomy

RNG = np.random.default_rng(0)


def drawn(places, relative, units=200, density=0.1):
    """(mask, degrees) of units with so many places each, that differ in density by `relative` of their mean."""
    rates = density * (1 + relative * np.where(np.arange(units) % 2, 1, -1))
    kept = RNG.random((units, places)) < rates[:, None]
    return kept, kept.sum(1)


def ratio(degree, kept):
    """Variance of degrees over that under a random mask: what cannot be compared between layers."""
    places, density = kept.size / degree.size, kept.mean()
    return degree.var() / (places * density * (1 - density))


@pytest.mark.parametrize("places", [784, 300])
@pytest.mark.parametrize("density", [0.21, 0.036])
def test_a_random_mask_has_no_spread(places, density):
    """As many weights as a ticket keeps, anywhere: incoming degrees have 784 places, outgoing ones 300."""
    found = []
    for _ in range(30):
        kept = np.zeros(100 * places, bool)
        kept[RNG.permutation(kept.size)[: round(density * kept.size)]] = True
        kept = kept.reshape(100, places)
        found.append(anatomy.spread(kept.sum(1), kept))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    assert error < 0.01


def test_spread_does_not_depend_on_the_number_of_places():
    """Units whose degrees differ by half of their mean: 0.25 for 784 places and for 300, where the ratio of variances
    is more than twice as large for 784."""
    many, few = drawn(784, 0.5), drawn(300, 0.5)
    for kept, degree in (many, few):
        assert anatomy.spread(degree, kept) == pytest.approx(0.25, abs=0.05)
    assert ratio(many[1], many[0]) > 2 * ratio(few[1], few[0])


def test_spread_by_hand():
    """A third of 30 inputs feed all of 20 units: degrees 20 and 0, variance 800 / 9, mean 20 / 3."""
    kept = np.zeros((20, 30), bool)
    kept[:, :10] = True
    chance = 20 * 2 / 9 * 580 / 599  # n p q (N - n) / (N - 1)
    assert anatomy.spread(kept.sum(0), kept) == pytest.approx((800 / 9 - chance) / (400 / 9))
    chance = 30 * 2 / 9 * 570 / 599
    assert anatomy.spread(kept.sum(1), kept) == pytest.approx(-chance / 100)  # more even than chance
    assert anatomy.spread(np.full(20, 30), np.ones((20, 30), bool)) == 0
    assert np.isnan(anatomy.spread(np.zeros(20), np.zeros((20, 30), bool)))


def test_spreads_of_both_sides():
    """Outgoing: pixels and first hidden units; incoming: both hidden layers; each side is the mean of its two."""
    first, second, last = RNG.random((12, 16)) < 0.4, RNG.random((8, 12)) < 0.4, RNG.random((3, 8)) < 0.9
    found = anatomy.spreads([first, second, last], np.arange(16) < 10)
    bright = first[:, :10]
    by_hand = {
        "spread_pixels": anatomy.spread(first.sum(0), first), "spread_units": anatomy.spread(second.sum(0), second),
        "spread_pixels_lit": anatomy.spread(bright.sum(0), bright),
        "spread_incoming_1": anatomy.spread(first.sum(1), first),
        "spread_incoming_2": anatomy.spread(second.sum(1), second),
    }  # fmt: skip
    mean = lambda one, other: (by_hand[f"spread_{one}"] + by_hand[f"spread_{other}"]) / 2  # noqa: E731
    by_hand |= {"spread_outgoing": mean("pixels", "units"), "spread_incoming": mean("incoming_1", "incoming_2")}
    by_hand["spread_outgoing_lit"] = mean("pixels_lit", "units")
    assert found == pytest.approx(by_hand)
