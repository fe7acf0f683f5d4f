"""The pool of walks that the painter is trained on: self-rollouts that go on from step to step of the training.

YOUNG rows begin anew in turn, each after YOUNG * EVERY steps, from real frames: of them the true next frame is known,
and it still means something. What one has come to by then takes the place of a long walk that is over. Walks follow
the actions of an episode; some of the long ones hold one key instead.

N rows, A action columns, H x W the frame's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from terrarium.worlds.episodes.format import Episode
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.rollout import State, burn_in

YOUNG = 3
EVERY = 3  # steps between two starts
HELD = 0.25  # of the long walks hold a key
ODDS = {"w": 8.0, "s": 4.0}  # which one; 1 for others: W and S stretch and shrink all that is seen
SHORTEST = 16  # long walk, in frames
GROWS = 0.3  # of the stage, until walks are as long as they get


@dataclass
class Turn:
    """Rows whose turn it is, young ones first."""

    rows: torch.Tensor  # int64 [N]
    state: State
    actions: torch.Tensor  # [N, A]
    frames: torch.Tensor  # int64 [N], how far each row has walked, the frame to come counted
    real: torch.Tensor  # uint8 [N, H, W, 3], the frame to come by the episode that a row follows
    follows: torch.Tensor  # bool [N], whether it follows one


class Walks:
    """`long` walks of up to `longest` frames beside the young ones. Implements `Stateful`."""

    def __init__(self, model: Dynamics, episodes: list[Episode], names: list[str], long: int, longest: int) -> None:
        self.model, self.episodes, self.longest = model, episodes, longest
        self.odds = np.array([ODDS.get(name, 1.0) for name in names])
        n, (h, w), device, new = YOUNG + long, model.grid, model.device, torch.zeros
        picture = new(n, 3, h * DOWN, w * DOWN, device=device)
        self.state = State(new(n, h, w, dtype=torch.int64, device=device), picture, model.initial(n))
        self.facts = {
            "episode": new(n, dtype=torch.int64),
            "at": new(n, dtype=torch.int64),  # the frame of the episode that a row stands at
            "frames": torch.full((n,), -1),  # how far it has walked; -1: there is none yet
            "limit": new(n, dtype=torch.int64),
            "held": new(n, len(names)),
            "holds": new(n, dtype=torch.bool),
        }

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self.facts | {f"state.{name}": x for name, x in self.state.tensors().items()}

    def load_state_dict(self, state: dict[str, torch.Tensor], /) -> None:
        self.facts = {name: state[name].clone() for name in self.facts}
        saved = {k.removeprefix("state."): v for k, v in state.items() if k.startswith("state.")}
        for name, x in self.state.tensors().items():
            x.copy_(saved[name])

    @torch.no_grad()
    def start(
        self,
        index: int,
        done: float,
        clip: torch.Tensor,
        actions: torch.Tensor,
        where: torch.Tensor,
        rng: np.random.Generator,
    ) -> None:
        """A young row begins after the real frames `clip` uint8 [T, H, W, 3] and `actions` [T-1, A] between them, of
        which the last is frame `where[1]` of episode `where[0]`; the row's walk before goes on among the long ones."""
        row = index % YOUNG
        self._grow_up(row, done, rng)
        self._put(torch.tensor([row]), burn_in(self.model, clip[None].cpu().numpy(), actions[None]))
        self.facts["episode"][row], self.facts["at"][row] = where[0], where[1]
        self.facts["frames"][row] = 0

    def _grow_up(self, row: int, done: float, rng: np.random.Generator) -> None:
        """The young walk `row` takes the place of a long one that does not exist or has passed its limit."""
        facts, longest = self.facts, SHORTEST + (self.longest - SHORTEST) * min(1.0, done / GROWS)
        left = (facts["limit"] - facts["frames"])[YOUNG:]
        place = YOUNG + int(left.argmin())
        free = facts["frames"] < 0
        if free[YOUNG:].any():
            place = YOUNG + int(free[YOUNG:].int().argmax())
        elif left.min() > 0:
            return
        if free[row]:
            return
        self._put(torch.tensor([place]), self.state.select([row]))
        for name in ("episode", "at", "frames"):
            facts[name][place] = facts[name][row]
        facts["limit"][place] = int(rng.integers(SHORTEST, max(SHORTEST, int(longest)) + 1))
        facts["holds"][place] = bool(rng.random() < HELD)
        facts["held"][place] = self._key(rng)

    def _key(self, rng: np.random.Generator) -> torch.Tensor:
        """An action [A] with one column held: a key, or the camera some way."""
        column = int(rng.choice(len(self.odds), p=self.odds / self.odds.sum()))
        action = torch.zeros(len(self.odds))
        action[column] = 1.0 if column > 1 else float(rng.uniform(-1, 1))
        return action

    def turn(self, long: int, rng: np.random.Generator) -> Turn:
        """The young rows and `long` of the long ones, as far as there are any."""
        facts = self.facts
        there = (facts["frames"] >= 0).nonzero().squeeze(1)
        old = there[there >= YOUNG].numpy()
        old = np.sort(rng.choice(old, min(long, len(old)), replace=False))
        rows = torch.cat([there[there < YOUNG], torch.from_numpy(old)])
        actions, real = [], []
        for e, t in zip(facts["episode"][rows].tolist(), facts["at"][rows].tolist(), strict=True):
            actions.append(np.asarray(self.episodes[e].actions[t]))
            real.append(self.episodes[e].frames[t + 1])
        holds, device = facts["holds"][rows], self.model.device
        action = torch.where(holds.unsqueeze(1), facts["held"][rows], torch.from_numpy(np.stack(actions)))
        return Turn(
            rows,
            self.state.select(rows.to(device)),
            action.to(device),
            facts["frames"][rows] + 1,
            torch.from_numpy(np.stack(real)).to(device),
            ~holds.to(device),
        )

    @torch.no_grad()
    def go_on(self, turn: Turn, state: State, rng: np.random.Generator) -> None:
        """The turn's rows are at `state` now. One whose episode is over follows another from its first frame on."""
        facts = self.facts
        self._put(turn.rows, state)
        facts["frames"][turn.rows] += 1
        facts["at"][turn.rows] += 1
        for row in turn.rows.tolist():
            if facts["at"][row] >= len(self.episodes[int(facts["episode"][row])].actions):
                facts["episode"][row], facts["at"][row] = int(rng.integers(len(self.episodes))), 0

    def pictures_but(self, rows: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] of all walks that there are except those in `rows`."""
        there = self.facts["frames"] >= 0
        there[rows] = False
        return self.state.picture[there.to(self.model.device)]

    def _put(self, rows: torch.Tensor, state: State) -> None:
        given, rows = state.tensors(), rows.to(self.model.device)
        for name, x in self.state.tensors().items():
            x[rows] = given[name].to(x.dtype)
