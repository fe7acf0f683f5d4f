"""Both domains and both layouts on disk, a game's own files, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from terrarium.worlds.materials.maps import ALBEDO, NORMAL
from terrarium.worlds.materials.texture.check import statistics
from terrarium.worlds.materials.texture.data import Source, open_domains
from terrarium.worlds.materials.texture.phases import PHASES
from terrarium.worlds.materials.texture.raw import prepare
from terrarium.worlds.materials.texture.sample import AO, DIFFUSE, HEIGHT, LABEL
from terrarium.worlds.materials.texture.textures import open_textures


def test_clean_textures_are_matsynths_with_a_category_each(clean: Path) -> None:
    textures = open_textures(clean)
    classes = textures.categories()
    assert textures.layout == "matsynth" and len(textures.names) == 8 and {"masonry", "stone", "wood"} <= set(classes)
    x = textures.read("brick-0", classes)
    assert x.shape == (14, 64, 64) and (x[LABEL] == classes.index("masonry")).all()
    assert x[AO].min() >= 0 and x[HEIGHT].max() == 1
    torch.testing.assert_close(x[NORMAL].norm(dim=0), torch.ones(64, 64))


def test_a_games_textures_are_baked_and_some_have_no_diffuse(game: Path) -> None:
    textures = open_textures(game)
    synthetic = [name for name in textures.names if textures.synthetic(name)]
    assert textures.layout == "game" and len(synthetic) == 2
    for name in textures.names:
        x, again = textures.read(name, ("stone",)), textures.read(name, ("stone",))
        assert x.equal(again) and (x[LABEL] == -1).all() and float(x[DIFFUSE].mean()) < float(x[ALBEDO].mean()) + 0.05
        red, blue = (float(x[DIFFUSE][i].mean() / x[ALBEDO][i].mean()) for i in (0, 2))
        assert name in synthetic or red < blue  # a cold white balance


def test_statistics_list_duplicates_and_what_cannot_be_read(game: Path, tmp_path: Path) -> None:
    folder = tmp_path / "game"
    shutil.copytree(game, folder)
    first, second, third = open_textures(folder).names[:3]
    shutil.copy(folder / f"{first}_basecolor.png", folder / f"{first}_diffuse.png")
    (folder / f"{second}_ao.png").unlink()
    (folder / f"{third}_normal.png").unlink()
    found = statistics(folder)
    assert found["duplicates"] == [first] and found["without"] == {"ao": 1} and list(found["wrong"]) == [third]
    assert f"has no {third}_normal.png: expected" in found["wrong"][third] and found["sizes"] == {"64x64": 7}
    assert json.loads(json.dumps(found)) == found and found["textures"] == 8


def test_what_is_no_folder_of_textures_is_refused(tmp_path: Path, clean: Path) -> None:
    with pytest.raises(ValueError, match="holds no textures: expected folders with basecolor"):
        open_textures(tmp_path)
    with pytest.raises(ValueError, match="is not there: expected a folder of textures"):
        open_textures(tmp_path / "none")
    shutil.copytree(clean / "brick-0", tmp_path / "brick-0")
    with pytest.raises(ValueError, match="1 materials: expected at least 2"):
        open_domains(PHASES["A"], str(tmp_path), None, 0.1, 0)
    Image.new("RGB", (32, 32)).save(tmp_path / "brick-0" / "diffuse.png")
    with pytest.raises(ValueError, match="has 32 x 32 pixels, expected 64 x 64"):
        open_textures(tmp_path).read("brick-0")


def test_batches_follow_from_their_step_and_shares(clean: Path, game: Path) -> None:
    domains = open_domains(PHASES["C"], str(clean), str(game), 0.25, 0)
    source = Source(PHASES["C"], domains, ("stone",), 64, 5)
    by_domain = {
        d: sum(w for (of, _), w in zip(source.entries, source.weights, strict=True) if of == d) for d in domains
    }
    assert by_domain["clean"] > by_domain["game"] > 0.3  # synthetic pairs of the game count half
    one, again = (source.draw(np.random.default_rng(5), 3, 1) for _ in range(2))
    assert one.shape == (3, 14, 32, 32) and one.equal(again)
    assert source.draw(np.random.default_rng(5), 1, 5).shape == (1, 14, 32, 32)  # .75 of 64, down to a multiple of 32
    assert all(x.shape == (14, 64, 64) for x in source.held_out("game", 9))
    with pytest.raises(ValueError, match="has 64 x 64 pixels, expected 96 or more"):
        Source(PHASES["A"], domains, (), 96, 1).draw(np.random.default_rng(0), 1, 1)


def dds(file: Path, mode: str, colour: tuple[int, ...], size: int = 64) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size, size), colour).save(file)


def test_a_games_own_files_become_pairs(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    dds(raw / "pbr/walls/stone_d.dds", "RGB", (120, 110, 100))
    dds(raw / "pbr/walls/stone_n.dds", "RGB", (128, 192, 238))
    dds(raw / "pbr/walls/stone_rmaos.dds", "RGBA", (200, 0, 250, 10))
    dds(raw / "pbr/walls/stone_p.dds", "RGB", (7, 7, 7))
    dds(raw / "no_pbr/walls/stone.dds", "RGB", (60, 62, 70), 32)
    dds(raw / "pbr/small.dds", "RGB", (1, 2, 3), 16)
    found = prepare(raw, tmp_path / "out", least=32, most=48)
    assert found == {"prepared": ["walls__stone"], "too_small": ["small"]}
    textures = open_textures(tmp_path / "out")
    x = textures.read("walls__stone")
    assert x.shape[-2:] == (48, 48) and not textures.synthetic("walls__stone")
    expected = torch.tensor([120, 110, 100, 200, 0]) / 255
    torch.testing.assert_close(x[:5, 0, 0], expected)
    torch.testing.assert_close(x[AO, 0, 0], torch.tensor([250 / 255]))
    assert float(x[NORMAL][1].max()) == pytest.approx(-0.5, abs=0.02)  # green points down there
    torch.testing.assert_close(x[DIFFUSE, 0, 0], torch.tensor([60, 62, 70]) / 255)
    (raw / "pbr/walls/stone_rmaos.dds").unlink()
    with pytest.raises(ValueError, match=r"stone_rmaos.dds is missing"):
        prepare(raw, tmp_path / "out", least=32)
    with pytest.raises(ValueError, match=r"has no pbr/\*\*/NAME.dds"):
        prepare(tmp_path / "out", tmp_path / "none")
