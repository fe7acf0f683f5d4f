"""The import as a whole, on sets with one corrupt video, one missing action file and one length mismatch."""

import json
from dataclasses import replace

import numpy as np
import pytest
import videos

from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.episodes.kinds import ImportConfig
from terrarium.worlds.episodes.sources.recipe import _split, import_dataset
from terrarium.worlds.progress import Silent, Stopped
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.train import train_world_model
from terrarium.worlds.world_model.train_tokenizer import train_tokenizer

FRAMES = 60


@pytest.fixture(scope="module")
def gamefactory_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("gamefactory")
    for seed in range(5):
        turns = {i: {"yaw_delta": 0.4 if i % 8 < 4 else -0.4, "ws": 1} for i in range(1, FRAMES)}
        videos.gamefactory(root, f"seed_{seed}_part_0", FRAMES, turns)
    videos.damage(root / "video" / "seed_1_part_0.mp4")
    (root / "metadata" / "seed_2_part_0.json").unlink()
    videos.gamefactory(root, "seed_3_part_0", FRAMES, {}, entries=FRAMES - 9)
    videos.gamefactory(root, "seed_5_part_0", FRAMES, {7: {"scs": 1}, 9: {"yaw_delta": 9.0}})
    return root


@pytest.fixture(scope="module")
def minerl_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("minerl")
    for i in range(6):
        videos.minerl(root, f"v3_player-{i}_0-59", steps=FRAMES - 1, lead=3, duration_ms=50.0 * (FRAMES - 1))
    videos.damage(root / "v3_player-1_0-59" / "recording.mp4")
    (root / "v3_player-2_0-59" / "rendered.npz").unlink()
    videos.write_video(root / "v3_player-3_0-59" / "recording.mp4", videos.numbered(FRAMES // 2), fps=20)
    return root


def config_of(source, path, **options):
    sizes = {"width": 48, "height": 32, "stride": 2}
    return ImportConfig(source=source, path=str(path), **(sizes | options))


@pytest.mark.parametrize("source", ["gamefactory", "minerl"])
def test_what_cannot_be_used_is_named_and_the_rest_imported(source, request, tmp_path):
    root = request.getfixturevalue(f"{source}_set")
    result = import_dataset(config_of(source, root), tmp_path, Silent())
    assert result["episodes"] == 3 and len(result["skipped"]) == 3
    why = {s["name"].split("_")[1].removeprefix("player-"): s["reason"] for s in result["skipped"]}
    assert set(why) == {"1", "2", "3"}
    assert ".mp4" in why["1"] and "is missing" in why["2"]
    assert "51 actions" in why["3"] if source == "gamefactory" else "59 actions" in why["3"]
    dataset = open_dataset(tmp_path / "output", verify=True)
    assert dataset.manifest["report"]["skipped"] == result["skipped"]
    assert str(root) not in json.dumps(dataset.manifest), "a dataset travels"
    assert len(dataset.split("train")) == 2 and len(dataset.split("val")) == 1
    first = dataset.episodes[0]
    start = 3 if source == "minerl" else 0
    assert [videos.number(f) for f in first.frames] == list(range(start, start + FRAMES, 2))
    assert first.actions.shape == (FRAMES // 2 - 1, 9) and first.actions[:, 2].all()


def test_clipped_turns_are_counted(gamefactory_set, tmp_path):
    result = import_dataset(config_of("gamefactory", gamefactory_set), tmp_path, Silent())
    assert result["clipped"] == 1 and result["actions"] == 3 * (FRAMES // 2 - 1)
    assert json.loads((tmp_path / "output" / "manifest.json").read_text())["report"]["clipped"] == 1


class StopAt(Silent):
    """Asks to stop when it has been polled `polls` times; counts what it is told."""

    def __init__(self, polls):
        self.polls, self.seen = polls, []

    def step(self, step, total, phase=""):
        self.seen.append(step)

    def stop_requested(self):
        self.polls -= 1
        return self.polls < 0


def test_an_interrupted_import_goes_on_and_keeps_what_is_done(gamefactory_set, tmp_path):
    config = config_of("gamefactory", gamefactory_set)
    import_dataset(config, tmp_path / "whole", Silent())
    stop = StopAt(polls=60)  # within the second video or later: it is polled every frame
    with pytest.raises(Stopped):
        import_dataset(config, tmp_path / "parts", stop)
    assert len(stop.seen) > 50, "it says at every frame that it goes on"
    assert 1 <= max(stop.seen) < 6 and not (tmp_path / "parts" / "output" / "manifest.json").exists()
    done = sorted((tmp_path / "parts" / "output" / "episodes").glob("*/actions.npy"))
    before = [f.stat().st_mtime_ns for f in done]
    import_dataset(config, tmp_path / "parts", Silent())
    assert done and before == [f.stat().st_mtime_ns for f in done]
    one, two = (json.loads((tmp_path / d / "output" / "manifest.json").read_text()) for d in ("whole", "parts"))
    assert one == two


def test_what_is_damaged_of_an_interrupted_import_is_imported_anew(gamefactory_set, tmp_path):
    config = config_of("gamefactory", gamefactory_set)
    whole = import_dataset(config, tmp_path, Silent())
    (tmp_path / "output" / "manifest.json").unlink()
    frames = tmp_path / "output" / "episodes" / "000000" / "frames.npy"
    frames.write_bytes(frames.read_bytes()[:-1000])
    (tmp_path / "outcomes" / "000005.json").write_text("")
    assert import_dataset(config, tmp_path, Silent()) == whole
    assert len(open_dataset(tmp_path / "output", verify=True).episodes) == 3


def test_what_another_config_has_left_is_not_taken(gamefactory_set, tmp_path):
    config = config_of("gamefactory", gamefactory_set)
    with pytest.raises(Stopped):
        import_dataset(config, tmp_path, StopAt(polls=60))
    import_dataset(replace(config, stride=3), tmp_path, Silent())
    lengths = {len(e.frames) for e in open_dataset(tmp_path / "output", verify=True).episodes}
    assert lengths == {FRAMES // 3}


def test_nothing_to_use_is_an_error_that_says_why(tmp_path):
    videos.gamefactory(tmp_path / "set", "a", 20, {}, entries=5)
    videos.gamefactory(tmp_path / "set", "b", 20, {})
    with pytest.raises(
        ValueError, match=r"none of the 2 recordings can be used: .*a\.json has 5 actions.* 10 frames: expected at"
    ):
        import_dataset(config_of("gamefactory", tmp_path / "set"), tmp_path / "out", Silent())
    assert not (tmp_path / "out" / "output" / "manifest.json").exists()


def test_a_world_is_never_in_both_splits():
    kept = [{"name": str(i), "world": world, "entry": {"id": i}} for i, world in enumerate("aaaabbccccc")]
    splits = {k["world"]: set() for k in kept}
    for k, entry in zip(kept, _split(kept, 0.05), strict=True):
        splits[k["world"]].add(entry["split"])
    assert splits == {"a": {"train"}, "b": {"val"}, "c": {"train"}}
    one_world = [k | {"world": "a"} for k in kept]
    assert [e["split"] for e in _split(one_world, 0.2)].count("val") == 2
    assert {e["split"] for e in _split(kept[:1], 0.2)} == {"train"}
    assert {e["split"] for e in _split(kept, 0)} == {"train"}


def test_an_imported_set_trains_tokenizer_and_world_model(gamefactory_set, tmp_path):
    import_dataset(config_of("gamefactory", gamefactory_set, width=32), tmp_path / "data", Silent())
    data = str(tmp_path / "data" / "output")
    quality = train_tokenizer(tokenizer_debug(data), tmp_path / "tokenizer", Silent())
    tokenizer = str(tmp_path / "tokenizer" / "output")
    result = train_world_model(world_model_debug(data, tokenizer), tmp_path / "model", Silent())
    assert np.isfinite(quality["psnr"]) and np.isfinite(result["val_ce"])
    manifest = json.loads((tmp_path / "model" / "output" / "manifest.json").read_text())
    assert manifest["data"]["source"]["kind"] == "gamefactory"
    assert manifest["data"]["source"]["config"]["max_yaw_deg"] == 24.0
