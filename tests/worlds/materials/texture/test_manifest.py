"""Texture sets as assets: zips of both layouts, as people have them, and what is refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from brought import zipped
from PIL import Image

from terrarium.worlds.intake import Taken, new_draft, take_in
from terrarium.worlds.kinds import kinds
from terrarium.worlds.materials.texture import manifest
from terrarium.worlds.materials.texture.data import open_domains
from terrarium.worlds.materials.texture.kinds import TextureTrainConfig
from terrarium.worlds.materials.texture.manifest import check_textures
from terrarium.worlds.materials.texture.phases import PHASES
from terrarium.worlds.materials.texture.textures import open_textures


def take(path: Path, root: Path) -> Taken:
    with new_draft(root / "incoming") as draft:
        (draft / "asset").mkdir()
        origin = {"name": None, "file": "mine", "from": "a test"}
        return take_in(path, draft / "asset", lambda type, id: root / type / id, origin, opened=True)


def few(folder: Path, target: Path) -> Path:
    """The first two textures of a set, without its manifest."""
    textures = open_textures(folder)
    target.mkdir()
    for name in textures.names[:2]:
        if textures.layout == "matsynth":
            shutil.copytree(folder / name, target / name)
        for file in folder.glob(f"{name}_*.png"):
            shutil.copy(file, target)
    return target


@pytest.mark.parametrize("top", ["", "textures/"])
def test_zips_of_both_layouts_are_inputs_of_a_training(clean: Path, game: Path, tmp_path: Path, top: str) -> None:
    taken = {}
    for domain, folder in {"clean": clean, "game": game}.items():
        mine = few(folder, tmp_path / domain)
        (mine / "readme.txt").write_text("left behind")
        (mine.parent / f"{domain}.zip").write_bytes(zipped(mine, top))
        with zipfile.ZipFile(mine.parent / f"{domain}.zip", "a") as archive:
            archive.writestr("__MACOSX/._readme.txt", "as macOS adds it")
        taken[domain] = take(tmp_path / f"{domain}.zip", tmp_path / "data")
        facts = json.loads((taken[domain].folder / "manifest.json").read_text())
        assert taken[domain].type == facts["kind"] == "texture-set" and facts["materials"] == 2 and facts["size"] == 64
        assert facts["layout"] == {"clean": "matsynth", "game": "game"}[domain]
        brought, textures = open_textures(taken[domain].folder), open_textures(folder)
        for name in brought.names:
            assert brought.read(name, textures.categories()).equal(textures.read(name, textures.categories()))
        assert not (taken[domain].folder / "readme.txt").exists() and take(mine, tmp_path / "data") == taken[domain]
    folders = {domain: str(one.folder) for domain, one in taken.items()}
    config = TextureTrainConfig(phase="C", start=str(tmp_path), **folders)
    kinds()["texture.train"].check_folders(config)
    domains = open_domains(PHASES["C"], config.clean, config.game, 0.1, 0)
    assert all(len(domain.learned) == len(domain.held_out) == 1 for domain in domains.values())


def test_what_a_job_drew_is_a_set_that_says_its_domain(game: Path) -> None:
    check_textures(game)
    assert json.loads((game / "manifest.json").read_text())["domain"] == "game"
    misfits = kinds()["texture.train"].misfits(
        TextureTrainConfig(clean="a"), {"clean": {"kind": "texture-set", "domain": "game"}}
    )
    assert misfits == {"clean": "has textures of the domain game, expected clean"}


def picture(mode: str, size: tuple[int, int], colour: object = None) -> Callable[[Path], None]:
    return lambda file: Image.new(mode, size, colour).save(file)  # type: ignore[arg-type]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no map": ("metallic", Path.unlink, "{file} is missing: expected basecolor, roughness, metallic, normal of "),
    "another size": ("roughness", picture("L", (32, 64)), "{file} has 32 x 64 pixels, expected 64 x 64"),
    "very wide": ("basecolor", picture("1", (30_000, 16)), "{file} has 30000 x 16 pixels, expected 16 to 4096"),
    "cut short": ("ao", cut, "{file} is damaged or cut short"),
    "coloured": ("roughness", picture("RGB", (64, 64), (200, 10, 10)), "{file} is coloured, expected one value"),
    "no normals": ("normal", picture("RGB", (64, 64), (0, 0, 0)), "{file} is no normal map"),
    "no picture": ("metallic", lambda file: file.write_text("x"), "{file} is no picture"),
}


@pytest.mark.parametrize("layout", ["clean", "game"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_map_is_named(request: pytest.FixtureRequest, tmp_path: Path, layout: str, name: str) -> None:
    what, spoil, says = BAD[name]
    mine = few(request.getfixturevalue(layout), tmp_path / "mine")
    textures = open_textures(mine)
    spoil(file := textures.file(textures.names[1], what))
    with pytest.raises(ValueError) as refused:
        take(mine, tmp_path / "data")
    assert str(refused.value).startswith(says.format(file=file.relative_to(mine)))
    assert not any((tmp_path / "data" / "incoming").iterdir()) and not (tmp_path / "data" / "texture-set").exists()


def test_a_bad_set_is_refused(clean: Path, game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = few(clean, tmp_path / "mine")
    one, two = sorted(mine.iterdir())
    (mine / "other_normal.png").write_bytes((one / "normal.png").read_bytes())
    with pytest.raises(ValueError, match=r"^other_normal.png is a map of no texture: each has its NAME/basecolor.png"):
        take(mine, tmp_path / "data")
    (mine / "other_normal.png").unlink()
    (one / "metadata.json").write_text("{")
    with pytest.raises(ValueError, match=f"^{one.name}/metadata.json is not JSON"):
        take(mine, tmp_path / "data")
    (one / "metadata.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "MOST_PIXELS", 1000)
        patch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
        with pytest.raises(ValueError, match=r"^it has \d+ pixels in all pictures, expected at most 1000"):
            take(mine, tmp_path / "data")
    manifest.describe_textures(mine)
    shutil.copy(two / "roughness.png", two / "metallic.png")
    with pytest.raises(ValueError, match=r"^manifest.json: files_sha256 .*, the files have"):
        take(mine, tmp_path / "data")
    (mine / "manifest.json").unlink()
    shutil.rmtree(one)
    assert take(mine, tmp_path / "data").type == "material", "the one folder in it is taken as its contents"
    (mine / "more").mkdir()
    (mine / "more" / "metadata.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"^it holds 1 texture \({two.name}\): expected at least 2"):
        take(mine, tmp_path / "data")
