"""Chapter 8: subset sums, by hand, by trying all subsets and by another solver; searches, laws, the rebuilt network."""

from itertools import product as choices
from math import log, log2

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from small import NET as LITTLE
from small import SMALL
from tickets import chapters
from tickets.chapters.subset_sum import pools, rebuilt, study, theorems
from tickets.chapters.subsets import searches, sums
from tickets.data.reader import Reader
from tickets.errors import BadInput
from tickets.evidence import claims
from tickets.pruning import imp
from tickets.pruning.masks import FINAL
from tickets.running.run import run

NET = study.NETWORKS["smoke"]["784-500-10"]
STUDY = "08_subset_sum"


def generator(seed=0):
    return np.random.default_rng(seed)


def drawn(P, N, seed=0):
    """Pools [P, N] and targets [P], uniform on [-1, 1]."""
    random = generator(seed)
    return random.uniform(-1, 1, (P, N)), random.uniform(-1, 1, P)


def every_subset(pool):
    """[(numbers in it, its sum)] of all subsets of a small pool, one by one."""
    inside = list(choices((0, 1), repeat=len(pool)))
    return [(sum(chosen), float(np.dot(chosen, pool))) for chosen in inside]


def one(search, pool, target, rate=0.1, seed=0):
    """The distance that a search leaves in one pool."""
    return search(np.array([pool], float), np.array([float(target)]), generator(seed), rate)[0]


# exact sums


def test_all_sums_rise_and_know_their_subsets():
    found, subsets = sums.all_sums(np.array([0.5, -2.0, 1.0]))
    assert found.tolist() == [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5]
    assert subsets.tolist() == [0b010, 0b011, 0b110, 0b111, 0b000, 0b001, 0b100, 0b101]
    assert [array.tolist() for array in sums.all_sums(np.zeros(0))] == [[0.0], [0]]


@pytest.mark.parametrize(
    ("target", "places"), [(3.1, (1, 1)), (-9.0, (0, 0)), (99.0, (2, 2)), (10.9, (1, 2)), (4.6, (2, 1))]
)
def test_the_nearest_pair_of_two_rising_lists(target, places):
    assert sums.nearest(np.array([0.0, 1.0, 3.0]), np.array([-4.0, 2.0, 10.0]), target) == places


def test_exact_sums_by_hand():
    found, subsets = sums.exact(np.array([[1.0, 2.0, 4.0, -8.0]]), np.array([[6.6, -5.4, 0.2, 100.0]]))
    assert found.tolist() == [[7, -5, 0, 7]]
    assert subsets.tolist() == [[0b0111, 0b1011, 0b0000, 0b0111]]


@pytest.mark.parametrize("N", [1, 2, 3, 9])
def test_exact_sums_are_the_best_of_all_subsets(N):
    numbers, targets = drawn(40, N)
    found, subsets = sums.exact(numbers, targets[:, None])
    for p in range(40):
        best = min(abs(total - targets[p]) for _, total in every_subset(numbers[p]))
        assert abs(found[p, 0] - targets[p]) == pytest.approx(best, abs=1e-12)
        inside = [numbers[p, i] for i in range(N) if subsets[p, 0] >> i & 1]
        assert sum(inside) == pytest.approx(found[p, 0], abs=1e-12)


def test_targets_of_one_pool_are_as_if_each_were_alone():
    numbers, _ = drawn(3, 10)
    targets = generator(1).uniform(-1, 1, (3, 7))
    together = sums.exact(numbers, targets)
    alone = sums.exact(np.repeat(numbers, 7, 0), targets.reshape(-1, 1))
    assert all(np.array_equal(a.ravel(), b.ravel()) for a, b in zip(together, alone, strict=True))


def test_an_integer_program_finds_no_nearer_subset():
    """200 instances by HiGHS: smallest d with |sum of chosen numbers - target| <= d, in thousandths: its tolerance."""
    for N in (5, 8, 11, 14):
        numbers, targets = drawn(50, N, seed=N)
        found, _ = sums.exact(numbers, targets[:, None])
        for p in range(50):
            rows = np.array([[*1000 * numbers[p], -1], [*-1000 * numbers[p], -1]])
            limits = LinearConstraint(rows, -np.inf, [1000 * targets[p], -1000 * targets[p]])
            box, whole = Bounds(np.zeros(N + 1), [*np.ones(N), np.inf]), [*np.ones(N), 0]
            solved = milp([*np.zeros(N), 1], constraints=limits, bounds=box, integrality=whole)
            chosen = np.round(solved.x[:N]) @ numbers[p]
            assert abs(found[p, 0] - targets[p]) == pytest.approx(abs(chosen - targets[p]), abs=1e-8)


