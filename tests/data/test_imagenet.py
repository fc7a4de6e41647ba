"""ImageNet on a folder of a few made images: what is read, what is drawn, training on it, and what it would cost."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from tickets import chapters
from tickets.arms import measures
from tickets.cells import Cell, unseeded
from tickets.chapters.linear_mode_connectivity.study import RESNET50
from tickets.connectivity import mixtures
from tickets.data import dataset, imagenet, sources
from tickets.data.reader import Reader
from tickets.errors import BadInput, MachineFault
from tickets.evidence import claims
from tickets.nets import models
from tickets.running import faults
from tickets.running.run import run
from tickets.seeds import stream
from tickets.training import schedule
from tickets.training.train import choose_path
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

SIZES = {"train": 12, "val": 6}
NET = Cell(
    dataset="imagenet", inputs="standard", augment="resized_crop", model="resnet-20", steps=2, batch=3,
    optimizer="sgd", learning_rate=0.05, momentum=0.9, scope="global", output_rate=0, rate=0.7,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pictures of 3 classes, wide and high, some smaller than 224 pixels, some grey, some transparent."""
    generator = np.random.default_rng(0)
    for part, count in SIZES.items():
        for i in range(count):
            channels, suffix = [(3, "JPEG"), (1, "JPEG"), (4, "png")][i // 2 % 3]
            size = *[(300, 400), (500, 280), (60, 90)][i % 3], channels
            pixels = generator.integers(256, size=size, dtype=np.uint8)
            path = tmp_path / "imagenet" / part / f"n0000000{i % 3}" / f"{i}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.squeeze()).save(path)
    monkeypatch.setenv("TICKETS_DATA", str(tmp_path))
    monkeypatch.setattr(imagenet, "SIZES", SIZES)
    monkeypatch.setattr(imagenet, "CLASSES", 3)
    monkeypatch.setitem(dataset.HELD_OUT, "imagenet", 4)
    return tmp_path / "imagenet"


def test_images_come_from_disk_in_the_shape_of_their_index(folder):
    found = sources.load("imagenet")
    assert (found.shape, sources.described("imagenet")) == ((3, 224, 224), ((3, 224, 224), 1000))
    assert found.classes == 3
    assert sorted(found.train_labels.tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    train, held_out = dataset.split(found, replicate=1)
    assert sorted([*train, *held_out]) == list(range(12))
    assert len(held_out) == 4
    index = torch.tensor([[0, 5], [11, 0]])
    images = found.train_images.to("cpu")[index]
    assert (images.shape, images.dtype) == ((2, 2, 3, 224, 224), torch.uint8)
    assert torch.equal(images[0, 0], images[1, 1])
    assert not torch.equal(images[0, 0], images[0, 1])
    x = dataset.scale(images, found, "standard", torch.float64)
    normalize = transforms.Normalize(*imagenet.MOMENTS)
    torch.testing.assert_close(x[0, 1], normalize(images[0, 1].double() / 255))


def test_without_augmentation_an_image_is_the_middle_of_its_picture(folder):
    found = sources.load("imagenet")
    expected = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.PILToTensor()])
    pictures = sorted((folder / "val").rglob("*.*"))
    for i, path in enumerate(pictures):
        assert torch.equal(found.test_images[torch.tensor(i)], expected(Image.open(path).convert("RGB")))
    assert [int(path.parent.name[-1]) for path in pictures] == found.test_labels.tolist()


def test_the_random_parts_of_a_step_follow_replicate_level_order_and_step(folder):
    def batch(step, **changes):
        return Reader([NET.but(**changes)]).batch(torch.tensor([step]))[0][0]

    first = batch(1)
    assert first.shape == (3, 3, 224, 224)
    assert torch.equal(first, batch(1))
    both = Reader([NET, NET.but(order=1)]).batch(torch.tensor([1]))[0]
    assert torch.equal(both[0], first)
    assert torch.equal(both[1], batch(1, order=1))
    keys = [{}, {"replicate": 1}, {"level": 1}, {"order": 1}]
    drawn = [imagenet.draws(*(change.get(n, 0) for n in ("replicate", "level", "order")), 0, 5) for change in keys]
    drawn.append(imagenet.draws(0, 0, 0, 1, 5))
    assert len({d.tobytes() for d in drawn}) == 5
    images, index = sources.load("imagenet").train_images, torch.tensor([2])
    parts = [images.cropped(index, d[:1]) for d in drawn]
    assert all(not torch.equal(parts[0], other) for other in parts[1:])


