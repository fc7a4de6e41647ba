"""Elastic tickets: block maps, stretching and squeezing by unit and by width, the arms, the study."""

from math import log

import numpy as np
import pytest
import torch
from small import assert_close
from tickets import chapters
from tickets.chapters.elastic import arms, study
from tickets.chapters.stretching import depth, width
from tickets.chapters.stretching.depth import appended, interpolated, parsed, written
from tickets.errors import BadInput
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.masks import Mask
from tickets.results.store import Store
from tickets.running.plan import closure, leaves
from tickets.running.work import compute

DIGITS, COLOURS = (1, 8, 8), (3, 32, 32)


def net(name, shape=DIGITS):
    return models.build(name, shape, 10)


# block maps: as in the authors' scripts, units of a stage


@pytest.mark.parametrize(
    ("have", "want", "text"),
    [
        (2, 3, "0:0;1:1,2"),  # ResNet-14 to -20, MLP-2 to -3
        (2, 4, "0:0;1:1,2,3"),  # MLP-2 to -4
        (2, 5, "0:0;1:1,2,3,4"),  # ResNet-14 to -32
        (3, 4, "0:0;1:1,2;2:3"),  # MLP-3 to -4
        (3, 5, "0:0;1:1,3;2:2,4"),  # ResNet-20 to -32
        (5, 9, "0:0;1:1,5;2:2,6;3:3,7;4:4,8"),  # ResNet-32 to -56
        (5, 7, "0:0;1:1,3;2:2,4;3:5;4:6"),  # ResNet-32 to -44: copies follow the last unit that is copied
        (7, 9, "0:0;1:1,3;2:2,4;3:5;4:6;5:7;6:8"),  # ResNet-44 to -56
        (3, 2, "0:0;1:1"),  # MLP-3 to -2
        (4, 2, "0:0;1:1"),  # MLP-4 to -2
        (4, 3, "0:0;1:1;2:2"),  # MLP-4 to -3
        (3, 3, "0:0;1:1;2:2"),
        (3, 7, "0:0;1:1,3,5;2:2,4,6"),
        (3, 6, "0:0;1:1,3,4;2:2,5"),  # our reading: whole rounds first
    ],
)
def test_appended_maps(have, want, text):
    assert written(appended(have, want)) == text
    assert parsed("append", have, want) == parsed(text, have, want) == appended(have, want)


@pytest.mark.parametrize(
    ("have", "want", "text"),
    [
        (3, 5, "0:0;1:1,2;2:3,4"),  # ResNet-20 to -32
        (5, 9, "0:0;1:1,2;2:3,4;3:5,6;4:7,8"),  # ResNet-32 to -56
        (2, 4, "0:0;1:1,2,3"),  # a stage of VGG-13 to one of -19
        (3, 4, "0:0;1:1,2;2:3"),
        (9, 5, "0:0;1:1;3:2;5:3;7:4"),  # ResNet-56 to -32, spaced
        (4, 3, "0:0;1:1;3:2"),
        (3, 1, "0:0"),
        (3, 3, "0:0;1:1;2:2"),
    ],
)
def test_interpolated_maps(have, want, text):
    assert written(interpolated(have, want)) == text


def test_maps_that_are_written_out():
    assert parsed("0:0;5:1;6:2;7:3;8:4", 9, 5) == (0, 5, 6, 7, 8)  # the paper's bad case: the first four are dropped
    for blocks in study.REPLICATED.values():
        assert len(parsed(blocks, 5, 9)) == 9
    assert parsed(study.REPLICATED["two early"], 5, 9) == (0, 1, 2, 1, 2, 1, 2, 3, 4)
    assert parsed(study.REPLICATED["two late"], 5, 9) == (0, 1, 2, 3, 4, 3, 4, 3, 4)


