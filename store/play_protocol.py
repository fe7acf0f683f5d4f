"""The bytes of live play, shared by gateway, player, bench and browser (mirror: web/src/play/protocol.ts).

Browser -> player, binary, little-endian, `INPUT`, 32 bytes:
    u8 version=2 | u8 type=1 | u16 0 | u32 keys | f32 yaw_deg | f32 pitch_deg | u32 seq | u32 ack | f64 client_ms
    keys: bit i is the i-th of hello's action_names, the camera's two (yaw, pitch) left out: in the block world
    w a s d jump sprint sneak. Without a camera the actions are discrete: of several held keys the one pressed
    last acts. yaw_deg and pitch_deg are the mouse's (and arrow keys') turn since the last input, added up by
    the player until a tick uses them. `ack` is the seq of the newest frame drawn: it gives the gateway its one
    credit back. Sent on change, for each frame drawn, and at least every 100 ms. Keys of a client that says
    nothing for a second are taken as released.
Player -> browser, binary, `FRAME` header, 48 bytes, then the JPEGs:
    u8 version=2 | u8 flags | u16 players | u32 seq | u32 action_seq | f32 model_ms | f32 encode_ms
    | f32 queue_ms | f32 fps | f64 client_ms (echo of the input that action_seq names) | u32 dropped
    | u32 model_bytes | u32 sim_bytes
    seq counts 1, 2, 3, ... through a session, resets included. action_seq is the newest input whose keys the
    frame answers. dropped counts the frames replaced by a newer one before they were sent (the gateway adds
    its own). queue_ms: the newest input's wait for the tick. Flags: bit 0 = a simulator picture follows;
    bit 1 = the world was just reset (the first frame too); bit 2 = paused: the last frame until something
    changes.
Both directions also carry JSON texts, `{"type": ...}`:
    client: reset {seed?}, settings {temperature?, guidance?, simulator?, fps?, paused?, record?,
            checkpoint?}
    server: queue {position}, while all places are taken: 1 is the next to begin, and each change is told. Then, and
            else first of all, hello {session, checkpoint, width, height, fps, has_simulator, action_names, keys
            {keyboard code: name of its action}, has_camera, max_yaw_deg, max_pitch_deg, seed, temperature};
            reset {seed}; settings {temperature, guidance, simulator, fps, paused, record, checkpoint}: now in
            force; error {code, message}. fps in hello is the model's own, in settings the pace. A simulator that
            is asked for is shown where the checkpoint has one.
    A reset, and a new checkpoint, is made ready aside while play goes on; then comes (hello if the checkpoint
    is another and) reset, then its first frame, flagged. Of several asked for meanwhile the last one is done.
An error that ends the session is followed by the close:
    1008 bad_open, too many bad_message, too_many; 1011 model_failed; 1001 going away
    1013 player_full (the line is too long), player_unavailable (try again later)
    4401 ticket unknown, used or expired
    4404 bad_checkpoint at open (the session goes on when a swap fails)          4408 idle
    4409 session_over
A message of more than MAX_MESSAGE bytes is not read: the close is 1009, with no text before it.
Browser -> gateway, at the handshake: the subprotocols SUBPROTOCOL and the session's ticket, as a second one. Servers
and proxies log addresses, and an address that opens a session is a key.
Gateway -> player, first of all: the text open {session, checkpoint, seed, world, key}; with `world`, a block world's
id, all walks of the session take place there, and seeds say where they start. `key`: whose API key it is, for a line
that is fair.
"""

from __future__ import annotations

import math
import struct
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

VERSION = 2
INPUT = struct.Struct("<BBxxIffIId")
FRAME = struct.Struct("<BBHIIffffdIII")
SEQ_OFFSET = struct.calcsize("<BBH")
TIMES_OFFSET = struct.calcsize("<BBHII")
DROPPED_OFFSET = struct.calcsize("<BBHIIffffd")
SIMULATOR, RESET, PAUSED = 1, 2, 4
SUBPROTOCOL = "terrarium.play"
MAX_MESSAGE = 4096  # bytes of anything that a client sends
MAX_SEED = 2**31 - 1
MOST_FPS = 60  # that a client may ask for

