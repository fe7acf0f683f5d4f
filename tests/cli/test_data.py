"""`terrarium data`: what it prints, how it ends, what lies there afterwards."""

import json

import numpy as np
import videos
from typer.testing import CliRunner

from terrarium.cli.main import app
from terrarium.worlds.blocks.actions import ACTION_NAMES
from terrarium.worlds.blocks.map_json import BlockMap, write_map
from terrarium.worlds.blocks.terrain import generate


def data(*argv):
    return CliRunner().invoke(app, ["data", *map(str, argv)])


def test_import_prints_what_it_left_out(tmp_path):
    for i in range(3):
        videos.gamefactory(tmp_path / "gf", f"seed_{i}_part_0", 60, {5: {"yaw_delta": 4.0}})
    (tmp_path / "gf" / "metadata" / "seed_1_part_0.json").unlink()
    done = data("import", "gamefactory", tmp_path / "gf", "--out", tmp_path / "data", "--stride", "2")
    assert done.exit_code == 0, done.stderr
    assert "skipped video/seed_1_part_0.mp4: seed_1_part_0.json is missing" in done.stderr
    assert "clipped 2 turns (3.4%)" in done.stderr
    result = json.loads(done.stdout)
    assert result["episodes"] == 2 and result["frames"] == 60 and len(result["skipped"]) == 1
    info = json.loads(data("info", tmp_path / "data", "--verify").stdout)
    assert info["episodes"] == {"train": 1, "val": 1} and info["frame_size"] == [64, 64]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "gf"], "no scratch is left"
    again = data("import", "gamefactory", tmp_path / "gf", "--out", tmp_path / "data")
    assert again.exit_code == 2 and "already holds a dataset" in again.stderr


def test_bad_imports_say_what_was_expected(tmp_path):
    for argv, says in {
        ("gamefactory", tmp_path): "expected metadata/*.json and video/*.mp4",
        ("minerl", tmp_path): "expected folders with recording.mp4 and rendered.npz",
        ("zip", tmp_path): "source: 'zip'",
    }.items():
        failed = data("import", *argv, "--out", tmp_path / "data")
        assert failed.exit_code == 2 and says in failed.stderr and "Traceback" not in failed.stderr


def test_record_a_game(tmp_path):
    out = tmp_path / "data"
    done = data("record-gym", "crafter:Env", "--preset", "debug", "--episodes", "2", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["actions"] == 16
    assert json.loads(data("info", out).stdout)["source"]["env"] == "crafter:Env"
    unknown = data("record-gym", "crafter:Game", "--out", tmp_path / "more")
    assert unknown.exit_code == 2 and "'Game'" in unknown.stderr and "Traceback" not in unknown.stderr


def test_record_in_a_map(tmp_path):
    write_map(tmp_path / "castle.json", BlockMap(generate("plains", 1)))
    out = tmp_path / "data"
    done = data("record", "--preset", "debug", "--world", tmp_path / "castle.json", "--episodes", "2", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert json.loads(data("info", out).stdout)["source"]["terrain"] == "castle.json"
    missing = data("record", "--world", tmp_path / "none.json", "--out", tmp_path / "more")
    assert missing.exit_code == 2 and "none.json: No such file" in missing.stderr


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    for out in (tmp_path, tmp_path / "letters.txt"):
        failed = data("record", "--preset", "debug", "--out", out)
        assert failed.exit_code == 2 and "already holds something else" in failed.stderr
    assert (tmp_path / "letters.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    assert data("record", "--preset", "debug", "--out", tmp_path / "empty").exit_code == 0


def test_a_map_that_is_a_folder(tmp_path):
    (tmp_path / "map.json").mkdir()
    failed = data("record", "--preset", "debug", "--world", tmp_path / "map.json", "--out", tmp_path / "data")
    assert failed.exit_code == 2 and "map.json/map.json: No such file or directory" in failed.stderr


def test_import_of_recorded_play(tmp_path):
    part = tmp_path / "plays" / "7-walk" / "000"
    part.mkdir(parents=True)
    np.save(part / "frames.npy", np.zeros((20, 32, 32, 3), np.uint8))
    np.save(part / "actions.npy", np.zeros((19, len(ACTION_NAMES)), np.float32))
    facts = {"fps": 20, "frame_size": [32, 32], "frames": 20, "source": {"kind": "played"}, "state": None}
    (part / "play.json").write_text(json.dumps(facts | {"action_names": list(ACTION_NAMES), "keys": {}}))
    out = tmp_path / "out"
    done = data("import", "played", tmp_path / "plays", "--preset", "debug", "--set", "pictures=model", "--out", out)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["frames"] == 20
