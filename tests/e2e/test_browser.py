"""The web client in a real browser, against a real `terrarium up`.

    pytest tests/e2e/test_browser.py                                   starts its own, with an empty data directory
    TERRARIUM_URL=http://127.0.0.1:8420 pytest tests/e2e/test_browser.py    uses one that runs

Pictures of every page are left in test-artifacts/.
"""

from __future__ import annotations

import os
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import DESK, PHONE, NewPage, Page, check_accessible, done_by_form, expect, shoot, wait_frames
from processes import until

PAGES = {
    "play": "/",
    "worlds": "/worlds",
    "jobs": "/jobs",
    "library": "/library",
    "asset": "/library/shipped",
    "access": "/access",
}


def probe(page: Page) -> dict[str, Any]:
    return page.evaluate("window.__terrarium")


def pixels(page: Page, canvas: str, size: int = 64) -> list[int]:
    return page.evaluate(
        "([id, n]) => [...document.getElementById(id).getContext('2d').getImageData(0, 0, n, n).data]", [canvas, size]
    )


def changed(a: list[int], b: list[int]) -> float:
    """Mean absolute difference of two pictures, of 255."""
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


def test_holding_w_walks(new_page: NewPage) -> None:
    page = new_page("/?seed=3")  # starts in the open
    wait_frames(page, 1)
    assert probe(page)["seed"] == 3
    frames, seen = probe(page)["frames"], [pixels(page, "model")]
    page.locator("#model").click()  # takes the mouse, too
    page.keyboard.down("w")
    for i in range(4):
        page.wait_for_timeout(500)
        wait_frames(page, frames + 3 * (i + 1))  # on a busy machine 2 s are not many frames
        seen.append(pixels(page, "model"))
    expect(page.locator(".cap-KeyW")).to_have_attribute("data-lit", "true")
    assert probe(page)["held"] == ["KeyW"]
    shoot(page, "play-walking")
    page.keyboard.up("w")
    assert max(changed(a, b) for a, b in pairwise(seen)) > 1
    page.wait_for_function("window.__terrarium.latency.samples > 0")
    expect(page.locator("[data-stat=latency]")).to_have_text(re.compile(r"^\d"))
    assert probe(page)["held"] == []


def test_simulator_beside(new_page: NewPage) -> None:
    page = new_page()
    wait_frames(page, 1)
    page.keyboard.press("t")
    wait_frames(page, 3, of="simFrames")
    expect(page.get_by_role("switch", name="Simulator beside")).to_be_checked()
    assert max(pixels(page, "simulator")[:3]) > 0
    shoot(page, "play-simulator")
    page.keyboard.press("t")
    expect(page.locator("#simulator")).to_have_count(0)


def test_keys_are_released_and_fields_keep_theirs(new_page: NewPage) -> None:
    page = new_page()
    wait_frames(page, 1)
    page.keyboard.down("w")
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    assert probe(page)["held"] == []
    page.keyboard.up("w")

    seed = page.get_by_label("Seed")
    seed.fill("4")
    seed.press("w")
    assert probe(page)["held"] == []
    seed.fill("42")
    seed.press("Enter")
    page.wait_for_function("window.__terrarium.seed === 42")
    expect(page.locator("#model")).to_be_focused()


def test_pause_stops_the_world(new_page: NewPage) -> None:
    page = new_page()
    wait_frames(page, 1)
    page.keyboard.press("p")
    expect(page.get_by_text("Paused")).to_be_visible()
    page.wait_for_timeout(1000)
    before = pixels(page, "model")
    page.wait_for_timeout(500)
    assert changed(before, pixels(page, "model")) == 0
    page.get_by_role("button", name="Resume").click()
    wait_frames(page, probe(page)["frames"] + 3)


def test_sixty_frames_a_second_may_be_asked_for(new_page: NewPage) -> None:
    page = new_page()
    wait_frames(page, 1)
    page.get_by_text("60", exact=True).click()
    wait_frames(page, probe(page)["frames"] + 3)
    expect(page.get_by_role("radio", name="60")).to_be_checked()
    expect(page.get_by_role("alert")).to_have_count(0)
    shoot(page, "play-pace")


