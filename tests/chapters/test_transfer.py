"""Transferred tickets: where masks and weights come from, random tickets, overlap of masks, the study, its tables."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from handmade import row
from small import assert_equal_bits
from tickets import chapters
from tickets.arms import ARMS
from tickets.cells import Cell
from tickets.chapters.transfer import arms, study, tables
from tickets.data import sources
from tickets.errors import BadInput
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.masks import Mask, final
from tickets.results.store import Store
from tickets.running.plan import closure, leaves
from tickets.running.work import compute
from tickets.training.train import train

ONE = Cell(dataset="digits-a", steps=30)
OTHER = ONE.but(dataset="digits-b")
NET = models.build(ONE.model, (1, 8, 8), 10)
FROM_B = {"source_dataset": "digits-b"}


def moved(level=2, cell=ONE, **own):
    return cell.but(**{"arm": "transferred", "level": level, **FROM_B, **own})


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    """A store with chains of two levels on both halves."""
    store = Store(tmp_path_factory.mktemp("chains"), recorded=None)
    cells = closure([moved(), OTHER.but(level=2), ONE.but(level=2)])
    needs = leaves(cells)
    for cell in cells:
        compute((cell,), store, "cpu", needs)
    return store


def start(cell, store, model=NET):
    return imp.starts([cell], model, store)[0]


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# where a ticket comes from


def test_the_source_differs_in_what_is_named_and_in_nothing_else():
    cell = moved(cell=ONE.but(replicate=3, learning_rate=0.002))
    assert arms.source(cell) == OTHER.but(level=2, replicate=3, learning_rate=0.002)
    sgd = {"source_optimizer": "sgd", "source_rate": 0.03, "source_momentum": 0.9}
    from_sgd = ONE.but(arm="transferred", level=2, **sgd)
    assert arms.source(from_sgd) == ONE.but(level=2, optimizer="sgd", learning_rate=0.03, momentum=0.9)
    back = from_sgd.but(arm="ticket").but(optimizer="sgd", learning_rate=0.03, momentum=0.9, arm="transferred",
                                          source_optimizer="adam", source_rate=0.0012)  # fmt: skip
    assert arms.source(back) == ONE.but(level=2)
    late = moved(cell=ONE.but(level=1, rewind=5), carried="nothing", draw=1)
    assert arms.source(late) == OTHER.but(level=2, rewind=5)
    assert arms.source(moved(level=0)) == OTHER


@pytest.mark.parametrize("profile", chapters.PROFILES)
def test_every_source_is_a_network_of_the_study(profile):
    named = set(chapters.networks(profile)["04_transfer"].cells.values())
    cells = [cell for cell in chapters.cells("04_transfer", profile) if cell.model == "lenet-300-100"]
    moves = [cell for cell in cells if cell.arm in ("transferred", "overlap")]
    assert {arms.source(cell).but(level=0, replicate=0) for cell in moves} <= named
    assert {cell.but(arm="ticket", level=0, replicate=0, draw=0) for cell in moves} <= named


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"source_dataset": ""}, "source: must differ"),
        ({"source_dataset": "digits-a"}, "source: must differ"),
        ({"source_optimizer": "adam", "source_rate": 1.2e-3, "source_dataset": ""}, "source: must differ"),
        ({"source_optimizer": "sgd"}, "source_rate 0.0"),
        ({"source_rate": 0.1}, "source_rate 0.1"),
        ({"source_momentum": 0.9}, "source_rate 0.0"),
        ({"source_optimizer": "sgf", "source_rate": 0.1}, "unknown source_optimizer 'sgf'"),
        ({"carried": "all"}, "unknown carried 'all'"),
        ({"permuted": "unit", "carried": "weights"}, "unknown permuted 'unit'"),
        ({"permuted": "network"}, "permuted 'network'"),
        ({"carried": "mask"}, "draw 0"),
    ],
)
def test_sources_that_are_none(own, message):
    with pytest.raises(BadInput, match=message):
        moved(**own)


def test_images_of_another_shape_are_one_clear_line(chains):
    cell = moved(source_dataset="digits16-a")
    with pytest.raises(BadInput, match="source_dataset digits16-a: its images are 1x16x16, those of the target 1x8x8"):
        start(cell, chains)


# what is carried


def test_a_transferred_ticket_has_the_source_s_mask_and_initial_weights(chains):
    found, theirs = start(moved(), chains), start(OTHER.but(level=2), chains)
    assert same(found.mask, theirs.mask)
    assert same(found.weights, theirs.weights)
    assert not same(found.mask, start(ONE.but(level=2), chains).mask)
    assert same(found.weights, imp.initial(ONE, NET))  # one replicate, one draw of the initial weights


def test_the_mask_alone_comes_with_new_weights(chains):
    found = start(moved(carried="mask", draw=1), chains)
    assert same(found.mask, start(OTHER.but(level=2), chains).mask)
    assert same(found.weights, imp.initial(Cell(arm="reinit", level=2, draw=1), NET))


def test_the_weights_alone_under_a_random_mask_are_chapter_1_s_random_mask(chains):
    """To the bit, where draw and counts are the same: layer by layer and returned to initialization."""
    found = start(moved(carried="weights"), chains)
    random = start(ONE.but(arm="random", level=2), chains)
    assert same(found.mask, random.mask)
    assert same(found.weights, random.weights)


def test_a_random_ticket_shares_its_mask_with_the_weights_alone_and_its_weights_with_the_mask_alone(chains):
    nothing, weights, mask = (start(moved(carried=c, draw=1), chains) for c in ("nothing", "weights", "mask"))
    assert same(nothing.mask, weights.mask)
    assert same(nothing.weights, mask.weights)
    assert nothing.mask.counts() == mask.mask.counts()
    assert not same(nothing.mask, mask.mask)
    assert not same(start(moved(carried="nothing", draw=2), chains).mask, nothing.mask)


def test_the_paper_s_random_ticket_spreads_its_weights_over_the_whole_network(chains):
    whole = start(moved(carried="nothing", draw=1, permuted="network"), chains).mask
    theirs = start(OTHER.but(level=2), chains).mask
    assert whole.kept == theirs.kept
    assert theirs["fc3.weight"].mean() > 0.8  # the output layer is pruned at half the rate
    for array in whole.values():
        assert array.mean() == pytest.approx(whole.density, abs=4 * (0.25 / array.size) ** 0.5)


def test_a_ticket_returns_to_the_source_s_weights_of_its_own_step(tmp_path):
    """Not to the target's: at later steps they differ."""
    store, cells = Store(tmp_path, recorded=None), closure([moved(cell=ONE.but(level=1, rewind=10), level=1)])
    needs = leaves(cells)
    for cell in cells:
        compute((cell,), store, "cpu", needs)
    found = start(cells[-1], store)
    trunk = store.rewound(OTHER.but(level=1, rewind=10))
    assert same(found.weights, {name: trunk[name] for name in NET.shapes})
    assert not same(found.weights, {name: store.rewound(ONE.but(level=1, rewind=10))[name] for name in NET.shapes})
    store.beside(OTHER, "10.safetensors").unlink()
    with pytest.raises(BadInput, match="at step 10: not in this store"):
        start(cells[-1], store)


