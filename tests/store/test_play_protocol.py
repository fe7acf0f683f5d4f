from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrarium.store import play_protocol as protocol
from terrarium.store.play_protocol import RESET, Frame, FrameSlot, Input, Reset, Settings

u16, u32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
f32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
f64 = st.floats(allow_nan=False, allow_infinity=False)
inputs = st.builds(Input, u32, f32, f32, u32, u32, f64)
frames = st.builds(
    Frame, st.integers(0, 7), u16, u32, u32, f32, f32, f32, f32, f64, u32, st.binary(max_size=99), st.binary()
)


@given(inputs)
def test_input_round_trip(i: Input) -> None:
    assert len(protocol.pack_input(i)) == 32
    assert protocol.unpack_input(protocol.pack_input(i)) == i


@given(frames)
def test_frame_round_trip(f: Frame) -> None:
    packed = protocol.pack_frame(f)
    assert protocol.unpack_frame(packed) == f
    assert protocol.frame_seq(packed) == f.seq
    assert packed[48:] == f.model_jpeg + f.sim_jpeg


def test_bytes_are_those_of_the_docstring() -> None:
    packed = protocol.pack_input(Input(0b1000001, 1.5, -2.0, 7, 6, 12.0))
    assert packed == bytes([2, 1, 0, 0, 65, 0, 0, 0]) + struct.pack("<ffIId", 1.5, -2.0, 7, 6, 12.0)
    frame = protocol.pack_frame(Frame(3, 8, 9, 7, 1.0, 2.0, 3.0, 15.0, 12.0, 5, b"ab", b"c"))
    assert frame[:2] == bytes([2, 3]) and struct.unpack_from("<H", frame, 2) == (8,)
    assert struct.unpack_from("<I", frame, protocol.DROPPED_OFFSET) == (5,) and protocol.DROPPED_OFFSET == 36


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02\x01" + bytes(29),
        b"\x01\x01" + bytes(30),
        b"\x02\x09" + bytes(30),
        protocol.pack_input(Input(0, math.nan, 0.0, 1, 0, 0.0)),
        protocol.pack_input(Input(0, 0.0, math.inf, 1, 0, 0.0)),
    ],
)
def test_malformed_input(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        protocol.unpack_input(data)


@given(st.binary(max_size=80))
def test_any_bytes_unpack_or_raise_value_error(data: bytes) -> None:
    for unpack in (protocol.unpack_input, protocol.unpack_frame):
        try:
            unpack(data)
        except ValueError as e:
            assert "expected" in str(e)


def test_truncated_frame() -> None:
    packed = protocol.pack_frame(Frame(0, 1, 1, 1, 0, 0, 0, 0, 0, 0, b"jpeg", b""))
    with pytest.raises(ValueError, match="51 bytes; expected version 2, 52"):
        protocol.unpack_frame(packed[:-1])


def _frame(seq: int, flags: int = 0, dropped: int = 0) -> bytes:
    return protocol.pack_frame(Frame(flags, 1, seq, 0, 0, 0, 0, 0, 0, dropped, b"j", b""))


def test_slot_keeps_the_newest_and_counts_the_others() -> None:
    slot = FrameSlot()
    assert slot.take() is None
    slot.put(_frame(1, RESET))
    slot.put(_frame(2))
    slot.put(_frame(3, dropped=4))
    frame = protocol.unpack_frame(slot.take() or b"")
    assert (frame.seq, frame.flags, frame.dropped, frame.model_jpeg) == (3, RESET, 6, b"j")
    assert slot.take() is None
    slot.put(_frame(4))
    assert protocol.unpack_frame(slot.take() or b"")[2:10] == (4, 0, 0, 0, 0, 0, 0, 2)


def test_commands() -> None:
    assert protocol.parse_command('{"type": "reset"}') == Reset()
    assert protocol.parse_command('{"type": "reset", "seed": 7}') == Reset(seed=7)
    settings = protocol.parse_command('{"type": "settings", "fps": 30, "paused": false, "temperature": 0.5}')
    assert settings == Settings(fps=30.0, paused=False, temperature=0.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "Invalid JSON"),
        ("[]", "object"),
        ("{}", "type"),
        ('{"type": "fly"}', "'reset', 'settings'"),
        ('{"type": "reset", "seed": -1}', "reset.seed = -1: .* greater than or equal to 0"),
        ('{"type": "reset", "seed": 1.5}', "reset.seed = 1.5: .* integer"),
        ('{"type": "reset", "speed": 1}', "reset.speed"),
        ('{"type": "settings", "fps": 99}', "settings.fps = 99: .* less than or equal to 60"),
        ('{"type": "settings", "temperature": NaN}', "settings.temperature"),
        ('{"type": "settings", "paused": "yes"}', "settings.paused = 'yes': .* boolean"),
        ('{"type": "settings", "checkpoint": ""}', "settings.checkpoint"),
    ],
)
def test_bad_commands_say_value_and_expectation(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        protocol.parse_command(text)


@given(st.text(max_size=20))
def test_any_text_parses_or_raises_value_error(text: str) -> None:
    for parse in (protocol.parse_command, protocol.parse_open):
        with pytest.raises(ValueError):
            parse(text)


def test_open() -> None:
    opening = protocol.Open(session="s", checkpoint="shipped", seed=3)
    assert protocol.parse_open(opening.model_dump_json()) == opening
    with pytest.raises(ValueError, match="checkpoint"):
        protocol.parse_open('{"type": "open", "session": "s", "seed": 3}')
