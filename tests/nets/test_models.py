"""The networks: the paper's sizes, initialization, independence of replicates, agreement with ordinary modules."""

import math

import pytest
import torch
from oracle import load_replicate, plain
from tickets.errors import BadInput
from tickets.nets import models
from tickets.nets.layers import sd
from tickets.seeds import stream
from torch import nn
from torchvision.models import resnet50

torch.set_num_threads(1)

DEEP = ("conv-8", *(f"vgg-{n}{slim}" for n in (13, 16, 19) for slim in ("", "x8")))
SMALL = dict.fromkeys(models.FAMILIES, (1, 8, 8)) | dict.fromkeys(DEEP, (1, 16, 16))
SMALL |= {"resnet-50": (3, 32, 32)}
PAPER = dict.fromkeys(models.FAMILIES, (3, 32, 32))
PAPER |= {name: (1, 28, 28) for name in models.FAMILIES if name.startswith(("lenet", "mlp", "fc"))}


def population(model, replicates, dtype=torch.float64):
    """Parameters of the given replicates, stacked."""
    drawn = [model.init(stream("init", r)) for r in replicates]
    return {name: torch.stack([torch.from_numpy(d[name]) for d in drawn]).to(dtype) for name in model.shapes}


def images(model, R, B=6, dtype=torch.float64):
    return torch.rand(R, B, *model.input_shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def size(model, names):
    return sum(math.prod(model.shapes[name]) for name in names)


@pytest.mark.parametrize(
    ("name", "weights", "conv", "prunable"),
    [
        ("lenet-300-100", 266_200, 0, 266_200),
        ("mlp-2x300", 356_200, 0, 356_200),
        ("mlp-4x300", 536_200, 0, 536_200),
        ("mlp-2x150", 148_100, 0, 148_100),
        ("fc-500", 397_000, 0, 397_000),
        ("fc-2508", 1_991_352, 0, 1_991_352),
        ("conv-2", 4_300_992, 38_592, 4_300_992),
        ("conv-4", 2_425_024, 259_776, 2_425_024),
        ("conv-6", 2_261_184, 1_144_512, 2_261_184),
        ("conv-8", 5_275_840, 4_683_456, 5_275_840),  # 512 * 2 * 2 inputs of the head
        ("conv-4x128", 9_691_520, 1_035_648, 9_691_520),
        ("lenet-150-50", 125_600, 0, 125_600),
        ("lenet-1200-400", 1_424_800, 0, 1_424_800),
        ("resnet-20", 270_896, 270_256, 270_256 - 2_560),  # all but the shortcuts
        ("resnet-14", 174_128, 173_488, 173_488 - 2_560),
        ("resnet-56", 851_504, 850_864, 850_864 - 2_560),
        ("resnet-50", 23_454_912 + 20_480, 23_454_912, 23_454_912 + 20_480),  # and 53,120 of normalization, 10 biases
        ("vgg-13", 9_407_168, 9_402_048, 9_402_048),
        (
            "resnet-20x8",
            67_672 + 320,
            67_672,
            67_672 - 640,
        ),  # with 784 of normalization and 10 biases 68,786 parameters
        ("resnet-14x8", 43_480 + 320, 43_480, 43_480 - 640),
        ("conv-2x32", 1_076_320, 10_080, 1_076_320),
        ("conv-4x32", 607_328, 65_376, 607_328),
        ("vgg-16", 14_715_584, 14_710_464, 14_710_464),
        ("vgg-19", 20_024_000, 20_018_880, 20_018_880),
    ],
)
def test_weights_are_as_many_as_in_the_paper(name, weights, conv, prunable):
    model = models.build(name, PAPER[name], 10)
    assert size(model, [n for n, s in model.shapes.items() if len(s) > 1]) == weights
    assert size(model, [n for n, s in model.shapes.items() if len(s) == 4]) == conv
    assert size(model, model.prunable) == prunable


@pytest.mark.parametrize(
    ("name", "prunable", "parameters"),
    [("resnet-20x8", 67_032, 68_786), ("conv-2x32", 289_888, 290_218), ("conv-4x32", 214_112, 214_570)],
)
def test_sizes_of_slim_networks_on_images_of_16x16(name, prunable, parameters):
    model = models.build(name, (3, 16, 16), 10)
    assert (size(model, model.prunable), size(model, model.shapes)) == (prunable, parameters)


def test_plain_modules_have_the_same_parameters():
    for name in models.FAMILIES:
        with torch.device("meta"):
            module = plain(name, PAPER[name], 10)
        shapes = models.build(name, PAPER[name], 10).shapes
        assert [tuple(p.shape) for p in module.parameters()] == list(shapes.values())


def test_resnet_50_has_the_parameters_of_torchvision_s_for_1000_classes():
    shapes = models.build("resnet-50", (3, 224, 224), 1000).shapes
    with torch.device("meta"):
        assert [tuple(p.shape) for p in resnet50().parameters()] == list(shapes.values())
    assert sum(map(math.prod, shapes.values())) == 25_557_032


def test_only_hidden_and_output_weights_can_be_pruned():
    kinds = {name: models.build(name, PAPER[name], 10).kind for name in models.FAMILIES}
    assert kinds["lenet-300-100"] == {"fc1.weight": "dense", "fc2.weight": "dense", "fc3.weight": "output"}
    assert list(kinds["conv-4"].values()) == ["conv"] * 4 + ["dense"] * 2 + ["output"]
    assert set(kinds["resnet-20"].values()) == set(kinds["vgg-19"].values()) == {"conv"}
    assert len(kinds["resnet-20"]) == 19
    assert len(kinds["vgg-19"]) == 16
    assert len(kinds["resnet-50"]) == 54  # the four shortcuts and the output among them
    for network, kind in kinds.items():
        assert not [name for name in kind if "bias" in name or "norm" in name]
        assert network == "resnet-50" or not [name for name in kind if "shortcut" in name]


def test_widths_belong_to_perceptrons():
    assert models.build("lenet-300-100", (1, 8, 8), 10).widths == (64, 300, 100, 10)
    assert models.build("conv-2", (1, 8, 8), 10).widths is None
    assert models.build("fc-500", (1, 8, 8), 10).widths is None  # the kernels of perceptrons count on biases


@pytest.mark.parametrize("name", ["lenet-300-100", "conv-4", "resnet-20"])
def test_weights_start_gaussian_with_glorot_spread(name):
    model = models.build(name, PAPER[name], 10)
    drawn = model.init(stream("init", 3))
    for parameter, values in drawn.items():
        assert values.dtype == "float32"
        assert values.shape == model.shapes[parameter]
        if values.ndim == 1:
            assert (values == parameter.endswith("norm.weight")).all()
        elif values.size > 2000:
            assert values.std() == pytest.approx(sd(values.shape), rel=5 / math.sqrt(2 * values.size))
            assert abs(values.mean()) < 5 * values.std() / math.sqrt(values.size)


def test_glorot_spread_is_that_of_torch():
    for shape in ((100, 300), (64, 32, 3, 3)):
        weight = nn.init.xavier_normal_(torch.empty(shape), generator=torch.Generator().manual_seed(0))
        assert sd(shape) == pytest.approx(weight.std().item(), rel=0.03)


def test_kaiming_spread_is_that_of_torch():
    for shape in ((300, 784), (64, 32, 3, 3)):
        weight = nn.init.kaiming_normal_(torch.empty(shape), generator=torch.Generator().manual_seed(0))
        assert sd(shape, "kaiming") == pytest.approx(weight.std().item(), rel=0.03)


def test_initialization_follows_its_stream():
    model = models.build("lenet-300-100", (1, 8, 8), 10)
    one, same, other = (model.init(stream("init", r))["fc2.weight"] for r in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).mean() > 0.99


@pytest.mark.parametrize("name", models.FAMILIES)
def test_a_replicate_does_not_see_its_neighbours(name):
    model = models.build(name, SMALL[name], 10)
    R = 2 if name.startswith("vgg") or name == "resnet-50" else 3
    params, buffers, x = population(model, range(R)), model.buffers(R, dtype=torch.float64), images(model, R)
    together = model.forward(params, buffers, x, training=True)
    assert together.shape == (R, 6, 10)
    for r in range(R):
        own, own_buffers = {n: p[r : r + 1] for n, p in params.items()}, model.buffers(1, dtype=torch.float64)
        alone = model.forward(own, own_buffers, x[r : r + 1], training=True)
        torch.testing.assert_close(alone[0], together[r], rtol=0, atol=1e-10)
        assert own_buffers.keys() == buffers.keys()
        for n in buffers:
            torch.testing.assert_close(own_buffers[n][0], buffers[n][r], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", models.FAMILIES)
def test_forward_and_gradient_are_those_of_a_plain_module(name):
    model, R = models.build(name, SMALL[name], 10), 1 if name.startswith("vgg") or name == "resnet-50" else 2
    params = {n: p.requires_grad_() for n, p in population(model, range(R)).items()}
    x = images(model, R)
    logits = model.forward(params, model.buffers(R, dtype=torch.float64), x, training=True)
    logits.square().sum().backward()
    for r in range(R):
        module = load_replicate(plain(name, SMALL[name], 10), params, r)
        expected = module(x[r])
        expected.square().sum().backward()
        torch.testing.assert_close(logits[r], expected, rtol=0, atol=1e-10)
        for (n, p), own in zip(params.items(), module.parameters(), strict=True):
            torch.testing.assert_close(p.grad[r], own.grad, rtol=1e-8, atol=1e-10, msg=lambda m, n=n: f"{n}: {m}")


@pytest.mark.parametrize(("name", "R", "batches"), [("resnet-20", 2, 3), ("resnet-50", 1, 1)])
def test_running_statistics_are_those_of_torch(name, R, batches):
    model = models.build(name, (3, 8, 8), 10)
    params, buffers = population(model, range(R)), model.buffers(R, dtype=torch.float64)
    modules = [load_replicate(plain(name, (3, 8, 8), 10), params, r) for r in range(R)]
    for _ in range(batches):
        x = images(model, R)
        model.forward(params, buffers, x, training=True)
        for module, xr in zip(modules, x, strict=True):
            module(xr)
    before = {n: b.clone() for n, b in buffers.items()}
    evaluated = model.forward(params, buffers, x, training=False)
    for r, module in enumerate(modules):
        expected = [b for n, b in module.named_buffers() if "running" in n]
        for (n, b), e in zip(buffers.items(), expected, strict=True):
            assert torch.equal(b, before[n])  # evaluation changes nothing
            torch.testing.assert_close(b[r], e, rtol=0, atol=1e-10)
        torch.testing.assert_close(evaluated[r], module.eval()(x[r]), rtol=0, atol=1e-10)


def test_running_variance_is_unbiased():
    model = models.build("resnet-20", (1, 8, 8), 10)
    params, buffers, x = population(model, [0]), model.buffers(1, dtype=torch.float64), images(model, 1)
    model.forward(params, buffers, x, training=True)
    h = nn.functional.conv2d(x[0], params["conv1.weight"][0], padding=1)
    torch.testing.assert_close(buffers["conv1.norm.running_mean"][0], 0.1 * h.mean((0, 2, 3)))
    torch.testing.assert_close(buffers["conv1.norm.running_var"][0], 0.9 + 0.1 * h.var((0, 2, 3), correction=1))


def test_precision_is_that_of_the_parameters():
    for dtype in (torch.float32, torch.float64):
        model = models.build("resnet-20", (1, 8, 8), 10)
        logits = model.forward(
            population(model, [0], dtype), model.buffers(1, dtype=dtype), images(model, 1, dtype=dtype), training=True
        )
        assert logits.dtype == dtype


def test_a_perceptron_takes_flat_images():
    model = models.build("lenet-300-100", (1, 8, 8), 10)
    params, x = population(model, range(2)), images(model, 2)
    assert torch.equal(model.forward(params, {}, x, False), model.forward(params, {}, x.flatten(2), False))


def test_dropout_sees_each_hidden_dense_layer_in_order():
    seen = []

    def drop(h):
        seen.append(tuple(h.shape))
        return torch.zeros_like(h)

    model = models.build("conv-2", (1, 8, 8), 10)
    params = population(model, range(2))
    params["fc3.bias"] += 1
    logits = model.forward(params, {}, images(model, 2), training=True, dropout=drop)
    assert seen == [(2, 6, 256), (2, 6, 256)]
    assert (logits == 1).all()  # nothing but the output's biases is left


def test_bad_input_names_what_is_allowed():
    with pytest.raises(BadInput, match=r"model 'lenet'.*lenet-300-100, .*mlp-2x300"):
        models.build("lenet", (1, 8, 8), 10)
    with pytest.raises(BadInput, match=r"vgg-19 .*at least 16x16.*8x8"):
        models.build("vgg-19", (1, 8, 8), 10)
    model = models.build("resnet-20", (1, 8, 8), 10)
    with pytest.raises(BadInput, match=r"resnet-20 .*dropout must be 0"):
        model.forward(population(model, [0]), {}, images(model, 1), training=True, dropout=lambda h: h)
