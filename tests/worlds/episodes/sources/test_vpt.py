import numpy as np
import pytest
import videos

from terrarium.worlds.blocks.actions import ACTION_NAMES
from terrarium.worlds.episodes.kinds import ImportConfig
from terrarium.worlds.episodes.sources.vpt import iter_episodes, read_steps


def only_clip(path, **options):
    sizes = {"width": 48, "height": 32, "stride": 1, "max_yaw_deg": 10.0, "max_pitch_deg": 10.0}
    (recording,) = iter_episodes(ImportConfig(source="vpt", path=str(path), **(sizes | options)))
    return recording.open()


@pytest.mark.parametrize("ticks", [30, 29])
def test_action_t_leads_from_frame_t_to_frame_t_plus_1(tmp_path, ticks):
    """The alignment test: line i is pressed on frame i."""
    videos.vpt(tmp_path, "player-f00-20220421-092639", 30, [{"dx": i, "dy": i / 2} for i in range(ticks)])
    clip = only_clip(tmp_path)
    numbers = [videos.number(frame) for frame in clip.frames]
    assert numbers == list(range(30)) and len(clip.actions) == 29
    assert np.allclose(clip.actions[:, 0] * 10 / 0.15, numbers[:-1], atol=1e-3)
    assert np.allclose(clip.actions[:, 1] * 10 / 0.15, -np.array(numbers[:-1]) / 2, atol=1e-3)


def test_keys_are_read_and_a_menu_is_no_action(tmp_path):
    pressed = [["w", "space"], ["left.control", "a"], ["s", "left.shift", "e"], ["d"]]
    ticks = [{"keys": keys} for keys in pressed] + [{"keys": ["w"], "dx": 40.0, "menu": True}] + [{}] * 15
    videos.vpt(tmp_path, "p", 20, ticks)
    clip = only_clip(tmp_path)
    held = [{ACTION_NAMES[k] for k in range(2, 9) if a[k]} for a in clip.actions[:5]]
    assert held == [{"w", "jump"}, {"sprint", "a"}, {"s", "sneak"}, {"d"}, set()]
    assert not clip.actions[4:].any()


def test_length_mismatch_shows_both(tmp_path):
    videos.vpt(tmp_path, "p", 20, [{}] * 33)
    with pytest.raises(ValueError, match="33 ticks, 20 frames"):
        only_clip(tmp_path)


def test_a_line_that_is_no_tick_is_named(tmp_path):
    videos.vpt(tmp_path, "p", 20, [{}] * 20)
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    lines[6] = '{"mouse": {"dx": 1}}'
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"p\.jsonl:7 is no tick: KeyError"):
        read_steps(tmp_path / "p.jsonl")
