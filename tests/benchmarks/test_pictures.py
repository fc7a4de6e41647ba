"""The page What it costs: figures and tables of a benchmark, and an honest line where there is none."""

import json

import pytest

from benchmarks import parts, pictures

DENSITIES = [
    {
        "level": level, "density": density, "ms": ms, "plain_ms": 3.0, "times_faster": 3.0 / ms, "all_dense_ms": 0.7,
        "all_sparse_ms": 2.2 * density, "gflops": 100 * density, "operations_per_byte": 8 * density,
    }
    for level, density, ms in ((0, 1.0, 0.75), (7, 0.211, 0.5), (15, 0.036, 0.15))
]  # fmt: skip
FOUND = {
    "device": "a <machine>", "cores": 2, "torch": "2", "numba": "0", "algorithm": 3, "date": "2026-01-01",
    "densities": DENSITIES,
    "replicates": [{"networks": n, "processes_ms": 1.0 / n, "stacked_ms": 4.0} for n in (1, 2, 4)],
    "widths": [{"width": w, "weights": int(1e5 * w), "ms": w, "sparse_ms": w / 5, "plain_ms": 4 * w} for w in (1, 2)],
    "images": [
        {"network": "conv-2x32", "side": 16, "batch": 9, "density": d, "ms": d, "plain_ms": 3.0, "times_faster": 3 / d,
         "all_dense_ms": 1.0, "all_sparse_ms": d}
        for d in (1, 0.1)
    ],
    "convolutions": [
        {"network": "conv-2", "batch": 60, "alone_ms": 9.0, "loop_ms": 9.0, "grouped_ms": 8.0, "unfolded_ms": 1234.0,
         "channels_last_ms": 7.0},
    ],
    "memory": [{"process": "plain loop", "megabytes": 900.0}],
    "whole": {
        "plain_threads": 2, "ms_with_dataloader": 4.0, "gflops_1024_cubed": 200.0, "gflops_layer_shapes": 150.0,
        "gflops_training": 120.0, "share_of_1024_cubed": 0.6, "share_of_layer_shapes": 0.8,
        "gigabytes_per_second": 20.0,
    },
}  # fmt: skip


def lines(figure):
    return {line.get_label(): line.get_xydata().tolist() for axes in figure.axes for line in axes.lines}


def test_every_density_is_drawn_for_every_storage():
    figure, data = pictures.by_density(FOUND)
    drawn = lines(figure)
    assert drawn["ours, as in training"] == [[100, 0.75], [pytest.approx(21.1), 0.5], [pytest.approx(3.6), 0.15]]
    assert len(drawn) == 4
    assert len(data) == len(DENSITIES)


def test_growth_is_drawn_with_networks_and_with_width():
    drawn = lines(pictures.growth(FOUND)[0])
    assert drawn["one process a core"] == [[1, 1], [2, 0.5], [4, 0.25]]
    assert drawn["ours, 3.6 % kept"] == [[1e5, 0.2], [2e5, 0.4]]


def test_image_networks_are_drawn_by_density():
    drawn = lines(pictures.images(FOUND)[0])
    assert drawn["Conv-2, slim, 16x16"] == [[100, 3], [10, 30]]


def test_roofs_are_the_slower_of_memory_and_products():
    drawn = lines(pictures.roofline(FOUND)[0])
    for x, y in drawn["products of LeNet's shapes"]:
        assert y == pytest.approx(min(20 * x, 150))
    assert drawn["training, by weights kept"][0] == [8, 100]


def test_the_page_has_every_table_and_escapes_names(tmp_path):
    (tmp_path / pictures.FILES["cpu"]).write_text(json.dumps(FOUND))
    page = pictures.page(pictures.read(tmp_path))
    assert page.count("<figure id=") == 4
    assert page.count("<table") == 4
    assert "1,234" in page
    assert "a &lt;machine&gt;" in page
    assert 'href="api.html#benchmarks.pictures.roofline"' in page


def test_without_a_benchmark_it_says_so(tmp_path):
    assert pictures.read(tmp_path) is None
    assert "not-run" in pictures.page(None)


def test_a_gpu_has_its_tables_and_its_absence_a_line():
    found = {"device": "a <GPU>", "torch": "2", "date": "2026-01-01"}
    found["populations"] = [
        {"network": name, "networks": 2, "ms": 0.25, "plain_ms": 1.0, "times_faster": 4.0}
        for name in ("lenet-300-100", "resnet-20")
    ]
    found["ways"] = [
        {"network": "lenet-300-100", "networks": 2, "loop_ms": 0.25, "launched_ms": 0.5},
        {"network": "resnet-20", "networks": 2, "loop_ms": 2.0, "launched_ms": 3.0, "grouped_ms": 1234.5},
    ]
    shown = pictures.gpu_page(found)
    assert "a &lt;GPU&gt;" in shown
    assert shown.count("<table") == 2
    assert "1,234" in shown
    assert "–" in shown  # a perceptron has no other way of convolving
    assert "Not run" in pictures.gpu_page(None)


PARTED = {
    "device": "a <machine>", "date": "2026-01-01", "whole": {"gflops_1024_cubed": 100.0},
    "parts": [
        {"network": name, "side": 16, "batch": 4, "density": kept, "ms": 9 * kept, "rest_ms": 2 * kept, "gflops": 90.0,
         "share_of_products": 0.9} | {f"{part}_ms": kept for part in pictures.PARTS}
        for name in ("conv-2x32", "resnet-20x8")
        for kept in (1, 0.5)
    ],
}  # fmt: skip


def test_parts_of_a_step_stand_on_each_other():
    assert tuple(pictures.PARTS) == parts.PARTS
    figure, data = pictures.parts(PARTED)
    assert len(figure.axes) == 2
    assert len(data) == 4
    tops = [bar.get_y() + bar.get_height() for bar in figure.axes[0].patches]
    assert tops == [kept * n for n in range(1, len(pictures.PARTS) + 1) for kept in (1, 0.5)]
    assert lines(figure)["a whole step"] == [[0, 9], [1, 4.5]]


def test_the_page_of_parts_says_what_it_lacks():
    assert "--parts --record" in pictures.parts_page(None)
    page = pictures.parts_page(PARTED)
    assert "a &lt;machine&gt;" in page
    assert "Of products" in page
