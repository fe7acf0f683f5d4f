"""A tiny SDXL-shaped pipeline with random weights, saved by the test and loaded as any other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="the extra `sds` is not installed")
pytest.importorskip("transformers", reason="the extra `sds` is not installed")

from tiny_sdxl import save_tiny_sdxl

from terrarium.worlds.voxels.guidance.base import guidance
from terrarium.worlds.voxels.guidance.diffusion import DiffusionGuidance, load
from terrarium.worlds.voxels.kinds import GenerateConfig

SHAPE = (8, 8, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sdxl(tmp_path_factory.mktemp("models") / "tiny-sdxl")


def config(folder: Path, **fields) -> GenerateConfig:
    return GenerateConfig(**{"guidance": "sdxl", "prompts": ("a tower",), "model": str(folder), "image": 32} | fields)


@pytest.fixture(scope="module")
def guide(folder: Path) -> DiffusionGuidance:
    made = guidance(config(folder, negative_prompt="blurry"), SHAPE)
    assert isinstance(made, DiffusionGuidance)
    return made


def test_every_side_of_every_prompt_is_encoded_once_with_its_negative(guide) -> None:
    assert sorted(guide.said) == [f"a tower, {side} view" for side in ("back", "front", "overhead", "side")]
    said = guide.said["a tower, back view"]
    assert said.states.shape == (2, 77, 64) and said.pooled.shape == (2, 32)
    assert not said.states[0].equal(said.states[1]) and not said.pooled[0].equal(said.pooled[1])


def test_the_latents_gradient_is_the_weighted_difference_of_noises(guide) -> None:
    torch.manual_seed(0)
    z, noise, t = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), 700
    said = guide.said["a tower, front view"]
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2  # SDXL's own, "scaled_linear"
    alphabar = (1 - betas).cumprod(0)[t].float()
    noisy = alphabar.sqrt() * z + (1 - alphabar).sqrt() * noise
    ids = torch.tensor([[guide.side, guide.side, 0.0, 0.0, guide.side, guide.side]])
    eps = []
    for row in (0, 1):
        added = {"text_embeds": said.pooled[row : row + 1], "time_ids": ids}
        with torch.no_grad():
            eps.append(guide.unet(noisy, t, said.states[row : row + 1], added_cond_kwargs=added).sample)
    want = (1 - alphabar) * (eps[0] + 7.5 * (eps[1] - eps[0]) - noise)
    torch.testing.assert_close(guide.gradient(z, noise, t, said), want, rtol=0, atol=1e-5)


def test_the_picture_is_pulled_through_the_vae_alone(guide, monkeypatch) -> None:
    pulls = []
    original = guide.gradient
    monkeypatch.setattr(guide, "gradient", lambda *args: pulls.append(original(*args)) or pulls[-1])
    rgb = torch.rand(3, 32, 32, requires_grad=True)
    loss, figures = guide.loss(rgb, guide.view(np.random.default_rng(0)), 0.0, np.random.default_rng(1))
    (found,) = torch.autograd.grad(loss, rgb)
    z = guide.latent(rgb)
    (want,) = torch.autograd.grad(z, rgb, pulls[0])
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5)
    assert not pulls[0].requires_grad and found.abs().max() > 0 and figures["t"] < 980
    assert all(p.grad is None and not p.requires_grad for p in guide.unet.parameters())


def test_latents_are_the_vaes_of_pictures_from_minus_one_to_one_scaled(guide) -> None:
    seen = []
    encode = guide.vae.encode
    guide.vae.encode = lambda x: seen.append(x) or encode(x)
    z = guide.latent(torch.ones(3, 32, 32))
    del guide.vae.encode
    assert seen[0].shape == (1, 3, guide.side, guide.side) and (seen[0] == 1).all()
    torch.testing.assert_close(z, encode(seen[0]).latent_dist.mean * 0.13025)


def test_the_vae_stays_in_fp32_beside_a_network_in_bf16(folder) -> None:
    guide = DiffusionGuidance(load(config(folder, dtype="bf16")), config(folder), SHAPE)
    assert guide.unet.dtype == torch.bfloat16 and guide.vae.dtype == torch.float32
    rgb = torch.rand(3, 32, 32, requires_grad=True)
    loss, _ = guide.loss(rgb, guide.view(np.random.default_rng(0)), 0.0, np.random.default_rng(1))
    loss.backward()
    assert loss.dtype == torch.float32 and rgb.grad.isfinite().all()


def test_a_lora_changes_what_the_network_says(folder, tmp_path, guide) -> None:
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipe = load(config(folder))
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    pipe.save_lora_weights(tmp_path, unet_lora_layers=get_peft_model_state_dict(pipe.unet))
    other = guidance(config(folder, lora=str(tmp_path)), SHAPE)
    z, noise, said = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), guide.said["a tower, front view"]
    assert (other.gradient(z, noise, 500, said) - guide.gradient(z, noise, 500, said)).abs().max() > 1e-4


def test_what_cannot_be_loaded_is_named(folder, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"model '.*nowhere' cannot be loaded .*: expected a local folder"):
        guidance(config(tmp_path / "nowhere", local_files_only=True), SHAPE)
    with pytest.raises(ValueError, match=r"lora '.*nowhere' cannot be loaded .*: expected a local folder"):
        guidance(config(folder, lora=str(tmp_path / "nowhere"), local_files_only=True), SHAPE)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionXLPipeline"}))
    with pytest.raises(ValueError, match="cannot be loaded"):
        guidance(config(tmp_path, local_files_only=True), SHAPE)
