"""Worlds in a real browser: opened, built in, saved, walked through, captured, recorded, played in."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from browsing import (
    DESK,
    PHONE,
    SLOW_MS,
    NewPage,
    Page,
    check_accessible,
    done_by_form,
    expect,
    shoot,
    submitted,
    wait_frames,
)
from PIL import Image

from terrarium.worlds.blocks.map_json import BlockMap, read_map, write_map
from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.raycast import Volume, render_flat
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.voxels.camera import orbit
from terrarium.worlds.voxels.capture import read_capture

ELEVATIONS_DEG = (15, 35, 55)  # of web/src/worlds/capture.ts, in turn


def upload(page: Page, file: Path) -> str:
    """Opens a map.json as a world; returns its id."""
    page.goto("/worlds")
    page.get_by_label("map.json to upload").set_input_files(file)
    page.wait_for_url(re.compile("/worlds/[0-9a-f]{8}-"))
    expect(page.get_by_role("complementary", name="Controls")).to_be_visible(timeout=SLOW_MS)
    return page.url.rpartition("/")[2]


def world(page: Page) -> dict[str, Any]:
    return page.evaluate("JSON.parse(JSON.stringify(window.__world))")


def click(page: Page, cell: list[int], **options: Any) -> None:
    """Where the canvas shows the middle of a cell."""
    x, y = page.evaluate("cell => window.__world.locate(cell)", cell)
    page.locator("#world").click(position={"x": x, "y": y}, **options)


def download(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as saved:
        page.get_by_role("button", name=button, exact=True).click()
    path = folder / saved.value.suggested_filename
    saved.value.save_as(path)
    return path


@pytest.fixture
def castle(tmp_path: Path) -> Path:
    file = tmp_path / f"Castle {uuid4().hex[:6]}.json"
    write_map(file, BlockMap(structure(4, size=16).blocks))
    return file


def test_build_undo_save_reload_walk(new_page: NewPage, castle: Path, tmp_path: Path) -> None:
    page = new_page("/worlds")
    first = upload(page, castle)
    given = read_map(castle).blocks
    assert world(page)["blocks"] == np.count_nonzero(given)
    expect(page.get_by_role("heading", name=castle.stem)).to_be_visible()
    shoot(page, "world")

    page.keyboard.press("2")  # place, by keys: the cursor begins above the middle
    page.keyboard.press("PageUp")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert world(page)["blocks"] == np.count_nonzero(given) + 2 and world(page)["unsaved"]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert world(page)["blocks"] == np.count_nonzero(given) and not world(page)["unsaved"]
    page.keyboard.press("Control+y")
    page.get_by_role("button", name="Redo").click()

    high = world(page)["place"][1]  # by mouse: upon the block that the cursor has just placed
    at = [world(page)["place"][0], high, world(page)["place"][2]]
    page.get_by_role("button", name="Red wool").click()
    click(page, at)
    assert world(page)["blocks"] == np.count_nonzero(given) + 3
    click(page, at, modifiers=["Shift"])  # takes one away again
    assert world(page)["blocks"] == np.count_nonzero(given) + 2
    page.keyboard.press("5")  # a box between two corners, mirrored
    page.keyboard.press("x")
    for key in ("PageUp", "PageUp", "Enter", "ArrowLeft", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    shoot(page, "world-building")
    before = world(page)["blocks"]
    assert before > np.count_nonzero(given) + 4

    page.get_by_label("Name", exact=True).fill("Castle with a roof")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(lambda address: not address.endswith(first))
    expect(page.get_by_role("heading", name="Castle with a roof")).to_be_visible()
    expect(page.get_by_text("not saved")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="Versions")).to_be_visible()
    assert world(page)["blocks"] == before
    saved = read_map(download(page, "map.json", tmp_path))
    assert np.count_nonzero(saved.blocks) == before and ID["RedWool"] in saved.blocks
    np.testing.assert_array_equal(saved.blocks[given != 0], given[given != 0])
    assert download(page, "glTF (.glb)", tmp_path).read_bytes()[:4] == b"glTF"
    page.get_by_role("link", name=castle.stem).click()
    expect(page.get_by_role("heading", name=castle.stem, exact=True)).to_be_visible()
    expect(page.get_by_role("complementary", name="Controls")).to_be_visible(timeout=SLOW_MS)

    page.keyboard.press("g")
    _, y, z = world(page)["position"]
    page.keyboard.down("w")
    page.wait_for_function("z => Math.abs(window.__world.position[2] - z) > 1", arg=z)
    page.keyboard.up("w")
    shoot(page, "world-walking")
    page.keyboard.press("f")
    page.keyboard.down("Space")
    page.wait_for_function("y => window.__world.position[1] > y + 4", arg=y)
    page.keyboard.up("Space")
    page.get_by_role("link", name="Worlds").first.click()
    expect(page.locator(".tile img.tile-picture").first).to_be_visible()
    shoot(page, "worlds")


def test_captured_views_are_what_the_ray_caster_draws(new_page: NewPage, castle: Path, tmp_path: Path) -> None:
    page = new_page("/worlds")
    upload(page, castle)
    page.locator("select[name=views]").select_option("8")
    page.locator("select[name=pixels]").select_option("256")
    with zipfile.ZipFile(download(page, "Capture", tmp_path)) as archive:
        archive.extractall(tmp_path / "views")
    block_map = read_map(castle)
    volume, shape, s = Volume(block_map.blocks), block_map.blocks.shape, block_map.world_scale
    assert len(read_capture(tmp_path / "views", shape).views) == 8, "what a job reads"
    described = json.loads((tmp_path / "views" / "metadata.json").read_text())
    assert described["viewCount"] == len(described["views"]) == 8
    for i, view in enumerate(described["views"]):
        camera = orbit(shape, 45 * i, ELEVATIONS_DEG[i % 3], 256, 256)
        position = (np.array(camera.eye) - [shape[0] / 2, 0, shape[2] / 2]) * s
        np.testing.assert_allclose(view["position"], position, atol=1e-4)
        np.testing.assert_allclose([view["right"], view["up"], view["forward"]], camera.axes, atol=1e-4)
        matrix = np.array(view["viewMatrix"]).reshape(4, 4).T
        np.testing.assert_allclose(matrix[:3, :3], camera.axes * [[1], [1], [-1]], atol=1e-4)
        np.testing.assert_allclose(matrix[:3, 3], -matrix[:3, :3] @ position, atol=1e-4)

        drawn = np.asarray(Image.open(tmp_path / "views" / view["rgbPath"]).convert("RGB"), np.float64)
        cast = render_flat(volume, camera.eye, camera.axes, 256, 256, camera.fovy_deg) * 255
        off = np.abs(drawn - cast).max(-1)[~edges(cast)] > 2
        assert off.size > 20_000 and off.mean() <= 0.01, f"view {i}: {off.mean():.2%} of {off.size} pixels differ"


def edges(picture: np.ndarray) -> np.ndarray:
    """Pixels of which one of the eight around has another colour, bool [H, W]."""
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width, _ = picture.shape
    around = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.any([np.abs(other - picture).max(-1) > 0 for other in around], axis=0)


def test_a_bad_map_is_named(new_page: NewPage, castle: Path) -> None:
    data = json.loads(castle.read_text())
    data["blocks"][7]["blockType"] = "Cheese"
    castle.write_text(json.dumps(data))
    page = new_page("/worlds")
    page.get_by_label("map.json to upload").set_input_files(castle)
    expect(page.get_by_role("alert")).to_contain_text("block 7 at")
    expect(page.get_by_role("alert")).to_contain_text("unknown type")


@pytest.mark.timeout(600)
def test_record_and_play_in_a_world(new_page: NewPage, castle: Path) -> None:
    page = new_page("/worlds")
    id = upload(page, castle)
    expect(page.get_by_role("link", name="Record episodes here")).to_have_attribute(
        "href", f"/jobs?kind=dataset.record&map={id}"
    )
    data = done_by_form(page, "dataset.record", "Record a dataset", map=id)
    page.goto(f"/library/{data}")
    expect(page.get_by_role("link", name=castle.stem)).to_be_visible()

    page.goto(f"/worlds/{id}")
    expect(page.get_by_role("link", name="Train a world model on this")).to_have_attribute("href", f"/library/{data}")
    page.get_by_role("link", name="Play here").click()
    wait_frames(page, 3, of="simFrames")
    expect(page.get_by_role("link", name=castle.stem)).to_be_visible()
    assert page.evaluate("document.getElementById('simulator').width") == 64
    page.keyboard.press("r")
    wait_frames(page, 8, of="simFrames")
    shoot(page, "play-in-a-world")
    page.get_by_role("link", name="Leave it").click()
    wait_frames(page, 1)


@pytest.mark.timeout(600)
def test_a_generated_world_is_watched_and_played_in(new_page: NewPage, castle: Path) -> None:
    page = new_page("/worlds")
    target = upload(page, castle)
    page.goto(f"/jobs?kind=world.generate&target={target}&guidance=target")
    page.get_by_label("Preset").select_option("debug")
    page.get_by_label("Steps", exact=True).fill("150")  # for long enough to be watched
    id = submitted(page, "Generate a world")
    page.goto(f"/jobs/{id}")
    preview = page.get_by_role("img", name="Newest preview: turntable")
    expect(preview).to_be_visible(timeout=240_000)
    first = preview.get_attribute("src")
    expect(preview).not_to_have_attribute("src", str(first), timeout=240_000)
    expect(page.locator(".title .state")).to_have_text("succeeded", timeout=240_000)
    shoot(page, "job-generated")
    page.goto(f"/worlds/{id}")
    expect(page.get_by_role("complementary", name="Controls")).to_be_visible(timeout=SLOW_MS)
    assert world(page)["blocks"] > 0
    page.get_by_role("link", name="Play here").click()
    wait_frames(page, 2, of="simFrames")
    shoot(page, "play-in-a-generated-world")


@pytest.mark.timeout(1800)  # four runners, which are niced: on a busy machine they wait
def test_from_prompt_to_play(new_page: NewPage) -> None:
    """The button, the chain's own page while it runs and at its end, and the world that it made, played."""
    page = new_page("/worlds")
    button = page.get_by_role("button", name="From prompt to playable")
    expect(button).to_be_disabled()
    page.get_by_label("What to build").fill("a stone tower on grass")
    page.locator("select[name=playable-preset]").select_option("debug")
    button.click()
    page.wait_for_url(re.compile("/plans/[0-9a-f]{8}-"))
    steps = page.locator(".plan-steps .job")
    expect(steps).to_have_count(4, timeout=SLOW_MS)
    expect(steps.nth(0)).to_have_attribute("data-state", "running", timeout=240_000)
    expect(steps.nth(3)).to_have_attribute("data-state", "waiting")
    shoot(page, "plan-running")
    expect(page.locator(".title .state")).to_have_text("succeeded", timeout=1_500_000)
    check_accessible(page, "a plan")
    shoot(page, "plan-ended")
    page.get_by_role("link", name="Play", exact=True).last.click()
    wait_frames(page, 3, of="simFrames")
    expect(page.get_by_role("link", name="a stone tower on grass, world")).to_be_visible()
    shoot(page, "play-from-a-prompt")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_accessible_and_fits(new_page: NewPage, castle: Path, color_scheme: str) -> None:
    page = new_page("/worlds")
    id = upload(page, castle)
    for size, viewport in (("desk", DESK), ("phone", PHONE)):
        page = new_page(f"/worlds/{id}", color_scheme=color_scheme, viewport=viewport)
        expect(page.get_by_role("heading", name="Use")).to_be_visible(timeout=SLOW_MS)
        page.keyboard.press("2")
        page.wait_for_timeout(500)  # the first picture
        shoot(page, f"world-{size}-{color_scheme}")
        check_accessible(page, f"a world on {size}")
        assert page.locator("#world").bounding_box()["height"] >= 300
