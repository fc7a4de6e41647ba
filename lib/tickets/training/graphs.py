"""A step of training on a GPU as one graph: recorded once, then replayed.

To launch a kernel takes longer than most kernels of a small network run: a LeNet's step is dozens of them. A replay
launches all at once, and they are the same kernels on the same memory: numbers do not change by a bit.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def recordable(device) -> bool:
    """Whether steps on a device can be graphs."""
    return torch.device(device).type == "cuda"


def recorded(step: Callable[[], None], tensors: Iterable[Tensor], generators=()) -> Callable[[], None]:
    """`step` as a graph. It reads and changes nothing but tensors in place, and draws from `generators` alone.

    tensors: all that it changes; they, and the generators, are left as they were.
    """
    before, drawn = [(tensor, tensor.detach().clone()) for tensor in tensors], [g.get_state() for g in generators]
    aside, now = torch.cuda.Stream(), torch.cuda.current_stream()
    aside.wait_stream(now)
    with torch.cuda.stream(aside):
        for _ in range(3):  # set up what libraries set up at their first calls; undone below
            step()
    now.wait_stream(aside)
    with torch.no_grad():
        for tensor, value in before:
            tensor.copy_(value)
    graph = torch.cuda.CUDAGraph()
    for generator, state in zip(generators, drawn, strict=True):
        generator.set_state(state)
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        step()
    return graph.replay