def test_unknown_checkpoint_is_explained(new_page: NewPage) -> None:
    page = new_page("/?checkpoint=nowhere")
    expect(page.get_by_role("alert")).to_contain_text("nowhere")
    shoot(page, "play-no-checkpoint")
    page.get_by_role("button", name="Play the shipped world").click()
    wait_frames(page, 1)


def test_a_lost_connection_is_made_again(new_page: NewPage) -> None:
    page, sockets = new_page("/library"), []

    def pass_on(socket: Any) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket(re.compile("/v1/play/"), pass_on)
    page.goto("/")
    wait_frames(page, 3)
    seed, frames = probe(page)["seed"], probe(page)["frames"]
    sockets[0].close(code=1013, reason="player_full")
    expect(page.get_by_role("alert")).to_contain_text("Trying again")
    wait_frames(page, frames + 3)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert len(sockets) == 2 and probe(page)["seed"] == seed


def test_a_job_from_the_form(new_page: NewPage) -> None:
    page = new_page("/jobs")
    page.get_by_label("What to do").select_option("dataset.record")
    page.get_by_label("Preset").select_option("debug")
    expect(page.get_by_label("Episodes")).to_have_value("6")

    page.locator("form").evaluate("form => { form.noValidate = true }")  # let the gateway find it
    page.get_by_label("Episodes").fill("1")
    page.get_by_role("button", name="Record a dataset").click()
    expect(page.locator("#field-episodes-error")).to_be_visible()
    expect(page.get_by_label("Episodes")).to_have_attribute("aria-invalid", "true")

    page.get_by_label("Episodes").fill("6")
    page.get_by_text("More settings").click()
    expect(page.get_by_label("Width")).to_have_value("32")
    page.get_by_label("Name (optional)").fill("Six short walks")
    with page.expect_response(lambda r: r.request.method == "POST" and r.status == 201) as submitted:
        page.get_by_role("button", name="Record a dataset").click()
    id = submitted.value.json()["id"]
    job = page.locator(f".job[data-id='{id}']")
    expect(job).to_have_attribute("data-state", "succeeded", timeout=120_000)
    shoot(page, "jobs-recorded")

    job.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(page.get_by_role("heading", name="Six short walks")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Newest preview"))).to_be_visible()
    shoot(page, "job-recorded")

    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: not url.endswith(id))
    expect(page.locator(".title .state")).to_have_text("succeeded", timeout=120_000)  # told by the stream
    expect(page.get_by_role("heading", name="Result")).to_be_visible()

    page.goto("/datasets")  # an old address
    page.wait_for_url("**/library?type=dataset")
    page.locator(".asset").first.get_by_role("link").click()
    page.get_by_role("link", name="Train a world model").click()
    expect(page.get_by_label("Data", exact=True)).not_to_have_value("")


def test_the_library_finds_names_and_deletes(new_page: NewPage, url: str) -> None:
    preset = {"kind": "dataset.record", "world": "plains", "episodes": 2, "steps": 16, "width": 32, "height": 32}
    id = httpx.post(f"{url}/v1/jobs", json=preset | {"val_fraction": 0.5}).json()["id"]
    until(lambda: httpx.get(f"{url}/v1/assets/{id}").is_success, timeout_s=120, every_s=0.2)
    name, tag = f"Harbour {id[:8]}", f"dusk {id[:8]}"
    page = new_page("/library")
    page.locator(f".asset[data-id='{id}']").get_by_role("link").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Tags").fill(f"{tag}, keep")
    page.get_by_label("Notes").fill("Two of them.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    shoot(page, "asset-named")

    page.get_by_role("link", name="Library").first.click()
    page.get_by_role("searchbox").fill(name.lower())
    expect(page.locator(".asset")).to_have_count(1)
    page.get_by_role("searchbox").fill("no such thing")
    expect(page.get_by_text("Nothing like that is here")).to_be_visible()
    page.goto(f"/library?tag={tag}")
    expect(page.locator(".asset")).to_have_count(1)
    page.get_by_role("link", name=name).click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    page.wait_for_url("**/library")
    expect(page.locator(".asset[data-id='shipped']")).to_be_visible()
    expect(page.locator(f".asset[data-id='{id}']")).to_have_count(0)

    page.goto("/library/shipped")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("alert")).to_contain_text("belongs to the package")


