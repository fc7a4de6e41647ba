"""Networks of Frankle & Carbin 2019, Fig. 2, their deeper kin, and ResNet-50: `build(name, input_shape, classes)`.

Parameters travel as {name: tensor [R, *shape]}, images as [R, B, C, H, W], logits as [R, B, classes]; weights keep
torch's [out, in, ...] layout. Axis letters are those of `layers`.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import count, pairwise

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput, choose
from .layers import Layers, Tensors, sd

Dropout = Callable[[Tensor], Tensor]
Shape = tuple[int, int, int]
Layout = tuple[int | str, ...]  # widths of 3x3 convolutions and pools, input to output

POOL = "pool"
CONVS = {2: (64, 64, POOL), 4: (64, 64, POOL, 128, 128, POOL)}
CONVS |= {6: (*CONVS[4], 256, 256, POOL), 8: (*CONVS[4], 256, 256, POOL, 512, 512, POOL)}
OTHER_WIDTHS = ((2, 32), (4, 32), (4, 96), (4, 128))
VGGS = {3 * n + 7: (*CONVS[4], *[256] * n, POOL, *[512] * n, POOL, *[512] * n) for n in (2, 3, 4)}


class Model:
    """One architecture, without weights.

    name, input_shape (C, H, W), classes
    shapes    {parameter: shape of one replicate}, input to output
    kind      {prunable weight: "dense" | "conv" | "output"}, input to output; an "output" layer has a
              pruning rate of its own (`Cell.output_rate`). Biases and batch normalization are never prunable.
    channels  {batch normalization: channels}
    widths    units per layer, inputs first, of a plain MLP with biases; None for all others
    compiled  whether compiled code knows its layers: kernels of 3x3 and 1x1, pools of 2x2
    """

    widths: tuple[int, ...] | None = None
    compiled = False

    def __init__(self, name: str, input_shape: Shape, classes: int):
        self.name, self.input_shape, self.classes = name, tuple(input_shape), classes
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.kind: dict[str, str] = {}
        self.channels: dict[str, int] = {}

    @property
    def prunable(self) -> tuple[str, ...]:
        """Names of the weights that pruning may remove, input to output."""
        return tuple(self.kind)

    def init(self, generator: np.random.Generator, rule: str = "glorot") -> dict[str, np.ndarray]:
        """Initial values of one replicate, float32: Gaussian weights (see `sd`), normalization scales 1, biases 0.

        Drawn with NumPy on the CPU, so that every device starts from the same numbers.
        """
        return {name: _draw(name, shape, generator, rule) for name, shape in self.shapes.items()}

    def buffers(self, R: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensors:
        """Fresh running statistics of R replicates, [R, channels] each: means 0 and variances 1."""
        tensors = {}
        for norm, channels in self.channels.items():
            tensors[f"{norm}.running_mean"] = torch.zeros(R, channels, device=device, dtype=dtype)
            tensors[f"{norm}.running_var"] = torch.ones(R, channels, device=device, dtype=dtype)
        return tensors

    def forward(self, params, buffers, x: Tensor, training: bool, dropout: Dropout | None = None) -> Tensor:
        """Logits [R, B, classes] of images x [R, B, C, H, W]; an MLP takes [R, B, pixels] too.

        With `training`, batch normalization uses the batch's statistics and updates `buffers` IN PLACE; without, it
        uses the buffers. `dropout` maps the output [R, B, units] of each hidden dense layer, called in their order,
        to what the next layer sees; BadInput for a network that has no such layer.
        """
        return self.through(Layers(params, buffers, training, dropout), x)

    def through(self, do, x):
        """Images x -> logits, by the layers of `do` (see `layers.Layers`): the one description of the architecture."""
        raise NotImplementedError

    def _add(self, name: str, shape: tuple[int, ...], kind: str | None, bias: bool = True) -> None:
        """Register a layer's weight, which is never pruned if it has no kind, and its bias."""
        self.shapes[f"{name}.weight"] = shape
        if bias:
            self.shapes[f"{name}.bias"] = shape[:1]
        if kind:
            self.kind[f"{name}.weight"] = kind


def _draw(name: str, shape: tuple[int, ...], generator: np.random.Generator, rule: str) -> np.ndarray:
    if len(shape) > 1:
        return generator.standard_normal(shape, dtype=np.float32) * np.float32(sd(shape, rule))
    return np.full(shape, name.endswith(".norm.weight"), dtype=np.float32)


class MLP(Model):
    """Dense layers fc1, fc2, ... with rectifiers between them; on MNIST LeNet-300-100 has 266,200 weights."""

    def __init__(self, name: str, input_shape: Shape, classes: int, hidden: tuple[int, ...], bias: bool = True):
        super().__init__(name, input_shape, classes)
        widths = (math.prod(input_shape), *hidden, classes)
        self.widths, self.compiled, self.head = widths if bias else None, bias, _add_head(self, widths, bias)

    def through(self, do, x):
        return do.head(x, self.head)


