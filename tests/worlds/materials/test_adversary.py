"""`material.train` against a PatchGAN, and a student that learns from a teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_toys import Log

from terrarium.worlds.materials.adversary import PatchGAN, critic_loss, generator_loss
from terrarium.worlds.materials.kinds import KINDS, train_debug, train_student
from terrarium.worlds.materials.train import train_material
from terrarium.worlds.progress import Stopped

Trained = tuple[Path, Log, dict[str, float]]


@pytest.mark.parametrize(("layers", "pixels"), [(4, 142), (6, 574)])
def test_a_logit_sees_as_many_pixels_as_published(layers: int, pixels: int) -> None:
    torch.manual_seed(0)
    critic = PatchGAN(layers, 8)
    for part in critic.body:
        if isinstance(part, torch.nn.GroupNorm):  # whose statistics are of the whole picture
            part.forward = lambda x: x  # type: ignore[method-assign]
    side = 3 * 2**layers
    big = torch.zeros(1, 8, 2 * pixels, 2 * pixels, requires_grad=True)
    logits = critic(big, torch.zeros(1, 1, 3, 2 * pixels, 2 * pixels))
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    seen = big.grad[0].abs().sum(0).nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [pixels, pixels]
    assert critic(torch.zeros(1, 8, side, side), torch.zeros(1, 1, 3, side, side)).shape == (1, 1, 1, 1)


def test_the_losses_are_the_published_ones() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5])
    assert float(critic_loss("hinge", real, fake)) == pytest.approx(0.25 + 0.75)
    assert float(generator_loss("hinge", fake)) == pytest.approx(0.75)
    logits = torch.nn.functional.binary_cross_entropy_with_logits
    expected = logits(real, torch.ones(2)) + logits(fake, torch.zeros(2))
    assert float(critic_loss("bce", real, fake)) == pytest.approx(float(expected))
    assert float(generator_loss("bce", fake)) == pytest.approx(float(logits(fake, torch.ones(2))))


@pytest.mark.parametrize("loss", ["hinge", "bce"])
def test_the_critic_begins_at_its_step_and_a_run_resumes_between(loss: str, tmp_path: Path) -> None:
    config = replace(
        train_debug(), steps=6, gan=0.1, gan_start=3, gan_warmup=2, gan_layers=2, gan_width=8, d_steps=2, gan_loss=loss
    )
    result = train_material(config, tmp_path / "whole", log := Log())
    assert [("critic_loss" in log.values[step], "optimizer_gan" in log.values[step]) for step in range(1, 7)] == [
        *[(False, False)] * 3,
        *[(True, True), (True, False), (True, True)],
    ]
    with pytest.raises(Stopped):
        train_material(config, tmp_path / "parts", Log(stop_at=5))
    assert train_material(config, tmp_path / "parts", Log()) == result
    names = load_file(tmp_path / "parts" / "output" / "model.safetensors")
    assert not any("critic" in name for name in names)


def test_a_patch_larger_than_the_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="crop: 32 pixels, but a PatchGAN of 6 layers needs 192"):
        replace(train_debug(), gan=0.1, gan_layers=6)


def test_a_student_learns_from_a_teacher(trained: Trained, tmp_path: Path) -> None:
    teacher = str(trained[0] / "output")
    tiny = replace(train_debug(), encoder="mobile", encoder_stride=2, steps=2, teacher=teacher)
    result = KINDS["material.train"].run(tiny, tmp_path, log := Log())
    assert set(result) == set(trained[2]) and all("taught" in values for values in log.values.values())
    assert train_student(teacher).teacher == teacher
