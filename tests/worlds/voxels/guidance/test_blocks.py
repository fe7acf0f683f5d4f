import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="the extra `sds` is not installed")

from terrarium.worlds.blocks.structures.captions import vocabulary
from terrarium.worlds.voxels.guidance.base import guidance
from terrarium.worlds.voxels.guidance.blocks import BlocksGuidance
from terrarium.worlds.voxels.kinds import GenerateConfig, PriorConfig
from terrarium.worlds.voxels.prior.model import Looking, Prior
from terrarium.worlds.voxels.prior.recipe import save_prior

SHAPE = (16, 16, 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    config = PriorConfig(channels=(8, 16), text=16)
    path = tmp_path_factory.mktemp("prior") / "output"
    save_prior(path, Prior(vocabulary(), config.channels, config.text), config, {})
    return path


def config(folder, **fields) -> GenerateConfig:
    return GenerateConfig(**{"guidance": "blocks", "prompts": ("a stone tower",), "prior": str(folder)} | fields)


def test_the_pull_is_the_weighted_difference_of_noises(folder) -> None:
    guide = guidance(config(folder, schedule="uniform", t_min=0.5, t_max=0.501, cfg=3.0), SHAPE)
    assert isinstance(guide, BlocksGuidance)
    view = guide.view(np.random.default_rng(0))
    rgb = torch.rand(3, 64, 64, requires_grad=True)
    loss, figures = guide.loss(rgb, view, 0.0, np.random.default_rng(1))
    (found,) = torch.autograd.grad(loss, rgb)

    rng = np.random.default_rng(1)
    rng.integers(500, 501), rng.choice(1, p=[1.0])  # the time and the prompt
    noise = torch.from_numpy(rng.standard_normal((1, 3, 64, 64), np.float32))
    alphabar = guide.prior.alphabar[500]
    z = 2 * rgb.detach()[None] - 1
    noisy = alphabar.sqrt() * z + (1 - alphabar).sqrt() * noise
    looking = Looking(torch.tensor([view.azimuth_deg]), torch.tensor([view.elevation_deg]))
    with torch.no_grad():
        given, other = (
            guide.prior(noisy, torch.tensor([500]), guide.prior.captions.tokens([said]), looking)
            for said in ("a stone tower", "")
        )
    eps = (noisy - alphabar.sqrt() * (other + 3 * (given - other))) / (1 - alphabar).sqrt()
    want = 2 * (1 - alphabar) * (eps - noise)[0]  # the picture in [0, 1] is half as wide as z
    torch.testing.assert_close(found, want, rtol=1e-3, atol=1e-4)
    assert figures["t"] == 500 and all(p.grad is None for p in guide.prior.parameters())


def test_views_are_those_of_its_training(folder) -> None:
    guide, rng = guidance(config(folder), SHAPE), np.random.default_rng(0)
    views = [guide.view(rng) for _ in range(50)]
    assert {(view.camera.width, view.camera.height, view.number) for view in views} == {(64, 64, -1)}
    assert all(10 <= view.elevation_deg <= 45 for view in views) and np.ptp([v.azimuth_deg for v in views]) > 300


def test_prompts_of_no_known_word_are_refused(folder) -> None:
    with pytest.raises(ValueError, match="'zzz' has no word that the model knows"):
        guidance(config(folder, prompts=("a tower", "zzz")), SHAPE)
    with pytest.raises(ValueError, match="no prompt: expected at least one"):
        guidance(config(folder, prompts=()), SHAPE)
