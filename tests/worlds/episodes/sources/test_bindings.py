import pytest

from terrarium.worlds.episodes.sources.bindings import guess_keys


def test_crafters_names():
    names = ["move_left", "move_right", "move_up", "move_down", "do", "sleep", "place_stone"]
    assert guess_keys(names) == {
        "KeyA": "move_left",
        "ArrowLeft": "move_left",
        "KeyD": "move_right",
        "ArrowRight": "move_right",
        "KeyW": "move_up",
        "ArrowUp": "move_up",
        "KeyS": "move_down",
        "ArrowDown": "move_down",
        "Space": "do",
        "Digit1": "sleep",
        "Digit2": "place_stone",
    }


def test_ataris_names_with_combined_actions():
    keys = guess_keys(["fire", "up", "right", "left", "upright", "rightfire"])
    assert {code: keys[code] for code in ("Space", "KeyW", "KeyD", "KeyA")} == {
        "Space": "fire",
        "KeyW": "up",
        "KeyD": "right",
        "KeyA": "left",
    }
    assert [name for code, name in keys.items() if code.startswith("Digit")] == ["upright", "rightfire"]


def test_each_name_has_its_own_key_and_none_is_a_command_of_the_page():
    names = [f"action_{i}" for i in range(28)] + ["left", "turn_left", "jump", "use"]
    keys = guess_keys(names)
    assert set(keys.values()) == set(names)
    assert keys["KeyA"] == "left" and keys["Space"] == "jump", "the first of two that want one key"
    assert not {"KeyR", "KeyP", "KeyT", "KeyK", "KeyO"} & set(keys)


@pytest.mark.parametrize("names", [[], ["a"], ["left_right"]])
def test_odd_names(names):
    assert list(guess_keys(names).values()) == names