def test_a_dataset_is_uploaded_and_its_episodes_are_played(new_page: NewPage, tmp_path: Path) -> None:
    import terrarium

    name = f"walks-{os.getpid()}"
    made = terrarium.record(tmp_path / name, "debug", world="desert", seed=os.getpid(), steps=48, progress=False)
    shutil.make_archive(str(tmp_path / name), "zip", made.folder)
    (tmp_path / "wrong.zip").write_bytes(b"no zip")
    page = new_page("/library")
    page.get_by_label("Zip to upload").set_input_files(tmp_path / "wrong.zip")
    expect(page.get_by_role("alert")).to_contain_text("the archive is damaged, or no zip")
    shoot(page, "upload-refused")
    page.get_by_label("Zip to upload").set_input_files(tmp_path / f"{name}.zip")
    added = page.get_by_role("status").filter(has_text="In the library")
    expect(added).to_be_visible()
    expect(page.locator(".asset").filter(has_text=name)).to_have_count(1)
    shoot(page, "uploaded")
    added.get_by_role("link", name=name).click()

    episode = terrarium.open_dataset(made).episodes[1]
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text(f"seed {episode.seed}")).to_be_visible()

    def shows(frame: int) -> bool:
        shown = pixels(page, "episode", 32)
        return [v for i, v in enumerate(shown) if i % 4 < 3] == episode.frames[frame].ravel().tolist()

    until(lambda: shows(0))
    page.get_by_label("Frame", exact=True).fill("30")
    until(lambda: shows(30))
    expect(page.get_by_text("31 of 49, 1.5 s")).to_be_visible()
    shoot(page, "episode")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_text("49 of 49, 2.4 s")).to_be_visible()
    until(lambda: shows(48))
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("button", name="Pause").click()
    check_accessible(page, "an episode")


def test_pages_say_that_the_server_is_away_and_go_on_when_it_is_back(new_page: NewPage) -> None:
    page = new_page("/library")
    expect(page.locator(".asset")).not_to_have_count(0)
    page.context.set_offline(True)
    expect(page.get_by_role("status").filter(has_text="does not answer")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("does not answer")).to_have_count(0)
    expect(page.locator(".asset")).not_to_have_count(0)


