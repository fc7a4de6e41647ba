"""The benchmark: it runs, writes what it promises, and counts the work it divides by. How fast is not tested."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from tickets.files import ROOT
from tickets.nets import layers, models
from torch import nn
from typer.testing import CliRunner

from benchmarks import bench, gpu, images, parts, workloads
from benchmarks.__main__ import app

COLUMNS = {
    "densities": {
        "level", "density", "ms", "plain_ms", "times_faster", "all_dense_ms", "all_sparse_ms", "gflops",
        "operations_per_byte",
    },
    "images": {
        "network", "side", "batch", "density", "ms", "plain_ms", "times_faster", "all_dense_ms", "all_sparse_ms",
    },
    "replicates": {"networks", "processes_ms", "stacked_ms"},
    "widths": {"width", "weights", "ms", "sparse_ms", "plain_ms"},
    "convolutions": {"network", "batch", "alone_ms", "loop_ms", "grouped_ms", "unfolded_ms", "channels_last_ms"},
    "memory": {"process", "megabytes"},
}  # fmt: skip
PROCESSES = ("nothing, libraries loaded", "images of MNIST", "16 networks stacked")
WHOLE = {
    "plain_threads", "ms_with_dataloader", "times_faster_than_dataloader", "gflops_1024_cubed", "gigabytes_per_second",
    "gflops_layer_shapes", "gflops_training", "share_of_1024_cubed", "share_of_layer_shapes",
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What `--quick` writes, as read back, and what it prints."""
    out = tmp_path_factory.mktemp("bench") / "new" / "bench.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "NETWORKS", (1, 2))
        patch.setattr(bench, "WIDTHS", (0.25, 1))
        patch.setattr(bench, "IMAGE_NETS", {"resnet-20": 2})
        patch.setattr(bench, "IMAGES", {("conv-2x32", 16): 4, ("resnet-20x8", 16): 2})
        patch.setattr(bench, "KEPT", (1, 0.1))
        patch.setattr(bench, "VECTOR", 1000)
        patch.setattr(bench, "MEMORY", {name: case for name, case in bench.MEMORY.items() if name in PROCESSES})
        told = CliRunner().invoke(app, ["--quick", "--out", str(out)], catch_exceptions=False)
    assert told.exit_code == 0
    assert [path.name for path in out.parent.iterdir()] == ["bench.json"]
    return json.loads(out.read_text()), told.stdout


def positive(values):
    return all(isinstance(x, float | int) and 0 < x < math.inf for x in values)


def test_the_file_says_where_the_figures_come_from(quick):
    found, _ = quick
    assert {"device", "cores", "torch", "numba", "algorithm", "date", "quick", "notes"} <= set(found)
    assert found["torch"] == torch.__version__
    assert found["quick"] is True
    assert "denormal" in found["notes"]


@pytest.mark.parametrize("table", COLUMNS)
def test_every_table_is_whole(quick, table):
    rows = quick[0][table]
    assert len(rows) >= (1 if table == "convolutions" else 2)
    for row in rows:
        assert set(row) == COLUMNS[table]
        assert positive(value for name, value in row.items() if name not in ("level", "network", "process", "side"))


def test_densities_are_those_of_the_ladder(quick):
    rows = quick[0]["densities"]
    assert [row["level"] for row in rows] == [0, 3, 7, 10, 15, 21]
    assert [round(row["density"], 3) for row in rows] == [1, 0.513, 0.211, 0.108, 0.036, 0.01]
    assert all(row["times_faster"] == row["plain_ms"] / row["ms"] for row in rows)


@pytest.mark.parametrize("name", ["conv-2x32", "resnet-14x8", "vgg-13"])
def test_the_plain_module_is_the_network(name):
    """The same logits as the library's own layers, from the same parameters."""
    model = models.build(name, (3, 16, 16), 10)
    module = images.Module(model).double()
    mine = dict(module.named_parameters())
    params = {n: mine["layers." + images.key(n.rpartition(".")[0]) + n[n.rindex(".") :]][None] for n in model.shapes}
    x = torch.rand(4, 3, 16, 16, dtype=torch.float64)
    expected = model.forward(params, model.buffers(1, dtype=torch.float64), x[None], training=True)[0]
    torch.testing.assert_close(module(x), expected)