def test_a_random_part_is_cut_out_resized_and_flipped(folder):
    images, u = sources.load("imagenet").train_images, np.full(imagenet.DRAWS, 0.5)
    picture = Image.open(images.paths[1]).convert("RGB")
    top, left, height, width = imagenet.box(*picture.size, u)
    part = picture.crop((left, top, left + width, top + height)).resize((224, 224), Image.Resampling.BILINEAR)
    straight = torch.from_numpy(np.array(part)).permute(2, 0, 1)
    u[0] = 0.49
    flipped = images.cropped(torch.tensor([1, 1]), np.stack([np.full(imagenet.DRAWS, 0.5), u]))
    assert torch.equal(flipped[0], straight)
    assert torch.equal(flipped[1], straight.flip(2))


@pytest.mark.parametrize("size", [(500, 375), (100, 400), (90, 60)])
def test_random_parts_are_distributed_as_torchvision_s(size):
    def facts(boxes):
        top, left, h, w = np.array(boxes).T
        assert (min(top.min(), left.min()) >= 0) & ((top + h).max() <= size[1]) & ((left + w).max() <= size[0])
        return np.stack([h * w / (size[0] * size[1]), np.log(w / h), top / size[1], left / size[0]])

    ours = facts([imagenet.box(*size, u) for u in imagenet.draws(0, 0, 0, 0, 3000)])
    torch.manual_seed(0)
    blank, how = torch.empty(3, *size[::-1]), ([0.08, 1.0], [3 / 4, 4 / 3])
    theirs = facts([transforms.RandomResizedCrop.get_params(blank, *how) for _ in range(3000)])
    for one, other in zip(ours, theirs, strict=True):
        spread = np.sqrt((one.var() + other.var()) / 3000)
        assert abs(one.mean() - other.mean()) < 4 * spread
        assert abs(one.std() - other.std()) < 4 * spread


def test_a_picture_that_no_try_fits_in_gives_its_middle():
    assert imagenet.box(400, 100, np.ones(imagenet.DRAWS)) == (0, 133, 100, 133)


def test_networks_train_on_it_and_copies_are_compared(folder, store, monkeypatch):
    monkeypatch.setattr(imagenet, "SIDE", 48)  # the same pictures, smaller, so that a CPU takes seconds
    copy = {"level": 1, "rewind": 1}
    cells = [NET, NET.but(**copy), NET.but(**copy, order=1), NET.but(**copy, arm="chord", points=3)]
    table = run(cells, engine="serial", store=store).set_index("arm")
    assert table.loc["ticket", "steps"].tolist() == [2] * 3
    kept = table.loc["ticket", "density"].tolist()
    assert kept[0] == 1
    assert kept[1] == pytest.approx(0.3, abs=1e-5)
    assert not table.loc["ticket", "diverged"].any()
    assert np.isfinite(table.loc["chord", ["barrier_test", "barrier_test_reestimated", "distance"]].astype(float)).all()


def test_a_perceptron_on_it_takes_the_path_that_needs_no_pixels_in_memory():
    cell = NET.but(model="lenet-300-100", augment="none")
    assert choose_path(models.build(cell.model, (3, 224, 224), 1000), "cpu", cell) == "autograd"


def test_large_images_are_mixed_a_few_at_a_time(monkeypatch):
    cell = Cell(dataset="digits", model="resnet-20", batch=16, arm="chord", precision="float64")
    model = models.build("resnet-20", (1, 8, 8), 10)
    networks = [
        {n: a.astype("float64") for n, a in model.init(stream("init", r)).items()}
        | {n: t[0].numpy() for n, t in model.buffers(1, dtype=torch.float64).items()}
        for r in range(2)
    ]
    line = np.array([[1, 0], [0.5, 0.5], [0, 1]])
    monkeypatch.setattr(mixtures, "BATCHES", 3)
    whole = mixtures.Mixtures(cell, model, networks).read(line, "test", "reestimated")
    monkeypatch.setattr(mixtures, "PIXELS", 1)
    few = mixtures.Mixtures(cell, model, networks).read(line, "test", "reestimated")
    np.testing.assert_allclose(few[0], whole[0], rtol=1e-10)
    assert (few[1] == whole[1]).all()