class ConvNet(Model):
    """Conv-2 to -8: 3x3 convolutions with biases and rectifiers, pooled two by two, then dense layers 256, 256.

    conv-4x32, whose first width is 32, is half as wide in every layer, conv-4x128 twice.
    """

    compiled = True

    def __init__(self, name: str, input_shape: Shape, classes: int, layout: Layout, units: int = 256):
        super().__init__(name, input_shape, classes)
        self.steps = _steps(layout)
        H, W = _pooled(self, layout)
        for name, inputs, outputs in _convolutions(layout, input_shape[0]):
            self._add(name, (outputs, inputs, 3, 3), "conv")
        self.head = _add_head(self, (outputs * H * W, units, units, classes))

    def through(self, do, x):
        for step in self.steps:
            x = do.max_pool(x) if step == POOL else do.relu(do.conv(x, step))
        return do.head(x, self.head)


class NormNet(Model):
    """Batch-normalized convolutions without biases, a global average, and a layer `fc`, which only ResNet-50 prunes."""

    def forward(self, params, buffers, x, training, dropout=None):
        if dropout:
            raise BadInput(f"{self.name} has no hidden dense layer to drop units from: dropout must be 0")
        return super().forward(params, buffers, x, training)

    def through(self, do, x):
        return do.head(do.average(self.features(do, x)), ["fc"])

    def features(self, do, x):
        """Images [R, B, C, H, W] -> [R, B, channels, H', W'], by the layers of `do`."""
        raise NotImplementedError

    def _add_conv_norm(self, name: str, inputs: int, outputs: int, size: int = 3, kind: str | None = "conv") -> None:
        self._add(name, (outputs, inputs, size, size), kind, bias=False)
        self._add(f"{name}.norm", (outputs,), kind=None)
        self.channels[f"{name}.norm"] = outputs


class VGG(NormNet):
    """VGG-13, -16, -19 for small images: 10, 13 or 16 convolutions of 3x3, 9.4M, 14.7M or 20.0M weights, four pools.

    vgg-13x8 and its kin have 8 channels in the first layer instead of 64.
    """

    compiled = True

    def __init__(self, name: str, input_shape: Shape, classes: int, layout: Layout):
        super().__init__(name, input_shape, classes)
        self.steps = _steps(layout)
        _pooled(self, layout)
        for name, inputs, outputs in _convolutions(layout, input_shape[0]):
            self._add_conv_norm(name, inputs, outputs)
        self._add("fc", (classes, outputs), kind=None)

    def features(self, do, x):
        for step in self.steps:
            x = do.max_pool(x) if step == POOL else do.relu(do.conv_norm(x, step))
        return x


class ResNet(NormNet):
    """ResNet-14 to -56 (He et al. 2016, sec. 4.2): 3 stages of n blocks; n = 3, -20, is what the paper calls ResNet-18.

    The first block of stages 2 and 3 halves the image; its shortcut is a 1x1 convolution, which is never pruned.
    resnet-20x8 and its kin have 8 channels in the first stage instead of 16.
    """

    compiled = True

    def __init__(self, name: str, input_shape: Shape, classes: int, widths: tuple[int, ...]):
        super().__init__(name, input_shape, classes)
        self.strides: dict[str, int] = {}
        self._add_conv_norm("conv1", input_shape[0], widths[0])
        for block, (inputs, outputs) in enumerate(pairwise((widths[0], *widths)), start=1):
            self._add_block(f"block{block}", inputs, outputs)
        self._add("fc", (classes, widths[-1]), kind=None)

    def _add_block(self, block: str, inputs: int, outputs: int) -> None:
        self.strides[block] = 1 if inputs == outputs else 2
        self._add_conv_norm(f"{block}.conv1", inputs, outputs)
        self._add_conv_norm(f"{block}.conv2", outputs, outputs)
        if inputs != outputs:
            self._add_conv_norm(f"{block}.shortcut", inputs, outputs, size=1, kind=None)

    def features(self, do, x):
        x = do.relu(do.conv_norm(x, "conv1"))
        for block, stride in self.strides.items():
            h = do.relu(do.conv_norm(x, f"{block}.conv1", stride))
            h = do.conv_norm(h, f"{block}.conv2")
            x = do.relu(do.add(h, x if stride == 1 else do.conv_norm(x, f"{block}.shortcut", stride)))
        return x


