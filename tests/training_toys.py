"""Small trainings in the form of those to come: an adversarial painter, materials in phases, growing voxels, adapters.

torchrun --nproc-per-node 2 training_toys.py OUT     (the painter)
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from terrarium.worlds.device import default_device
from terrarium.worlds.progress import Silent, Stopped
from terrarium.worlds.training import optimisers, parallel, schedules
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.task import Learner, Stage, Task

BATCH = 4


@dataclass
class Log(Silent):
    """Keeps what it is told; asks to stop after `stop_at` steps."""

    stop_at: int = 0
    at: int = 0
    total: int = 0
    resumed_at: int | None = None
    values: dict = field(default_factory=dict)

    def step(self, step, total, phase=""):
        self.at, self.total = step, total

    def metrics(self, step, values):
        self.values[step] = self.values.get(step, {}) | dict(values)

    def resumed(self, step):
        self.resumed_at = step

    def stop_requested(self):
        return self.stop_at > 0 and self.at == self.stop_at


def run(stages, out, stop_at=0, accumulate=1):
    """-> the model (none where it was stopped), what its progress was told."""
    log = Log(stop_at)
    try:
        return train(stages, Loop(seed=3, log_every=1, checkpoint_every_s=0, accumulate=accumulate), out, log), log
    except Stopped:
        return None, log


def run_in_pieces(make_stages, out):
    """Stopped after every single step and resumed from its state -> the model, the logs."""
    logs, model = [], None
    while model is None:
        model, log = run(make_stages(), out, stop_at=len(logs) + 1)
        logs.append(log)
    return model, logs


def pictures(step):
    """Smooth pictures [B, 3, 8, 8] in [0, 1]: this part of the step's batch."""
    part, parts = step.part
    coarse = torch.from_numpy(step.rng.random((BATCH, 3, 3, 3), "float32"))[part::parts]
    return (F.interpolate(coarse, size=(8, 8), mode="bilinear"),)


class Pool(nn.Module):
    """The last pictures that a critic was shown; half of the time an old one is shown in a new one's place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("held", torch.zeros(6, 3, 8, 8))
        self.register_buffer("count", torch.tensor(0))

    def swap(self, shown, rng):
        out = shown.clone()
        for i in range(len(shown)):
            at = int(self.count) if self.count < len(self.held) else int(rng.integers(len(self.held)))
            if self.count >= len(self.held) and rng.random() < 0.5:
                out[i] = self.held[at]
            self.held[at] = shown[i]
            self.count.add_(int(self.count < len(self.held)))
        return out


def conv(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


def painter_stages(with_pool=True, steps=9):
    """Sharpens blurred pictures; a critic from step 2 on, with R1 every third step and a pool of old pictures."""

    def make(_):
        torch.manual_seed(0)
        painter = nn.Sequential(conv(3, 8), nn.ReLU(), nn.Dropout(0.1), conv(8, 3))
        critic = nn.Sequential(conv(3, 8, 2), nn.LeakyReLU(0.2), conv(8, 1))
        pool = Pool() if with_pool else None

        def paint(sharp):
            return painter(F.avg_pool2d(sharp, 3, 1, 1))

        def validate(model, _):
            sharp = torch.rand(4, 3, 8, 8).to(default_device())
            painted = model["painter"](F.avg_pool2d(sharp, 3, 1, 1))
            return {"error": (painted - sharp).abs().mean().item()}

        def critic_loss(step, sharp):
            with torch.no_grad():
                painted = paint(sharp)
            shown = pool.swap(painted, step.rng) if pool else painted
            loss = F.relu(1 - critic(sharp)).mean() + F.relu(1 + critic(shown)).mean()
            if step.index % 3 == 0:  # R1 (Mescheder et al. 2018)
                real = sharp.clone().requires_grad_()
                (slope,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
                loss = loss + 0.5 * slope.square().sum(dim=(1, 2, 3)).mean()
            return loss, {}

        def painter_loss(step, sharp):
            painted = paint(sharp)
            loss = (painted - sharp).abs().mean()
            if step.index >= 2:
                loss = loss - 0.05 * critic(painted).mean()
            return loss, {"psnr": -10 * (painted - sharp).square().mean().log10().detach()}

        return Task(
            model=nn.ModuleDict({"painter": painter, "critic": critic}),
            learners=[
                Learner(
                    name="critic",
                    loss=critic_loss,
                    optimizer=torch.optim.Adam(critic.parameters(), 4e-3, (0.5, 0.999)),
                    schedule=schedules.warm_up(3),
                    clip=0.5,
                    start=2,
                ),
                Learner(
                    name="painter",
                    loss=painter_loss,
                    optimizer=torch.optim.Adam(painter.parameters(), 4e-3, (0.5, 0.999)),
                    schedule=schedules.product(schedules.cosine(steps), schedules.plateau("error", 0.5, patience=0)),
                ),
            ],
            sample=pictures,
            ema=0.9,
            extra=pool,
            validate=validate,
            validate_every=2,
        )

    return [Stage("paint", steps, make)]


class Maps(nn.Module):
    """A backbone with batch norm, and heads for albedo and roughness."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU())
        self.heads = nn.ModuleDict({"albedo": conv(8, 3), "roughness": conv(8, 1)})

    def loss(self, _, shown):
        feats = self.backbone(shown)
        albedo, roughness = self.heads["albedo"](feats), self.heads["roughness"](feats)
        return (albedo - shown).abs().mean() + (roughness - shown.mean(1, keepdim=True)).abs().mean(), {}