# other classes


def test_an_output_layer_of_other_classes_is_drawn_anew():
    more = models.build(ONE.model, (1, 8, 8), 20)
    theirs, fresh = more.init(np.random.default_rng(1)), NET.init(np.random.default_rng(2))
    found = arms.received(theirs, fresh, NET)
    assert all(found[name] is theirs[name] for name in NET.shapes if not name.startswith("fc3"))
    assert all(found[name] is fresh[name] for name in ("fc3.weight", "fc3.bias"))
    assert arms.received(fresh, theirs, NET) == fresh


def test_the_mask_of_an_output_layer_of_other_classes_keeps_the_same_share():
    more = models.build(ONE.model, (1, 8, 8), 20)
    lottery = np.random.default_rng(0)
    mask = Mask({name: lottery.random(more.shapes[name]) < 0.25 for name in more.prunable})
    found = arms.fitted(mask, NET, np.random.default_rng(3))
    assert same({n: found[n] for n in list(found)[:2]}, {n: mask[n] for n in list(found)[:2]})
    assert found["fc3.weight"].shape == (10, 100)
    assert found["fc3.weight"].sum() == round(mask["fc3.weight"].mean() * 1000)
    assert same(arms.fitted(found, NET, lottery), found)


# guards


def test_at_level_0_every_arm_that_changes_no_weight_is_the_dense_network_to_the_bit(chains):
    """The full mask on the same weights: public code differs by 7 points here."""
    dense = start(ONE, chains)
    for own in ({}, {"carried": "weights"}):
        cell = moved(level=0, **own)
        found = start(cell, chains)
        assert same(found.mask, dense.mask)
        assert same(found.weights, dense.weights)
        outcomes = [train([c], NET, [s])[0] for c, s in ((cell, found), (ONE, dense))]
        assert_equal_bits(*outcomes)


