import json

import numpy as np
import pytest
import videos

from terrarium.worlds.blocks.actions import ACTION_NAMES
from terrarium.worlds.episodes.kinds import ImportConfig
from terrarium.worlds.episodes.sources.minerl import iter_episodes, nearest, read_step_s, read_steps

W = ACTION_NAMES.index("w")


def only_clip(path, **options):
    sizes = {"width": 48, "height": 32, "stride": 1, "max_yaw_deg": 10.0, "max_pitch_deg": 10.0}
    (recording,) = iter_episodes(ImportConfig(source="minerl", path=str(path), **(sizes | options)))
    return recording.open()


@pytest.mark.parametrize(
    "video",
    [
        {"lead": 0, "duration_ms": None},
        {"lead": 0, "duration_ms": 1500.0},
        {"lead": 9, "duration_ms": 1500.0},  # the video begins before the first state
        {"lead": 5, "duration_ms": 3000.0, "fps": 30, "step": 3},  # and has three frames a step
    ],
)
def test_action_t_leads_from_frame_t_to_frame_t_plus_1(tmp_path, video):
    """The alignment test: action i turns i / 10 degrees; the frames' numbers tell which state they show."""
    videos.minerl(tmp_path, "v3_player-1_0-30", steps=30, **video)
    clip = only_clip(tmp_path)
    states = [(videos.number(f) - video["lead"]) / video.get("step", 1) for f in clip.frames]
    assert states == list(range(31))
    assert np.allclose(clip.actions[:, 0] * 100, states[:-1], atol=1e-3)
    assert np.allclose(clip.actions[:, 1] * 200, -np.array(states[:-1]), atol=1e-3)
    assert (clip.actions[:, W] == 1).all() and clip.actions[:, W + 1 :].sum() == 0


def test_stride_keeps_every_third_state(tmp_path):
    videos.minerl(tmp_path, "v3_player-1_0-30", steps=30, lead=4, duration_ms=1500.0)
    clip = only_clip(tmp_path, stride=3)
    assert [videos.number(f) - 4 for f in clip.frames] == list(range(0, 31, 3))
    assert clip.actions[4, 0] * 10 == pytest.approx((12 + 13 + 14) / 10)
    assert clip.fps == pytest.approx(20 / 3)


def test_as_many_actions_as_frames_end_with_the_video(tmp_path):
    videos.minerl(tmp_path, "a", steps=30)
    videos.write_video(tmp_path / "a" / "recording.mp4", videos.numbered(30), fps=20)
    clip = only_clip(tmp_path)
    assert [videos.number(f) for f in clip.frames] == list(range(30))
    assert np.allclose(clip.actions[:, 0] * 100, range(1, 30), atol=1e-3)


def test_a_video_too_short_for_its_actions_is_refused(tmp_path):
    videos.minerl(tmp_path, "a", steps=30, duration_ms=1500.0)
    videos.write_video(tmp_path / "a" / "recording.mp4", videos.numbered(20), fps=20)
    with pytest.raises(ValueError, match=r"30 actions last 1\.50 s, the video 0\.95 s"):
        only_clip(tmp_path)
    (tmp_path / "a" / "metadata.json").unlink()
    with pytest.raises(ValueError, match=r"30 actions, 20 frames and no metadata\.json"):
        only_clip(tmp_path)


def test_parts_of_one_stream_are_one_world(tmp_path):
    for name in ("v3_player-1_0-30", "v3_player-1_40-90", "v3_player-2_0-30"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rendered.npz").touch()
    worlds = [r.world for r in iter_episodes(ImportConfig(source="minerl", path=str(tmp_path)))]
    assert worlds[0] == worlds[1] != worlds[2]


def test_arrays_must_fit_each_other(tmp_path):
    videos.minerl(tmp_path, "a", steps=20)
    arrays = dict(np.load(tmp_path / "a" / "rendered.npz"))
    np.savez(tmp_path / "short.npz", **(arrays | {"action$jump": np.zeros(7)}))
    with pytest.raises(ValueError, match=r"short\.npz: keys of \[\(7,\), \(20,\)\], camera \(20, 2\)"):
        read_steps(tmp_path / "short.npz")
    del arrays["action$camera"]
    np.savez(tmp_path / "none.npz", **arrays)
    with pytest.raises(ValueError, match=r"none\.npz cannot be read: .*action\$camera"):
        read_steps(tmp_path / "none.npz")
    (tmp_path / "zip.npz").write_bytes(b"PK\3\4 no zip")
    with pytest.raises(ValueError, match=r"zip\.npz cannot be read"):
        read_steps(tmp_path / "zip.npz")


def test_recorded_duration(tmp_path):
    file = tmp_path / "metadata.json"
    assert read_step_s(file, 10) is None
    file.write_text(json.dumps({"duration_ms": 500, "duration_steps": 10}))
    assert read_step_s(file, 10) == 0.05
    with pytest.raises(ValueError, match=r"has 20 actions, metadata\.json tells of 10"):
        read_step_s(file, 20)
    file.write_text('{"duration_ms": "long"}')
    with pytest.raises(ValueError, match="cannot be read"):
        read_step_s(file, 10)


def test_nearest_in_time():
    times = np.array([0.0, 0.1, 0.2, 0.5])
    assert nearest(times, np.array([-1.0, 0.04, 0.06, 0.3, 0.4, 9.0])).tolist() == [0, 0, 1, 2, 3, 3]
