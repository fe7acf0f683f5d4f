"""Against crafter (older interface, pixel observation) and two environments of our own on gymnasium."""

import gymnasium
import numpy as np
import pytest

from terrarium.worlds.episodes.sources.gym import Game


class Dot(gymnasium.Env):
    """A white dot on a row of ten, 4 pixels each. Its observation is no picture; the game is over at either end."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012, gymnasium's way
    observation_space = gymnasium.spaces.Discrete(10)
    action_space = gymnasium.spaces.Discrete(3, start=-1)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def get_action_meanings(self):
        return ["LEFT", "NOOP", "RIGHT"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = int(self.np_random.integers(3, 7))
        return self.at, {}

    def step(self, action):
        assert action in self.action_space
        self.at += int(action)
        return self.at, 0.0, self.at in (0, 9), False, {}

    def render(self):
        assert self.render_mode == "rgb_array"
        picture = np.zeros((40, 40, 3), np.uint8)
        picture[18:22, 4 * self.at : 4 * self.at + 4] = 255
        return picture


class Blind(Dot):
    def render(self):
        return None


class Steered(Dot):
    action_space = gymnasium.spaces.Box(-1, 1, (2,))


gymnasium.register("Dot-v0", entry_point=Dot)
gymnasium.register("Blind-v0", entry_point=Blind)
gymnasium.register("Steered-v0", entry_point=Steered)


def test_a_registered_environment_that_only_renders():
    game = Game("Dot-v0", (40, 40))
    assert (game.layout.names, game.actions, game.fps) == (("left", "right"), 3, 20.0)
    assert game.layout.keys == {"KeyA": "left", "ArrowLeft": "left", "KeyD": "right", "ArrowRight": "right"}
    assert [game.vector(a).tolist() for a in range(3)] == [[1, 0], [0, 0], [0, 1]]
    first = game.reset(seed=5)
    assert np.array_equal(first, game.reset(seed=5)) and first.shape == (40, 40, 3)
    right, over = game.step(2)
    assert np.array_equal(right, np.roll(first, 4, axis=1)) and not over
    assert np.array_equal(game.step(1)[0], right), "a no-op"


def test_frames_are_resized_by_area():
    frame = Game("Dot-v0", (20, 10)).reset(seed=0)
    assert frame.shape == (20, 10, 3)
    assert frame[9:11].max() == 255 and frame.mean() == Game("Dot-v0", (40, 40)).reset(seed=0).mean()


def test_skipped_frames_stop_at_the_end_of_the_game():
    game = Game("Dot-v0", (40, 40), frame_skip=16)
    game.reset(seed=0)
    frame, over = game.step(0)
    assert over and frame[20, 2, 0] == 255
    assert game.fps == 5.0, "the slowest that play goes"


def test_crafter():
    game = Game("crafter:Env", (64, 64))
    assert game.actions == 17 and len(game.layout.names) == 16 and "noop" not in game.layout.names
    assert game.layout.keys["KeyW"] == "move_up" and game.layout.keys["Space"] == "do"
    first = game.reset(seed=3)
    assert first.dtype == np.uint8 and np.array_equal(first, game.reset(seed=3))
    assert not np.array_equal(first, game.reset(seed=4))
    frames = [game.step(4)[0] for _ in range(3)]
    assert frames[0].shape == (64, 64, 3) and frames[0] is not frames[1]


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ("Nowhere-v0", "'Nowhere-v0'.*doesn't exist"),
        ("no_such_module:Env", "'no_such_module:Env': No module named 'no_such_module'"),
        ("crafter:Nothing", "'Nothing'"),
        ("Steered-v0", "Box.*expected a Discrete one"),
    ],
)
def test_what_cannot_be_played_is_named(env, says):
    with pytest.raises(ValueError, match=says):
        Game(env, (64, 64))


def test_no_picture():
    with pytest.raises(ValueError, match="'Blind-v0': neither its observation nor render"):
        Game("Blind-v0", (64, 64)).reset(seed=0)
