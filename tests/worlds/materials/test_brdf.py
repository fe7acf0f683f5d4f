"""What physics asks of the BRDF, and gradients through the renderer."""

from __future__ import annotations

import math

import pytest
import torch

from terrarium.worlds.materials.brdf import (
    COLUMNS,
    ROWS,
    Surface,
    brdf,
    directions,
    environment,
    environment_brdf,
    image_light,
    unit_last,
)
from terrarium.worlds.materials.cameras import cameras, random_poses, rectify
from terrarium.worlds.materials.colour import linear_to_srgb, reinhard, srgb_to_linear
from terrarium.worlds.materials.maps import unit
from terrarium.worlds.materials.render import Lights, Shape, render


def surface(shape: tuple[int, ...], albedo: float, roughness: float, metallic: float) -> Surface:
    full = [torch.full((*shape, c), x, dtype=torch.float64) for c, x in ((3, albedo), (1, roughness), (1, metallic))]
    return Surface(*full, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(*shape, 3))


def hemisphere(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions above z = 0 [N, 3] on a grid even in angles, and the solid angle of each."""
    polar = (torch.arange(rows, dtype=torch.float64) + 0.5) * math.pi / (2 * rows)
    around = (torch.arange(4 * rows, dtype=torch.float64) + 0.5) * math.pi / (2 * rows)
    polar, turn = (x.flatten() for x in torch.meshgrid(polar, around, indexing="ij"))
    flat = polar.sin()
    return torch.stack([flat * turn.cos(), flat * turn.sin(), polar.cos()], -1), flat * (math.pi / (2 * rows)) ** 2


def reflected(albedo: float, roughness: float, metallic: float, polar_deg: float) -> float:
    """The share of a beam's light that leaves the surface."""
    towards, solid = hemisphere(120)
    polar = math.radians(polar_deg)
    beam = torch.tensor([math.sin(polar), 0.0, math.cos(polar)], dtype=torch.float64).expand_as(towards)
    seen = brdf(surface(towards.shape[:1], albedo, roughness, metallic), towards, beam)[..., 0]
    return float((seen * towards[:, 2] * solid).sum())


@pytest.mark.parametrize("roughness", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("polar_deg", [5.0, 45.0, 75.0])
def test_no_surface_reflects_more_light_than_it_gets(roughness: float, polar_deg: float) -> None:
    for metallic in (0.0, 0.5, 1.0):
        assert 0 < reflected(1.0, roughness, metallic, polar_deg) < 1.01


def test_a_white_furnace_hides_a_smooth_white_metal() -> None:
    """A rough one loses what scatters twice (Heitz et al. 2016, doi:10.1145/2897824.2925943)."""
    assert reflected(1.0, 0.25, 1.0, 30.0) == pytest.approx(1, abs=0.01)
    assert 0.3 < reflected(1.0, 1.0, 1.0, 30.0) < 0.9


def test_light_and_eye_may_change_places() -> None:
    generator = torch.Generator().manual_seed(0)
    to_light, to_eye = (
        unit_last(torch.randn(200, 3, generator=generator, dtype=torch.float64).abs() + 0.05) for _ in range(2)
    )
    for metallic in (0.0, 1.0):
        made = surface((200,), 0.6, 0.4, metallic)
        torch.testing.assert_close(brdf(made, to_light, to_eye), brdf(made, to_eye, to_light))


@pytest.mark.parametrize("roughness", [0.3, 0.7])
def test_the_split_sum_of_a_lobe_is_its_integral(roughness: float) -> None:
    cosine = torch.tensor([[math.cos(math.radians(45))]], dtype=torch.float64)
    a, b = environment_brdf(cosine, torch.full_like(cosine, roughness))
    assert float(a + b) == pytest.approx(reflected(1.0, roughness, 1.0, 45.0), abs=0.01)


def test_an_even_environment_lights_as_the_sum_over_all_lights() -> None:
    light = environment(torch.ones(1, 3, ROWS, COLUMNS, dtype=torch.float64))
    polar = math.radians(45)
    to_eye = torch.tensor([math.sin(polar), 0, math.cos(polar)], dtype=torch.float64).expand(1, 1, 1, 3)
    seen = image_light(surface((1, 1, 1), 0.5, 0.6, 0.0), to_eye, light)
    assert float(seen[..., 0]) == pytest.approx(reflected(0.5, 0.6, 0.0, 45.0), abs=0.02)
    _, solid = directions()
    assert float(solid.sum()) == pytest.approx(4 * math.pi, rel=0.01)


def test_encodings_are_each_others_inverse() -> None:
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(x)), x)
    assert srgb_to_linear(torch.tensor(0.5)).item() == pytest.approx(0.2140, abs=1e-4)
    assert reinhard(torch.tensor([0.0, 1.0, 9.0])).tolist() == pytest.approx([0, 0.5, 0.9])


