import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="the extra `sds` is not installed")

from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.structures.captions import vocabulary
from terrarium.worlds.voxels.guidance import blocks as module
from terrarium.worlds.voxels.guidance.base import guidance
from terrarium.worlds.voxels.guidance.blocks import REDRAWN, BlocksGuidance
from terrarium.worlds.voxels.kinds import GenerateConfig, PriorConfig
from terrarium.worlds.voxels.prior.data import picture
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


def test_a_finished_world_comes_nearer_to_what_the_prior_draws(folder, monkeypatch) -> None:
    guide = guidance(config(folder, prompts=("a stone tower", "a hut"), negative_prompt="wooden"), SHAPE)
    assert isinstance(guide, BlocksGuidance)
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[:, 0], wanted[5:11, 1:9, 5:11] = ID["Grass"], ID["Stone"]
    asked = []

    def draws_the_wanted(pictures, prompts, avoid, looking, **how):
        assert len(prompts) == 6 and set(prompts) <= {"a stone tower", "a hut"} and avoid == "wooden"
        asked.append(how["since"])
        views = zip(looking.azimuth_deg.tolist(), looking.elevation_deg.tolist(), strict=True)
        return torch.stack([torch.from_numpy(picture(wanted, *angles)) for angles in views]).permute(0, 3, 1, 2) / 255

    monkeypatch.setattr(guide.prior, "redraw", draws_the_wanted)
    monkeypatch.setattr(module, "AROUND", 6)
    blocks = np.where(wanted == ID["Stone"], ID["Water"], wanted).astype(np.uint8)
    blocks[3, 1:4, 3] = ID["Plank"]
    found = guide.finished(blocks, 3, lambda: None)
    walls = np.zeros(SHAPE, bool)
    walls[5:11, 1:9, 5:11] = True
    walls[6:10, :8, 6:10] = False  # inside, where no picture reaches
    assert (found[walls] == ID["Stone"]).all() and not found[3, 1:4, 3].any()
    assert asked == [since for since, *_ in REDRAWN]


def test_pictures_are_drawn_anew_from_what_is_left_of_them(folder) -> None:
    prior = BlocksGuidance(config(folder), SHAPE).prior
    looking = Looking(torch.tensor([30.0]), torch.tensor([20.0]))

    def redrawn(start: float, since: float, seed: int = 0) -> torch.Tensor:
        given = torch.full((1, 3, 64, 64), start)
        return prior.redraw(given, ["a hut"], "", looking, since=since, cfg=2.0, steps=3, seed=seed)

    one = redrawn(0.2, 0.6)
    assert one.shape == (1, 3, 64, 64) and 0 <= one.min() <= one.max() <= 1
    assert torch.equal(one, redrawn(0.2, 0.6)) and not torch.equal(one, redrawn(0.2, 0.6, seed=1))
    assert not torch.equal(one, redrawn(0.8, 0.6))
    torch.testing.assert_close(redrawn(0.2, 1.0), redrawn(0.8, 1.0), atol=0.02, rtol=0)  # nothing is left
