"""The families of materials: endless, deterministic, repeating, and consistent in themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from terrarium.worlds.materials.families.layers import CLASSES
from terrarium.worlds.materials.maps import CHANNELS, SYMMETRIES, normals_of
from terrarium.worlds.materials.procedural import FAMILIES, material


@pytest.mark.parametrize("family", FAMILIES)
def test_a_material_is_whole(family: str) -> None:
    made = material(family, 3, 64)
    assert made.maps.shape == (CHANNELS, 64, 64) and made.maps.dtype == np.float32 and np.isfinite(made.maps).all()
    for values in (made.maps[:5], made.ao, made.height):
        assert values.min() >= 0 and values.max() <= 1
    np.testing.assert_allclose(np.linalg.norm(made.maps[5:], axis=0), 1, atol=1e-5)
    assert made.maps[7].min() > 0 and made.ao.mean() > 0.4
    assert made.classes.max() < len(CLASSES)
    np.testing.assert_array_equal(made.maps[5:], normals_of(made.height, made.relief))
    np.testing.assert_array_equal(material(family, 3, 64).maps, made.maps)
    assert np.abs(material(family, 4, 64).maps - made.maps).mean() > 0.005


@pytest.mark.parametrize("family", FAMILIES)
def test_its_borders_meet(family: str) -> None:
    """Neighbours across the border differ no more than neighbours inside do where they differ most: a border may lie
    on the edge of a brick."""
    across, inside = [], []
    for seed in range(4):
        maps = material(family, seed, 64).maps
        for axis in (1, 2):
            steps = np.abs(maps - np.roll(maps, 1, axis)).mean(axis=(0, 3 - axis))
            across.append(steps[0])
            inside.append(steps[1:].max())
    assert np.mean(across) <= np.mean(inside)


@pytest.mark.parametrize("family", ["brick", "marble", "gravel", "rusted_metal"])
def test_a_seed_is_the_same_material_at_every_size(family: str) -> None:
    small, large = (material(family, 5, size) for size in (64, 128))
    shrunk = large.maps[:5].reshape(5, 64, 2, 64, 2).mean((2, 4))
    blurred = [x.reshape(5, 16, 4, 16, 4).mean((2, 4)) for x in (shrunk, small.maps[:5])]
    assert np.abs(blurred[0] - blurred[1]).mean() < 0.03


def test_normals_turn_with_the_picture() -> None:
    made = material("cobble", 0, 32)
    maps, height = torch.from_numpy(made.maps), torch.from_numpy(made.height)
    for symmetry in SYMMETRIES:
        # The height field goes through the same symmetry as an albedo would.
        carried = symmetry(torch.cat([height.expand(5, -1, -1), torch.zeros(3, 32, 32)]))[0]
        expected = normals_of(carried.numpy(), made.relief)
        np.testing.assert_allclose(symmetry(maps)[5:].numpy(), expected, atol=1e-5)


def test_unknown_families_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"family 'cheese': expected one of brick, cobble"):
        material("cheese", 0, 64)
    with pytest.raises(ValueError, match="size 4096: expected 16 to 2048"):
        material("brick", 0, 4096)
