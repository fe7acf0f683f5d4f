import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.episodes.kinds import RecordGymConfig, record_gym_debug
from terrarium.worlds.episodes.sources.gym import Game
from terrarium.worlds.episodes.sources.gym_recipe import record_gym
from terrarium.worlds.progress import Silent, Stopped


class Clock(gymnasium.Env):
    """Its picture is how many steps were made, and which action was the last; it lasts as its seed says."""

    observation_space = gymnasium.spaces.Box(0, 255, (16, 16, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        self.steps, self.last, self.length = 0, 0, 10 if seed % 3 == 0 else 30
        return self.picture(), {}

    def step(self, action):
        self.steps, self.last = self.steps + 1, int(action)
        return self.picture(), 0.0, False, self.steps == self.length, {}

    def picture(self):
        out = np.full((16, 16, 3), self.steps, np.uint8)
        out[:, :, 1] = 50 * self.last
        return out


gymnasium.register("Clock-v0", entry_point=Clock)
CLOCK = RecordGymConfig(env="Clock-v0", episodes=5, steps=40, width=16, height=16, val_fraction=0.4)


def test_action_t_leads_from_frame_t_to_frame_t_plus_1(tmp_path):
    result = record_gym(CLOCK, tmp_path, Silent())
    dataset = open_dataset(tmp_path / "output", verify=True)
    assert dataset.manifest["action_names"] == ["action_0", "action_1", "action_2", "action_3"]
    for episode in dataset.episodes:
        assert episode.frames[:, 0, 0, 0].tolist() == list(range(31)), "until the game is over"
        taken = episode.actions.argmax(axis=1)
        assert (episode.actions.sum(axis=1) == 1).all()
        assert np.array_equal(episode.frames[1:, 0, 0, 1], 50 * taken)
    assert result == {"episodes": 5, "frames": 5 * 31, "skipped": 3, "actions": 4}


def test_short_games_are_left_out_and_named(tmp_path):
    record_gym(CLOCK, tmp_path, Silent())
    dataset = open_dataset(tmp_path / "output")
    assert [e.seed for e in dataset.episodes] == [1, 2, 4, 5, 7]
    assert [s["name"] for s in dataset.manifest["report"]["skipped"]] == ["seed 0", "seed 3", "seed 6"]
    assert [e.seed for e in dataset.split("val")] == [5, 7]


def test_a_game_that_is_always_over_at_once_ends_with_a_reason(tmp_path):
    with pytest.raises(ValueError, match=r"'Clock-v0' was over within 16 actions.*frame_skip \(2\)"):
        record_gym(replace(CLOCK, frame_skip=2), tmp_path, Silent())


def test_actions_are_held(tmp_path):
    record_gym(replace(CLOCK, sticky=0.9), tmp_path, Silent())
    taken = [e.actions.argmax(axis=1) for e in open_dataset(tmp_path / "output").episodes]
    assert 0.02 < np.mean([(np.diff(t) != 0).mean() for t in taken]) < 0.25


def test_it_says_at_every_frame_that_it_goes_on_and_obeys_a_stop_within_an_episode(tmp_path):
    class Listener(Silent):
        told = 0

        def step(self, step, total, phase=""):
            self.told += 1

        def stop_requested(self):
            return self.told == 100  # within the fourth episode

    listener = Listener()
    with pytest.raises(Stopped):
        record_gym(CLOCK, tmp_path, listener)
    assert listener.told == 100 and len(list((tmp_path / "output" / "episodes").glob("*/frames.npy"))) == 2


def test_an_interrupted_recording_goes_on(tmp_path):
    class StopAfterTwo(Silent):
        seen = 0

        def step(self, step, total, phase=""):
            self.seen = step

        def stop_requested(self):
            return self.seen == 2

    record_gym(CLOCK, tmp_path / "quiet", Silent())
    with pytest.raises(Stopped):
        record_gym(CLOCK, tmp_path / "disturbed", StopAfterTwo())
    record_gym(CLOCK, tmp_path / "disturbed", Silent())
    one, two = (json.loads((tmp_path / d / "output/manifest.json").read_text()) for d in ("quiet", "disturbed"))
    assert one == two


def test_an_empty_entry_is_recorded_anew(tmp_path):
    whole = record_gym(CLOCK, tmp_path, Silent())
    (tmp_path / "output" / "episodes" / "000001" / "entry.json").write_text("")
    assert record_gym(CLOCK, tmp_path, Silent()) == whole
    open_dataset(tmp_path / "output", verify=True)


def test_crafter_by_the_debug_preset(tmp_path):
    result = record_gym(record_gym_debug(), tmp_path, Silent())
    dataset = open_dataset(tmp_path / "output")
    assert result["episodes"] == 6 and result["actions"] == 16 and dataset.frame_size == (32, 32)
    assert dataset.layout == Game("crafter:Env", (32, 32)).layout
    assert dataset.manifest["source"]["kind"] == "gym" and len(dataset.split("val")) == 2
    assert max(e.frames.std() for e in dataset.episodes) > 20
