"""What training costs: pictures of a recorded benchmark (`make bench`) for the page "What it costs"."""

import json
import math
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tickets.book import pages
from tickets.figures.show import figure as show
from tickets.figures.style import MARKERS, PALETTE, WORDS, finish, legend_below, panels

from . import FILES

OURS, PLAIN = "#1b6ca8", "0.45"
DENSITIES = {
    "level": "Level", "density": "Weights kept", "ms": "Ours, ms", "plain_ms": "Plain loop, ms",
    "times_faster": "Times faster", "all_dense_ms": "All layers dense, ms", "all_sparse_ms": "All by kept weights, ms",
}  # fmt: skip
CONVOLUTIONS = {
    "network": "Network", "batch": "Batch", "alone_ms": "One network, ms", "loop_ms": "Loop, ms",
    "grouped_ms": "Grouped, ms", "unfolded_ms": "Unfolded, ms", "channels_last_ms": "Channels last, ms",
}  # fmt: skip
IMAGES = {
    "network": "Network", "side": "Pixels a side", "batch": "Batch", "density": "Weights kept", "ms": "Ours, ms",
    "plain_ms": "Plain loop, ms", "times_faster": "Times faster", "all_dense_ms": "All layers whole, ms",
    "all_sparse_ms": "All by kept weights, ms",
}  # fmt: skip
POPULATIONS = {
    "network": "Network", "networks": "Trained together", "ms": "Ours, ms", "plain_ms": "Plain loop, ms",
    "times_faster": "Times faster",
}  # fmt: skip
WAYS = {
    "network": "Network", "networks": "Trained together", "loop_ms": "One graph, as in training, ms",
    "launched_ms": "Kernel by kernel, ms", "grouped_ms": "Grouped, ms", "unfolded_ms": "Unfolded, ms",
    "channels_last_ms": "Channels last, ms",
}  # fmt: skip
PARTS = {
    "pictures": "pictures taken in", "forward": "convolutions forward", "backward": "convolutions backward",
    "norms": "normalization, rectifiers, sums", "pools": "pools", "head": "dense layers", "optimizer": "optimizer",
}  # fmt: skip
SHARES = {
    "network": "Network", "side": "Side", "density": "Kept", "ms": "Step, ms", "forward_ms": "Forward",
    "backward_ms": "Backward", "norms_ms": "Norms", "pools_ms": "Pools", "head_ms": "Dense", "gflops": "Billion op/s",
    "share_of_products": "Of products",
}  # fmt: skip
RIVAL = {
    "network": "Network", "side": "Side", "density": "Kept", "ms": "Ours, ms", "sparseprop_ms": "SparseProp, ms",
    "plain_ms": "Plain loop, ms", "times_faster": "SparseProp / ours",
}  # fmt: skip
CAPTIONS = {
    "cost-by-density": "Milliseconds of a network-step of LeNet against weights kept: ours, with all layers dense, "
    "with all by kept weights, and the plain loop.",
    "cost-images": "How many times faster than the plain loop a step of four image networks is, against weights kept.",
    "cost-growth": "Milliseconds of a network-step of LeNet against networks trained at once, and against their width. "
    "More networks than cores take turns: that part of the line is computed. Stacked ones do without validation.",
    "cost-roofline": "Roofline: operations a second against operations for each byte that a step must move, and what "
    "the machine reaches at most.",
    "cost-parts": "Milliseconds of the parts of a step of four image networks, by weights kept; the mark is the whole.",
}
MEMORY = {"process": "Process", "megabytes": "Peak memory, MB"}


def read(folder: Path, kind: str = "cpu") -> dict | None:
    """The recorded benchmark of a kind of device in `folder`; None where there is none."""
    path = Path(folder) / FILES[kind]
    return json.loads(path.read_text()) if path.exists() else None


def every(folder: Path) -> dict[str, str]:
    """File name -> measured part of the page, of what is recorded in `folder`."""
    made = {"cpu": page, "parts": parts_page, "sparseprop": rival_page, "cuda": gpu_page}
    return {f"costs_{kind}.html": make(read(folder, kind)) for kind, make in made.items()}


def page(found: dict | None) -> str:
    """The measured part of the page, HTML: where and when, then a figure and a table for each question."""
    if found is None:
        return '<p class="not-run">Not run: no benchmark of this kind of device is recorded yet.</p>'
    frames = {name: pd.DataFrame(rows) for name, rows in found.items() if isinstance(rows, list)}
    parts = [
        _facts(found),
        "<h2>Density</h2>", _figure(found, by_density, "cost-by-density"),
        _table(frames["densities"], DENSITIES),
        "<h2>Image networks on one core</h2>",
        _figure(found, images, "cost-images"),
        _table(frames["images"].replace({"network": WORDS}), IMAGES),
        "<h2>Replicates and width</h2>",
        _figure(found, growth, "cost-growth"),
        "<h2>The machine's limits</h2>",
        _figure(found, roofline, "cost-roofline"),
        "<h2>Convolutions of a population of two</h2>",
        "<p>Loop: one network after the other; grouped: one convolution, a group for each; unfolded: patches laid out "
        "for one product of matrices; channels last: the loop, with the channels of a pixel side by side.</p>",
        _table(frames["convolutions"].replace({"network": WORDS}), CONVOLUTIONS),
        "<h2>Memory</h2>", _table(frames["memory"], MEMORY),
    ]  # fmt: skip
    return "\n".join(parts)