def test_a_network_from_new_weights_at_level_0_is_the_dense_network_of_that_draw(chains):
    """What the guard says where the weights come from elsewhere: same weights, same network."""
    one, other = moved(level=0, carried="nothing", draw=1), ONE.but(draw=1)
    outcomes = [train([cell], NET, [start(cell, chains)])[0] for cell in (one, other)]
    assert_equal_bits(*outcomes)


def test_mnist_s_chain_is_chapter_1_s():
    """Recorded masks are found again: nothing of it is trained twice."""
    first = set(chapters.cells("01_winning_tickets", "paper"))
    mine = [cell for cell in chapters.cells("04_transfer", "paper") if cell.arm == "ticket" and cell.replicate < 10]
    shared, recorded = [cell for cell in mine if cell in first], Store.committed()
    assert len(shared) == 180
    assert all(cell in recorded for cell in shared)
    assert all(recorded.levels(cell) is not None for cell in shared if cell.level == study.TOP)


# overlap


def test_overlap_by_hand():
    one, other = np.array([[1, 1, 0, 0, 1]], bool), np.array([[1, 1, 1, 0, 0]], bool)
    common, expected, most = arms.shared(one, other)
    assert (common, most) == (2, 3)
    assert expected == pytest.approx(3 * 3 / 5)


class Two:
    """A store with the levels of two tickets."""

    def __init__(self, **levels):
        self.found = levels

    def levels(self, cell):
        return self.found[cell.dataset.replace("-", "_")]


def levels_of(*kept):
    """Of three layers of four weights, those kept at level 1."""
    return {
        name: np.where(np.isin(np.arange(4), some), 255, 1).astype(np.uint8)
        for name, some in zip(("fc1.weight", "fc2.weight", "fc3.weight"), kept, strict=True)
    }


def test_kappa_is_0_at_chance_1_at_most_and_a_mean_by_kept_weights(monkeypatch):
    store = Two(
        digits_a=levels_of([0, 1], [0], [0, 1, 2, 3]), digits_b=levels_of([1, 2], [0], [0, 1, 2, 3]),
    )  # fmt: skip
    monkeypatch.setattr(arms, "network_of", lambda origin, model: SimpleNamespace(prunable=NET.prunable))
    cell = ONE.but(arm="overlap", level=1, **FROM_B)
    scalars, curves = ARMS["overlap"].measure(cell, SimpleNamespace(prunable=NET.prunable, widths=()), store, "cpu")
    assert curves == {}
    assert (scalars["common_1"], scalars["expected_1"], scalars["kappa_1"]) == (1, 1.0, 0.0)
    assert (scalars["common_2"], scalars["expected_2"], scalars["kappa_2"]) == (1, 0.25, 1.0)
    assert (scalars["common_3"], scalars["expected_3"]) == (4, 4.0)
    assert "kappa_3" not in scalars  # nothing was pruned there
    assert scalars["kappa"] == pytest.approx((2 * 0 + 1 * 1) / 3)


def test_overlap_of_real_tickets(chains):
    cell = ONE.but(arm="overlap", level=2, **FROM_B)
    scalars, _ = ARMS["overlap"].measure(cell, NET, chains, "cpu")
    ours, theirs = (start(net.but(level=2), chains).mask for net in (ONE, OTHER))
    assert scalars["common_1"] == (ours["fc1.weight"] & theirs["fc1.weight"]).sum()
    assert 0.5 < scalars["kappa"] < 1  # large initial weights survive in both
    images = sources.load("digits-a").train_images.flatten(1).numpy()
    unlit = [pixel for pixel in range(64) if np.count_nonzero(images[:, pixel]) < len(images) / 100]
    assert 5 < len(unlit) < 20
    for name, layer in (("own", ours["fc1.weight"]), ("source", theirs["fc1.weight"])):
        assert scalars[f"dark_{name}"] == pytest.approx(layer[:, unlit].sum() / layer.sum())
    assert scalars["dark_any"] == len(unlit) / 64


def test_overlap_of_tickets_apart_is_that_of_another_replicate():
    cell = ONE.but(arm="overlap", level=2, replicate=4, apart=1, **FROM_B)
    assert cell.parents() == [OTHER.but(level=2, replicate=5), ONE.but(level=2, replicate=4)]


# the study


