from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from terrarium.store.places import shipped_folder
from terrarium.worlds.kinds import Conflict, Slot, kinds, read_manifest
from terrarium.worlds.materials.texture.phases import HEADS, checkpoint_name, comes_after
from terrarium.worlds.plans import (
    BadStep,
    PlayableConfig,
    Step,
    TextureConfig,
    check,
    check_references,
    filled,
    named_steps,
    playable,
    texture,
)


def none_there(slot: Slot, id: str) -> dict[str, Any]:
    if id == "shipped":
        return read_manifest(shipped_folder())
    raise ValueError(f"no such asset: {id}")


def debug(kind: str, **inputs: Any) -> Any:
    return replace(kinds()[kind].presets["debug"](), **inputs)


@pytest.mark.parametrize("preset", ["debug", "cpu", "small"])
@pytest.mark.parametrize("start", [{"prompt": "a hut"}, {"world": "hill"}])
def test_the_steps_of_playable_fit_each_other(preset: Any, start: dict[str, str]) -> None:
    steps = playable(PlayableConfig(preset=preset, **start))
    check(steps, lambda slot, id: {} if id == "hill" else none_there(slot, id))
    assert [step.name for step in steps][-1] == "world-model" and steps[-1].config.data == "@recording"
    assert ("world" in [step.name for step in steps]) == ("prompt" in start)
    assert named_steps(steps[-1].config)["data"] == ("recording",)


@pytest.mark.parametrize("preset", ["debug", "default"])
def test_the_steps_of_the_texture_plan_fit_each_other(preset: Any) -> None:
    steps = {step.name: step.config for step in texture(TextureConfig(preset=preset))}
    check([Step(name, config) for name, config in steps.items()], none_there)
    trained = {name: config for name, config in steps.items() if config.kind == "texture.train"}
    for name, config in trained.items():
        before = comes_after(config.phase, config.map)
        made = {f"@{at}": checkpoint_name(one.phase, one.map) for at, one in trained.items()}
        assert config.start is None if name == "a0" else made[config.start] == before
        assert bool(config.release) == (preset == "debug" and name != "a0")
    assert list(steps)[:3] == ["clean", "game", "a0"] and steps["b"].albedo == "@a-albedo-syn"
    assert [config.map for config in trained.values()][-6:] == list(HEADS) and len(trained) == 12


def test_textures_that_are_there_are_not_drawn() -> None:
    steps = texture(TextureConfig(clean="mine", game="theirs", release="seen"))
    assert [step.name for step in steps][:2] == ["a0", "a"] and steps[-1].config.game == "theirs"
    assert {step.config.release for step in steps[1:]} == {"seen"}
    assert {step.config.release for step in texture(TextureConfig(release=""))[3:]} == {""}  # gates hold


def test_a_closed_gate_stops_what_goes_on_from_it() -> None:
    closed = {"checkpoint": "B", "gate": {"open": False, "why": "epoch 3: game 0.0795 > 0.0789"}}
    steps = [Step("c", kinds()["texture.train"].presets["debug"]("C", clean="x", game="x", start="b"))]
    with pytest.raises(BadStep, match=r"step c: start has a closed gate \(epoch 3: game 0.0795 > 0.0789\)"):
        check(steps, lambda slot, id: closed if id == "b" else {})
    check([Step("c", replace(steps[0].config, release="seen"))], lambda slot, id: closed if id == "b" else {})


def test_a_prompt_or_a_world() -> None:
    for given in ({}, {"prompt": "a hut", "world": "hill"}):
        with pytest.raises(Conflict, match="expected one of them"):
            PlayableConfig(**given)


def test_references_become_folders() -> None:
    config = debug("world-model.train", data="@walks", tokenizer="eye")
    assert filled(config, {"walks": "/data/walks"}) == replace(config, data="/data/walks")
    many = replace(kinds()["dataset.import-play"].presets["debug"](), plays=("a", "@b"))
    assert filled(many, {"b": "c"}).plays == ("a", "c")


def test_what_is_wrong_names_the_step() -> None:
    walks = Step("walks", debug("dataset.record"))
    model = Step("model", debug("world-model.train", data="@walks"))
    with pytest.raises(BadStep, match="step model: data takes @walks, expected a step before it: none"):
        check_references([model, walks])
    with pytest.raises(BadStep, match="step walks: name occurs twice"):
        check_references([walks, walks])
    with pytest.raises(
        BadStep, match="step model: tokenizer takes @walks, a dataset, expected a tokenizer or world-model"
    ):
        check_references([walks, Step("model", debug("world-model.train", data="@walks", tokenizer="@walks"))])
    with pytest.raises(BadStep, match="step model: tokenizer no such asset: eye"):
        check([walks, Step("model", debug("world-model.train", data="@walks", tokenizer="eye"))], none_there)


def test_what_will_not_fit_is_known_before_it_is_made() -> None:
    large = Step("walks", debug("dataset.record", width=32, height=32))
    model = Step("model", debug("world-model.train", data="@walks", tokenizer="shipped"))
    with pytest.raises(BadStep, match="step model: tokenizer was trained on frames of 64x64, the dataset has 32x32"):
        check([large, model], none_there)
    world = Step("world", debug("world.generate", guidance="blocks", prompts=("a hut",), size=16, target=None))
    more = Step(
        "more", debug("world.generate", guidance="blocks", prompts=("a hut",), size=32, target=None, start="@world")
    )
    with pytest.raises(BadStep, match=r"step more: start has \[16, 16, 16\] blocks"):
        check([world, more], none_there)
