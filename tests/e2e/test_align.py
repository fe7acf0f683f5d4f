"""Alignment in a real browser: a run is watched, a measurement chosen, drawn from, promoted; its world is walked in."""

from __future__ import annotations

import re

import pytest
from browsing import DESK, PHONE, SLOW_MS, NewPage, Page, check_accessible, expect, shoot, submitted


def start(page: Page, **choices: str) -> str:
    """The id of a debug run with these fields."""
    page.goto("/align")
    page.get_by_label("Preset").select_option("debug")
    for label, value in choices.items():
        page.get_by_label(label, exact=True).fill(value)
    return submitted(page, "Align a generator")


def state(page: Page, is_: str) -> None:
    expect(page.locator("main > .title .state")).to_have_text(is_, timeout=240_000)


@pytest.mark.timeout(600)  # a runner, which is niced
def test_a_reward_is_followed_and_a_measurement_drawn_from(new_page: NewPage) -> None:
    page = new_page("/align")
    page.get_by_role("checkbox", name="Symmetry").check()
    page.get_by_label("Weight of palette").fill("2")
    shoot(page, "align-form")
    page.get_by_role("checkbox", name="Symmetry").uncheck()
    id = start(page, **{"Fréchet distance budget": "1000", "Diversity budget": "0"})
    expect(page).to_have_url(re.compile(f"/align/{id}$"))
    state(page, "succeeded")
    for curve in ("Reward", "Fréchet distance", "Diversity"):
        expect(page.get_by_role("heading", name=re.compile(f"^{curve} [0-9]"))).to_be_visible()

    plot = page.locator(".scatter").first
    expect(plot.locator(".point")).to_have_count(3)  # the base, and two measurements
    plot.locator(".point[data-step='2']").press("Enter")  # by key: points may lie on one another
    expect(page.get_by_role("heading", name="Step 2")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("by step 2$"))).to_have_count(4)
    page.get_by_label("What to draw").fill("a small wooden hut")
    page.get_by_role("button", name="Draw", exact=True).click()
    walk = page.get_by_role("link", name="Walk in it")
    expect(walk).to_have_count(2, timeout=240_000)
    page.get_by_role("button", name="Let it draw new worlds").click()
    expect(page.get_by_role("button", name="Draws new worlds")).to_be_disabled()
    page.wait_for_timeout(300)  # the videos' first frames
    shoot(page, "align-run")
    check_accessible(page, "a run")

    walk.first.click()
    expect(page.get_by_role("complementary", name="Controls")).to_be_visible(timeout=SLOW_MS)
    page.keyboard.press("g")
    before = page.evaluate("window.__world.position")
    page.keyboard.down("w")
    page.wait_for_function("was => window.__world.position.some((x, i) => Math.abs(x - was[i]) > 0.3)", arg=before)
    page.keyboard.up("w")
    page.goto("/worlds")
    expect(page.get_by_role("link", name=f"generator-{id[:8]}")).to_be_visible()  # which Draw in seconds asks


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_accessible_and_fits(new_page: NewPage, color_scheme: str) -> None:
    for size, viewport in (("desk", DESK), ("phone", PHONE)):
        page = new_page("/align", color_scheme=color_scheme, viewport=viewport)
        expect(page.get_by_role("button", name="Align a generator")).to_be_enabled()
        shoot(page, f"align-{size}-{color_scheme}")
        check_accessible(page, f"alignments on {size}")
