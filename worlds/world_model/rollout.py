"""A trained world model, and how it is run forward: burn in on real frames, then on its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.checkpoint import build, load_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.precision import wide
from terrarium.worlds.world_model.dynamics import Dynamics, Memory, Prediction
from terrarium.worlds.world_model.graphs import Graphs, capture
from terrarium.worlds.world_model.manifest import check_world_model
from terrarium.worlds.world_model.painter import Painter
from terrarium.worlds.world_model.picture import STILL, compose
from terrarium.worlds.world_model.tokenizer import Tokenizer, channels_last, to_frames, to_pictures, tokenizer_from
from terrarium.worlds.world_model.views import camera_of, keep

BURN_IN = 8  # real frames before evaluation and play begin
WORTH_A_GRAPH = 16  # steps of a rollout on a GPU; before a graph is captured four are taken eagerly
TEMPERATURE = 1.0  # of codes in evaluation, and in play where nobody asks for another: less, and what is new is flat


def shipped_folder() -> Path:
    """The checkpoint that comes with the project."""
    return Path(str(files("terrarium.worlds.world_model") / "shipped"))


def load_world_model(folder: Path) -> tuple[Dynamics, dict[str, Any]]:
    """-> dynamics (with its tokenizer, in eval mode, on the default device), manifest.

    ValueError for any other kind of folder.
    """
    tensors, manifest = load_checkpoint(folder, "world-model")
    m = check_world_model(manifest, folder)

    def make() -> Dynamics:
        camera = camera_of(manifest["data"])
        model = Dynamics(m.dynamics, tokenizer_from(manifest), m.grid, len(m.data.action_names), camera)
        if m.painter:
            model.painter = Painter(m.dynamics.painter_channels)
        return channels_last(model)

    return build(make, tensors, folder).to(default_device()).eval(), manifest


@dataclass
class State:
    """Where a model stands: the frame on show and what it remembers. B rows, one a player or a branch.

    On the model's device.
    """

    codes: torch.Tensor  # int64 [B, h, w]
    picture: torch.Tensor  # [B, 3, H, W] in [-.5, .5]
    memory: Memory

    def select(self, index: slice | torch.Tensor | list[int]) -> State:
        return State(self.codes[index], self.picture[index], self.memory.select(index))

    def repeat(self, times: int) -> State:
        """Each row `times` times in a row."""
        codes, picture = (x.repeat_interleave(times, dim=0) for x in (self.codes, self.picture))
        return State(codes, picture, self.memory.repeat(times))

    def tensors(self) -> dict[str, torch.Tensor]:
        """By name, as `of` takes them."""
        m = self.memory
        named = {"codes": self.codes, "picture": self.picture, "action": m.action, "margins": m.margins}
        named |= {"recent": m.recent, "fresh": m.fresh, "views": m.views, "looks": m.looks}
        return named | {f"layer.{i}": x for i, x in enumerate(m.layers)}

    @classmethod
    def of(cls, t: Mapping[str, torch.Tensor]) -> State:
        layers = [t[f"layer.{i}"] for i in range(sum(name.startswith("layer.") for name in t))]
        rest = (t[name] for name in ("action", "margins", "recent", "fresh", "views", "looks"))
        return cls(t["codes"], t["picture"], Memory(layers, *rest))

    @staticmethod
    def stack(states: list[State]) -> State:
        memory = Memory.stack([s.memory for s in states])
        return State(torch.cat([s.codes for s in states]), torch.cat([s.picture for s in states]), memory)


class Peer(torch.nn.Module, ABC):
    """A world model of another architecture, to compare with: the functions below run it like a Dynamics.

    What its states remember is its own affair. Its tokenizer draws nothing: the evaluation compares pictures by it.
    """

    tokenizer: Tokenizer

    @property
    @abstractmethod
    def device(self) -> torch.device: ...

    @abstractmethod
    def burn_in(self, frames: np.ndarray, actions: torch.Tensor) -> State:
        """As the function below."""

    @abstractmethod
    def step(self, state: State, action: torch.Tensor) -> State:
        """One frame on: action [B, A]; what is drawn is drawn by torch's global generator."""


WorldModel = Dynamics | Peer


@dataclass
class Rollout:
    """What a model made along N actions, without the frame that it started from."""

    codes: torch.Tensor  # int64 [B, N, h, w], as sampled; a Peer's are its own affair
    frames: np.ndarray  # uint8 [B, N, H, W, 3], as shown
    state: State  # at the last frame


