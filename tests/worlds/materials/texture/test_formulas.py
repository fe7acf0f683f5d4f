"""Each helper of the staged plan against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from terrarium.worlds.materials.maps import ALBEDO, NORMAL, SYMMETRIES
from terrarium.worlds.materials.texture.augment import (
    blurred,
    crop_side,
    jittered,
    occlusion_tint,
    photometric,
    vignette,
    white_balance,
)
from terrarium.worlds.materials.texture.losses import albedo_loss, masked_l1, multi_label
from terrarium.worlds.materials.texture.sample import DIFFUSE, HEIGHT, LABEL, joined, scaled, tags_of
from terrarium.worlds.materials.texture.sampler import sample_weights
from terrarium.worlds.materials.texture.sunlit import Sun, highlight, sunlit, synthetic_diffuse
from terrarium.worlds.materials.texture.unet import FiLM
from terrarium.worlds.pictures.perceptual import LPIPS


@pytest.fixture
def sample() -> torch.Tensor:
    x = torch.rand(14, 32, 32, generator=torch.Generator().manual_seed(3))
    x[NORMAL] = F.normalize(x[NORMAL] - torch.tensor([0.5, 0.5, -0.5]).view(3, 1, 1), dim=0)
    x[LABEL] = 2.0
    return x


def test_film_is_a_gain_of_one_and_a_hyperbolic_tangent_and_a_shift() -> None:
    film, x, c = FiLM(5, 3), torch.randn(2, 3, 4, 4), torch.randn(2, 5, 8, 8)
    at = F.avg_pool2d(c, 2)
    gain, shift = (torch.einsum("oi,bihw->bohw", w.weight[..., 0, 0], at) for w in (film.gain, film.shift))
    torch.testing.assert_close(film(x, c), x * (1 + torch.tanh(gain)) + shift)
    assert film(x, torch.zeros_like(c)).equal(x)


def test_masked_l1_is_the_weighted_mean_over_all_channels() -> None:
    found, true, weight = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    by_hand = sum(
        weight[b, 0, i, j] * abs(found[b, c, i, j] - true[b, c, i, j]) for b, c, i, j in np.ndindex(2, 3, 4, 4)
    )
    torch.testing.assert_close(masked_l1(found, true, weight), by_hand / (3 * weight.sum()))
    torch.testing.assert_close(masked_l1(found, true, torch.ones_like(weight)), (found - true).abs().mean())


def test_metal_counts_three_times_and_lpips_a_tenth() -> None:
    found, true = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    metal = torch.zeros(1, 1, 16, 16)
    metal[..., :8] = 1
    perceptual = LPIPS("random")
    loss, parts = albedo_loss(found, true, metal, perceptual)
    left, right = ((found - true)[..., half].abs().mean() for half in (slice(0, 8), slice(8, 16)))
    torch.testing.assert_close(parts["albedo"], (3 * left + right) / 4)
    torch.testing.assert_close(loss, parts["albedo"] + 0.1 * perceptual(2 * found - 1, 2 * true - 1).mean())


def test_the_multi_label_loss_is_cross_entropy_of_samples_whose_tags_are_known() -> None:
    logits, tags = torch.randn(3, 4), torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1]])
    p = torch.sigmoid(logits)
    each = -(tags * p.log() + (1 - tags) * (1 - p).log()).mean(1)
    torch.testing.assert_close(multi_label(logits, tags, torch.tensor([1.0, 1, 0])), each[:2].mean())
    assert multi_label(logits, tags, torch.zeros(3)) == 0


def test_tags_are_all_classes_that_occur(sample: torch.Tensor) -> None:
    other = sample.clone()
    other[LABEL] = 0.0
    unknown = sample.clone()
    unknown[LABEL] = -1.0
    both = torch.stack([joined([sample, other]), sample, joined([sample, unknown])])[:, LABEL]
    tags, known = tags_of(both, 4)
    assert tags.tolist() == [[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]] and known.tolist() == [1, 1, 0]


@pytest.mark.parametrize(("epoch", "side"), [(1, 256), (2, 320), (4, 448), (7, 640), (13, 1024)])
def test_crops_grow_evenly_by_epochs(epoch: int, side: int) -> None:
    assert crop_side(epoch, 13, 256, 1024, 32) == side == 256 + (epoch - 1) / 12 * (1024 - 256)


def test_one_epoch_has_the_first_crop_and_none_is_below_a_cell() -> None:
    assert crop_side(1, 1, 512, 768, 32) == 512 and crop_side(1, 5, 16, 64, 32) == 32
    assert crop_side(2, 5, 256, 512, 96) == 288  # 320, down to a multiple


def test_a_vignette_falls_from_the_middle_to_its_edge() -> None:
    v = vignette(101, 201, 0.9)
    assert v[50, 100] == 1 and v[0, 0] == pytest.approx(0.9, abs=2e-3) and v[0, 100] == pytest.approx(0.95, abs=1e-3)


def test_occlusion_is_guessed_from_blurred_luma() -> None:
    flat = torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1).expand(3, 40, 40)
    luma = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    torch.testing.assert_close(occlusion_tint(flat, 0.2), torch.full((1, 40, 40), 1 - 0.2 * (1 - luma)))
    point = torch.zeros(1, 41, 41)
    point[0, 20, 20] = 1
    spread = blurred(point)[0]
    assert spread.sum() == pytest.approx(1, abs=1e-5) and (spread[20] > 0).sum() == 23


def test_photometric_stays_within_its_bounds_and_half_strength_is_half_as_far(sample: torch.Tensor) -> None:
    grey = torch.full((3, 33, 33), 0.5)
    ratios = []
    for seed in range(40):
        full, half = (photometric(grey, np.random.default_rng(seed), strength) for strength in (1.0, 0.5))
        red, blue = (float(full[i, 16, 16] / full[1, 16, 16]) for i in (0, 2))
        assert 0.9 - 1e-4 <= red <= 1 and 1 <= blue <= 1.1 + 1e-4
        assert float(half[0, 16, 16] / half[1, 16, 16]) == pytest.approx(1 + 0.5 * (red - 1), abs=1e-5)
        ratios.append(red)
    assert 10 <= sum(r == 1 for r in ratios) <= 30  # about half of the time
    assert white_balance(0.9, 1.1).flatten().tolist() == pytest.approx([0.9, 1, 1.1])


def test_a_synthetic_diffuse_follows_its_formula() -> None:
    albedo, height = torch.rand(3, 24, 24), torch.rand(1, 24, 24)
    normal = F.normalize(torch.randn(3, 24, 24) + torch.tensor([0.0, 0, 3]).view(3, 1, 1), dim=0)
    sun = Sun((0.6, 0.0, 0.8), (0.95, 1.0, 1.05))
    found = synthetic_diffuse(albedo, normal, height, 0.05, sun)
    facing = (0.6 * normal[0] + 0.8 * normal[2]).clamp(min=0)
    for c, cast in enumerate(sun.cast):
        lit = albedo[c] * (0.4 + 0.6 * facing) * (1 - 0.25 * (1 - blurred(height)[0])) + 0.05
        torch.testing.assert_close(found[c], (cast * lit).clamp(0, 1))


def test_sunlight_changes_the_diffuse_alone_and_rough_surfaces_do_not_shine(sample: torch.Tensor) -> None:
    lit = sunlit(sample, np.random.default_rng(0))
    assert lit[: DIFFUSE.start].equal(sample[: DIFFUSE.start]) and not lit[DIFFUSE].equal(sample[DIFFUSE])
    assert highlight(sample[NORMAL], torch.ones(1, 32, 32), Sun((0, 0, 1), (1, 1, 1))).max() == 0
    unknown = sample.clone()
    unknown[HEIGHT] = -1
    top = sample.clone()
    top[HEIGHT] = 1
    rngs = (np.random.default_rng(0), np.random.default_rng(0))
    assert sunlit(unknown, rngs[0])[DIFFUSE].equal(sunlit(top, rngs[1])[DIFFUSE])


def test_a_samples_weight_is_its_domains_share_by_size_times_the_synthetic_weight() -> None:
    found = sample_weights([(0.75, [False] * 3), (0.25, [True, False])], synthetic=0.5)
    raw = np.array([0.25, 0.25, 0.25, 0.0625, 0.125])
    np.testing.assert_allclose(found, raw / raw.sum())
    assert sample_weights([(0.0, [False]), (1.0, [False, True])], 0.0).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="no sample has any weight: 2 samples"):
        sample_weights([(0.0, [False]), (1.0, [True])], 0.0)


def test_halves_and_quarters_come_from_their_own_samples(sample: torch.Tensor) -> None:
    parts = [sample + i for i in range(4)]
    two, four = joined(parts[:2]), joined(parts)
    assert two[:, :, :16].equal(parts[0][:, :, :16]) and two[:, :, 16:].equal(parts[1][:, :, 16:])
    corners = [four[:, rows, cols] for rows in (slice(0, 16), slice(16, 32)) for cols in (slice(0, 16), slice(16, 32))]
    at = [(slice(0, 16), slice(0, 16)), (slice(0, 16), slice(16, 32)), (slice(16, 32), slice(0, 16))]
    assert all(corners[i].equal(parts[i][:, r, c]) for i, (r, c) in enumerate(at))


def test_scaling_keeps_normals_unit_and_what_is_unknown(sample: torch.Tensor) -> None:
    sample[HEIGHT] = -1.0
    wide = torch.cat([sample, sample], dim=2)
    small = scaled(wide, 16)
    assert small.shape == (14, 16, 32) and scaled(wide, 32) is wide
    torch.testing.assert_close(small[NORMAL].norm(dim=0), torch.ones(16, 32))
    assert (small[HEIGHT] == -1).all() and (small[LABEL] == 2).all()
    torch.testing.assert_close(small[ALBEDO], F.avg_pool2d(wide[ALBEDO], 2))


def test_what_comes_after_the_maps_turns_with_them(sample: torch.Tensor) -> None:
    for turn in SYMMETRIES:
        turned = turn(sample)
        assert turned.shape == sample.shape
        assert turned[DIFFUSE].equal(turn(torch.cat([sample[DIFFUSE], sample[3:8]]))[:3])
        back = turned[DIFFUSE].flatten(1).sort().values
        assert back.equal(sample[DIFFUSE].flatten(1).sort().values)


def test_jitter_touches_the_diffuse_alone(sample: torch.Tensor) -> None:
    found = jittered(sample, np.random.default_rng(1), 0.1)
    assert found[: DIFFUSE.start].equal(sample[: DIFFUSE.start]) and not found[DIFFUSE].equal(sample[DIFFUSE])
    assert float((found[DIFFUSE] - sample[DIFFUSE]).abs().max()) < 0.2
