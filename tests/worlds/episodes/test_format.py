import json

import numpy as np
import pytest

from terrarium.worlds.blocks.actions import A
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.episodes.format import open_dataset, write_episode
from terrarium.worlds.episodes.kinds import record_debug
from terrarium.worlds.episodes.record import record_dataset
from terrarium.worlds.progress import RecipeError, Silent


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    out = tmp_path_factory.mktemp("recorded")
    record_dataset(record_debug(), out, Silent())
    return out / "output"


@pytest.fixture
def dataset_copy(recorded, tmp_path):
    import shutil

    return shutil.copytree(recorded, tmp_path / "data")


def test_action_t_leads_from_frame_t_to_frame_t_plus_1(recorded):
    """The alignment test: replaying actions[t] in the simulator from frame t gives frame t + 1, byte for byte."""
    for episode in open_dataset(recorded).episodes[:2]:
        world = BlockWorld(width=32, height=32, terrain="plains")
        assert np.array_equal(world.reset(episode.seed), episode.frames[0])
        for t, action in enumerate(episode.actions):
            assert np.array_equal(world.step(action), episode.frames[t + 1]), f"frame {t + 1}"
            assert np.array_equal(world.pose, episode.pose[t + 1])


def test_recording_is_deterministic_and_goes_on(recorded, tmp_path):
    class StopAfterTwo(Silent):
        seen = 0

        def step(self, step, total, phase=""):
            self.seen = step

        def stop_requested(self):
            return self.seen == 2

    from terrarium.worlds.progress import Stopped

    with pytest.raises(Stopped):
        record_dataset(record_debug(), tmp_path, StopAfterTwo())
    assert not (tmp_path / "output" / "manifest.json").exists()
    record_dataset(record_debug(), tmp_path, Silent())
    one, two = (json.loads((p / "manifest.json").read_text()) for p in (recorded, tmp_path / "output"))
    assert one["episodes"] == two["episodes"]


def damage_nothing(episode):
    pass


def empty_entry(episode):
    (episode / "entry.json").write_text("")


def wrong_entry(episode):
    (episode / "entry.json").write_text("[]")


def cut_frames(episode):
    file = episode / "frames.npy"
    file.write_bytes(file.read_bytes()[:-1000])


def zero_frames(episode):
    """Blocks that were allocated and never written: the right size, all zero."""
    file = episode / "frames.npy"
    file.write_bytes(bytes(file.stat().st_size))


def no_actions(episode):
    (episode / "actions.npy").unlink()


DAMAGES = [damage_nothing, empty_entry, wrong_entry, cut_frames, zero_frames, no_actions]


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_interrupted_run_records_anew_what_is_damaged(recorded, tmp_path, damage):
    import shutil

    shutil.copytree(recorded, tmp_path / "output")
    (tmp_path / "output" / "manifest.json").unlink()
    damage(tmp_path / "output" / "episodes" / "000003")
    record_dataset(record_debug(), tmp_path, Silent())
    assert len(open_dataset(tmp_path / "output", verify=True).episodes) == 6


def test_a_truncated_episode_is_noticed_before_the_dataset_has_its_manifest(recorded, tmp_path):
    class CutsAtTheEnd(Silent):
        def step(self, step, total, phase=""):
            if step == total:
                cut_frames(tmp_path / "output" / "episodes" / "000002")

    with pytest.raises(RecipeError, match=r"episode 000002: frames\.npy is truncated") as caught:
        record_dataset(record_debug(), tmp_path, CutsAtTheEnd())
    assert caught.value.code == "damaged_output" and not (tmp_path / "output" / "manifest.json").exists()


def test_splits_are_by_seed(recorded):
    dataset = open_dataset(recorded, verify=True)
    train, val = ({e.seed for e in dataset.split(s)} for s in ("train", "val"))
    assert train and val and not train & val


def test_frames_are_memory_mapped(recorded):
    assert isinstance(open_dataset(recorded).episodes[0].frames, np.memmap)


def test_truncated_episode_is_named(dataset_copy):
    file = dataset_copy / "episodes" / "000003" / "frames.npy"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"episode 000003: frames\.npy is truncated"):
        open_dataset(dataset_copy)


def test_missing_actions_are_named(dataset_copy):
    (dataset_copy / "episodes" / "000001" / "actions.npy").unlink()
    with pytest.raises(ValueError, match=r"episode 000001: actions\.npy is missing"):
        open_dataset(dataset_copy)


