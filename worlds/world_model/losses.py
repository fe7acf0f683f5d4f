"""The loss of a training step of the dynamics.

Teacher forcing with corrupted codes; in a share of the batches the clip ends in a self-rollout on sampled, detached
codes with gradient through the state, of 1 to `horizon` frames; the horizon is 1, 2, 4, ... over the run.

Shapes as in dynamics.py: B batch, T time, A action columns, K = sum of the factors' levels, h x w the grid of codes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F

from terrarium.kernels import cpu
from terrarium.kernels.codes import nats
from terrarium.worlds.training.task import Step
from terrarium.worlds.world_model.codes import likeliest, sample, soft_latents
from terrarium.worlds.world_model.conv_gru import MAX_FLOW
from terrarium.worlds.world_model.dynamics import Dynamics, Prediction
from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.geometry import EACH, camera_flow, in_view
from terrarium.worlds.world_model.kinds import WorldModelConfig
from terrarium.worlds.world_model.picture import compose
from terrarium.worlds.world_model.tokenizer import to_pictures
from terrarium.worlds.world_model.views import Camera

OTHERS = 3  # actions that the true one is told from
WITNESSES = 16  # independent cells in a frame, more or less: neighbours say the same
MADE_OF = 5.0  # weight of 1 / depth, of the step and of the pitch, over that of the flow
SAMPLE_AT = 0.5  # temperature of the codes that training shows itself


def blur(pictures: torch.Tensor, share: float, box: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """A share of the clips [B, T, 3, H, W] blurred by `box` twice, each by its own amount.

    What is moved again and again gets soft. From soft pictures the model learns to draw sharp codes over them.
    """
    draw = torch.rand(2, len(pictures), device=pictures.device)
    amount = draw[0] * (draw[1] < share)
    if (programs := cpu.used(pictures)) and cpu.takes_pictures(*pictures.shape[-2:]):
        return cpu.blur(programs, pictures, amount)
    hit = amount.nonzero().squeeze(1)
    sharp = pictures[hit]
    soft = box(box(sharp.flatten(0, 1)))
    return pictures.index_copy(0, hit, torch.lerp(sharp, soft.view_as(sharp), amount[hit].view(-1, 1, 1, 1, 1)))


def box(pictures: torch.Tensor) -> torch.Tensor:
    """The mean of 5x5 pixels around each, edges repeated, [N, C, H, W]; along rows, then columns."""
    height, width = pictures.shape[2:]
    x = F.pad(pictures, (2, 2, 2, 2), mode="replicate")
    x = reduce(torch.add, [x[..., i : i + width] for i in range(5)])
    return reduce(torch.add, [x[..., i : i + height, :] for i in range(5)]) / 25


def contrast(pictures: torch.Tensor) -> torch.Tensor:
    """Standard deviation in windows of 8 pixels, 4 apart, of pictures [B, T, 3, H, W].

    The mean absolute difference alone is least where an unsure picture is flat; matched contrast asks for texture.
    """
    flat = pictures.flatten(0, 1)
    mean, square = (F.avg_pool2d(F.avg_pool2d(x, 4), 2, stride=1) for x in (flat, flat * flat))
    return (square - mean * mean).clamp(min=0).add(1e-4).sqrt()


class Losses:
    """The loss of one training step."""

    box, contrast = staticmethod(box), staticmethod(contrast)

    def __init__(
        self,
        model: Dynamics,
        config: WorldModelConfig,
        camera: Camera | None = None,
        programs: ctypes.CDLL | None = None,
    ) -> None:
        """`camera` of the data, where the flow is taught; `programs` of kernels/cpu, where they are used."""
        self.model, self.config, self.camera, self.programs = model, config, camera, programs

    def __call__(self, step: Step, *batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """A batch as below -> loss, metrics."""
        with cpu.using(self.programs):
            return self._of(step, *batch)

    def _of(
        self, step: Step, codes: torch.Tensor, actions: torch.Tensor, frames: torch.Tensor, *truth: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """codes int64 [B, T, h, w], actions [B, T-1, A], frames uint8 [B, T, H, W, 3] -> loss, metrics. `truth`, where
        the flow is taught: `near` [B, T, h, w] and poses [B, T, 5] (see geometry.py)."""
        config = self.config
        pictures = to_pictures(frames).contiguous()  # three channels last are slow to pool and to mix with others
        drop = torch.rand(actions.shape[:2], device=actions.device) < config.action_dropout
        free = 0
        if step.rng.random() < config.rollout_fraction:
            longest = min(self._horizon(step), actions.shape[1] - config.burn_in)
            free = int(step.rng.integers(1, longest + 1)) if longest > 0 else 0
        seen = blur(pictures, config.blur, self.box) if config.moving else pictures
        predictions, drawn = self._predict(codes, seen, actions, drop, free)
        logits, after = torch.cat([p.logits for p in predictions], dim=1), pictures[:, 1:]
        cross_entropy, metrics = self._score(logits, codes)
        losses = {"cross_entropy": cross_entropy}
        if config.moving:
            losses |= self._of_pictures(predictions, drawn, seen, pictures)
        if config.true_flow:
            losses["true_flow"] = self._true_flow(predictions, *truth)
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

    def _of_pictures(
        self, predictions: list[Prediction], drawn: list[torch.Tensor], seen: torch.Tensor, pictures: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """What is moved, and what is composed of it and of what was drawn, against the next pictures; `seen` are the
        clip's pictures as blurred as the first prediction's."""
        parts, begin, names = [], 1, ("photometric", "composed", "contrast")
        for p, own in zip(predictions, drawn, strict=True):
            now = slice(begin, begin + own.shape[1])
            target, after = (seen if begin == 1 else pictures)[:, now], pictures[:, now]
            share = own.shape[1] / (pictures.shape[1] - 1)
            parts.append(share * picture_losses(p.moved, p.known, p.mask, own, target, after, self.contrast))
            begin = now.stop
        return dict(zip(names, sum(parts[1:], parts[0]).unbind(), strict=True))

    def _horizon(self, step: Step) -> int:
        """A model that is trained on has been through the shorter ones."""
        config = self.config
        return config.horizon if config.start else horizon(step.index / config.steps, config.horizon)

    def _true_flow(self, predictions: list[Prediction], near: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
        """Mean absolute difference of the flow from the simulator's in pixels, where a flow can be as long; with a
        moving camera, also of what it is made of."""
        assert self.camera is not None
        before, after, near = poses[:, :-1].flatten(0, 1), poses[:, 1:].flatten(0, 1), near[:, 1:].flatten(0, 1)
        true, ahead = camera_flow(self.camera, near, before, after, EACH)
        told = (ahead & (true.abs().amax(dim=1, keepdim=True) < DOWN * MAX_FLOW)).to(true.dtype)
        flow = torch.cat([p.flow for p in predictions], dim=1).flatten(0, 1)[..., ::EACH, ::EACH]
        loss = ((flow - true).abs() * told).sum() / (2 * told.sum()).clamp(min=1)
        if predictions[0].seen is None:
            return loss
        own_near, step, pitch = (
            torch.cat([getattr(p.seen, name).unflatten(0, p.flow.shape[:2]) for p in predictions], dim=1).flatten(0, 1)
            for name in ("near", "step", "pitch")
        )
        parts = own_near[:, ::EACH, ::EACH] - near, step - in_view(before, after), (pitch - before[:, 4]) / 90
        return loss + MADE_OF * torch.stack([part.abs().mean() for part in parts]).sum()

    def _soft(self, logits: torch.Tensor, codes: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Softly drawn codes against the true ones, as latents and as pictures."""
        tokenizer = self.model.tokenizer
        latents = soft_latents(logits.flatten(0, 1), tokenizer.quantiser.tables())
        with torch.no_grad():
            true = tokenizer.quantiser.decode(codes.flatten(0, 1))
        drawn = tokenizer.decoder(latents).unflatten(0, after.shape[:2])
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
        score = -WITNESSES * nats(p.logits[:, 0], target, model.factors).mean(dim=(1, 2)).view(-1, OTHERS + 1)
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
    ) -> tuple[list[Prediction], list[torch.Tensor]]:
        """Real frames up to the last `free`, then the model's own as its input -> predictions, and the pictures drawn
        from codes of each."""
        model, real = self.model, actions.shape[1] - free
        seen, noise = self._corrupt(codes[:, :real])
        p = model(seen, pictures[:, :real], actions[:, :real], model.initial(len(codes)), noise, drop[:, :real])
        if not free and not self.config.moving:
            return [p], []  # nothing needs what would be shown
        own, picture = self._draw(p)
        predictions, drawn = [p], [picture]
        for t in range(real, actions.shape[1]):
            shown = shown_last(p, picture)
            p = model(own[:, -1:], shown, actions[:, t : t + 1], p.memory, None, drop[:, t : t + 1])
            own, picture = self._draw(p)
            predictions.append(p)
            drawn.append(picture)
        return predictions, drawn

    @torch.no_grad()
    def _draw(self, p: Prediction) -> tuple[torch.Tensor, torch.Tensor]:
        """Sampled codes [B, T, h, w], and pictures drawn from them."""
        codes = sample(p.logits.flatten(0, 1), SAMPLE_AT, self.model.factors).unflatten(0, p.logits.shape[:2])
        return codes, self.model.draw(codes)

    def _refine(self, logits: torch.Tensor, mask: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Nats of the true codes that are hidden, given the others: a random share, and in half of the frames all that
        the moved picture shows. The logits [B, T, K, h, w] are taken as they are."""
        target = codes.flatten(0, 1)
        draw = torch.rand(len(target), 2, 1, 1, device=target.device)
        shown = F.avg_pool2d(mask.flatten(0, 1), DOWN)[:, 0] > 0.5
        chosen = (torch.rand(target.shape, device=target.device) < draw[:, 0]) | (shown & (draw[:, 1] < 0.5))
        model = self.model
        refined = model.refine(logits.detach().flatten(0, 1), model.embed_codes(target), chosen)
        cost = nats(refined, target, model.factors)
        hidden = (~chosen).to(cost.dtype)
        return (cost * hidden).sum() / hidden.sum().clamp(min=1)

    def _score(self, logits: torch.Tensor, codes: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        target = codes[:, 1:]
        cost = nats(logits, target, self.model.factors)
        changed = target != codes[:, :-1]
        weight = 1 + (self.config.changed_weight - 1) * changed.to(cost.dtype)
        loss = (cost * weight).sum() / weight.sum()
        with torch.no_grad():
            hit = likeliest(logits.flatten(0, 1), self.model.factors) == target.flatten(0, 1)
            metrics = {"ce": cost.mean(), "ce_changed": cost[changed].mean(), "accuracy": hit.float().mean()}
        return loss, metrics


@torch.no_grad()
def shown_last(p: Prediction, drawn: torch.Tensor) -> torch.Tensor:
    """The last picture of a prediction [B, 1, 3, H, W], mixed of what was moved and drawn. Through it no gradient
    passes: soft tokens over many steps exploded in the prior art."""
    return compose(p.moved[:, -1:], drawn[:, -1:], p.mask[:, -1:], soft=True)


def picture_losses(
    moved: torch.Tensor,
    known: torch.Tensor,
    mask: torch.Tensor,
    drawn: torch.Tensor,
    target: torch.Tensor,
    after: torch.Tensor,
    contrast: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Pictures [B, T, 3, H, W], known and mask [B, T, 1, H, W] -> photometric, composed and contrast, [3]."""
    if (programs := cpu.used(moved, drawn)) and cpu.takes_pictures(*moved.shape[-2:]):
        return cpu.picture_losses(programs, moved, known, mask, drawn, target, after)
    shown = compose(moved, drawn, mask, soft=True)
    apart = (contrast(shown) - contrast(after)).abs().mean()
    return torch.stack([difference((moved - target) * known), difference(shown - after), apart])


def difference(d: torch.Tensor) -> torch.Tensor:
    """Mean absolute value of a difference of pictures [B, T, 3, H, W], fine and 4x coarse."""
    return d.abs().mean() + F.avg_pool2d(d.flatten(0, 1), 4).abs().mean()


def horizon(done: float, longest: int) -> int:
    """1, 2, 4, ... up to `longest`, in equal shares of the first 60 % of the run."""
    stages = 1 + (longest - 1).bit_length()
    return min(longest, 1 << int(min(done / 0.6, 0.999) * stages))