def test_the_best_of_each_size_by_hand_and_by_trying_all():
    assert sums.by_size(np.array([[1.0, 3.0]]), np.array([2.5])).tolist() == [[2.5, 0.5, 1.5]]
    numbers, targets = drawn(10, 7)
    found = sums.by_size(numbers, targets)
    for p in range(10):
        for size in range(8):
            best = min(abs(total - targets[p]) for n, total in every_subset(numbers[p]) if n == size)
            assert found[p, size] == pytest.approx(best, abs=1e-12)


# searches


def test_greedy_takes_the_largest_that_brings_it_nearer():
    assert one(searches.greedy, [0.2, 3.0, 4.0], 5) == pytest.approx(
        0.8
    )  # 4, not 3 (nearer would be 3 + ...), then 0.2
    assert one(searches.greedy, [1.0, -1.0], 0.3) == pytest.approx(0.3)  # neither helps
    assert one(searches.greedy, [-0.5, 2.0], 1.4) == pytest.approx(0.1)  # beyond it, then back


def test_shares_are_solved_before_they_are_rounded(monkeypatch):
    """One number of 1 and target 0.7: the share is 0.7, rounded to 1; target 0.3: to 0."""
    assert one(searches.relaxed, [1.0], 0.7) == pytest.approx(0.3)
    assert one(searches.relaxed, [1.0], 0.3) == pytest.approx(0.3)
    assert one(searches.relaxed, [1.0, 2.0, -4.0], 50) == pytest.approx(47)  # out of reach: all that is positive
    assert one(searches.relaxed, [1.0, 2.0, -4.0], -50) == pytest.approx(46)


def test_shares_move_from_their_start_along_the_numbers():
    """Start (u, v), numbers (1, 1), target 1: both move by the same, to the line on which they add up to 1."""
    random = generator(3)
    u, v = random.random((1, 2))[0]
    larger = max(u, v) + (1 - u - v) / 2
    assert 0.5 < larger < 1  # so one is rounded to 1 and the other to 0: nothing is left
    assert one(searches.relaxed, [1.0, 1.0], 1, seed=3) == pytest.approx(0)


class Scores:
    """A generator that gives these scores, whatever is asked; `edge_popup` divides by the root of their number."""

    def __init__(self, *scores):
        self.scores = np.array([scores]) * np.sqrt(len(scores))

    def uniform(self, low, high, shape):
        assert (low, high, shape) == (-1, 1, self.scores.shape)
        return self.scores.copy()


@pytest.mark.parametrize(
    ("scores", "rate", "left"),
    [
        ((0.3, -0.2), 0.0, 0.4),  # the first is kept: 0.5 - 0.1
        # the gap is 0.4; sizes of scores change by -rate * 2 * 0.4 * x: to 0.1 and to 0.3, then the second is kept
        ((0.3, -0.2), 0.5, 0.35),
        ((-0.3, 0.2), 0.5, 0.35),  # signs of scores mean nothing
        ((0.3, -0.2), 0.1, 0.4),  # to 0.26 and 0.22: not yet
    ],
)
def test_edge_popup_by_hand(monkeypatch, scores, rate, left):
    """Numbers 0.5 and -0.25, target 0.1, one is kept, one step."""
    monkeypatch.setattr(searches, "STEPS", 1)
    found = searches.edge_popup(np.array([[0.5, -0.25]]), np.array([0.1]), Scores(*scores), rate)
    assert found == pytest.approx([left])


def test_edge_popup_has_momentum_and_a_rate_that_falls_to_zero(monkeypatch):
    """Two steps at rates 1 and 1/2 of 0.1; gap 0.4 in both: 0.5 falls by 0.04 and then by half of 1.9 times that."""
    monkeypatch.setattr(searches, "STEPS", 2)
    pool, target = np.array([[0.5, -0.25]]), np.array([0.1])
    # sizes 0.5 - 0.04 - 0.038 = 0.422 and s + 0.02 + 0.019: equal where s = 0.383
    assert searches.edge_popup(pool, target, Scores(0.5, 0.382), 0.1) == pytest.approx([0.4])
    assert searches.edge_popup(pool, target, Scores(0.5, 0.384), 0.1) == pytest.approx([0.35])