@pytest.mark.parametrize("text", ["stretch", "0:0;1:1", "0:0;1:2;2:1", "1:0;0:1,2", "0:0;1:1,3", "0:0;9:1,2", ""])
def test_maps_that_are_none(text):
    with pytest.raises(BadInput, match="blocks "):
        parsed(text, 2, 3)


def test_a_first_unit_is_never_copied():
    for rule in (appended, interpolated):
        with pytest.raises(BadInput, match="a stage of 1 unit"):
            rule(1, 2)


# units


def test_units_are_blocks_convolutions_and_layers():
    assert depth.stages(net("mlp-3x300")) == [["fc1", "fc2", "fc3"]]
    assert depth.rest(net("mlp-3x300")) == ["fc4", "fc5"]
    assert depth.stages(net("lenet-300-100")) == [["fc1"]]
    assert depth.stages(net("resnet-14")) == [["block1", "block2"], ["block3", "block4"], ["block5", "block6"]]
    assert depth.rest(net("resnet-14")) == ["conv1", "conv1.norm", "fc"]
    assert [len(stage) for stage in depth.stages(net("resnet-56"))] == [9, 9, 9]
    assert [len(stage) for stage in depth.stages(net("vgg-13", COLOURS))] == [2] * 5
    assert [len(stage) for stage in depth.stages(net("vgg-19", COLOURS))] == [2, 2, 4, 4, 4]
    assert [len(stage) for stage in depth.stages(net("resnet-50", COLOURS))] == [3, 4, 6, 3]
    with pytest.raises(BadInput, match="conv-2: has no units"):
        depth.stages(net("conv-2"))


def named(model):
    """Arrays that say whose they are: of every parameter and running statistic its place in the network."""
    names = [*model.shapes, *model.buffers(1)]
    shapes = dict(model.shapes) | {name: (model.channels[name.rpartition(".")[0]],) for name in model.buffers(1)}
    return {name: np.full(shapes[name], i, np.float32) for i, name in enumerate(names)}


def from_which(found, source):
    """name in the target -> name in the source."""
    names = [*source.shapes, *source.buffers(1)]
    return {name: names[int(array.flat[0])] for name, array in found.items()}


def test_a_residual_network_is_stretched_block_by_block_with_its_normalization():
    source, target = net("resnet-20"), net("resnet-32")
    found = from_which(depth.reshaped(named(source), source, target, "append"), source)
    assert set(found) == {*target.shapes, *target.buffers(1)}
    taken = [1, 2, 3, 2, 3, 4, 5, 6, 5, 6, 7, 8, 9, 8, 9]
    for i, block in enumerate(taken, 1):
        mine = {name: origin for name, origin in found.items() if name.startswith(f"block{i}.")}
        assert mine == {name: name.replace(f"block{i}.", f"block{block}.") for name in mine}
        assert f"block{i}.conv2.norm.running_var" in mine
    rest = {name: origin for name, origin in found.items() if not name.startswith("block")}
    assert all(name == origin for name, origin in rest.items())
    assert "conv1.norm.running_mean" in rest


def test_vgg_is_stretched_stage_by_stage():
    source, target = net("vgg-13", COLOURS), net("vgg-19", COLOURS)
    places = depth.origins(source, target, "interpolate")
    convs = {name: places[name] for name in places if name.startswith("conv")}
    taken = [1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 8, 8, 9, 10, 10, 10]
    assert convs == {f"conv{i}": f"conv{j}" for i, j in enumerate(taken, 1)}
    assert depth.origins(source, target, "|".join(["0:0;1:1"] * 2 + ["0:0;1:1,2,3"] * 3)) == places
    assert depth.copies(source, target, "append") == [f"conv{i}" for i in (7, 8, 11, 12, 15, 16)]


