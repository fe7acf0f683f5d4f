import itertools

import numpy as np
import pytest
import videos

from terrarium.worlds.blocks.actions import ACTION_NAMES, action
from terrarium.worlds.episodes.kinds import ImportConfig
from terrarium.worlds.episodes.sources.gamefactory import iter_episodes, read_steps


def config(path, **options):
    return ImportConfig(source="gamefactory", path=str(path), **({"width": 48, "height": 32} | options))


def only_clip(path, **options):
    (recording,) = iter_episodes(config(path, **options))
    return recording.open()


def test_action_t_leads_from_frame_t_to_frame_t_plus_1(tmp_path):
    """The alignment test: entry i comes with frame i, and each frame shows its number."""
    yaw = {i: {"yaw_delta": i / 15} for i in range(1, 40)}
    videos.gamefactory(tmp_path, "seed_1_part_1", 40, yaw)
    clip = only_clip(tmp_path, stride=1, max_yaw_deg=100)
    numbers = [videos.number(frame) for frame in clip.frames]
    assert numbers == list(range(40))
    turned_to = clip.actions[:, 0] * 100  # degrees: entry i turns i degrees, on the way to frame i
    assert np.allclose(turned_to, numbers[1:], atol=1e-4)


def test_with_stride_turns_are_summed_and_keys_held_in_any(tmp_path):
    entries = {i: {"yaw_delta": i / 15, "pitch_delta": 0.1} for i in range(1, 40)}
    entries[5] |= {"ws": 1}
    entries[7] |= {"scs": 1, "ad": 2}
    videos.gamefactory(tmp_path, "seed_1_part_1", 40, entries)
    clip = only_clip(tmp_path, stride=3, max_yaw_deg=120, max_pitch_deg=9)
    numbers = [videos.number(frame) for frame in clip.frames]
    assert numbers == list(range(0, 40, 3)) and len(clip.actions) == 13 and clip.fps == pytest.approx(16 / 3)
    for t, (before, after) in enumerate(itertools.pairwise(numbers)):
        assert clip.actions[t, 0] * 120 == pytest.approx(sum(range(before + 1, after + 1)), abs=1e-3)
    assert np.allclose(clip.actions[:, 1], -0.5), "pitch > 0 looks up here, down there"
    held = [{ACTION_NAMES[k] for k in range(2, 9) if a[k]} for a in clip.actions]
    assert held[1] == {"w"} and held[2] == {"jump", "d"} and not any(held[3:])


def test_a_set_without_the_first_entry_is_aligned_too(tmp_path):
    videos.gamefactory(tmp_path, "seed_1_part_1", 20, {3: {"ws": 2}}, entries=19)
    clip = only_clip(tmp_path, stride=1)
    assert np.flatnonzero(clip.actions.any(axis=1)).tolist() == [3]


def test_turns_beyond_reach_are_clipped_and_counted(tmp_path):
    videos.gamefactory(tmp_path, "seed_1_part_1", 20, {1: {"yaw_delta": 3.0}, 2: {"pitch_delta": -1.6}, 3: {}})
    clip = only_clip(tmp_path, stride=1)
    assert clip.clipped == 1 and clip.actions[0, 0] == 1
    assert clip.actions[1, 1] == 1.0, "24 degrees are within reach"


def test_every_key_is_read(tmp_path):
    keys = [{"ws": 1}, {"ad": 1}, {"ws": 2}, {"ad": 2}, {"scs": 1}, {"scs": 3}, {"scs": 2}]
    videos.gamefactory(tmp_path, "a", 20, dict(enumerate(keys)))
    steps = read_steps(tmp_path / "metadata" / "a.json")
    assert np.array_equal(steps.keys[:7], np.eye(7, dtype=bool)) and not steps.keys[7:].any()
    assert np.array_equal(np.concatenate([[0, 0], steps.keys[0]]), action("w"))


def test_all_names_are_found_and_parts_of_a_seed_are_one_world(tmp_path):
    for name in ("data_1/video/seed_1_part_1.mp4", "data_1/metadata/seed_1_part_2.json", "data_2/video/x.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "data_2" / "metadata").mkdir()
    found = list(iter_episodes(config(tmp_path)))
    assert [r.name for r in found] == [
        "data_1/video/seed_1_part_1.mp4",
        "data_1/video/seed_1_part_2.mp4",
        "data_2/video/x.mp4",
    ]
    assert found[0].world == found[1].world != found[2].world


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "a.json cannot be read"),
        ("[]", "holds no actions"),
        ('{"actions": {"0": {"ws": 1}}}', "lacks 'ad'"),
        ('{"actions": {"1": {}}}', "lacks action 0 of 1"),
        ('{"actions": {"0": {"ws": 3, "ad": 0, "scs": 0, "yaw_delta": 0, "pitch_delta": 0}}}', "ws is 3, expected 0"),
        ('{"actions": {"0": {"ws": 0, "ad": 0, "scs": 0, "yaw_delta": NaN, "pitch_delta": 0}}}', "not finite"),
        ('{"actions": {"0": {"ws": null, "ad": 0, "scs": 0, "yaw_delta": 0, "pitch_delta": 0}}}', "has no number"),
    ],
)
def test_bad_metadata_is_named(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_steps(tmp_path / "a.json")


def test_another_layout_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected metadata/\*\.json and video/\*\.mp4"):
        list(iter_episodes(config(tmp_path / "nowhere")))
