"""A real browser against a real `terrarium up`: what the tests of tests/e2e share. Their fixtures are in its conftest.

Pictures of every page are left in test-artifacts/.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import ROOT, free_port

playwright_api = pytest.importorskip("playwright.sync_api")
Page, expect = playwright_api.Page, playwright_api.expect

ARTIFACTS = ROOT / "test-artifacts"
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
START_S = 180
SLOW_MS = 60_000  # the machine may be busy with a training
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",  # WebGL without a GPU
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

NewPage = Callable[..., Any]


@contextmanager
def running_terrarium() -> Iterator[str]:
    """The address of `terrarium up` with an empty data directory, or of the one that TERRARIUM_URL names."""
    if running := os.environ.get("TERRARIUM_URL"):
        yield running.rstrip("/")
        return
    with tempfile.TemporaryDirectory(prefix="terrarium-e2e-") as home:
        port, output = free_port(), Path(home) / "up.out"
        argv = [sys.executable, "-m", "terrarium.cli.main", "up", "--data-dir", f"{home}/data", "--port", str(port)]
        env = {
            k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")
        }  # its own, not other tests'
        env["TERRARIUM_WEBHOOK_PRIVATE"] = "true"
        with output.open("wb") as out:
            up = subprocess.Popen(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + START_S
            while "Play:" not in output.read_text():
                assert up.poll() is None and time.monotonic() < deadline, output.read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            up.send_signal(signal.SIGINT)
            try:
                up.wait(60)
            except subprocess.TimeoutExpired:
                up.kill()
                up.wait()


@contextmanager
def running_browser() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        reason = "no chromium here: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@contextmanager
def pages(browser: Any, url: str) -> Iterator[NewPage]:
    """`new_page(path, viewport=, color_scheme=)`; a script error on any of them fails the test."""
    contexts, errors = [], []

    def open_page(path: str = "/", **options: Any) -> Page:
        context = browser.new_context(base_url=url, **{"viewport": DESK, "color_scheme": "light"} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SLOW_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def shoot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", timeout=SLOW_MS)


def check_accessible(page: Page, what: str) -> None:
    """Nothing scrolls sideways, and axe finds nothing serious."""
    if not AXE.exists():
        reason = "axe-core is not installed: npm ci in web/"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{what} scrolls sideways"
    page.add_script_tag(path=AXE)
    result = page.evaluate("axe.run()")
    bad = [v for v in result["violations"] if v["impact"] in ("serious", "critical")]
    assert not bad, [(v["id"], v["help"], [n["html"][:160] for n in v["nodes"]]) for v in bad]


def wait_frames(page: Page, count: int, of: str = "frames") -> None:
    page.wait_for_function(f"window.__terrarium?.{of} >= {count}")


def submitted(page: Page, button: str) -> str:
    """The id of the job that a form's button submits."""
    with page.expect_response(lambda r: r.request.method == "POST" and r.status == 201) as answer:
        page.get_by_role("button", name=button, exact=True).click()
    return answer.value.json()["id"]


def done_by_form(page: Page, kind: str, button: str, **inputs: str) -> str:
    """The id of a job that the form submitted with its debug preset, once it has succeeded."""
    page.goto("/jobs?" + "&".join(f"{k}={v}" for k, v in {"kind": kind, **inputs}.items()))
    page.get_by_label("Preset").select_option("debug")
    id = submitted(page, button)
    expect(page.locator(f".job[data-id='{id}']")).to_have_attribute("data-state", "succeeded", timeout=240_000)
    return id
