"""The live step on a GPU: a CUDA graph for each of some numbers of players.

Eagerly a step is about 500 launches of programs that each take microseconds; a graph is launched once. What it reads
and writes stays where it was captured, so a state is copied in and the next one out; fewer players than a graph has
leave its last rows as they are. Codes are drawn by torch's CUDA generator, which counts on with each replay.

No graph was ever captured: there was no GPU at hand. Tests replay by calling (tests/worlds/world_model/test_graphs.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import torch

log = logging.getLogger("terrarium.player")
BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # players in a graph
WARM_UP = 3  # steps before a capture: Triton compiles and cuDNN chooses in them
Tensors = list[torch.Tensor]


class Stateful(Protocol):
    """rollout.State, as far as it is needed here."""

    def tensors(self) -> dict[str, torch.Tensor]: ...

    @classmethod
    def of(cls, t: Mapping[str, torch.Tensor], /) -> Self: ...


S = TypeVar("S", bound=Stateful)


class Graph(NamedTuple):
    inputs: Tensors
    outputs: Tensors
    replay: Callable[[], None]  # computes the outputs of the inputs, all where they are


class Graphs(Generic[S]):
    """`advance` (state, action [B, A], temperature [B] -> state) as graphs, and called like it, from one thread under
    inference mode. Captured for a number of players when it first comes; eager beyond the largest, and for good after
    a capture that failed."""

    def __init__(
        self,
        advance: Callable[[S, torch.Tensor, torch.Tensor], S],
        capture: Callable[[Callable[[Tensors], Tensors], Tensors], Graph],
    ) -> None:
        self.advance, self.capture = advance, capture
        self.graphs: dict[int, Graph] = {}
        self.failed = False

    def __call__(self, state: S, action: torch.Tensor, temperature: torch.Tensor) -> S:
        graph = self._graph(state, action, temperature)
        if graph is None:
            return self.advance(state, action, temperature)
        named, rows = state.tensors(), len(action)
        for place, x in zip(graph.inputs, (action, temperature, *named.values()), strict=True):
            place[:rows].copy_(x)
        graph.replay()
        return type(state).of({name: x[:rows].clone() for name, x in zip(named, graph.outputs, strict=True)})

    def _graph(self, state: S, action: torch.Tensor, temperature: torch.Tensor) -> Graph | None:
        bucket = next((n for n in BUCKETS if n >= len(action)), None)
        if bucket is None or self.failed:
            return None
        if bucket not in self.graphs:
            named = state.tensors()

            def run(given: Tensors) -> Tensors:
                states = type(state).of(dict(zip(named, given[2:], strict=True)))
                return list(self.advance(states, given[0], given[1]).tensors().values())

            try:
                given = [filled(x, bucket) for x in (action, temperature, *named.values())]
                self.graphs[bucket] = self.capture(run, given)
            except RuntimeError as e:
                self.failed = True
                log.warning("no CUDA graph of %d players, steps stay eager: %s", bucket, e)
        return self.graphs.get(bucket)


def filled(x: torch.Tensor, rows: int) -> torch.Tensor:
    """A copy [rows, ...] of [B, ...], its rows again and again."""
    return torch.cat([x] * -(-rows // len(x)))[:rows].clone()


def capture(run: Callable[[Tensors], Tensors], given: Tensors) -> Graph:
    """`run` on `given` as a CUDA graph. RuntimeError for what cannot be captured: a copy from the host, a look at a
    value."""
    with torch.cuda.device(given[0].device):
        current, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                run(given)
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads prepare seats meanwhile: what they allocate is no part of the graph and does not end it.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = run(given)
    return Graph(given, outputs, graph.replay)