def test_edge_popup_keeps_the_larger_half():
    """Of 4 equal numbers two, of 5 three, whatever it learns."""
    for N, kept in ((4, 2), (5, 3)):
        assert one(searches.edge_popup, np.full(N, 0.5), 0) == pytest.approx(kept / 2)


@pytest.mark.parametrize("name", searches.SEARCHES)
def test_no_search_is_better_than_trying_all(name):
    numbers, targets = drawn(60, 8)
    found = searches.SEARCHES[name](numbers, targets, generator(), 0.1)
    best = sums.by_size(numbers, targets).min(1)
    assert (found >= best - 1e-12).all()
    assert (found <= np.abs(targets) + np.abs(numbers).sum(1)).all()
    assert np.isclose(found, best).all() == (name == "exact")


# laws and measurements


def test_laws_have_their_moments():
    n = 200_000
    for name, mean_size, square in (("uniform", 1 / 2, 1 / 3), ("product", 1 / 4, 1 / 9)):
        x = pools.LAWS[name](generator(), n)
        assert np.abs(x).max() <= 1
        assert [x.mean(), np.abs(x).mean(), (x**2).mean()] == pytest.approx([0, mean_size, square], abs=0.005)
    x = pools.hyperbolic(generator(), n)
    assert 0.01 <= np.abs(x).min() < 0.0101
    assert np.abs(x).max() <= 1
    assert (np.abs(x) < 0.1).mean() == pytest.approx(0.5, abs=0.01)  # each order of size is as likely
    assert (x < 0).mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(x).mean() == pytest.approx(0.99 / log(100), abs=0.005)


def test_a_gadget_is_as_far_off_as_its_worse_side(monkeypatch):
    """Three units: u = 1, -1, 1 and v = 0.5, -0.5, 0.25; products on the right 0.5 and 0.25, on the left 0.5."""

    class Given:
        def uniform(self, low, high, shape):
            assert shape == (2, 1, 3)
            return np.array([[[1.0, -1.0, 1.0]], [[0.5, -0.5, 0.25]]])

    for weight, left in ((0.75, 0.25), (0.5, 0.0), (0.3, 0.2)):
        assert pools.gadget(Given(), np.array([weight]), 3) == pytest.approx([left])


def sums_of(**own):
    return NET.but(arm="subset_sums", targets=40, **own)


def test_pools_are_the_same_for_all_searches_and_others_for_all_else():
    exact, greedy = (pools.distances(sums_of(search=name), 6) for name in ("exact", "greedy"))
    assert (greedy >= exact - 1e-12).all()
    assert (greedy == exact).mean() > 0.05
    for other in (sums_of(law="product"), sums_of().but(replicate=1)):
        assert not np.isclose(pools.distances(other, 6), exact).any()


def test_bits_and_numbers_of_a_known_course(monkeypatch):
    """Distances 2^-size, one in a hundred far off up to 12 numbers: one bit a number, 13 numbers are enough."""

    def known(cell, size):
        left = np.full(100, 2.0**-size)
        left[0] = 2.0**-size if size > 12 else 0.5
        return left

    monkeypatch.setattr(pools, "distances", known)
    scalars, curves = pools.measure(sums_of())
    assert curves["size"] == list(range(4, 31))
    assert curves["failed"][:4] == [100, 100, 100, 1]  # 2^-6 > 0.01 > 2^-7
    assert curves["gained"][26] == 30
    assert scalars["numbers"] == 13
    assert scalars["factor"] == pytest.approx(13 / log2(100))
    assert scalars["failed_15"] == 0
    assert scalars["bits"] == pytest.approx(1, abs=0.02)
    monkeypatch.setattr(pools, "distances", lambda cell, size: np.full(10, 2.0 ** -(size / 2)))
    scalars, _ = pools.measure(sums_of())
    assert (scalars["bits"], scalars["bits_at_none"]) == pytest.approx((0.5, 0))
    assert scalars["numbers"] == 14
    scalars, curves = pools.measure(sums_of(law="gadget"))  # as many bits from twice as many units
    assert (scalars["bits"], scalars["numbers"], curves["size"][0]) == (pytest.approx(0.25), 28, 8)
    monkeypatch.setattr(pools, "distances", lambda cell, size: np.ones(10))
    assert pools.measure(sums_of())[0]["numbers"] == 31  # never: one beyond the largest that was tried


