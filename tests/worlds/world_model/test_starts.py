import io
import zipfile

import numpy as np
import pytest

from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.world_model.rollout import BURN_IN
from terrarium.worlds.world_model.starts import load_starts, save_starts


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


def test_an_array_is_read_only_where_its_head_fits(tmp_path):
    """A few bytes that claim terabytes, and more places to start from than are ever written."""
    for n in (2**30, 33, 0):
        write(tmp_path, frames=head((n, BURN_IN, 32, 32, 3), "|u1"), actions=head((n, BURN_IN - 1, 9), "<f4"))
        with pytest.raises(ValueError, match=rf"starts\.npz holds frames and actions \(\({n}, 8.*with 1 to 32 starts"):
            load_starts(tmp_path, (32, 32), 9)


@pytest.mark.parametrize("broken", ["a folder", "no head", "an object", "not finite"])
def test_what_is_no_array_of_numbers(tmp_path, broken):
    frames, actions = np.zeros((1, BURN_IN, 32, 32, 3), np.uint8), np.zeros((1, BURN_IN - 1, 9), np.float32)
    if broken == "a folder":
        (tmp_path / "starts.npz").mkdir()
    elif broken == "no head":
        write(tmp_path, frames=b"junk", actions=b"")
    elif broken == "an object":
        np.savez(tmp_path / "starts.npz", frames=np.array([object()]), actions=actions)
    else:
        np.savez(tmp_path / "starts.npz", frames=frames, actions=actions + np.nan)
    with pytest.raises(ValueError, match=r"starts\.npz (is broken|holds)"):
        load_starts(tmp_path, (32, 32), 9)


def head(shape, dtype):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    return file.getvalue()


def write(folder, **arrays):
    with zipfile.ZipFile(folder / "starts.npz", "w") as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)