MATERIAL_SCHEDULES = {
    "none": schedules.constant,
    "cosine": schedules.product(schedules.warm_up(2), schedules.cosine(5, last=0.1, start=2)),
    "step": schedules.step_decay(2, 0.5),
    "one cycle": schedules.one_cycle(5),
    "plateau": schedules.plateau("error", 0.5, patience=0, threshold=0.5),
}


def material_stages(schedule="plateau", heads_steps=5, all_steps=4):
    """First the heads, the backbone and its norms' statistics frozen; then all of it, with rates and clips a group."""

    def heads_first(_):
        torch.manual_seed(0)
        model = Maps()
        optimizer = torch.optim.AdamW(model.heads.parameters(), 1e-2)
        return task(model, optimizer, MATERIAL_SCHEDULES[schedule], frozen=[model.backbone])

    def all_of_it(model):
        optimizer = torch.optim.SGD(
            [
                {"params": model.backbone.parameters(), "lr": 1e-3, "clip": 0.1},
                {"params": model.heads["albedo"].parameters()},
                {"params": model.heads["roughness"].parameters()},
            ],
            lr=1e-2,
            momentum=0.9,
        )
        return task(model, optimizer, schedules.warm_restarts(2), frozen=optimisers.norms(model))

    def task(model, optimizer, schedule, frozen):
        return Task(
            model=model,
            learners=[Learner(loss=model.loss, optimizer=optimizer, schedule=schedule, clip=1.0)],
            sample=pictures,
            ema=0.9,
            frozen=frozen,
            validate=lambda ema, _: {"error": ema.loss(None, torch.rand(2, 3, 8, 8).to(default_device()))[0].item()},
            validate_every=2,
        )

    return [Stage("heads", heads_steps, heads_first), Stage("all", all_steps, all_of_it)]


class Grid(nn.Module):
    """Occupancy logits [X, Y, Z] in steps of 8 / X blocks; the target is a ball."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def loss(self, temperature):
        p = torch.sigmoid(self.logits / temperature)
        at = torch.stack(torch.meshgrid(*[(torch.arange(n) + 0.5) / n - 0.5 for n in p.shape], indexing="ij"))
        return F.binary_cross_entropy(p, (at.norm(dim=0) < 0.4).float().to(p.device))


def voxel_stages(coarse=5, fine=6, patience=None):
    """2^3, then 4^3, then 8^3, each from the logits of the one before; with `patience` the first two end early."""

    def make(size, steps):
        def task(before):
            if before is None:
                grid = Grid(torch.zeros(size, size, size))
            else:
                grid = Grid(F.interpolate(before.logits.detach()[None, None], size=(size,) * 3, mode="trilinear")[0, 0])

            def loss(step, noise):
                temperature = 2 - 1.5 * (step.index - step.begins) / steps
                return grid.loss(temperature) + (grid.logits.mean() * noise).mean(), {}

            return Task(
                model=grid,
                learners=[Learner(loss=loss, optimizer=torch.optim.Adam(grid.parameters(), 0.1))],
                sample=lambda step: (torch.from_numpy(step.rng.normal(0, 0.01, 3).astype("float32")),),
                ema=None,
                validate=None if patience is None else lambda grid, _: {"loss": grid.loss(1.0).item()},
                validate_every=1,
                stop=None if patience is None or size == 8 else schedules.early_stop("loss", patience, threshold=0.5),
            )

        return task

    return [Stage("2", coarse, make(2, coarse)), Stage("4", coarse, make(4, coarse)), Stage("8", fine, make(8, fine))]


class Adapted(nn.Module):
    """A linear layer with a low-rank adapter (LoRA, Hu et al. 2021): W x + B A x."""

    def __init__(self, base, rank):
        super().__init__()
        self.base = base
        self.adapter_a = nn.Parameter(0.1 * torch.randn(rank, base.in_features))
        self.adapter_b = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + x @ self.adapter_a.T @ self.adapter_b.T


def adapter_stages(steps=6, base_seed=0):
    def make(_):
        torch.manual_seed(base_seed)
        base = nn.Linear(12, 12)  # stands for a base model of a thousand times the size
        torch.manual_seed(1)
        model = Adapted(base, rank=2)
        adapters = [model.adapter_a, model.adapter_b]
        optimizer = torch.optim.AdamW(adapters, 1e-2)
        return Task(
            model=model,
            learners=[Learner(loss=lambda _, x: ((model(x) - x).square().mean(), {}), optimizer=optimizer)],
            sample=lambda step: (torch.from_numpy(step.rng.normal(size=(BATCH, 12)).astype("float32")),),
            keep=lambda name: "adapter" in name,
        )

    return [Stage("align", steps, make)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    model, _ = run(painter_stages(with_pool=False), out)
    out.mkdir(parents=True, exist_ok=True)  # the first process makes it, perhaps later than we get here
    save_file(model.state_dict(), out / f"painter-{parallel.rank()}.safetensors")