def test_the_image_networks_are_the_paper_s():
    """Batches of 512, 160 epochs with drops at 80 and 120, the first epoch to return to; weight decay with Adam too."""
    named, steps = study.NETWORKS["paper"], study.STEPS["paper"]
    for name, images in (("VGG-19, CIFAR-10", 45_000), ("VGG-19, CIFAR-10 half a", 22_500)):
        net = named[name]
        epochs = np.array([net.steps, *net.drops, steps[name]["epoch"]]) * net.batch / images
        assert epochs == pytest.approx([160, 80, 120, 1], abs=0.02)
        assert (net.batch, net.scope, net.rate, net.momentum, net.weight_decay) == (512, "global", 0.2, 0.9, 1e-4)
    adam = named["VGG-19, CIFAR-10, Adam"]
    assert (adam.optimizer, adam.learning_rate, adam.momentum, adam.weight_decay) == ("adam", 3e-4, 0, 1e-4)
    residual = named["ResNet-20, CIFAR-10 half b"]
    epochs = np.array([residual.steps, *residual.drops]) * 512 / 22_500
    assert epochs == pytest.approx([90, 50, 65, 80], abs=0.02)


def test_halves_of_mnist_train_for_as_many_epochs_as_the_whole():
    whole, half = (study.NETWORKS["paper"][name] for name in ("MNIST", "MNIST half a"))
    assert half.steps / 27_500 == whole.steps / 55_000


def test_a_complete_claim_stands_before_the_next_begins():
    cells = chapters.cells("04_transfer", "paper")
    place = {cell: i for i, cell in enumerate(cells)}
    named = study.NETWORKS["paper"]

    def span(target, **own):
        found = [place[named[target].but(arm="transferred", level=level, replicate=r, **own)]
                 for r in range(10) for level in study.CLAIMED]  # fmt: skip
        return min(found), max(found)

    sgd = {"source_optimizer": "sgd", "source_rate": 0.03, "source_momentum": 0.9}
    order = [span("Fashion", source_dataset="mnist"), span("MNIST", **sgd)]
    order += [span("Fashion", source_dataset="mnist", carried="mask", draw=1)]
    order += [span("MNIST half a", source_dataset="mnist-b")]
    assert all(one[1] < other[0] for one, other in pairwise(order))


def test_trained_weights_are_never_carried(chains):
    trained = final(chains.tensors(OTHER.but(level=2)))
    assert not same({n: start(moved(), chains).weights[n] for n in NET.shapes}, trained)


# tables, from hand-made rows

M, F = Cell(), Cell(dataset="fashion_mnist")
HERE = {"MNIST": M, "Fashion": F}
CORNERS = {"both": 97.0, "mask": 95.0, "weights": 94.0, "nothing": 93.5}


def transferred(net, level, r, carried="both", **own):
    other = {"source_dataset": "mnist" if net == F else "fashion_mnist"}
    draw = int(carried != "both")
    return net.but(arm="transferred", level=level, replicate=r, draw=draw, carried=carried, **{**other, **own})


def made(levels=(12,), replicates=2):
    """On both targets own tickets at 98 + r, all corners of the factorial, and overlaps of MNIST with Fashion."""
    rows = []
    for r in range(replicates):
        for level in levels:
            for net in (M, F):
                rows.append(row(net.but(level=level, replicate=r), test_accuracy_end=98.0 + r))
                rows += [
                    row(transferred(net, level, r, c), test_accuracy_end=x + r + (net == F)) for c, x in CORNERS.items()
                ]
            wide = transferred(M, level, r, "nothing", permuted="network")
            rows.append(row(wide, test_accuracy_end=50.0))
            for apart in (0, 1):
                pair = M.but(arm="overlap", level=level, replicate=r, apart=apart, source_dataset="fashion_mnist")
                rows.append(row(pair, kappa=0.5 - 0.4 * apart, kappa_1=0.6 - 0.5 * apart, kappa_3=np.nan))
    rows.append(row(M.but(learning_rate=0.5), test_accuracy_end=1.0))
    rows.append(row(M.but(order=1), test_accuracy_end=1.0))
    return pd.DataFrame(rows)


def test_rows_are_named_by_target_and_source_and_all_others_left_out():
    rows = tables.named(made(), HERE)
    assert 1.0 not in set(rows["test_accuracy_end"])
    pairs = rows.groupby("arm")[["target", "source"]].apply(lambda part: set(part.itertuples(index=False, name=None)))
    assert pairs["ticket"] == {("MNIST", "MNIST"), ("Fashion", "Fashion")}
    assert pairs["transferred"] == {("MNIST", "Fashion"), ("Fashion", "MNIST")}
    assert pairs["overlap"] == {("MNIST", "Fashion")}


