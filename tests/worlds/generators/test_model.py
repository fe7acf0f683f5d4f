from dataclasses import asdict, replace

import pytest
import torch

from terrarium.worlds.generators.codes import decode, encode
from terrarium.worlds.generators.kinds import generator_bytes, train_debug, train_shipped
from terrarium.worlds.generators.model import STEPS, cells, levels, load_generator, voxels
from terrarium.worlds.generators.train import new_generator


def test_cells_are_put_back_where_they_were() -> None:
    z = torch.randn(2, 8, 12, 12, 12)
    parts = cells(z, 4)
    assert parts.shape == (2, 27, 512) and voxels(parts, 4, 12).equal(z)
    assert parts[0, 1].view(8, 4, 4, 4).equal(z[0, :, :4, :4, 4:8])


@pytest.mark.parametrize("prediction", ["x0", "v", "flow"])
def test_schedules_go_from_a_world_to_noise(prediction) -> None:
    alpha, sigma = levels(prediction)
    assert len(alpha) == STEPS and (alpha.diff() <= 0).all() and (sigma.diff() >= 0).all()
    assert alpha[0] > 0.99 and 0 < alpha[-1] < 0.02 and sigma[-1] > 0.99 and sigma[0] > 0


@torch.no_grad()
@pytest.mark.parametrize("prediction", ["x0", "v", "flow"])
def test_the_right_prediction_means_the_clean_world(prediction) -> None:
    generator = new_generator(replace(train_debug(), prediction=prediction))
    ids = torch.randint(8, (2, 16, 16, 16), dtype=torch.uint8)
    x, noise, t = encode(ids), torch.randn(2, 8, 16, 16, 16), torch.tensor([300, 800])
    alpha, sigma = generator.levels(t)
    right = {"x0": 100 * (x == 1) + 100 * (decode(x) == 0)[:, None] * torch.eye(8)[0].view(8, 1, 1, 1)}
    right |= {"v": alpha * noise - sigma * x, "flow": noise - x}
    z = alpha * x + sigma * noise
    torch.testing.assert_close(generator.clean(right[prediction], z, t), x, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_a_network_that_says_nothing_leaves_what_the_voxel_says() -> None:
    generator = new_generator(train_debug())
    ids = torch.randint(8, (2, 16, 16, 16), dtype=torch.uint8)
    t = torch.tensor([20, 60])
    alpha, sigma = generator.levels(t)
    z = alpha * encode(ids) + sigma * torch.randn(2, 8, 16, 16, 16)
    assert generator(z, t, generator.say(["a tower", ""])).abs().max() == 0
    assert decode(generator.clean(torch.zeros_like(z), z, t)).equal(ids)


@torch.no_grad()
def test_a_prediction_does_not_depend_on_the_rest_of_its_batch(generator) -> None:
    z, t = torch.randn(2, *generator.shape), torch.tensor([100, 900])
    both = generator(z, t, generator.say(["a tower", "a large smooth stone pyramid on sand"]))
    alone = generator(z[:1], t[:1], generator.say(["a tower"]))
    assert both.shape == z.shape
    torch.testing.assert_close(alone, both[:1], rtol=1e-4, atol=1e-5)
    other = generator(z[:1], t[:1], generator.say(["a ship"]))
    assert (other - alone).abs().max() > 1e-4


@torch.no_grad()
def test_guidance_goes_on_beyond_the_caption(generator) -> None:
    z, t = torch.randn(1, *generator.shape), torch.tensor([500])
    given, other = generator.say(["a large smooth tower"]), generator.say([""])
    found = generator.guided(z, t, given, other, 3.0)
    without = generator(z, t, other)
    torch.testing.assert_close(found, without + 3 * (generator(z, t, given) - without), rtol=1e-3, atol=1e-4)
    assert generator.guided(z, t, given, None, 3.0).equal(generator(z, t, given))


@pytest.mark.parametrize("config", [train_shipped(), replace(train_shipped(), width=256, depth=8, heads=8)])
def test_its_estimate_is_right_within_a_third(config) -> None:
    found = sum(p.numel() for p in new_generator(config).parameters())
    assert generator_bytes(asdict(config), 0) == pytest.approx(3 * 16 * found, rel=0.33)


def test_a_checkpoint_is_loaded_and_no_other(folder, generator, tmp_path) -> None:
    loaded, manifest = load_generator(folder)
    assert manifest["model"]["size"] == 16 and not loaded.training
    assert all(a.equal(b) for a, b in zip(loaded.state_dict().values(), generator.state_dict().values(), strict=True))
    with pytest.raises(ValueError, match="is not there: expected a checkpoint folder"):
        load_generator(tmp_path / "none")
