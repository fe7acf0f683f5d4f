"""Training of a ConvGRU on a GPU: a step eager in fp32, in bf16, compiled, and as one CUDA graph.

    python tests/kernels/gpu/train.py                 on a GPU; needs torch and triton alone; ends within eight minutes
    python tests/kernels/gpu/train.py --device cpu    a rehearsal on tiny sizes, without the graph

Two cells over clips of frames, a head, mean squared error, clipped gradients and AdamW: what recurs in a step of
`worlds/world_model`, whose own step `terrarium bench training` times. All forms start from the same weights and see the
same clips; a form whose losses leave those of fp32 by more than BAND is WRONG, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import torch
from torch import nn

from terrarium.kernels import ConvGRUCell

BAND = 0.02
STEPS = 20
Step = Callable[[torch.Tensor], torch.Tensor]


class Stack(nn.Module):
    """Frames [B, T, 3, H, W] -> the mean squared error of each next frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList([ConvGRUCell(3, channels), ConvGRUCell(channels, channels)])
        self.head = nn.Conv2d(channels, 3, 3, padding=1)
        self.channels = channels

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        b, _, _, height, width = clip.shape
        empty = clip.new_zeros(b, height, width, self.channels).permute(0, 3, 1, 2)
        states, loss = [empty, empty], clip.new_zeros(())
        for now, following in zip(clip[:, :-1].unbind(1), clip[:, 1:].unbind(1), strict=True):
            x = now
            for i, cell in enumerate(self.cells):
                x = states[i] = cell(x, states[i])
            loss = loss + (self.head(x).float() - following).square().mean()
        return loss / (clip.shape[1] - 1)


class Learner:
    """A model and its optimiser, the same at the start of every form."""

    def __init__(self, device: torch.device, channels: int, *, fused: bool, capturable: bool = False) -> None:
        torch.manual_seed(0)
        self.model = Stack(channels).to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=fused, capturable=capturable)

    def step(self, clip: torch.Tensor, precision: torch.dtype, loss: Step) -> torch.Tensor:
        half = torch.autocast(clip.device.type, precision) if precision != torch.float32 else nullcontext()
        with half:
            found = loss(clip)
        self.optimizer.zero_grad(set_to_none=True)
        found.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return found.detach()


def graphed(learner: Learner, clip: torch.Tensor) -> Step:
    """The whole step as one CUDA graph on the memory of `clip`. Its warm-up steps are taken back."""
    weights = {k: v.clone() for k, v in learner.model.state_dict().items()}
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            learner.step(clip, torch.bfloat16, learner.model)
    torch.cuda.current_stream().wait_stream(stream)
    graph, given = torch.cuda.CUDAGraph(), clip.clone()
    with torch.cuda.graph(graph):
        found = learner.step(given, torch.bfloat16, learner.model)
    with torch.no_grad():
        learner.model.load_state_dict(weights)
        for values in learner.optimizer.state.values():
            for value in values.values():
                value.zero_()

    def replay(clip: torch.Tensor) -> torch.Tensor:
        given.copy_(clip)
        graph.replay()
        return found.clone()

    return replay


def forms(device: torch.device, channels: int, clip: torch.Tensor) -> dict[str, Callable[[], Step]]:
    """Name -> what makes its step, so that a form is built when its turn comes."""

    def eager(precision: torch.dtype, *, fused: bool) -> Step:
        learner = Learner(device, channels, fused=fused)
        return lambda clip: learner.step(clip, precision, learner.model)

    def compiled() -> Step:
        learner = Learner(device, channels, fused=True)
        loss = torch.compile(learner.model)
        return lambda clip: learner.step(clip, torch.bfloat16, loss)

    made: dict[str, Callable[[], Step]] = {
        "eager fp32": lambda: eager(torch.float32, fused=False),
        "eager bf16, fused AdamW": lambda: eager(torch.bfloat16, fused=True),
        "compiled bf16, fused AdamW": compiled,
    }
    if device.type == "cuda":
        made["CUDA graph, bf16"] = lambda: graphed(Learner(device, channels, fused=True, capturable=True), clip)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--budget", type=float, default=420.0, help="seconds after which no other form is begun")
    given = parser.parse_args()
    device = torch.device(given.device)
    b, frames, channels, side = (2, 3, 8, 8) if device.type == "cpu" else (32, 12, 128, 16)
    clips = torch.rand(STEPS, b, frames, 3, side, side, generator=torch.Generator().manual_seed(1)).to(device)
    end, lines = time.monotonic() + given.budget, list[str]()
    expected, plain, wrong = list[float](), 0.0, 0
    for name, make in forms(device, channels, clips[0]).items():
        if time.monotonic() > end:
            lines.append(f"| {name} | not run: the time was up | | |")
            continue
        step, seconds, losses = make(), [], []
        for clip in clips:
            started = time.perf_counter()
            losses.append(step(clip).item())  # which waits for the GPU
            seconds.append(time.perf_counter() - started)
        expected = expected or losses
        apart = max(abs(a - b) / b for a, b in zip(losses, expected, strict=True))
        wrong += not apart <= BAND
        median = statistics.median(seconds[STEPS // 4 :])
        plain = plain or median
        lines.append(
            f"| {name} | {1e3 * median:.2f} | {plain / median:.2f}x | {apart:.1e}{' WRONG' * (apart > BAND)} |"
        )
    where = torch.cuda.get_device_name() if device.type == "cuda" else "rehearsed on a CPU"
    print(
        f"\n{where}, torch {torch.__version__}: {b} clips of {frames} frames, {channels} channels, {side}x{side} cells"
    )
    print("| form | ms a step | speed | losses apart |\n|---|---|---|---|")
    print("\n".join(lines))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
