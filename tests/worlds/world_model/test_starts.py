import numpy as np
import pytest

from worlds.episodes.format import open_dataset
from worlds.world_model.rollout import BURN_IN
from worlds.world_model.starts import load_starts, save_starts


@pytest.fixture
def dataset(debug_data):
    return open_dataset(debug_data)


def test_starts_are_clips_of_held_out_episodes(dataset, tmp_path):
    save_starts(tmp_path, dataset)
    frames, actions = load_starts(tmp_path, dataset.frame_size, 9)
    held_out = dataset.split("val")
    assert 8 <= len(frames) <= 32
    for clip, acts in zip(frames, actions, strict=True):
        assert any(
            np.array_equal(clip, e.frames[t : t + BURN_IN]) and np.array_equal(acts, e.actions[t : t + BURN_IN - 1])
            for e in held_out
            for t in range(len(e.frames) - BURN_IN + 1)
        )
    assert len({clip.tobytes() for clip in frames}) > len(frames) // 2, "spread, not one place"
    save_starts(tmp_path, dataset)
    assert np.array_equal(load_starts(tmp_path, dataset.frame_size, 9)[0], frames), "the same each time"


def test_missing_broken_and_foreign_files_are_named(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere to start play"):
        load_starts(tmp_path, (32, 32), 9)
    save_starts(tmp_path, dataset)
    with pytest.raises(ValueError, match=r"32, 32, 3\).*expected.*\(\d+, 8, 64, 64, 3\)"):
        load_starts(tmp_path, (64, 64), 9)
    with pytest.raises(ValueError, match=r"7, 9\).*expected.*7, 3\)"):
        load_starts(tmp_path, (32, 32), 3)
    file = tmp_path / "starts.npz"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"starts\.npz is broken"):
        load_starts(tmp_path, (32, 32), 9)
