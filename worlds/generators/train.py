"""Recipe `generator.train`: a text-conditioned diffusion model of block worlds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from terrarium.worlds.blocks.structures.captions import vocabulary
from terrarium.worlds.blocks.structures.source import CLASSES, Structure
from terrarium.worlds.checkpoint import save_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.generators.data import as_ids, example, held_out
from terrarium.worlds.generators.kinds import GeneratorConfig
from terrarium.worlds.generators.model import KIND, STEPS, Generator
from terrarium.worlds.generators.sheet import sheet
from terrarium.worlds.pictures.metrics import save_strip
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.states import identity
from terrarium.worlds.training.task import Stage, Step, Task

MAY_CHANGE = ("steps", "checkpoint_every_s", "log_every", "validate_every")
HIGH = 1.5  # times are drawn with density t^(HIGH - 1): what a structure is, is decided at high noise
HELD_OUT = 128
FEW = ("castle", "house", "tower", "tree", "ship", "pyramid", "bridge", "windmill")  # of the preview


def train_generator(config: GeneratorConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    torch.manual_seed(config.seed)
    generator = new_generator(config)
    examples = held_out(config.seed, HELD_OUT, config.size)

    def draw(step: Step) -> tuple[Tensor, ...]:
        which, of = step.part
        seeds = step.rng.integers(2**31, size=config.batch).reshape(of, -1)[which]
        blocks, said = zip(*(example(np.random.default_rng(seed), config.size) for seed in seeds), strict=True)
        return as_ids(blocks), generator.captions.tokens(said)

    def loss_fn(_: Step, ids: Tensor, tokens: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        t = (STEPS * torch.rand(len(ids), device=ids.device) ** (1 / HIGH)).long()
        noise = torch.randn(len(ids), *generator.shape, device=ids.device)
        with quick_attention(ids.device):
            return generator.loss(ids, t, noise, generator.read(tokens)).mean(), {}

    def validate(model: nn.Module, _: int) -> dict[str, float]:
        assert isinstance(model, Generator)
        return measure(model, examples)

    def preview(model: nn.Module, _: int) -> None:
        assert isinstance(model, Generator)
        save_strip(out_dir / "samples.png", sheet(model, FEW, 1))
        progress.preview("samples", out_dir / "samples.png")

    task = Task(
        model=generator,
        learners=[adamw(generator, loss_fn, lr=config.lr, steps=config.steps, warmup=200)],
        sample=draw,
        ema=config.ema,
        validate=validate,
        validate_every=config.validate_every,
        preview=preview,
    )
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=identity(config, MAY_CHANGE),
    )
    best = train([Stage("train", config.steps, lambda _: task)], loop, out_dir, progress)
    assert isinstance(best, Generator)
    quality = measure(best, examples)
    parallel.on_first(lambda: save_generator(out_dir / "output", best, config, quality))
    return quality


def quick_attention(device: torch.device) -> AbstractContextManager[Any]:
    """By plain matrix products on a CPU, where the fused attention takes a third of a step for its backward pass."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def new_generator(config: GeneratorConfig) -> Generator:
    return Generator(vocabulary(), **shape_of(config))


def shape_of(config: GeneratorConfig) -> dict[str, Any]:
    """What a manifest says of the network."""
    names = ("size", "patch", "width", "depth", "heads", "text", "prediction")
    return {name: getattr(config, name) for name in names}


@torch.no_grad()
def measure(generator: Generator, examples: Sequence[Structure]) -> dict[str, float]:
    """On structures whose combinations were held out: the loss at three noise levels, and how much larger it is
    without the caption at the highest (`caption_gain`, 1 where captions are ignored)."""
    device = default_device()
    ids = as_ids([each.blocks for each in examples]).to(device)
    noise = torch.randn(len(ids), *generator.shape, generator=torch.Generator().manual_seed(0)).to(device)

    def error(t: int, captions: Sequence[str]) -> float:
        times = torch.full((len(ids),), t, device=device)
        return float(generator.loss(ids, times, noise, generator.say(captions)).mean())

    captions = [each.caption for each in examples]
    found = {f"loss_t{t}": error(t, captions) for t in (500, 750, 950)}
    return found | {"caption_gain": error(950, [""] * len(captions)) / found["loss_t950"]}


def save_generator(
    folder: Path,
    generator: Generator,
    config: GeneratorConfig,
    quality: dict[str, float],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Writes a checkpoint `generator` with its weights in `dtype`."""
    manifest = {
        "model": shape_of(config),
        "vocabulary": list(generator.captions.vocabulary),
        "classes": sorted(CLASSES),
        "config": asdict(config),
        "quality": quality,
    }
    tensors = {name: tensor.to(dtype) for name, tensor in generator.state_dict().items()}
    save_checkpoint(folder, KIND, tensors, manifest)
