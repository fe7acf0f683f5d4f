"""A plan that a closed gate has stopped, in a real browser: the figures, the question, the release."""

from __future__ import annotations

from typing import Any

import pytest
from browsing import DESK, PHONE, SLOW_MS, NewPage, Page, check_accessible, expect, shoot

BRIEF: dict[str, Any] = {
    "kind": "texture.train",
    "clean": "@clean",
    "network": "debug",
    "epochs": 1,
    "patches": 4,
    "validated": 1,
    "side": 64,
    "val_fraction": 0.25,
}
STEPS = [
    {"name": "clean", "job": {"kind": "texture.dataset", "materials": 8, "size": 64}},
    {"name": "a0", "job": BRIEF | {"phase": "A0"}},
    {"name": "a", "job": BRIEF | {"phase": "A", "start": "@a0"}},
]


def a_stopped_plan(page: Page) -> str:
    """A0 of one epoch, whose loss has not fallen yet: its gate stays closed."""
    plan = page.request.post("/v1/plans", data={"name": "Textures", "steps": STEPS}).json()
    return f"/plans/{plan['id']}"


@pytest.mark.timeout(900)  # a runner, which is niced, starts four times
def test_a_closed_gate_is_released_with_a_reason(new_page: NewPage) -> None:
    page = new_page("/jobs")
    path = a_stopped_plan(page)
    page.goto(path)
    closed = page.locator("[data-gate=closed]")
    expect(closed).to_contain_text("Gate closed: loss", timeout=300_000)
    expect(page.locator("[data-step=a]")).to_have_attribute("data-state", "failed", timeout=300_000)
    for size, viewport in (("desk", DESK), ("phone", PHONE)):
        for color_scheme in ("light", "dark"):
            seen = new_page(path, color_scheme=color_scheme, viewport=viewport)
            seen.get_by_role("button", name="Release…").click()
            expect(seen.get_by_label("Why A may go on all the same")).to_be_focused()
            shoot(seen, f"gate-{size}-{color_scheme}")
            check_accessible(seen, f"a closed gate on {size}")
    page.get_by_role("button", name="Release…").click()
    release = page.get_by_role("button", name="Release the gate of A0")
    expect(release).to_be_disabled()
    page.get_by_role("button", name="Keep it closed").click()
    expect(release).to_have_count(0)
    page.get_by_role("button", name="Release…").click()
    page.get_by_label("Why A may go on all the same").fill("one epoch is enough here")
    release.click()
    expect(page.get_by_role("button", name="Release…")).to_have_count(0, timeout=SLOW_MS)
    expect(page.locator("[data-step=a]")).to_have_attribute("data-state", "succeeded", timeout=300_000)
    made = page.locator("[data-step=a]").get_attribute("data-id")
    released = page.request.get(f"/v1/assets/{made}").json()["manifest"]["released"]
    assert [(one["checkpoint"], one["why"]) for one in released] == [("A0", "one epoch is enough here")]
    shoot(page, "gate-released")
