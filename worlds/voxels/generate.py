"""Recipe `world.generate`: optimise a voxel grid under a guidance, then export the blocks that it means.

Stages: coarser grids first (`coarse`), each the next one's start, then the full size. Views and losses are in blocks of
the full size; a coarser stage moves the cameras closer.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from terrarium.worlds.blocks.map_json import BlockMap
from terrarium.worlds.checkpoint import read_manifest
from terrarium.worlds.precision import in_full
from terrarium.worlds.progress import Progress, go_on
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.states import identity
from terrarium.worlds.training.task import Learner, Stage, Step, Task
from terrarium.worlds.voxels import regularisers
from terrarium.worlds.voxels.camera import Camera
from terrarium.worlds.voxels.export import Looks, export_world, table_of
from terrarium.worlds.voxels.grid import INITS, DifferentiableVoxelGrid, Shape, coarser, of_map
from terrarium.worlds.voxels.guidance.base import Finishing, Guidance, Measured, guidance
from terrarium.worlds.voxels.kinds import GenerateConfig
from terrarium.worlds.voxels.memory import check_memory
from terrarium.worlds.voxels.render import render
from terrarium.worlds.voxels.train_log import TrainLog
from terrarium.worlds.voxels.world import content_sha256, open_world, shape_of

INPUTS = ("target", "start")  # known to a state by their content, wherever they lie
SIZE = 32  # blocks a side where neither the config nor an input says


def generate(config: GenerateConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    started = time.monotonic()
    shape = _shape(config)
    check_memory(shape, config.image)
    guide = guidance(config, shape)
    log = TrainLog(progress, out_dir / "train.jsonl")
    run = Run(config, shape, guide, Looks(shape, out_dir, log))
    inputs = {name: content_sha256(path) for name in INPUTS if (path := getattr(config, name))}
    if config.prior:
        inputs["prior"] = read_manifest(Path(config.prior), "voxel-prior")["sha256"]
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=identity(config, (*INPUTS, "prior", "log_every", "checkpoint_every_s"), **inputs),
    )
    grid = train(run.stages(), loop, out_dir, log)
    assert isinstance(grid, DifferentiableVoxelGrid)
    blocks = run.best.blocks() if run.best.found else grid.blocks()
    result: dict[str, Any] = {}
    if isinstance(guide, Finishing) and config.finish:
        whole = sum(config.coarse_steps) + config.steps
        blocks = guide.finished(blocks, config.finish, lambda: go_on(progress, whole, whole, "finish"))
    if isinstance(guide, Measured):
        result = guide.measure(blocks)
    result |= {"table": table_of(blocks)}
    facts = {"guidance": config.guidance, "prompts": list(config.prompts), "seed": config.seed, "steps": config.steps}
    block_map = BlockMap(blocks, seed=config.seed)
    parallel.on_first(lambda: export_world(out_dir, block_map, {"made": facts, "quality": result}, log))
    return result | {"blocks": int((blocks > 0).sum()), "seconds": round(time.monotonic() - started, 1)}


class Best(nn.Module):
    """The grid whose export was best so far, by PSNR. Saved with the run's states."""

    psnr: Tensor

    def __init__(self, grid: DifferentiableVoxelGrid) -> None:
        super().__init__()
        self.grid = DifferentiableVoxelGrid(
            grid.occupancy_logits.detach().clone(), grid.material_logits.detach().clone()
        )
        self.register_buffer("psnr", torch.tensor(-torch.inf))

    @property
    def found(self) -> bool:
        return bool(self.psnr > -torch.inf)

    def offer(self, grid: DifferentiableVoxelGrid, psnr: float) -> None:
        if psnr > self.psnr:
            self.grid.load_state_dict(grid.state_dict())
            self.psnr.fill_(psnr)

    def blocks(self) -> np.ndarray:
        return self.grid.blocks()