CLOSE_GOING_AWAY, CLOSE_BAD, CLOSE_FAILED, CLOSE_LATER = 1001, 1008, 1011, 1013
CLOSE_TICKET, CLOSE_CHECKPOINT, CLOSE_IDLE, CLOSE_OVER = 4401, 4404, 4408, 4409


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
    """Raises ValueError for a wrong length, version or type, and for a number that is not finite."""
    if len(data) != INPUT.size:
        raise ValueError(f"input of {len(data)} bytes, expected {INPUT.size}")
    version, kind, *rest = INPUT.unpack(data)
    if (version, kind) != (VERSION, 1):
        raise ValueError(f"input version {version} type {kind}, expected version {VERSION} type 1")
    i = Input(*rest)
    if not (math.isfinite(i.yaw_deg) and math.isfinite(i.pitch_deg) and math.isfinite(i.client_ms)):
        raise ValueError(f"yaw {i.yaw_deg}, pitch {i.pitch_deg}, time {i.client_ms}: expected finite numbers")
    return i


def pack_frame(f: Frame) -> bytes:
    head = FRAME.pack(VERSION, *f[:10], len(f.model_jpeg), len(f.sim_jpeg))
    return head + f.model_jpeg + f.sim_jpeg


def unpack_frame(data: bytes) -> Frame:
    """Raises ValueError for a wrong length or version."""
    if len(data) < FRAME.size:
        raise ValueError(f"frame of {len(data)} bytes, expected at least {FRAME.size}")
    version, *head, n_model, n_sim = FRAME.unpack_from(data)
    size = FRAME.size + n_model + n_sim
    if version != VERSION or len(data) != size:
        raise ValueError(f"frame version {version}, {len(data)} bytes; expected version {VERSION}, {size}")
    body = data[FRAME.size :]
    return Frame._make((*head, body[:n_model], body[n_model:]))


def frame_seq(data: bytes) -> int:
    return struct.unpack_from("<I", data, SEQ_OFFSET)[0]


def frame_latency_s(data: bytes) -> float | None:
    """From an input's arrival at the player to the encoded frame: queue, model and encoding. None for a still, without
    a step of the model."""
    model_ms, encode_ms, queue_ms = struct.unpack_from("<fff", data, TIMES_OFFSET)
    return (model_ms + encode_ms + queue_ms) / 1e3 if model_ms else None


class FrameSlot:
    """The newest packed frame, for one sender. A newer frame replaces one that was not taken, keeps its RESET
    flag (the client must not miss it) and counts it as dropped."""

    def __init__(self) -> None:
        self.frame: bytes | None = None
        self.dropped = 0

    def put(self, frame: bytes) -> None:
        if self.frame is not None:
            self.dropped += 1
            if self.frame[1] & RESET:
                frame = frame[:1] + bytes([frame[1] | RESET]) + frame[2:]
        self.frame = frame

    def take(self) -> bytes | None:
        """The frame, its `dropped` grown by ours; None when there is no new one."""
        frame, self.frame = self.frame, None
        if frame is None or not self.dropped:
            return frame
        (before,) = struct.unpack_from("<I", frame, DROPPED_OFFSET)
        count = struct.pack("<I", before + self.dropped)
        return frame[:DROPPED_OFFSET] + count + frame[DROPPED_OFFSET + 4 :]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
CheckpointId = Annotated[str, Field(min_length=1, max_length=64)]
WorldId = Annotated[str, Field(min_length=1, max_length=64)]


class Open(_Message):
    type: Literal["open"] = "open"
    session: Annotated[str, Field(max_length=64)]
    checkpoint: CheckpointId
    seed: Seed
    world: WorldId | None = None
    key: Annotated[str, Field(max_length=64)] = ""  # id of the API key; empty where none is needed


class Reset(_Message):
    type: Literal["reset"] = "reset"
    seed: Seed | None = None


class Settings(_Message):
    """What a client asks to change; None leaves a value as it is."""

    type: Literal["settings"] = "settings"
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    guidance: Annotated[float, Field(ge=1, le=4)] | None = None  # how far the keys push; above 1 costs a prediction
    simulator: bool | None = None
    fps: Annotated[float, Field(ge=5, le=MOST_FPS)] | None = None
    paused: bool | None = None
    record: bool | None = None  # keep what is seen and pressed as training data
    checkpoint: CheckpointId | None = None


Command = Reset | Settings
_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="type")])


def parse_command(text: str) -> Command:
    """A client's JSON text. ValueError says what stands there and what was expected."""
    try:
        return _COMMAND.validate_json(text)
    except ValidationError as e:
        raise ValueError(_explain(e)) from None


def parse_open(text: str) -> Open:
    """The gateway's first text. ValueError says what stands there and what was expected."""
    try:
        return Open.model_validate_json(text)
    except ValidationError as e:
        raise ValueError(_explain(e)) from None


def _explain(e: ValidationError) -> str:
    """The first complaint, short: `settings.fps = 99: Input should be less than or equal to 30`."""
    first = e.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return f"{where} = {repr(first['input'])[:80]}: {first['msg']}"