def test_the_best_share_is_the_top_of_a_parabola(monkeypatch):
    assert pools.top(np.array([0.2, 0.4, 0.6, 0.8]), -((np.array([0.2, 0.4, 0.6, 0.8]) - 0.45) ** 2)) == pytest.approx(
        0.45
    )
    assert pools.top(np.arange(3.0), np.array([1.0, 2.0, 1.5])) == pytest.approx(1 + 0.25 / 1.5)
    assert pools.top(np.arange(3.0), np.array([0.0, 1.0, 2.0])) == 2  # at an end
    assert pools.top(np.arange(3.0), np.ones(3)) == 0
    bits = -((np.arange(21) - 9.0) ** 2)
    monkeypatch.setattr(sums, "by_size", lambda numbers, targets: np.tile(2.0**-bits, (len(targets), 1)))
    scalars, curves = pools.measure_sizes(NET.but(arm="fixed_share", targets=3))
    assert scalars["best_share"] == pytest.approx(0.45)
    assert curves["share"][0] == 0.05
    assert len(curves["share"]) == len(curves["gained"]) == 19


# the rebuilt network


def test_the_authors_script_draws_three_numbers_a_bit():
    assert [rebuilt.numbers(one) for one in (0.5, 0.3, 0.1, 0.03, 0.01, 0.003)] == [3, 6, 9, 15, 21, 24]


class Trained:
    """A store with the final weights of one network."""

    def __init__(self, weights):
        self.weights = {FINAL + name: array for name, array in weights.items()}

    def tensors(self, cell):
        assert cell.is_dense
        return self.weights


@pytest.mark.parametrize("own", [{}, {"pooled": "own"}, {"pooled": "own", "law": "product"}, {"tolerance": 0.1}])
def test_a_rebuilt_network_is_the_nearest_sums_of_its_numbers(own, monkeypatch):
    cell = LITTLE.but(arm="rebuilt", **own)
    weights = imp.initial(cell, SMALL)
    seen, exact = [], sums.exact
    monkeypatch.setattr(sums, "exact", lambda *given: seen.append((given, exact(*given))) or seen[-1][1])
    scalars, curves = rebuilt.measure(cell, SMALL, Trained(weights), "cpu")
    assert curves == {}
    total = sum(weights[name].size for name in SMALL.prunable)
    n = rebuilt.numbers(cell.own["tolerance"])
    assert scalars["numbers"] == n
    kept = 0
    for name, ((numbers, wanted), (found, subsets)) in zip(SMALL.prunable, seen, strict=True):
        rows = len(weights[name]) if cell.own["pooled"] == "row" else weights[name].size
        assert numbers.shape == (rows, n)
        assert np.array_equal(wanted.ravel(), weights[name].ravel().astype(float))
        kept += sum(bin(subset).count("1") for subset in subsets.ravel())
        ends = min(w.min() for w in weights.values()), max(w.max() for w in weights.values())
        if cell.own["law"] == "uniform":
            assert ends[0] <= numbers.min() < numbers.max() <= ends[1]
        assert scalars["worst"] >= np.abs(found - wanted).max()
    assert scalars["share_kept"] == pytest.approx(100 * kept / (n * total))
    assert scalars["change"] == pytest.approx(scalars["accuracy"] - scalars["accuracy_target"])
    assert 0 <= scalars["missed"] <= 100


