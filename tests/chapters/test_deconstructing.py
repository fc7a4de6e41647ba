"""Chapter 3: criteria and actions against hand-computed cases, chains that go on from each other, frozen weights."""

import numpy as np
import pandas as pd
import pytest
from handmade import row
from small import NET, SMALL, assert_same, random_mask
from tickets import chapters
from tickets.cells import Cell
from tickets.chapters.deconstructing import actions
from tickets.chapters.deconstructing.study import LENET
from tickets.chapters.pruning_at_init.scores import of_network
from tickets.chapters.supermasks import criteria
from tickets.errors import BadInput
from tickets.evidence import claims
from tickets.evidence.contrasts import Records
from tickets.nets import models
from tickets.networks import Scene
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.pruning.masks import final
from tickets.running.plan import closure, leaves
from tickets.running.work import compute
from tickets.training.train import train

W0 = np.array([[0.5, -0.1, 0.3, -0.4]], np.float32)
W1 = np.array([[0.2, -0.6, -0.4, 0.1]], np.float32)
ALL = np.ones((1, 4), bool)
SCORES = {
    "large_final": [0.2, 0.6, 0.4, 0.1],
    "small_final": [-0.2, -0.6, -0.4, -0.1],
    "large_init": [0.5, 0.1, 0.3, 0.4],
    "small_init": [-0.5, -0.1, -0.3, -0.4],
    "large_init_large_final": [0.5, 0.25, 0.5, 0.25],  # ranks 4 1 2 3 before training, 2 4 3 1 after it
    "small_init_small_final": [-1.0, -1.0, -0.75, -0.75],
    "magnitude_increase": [-0.3, 0.5, 0.1, -0.3],
    "movement": [0.3, 0.5, 0.7, 0.5],
}


def generator():
    return np.random.default_rng(0)


# criteria


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_computed_by_hand(name):
    assert criteria.CRITERIA[name](W0, W1, ALL, generator())[0] == pytest.approx(SCORES[name], abs=1e-6)


def test_sign_conditions_put_the_others_last_and_in_random_order():
    kept, changed = [0, 1], [2, 3]  # signs
    same = criteria.large_final_same_sign(W0, W1, ALL, generator())[0]
    diff = criteria.large_final_diff_sign(W0, W1, ALL, generator())[0]
    assert same[kept] == pytest.approx([0.2, 0.6])
    assert diff[changed] == pytest.approx([0.4, 0.1])
    for scores, others in ((same, changed), (diff, kept)):
        assert (scores[others] <= 0).all()
        assert scores[others[0]] != scores[others[1]]


def test_grown_with_a_sign_condition_ranks_the_others_above_what_shrank():
    same = criteria.magnitude_increase_same_sign(W0, W1, ALL, generator())[0]
    assert same[:2] == pytest.approx([-0.3, 0.5])
    assert ((same[2:] > same[0]) & (same[2:] < same[1]) & (same[2:] < 1e-15)).all()
    diff = criteria.magnitude_increase_diff_sign(W0, W1, ALL, generator())[0]
    assert diff[2:] == pytest.approx([0.1, -0.3])
    assert ((diff[:2] > diff[3]) & (diff[:2] < diff[2])).all()


def test_every_criterion_of_the_table_is_tested():
    signed = {name for name in criteria.CRITERIA if name.endswith("_sign")}
    assert set(criteria.CRITERIA) == {*SCORES, "random", *signed}


def test_two_conditions_rank_among_the_weights_alive_only():
    alive = np.array([[True, False, True, True]])
    found = criteria.large_init_large_final(W0, W1, alive, generator())[0]
    assert found[[0, 2, 3]] == pytest.approx([2 / 3, 1 / 3, 1 / 3])  # ranks 3 1 2 and 2 3 1


def test_random_scores_are_uniform():
    found = criteria.random(np.zeros((100, 100)), None, None, generator())
    assert np.quantile(found, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.02)


# actions

KEPT = np.array([[True, True, False, True, False, False]])
W = np.array([[0.5, -0.1, 0.3, -0.4, 0.2, -0.3]], np.float32)
TRAINED = np.array([[0.6, -0.05, 0.1, -0.1, 0.4, 0.6]], np.float32)  # shrunk: 1, 2, 3
FRESH = np.array([[9, 8, 7, -6, -5, -4]], np.float32)


def acted(name):
    return actions.ONES[name](W, KEPT, FRESH, generator())


def test_rewind_and_reinit():
    assert (acted("rewind") == W).all()
    assert (acted("reinit") == FRESH).all()
    assert acted("signed_reinit").tolist() == [[9, -8, 7, -6, 5, -4]]