def gpu_page(found: dict | None) -> str:
    """The part of the page on a GPU, HTML: where and when, populations against the plain loop, other ways to step."""
    if found is None:
        return '<h2>On a GPU</h2><p class="not-run">Not run: no benchmark of a GPU is recorded yet.</p>'
    frames = [pd.DataFrame(found[name]).replace({"network": WORDS}) for name in ("populations", "ways")]
    facts = f"{escape(found['device'])}, torch {found['torch']}, on {found['date']}"
    tables = [_table(frame, heads) for frame, heads in zip(frames, (POPULATIONS, WAYS), strict=True)]
    return "\n".join(["<h2>On a GPU</h2>", f"<p>Measured on one {facts}.</p>", *tables])


def parts_page(found: dict | None) -> str:
    """Where a step of an image network goes, HTML: where and when, a figure and its table."""
    if found is None:
        return '<p class="not-run">Not run: <code>python -m benchmarks --parts --record</code> measures it.</p>'
    rate = found["whole"]["gflops_1024_cubed"]
    return "\n".join([
        "<h2>Where a step of an image network goes</h2>",
        f"<p>Measured on one core of {escape(found['device'])} on {found['date']}; its products of matrices of 1024 x "
        f"1024 reach {rate:.0f} billion operations a second.</p>",
        _figure(found, parts, "cost-parts"),
        "<p>Milliseconds; forward, backward and the rate are those of convolutions. The data have the rest.</p>",
        _table(pd.DataFrame(found["parts"]).replace({"network": WORDS}), SHARES),
    ])  # fmt: skip


def rival_page(found: dict | None) -> str:
    """Ours beside the layers of another library, HTML: where and when, and a table."""
    if found is None:
        return '<p class="not-run">Not run: <code>python -m benchmarks --sparseprop --record</code> measures it.</p>'
    return "\n".join([
        "<h2>Beside the layers of SparseProp</h2>",
        f"<p>Measured on one core of {escape(found['device'])}, torch {found['torch']}, on {found['date']}.</p>",
        _table(pd.DataFrame(found["rival"]).replace({"network": WORDS}), RIVAL),
    ])  # fmt: skip


def _facts(found: dict) -> str:
    whole, dense = found["whole"], found["densities"][0]
    shares = {name: f"{whole[f'share_of_{name}']:.0%}" for name in ("layer_shapes", "1024_cubed")}
    return (
        f"<p>Measured on {escape(found['device'])}, {found['cores']} cores, torch {found['torch']}, "
        f"numba {found['numba']}, version {found['algorithm']} of the "
        f"algorithm, on {found['date']}. Dense training runs at {whole['gflops_training']:.0f} billion "
        f"operations a second: {shares['layer_shapes']} of what the machine's matrix products reach in the shapes of "
        f"these layers, {shares['1024_cubed']} of what they reach at 1024 x 1024 x 1024. A dense network-step takes "
        f"{dense['ms']:.2f} ms of the whole machine, the plain loop's {dense['plain_ms']:.2f} ms with "
        f"{whole['plain_threads']} thread(s), and {whole['ms_with_dataloader']:.2f} ms when images come out of a "
        f"DataLoader one by one.</p>"
    )


def _figure(found: dict, draw, name: str) -> str:
    by, said = f"benchmarks.pictures.{draw.__name__}", CAPTIONS[name]
    return show(True, lambda: draw(found), name, said, by, said, api="api.html").data


def _table(frame: pd.DataFrame, heads: dict[str, str]) -> str:
    return pages.table(frame[[name for name in heads if name in frame]].rename(columns=heads).map(_short)).data


def _short(value):
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def by_density(found: dict) -> tuple[Figure, pd.DataFrame]:
    """Milliseconds per network-step against density: ours, all dense, all by kept weights, the plain loop."""
    frame = pd.DataFrame(found["densities"])
    figure, axes = plt.subplots(figsize=(7, 4))
    lines = {
        "plain_ms": ("plain PyTorch loop", PLAIN, "s-"),
        "all_dense_ms": ("ours, all layers dense", OURS, ":"),
        "all_sparse_ms": ("ours, all by kept weights", OURS, "--"),
        "ms": ("ours, as in training", OURS, "o-"),
    }
    for column, (label, colour, style) in lines.items():
        axes.plot(100 * frame["density"], frame[column], style, color=colour, label=label, ms=5)
    axes.set(xscale="log", yscale="log", xlabel="weights kept (%)", ylabel="ms per network-step")
    axes.invert_xaxis()
    axes.set_xticks(100 * frame["density"], [f"{100 * density:.3g}" for density in frame["density"]], minor=False)
    axes.minorticks_off()
    axes.legend(frameon=False)
    return figure, frame