def test_a_network_rebuilt_exactly_is_as_accurate_and_one_of_zeros_guesses(monkeypatch):
    cell = LITTLE.but(arm="rebuilt")
    weights = imp.initial(cell, SMALL)
    same = lambda numbers, wanted: (wanted, np.ones(wanted.shape, np.int64))  # noqa: E731
    monkeypatch.setattr(sums, "exact", same)
    scalars, _ = rebuilt.measure(cell, SMALL, Trained(weights), "cpu")
    assert (scalars["change"], scalars["worst"], scalars["missed"]) == (0, 0, 0)
    assert scalars["share_kept"] == pytest.approx(100 / 21)
    monkeypatch.setattr(sums, "exact", lambda numbers, wanted: (0 * wanted, np.zeros(wanted.shape, np.int64)))
    scalars, _ = rebuilt.measure(cell, SMALL, Trained(weights), "cpu")
    first = Reader([cell]).labels("test").eq(0).double().mean()  # equal logits: the first class
    assert scalars["accuracy"] == pytest.approx(100 * float(first))
    assert scalars["missed"] > 50


# theorems


def test_bounds_by_hand():
    assert theorems.pensia(100, 2, 0.01) == pytest.approx(log(8 * 1e4 / 0.01))
    assert theorems.orseau(100, 2, 0.01) == pytest.approx(100 * log(2e4))
    assert theorems.malach(10, 2, 0.1) == pytest.approx(200**2 / 0.01 * log(2000))
    assert theorems.least(100, 2, 1 / 32) == pytest.approx(2)
    assert theorems.measured(8, bits=0.5, at_none=-1, l=2, error=1 / 4) == pytest.approx(14)  # (6 + 1) / 0.5


def test_bounds_are_ordered_and_grow_as_they_say():
    for d in (10, 100, 1e4):
        assert theorems.least(d) < theorems.pensia(d) < theorems.orseau(d) < theorems.malach(d)
    assert theorems.pensia(1e4) - theorems.pensia(1e2) == pytest.approx(2 * log(100))
    assert theorems.malach(1e4) / theorems.malach(1e3) > 1e4


# arms and study


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"law": "normal"}, "law 'normal'"),
        ({"search": "luck"}, "search 'luck'"),
        ({"law": "gadget", "search": "greedy"}, "searched exactly"),
        ({"targets": 1}, "two targets"),
        ({"step_size": 0.0}, "positive step_size"),
    ],
)
def test_what_does_not_fit_together_is_said(own, said):
    with pytest.raises(BadInput, match=said):
        NET.but(arm="subset_sums", **own)


@pytest.mark.parametrize(
    ("own", "said"),
    [({"pooled": "all"}, "pooled 'all'"), ({"tolerance": 0.9}, "tolerance 0.9"), ({"law": "gadget"}, "law")],
)
def test_what_a_network_cannot_be_rebuilt_from_is_said(own, said):
    with pytest.raises(BadInput, match=said):
        NET.but(arm="rebuilt", **own)


def test_measurements_of_numbers_start_from_no_network_and_a_rebuilt_one_from_its_target():
    for arm in ("subset_sums", "fixed_share"):
        assert NET.but(arm=arm).parents() == []
    assert NET.but(arm="rebuilt", replicate=3).parents() == [NET.but(replicate=3)]


def test_the_target_is_that_of_the_published_experiment():
    target = study.NETWORKS["paper"]["784-500-10"]
    assert (target.model, target.batch, target.inputs, target.weight_decay) == ("fc-500", 64, "unit", 5e-4)
    assert target.steps == round(10 * 55_000 / 64)
    cells = chapters.cells(STUDY, "paper")
    assert len([c for c in cells if c.arm == "subset_sums"]) == 10 * 9
    assert len([c for c in cells if c.arm == "rebuilt"]) == 5 * 9
    assert {c.own["tolerance"] for c in cells if c.arm == "rebuilt"} == {0.5, 0.3, 0.1, 0.03, 0.01, 0.003}


def test_the_wide_network_has_as_many_weights_as_one_with_five_for_each():
    """As the authors count: five for each weight, and five more for each input and hidden unit."""
    assert round((5 * 397_000 + 5 * (784 + 500)) / 794) == 2508
    assert study.WIDE.model == "fc-2508"


def test_everything_that_a_claim_reads_is_in_the_study(store):
    cells = chapters.cells(STUDY, "smoke")[:9]
    table = run(cells, engine="serial", store=store)
    assert len(table) == 9
    assert {"bits", "factor", "failed_15", "best_share"} <= set(table)
    assert {e["id"] for e in claims.of(STUDY).values() if e["headline"]} == {"P1-uniform", "P2", "P3"}
