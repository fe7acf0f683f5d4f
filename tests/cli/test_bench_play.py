"""What `terrarium bench play` is asked, waits for and prints; tests/api/test_play.py measures with it."""

import re

import pytest
from rich.console import Console

from terrarium.cli.bench import COLUMNS, SETTLED, parts, rounds, table
from terrarium.store.play_protocol import Frame


def test_numbers_of_players_and_their_paces():
    assert rounds("1,8,16", "") == [(1, 60), (8, 30), (16, 30)]
    assert rounds("2,4", "20") == [(2, 20), (4, 20)]
    assert rounds("2,4", "60,12.5") == [(2, 60), (4, 12.5)]


@pytest.mark.parametrize(
    ("players", "fps", "reason"),
    [
        ("1,x", "", "--players '1,x': expected whole numbers from 1 to 256 with commas between"),
        ("1.5", "", "--players '1.5': expected whole numbers"),
        ("0", "", "--players '0': expected whole numbers from 1"),
        ("1", "61", "--fps '61': expected numbers from 5 to 60"),
        ("1,2,3", "30,60", "--fps '30,60': expected one pace, or 3, as many as there are in '1,2,3'"),
    ],
)
def test_what_cannot_be_asked_is_named(players, fps, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        rounds(players, fps)


@pytest.mark.parametrize(
    "line",
    [
        "terrarium.player: model shipped: compiled after 130 s; players: 1: bf16-1, 1.92x; 2: eager",
        "terrarium.player: model shipped: nothing is compiled on cuda:0",
        "terrarium.player: model shipped plays uncompiled: no g++",
        "terrarium.player: model shipped plays without its other compiled steps: no g++",
    ],
)
def test_the_end_of_compiling_is_read_off_the_players_log(line):
    log = f"terrarium.player: listening on unix:///player.sock\n{line}\nterrarium.player: 2 threads for 8 players\n"
    assert SETTLED.search(log).group() == line
    assert not SETTLED.search(log.replace(line, ""))


def test_the_parts_of_a_latency_add_up():
    frame = Frame(0, 1, 1, 1, 6.0, 1.0, 4.0, 60.0, 0.0, 0, b"", b"")
    found = parts([(30.0, 25.0, frame)])
    assert found == {"of_it_wait_ms": 9.0, "of_it_step_ms": 6.0, "of_it_encode_ms": 1.0, "of_it_relay_ms": 14.0}
    assert sum(found.values()) == 30.0


def test_the_table_has_a_row_for_each_number_of_players_and_fits():
    result = dict.fromkeys(COLUMNS.values(), 123.45) | {"players": 8, "latency_ms_p99": None}
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table([result, result | {"players": 16}]))
    head, *rows = captured.get().splitlines()
    assert head.split() == " ".join(COLUMNS).split()
    assert [row.split()[0] for row in rows] == ["8", "16"] and all(row.split()[5] == "-" for row in rows)