def test_permuted_takes_pruned_weights_too_and_reshuffle_kept_ones_only():
    assert sorted(acted("permuted")[0]) == sorted(W[0])
    assert (acted("permuted") != W).any()
    shuffled = acted("reshuffle")
    assert sorted(shuffled[KEPT]) == sorted(W[KEPT])
    assert (shuffled[~KEPT] == W[~KEPT]).all()


@pytest.mark.parametrize("name", ["signed_reinit", "signed_permuted", "signed_reshuffle", "signed_constant"])
def test_twins_keep_signs_and_the_sizes_of_their_action(name):
    found, plain = acted(name), acted(name.removeprefix("signed_"))
    assert (np.sign(found) == np.sign(W)).all()
    assert (np.abs(found) == np.abs(plain)).all()


def test_constants_have_the_standard_deviation_of_the_whole_layer():
    assert np.abs(acted("constant")) == pytest.approx(np.full_like(W, W.std()))
    assert np.sign(acted("constant")).sum() == np.sign(W).sum() == 0
    assert W.std() == pytest.approx(np.sqrt(np.mean(W**2) - np.mean(W) ** 2))


ZEROED = {
    "zero": [9, 9, 9, 9, 9, 9],  # the mask sees to it
    "freeze": [9, 9, 0.3, 9, 0.2, -0.3],
    "freeze_at_init": [9, 9, 0.3, 9, 0.2, -0.3],
    "variant_1": [9, 9, 0, 9, 0.2, -0.3],
    "variant_2": [9, 0, 0, 0, 0.2, -0.3],
    "reversed_rule": [9, 9, 0.3, 9, 0, 0],
}


@pytest.mark.parametrize("name", ZEROED)
def test_pruned_weights_are_treated_as_computed_by_hand(name):
    found = actions.ZEROS[name](np.full_like(W, 9), W, TRAINED, KEPT, generator())
    assert found[0] == pytest.approx(ZEROED[name])


def test_the_control_zeroes_as_many_anywhere_among_the_pruned():
    places = set()
    for seed in range(20):
        found = actions.random_zeros(np.full_like(W, 9), W, TRAINED, KEPT, np.random.default_rng(seed))[0]
        assert (found[KEPT[0]] == 9).all()
        assert (found == 0).sum() == 1
        places.add(int(np.flatnonzero(found == 0)[0]))
        assert ((found == W[0]) | (found == 0) | KEPT[0]).all()
    assert places == {2, 4, 5}
    assert set(actions.ZEROS) == {*ZEROED, "random_zeros"}


# frozen weights, on both paths


def frozen_start(cell, model, density=0.3):
    return Start(imp.initial(cell, model), random_mask(model, density), frozen=True)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "sgd", "learning_rate": 0.3, "momentum": 0.9}])
def test_frozen_weights_count_and_do_not_move_on_either_path(changes):
    cell = NET.but(**changes)
    start = frozen_start(cell, SMALL)
    one, other = (train([cell], SMALL, [start], path=path)[0][0] for path in ("mlp", "autograd"))
    assert_same(one, other)
    for name, kept in start.mask.items():
        assert (one.weights[name][~kept] == start.weights[name][~kept]).all()
        assert (one.weights[name][kept] != start.weights[name][kept]).mean() > 0.8  # not where it is always dark
    zeroed = train([cell], SMALL, [Start(start.weights, start.mask)], path="mlp")[0][0]
    assert zeroed.curves["validation_loss"][0] != pytest.approx(one.curves["validation_loss"][0])


def test_frozen_weights_of_an_image_network(few_digits):
    cell, model = NET.but(model="conv-2", steps=2, batch=8), models.build("conv-2", (1, 8, 8), 10)
    start = frozen_start(cell, model)
    final_weights = train([cell], model, [start])[0][0].weights
    for name, kept in start.mask.items():
        assert (final_weights[name][~kept] == start.weights[name][~kept]).all()


# chains

SHORT = Cell(dataset="digits", steps=20)
OWNS = (
    {"criterion": "movement"}, {"ones": "reinit"}, {"ones": "reshuffle"}, {"ones": "signed_constant"},
    {"zeros": "freeze"}, {"zeros": "variant_1"}, {"zeros": "variant_2"},
)  # fmt: skip


def deconstructed(level, **own):
    return SHORT.but(arm="deconstructed", level=level, **own)


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    from tickets.results.store import Store

    store = Store(tmp_path_factory.mktemp("chains"), recorded=None)
    cells = closure([*(deconstructed(3, **own) for own in OWNS), SHORT.but(level=3)])
    for cell in cells:
        compute((cell,), store, "cpu", leaves(cells))
    return store


MODEL = models.build("lenet-300-100", (1, 8, 8), 10)


def start(cell, store):
    return imp.starts([cell], MODEL, store)[0]