@pytest.mark.timeout(900)  # three runners, niced: on a busy machine they wait
def test_your_own_game_from_recording_to_play(new_page: NewPage) -> None:
    page = new_page("/jobs?kind=dataset.record-gym")
    expect(page.get_by_label("Environment", exact=True)).to_have_value("crafter:Env")
    shoot(page, "jobs-own-game")
    data = done_by_form(page, "dataset.record-gym", "Record a game")
    tokenizer = done_by_form(page, "tokenizer.train", "Train a tokenizer", data=data)
    model = done_by_form(page, "world-model.train", "Train a world model", data=data, tokenizer=tokenizer)

    page.goto(f"/jobs/{tokenizer}")
    expect(page.get_by_role("heading", name=re.compile("^Train a tokenizer, .*, debug$"))).to_be_visible()
    expect(page.locator(f".lineage-line a[href='/library/{data}']")).to_be_visible()
    loss = page.locator(".chart", has_text="Loss").first
    loss.locator(".u-over").hover(position={"x": 5, "y": 20})
    expect(loss.get_by_text("step 1", exact=True)).to_be_visible()
    page.get_by_role("button", name="time").click()
    page.get_by_label("Smoothing").fill("0.9")
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    assert saved.value.path().read_text().startswith("job,name,metric,step,seconds,value\n" + tokenizer)
    shoot(page, "job-trained")

    page.goto(f"/?checkpoint={model}&seed=5")
    wait_frames(page, 3)
    assert probe(page)["checkpoint"] == model and probe(page)["seed"] == 5
    expect(page.locator(".cap-Digit2")).to_contain_text("place stone")
    expect(page.locator(".cap-ArrowUp")).to_have_count(0)  # no camera: arrows are keys like W, A, S, D
    expect(page.get_by_role("switch", name="Simulator beside")).to_have_count(0)
    before = pixels(page, "model", 32)
    page.keyboard.down("ArrowLeft")
    page.wait_for_function("window.__terrarium.latency.samples > 0")  # a frame has answered the key
    expect(page.locator(".cap-KeyA")).to_have_attribute("data-lit", "true")
    wait_frames(page, probe(page)["frames"] + 5)
    assert changed(before, pixels(page, "model", 32)) > 0
    shoot(page, "play-own-game")
    page.keyboard.up("ArrowLeft")
    page.locator("#model").click()
    assert page.evaluate("document.pointerLockElement === null")
    page.get_by_role("radio", name=re.compile("^shipped")).check()
    expect(page.locator(".cap-ArrowUp")).to_be_visible()  # with the other checkpoint came its keys and its simulator
    expect(page.get_by_role("switch", name="Simulator beside")).to_be_visible()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_accessible_and_fits(new_page: NewPage, name: str, color_scheme: str) -> None:
    for size, viewport in (("desk", DESK), ("phone", PHONE)):
        page = new_page(PAGES[name], color_scheme=color_scheme, viewport=viewport)
        if name == "play":
            wait_frames(page, 5)
        page.wait_for_timeout(1500)  # lists have come
        shoot(page, f"{name}-{size}-{color_scheme}")
        if name == "play":
            assert page.locator("#model").bounding_box()["width"] >= 300
            assert page.locator(".panel").evaluate("e => e.scrollWidth <= e.clientWidth"), "controls are cut off"
        check_accessible(page, f"{name} on {size}")
        page.close()


def test_a_key_is_made_once_shown_and_revoked(new_page: NewPage, url: str) -> None:
    page = new_page("/access")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Name: who or what uses it").fill("nightly")
    page.get_by_label("Valid for").select_option("a week")
    page.get_by_role("checkbox", name="play: play live").uncheck()
    page.get_by_role("button", name="Make a key").click()
    shown = page.get_by_label("The key nightly.")
    expect(shown).to_have_value(re.compile("^trm_"))
    shoot(page, "access-new-key")
    login = {"key": shown.input_value()}
    assert httpx.post(f"{url}/v1/login", json=login).status_code == 204
    page.get_by_role("button", name="Done").click()
    expect(shown).to_have_count(0)
    row = page.locator("[data-key]", has_text="nightly")
    expect(row).to_contain_text("read, submit · until")
    page.get_by_role("button", name="Revoke nightly").click()
    expect(row).to_have_attribute("data-over", "true")
    assert httpx.post(f"{url}/v1/login", json=login).status_code == 401


def test_a_webhook_is_made_tried_and_deleted(new_page: NewPage) -> None:
    page = new_page("/access")
    page.on("dialog", lambda dialog: dialog.accept())
    address = page.get_by_label("Address")
    address.fill("ftp://127.0.0.1/hook")
    page.get_by_role("button", name="Add a webhook").click()
    expect(page.get_by_role("alert")).to_contain_text("scheme 'ftp', expected https")
    address.fill("http://127.0.0.1:9/hook")  # where nobody listens
    page.get_by_role("checkbox", name="a plan has ended").uncheck()
    page.get_by_role("button", name="Add a webhook").click()
    expect(page.get_by_label("The secret that signs")).to_have_value(re.compile("^whsec_"))
    row = page.locator("[data-webhook]", has_text="127.0.0.1:9")
    expect(row).to_contain_text("job.ended · on")
    row.get_by_role("button", name="Send a test").click()
    expect(row.locator("[data-event=ping]")).to_be_visible()
    shoot(page, "access-webhook")
    row.get_by_role("button", name="Switch off").click()
    expect(row).to_have_attribute("data-over", "true")
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
