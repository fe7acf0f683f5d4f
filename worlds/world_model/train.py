"""Recipe `world-model.train`: ConvGRU dynamics on the codes of a tokenizer.

Teacher forcing with corrupted codes; in a share of the batches the clip ends in a self-rollout on sampled, detached
codes with gradient through the state, of 1 to `horizon` frames; the horizon is 1, 2, 4, ... over the run.
"""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from worlds.checkpoint import load_checkpoint, load_into, save_checkpoint, tensors_sha256
from worlds.episodes.format import Dataset, open_dataset
from worlds.pictures.metrics import psnr, save_strip
from worlds.progress import Progress, Stage
from worlds.training import parallel
from worlds.training.loop import Loop, Step, train
from worlds.world_model.data import ClipStore, data_facts, resume_key, tokenise
from worlds.world_model.dynamics import Dynamics, Prediction
from worlds.world_model.fits import DOWN
from worlds.world_model.kinds import TokenizerConfig, WorldModelConfig
from worlds.world_model.rollout import burn_in, rollout
from worlds.world_model.starts import save_starts
from worlds.world_model.tokenizer import Tokenizer, channels_last, load_tokenizer, to_pictures
from worlds.world_model.train_tokenizer import train_tokenizer

OTHERS = 3  # actions that the true one is told from
WITNESSES = 16  # independent cells in a frame, more or less: neighbours say the same
SAMPLE_AT = 0.5  # temperature of the codes that training shows itself