@pytest.mark.parametrize("own", OWNS, ids=str)
def test_a_chain_keeps_the_counts_of_the_ladder_and_never_takes_back(own, chains):
    masks = [start(deconstructed(level, **own), chains).mask for level in (1, 2, 3)]
    for level, mask in enumerate(masks, 1):
        assert mask.counts() == imp.ladder(SHORT.but(level=level), MODEL)
    for name in MODEL.prunable:
        assert (masks[0][name] | ~masks[1][name]).all()
        assert (masks[1][name] | ~masks[2][name]).all()


def test_a_round_scores_the_network_before_it(chains):
    w0, before = imp.initial(SHORT, MODEL), chains.tensors(deconstructed(1, criterion="movement"))
    moved = {name: np.abs(final(before)[name].astype(float) - w0[name]) for name in MODEL.prunable}
    mask, earlier = (start(deconstructed(level, criterion="movement"), chains).mask for level in (2, 1))
    for name, kept in mask.items():
        assert moved[name][kept].min() >= moved[name][earlier[name] & ~kept].max()


def test_actions_of_a_chain_are_new_in_every_round(chains):
    first, second = (start(deconstructed(level, ones="reinit"), chains).weights["fc1.weight"] for level in (1, 2))
    assert (first != second).mean() > 0.99
    one, two = (start(deconstructed(level, ones="reshuffle"), chains) for level in (1, 2))
    for name, kept in two.mask.items():  # what the round before began with is reshuffled, not the initial weights
        assert sorted(two.weights[name][kept]) == sorted(one.weights[name][kept])
    w0 = imp.initial(SHORT, MODEL)
    assert sorted(two.weights["fc1.weight"][two.mask["fc1.weight"]]) != sorted(w0["fc1.weight"][two.mask["fc1.weight"]])


def test_zeros_of_the_second_variant_stay_over_rounds(chains):
    begun = [start(deconstructed(level, zeros="variant_2"), chains).weights["fc1.weight"] for level in (1, 2, 3)]
    assert (begun[0] == 0).mean() > 0.1
    assert ((begun[0] != 0) | (begun[1] == 0)).all()
    assert ((begun[1] != 0) | (begun[2] == 0)).all()


def test_a_frozen_chain_holds_pruned_weights_at_their_initial_values(chains):
    w0, left = imp.initial(SHORT, MODEL), final(chains.tensors(deconstructed(2, zeros="freeze")))
    for name, kept in start(deconstructed(2, zeros="freeze"), chains).mask.items():
        assert (left[name][~kept] == w0[name][~kept]).all()
    first = start(deconstructed(3, zeros="variant_1"), chains)
    for name, kept in first.mask.items():
        pruned = first.weights[name][~kept]
        assert ((pruned == 0) | (pruned == w0[name][~kept])).all()
        assert 0 < (pruned == 0).mean() < 1


def test_a_criterion_of_initial_weights_needs_no_training_and_is_chapter_1s(store, chains):
    cell = deconstructed(3, criterion="large_init")
    assert cell.parents() == []
    other = SHORT.but(arm="magnitude_at_init", level=3)
    assert all((start(cell, store).mask[n] == start(other, chains).mask[n]).all() for n in MODEL.prunable)


@pytest.mark.parametrize("name", criteria.BY_GRADIENT)
def test_a_criterion_of_the_gradient_asks_anew_in_every_round_and_trains_nothing(store, name):
    """With the initial weights, under the mask so far: what is pruned first changes what the loss feels next."""
    cells = [deconstructed(level, criterion=name) for level in (1, 2)]
    assert cells[1].parents() == []
    one, two = (start(cell, store).mask for cell in cells)
    w0 = imp.initial(SHORT, MODEL)
    asked = of_network(name, SHORT, MODEL, w0, one)
    assert two.counts() == imp.ladder(SHORT.but(level=2), MODEL)
    for layer, kept in two.items():
        assert asked[layer][kept].min() >= asked[layer][one[layer] & ~kept].max()
    unasked = of_network(name, SHORT, MODEL, w0, imp.dense_mask(MODEL))
    assert any(unasked[layer][kept].min() < unasked[layer][one[layer] & ~kept].max() for layer, kept in two.items())


def test_an_altered_ticket_has_the_tickets_mask(chains):
    ticket = start(SHORT.but(level=3), chains)
    for own in ({"ones": "constant"}, {"zeros": "variant_1"}):
        found = start(SHORT.but(arm="altered", level=3, **own), chains)
        assert all((found.mask[name] == ticket.mask[name]).all() for name in MODEL.prunable)
        assert found.frozen == ("zeros" in own)
    w0 = imp.initial(SHORT, MODEL)["fc1.weight"]
    assert np.abs(start(SHORT.but(arm="altered", level=3, ones="constant"), chains).weights["fc1.weight"]) == (
        pytest.approx(np.full(w0.shape, w0.std()))
    )