def test_perceptrons_are_stretched_and_squeezed_layer_by_layer():
    two, four = net("mlp-2x300"), net("mlp-4x300")
    longer = from_which(depth.reshaped(named(two), two, four, "append"), two)
    assert [longer[f"fc{i}.weight"] for i in range(1, 7)] == [f"fc{i}.weight" for i in (1, 2, 2, 2, 3, 4)]
    shorter = from_which(depth.reshaped(named(four), four, two, "append"), four)
    assert [shorter[f"fc{i}.bias"] for i in range(1, 5)] == [f"fc{i}.bias" for i in (1, 2, 5, 6)]
    assert depth.copies(two, four, "append") == ["fc3", "fc4"]
    assert depth.copies(four, two, "append") == []


def test_there_and_back_is_where_it_began():
    source, target = net("resnet-20"), net("resnet-32")
    arrays = source.init(np.random.default_rng(0))
    for placing in ("append", "interpolate"):
        back = depth.reshaped(depth.reshaped(arrays, source, target, placing), target, source, placing)
        assert_close(back, arrays, 0)


def test_families_do_not_mix():
    with pytest.raises(BadInput, match="cannot be made of vgg-13"):
        depth.origins(net("vgg-13", COLOURS), net("resnet-20", COLOURS), "append")
    source, target = net("mlp-2x150"), net("mlp-3x300")
    with pytest.raises(BadInput, match="of another shape"):
        depth.reshaped(named(source), source, target, "append")


# width


def small(widths):
    model = models.MLP("small", DIGITS, 10, hidden=widths)
    return model, model.init(np.random.default_rng(len(widths)))