def some_maps(side: int = 4, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    maps = 0.2 + 0.6 * torch.rand(1, 8, side, side, generator=generator, dtype=dtype)
    return torch.cat([maps[:, :5], unit(torch.cat([maps[:, 5:7] - 0.5, 1 + maps[:, 7:]], 1))], 1)


def some_lights(dtype: torch.dtype = torch.float64) -> Lights:
    light = environment(torch.rand(1, 3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(2)).to(dtype))
    return Lights(torch.tensor([[[1.0, -1.0, 3.0]]], dtype=dtype), torch.full((1, 1, 3), 9.0, dtype=dtype), light)


@pytest.mark.parametrize("shape", ["plane", "sphere", "cube"])
def test_gradients_of_maps_and_lights(shape: Shape) -> None:
    taken, lights = cameras(torch.tensor([[25.0, 70.0, 4.0]], dtype=torch.float64)), some_lights()
    radiance = torch.rand(1, 3, ROWS, COLUMNS, dtype=torch.float64).mean((2, 3), keepdim=True).requires_grad_()

    def picture(maps: torch.Tensor, intensity: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
        around = environment(light.expand(1, 3, ROWS, COLUMNS))
        return render(maps, shape, taken, Lights(lights.position, intensity, around), 5)

    assert torch.autograd.gradcheck(
        picture, (some_maps().requires_grad_(), lights.intensity.requires_grad_(), radiance), fast_mode=True
    )


def test_shapes_are_where_they_should_be() -> None:
    taken = cameras(torch.tensor([[30.0, 200.0, 4.0]]))
    pictures = {
        shape: render(some_maps(8, torch.float32), shape, taken, some_lights(torch.float32), 33)
        for shape in ("plane", "sphere", "cube")
    }
    for shape, picture in pictures.items():
        assert picture.isfinite().all() and picture[0, :, 16, 16].min() > 0, shape
    assert pictures["sphere"][0, :, 0, 0].max() == 0
    assert pictures["cube"].gt(0).sum() > pictures["sphere"].gt(0).sum()


def test_a_flat_mirror_shows_the_light_where_optics_says() -> None:
    maps = torch.zeros(1, 8, 4, 4)
    maps[:, :3], maps[:, 3], maps[:, 4], maps[:, 7] = 1, 0.15, 1, 1
    taken = cameras(torch.tensor([[0.0, 0.0, 4.0]]))
    lights = Lights(torch.tensor([[[1.0, 0.0, 4.0]]]), torch.ones(1, 1, 3))
    bright = rectify(render(maps, "plane", taken, lights, 64), taken, 64)[0, 0].argmax()
    row, column = divmod(int(bright), 64)
    assert abs(row - 31.5) < 2 and abs(column - (0.5 + 0.25) * 64) < 2  # half way to the light, seen from the middle


def test_views_are_rectified_by_their_poses() -> None:
    """A smooth emission comes back from each view; from another view's pose it does not."""
    taken = cameras(random_poses(6, torch.Generator().manual_seed(0)))
    at = torch.linspace(0, 6.28, 65)[:-1]
    maps = torch.zeros(6, 8, 64, 64)
    maps[:, :3] = 0.5 + 0.2 * at.sin().view(-1, 1) + 0.2 * (2 * at).cos()
    maps[:, 3], maps[:, 7] = 1, 1
    lights = Lights(torch.zeros(6, 0, 3), torch.zeros(6, 0, 3), environment(torch.ones(6, 3, ROWS, COLUMNS)))
    seen = linear_to_srgb(render(maps, "plane", taken, lights, 64))

    def error(poses: torch.Tensor) -> float:
        found = rectify(seen, cameras(poses), 64)[..., 4:-4, 4:-4]
        patch = maps[:, :3, 4:-4, 4:-4]
        return float((found - found.mean() - patch + patch.mean()).abs().mean())

    assert 2 * error(taken.pose) < 0.04 < error(taken.pose.roll(1, 0))