class Run:
    """The stages of one world."""

    best: Best  # of the stage under way, or of the last one

    def __init__(self, config: GenerateConfig, shape: Shape, guide: Guidance, looks: Looks) -> None:
        self.config, self.shape, self.guide, self.looks = config, shape, guide, looks

    def stages(self) -> list[Stage]:
        factors = [*self.config.coarse, 1]
        steps = [*self.config.coarse_steps, self.config.steps]
        return [self.stage(factor, count) for factor, count in zip(factors, steps, strict=True)]

    def stage(self, factor: int, steps: int) -> Stage:
        return Stage("x".join(map(str, self.divided(factor))), steps, lambda before: self.task(before, factor))

    def divided(self, factor: int) -> Shape:
        nx, ny, nz = self.shape
        return nx // factor, ny // factor, nz // factor

    def task(self, before: nn.Module | None, factor: int) -> Task:
        grid = self.first(factor) if before is None else self.finer(before, factor)
        self.best = Best(grid)

        def loss(step: Step) -> tuple[Tensor, dict[str, Tensor]]:
            with in_full(grid.lut):
                return self.loss(grid, step, factor)

        def validate(model: nn.Module, step: int) -> dict[str, float]:
            assert isinstance(model, DifferentiableVoxelGrid)
            self.looks.show(model, step)
            if not isinstance(self.guide, Measured) or factor > 1:
                return {}
            found = self.guide.measure(model.blocks())
            self.best.offer(model, found["hard_psnr"])
            return found

        groups = [
            {"params": [grid.occupancy_logits], "lr": self.config.lr},
            {"params": [grid.material_logits], "lr": self.config.material_lr or self.config.lr},
        ]
        adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
        return Task(
            model=grid,
            learners=[Learner(loss=loss, optimizer=adam)],
            sample=lambda step: (),
            ema=None,
            extra=self.best,
            validate=validate,
            validate_every=self.config.image_every,
        )

    def first(self, factor: int) -> DifferentiableVoxelGrid:
        if self.config.start is None:
            generator = torch.Generator().manual_seed(self.config.seed)
            return INITS[self.config.init](self.divided(factor), generator)
        return of_map(open_world(self.config.start).blocks)

    def finer(self, before: nn.Module, factor: int) -> DifferentiableVoxelGrid:
        assert isinstance(before, DifferentiableVoxelGrid)
        return coarser(before, self.divided(factor)).cpu()

    def loss(self, grid: DifferentiableVoxelGrid, step: Step, factor: int) -> tuple[Tensor, dict[str, Tensor]]:
        config, done = self.config, step.done
        temperature = config.temperature + (config.last_temperature - config.temperature) * done
        settled = done >= 1 - config.settle
        alpha, colour = grid(temperature, hard=done >= config.harden_from or settled)
        held = done < config.hold or settled
        if held:
            alpha = alpha.detach() + 0 * alpha  # a gradient of zero: DistributedDataParallel misses none
        pull, figures = alpha.new_zeros(()), dict[str, float]()
        for _ in range(config.views_per_step):
            view = self.guide.view(step.rng)
            picture = render(alpha, colour, moved(view.camera, factor), background=self.background(step, alpha))
            part, figures = self.guide.loss(picture.rgb.permute(2, 0, 1), view, done, step.rng)
            pull = pull + part / config.views_per_step
        terms = self.regularised(
            grid.occupancy().detach() if held else grid.occupancy(), grid.materials(temperature), done
        )
        total = torch.stack([pull, *(weight * term for weight, term in terms.values())]).sum()
        occupancy = grid.occupancy().detach()
        metrics = {
            "temperature": torch.tensor(temperature),
            "camera_index": torch.tensor(float(view.number)),
            "sds": pull.detach(),
            **{name: term.detach() for name, (_, term) in terms.items()},
            **{name: torch.tensor(value) for name, value in figures.items()},
            "num_active": (occupancy > 0.5).sum().float(),
            "occupancy_mean": occupancy.mean(),
            "occupancy_std": occupancy.std(),
        }
        return total, metrics

    def background(self, step: Step, like: Tensor) -> Tensor | None:
        """None: the sky, which known pictures and those that the prior was trained on have too."""
        if self.config.guidance not in ("sd", "sdxl") or not self.config.random_background:
            return None
        return torch.from_numpy(step.rng.random(3)).to(like)

    def regularised(self, occupancy: Tensor, materials: Tensor, done: float) -> dict[str, tuple[float, Tensor]]:
        """{name: weight and value}."""
        config = self.config
        entropy = config.entropy if done >= config.entropy_from else 0.0
        values = {
            "sparsity": (config.sparsity, lambda: regularisers.sparsity(occupancy)),
            "entropy": (entropy, lambda: regularisers.material_entropy(materials, occupancy)),
            "smooth": (config.smoothness, lambda: regularisers.smoothness(occupancy)),
            "connectivity": (config.connectivity, lambda: regularisers.connectivity(occupancy)),
        }
        return {
            name: (weight, value() if weight else occupancy.new_zeros(())) for name, (weight, value) in values.items()
        }


def moved(camera: Camera, factor: int) -> Camera:
    """The same picture of a grid whose voxels are `factor` blocks wide."""
    x, y, z = camera.eye
    return replace(camera, eye=(x / factor, y / factor, z / factor))


def _shape(config: GenerateConfig) -> Shape:
    """Of the finished grid. ValueError where an input has another than the config."""
    if config.size is not None:
        shape = (config.size, config.size, config.size)
    else:
        given = [shape_of(path) for path in (config.start, config.target) if path is not None]
        shape = next((found for found in given if found is not None), (SIZE, SIZE, SIZE))
    if config.start is not None and (found := shape_of(config.start)) != shape:
        raise ValueError(f"start {config.start} has {found} blocks, expected {list(shape)}")
    for factor in config.coarse:
        if any(side % factor for side in shape):
            raise ValueError(f"coarse {factor} does not divide {list(shape)} blocks: expected a divisor of each side")
    return shape