def train_world_model(config: WorldModelConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Without a tokenizer, `out_dir/tokenizer` gets one first; a stop there goes on there."""
    started = time.monotonic()
    dataset = open_dataset(config.data)
    folder, progress = tokenizer_first(config, out_dir, progress)
    tokenizer, tokenizer_manifest = load_tokenizer(folder)
    progress.step(0, config.steps, "tokenise")
    train_clips, val_clips = (load_clips(dataset, split, tokenizer, config, out_dir) for split in ("train", "val"))
    model = new_model(config, dataset, tokenizer)
    inputs = [tokenizer_manifest["sha256"]]
    if config.start:
        inputs.append(go_on_from(Path(config.start), model))
    losses = Losses(model, config)
    held_out = val_clips.sample(np.random.default_rng(config.seed), 16)

    def preview(ema: torch.nn.Module, step: int) -> None:
        assert isinstance(ema, Dynamics)
        values, rows = _look(ema, *held_out)
        save_strip(out_dir / "rollout.png", rows)
        progress.preview("rollout", out_dir / "rollout.png")
        progress.metrics(step, values)

    loop = Loop(
        steps=config.steps,
        lr=config.lr,
        seed=config.seed,
        ema=config.ema,
        accumulate=config.accumulate,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        resume_key=resume_key(config, dataset, *inputs),
    )
    ema = train(
        model,
        lambda step: train_clips.sample(step.rng, config.batch, step.part),
        losses,
        loop,
        out_dir,
        progress,
        preview,
    )
    assert isinstance(ema, Dynamics)
    values, _ = _look(ema, *held_out)

    def save() -> None:
        save_world_model(out_dir / "output", ema, data_facts(dataset))
        if dataset.manifest["source"]["kind"] != "blocks":
            save_starts(out_dir / "output", dataset)

    parallel.on_first(save)
    seconds = round(time.monotonic() - started, 1)
    return {
        "steps": config.steps,
        "parameters": sum(p.numel() for p in ema.parameters() if p.requires_grad),
        "seconds": seconds,
    } | values


def tokenizer_first(config: WorldModelConfig, out_dir: Path, progress: Progress) -> tuple[Path, Progress]:
    """The tokenizer's folder, and the progress of what follows. If none is given, one is trained as a first stage."""
    if given := config.tokenizer or config.start:
        return Path(given), progress
    folder, total = out_dir / "tokenizer", config.tokenizer_steps + config.steps
    if not (folder / "output" / "manifest.json").is_file():
        first = TokenizerConfig(
            data=config.data,
            channels=config.tokenizer_channels,
            steps=config.tokenizer_steps,
            accumulate=config.accumulate,
            seed=config.seed,
            checkpoint_every_s=config.checkpoint_every_s,
            log_every=config.log_every,
        )
        train_tokenizer(first, folder, Stage(progress, 0, total, "tokenizer"))
    return folder / "output", Stage(progress, config.tokenizer_steps, total)


def new_model(config: WorldModelConfig, dataset: Dataset, tokenizer: Tokenizer) -> Dynamics:
    """An untrained model for the dataset's frames and actions, the same for the same seed."""
    torch.manual_seed(config.seed)
    height, width = dataset.frame_size
    grid = (height // DOWN, width // DOWN)
    model = channels_last(Dynamics(config, tokenizer, grid, len(dataset.manifest["action_names"])))
    if config.compile:
        model.compile_parts()
    return model


def go_on_from(folder: Path, model: Dynamics) -> str:
    """Loads the weights of a trained world model -> their sha256. ValueError where shape or tokenizer is another."""
    tensors, manifest = load_checkpoint(folder, "world-model")
    for name, mine in model.tokenizer.state_dict(prefix="tokenizer.").items():
        if name not in tensors or not torch.equal(tensors[name], mine):
            raise ValueError(f"start: {folder} was trained with another tokenizer; give it as the tokenizer, too")
    load_into(model, tensors, folder)
    return manifest["sha256"]


def save_world_model(folder: Path, model: Dynamics, data: dict[str, Any]) -> None:
    """A playable checkpoint: dynamics with its tokenizer, and what they were trained on."""
    manifest = {
        # No paths: a checkpoint travels.
        "dynamics": asdict(model.config) | {"data": "-", "tokenizer": "-", "start": None},
        "tokenizer": asdict(model.tokenizer.config),
        "tokenizer_sha256": tensors_sha256(model.tokenizer.state_dict()),
        "grid": list(model.grid),
        "data": data,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__},
    }
    save_checkpoint(folder, "world-model", model.state_dict(), manifest)


def load_clips(
    dataset: Dataset, split: str, tokenizer: Tokenizer, config: WorldModelConfig, out_dir: Path
) -> ClipStore:
    """Clips of a split, tokenised; the codes are kept in `out_dir`."""
    episodes = dataset.split(split)
    codes = tokenise(episodes, tokenizer, out_dir / f"codes_{split}.npy")
    return ClipStore(episodes, codes, config.frames, config.rare_share)


class Losses:
    """The loss of one training step."""

    def __init__(self, model: Dynamics, config: WorldModelConfig) -> None:
        self.model, self.config = model, config

    def __call__(
        self, step: Step, codes: torch.Tensor, actions: torch.Tensor, frames: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """codes int64 [B, T, h, w], actions [B, T-1, A], frames uint8 [B, T, H, W, 3] -> loss, metrics."""
        config = self.config
        pictures = to_pictures(frames)
        drop = torch.rand(actions.shape[:2], device=actions.device) < config.action_dropout
        free = 0
        if step.rng.random() < config.rollout_fraction:
            longest = min(self._horizon(step), actions.shape[1] - config.burn_in)
            free = int(step.rng.integers(1, longest + 1)) if longest > 0 else 0
        seen = blur(pictures, config.blur) if config.moving else pictures
        predictions, shown = self._predict(codes, seen, actions, drop, free)
        logits, after = torch.cat([p.logits for p in predictions], dim=1), pictures[:, 1:]
        nats, metrics = self._score(logits, codes)
        losses = {"cross_entropy": nats}
        if config.moving:
            known = torch.cat([p.known for p in predictions], dim=1)
            moved = torch.cat([p.moved for p in predictions], dim=1)
            last = actions.shape[1] - free  # what is moved up to here was as blurred as `seen`
            target = torch.cat([seen[:, 1 : last + 1], pictures[:, last + 1 :]], dim=1)
            losses["photometric"] = difference((moved - target) * known)
            losses["composed"] = difference(shown - after)
            losses["contrast"] = (contrast(shown) - contrast(after)).abs().mean()
        if config.soft:
            losses["soft"] = self._soft(logits, codes[:, 1:], after)
        if self.model.echo is not None:
            state = predictions[-1].memory.layers[-1].mean(dim=(2, 3))
            losses["echo"] = F.mse_loss(self.model.echo(state), actions[:, -1])
        if config.action_contrast:
            losses["action_contrast"] = self._action_contrast(codes, seen, actions, actions.shape[1] - free)
        if config.refine:
            mask = torch.cat([p.mask for p in predictions], dim=1)
            losses["refine"] = self._refine(logits, mask, codes[:, 1:])
        loss = sum(getattr(config, name) * value for name, value in losses.items())
        parts = {name: value.detach() for name, value in losses.items() if name != "cross_entropy"}
        return loss, metrics | parts

    def _horizon(self, step: Step) -> int:
        """A model that is trained on has been through the shorter ones."""
        return self.config.horizon if self.config.start else horizon(step.done, self.config.horizon)

    def _soft(self, logits: torch.Tensor, codes: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Softly drawn codes against the true ones, as latents and as pictures."""
        latents = self.model.soft_latents(logits.flatten(0, 1))
        with torch.no_grad():
            true = self.model.tokenizer.quantiser.decode(codes.flatten(0, 1))
        drawn = self.model.tokenizer.decoder(latents).unflatten(0, after.shape[:2])
        return F.mse_loss(latents, true) + difference(drawn - after)

    def _action_contrast(
        self, codes: torch.Tensor, pictures: torch.Tensor, actions: torch.Tensor, real: int
    ) -> torch.Tensor:
        """InfoNCE (van den Oord et al. 2018, arXiv:1807.03748): which of four actions led to the last real frame?

        The true one, or those of the next three clips of the batch; a score is the log-likelihood of a frame's codes,
        its mean over the cells taken for that of `WITNESSES` independent ones.
        """
        model, last = self.model, real - 1
        with torch.no_grad():
            before = model(codes[:, :last], pictures[:, :last], actions[:, :last], model.initial(len(codes))).memory
        true = actions[:, last]
        which = torch.arange(len(true), device=true.device).unsqueeze(1) + torch.arange(OTHERS + 1, device=true.device)
        choice = true[which % len(true)]  # [B, 1 + OTHERS, A], the true one first
        start, picture = (x[:, last].repeat_interleave(OTHERS + 1, 0).unsqueeze(1) for x in (codes, pictures))
        p = model(start, picture, choice.flatten(0, 1).unsqueeze(1), before.repeat(OTHERS + 1))
        target = codes[:, real].repeat_interleave(OTHERS + 1, 0)
        score = -WITNESSES * model.nats(p.logits[:, 0], target).mean(dim=(1, 2)).view(-1, OTHERS + 1)
        same = (choice == true.unsqueeze(1)).all(dim=-1)
        same[:, 0] = False
        odds = score.masked_fill(same, -torch.inf)
        return F.cross_entropy(odds, torch.zeros(len(true), dtype=torch.int64, device=true.device))

    def _corrupt(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A share p ~ U(0, corruption) of each clip's codes replaced by codes drawn from the batch itself."""
        device = codes.device
        noise = torch.rand(len(codes), device=device) * self.config.corruption
        hit = torch.rand(codes.shape, device=device) < noise.view(-1, 1, 1, 1)
        other = codes.flatten()[torch.randint(codes.numel(), codes.shape, device=device)]
        return torch.where(hit, other, codes), noise

    def _predict(
        self, codes: torch.Tensor, pictures: torch.Tensor, actions: torch.Tensor, drop: torch.Tensor, free: int
    ) -> tuple[list[Prediction], torch.Tensor]:
        """Real frames up to the last `free`, then the model's own as its input -> predictions, pictures shown."""
        model, real = self.model, actions.shape[1] - free
        seen, noise = self._corrupt(codes[:, :real])
        p = model(seen, pictures[:, :real], actions[:, :real], model.initial(len(codes)), noise, drop[:, :real])
        if not free and not self.config.moving:
            return [p], p.moved  # nothing needs what would be shown
        own, picture = self._show(p)
        predictions, shown = [p], [picture]
        for t in range(real, actions.shape[1]):
            # Through what was shown no gradient passes: soft tokens over many steps exploded in the prior art.
            p = model(own[:, -1:], picture[:, -1:].detach(), actions[:, t : t + 1], p.memory, None, drop[:, t : t + 1])
            own, picture = self._show(p)
            predictions.append(p)
            shown.append(picture)
        return predictions, torch.cat(shown, dim=1)

    def _show(self, p: Prediction) -> tuple[torch.Tensor, torch.Tensor]:
        """Sampled codes [B, T, h, w], and the pictures mixed of them and of what was moved."""
        codes = self.model.sample(p.logits.detach().flatten(0, 1), SAMPLE_AT).unflatten(0, p.logits.shape[:2])
        return codes, self.model.compose(p, self.model.draw(codes), soft=True)

    def _refine(self, logits: torch.Tensor, mask: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Nats of the true codes that are hidden, given the others: a random share, and in half of the frames all that
        the moved picture shows. The logits [B, T, K, h, w] are taken as they are."""
        target = codes.flatten(0, 1)
        draw = torch.rand(len(target), 2, 1, 1, device=target.device)
        shown = F.avg_pool2d(mask.flatten(0, 1), DOWN)[:, 0] > 0.5
        chosen = (torch.rand(target.shape, device=target.device) < draw[:, 0]) | (shown & (draw[:, 1] < 0.5))
        model = self.model
        refined = model.refine(logits.detach().flatten(0, 1), model.embed_codes(target), chosen)
        hidden = (~chosen).to(refined.dtype)
        return (model.nats(refined, target) * hidden).sum() / hidden.sum().clamp(min=1)

    def _score(self, logits: torch.Tensor, codes: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        target = codes[:, 1:]
        nats = self.model.nats(logits, target)
        changed = target != codes[:, :-1]
        weight = 1 + (self.config.changed_weight - 1) * changed.to(nats.dtype)
        loss = (nats * weight).sum() / weight.sum()
        with torch.no_grad():
            hit = self.model.likeliest(logits.flatten(0, 1)) == target.flatten(0, 1)
            metrics = {"ce": nats.mean(), "ce_changed": nats[changed].mean(), "accuracy": hit.float().mean()}
        return loss, metrics


def blur(pictures: torch.Tensor, share: float) -> torch.Tensor:
    """A share of the clips [B, T, 3, H, W] blurred, each by its own amount.

    What is moved again and again gets soft. From soft pictures the model learns to draw sharp codes over them.
    """
    draw = torch.rand(2, len(pictures), device=pictures.device)
    amount = draw[0] * (draw[1] < share)
    hit = amount.nonzero().squeeze(1)
    sharp = pictures[hit]
    soft = sharp.flatten(0, 1)
    for _ in range(2):
        soft = F.avg_pool2d(F.pad(soft, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    return pictures.index_copy(0, hit, torch.lerp(sharp, soft.view_as(sharp), amount[hit].view(-1, 1, 1, 1, 1)))


def contrast(pictures: torch.Tensor) -> torch.Tensor:
    """Standard deviation in windows of 8 pixels, 4 apart, of pictures [B, T, 3, H, W].

    The mean absolute difference alone is least where an unsure picture is flat; matched contrast asks for texture.
    """
    flat = pictures.flatten(0, 1)
    mean, square = F.avg_pool2d(flat, 8, stride=4), F.avg_pool2d(flat * flat, 8, stride=4)
    return (square - mean * mean).clamp(min=0).add(1e-4).sqrt()


def difference(d: torch.Tensor) -> torch.Tensor:
    """Mean absolute value of a difference of pictures [B, T, 3, H, W], fine and 4x coarse."""
    return d.abs().mean() + F.avg_pool2d(d.flatten(0, 1), 4).abs().mean()


def horizon(done: float, longest: int) -> int:
    """1, 2, 4, ... up to `longest`, in equal shares of the first 60 % of the run."""
    stages = 1 + (longest - 1).bit_length()
    return min(longest, 1 << int(min(done / 0.6, 0.999) * stages))


@torch.no_grad()
def _look(
    model: Dynamics, codes: torch.Tensor, actions: torch.Tensor, frames_u8: torch.Tensor
) -> tuple[dict[str, float], list[np.ndarray]]:
    """Held-out cross-entropy, and rows for a strip: real frames above the model's free rollout."""
    frames = frames_u8.numpy()
    p = model(codes[:, :-1], to_pictures(frames)[:, :-1], actions, model.initial(len(codes)))
    nats = model.nats(p.logits, codes[:, 1:]).mean().item()
    real = model.config.burn_in
    state = burn_in(model, frames[:, :real], actions[:, : real - 1])
    own = rollout(model, state, actions[:, real - 1 :], temperature=0.0).frames
    values = {"val_ce": round(nats, 4), "val_psnr": round(float(psnr(own, frames[:, real:]).mean()), 3)}
    free = np.concatenate([frames[:, :real], own], axis=1)
    return values, [x for pair in zip(frames[:4], free[:4], strict=True) for x in pair]
