"""The benchmark: it runs, writes what it promises, and counts the work it divides by. How fast is not tested."""

import contextlib
import io
import json
import math

import pytest
import torch
from tickets import bench, cli, data
from torch import nn

ROW = {
    "level", "density", "ms", "steps_per_second", "plain_ms", "times_faster", "all_dense_ms", "all_sparse_ms",
}  # fmt: skip
WHOLE = {
    "plain_threads", "ms_with_dataloader", "times_faster_than_dataloader", "gflops_1024_cubed",
    "gflops_layer_shapes", "gflops_training", "share_of_1024_cubed", "share_of_layer_shapes",
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What `bench --quick` writes, as read back, and what it prints."""
    out, printed = tmp_path_factory.mktemp("bench") / "new" / "bench.json", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert cli.main(["bench", "--quick", "--out", str(out)]) == 0
    assert [path.name for path in out.parent.iterdir()] == ["bench.json"]
    return json.loads(out.read_text()), printed.getvalue()


def positive(values):
    return all(isinstance(x, float | int) and 0 < x < math.inf for x in values)


def test_the_file_says_where_the_figures_come_from(quick):
    found, _ = quick
    assert {"device", "cores", "torch", "numba", "date", "quick", "notes", "rounds"} <= set(found)
    assert found["torch"] == torch.__version__
    assert found["quick"] is True
    assert "denormal" in found["notes"]


def test_every_density_has_every_figure(quick):
    found, _ = quick
    assert [row["level"] for row in found["rows"]] == [0, 3, 7, 10, 15, 21]
    assert [round(row["density"], 3) for row in found["rows"]] == [1, 0.513, 0.211, 0.108, 0.036, 0.01]
    for row in found["rows"]:
        assert set(row) == ROW
        assert positive(value for name, value in row.items() if name != "level")
        assert row["times_faster"] == row["plain_ms"] / row["ms"]


def test_the_whole_machine_has_its_figures(quick):
    found, _ = quick
    assert set(found["whole"]) == WHOLE
    assert positive(found["whole"].values())
    assert positive(found["seconds"].values())


def test_the_table_is_short(quick):
    found, printed = quick
    assert len(printed.splitlines()) == 1 + len(found["rows"]) + len(WHOLE)
    assert max(map(len, printed.splitlines())) <= 120


def test_a_folder_is_no_file(tmp_path, capsys):
    assert cli.main(["bench", "--quick", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a folder" in line


def test_populations_are_timed_against_the_plain_loop(monkeypatch):
    """What `--device cuda` does, here on a CPU and small."""
    monkeypatch.setattr(bench, "POPULATIONS", (1, 2))
    monkeypatch.setattr(data, "split", lambda dataset, replicate: (torch.arange(50).numpy(), torch.arange(50).numpy()))
    found = bench.on_gpu(1, 1, "cpu")
    assert [row["networks"] for row in found["rows"]] == [1, 2]
    assert all(set(row) == {"networks", "ms", "plain_ms", "times_faster"} for row in found["rows"])
    assert positive(value for row in found["rows"] for value in row.values())
    assert len(bench.as_text(found).splitlines()) == 3


def test_the_products_of_a_step_are_counted_whole():
    """A weight costs a multiplication for each image forward, another for its gradient, a third to go further back."""
    first, others, batch, validated = 784 * 300, 300 * 100 + 100 * 10, 60, 50
    counted = sum(math.prod(shape) for shape in bench.PRODUCTS)
    assert counted == batch * (2 * first + 3 * others) + validated * (first + others)


def test_the_plain_loop_trains_and_puts_pruned_weights_back():
    torch.manual_seed(0)
    layer, x, y = nn.Linear(8, 3), torch.randn(90, 8), torch.arange(90) % 3
    mask = (torch.rand(3, 8) < 0.5).float()
    before = layer.weight.detach().clone()
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    loss, accuracy = bench.plain_loop(layer, optimizer, [(layer.weight, mask)], [(x, y)] * 50, (x, y))
    assert bool((layer.weight[mask == 0] == 0).all())
    assert bool((layer.weight[mask == 1] != before[mask == 1]).all())
    assert loss < nn.functional.cross_entropy(torch.zeros(90, 3), y).item()
    assert accuracy > 1 / 3