def test_what_is_kept_by_hand():
    found = tables.kept(tables.named(made(), HERE)).set_index(["target", "source", "replicate"]).sort_index()
    assert len(found) == 4
    one = found.loc["Fashion", "MNIST", 1]
    assert (one["own"], one["transferred"], one["random"]) == (99.0, 99.0, 95.5)
    assert (one["minus_own"], one["minus_random"], one["share"]) == (0.0, 3.5, 1.0)
    two = found.loc["MNIST", "Fashion", 0]  # the rival is the random ticket of its own layers, not the one at 50 %
    assert (two["minus_own"], two["minus_random"]) == (-1.0, 3.5)
    assert two["share"] == pytest.approx(3.5 / 4.5)


def test_the_matrix_has_sources_in_rows_and_targets_in_columns():
    found = tables.kept(tables.named(made(), HERE))
    grid = tables.matrix(found, 12)
    assert grid.loc["Fashion", "MNIST"] == -1.0
    assert grid.loc["MNIST", "Fashion"] == 0.0
    assert grid.loc["MNIST", "MNIST"] == grid.loc["Fashion", "Fashion"] == 0.0
    assert tables.matrix(found, 12, "share").loc["MNIST", "MNIST"] == 1.0
    assert np.isnan(tables.matrix(found, 12, "minus_random").loc["MNIST", "MNIST"])
    assert tables.matrix(found, 15).empty


def test_effects_of_mask_and_weights_and_their_interaction_by_hand():
    found = tables.factorial(tables.named(made((12, 17)), HERE), [12, 17])
    assert len(found) == 4
    assert found["mask effect"].tolist() == pytest.approx([2.25] * 4)  # (97 + 95 - 94 - 93.5) / 2
    assert found["weights effect"].tolist() == pytest.approx([1.25] * 4)  # (97 + 94 - 95 - 93.5) / 2
    assert found["interaction"].tolist() == pytest.approx([1.5] * 4)  # 97 + 93.5 - 95 - 94
    fashion = found[(found["target"] == "Fashion") & (found["replicate"] == 1)].iloc[0]
    assert fashion["both"] == 99.0


def test_a_replicate_without_all_corners_is_in_no_factorial():
    frame = made((12, 17))
    lost = (frame["carried"] == "mask") & (frame["level"] == 17) & (frame["replicate"] == 1)
    found = tables.factorial(tables.named(frame[~lost], HERE), [12, 17])
    assert set(found["replicate"]) == {0}


def test_source_and_target_effects_by_hand():
    """own 98 on both; F to M 97, M to F 98."""
    found = tables.crossed(tables.named(made((12, 17)), HERE), "MNIST", "Fashion", [12, 17])
    assert found["source effect"].tolist() == pytest.approx([0.5] * 2)  # (98 + 98 - 97 - 98) / 2
    assert found["target effect"].tolist() == pytest.approx([-0.5] * 2)  # (98 + 97 - 98 - 98) / 2
    assert found["interaction"].tolist() == pytest.approx([1.0] * 2)  # 98 + 98 - 98 - 97
    assert found["Fashion > MNIST"].tolist() == [97.0, 98.0]


def test_overlaps_by_layer_and_whether_they_go_with_transfer():
    rows = tables.named(made(), HERE)
    found = tables.overlaps(rows)
    assert set(zip(found["layer"], found["apart"], found["kappa"].round(3), strict=True)) == {
        (0, 0, 0.5), (0, 1, 0.1), (1, 0, 0.6), (1, 1, 0.1),
    }  # fmt: skip
    joined = tables.against_overlap(tables.kept(rows), found)
    assert len(joined) == 4  # both ways
    assert set(joined["kappa"]) == {0.5}


def test_what_a_page_says_of_a_table():
    frame = pd.DataFrame({"target": ["a"] * 3 + ["b"], "replicate": [0, 1, 2, 0], "x": [1.0, 2.0, 3.0, 7.0]})
    said = tables.said(frame, ["target"], ["x"]).set_index("target")
    assert said.loc["a", "n"] == 3
    assert said.loc["a", "x"] == "2.00 [-0.48, 4.48]"  # 4.303 x 1 / sqrt(3) = 2.484
    assert said.loc["b", "x"] == "7.00"


def test_nothing_recorded_gives_tables_without_rows(store):
    rows = tables.named(store.table([M]), HERE)
    found, masks = tables.kept(rows), tables.overlaps(rows)
    assert found.empty
    assert masks.empty
    assert tables.matrix(found, 12).empty
    assert tables.factorial(rows, [12]).empty
    assert tables.crossed(rows, "MNIST", "Fashion", [12]).empty
    assert tables.against_overlap(found, masks).empty
    assert tables.said(found, ["target"], ["share"]).empty
