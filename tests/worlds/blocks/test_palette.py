"""Palette: the map format's colours, and light a face."""

import json
from pathlib import Path

import numpy as np

from terrarium.worlds.blocks import palette


def test_the_formats_own_types_come_first():
    assert palette.NAMES[:8] == ("Air", "Grass", "Dirt", "Stone", "Plank", "Snow", "Sand", "Water")
    assert len(set(palette.NAMES)) == len(palette.NAMES) < 255


def test_colours_are_linear_rgb():
    colours = palette.face_colours()
    assert colours.shape == (len(palette.NAMES), 6, 3)
    assert (colours >= 0).all() and (colours <= 1).all()
    np.testing.assert_array_equal(colours[palette.ID["Grass"], 3], [0.34, 0.68, 0.36])
    np.testing.assert_array_equal(colours[palette.ID["Grass"], 2], [0.40, 0.30, 0.16])
    np.testing.assert_array_equal(colours[palette.ID["Grass"], 0], [0.45, 0.58, 0.30])


def test_sun_factors_follow_the_viewers_shader():
    factors = palette.sun_factors()
    down = 0.55 * palette.HORIZON  # the sun never reaches a bottom
    np.testing.assert_allclose(factors[2], down)
    towards = 0.85 / np.sqrt(0.4**2 + 0.85**2 + 0.5**2)
    np.testing.assert_allclose(factors[3], 0.55 * palette.SKY + towards * palette.SUN_COLOUR)
    np.testing.assert_allclose(factors[0], factors[4])
    assert (palette.sun_lut() <= 1).all()


def test_walking_light_tells_all_faces_apart():
    stone = palette.walk_lut()[palette.ID["Stone"]].mean(-1)
    assert np.diff(np.sort(stone)).min() > 0.02


def test_the_browser_draws_in_the_same_colours():
    file = Path(__file__).resolve().parents[3] / "web/src/worlds/palette.json"
    assert json.loads(file.read_text()) == json.loads(json.dumps(palette.for_browser())), "see palette.py"
