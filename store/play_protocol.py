"""The bytes of live play, shared by gateway, player, bench and (mirrored in web/src/play/protocol.ts) browser.

Browser -> player, binary, little-endian, `INPUT`, 28 bytes:
    u8 version=1 | u8 type=1 | u16 keys | f32 yaw_deg | f32 pitch_deg | u32 seq | u32 ack | f64 client_ms
    keys: bit i is actions.KEYS[i] (w a s d jump sprint sneak). yaw_deg and pitch_deg are the mouse's (and arrow
    keys') turn since the last input, added up by the player until a tick uses them. `ack` is the seq of the newest
    frame drawn: it gives the gateway its one credit back. Sent on change and at least every 100 ms.
Player -> browser, binary, `FRAME` header, 48 bytes, then the JPEGs:
    u8 version=1 | u8 flags | u16 players | u32 seq | u32 action_seq | f32 model_ms | f32 encode_ms | f32 queue_ms
    | f32 fps | f64 client_ms (echo of the input that action_seq names) | u32 dropped | u32 model_bytes | u32 sim_bytes
    action_seq is the newest input whose keys the frame answers. dropped is written by the gateway: frames that it
    replaced in the client's slot so far. Flags: bit 0 = a simulator picture follows; bit 1 = the world was just reset;
    bit 2 = paused.
Both directions also carry JSON texts, `{"type": ...}`:
    client: reset {seed?}, settings {temperature?, simulator?, fps?, paused?, checkpoint?}
    server: hello {session, checkpoint, width, height, fps, action_names, max_yaw_deg, max_pitch_deg, seed, temperature},
            reset {seed}, settings {...the values now in force}, error {code, message}
"""

from __future__ import annotations

import struct
from typing import NamedTuple

VERSION = 1
INPUT = struct.Struct("<BBHffIId")
FRAME = struct.Struct("<BBHIIffffdIII")
DROPPED_OFFSET = struct.calcsize("<BBHIIffffd")
SIMULATOR, RESET, PAUSED = 1, 2, 4


class Input(NamedTuple):
    keys: int
    yaw_deg: float
    pitch_deg: float
    seq: int
    ack: int
    client_ms: float


class Frame(NamedTuple):
    flags: int
    players: int
    seq: int
    action_seq: int
    model_ms: float
    encode_ms: float
    queue_ms: float
    fps: float
    client_ms: float
    dropped: int
    model_jpeg: bytes
    sim_jpeg: bytes


def pack_input(i: Input) -> bytes:
    return INPUT.pack(VERSION, 1, *i)


def unpack_input(data: bytes) -> Input:
    """Raises ValueError for a wrong length, version or type."""
    if len(data) != INPUT.size:
        raise ValueError(f"input of {len(data)} bytes, expected {INPUT.size}")
    version, kind, *rest = INPUT.unpack(data)
    if (version, kind) != (VERSION, 1):
        raise ValueError(f"input version {version} type {kind}, expected version {VERSION} type 1")
    return Input(*rest)


def pack_frame(f: Frame) -> bytes:
    head = FRAME.pack(VERSION, *f[:10], len(f.model_jpeg), len(f.sim_jpeg))
    return head + f.model_jpeg + f.sim_jpeg


def unpack_frame(data: bytes) -> Frame:
    """Raises ValueError for a wrong length or version."""
    if len(data) < FRAME.size:
        raise ValueError(f"frame of {len(data)} bytes, expected at least {FRAME.size}")
    version, *head, n_model, n_sim = FRAME.unpack_from(data)
    if version != VERSION or len(data) != FRAME.size + n_model + n_sim:
        raise ValueError(f"frame version {version}, {len(data)} bytes; expected version {VERSION}, {FRAME.size + n_model + n_sim} bytes")
    body = data[FRAME.size :]
    return Frame(*head, body[:n_model], body[n_model:])