def logits(model, weights, dtype=torch.float64):
    params = {name: torch.from_numpy(w)[None].to(dtype) for name, w in weights.items()}
    x = torch.rand(1, 5, *DIGITS, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return model.forward(params, {}, x, training=False)[0].numpy()


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("wide", [(16, 10), (12, 7)])
def test_a_widened_ticket_computes_what_the_ticket_computes(even, wide):
    (source, weights), (target, _) = small((8, 5)), small(wide)
    weights = {name: w.astype(np.float64) for name, w in weights.items()} | {"fc1.bias": np.arange(8.0)}
    generator = np.random.default_rng(1)
    mask = Mask({name: generator.random(source.shapes[name]) < 0.5 for name in source.prunable})
    wider, kept = width.widened(weights, mask, source, target, generator, even)
    assert {n: w.shape for n, w in wider.items()} == target.shapes
    np.testing.assert_allclose(
        logits(target, kept.apply(wider)), logits(source, mask.apply(weights)), rtol=0, atol=1e-12
    )
    if wide == (16, 10):  # every unit twice: each layer has the source's density
        assert [m.mean() for m in kept.values()] == [m.mean() for m in mask.values()]


def test_equal_copies_have_equal_gradients_and_unequal_ones_have_not():
    """Why shares are drawn: two copies that share alike would stay one unit for ever."""
    (source, weights), (target, _) = small((8, 5)), small((16, 10))
    full = Mask.full({name: source.shapes[name] for name in source.prunable})
    for even in (True, False):
        wider, _ = width.widened(weights, full, source, target, np.random.default_rng(1), even)
        params = {name: torch.from_numpy(w)[None].requires_grad_() for name, w in wider.items()}
        x = torch.rand(1, 5, *DIGITS, generator=torch.Generator().manual_seed(0))
        target.forward(params, {}, x, training=True)[0].logsumexp(1).sum().backward()
        gradient = params["fc1.weight"].grad[0]
        assert torch.allclose(gradient[:8], gradient[8:]) == even


def test_a_narrowed_layer_keeps_its_variance():
    (source, weights), (target, _) = small((400, 200)), small((200, 100))
    weights = {name: w.astype(np.float64) for name, w in weights.items()}
    full = Mask.full({name: source.shapes[name] for name in source.prunable})
    less, kept = width.widened(weights, full, source, target, np.random.default_rng(0))
    assert less["fc2.weight"] == pytest.approx(weights["fc2.weight"][:100, :200] * 2**0.5)
    assert kept.density == 1
    assert less["fc2.weight"].var() * 200 == pytest.approx(weights["fc2.weight"].var() * 400, rel=0.05)


def test_width_is_for_perceptrons_of_one_depth():
    assert width.across(net("mlp-2x150"), net("mlp-2x300"))
    assert not width.across(net("mlp-2x300"), net("mlp-3x300"))
    assert not width.across(net("resnet-14"), net("resnet-14"))


# arms

TARGET = study.NETWORKS["smoke"]["MLP-4"].but(steps=20)
FROM_2 = {"source_model": "mlp-2x300"}
HALF = TARGET.but(model="mlp-2x300")


def moved(level=2, cell=TARGET, **own):
    return cell.but(**{"arm": "elastic", "level": level, **FROM_2, **own})


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A store with a chain of two levels of MLP-2, and one of its half."""
    store = Store(tmp_path_factory.mktemp("chain"), recorded=None)
    wanted = closure([moved(), HALF.but(arm="elastic", level=2, source_model="mlp-2x150")])
    for cell in wanted:
        compute((cell,), store, "cpu", leaves(wanted))
    return store


def start(cell, store):
    return imp.starts([cell], net(cell.model), store)[0]


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_the_source_is_another_network_at_the_same_level():
    assert arms.source(moved(carried="mask", draw=1, cell=TARGET.but(replicate=3))) == HALF.but(level=2, replicate=3)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"source_model": ""}, "source_model ''"),
        ({"source_model": "mlp-4x300"}, "must be another network"),
        ({"carried": "all"}, "unknown carried 'all'"),
        ({"added": "none"}, "unknown added 'none'"),
        ({"added": "snip", "carried": "weights"}, "added 'snip'"),
        ({"carried": "mask"}, "draw 0"),
        ({"arm": "early", "score": "size"}, "unknown score 'size'"),
        ({"arm": "elastic_chord", "other": "twin"}, "unknown other 'twin'"),
        ({"arm": "elastic_chord", "points": 1}, "points 1"),
    ],
)
def test_what_is_refused(own, message):
    with pytest.raises(BadInput, match=message):
        moved(**own)


def test_an_elastic_ticket_is_the_source_s_mask_and_weights_laid_out_anew(chain):
    found, theirs = start(moved(), chain), start(HALF.but(level=2), chain)
    for i, j in enumerate((1, 2, 2, 2, 3, 4), 1):
        assert np.array_equal(found.mask[f"fc{i}.weight"], theirs.mask[f"fc{j}.weight"])
        assert np.array_equal(found.weights[f"fc{i}.weight"], theirs.weights[f"fc{j}.weight"])
    assert list(found.mask) == list(net("mlp-4x300").prunable)
    assert found.mask["fc6.weight"].all()  # the output is never pruned


def test_a_rival_of_the_script_s_tickets_has_as_many_weights(chain):
    script, rival = (
        start(moved(unmapped=True, **more), chain) for more in ({}, {"arm": "early", "score": "magnitude"})
    )
    assert rival.mask.kept == script.mask.kept > start(moved(), chain).mask.kept


def test_as_the_script_maps_layers_the_last_hidden_one_is_fresh_and_dense(chain):
    whole, script, own = (
        start(moved(), chain),
        start(moved(unmapped=True), chain),
        imp.initial(TARGET, net("mlp-4x300")),
    )
    assert script.mask["fc5.weight"].all()
    assert np.array_equal(script.weights["fc5.weight"], own["fc5.weight"])
    others = [name for name in own if not name.startswith("fc5.")]
    assert all(np.array_equal(script.weights[n], whole.weights[n]) for n in others)
    assert not np.array_equal(whole.weights["fc5.weight"], own["fc5.weight"])
    assert script.mask.kept > whole.mask.kept


def test_a_network_without_hidden_layers_has_none_to_leave_unmapped(tmp_path):
    model, found = net("resnet-20"), net("resnet-14")
    pruned = {f"pruned_at/{name}": np.full(found.shapes[name], 255, np.uint8) for name in found.prunable}
    cell = study.TINY.but(model="resnet-20", arm="elastic", level=1, source_model="resnet-14", unmapped=True)
    cell = cell.but(dataset="digits")
    store = Store(tmp_path, recorded=None)
    store.put_tensors(arms.source(cell).key(), {**pruned, "final/x": np.zeros(1)})
    with pytest.raises(BadInput, match="unmapped: resnet-20 has no last hidden layer"):
        imp.starts([cell], model, store)


def test_what_is_not_carried_is_drawn_anew(chain):
    both, mask, weights, nothing = (
        start(moved(carried=c, draw=int(c != "both")), chain) for c in ("both", "mask", "weights", "nothing")
    )
    assert same(both.mask, mask.mask)
    assert same(both.weights, weights.weights)
    assert same(nothing.mask, weights.mask)
    assert same(nothing.weights, mask.weights)
    assert same(mask.weights, imp.initial(TARGET.but(draw=1), net("mlp-4x300")))
    assert weights.mask.counts() == both.mask.counts()
    assert not same(weights.mask, both.mask)


def test_masks_of_added_units_alone_are_replaced(chain):
    copied = start(moved(), chain)
    for added in ("permuted", "snip"):
        found = start(moved(added=added), chain)
        assert found.mask.counts() == copied.mask.counts()
        assert same(found.weights, copied.weights)
        changed = [n for n in found.mask if not np.array_equal(found.mask[n], copied.mask[n])]
        assert changed == ["fc3.weight", "fc4.weight"]
    with pytest.raises(BadInput, match="no unit of mlp-2x300 is a copy"):
        start(HALF.but(arm="elastic", level=2, source_model="mlp-2x150", added="permuted"), chain)


@pytest.mark.parametrize("score", arms.SCORES)
def test_rivals_keep_exactly_as_many_weights_on_the_target_s_own(chain, score):
    elastic, rival = start(moved(), chain), start(moved(arm="early", score=score), chain)
    assert rival.mask.kept == elastic.mask.kept
    assert rival.mask["fc6.weight"].all()
    assert same(rival.weights, imp.initial(TARGET, net("mlp-4x300")))


def test_across_the_width_equal_shares_are_a_parameter(chain):
    cell = HALF.but(arm="elastic", level=2, source_model="mlp-2x150")
    one, other = start(cell, chain), start(cell.but(even=True), chain)
    assert same(one.mask, other.mask)
    assert np.array_equal(one.weights["fc1.weight"], other.weights["fc1.weight"])
    assert np.array_equal(other.weights["fc2.weight"][:, :150], other.weights["fc2.weight"][:, 150:])
    assert not np.allclose(one.weights["fc2.weight"][:, :150], one.weights["fc2.weight"][:, 150:])


class Kept:
    """A store of records: density and accuracy of cells."""

    def __init__(self, densities):
        self.densities = densities

    def get(self, cell):
        density = self.densities[cell.arm, cell.model, cell.level]
        return {"result": {"density": density, **dict.fromkeys(arms.READ, 90 + 10 * log(density))}}


def test_own_tickets_are_interpolated_in_log_density():
    own = {("ticket", "mlp-4x300", level): 0.8**level for level in range(8)}
    cell = moved(arm="own_ticket", level=4)
    assert [(c.arm, c.level) for c in cell.parents()] == [*(("ticket", n) for n in range(8)), ("elastic", 4)]
    store = Kept({**own, ("elastic", "mlp-4x300", 4): 0.8**5.3, ("ticket", "mlp-2x300", 4): 0.8**4})
    scalars, _ = arms.own_ticket(cell, None, store, "cpu")
    assert scalars["test_accuracy_end"] == pytest.approx(90 + 10 * 5.3 * log(0.8))  # it is linear in log density
    assert scalars["drift"] == pytest.approx(0.8**1.3)
    beyond = Kept({**store.densities, ("elastic", "mlp-4x300", 4): 0.8**7.1})
    assert set(arms.own_ticket(cell, None, beyond, "cpu")[0]) == {"density", "drift"}


def test_lines_have_two_ends():
    cell = moved(arm="elastic_chord", level=2, points=3)
    assert cell.parents() == [moved(), moved().but(order=1)]
    assert moved(arm="elastic_chord", other="own").parents() == [moved(), TARGET.but(level=2)]


# initialization and pruning of the authors' script


def test_kaiming_spread_is_that_of_torch():
    drawn = net("mlp-2x300", (1, 28, 28)).init(np.random.default_rng(0), "kaiming")
    for name in ("fc1.weight", "fc2.weight"):
        weight = torch.nn.init.kaiming_normal_(torch.empty(drawn[name].shape))
        assert drawn[name].std() == pytest.approx(weight.std().item(), rel=0.02)
    assert np.array_equal(imp.initial(TARGET, net("mlp-4x300"))["fc2.bias"], np.zeros(300))
    assert imp.initial(TARGET, net("mlp-4x300"))["fc2.weight"].std() == pytest.approx((2 / 300) ** 0.5, rel=0.02)


def test_a_ladder_that_leaves_the_output_whole_counts_it():
    model, mask = net("mlp-2x300", (1, 28, 28)), None
    mask, lottery = imp.dense_mask(model), np.random.default_rng(0)
    for level in range(1, 11):
        saliency = {name: lottery.random(model.shapes[name]) for name in model.prunable}
        mask = imp.next_mask(study.MLP.but(level=level), model, saliency, mask)
        assert mask["fc4.weight"].all()
    assert mask.density == pytest.approx(0.8**10, abs=1e-5)
    assert mask.size == 356_200


# the study


def test_the_perceptrons_are_those_of_the_authors_script():
    cells = [c for c in chapters.cells("05_elastic", "paper") if c.model.startswith("mlp")]
    settings = {(c.steps, c.batch, c.optimizer, c.learning_rate, c.momentum, c.weight_decay, c.drops) for c in cells}
    assert settings == {(17_188, 128, "sgd", 0.1, 0.0, 0.0, ())}
    assert {(c.scope, c.rate, c.output_rate, c.inputs, c.init, c.rewind) for c in cells} == {
        ("global", 0.2, 0.0, "standard", "kaiming", 0)
    }
    sizes = {
        n: sum(map(np.prod, [s for s in net(n, (1, 28, 28)).shapes.values() if len(s) > 1]))
        for n in study.MLPS.values()
    }
    assert sizes == {"mlp-2x300": 356_200, "mlp-3x300": 446_200, "mlp-4x300": 536_200, "mlp-2x150": 148_100}


def test_image_networks_are_at_the_paper_s_protocol():
    cells = [c for c in chapters.cells("05_elastic", "paper") if not c.model.startswith("mlp")]
    assert {(c.steps, c.drops, c.batch, c.weight_decay) for c in cells if c.steps > 1000} == {
        (56_250, (28_125, 42_188), 128, 1e-4)
    }
    assert {(c.model[:3], c.rewind) for c in cells if c.rewind} == {("res", 1000), ("vgg", 200)}


@pytest.mark.parametrize("profile", chapters.PROFILES)
def test_every_source_is_a_network_of_the_study(profile):
    cells = [c for c in chapters.cells("05_elastic", profile) if "source_model" in c.own and c.model.startswith("mlp")]
    named = set(chapters.networks(profile)["05_elastic"].cells.values())
    assert {arms.source(c).but(level=0, replicate=0) for c in cells} <= named
    assert {c.but(arm="ticket", level=0, replicate=0, draw=0, order=0) for c in cells} <= named