def images(found: dict) -> tuple[Figure, pd.DataFrame]:
    """How many times faster than the plain loop a step of an image network is on one core, against density."""
    frame = pd.DataFrame(found["images"])
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.axhline(1, color=PLAIN, lw=1)
    for i, ((name, side), rows) in enumerate(frame.groupby(["network", "side"], sort=False)):
        label = f"{WORDS[name]}, {side}x{side}"
        axes.plot(100 * rows["density"], rows["times_faster"], f"{MARKERS[i]}-", color=PALETTE[i], label=label, ms=5)
    axes.set(xscale="log", yscale="log", xlabel="weights kept (%)", ylabel="times faster than the plain loop")
    axes.invert_xaxis()
    axes.set_xticks(ticks := sorted(set(100 * frame["density"])), [f"{tick:.3g}" for tick in ticks], minor=False)
    axes.set_yticks(times := [0.5, 1, 2, 4, 8, 16], [f"{time:g}" for time in times])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return figure, frame


def parts(found: dict) -> tuple[Figure, pd.DataFrame]:
    """Milliseconds of the parts of a step, one on the other, a panel for each image network."""
    frame = pd.DataFrame(found["parts"])
    nets = list(frame.groupby(["network", "side"], sort=False))
    figure, grid = panels(len(nets), height=2.8)
    for axes, ((name, side), rows) in zip(grid.flat, nets, strict=False):
        at, below = np.arange(len(rows)), np.zeros(len(rows))
        for i, (part, label) in enumerate(PARTS.items()):
            axes.bar(at, rows[f"{part}_ms"], bottom=below, color=PALETTE[i], label=label)
            below = below + rows[f"{part}_ms"].to_numpy()
        axes.plot(at, rows["ms"], "_", color="black", ms=16, mew=2, label="a whole step")
        axes.set_title(f"{WORDS[name]}, {side}x{side}", fontsize=9)
        axes.set_xticks(at, [f"{100 * kept:.3g}" for kept in rows["density"]])
        axes.set(xlabel="weights kept (%)", ylabel="ms")
    legend_below(figure, grid, columns=3)
    return finish(figure), frame


def growth(found: dict) -> tuple[Figure, pd.DataFrame]:
    """Milliseconds per network-step: against networks trained together, and against the width of the hidden layers."""
    networks, widths = pd.DataFrame(found["replicates"]), pd.DataFrame(found["widths"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    left.plot(networks["networks"], networks["processes_ms"], "o-", color=OURS, label="one process a core")
    left.plot(networks["networks"], networks["stacked_ms"], "s--", color=PLAIN, label="stacked on one core")
    left.set(xlabel="networks trained together", ylabel="ms per network-step", ylim=(0, None))
    left.set_xscale("log", base=2)
    left.set_xticks(networks["networks"], networks["networks"])
    for column, label, style, colour in (
        ("plain_ms", "plain loop, dense", "s-", PLAIN),
        ("ms", "ours, dense", "o-", OURS),
        ("sparse_ms", "ours, 3.6 % kept", "o--", OURS),
    ):
        right.plot(widths["weights"], widths[column], style, color=colour, label=label)
    right.set(xscale="log", yscale="log", xlabel="weights of the dense network")
    for axes in (left, right):
        axes.legend(frameon=False)
    figure.tight_layout()
    return figure, pd.concat([networks, widths])


def roofline(found: dict) -> tuple[Figure, pd.DataFrame]:
    """Rate of needed operations against operations per byte moved, below the machine's own two measured roofs."""
    frame, whole = pd.DataFrame(found["densities"]), found["whole"]
    figure, axes = plt.subplots(figsize=(7, 4.2))
    reach = np.geomspace(0.5, 40, 50)
    for name, label in (
        ("1024_cubed", "products of 1024 x 1024 x 1024"),
        ("layer_shapes", "products of LeNet's shapes"),
    ):
        roof = np.minimum(whole["gigabytes_per_second"] * reach, whole[f"gflops_{name}"])
        axes.plot(reach, roof, color=PLAIN, ls="-" if name == "1024_cubed" else ":", label=label)
    axes.plot(frame["operations_per_byte"], frame["gflops"], "o", color=OURS, label="training, by weights kept")
    for row in frame.itertuples():
        side = 4 if row.density == 1 else -6  # away from the slope, and the last from the roof
        place = {"textcoords": "offset points", "xytext": (6, side), "fontsize": 8}
        axes.annotate(f"{100 * row.density:.3g} %", (row.operations_per_byte, row.gflops), **place)
    axes.set(xscale="log", yscale="log", xlabel="operations per byte", ylabel="billion operations a second")
    legend_below(figure, np.array([[axes]]), columns=2)
    return figure, frame[["density", "operations_per_byte", "gflops"]]