@torch.inference_mode()
def burn_in(model: WorldModel, frames: np.ndarray, actions: np.ndarray | torch.Tensor) -> State:
    """Real frames uint8 [B, T, H, W, 3] and actions [B, T-1, A] -> the state at the last frame."""
    b, t = frames.shape[:2]
    action = torch.as_tensor(actions, dtype=torch.float32, device=model.device)
    if isinstance(model, Peer):
        return model.burn_in(frames, action)
    codes = model.tokenizer.encode(frames.reshape(b * t, *frames.shape[2:])).unflatten(0, (b, t))
    pictures = to_pictures(frames).to(model.device)
    before = model.initial(b)
    prediction = model(codes[:, :-1], pictures[:, :-1], action, before)
    memory, flow = prediction.memory, prediction.flow
    if model.camera:
        memory.looks = before.looks
        for i in range(t):
            if i:
                memory.looks = model.stand(memory.looks, action[:, i - 1], flow[:, i - 1])
            memory.views, memory.looks = keep(memory.views, memory.looks, pictures[:, i], memory.fresh)
    return State(codes[:, -1], pictures[:, -1], memory)


@torch.inference_mode()
def step(
    model: Dynamics,
    state: State,
    action: torch.Tensor,
    temperature: torch.Tensor | float,
    guidance: torch.Tensor | None = None,
) -> State:
    """One frame on: action [B, A], temperature [B] or one number, 0 is greedy; guidance [B], None is 1.

    Guidance g moves the logits from those without an action to g times as far as the action does (Ho and Salimans
    2022, arXiv:2207.12598), for the price of a second prediction. The moved picture stays as it is.
    """
    given = state.codes.unsqueeze(1), state.picture.unsqueeze(1), action.unsqueeze(1), state.memory
    prediction = model(*given)
    if guidance is not None:
        everyone = torch.ones(action.shape[:1] + (1,), dtype=torch.bool, device=action.device)
        without = model(*given, drop=everyone).logits
        prediction.logits = torch.lerp(without, prediction.logits, guidance.view(-1, 1, 1, 1, 1))
    composed = compose_next(model, prediction, temperature)
    if model.painter is None:
        return seen(model, composed.state)
    return show(model, composed, model.painter(composed.state.picture, composed.clues))


@dataclass
class Composed:
    """The next frame before the painter."""

    state: State
    clues: torch.Tensor  # [B, 3, H, W] in [0, 1], see `Painter`
    moves: torch.Tensor  # bool [B], where something moves: other frames stay as they are


def compose_next(model: Dynamics, prediction: Prediction, temperature: torch.Tensor | float) -> Composed:
    """Of a prediction with T = 1."""
    codes = model.choose(prediction, temperature)
    picture = compose(prediction.moved, model.draw(codes.unsqueeze(1)), prediction.mask)[:, 0]
    state, mask = State(codes, picture, prediction.memory), wide(prediction.mask[:, 0])
    state.memory.fresh = prediction.fresh[:, 0] * (mask > 0.5)
    clues = [mask, prediction.known[:, 0], state.memory.fresh]
    moves = prediction.flow.abs().amax(dim=(1, 2, 3, 4)) > STILL
    return Composed(state, torch.cat(clues, dim=1), moves)


def show(model: Dynamics, composed: Composed, painted: torch.Tensor) -> State:
    """The state whose picture is `painted` [B, 3, H, W], where something moves, with codes encoded anew from it."""
    state, painted = composed.state, painted.clamp(-0.5, 0.5)
    picture = torch.where(composed.moves.view(-1, 1, 1, 1), painted, state.picture)
    anew = model.tokenizer.quantiser(model.tokenizer.encoder(picture.contiguous(memory_format=torch.channels_last)))[1]
    codes = torch.where(composed.moves.view(-1, 1, 1), anew, state.codes)
    return seen(model, State(codes, picture, state.memory))


def seen(model: Dynamics, state: State) -> State:
    """With the picture among its views, where there are any."""
    memory = state.memory
    if model.camera:
        memory.views, memory.looks = keep(memory.views, memory.looks, state.picture, memory.fresh)
    return state


def stepper(model: WorldModel, steps: int) -> Callable[[State, torch.Tensor, torch.Tensor], State]:
    """The fastest way to take so many steps: (state, action [B, A], temperature [B]) -> state."""
    if isinstance(model, Peer):
        return lambda state, action, temperature: model.step(state, action)
    advance = partial(step, model)
    return Graphs(advance, capture) if model.device.type == "cuda" and steps >= WORTH_A_GRAPH else advance


@torch.inference_mode()
def rollout(model: WorldModel, state: State, actions: torch.Tensor, temperature: float = TEMPERATURE) -> Rollout:
    """Along actions [B, N, A]; codes are drawn by torch's global generator, and are the likeliest at 0."""
    codes, frames = [], []
    heat = torch.full((len(actions),), temperature, device=model.device)
    advance = stepper(model, actions.shape[1])
    for action in actions.to(model.device).unbind(1):
        state = advance(state, action, heat)
        codes.append(state.codes)
        frames.append(to_frames(state.picture))
    return Rollout(torch.stack(codes, dim=1), torch.stack(frames, dim=1).cpu().numpy(), state)
