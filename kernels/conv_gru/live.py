"""The live step as one CUDA graph: at batch 1 a step is bound by its launches, and a graph is launched once.

Written for CUDA, not measured on a GPU. On a CPU the step is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from terrarium.kernels.op import on_device_of

Tensor = torch.Tensor
Step = Callable[..., tuple[Tensor, ...]]
WARM_UP = 3  # calls before the capture, so that every program is compiled and every workspace is there


class LiveStep:
    """`step(*tensors) -> tuple of tensors`, without gradients, for the shapes and dtypes of `example` alone.

    On CUDA the results are the graph's own memory: the next call writes over them, so what must last is cloned. Among
    the arguments there may be results of the call before. `step` must not read values back to the host.
    """

    def __init__(self, step: Step, example: tuple[Tensor, ...]) -> None:
        self.step = step
        self.like = [(tuple(x.shape), x.dtype, x.device) for x in example]
        self.graph: torch.cuda.CUDAGraph | None = None
        if example[0].is_cuda:
            with on_device_of(example[0]):  # its streams, whichever device is the current one
                self._capture(example)

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Raises ValueError for tensors that are not like the example."""
        given = [(tuple(x.shape), x.dtype, x.device) for x in tensors]
        if given != self.like:
            raise ValueError(f"the step was given {given}; expected {self.like}")
        if self.graph is None:
            with torch.no_grad():
                return self.step(*tensors)
        for own, x in zip(self.inputs, tensors, strict=True):
            own.copy_(x)
        self.graph.replay()
        return self.outputs

    def _capture(self, example: tuple[Tensor, ...]) -> None:
        self.inputs = tuple(x.clone() for x in example)
        side = torch.cuda.Stream(example[0].device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.no_grad():  # capture wants its warm-up on another stream
            for _ in range(WARM_UP):
                self.step(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph), torch.no_grad():
            self.outputs = self.step(*self.inputs)