class ResNet50(NormNet):
    """ResNet-50 (He et al. 2016, table 1) with 25,557,032 parameters for 1000 classes, laid out as torchvision's.

    Four stages of bottlenecks 1x1, 3x3, 1x1, the last four times as wide as the others; the first 3x3 of stages 2 to 4
    halves the image. Shortcuts and output layer, 19 % of the weights, are pruned like the rest, as in OpenLTH.
    """

    def __init__(self, name: str, input_shape: Shape, classes: int, layout: tuple[tuple[int, int], ...]):
        super().__init__(name, input_shape, classes)
        self.strides: dict[str, int] = {}
        self._add_conv_norm("conv1", input_shape[0], 64, size=7)
        inputs = 64
        for stage, (width, blocks) in enumerate(layout, start=1):
            for block in range(1, blocks + 1):
                self.strides[f"stage{stage}.block{block}"] = 2 if stage > 1 and block == 1 else 1
                self._add_block(f"stage{stage}.block{block}", inputs, width)
                inputs = 4 * width
        self._add("fc", (classes, inputs), kind="dense")

    def _add_block(self, block: str, inputs: int, width: int) -> None:
        self._add_conv_norm(f"{block}.conv1", inputs, width, size=1)
        self._add_conv_norm(f"{block}.conv2", width, width)
        self._add_conv_norm(f"{block}.conv3", width, 4 * width, size=1)
        if inputs != 4 * width:
            self._add_conv_norm(f"{block}.shortcut", inputs, 4 * width, size=1)

    def features(self, do, x):
        x = do.max_pool(do.relu(do.conv_norm(x, "conv1", 2)), size=3, padding=1)
        for block, stride in self.strides.items():
            h = do.relu(do.conv_norm(x, f"{block}.conv1"))
            h = do.conv_norm(do.relu(do.conv_norm(h, f"{block}.conv2", stride)), f"{block}.conv3")
            first = f"{block}.shortcut.weight" in self.shapes
            x = do.relu(do.add(h, do.conv_norm(x, f"{block}.shortcut", stride) if first else x))
        return x


def _wide(layout: Layout, first: int) -> Layout:
    """The layout whose first width is not 64 but `first`, and all others in proportion."""
    return tuple(w if w == POOL else w * first // 64 for w in layout)


def _steps(layout: Layout) -> list[str]:
    """Names of the steps of a layout: conv1, conv2, ... and POOL."""
    number = count(1)
    return [POOL if step == POOL else f"conv{next(number)}" for step in layout]


def _convolutions(layout: Layout, channels: int) -> list[tuple[str, int, int]]:
    """(name, input channels, output channels) of the convolutions of a layout."""
    widths = [channels, *(step for step in layout if step != POOL)]
    return [(f"conv{i}", inputs, outputs) for i, (inputs, outputs) in enumerate(pairwise(widths), start=1)]


def _pooled(model: Model, layout: Layout) -> tuple[int, int]:
    """(H, W) after the pools of `layout`; BadInput if nothing is left."""
    (_, H, W), pools = model.input_shape, layout.count(POOL)
    if min(H, W) < 2**pools:
        raise BadInput(f"{model.name} needs images of at least {2**pools}x{2**pools} pixels, these are {H}x{W}")
    return H >> pools, W >> pools


def _add_head(model: Model, widths: tuple[int, ...], bias: bool = True) -> list[str]:
    """Register dense layers fc1, fc2, ... of `widths`, the last one as the output; their names."""
    names = [f"fc{i}" for i in range(1, len(widths))]
    for name, (inputs, outputs) in zip(names, pairwise(widths), strict=True):
        model._add(name, (outputs, inputs), "output" if name == names[-1] else "dense", bias)
    return names


FAMILIES: dict[str, Callable[..., Model]] = {
    **{f"lenet-{3 * w}-{w}": partial(MLP, hidden=(3 * w, w)) for w in (100, 50, 200, 400)},
    **{f"mlp-{n}x{w}": partial(MLP, hidden=(w,) * n + (w // 3,)) for n, w in ((2, 300), (3, 300), (4, 300), (2, 150))},
    **{f"fc-{w}": partial(MLP, hidden=(w,), bias=False) for w in (500, 2508)},
    **{f"conv-{n}": partial(ConvNet, layout=layout) for n, layout in CONVS.items()},
    **{f"conv-{n}x{w}": partial(ConvNet, layout=_wide(CONVS[n], w), units=4 * w) for n, w in OTHER_WIDTHS},
    **{f"resnet-{6 * n + 2}": partial(ResNet, widths=(16,) * n + (32,) * n + (64,) * n) for n in (2, 3, 5, 7, 9)},
    **{f"resnet-{6 * n + 2}x8": partial(ResNet, widths=(8,) * n + (16,) * n + (32,) * n) for n in (2, 3, 5)},
    "resnet-50": partial(ResNet50, layout=((64, 3), (128, 4), (256, 6), (512, 3))),
    **{f"vgg-{layers}": partial(VGG, layout=layout) for layers, layout in VGGS.items()},
    **{f"vgg-{layers}x8": partial(VGG, layout=_wide(layout, 8)) for layers, layout in VGGS.items()},
}


def build(name: str, input_shape: Shape, classes: int) -> Model:
    """The network `name` for images of input_shape (C, H, W); BadInput for an unknown name or too small images."""
    return FAMILIES[choose("model", name, FAMILIES)](name, input_shape, classes)