def test_a_unit_trains_the_image_network(monkeypatch):
    seen = []
    monkeypatch.setattr(images.passes, "advance", lambda *told: seen.append(told))
    images.training.__wrapped__("conv-2x32", 16, 6, 0.1, 3)()
    _, _, buffers, (value, keep, *_), pictures, order, *_, rates, rule = seen[0]
    assert order.shape == (3, 6)
    assert len(rates) == 3
    assert rule[0]
    assert 0.05 < keep.sum() / 289_888 < 0.15
    assert len(value) == len(keep)
    assert pictures[0].shape == (1000, 3, 16, 16)
    assert buffers.real.sum() == 6


def test_the_whole_machine_has_its_figures(quick):
    assert set(quick[0]["whole"]) == WHOLE
    assert positive(quick[0]["whole"].values())


def test_a_process_that_trains_holds_more_than_one_that_does_not(quick):
    held = {row["process"]: row["megabytes"] for row in quick[0]["memory"]}
    assert max(held, key=held.get) == "16 networks stacked"
    assert held["nothing, libraries loaded"] > 50


def test_the_tables_are_narrow(quick):
    found, printed = quick
    assert all(str(row["level"]) in printed for row in found["densities"])
    assert max(map(len, printed.splitlines())) <= 120


def complaint(*arguments):
    """The one line that `python -m benchmarks` says to a mistake."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": "lib"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (told.returncode, told.stdout) == (2, "")
    (line,) = told.stderr.splitlines()
    return line


def test_a_folder_is_no_file(tmp_path):
    assert "is a folder" in complaint("--quick", "--out", str(tmp_path))


def test_the_parts_of_a_step_are_those_of_a_cpu():
    assert "leave --device out" in complaint("--parts", "--device", "cuda")


def test_quick_figures_are_not_recorded(tmp_path):
    assert "quick" in complaint("--quick", "--record", "--out", str(tmp_path / "bench.json"))
    assert not list(tmp_path.iterdir())


def test_a_gpu_is_timed_with_populations(monkeypatch):
    """What `--device cuda` does, here on a CPU and small."""
    monkeypatch.setattr(gpu, "STACKED", {"lenet-300-100": (1, 2), "resnet-20": (1, 2)})
    monkeypatch.setattr(gpu, "CELLS", {name: cell.but(batch=4) for name, cell in gpu.CELLS.items()})
    monkeypatch.setattr(gpu, "PICTURES", 5100)
    found = bench.on_gpu(1, 1, "cpu")
    rows, ways = found["populations"], found["ways"]
    assert [(row["network"], row["networks"]) for row in rows] == [
        ("lenet-300-100", 1), ("lenet-300-100", 2), ("resnet-20", 1), ("resnet-20", 2),
    ]  # fmt: skip
    assert all(set(row) == {"network", "networks", "ms", "plain_ms", "times_faster"} for row in rows)
    assert set(ways[1]) - set(ways[0]) == {"grouped_ms", "unfolded_ms", "channels_last_ms"}
    assert positive(value for row in rows + ways for name, value in row.items() if name != "network")


# parts of a step


def test_parts_of_a_step_are_timed_beside_the_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(images, "NETS", {("conv-2x32", 16): 4, ("resnet-14x8", 16): 2})
    monkeypatch.setattr(parts, "KEPT", (1, 0.1))
    found = bench.bench("parts", tmp_path / "parts.json", quick=True)
    assert found == json.loads((tmp_path / "parts.json").read_text())
    assert [(row["network"], row["density"]) for row in found["parts"]] == [
        ("conv-2x32", 1), ("conv-2x32", 0.1), ("resnet-14x8", 1), ("resnet-14x8", 0.1),
    ]  # fmt: skip
    for row in found["parts"]:
        timed = [row[f"{part}_ms"] for part in parts.PARTS]
        assert positive([row["ms"], row["gflops"], *timed])
        assert row["ms"] == pytest.approx(sum(timed) + row["rest_ms"])
        assert row["share_of_products"] == row["gflops"] / found["whole"]["gflops_1024_cubed"]


@pytest.mark.parametrize("name", ["conv-2x32", "resnet-14x8", "vgg-13"])
def test_every_operation_of_a_step_is_in_one_part(name):
    net, _ = images.prepared(name, 16, 4, 1, 1)
    for way, operations in enumerate(net.program[:2]):
        of_parts = [kind for part in parts.SWEEPS.values() for kind in part[way]]
        assert len(set(of_parts)) == len(of_parts)
        assert set(operations["kind"]) <= set(of_parts)


def test_a_part_does_its_operations_and_no_others(monkeypatch):
    """Forward convolutions leave raw outputs, dense layers logits, the optimizer weights: nothing else changes."""
    told = "conv-2x32", 16, 4, 0.5, 1
    changed = {}
    for part in parts.PARTS:
        net, rest = images.prepared(*told)
        monkeypatch.setattr(images, "prepared", lambda *_, found=(net, rest): found)
        unit = parts.step.__wrapped__(*told, part)
        monkeypatch.undo()
        held = {"value": net.value, "act": net.buffers.act, "raw": net.buffers.raw, "slope": net.buffers.slope}
        net.buffers.raw[:] = 1  # else a part would leave what the whole step had left
        net.buffers.act[:] += 1
        before = {name: array.copy() for name, array in held.items()}
        unit()
        changed[part] = {n for n, array in held.items() if not np.array_equal(array, before[n], equal_nan=True)}
    assert changed == {
        "pictures": {"act"}, "forward": {"raw"}, "backward": {"slope"}, "norms": {"act"}, "pools": {"act", "slope"},
        "head": {"act", "slope"}, "optimizer": {"value"},
    }  # fmt: skip


# what is counted


def test_the_operations_of_convolutions_are_counted_by_kept_weights(monkeypatch):
    """Conv-2: 32 filters of 3 x 3 x 3 and of 3 x 3 x 32 on 16 x 16 pixels; the first needs no gradient of its input."""
    pixels, first, second = 16 * 16, 3 * 9 * 32, 32 * 9 * 32
    assert parts.operations("conv-2x32", 16, 60, 1) == 2 * 60 * pixels * (2 * first + 3 * second)
    kept = images.mask(images.network("conv-2x32", 16), 0.1).counts()
    expected = 2 * 60 * pixels * (2 * kept["conv1.weight"] + 3 * kept["conv2.weight"])
    assert parts.operations("conv-2x32", 16, 60, 0.1) == expected


def test_the_products_of_a_step_are_counted_whole():
    """A weight costs a multiplication for each image forward, another for its gradient, a third to go further back."""
    first, others, batch, validated = 784 * 300, 300 * 100 + 100 * 10, 60, 50
    counted = sum(math.prod(shape) for shape in workloads.product_shapes())
    assert counted == batch * (2 * first + 3 * others) + validated * (first + others)
    assert workloads.operations(0) == 2 * counted
    assert workloads.operations(15) / workloads.operations(0) == pytest.approx(0.035, abs=0.002)


def test_a_sparse_step_moves_less_but_indices():
    dense, sparse = (workloads.traffic(level) for level in (0, 15))
    pixels = 784 * (8 * 60 + 4 * 50)
    assert dense - pixels == 40 * 266_200
    assert sparse - pixels == 52 * sum(workloads.mask(15).counts().values())


@pytest.mark.parametrize("way", workloads.WAYS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3])
def test_every_way_of_convolving_is_the_same_convolution(way, stride, size):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    x, w = draw(3, 5, 4, 9, 8), draw(3, 6, 4, size, size)
    expected = layers.conv2d(x, w, stride, size // 2)
    torch.testing.assert_close(workloads.WAYS[way](x, w, stride, size // 2), expected, rtol=0, atol=1e-12)


def test_image_networks_do_train_when_timed():
    unit = workloads.convolutions("resnet-20", "loop", 2, 4, 1)
    model = models.build("resnet-20", (3, 32, 32), 10)
    seen = []
    original = model.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "forward", lambda self, *a, **k: seen.append(a[2].shape) or original(*a, **k))
        unit()
    assert seen == [torch.Size([2, 4, 3, 32, 32])]


# the baseline


def test_the_plain_loop_trains_and_puts_pruned_weights_back():
    torch.manual_seed(0)
    layer, x, y = nn.Linear(8, 3), torch.randn(90, 8), torch.arange(90) % 3
    mask = (torch.rand(3, 8) < 0.5).float()
    before = layer.weight.detach().clone()
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    loss, accuracy = workloads.plain_loop(layer, optimizer, [(layer.weight, mask)], [(x, y)] * 50, (x, y))
    assert bool((layer.weight[mask == 0] == 0).all())
    assert bool((layer.weight[mask == 1] != before[mask == 1]).all())
    assert loss < nn.functional.cross_entropy(torch.zeros(90, 3), y).item()
    assert accuracy > 1 / 3