def test_wrong_length_shows_both_shapes(dataset_copy):
    np.save(dataset_copy / "episodes" / "000002" / "actions.npy", np.zeros((3, A), np.float32))
    with pytest.raises(
        ValueError, match=r"000002: actions.npy is float32 \(3, 9\), the manifest says float32 \(24, 9\)"
    ):
        open_dataset(dataset_copy)


def test_changed_file_fails_verification(dataset_copy):
    file = dataset_copy / "episodes" / "000000" / "frames.npy"
    frames = np.load(file)
    frames[0, 0, 0, 0] ^= 1
    np.save(file, frames)
    open_dataset(dataset_copy)
    with pytest.raises(ValueError, match=r"000000: frames\.npy differs from its recorded sha256"):
        open_dataset(dataset_copy, verify=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "expected a JSON object, found list"),
        ('{"a": "\\ud800"}', "is not JSON"),
        ('{"format_version": 9}', "format_version 9, expected 1"),
        ('{"format_version": 1, "action_names": "up"}', "action_names 'up': expected a list of names"),
        ('{"format_version": 1, "action_names": ["up"]}', "keys None: expected {keyboard code: one of up}"),
    ],
)
def test_foreign_manifest(tmp_path, text, message):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        open_dataset(tmp_path)


@pytest.mark.parametrize("id", ["/etc", "../../elsewhere", "..", "a/b", "a\0b", ""])
def test_an_episode_is_a_folder_of_its_dataset(dataset_copy, id):
    change_manifest(dataset_copy, lambda m: m["episodes"][0].update(id=id))
    with pytest.raises(ValueError, match=r"manifest\.json: episodes\.0\.id: String should match pattern"):
        open_dataset(dataset_copy)


@pytest.mark.parametrize("linked", ["frames.npy", "."])
def test_a_link_out_of_the_dataset_is_refused(dataset_copy, tmp_path, linked):
    inside = (dataset_copy / "episodes" / "000001" / linked).resolve()
    inside.rename(tmp_path / "outside")
    inside.symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match=r"episode 000001: frames\.npy is a link to .*outside.*, expected a file in"):
        open_dataset(dataset_copy)


def test_a_dataset_may_lie_behind_a_link(dataset_copy, tmp_path):
    (tmp_path / "link").symlink_to(dataset_copy)
    assert open_dataset(tmp_path / "link").episodes


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"frame_size": [10**9, 10**9]}, "frame_size"),
        ({"frame_size": [32]}, "frame_size"),
        ({"fps": "fast"}, "fps"),
        ({"source": None}, "source"),
        ({"episodes": {}}, "episodes"),
        ({"episodes": [{}]}, "episodes.0.id: Field required"),
    ],
)
def test_what_a_manifest_must_say(dataset_copy, change, where):
    change_manifest(dataset_copy, lambda m: m.update(change))
    with pytest.raises(ValueError, match=rf"manifest\.json: {where}"):
        open_dataset(dataset_copy)


@pytest.mark.parametrize("change", [{"length": -1}, {"length": "9"}, {"split": "all"}, {"sha256": {"../x": "0"}}])
def test_what_an_entry_must_say(dataset_copy, change):
    change_manifest(dataset_copy, lambda m: m["episodes"][0].update(change))
    with pytest.raises(ValueError, match=rf"manifest\.json: episodes\.0\.{next(iter(change))}"):
        open_dataset(dataset_copy)


def test_an_archive_or_a_folder_is_no_array(dataset_copy):
    file = dataset_copy / "episodes" / "000001" / "actions.npy"
    file.unlink()
    with file.open("wb") as f:
        np.savez(f, actions=np.zeros((24, A), np.float32))
    with pytest.raises(ValueError, match=r"000001: actions\.npy is truncated or not a \.npy file"):
        open_dataset(dataset_copy)
    file.unlink()
    file.mkdir()
    with pytest.raises(ValueError, match=r"000001: actions\.npy is truncated or not a \.npy file"):
        open_dataset(dataset_copy)


def change_manifest(dataset, change):
    file = dataset / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def test_no_dataset(tmp_path):
    with pytest.raises(ValueError, match="is no dataset"):
        open_dataset(tmp_path)


def test_episode_lengths_must_fit(tmp_path):
    with pytest.raises(ValueError, match="4 frames and 4 actions"):
        write_episode(tmp_path / "e", np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, A)), None, seed=0, split="train")