def test_what_is_missing_or_spoilt_is_one_line(folder, store, monkeypatch):
    spoilt = next((folder / "val").rglob("*.JPEG"))
    found = sources.load("imagenet")
    place = torch.tensor(found.test_images.paths.index(str(spoilt)))
    spoilt.write_bytes(b"no image")
    with pytest.raises(BadInput, match=f"wrong bytes in {re.escape(str(spoilt))}: [^\n]*$"):
        found.test_images[place]
    spoilt.unlink()
    with pytest.raises(MachineFault, match=f"{re.escape(str(spoilt))} cannot be read: No such file or directory$"):
        found.test_images[place]
    imagenet.load.cache_clear()
    with pytest.raises(BadInput, match=r"not in .*/val: put its 6 images .* 3 classes \(found: 5 in 3\)[^\n]*$"):
        sources.load("imagenet")
    monkeypatch.undo()
    monkeypatch.setenv("TICKETS_DATA", str(folder / "val"))
    with pytest.raises(BadInput, match=r"imagenet/train: put its 1,281,167 .* 1,000 .*found: none.*TICKETS_DATA"):
        sources.load("imagenet")


def test_the_rest_of_a_study_goes_on_without_it(tmp_path, store, monkeypatch):
    monkeypatch.setenv("TICKETS_DATA", str(tmp_path))
    digits, said = Cell(dataset="digits", model="resnet-20", steps=2, batch=8), []
    table = run([NET, NET.but(order=1), digits], engine="serial", store=store, say=said.append)
    assert table["dataset"].tolist() == ["digits"]
    assert len(said) == 1
    assert re.fullmatch("2 cells are left out. ImageNet is not in .*train: .*", said[0])
    assert faults.report(store, [NET]) == []  # nothing failed: it runs once the images are there


def test_the_study_has_the_cells_of_its_claims_and_they_cost_what_is_said():
    cells = [cell for cell in chapters.cells("02_linear_mode_connectivity", "paper") if cell.dataset == "imagenet"]
    assert {unseeded(cell) for cell in cells} == {RESNET50}
    train = 1_281_167 - dataset.HELD_OUT["imagenet"]
    assert (RESNET50.steps - 1) * RESNET50.batch < 90 * train <= (RESNET50.steps + 0.5) * RESNET50.batch
    entries = claims.load()
    of_claim = {
        "M1-r50": [cell for cell in cells if not cell.level],
        "M3-r50": [cell for cell in cells if cell.level or not (cell.order or cell.arm == "chord")],
    }
    model = models.build(RESNET50.model, *sources.described("imagenet"))
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        params = {name: torch.empty(1, *shape) for name, shape in model.shapes.items()}
        model.forward(params, model.buffers(1, "meta"), torch.empty(1, 1, *model.input_shape), training=False)
    read = len(schedule.stops(RESNET50, 0)) + len(schedule.test_steps(RESNET50))  # 50,000 images each
    each = 3 * RESNET50.steps * RESNET50.batch + 50_000 * read  # images forward
    point = train + 3 * 50_000 + 2 * mixtures.BATCHES * RESNET50.micro_batch  # readings, statistics twice
    for name, mine in of_claim.items():
        entry = entries[name]
        assert chapters.networks("paper")[entry["study"]].cells[entry["network"]] == RESNET50
        points = [cell.own["points"] for cell in mine if measures(cell.arm)]
        lines = len(points)
        operations = counter.get_total_flops() * ((len(mine) - lines) * each + sum(points) * point)
        said = re.search(r"(\d+) networks.* (\d+) lines.* (\d+) hours", entry["needs"]).groups()
        assert (int(said[0]), int(said[1])) == (len(mine) - lines, lines)
        assert int(said[2]) == pytest.approx(operations / 30e12 / 3600, rel=0.02)
