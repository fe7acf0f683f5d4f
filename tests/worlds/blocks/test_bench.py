"""The benchmark runs and says what it measured."""

from terrarium.worlds.blocks.bench import measure


def test_measure():
    speed = measure(16, 16, smooth=False, window_s=0.01)
    assert (speed.width, speed.height, speed.smooth) == (16, 16, False)
    assert 0 < speed.fps_min <= speed.fps <= speed.fps_max