def test_what_returns_to_a_later_step_can_be_frozen_where_it_began(monkeypatch, chains):
    later = {name: 2 * w for name, w in imp.initial(SHORT, MODEL).items()}
    monkeypatch.setattr(chains, "rewound", lambda cell: later, raising=False)
    monkeypatch.setattr(imp, "ticket_mask", lambda cell, model, store: random_mask(MODEL, 0.5))
    held = {}
    for zeros in ("freeze", "freeze_at_init"):
        found = start(SHORT.but(arm="altered", level=3, rewind=5, zeros=zeros), chains)
        kept = found.mask["fc1.weight"]
        assert (found.weights["fc1.weight"][kept] == later["fc1.weight"][kept]).all()
        held[zeros] = found.weights["fc1.weight"][~kept]
    assert (held["freeze"] == 2 * held["freeze_at_init"]).all()


@pytest.mark.parametrize(
    ("arm", "own", "said"),
    [
        ("deconstructed", {}, "make the ticket of chapter 1"),
        ("deconstructed", {"criterion": "largest"}, "criterion 'largest'"),
        ("deconstructed", {"criterion": "small_init", "ones": "reinit"}, "asks for no training"),
        ("deconstructed", {"criterion": "snip", "zeros": "freeze"}, "asks for no training"),
        ("deconstructed", {"zeros": "random_zeros"}, "zeros of a chain"),
        ("altered", {}, "name an action"),
        ("altered", {"ones": "redraw"}, "ones 'redraw'"),
    ],
)
def test_what_does_not_fit_is_refused(arm, own, said):
    with pytest.raises(BadInput, match=said):
        SHORT.but(arm=arm, level=2, **own)
    with pytest.raises(BadInput, match="weight decay"):
        SHORT.but(arm="altered", level=2, zeros="freeze", weight_decay=1e-4)


# the study and its claims


def test_the_papers_chapter_goes_on_from_chapter_1():
    first = {cell.key() for cell in chapters.cells("01_winning_tickets", "paper")}
    cells = chapters.cells("03_deconstructing", "paper")
    tickets = [cell for cell in cells if cell.arm == "ticket" and cell.model == "lenet-300-100" and not cell.rewind]
    assert {cell.level for cell in tickets} == set(range(17))
    assert {cell.key() for cell in tickets} <= first
    chained = [cell for cell in cells if cell.arm == "deconstructed" and cell.model == "lenet-300-100"]
    assert {(c.steps, c.batch, c.learning_rate, c.rate, c.output_rate) for c in chained} == {
        (50_000, 60, 1.2e-3, 0.2, 0.1)
    }
    by_arm = {name: {cell.replicate for cell in cells if cell.arm == name} for name in ("untrained", "altered")}
    assert by_arm == {"untrained": set(range(10)), "altered": set(range(10))}
    assert {cell.own["criterion"] for cell in chained if cell.replicate == 9} >= {"movement", "magnitude_increase"}


def test_three_quarters_are_read_from_a_list_that_names_the_ticket_three_times():
    def accuracy(cell):
        if cell.arm == "ticket":
            return 98.0
        return 97.8 if cell.own["ones"].startswith("signed") else 97.0

    cells = [
        LENET.but(arm=arm, level=level, replicate=r, **own)
        for r in range(3)
        for level in (9, 14)
        for arm, own in (("ticket", {}), *(("altered", {"ones": name}) for name in actions.ONES if name != "rewind"))
    ]
    table = pd.DataFrame([row(cell, test_accuracy=accuracy(cell)) for cell in cells])
    contrast = claims.load()["Z2-once"]["contrast"]
    scene = Scene(chapters.networks("paper")["03_deconstructing"], "LeNet")
    reading = Records(table).read(contrast, scene)
    assert reading.values.tolist() == pytest.approx([97.8 - (0.75 * 98 + 0.25 * 97)] * 3)
    weights = reading.rows.groupby(["replicate", "arm"])["weight"].sum()
    assert weights.loc[0].to_dict() == pytest.approx({"altered": 1 - 0.25, "ticket": -0.75})


def test_a_list_of_arms_is_checked_one_by_one():
    entry = dict(claims.load()["Z2-once"])
    for minus, said in (
        ({"arm": ["ticket", "tickets"], "level": 9}, "arm of claim"),
        ({"arm": ["ticket", "reinit"], "level": 9, "ones": "reinit"}, "term field"),
    ):
        wrong = {**entry, "contrast": {**entry["contrast"], "minus": minus}}
        with pytest.raises(BadInput, match=said):
            claims.check(wrong)
