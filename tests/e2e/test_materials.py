"""Materials in a real browser: three views become maps, which are looked at and worn by a world's blocks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch
from browsing import DESK, PHONE, SLOW_MS, NewPage, Page, check_accessible, expect, shoot

from terrarium.worlds.blocks.map_entries import coats_of
from terrarium.worlds.blocks.map_json import BlockMap, to_json
from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.materials.files import write_picture
from terrarium.worlds.materials.photograph import photograph
from terrarium.worlds.materials.procedural import material


@pytest.fixture
def views(tmp_path: Path) -> list[Path]:
    """Three pictures of bricks, and from where they were taken."""
    pictures, poses = photograph(
        torch.from_numpy(material("brick", 5, 128).maps)[None], torch.Generator().manual_seed(0)
    )
    name = f"wall-{uuid4().hex[:6]}"
    for number, picture in enumerate(pictures[0]):
        write_picture(tmp_path / f"{name}-{number}.png", picture.numpy())
    (tmp_path / "poses.json").write_text(json.dumps({"poses": poses[0].tolist()}))
    return sorted(tmp_path.iterdir())


def drawn(page: Page) -> int:
    page.wait_for_function("Number(document.getElementById('material')?.dataset.drawn) > 0")
    return int(page.locator("#material").get_attribute("data-drawn") or 0)


def a_world(page: Page) -> str:
    """The id of a keep of stone in a meadow."""
    blocks = np.zeros((16, 12, 16), np.uint8)
    blocks[:, 0], blocks[4:12, 1:7, 4:12] = ID["Grass"], ID["Stone"]
    blocks[5:11, 1:7, 5:11], blocks[7:9, 1:4, 11] = 0, 0
    blocks[4:12:2, 7, 4:12:7], blocks[4:12:7, 7, 4:12:2] = ID["Stone"], ID["Stone"]
    query = {"type": "block-world", "name": f"Keep {uuid4().hex[:6]}", "file": "map.json"}
    return page.request.post("/v1/uploads", params=query, data=to_json(BlockMap(blocks))).json()["id"]


@pytest.mark.timeout(600)  # a runner, which is niced
def test_three_views_become_maps_that_stone_wears(new_page: NewPage, views: list[Path]) -> None:
    page = new_page("/materials")
    world = a_world(page)
    page.get_by_label("Pictures", exact=True).set_input_files(views)
    expect(page.locator(".glances img")).to_have_count(3)
    shoot(page, "materials")
    page.get_by_role("button", name="Find the maps").click()
    expect(page.get_by_role("heading", name="Maps", exact=True)).to_be_visible(timeout=240_000)
    made = page.url.rpartition("/")[2]
    before = drawn(page)
    page.get_by_text("Wall", exact=True).click()
    page.get_by_label("Lamp, around").fill("60")
    page.wait_for_function("n => Number(document.getElementById('material').dataset.drawn) > n", arg=before)
    page.get_by_role("button", name="Normal").click()
    page.get_by_role("button", name="R", exact=True).click()
    expect(page.get_by_role("img", name="Normal", exact=True)).to_be_visible()
    page.get_by_text("Tiles", exact=True).click()
    expect(page.get_by_text(re.compile("neighbours differ by .* across the border"))).to_be_visible()
    shoot(page, "material")
    check_accessible(page, "a material")

    page.locator("select[name=world]").select_option(world)
    page.get_by_role("link", name="Put it on").click()
    expect(page.get_by_label("Stone wears")).to_have_value(made, timeout=SLOW_MS)
    expect(page.get_by_text("not saved")).to_be_visible()
    page.wait_for_timeout(1000)  # maps in full size
    shoot(page, "world-dressed")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(lambda address: world not in address)
    page.reload()
    page.get_by_role("button", name="Stone").click()
    expect(page.get_by_label("Stone wears")).to_have_value(made)
    saved = page.request.get(f"/v1/worlds/{page.url.rpartition('/')[2]}/map.json").json()
    coat = coats_of(saved["customBlocks"])[ID["Stone"]]
    assert coat.material == made and np.frombuffer(coat.basecolor, np.uint8).std() > 3


def test_bad_views_are_named(new_page: NewPage, views: list[Path], tmp_path: Path) -> None:
    page = new_page("/materials")
    for chosen, message in (
        (views[1:3], "expected 3 views, or one diffuse texture"),
        ([*views[1:3], tmp_path / "twice.png"], "is the same picture as"),
    ):
        (tmp_path / "twice.png").write_bytes(views[1].read_bytes())
        page.get_by_label("Pictures", exact=True).set_input_files(chosen)
        page.get_by_role("button", name="Find the maps").click()
        expect(page.get_by_role("alert")).to_contain_text(message)


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_accessible_and_fits(new_page: NewPage, color_scheme: str) -> None:
    for size, viewport in (("desk", DESK), ("phone", PHONE)):
        page = new_page("/materials", color_scheme=color_scheme, viewport=viewport)
        expect(page.get_by_role("button", name="Just make it")).to_be_enabled()
        shoot(page, f"materials-{size}-{color_scheme}")
        check_accessible(page, f"materials on {size}")
