"""The layers of another library in the plain loop: the same network, whoever computes it. How fast is not tested."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from typer.testing import CliRunner

from benchmarks import FILES, images, pictures, rival
from benchmarks.__main__ import app


class StandIn(nn.Module):
    """What SparseProp's layers are to us: made of a weight with zeros, of which it holds the others."""

    def __init__(self, weight, bias=None, **options):
        super().__init__()
        assert bias is None or isinstance(bias, nn.Parameter)
        self.kept, self.bias, self.options, self.pixels = weight.data != 0, bias, options, None
        self.W_val = nn.Parameter(weight.data[self.kept])

    def dense(self):
        return torch.zeros(self.kept.shape).masked_scatter(self.kept, self.W_val)


class Conv(StandIn):
    def set_vectorizing_over_on(self, pixels):
        self.pixels = pixels

    def forward(self, x):
        assert x.is_contiguous()
        return F.conv2d(x, self.dense(), self.bias, self.stride, **self.options)


class Linear(StandIn):
    def forward(self, x):
        return F.linear(x, self.dense(), self.bias)


@pytest.fixture
def library(monkeypatch):
    """The library where it is installed, else what stands in for it."""
    try:
        import sparseprop.modules  # noqa: F401
    except ImportError:
        found = ModuleType("sparseprop.modules")
        found.SparseConv2d, found.SparseLinear = Conv, Linear
        monkeypatch.setitem(sys.modules, "sparseprop", ModuleType("sparseprop"))
        monkeypatch.setitem(sys.modules, "sparseprop.modules", found)
        monkeypatch.setattr(rival, "find_spec", lambda name: name)


@pytest.mark.parametrize("together", rival.SIDE_BY_SIDE)
@pytest.mark.parametrize("name", ["conv-2x32", "resnet-14x8"])
def test_the_network_is_the_same_with_the_layers_of_another_library(library, name, together):
    """Logits and gradients of the plain module under the mask; of thinned layers only kept weights are trained."""
    model = images.network(name, 16)
    kept = images.mask(model, 0.3)
    torch.manual_seed(1)
    theirs = rival.Module(model, kept, rival.SIDE_BY_SIDE[together])
    torch.manual_seed(1)
    plain = images.Module(model)
    layers = {images.key(weight.removesuffix(".weight")): array for weight, array in kept.items()}
    for layer, array in layers.items():
        plain.layers[layer].weight.data[torch.tensor(~array)] = 0
    x, y = torch.rand(8, 3, 16, 16), torch.arange(8)
    for module in (theirs, plain):
        F.cross_entropy(module(x), y).backward()
    torch.testing.assert_close(theirs(x), plain(x), rtol=1e-4, atol=1e-5)
    for layer, array in layers.items():
        expected = plain.layers[layer].weight.grad[torch.tensor(array)]
        found = theirs.layers[layer].W_val.grad
        torch.testing.assert_close(found.sort()[0], expected.sort()[0], rtol=1e-3, atol=1e-5)
    whole = sum(p.numel() for p in plain.parameters())
    assert sum(p.numel() for p in theirs.parameters()) == whole - sum(int((~array).sum()) for array in kept.values())


def test_a_unit_trains_with_these_layers(library):
    torch.manual_seed(0)
    unit = rival.training.__wrapped__("conv-2x32", 16, 6, 0.1, 2, "several pixels")
    module = unit.__closure__[[*unit.__code__.co_freevars].index("module")].cell_contents
    before = module.layers["conv1"].W_val.detach().clone()
    unit()
    moved = module.layers["conv1"].W_val != before
    assert moved.float().mean() > 0.5  # what leads to units that no image excites stays


def test_a_row_has_the_faster_of_their_ways_and_of_the_loops_layouts(library, monkeypatch):
    monkeypatch.setattr(images, "NETS", {("conv-2x32", 16): 4})
    monkeypatch.setattr(rival, "KEPT", (0.5, 0.1))
    work = rival.cases(100)
    assert len(work) == 2 * 3 + 2
    assert {told[5] for told in work.values() if told[0] is not images.plain} == {10}
    took = {"several images": 30.0, "several pixels": 20.0, "contiguous": 5.0, "channels last": 8.0}
    seconds = {case: took.get(case[-1], 40 * case[2] if len(case) == 3 else 0) for case in work}
    rows = rival.rows(seconds, 100)
    columns = ("density", "ms", "sparseprop_ms", "plain_ms", "times_faster")
    found = [tuple(row[name] for name in columns) for row in rows]
    assert found == [(0.5, 2000, 2000, 500, 1), (0.1, 400, 2000, 500, 5)]
    shown = pictures.rival_page({"device": "a <machine>", "torch": "2", "date": "2026-01-01", "rival": rows})
    assert "a &lt;machine&gt;" in shown
    assert "Conv-2, slim" in shown
    assert "SparseProp, ms" in shown


def test_where_the_library_is_missing_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(rival, "find_spec", lambda name: None)
    told = CliRunner().invoke(app, ["--sparseprop", "--out", str(tmp_path / "bench.json")])
    assert told.exit_code == 2
    assert "sparseprop is not installed" in told.output
    assert list(tmp_path.iterdir()) == []
    assert "Not run" in pictures.rival_page(None)
    assert FILES["sparseprop"] == "bench_sparseprop.json"
