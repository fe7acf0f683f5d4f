"""The staged plan as a table: what each phase learns from, what it trains, how, and what releases it. Torch-free.

A0 -> A -> B -> C -> Cp -> D (six jobs, one map each), and A0 -> A_alb_syn beside A. B goes on from A, with the albedo
network of A_alb_syn in place of A's: that one has learned to take baked light away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

PhaseName = Literal["A0", "A", "A_alb_syn", "B", "C", "Cp", "D"]
MapName = Literal["metal", "albedo", "roughness", "metallic", "ao", "height"]
Trained = Literal["all", "albedo", "adapters", "top", "norms", "head"]  # trainable.py
Rule = Literal["settles", "plateau", "both_fall", "gate", "exempt"]  # gate.py
HEADS: tuple[MapName, ...] = ("metal", "albedo", "roughness", "metallic", "ao", "height")  # the order of D's jobs
LION, LION_BETA2 = 5, 0.99


@dataclass(frozen=True, kw_only=True)
class Phase:
    """`after`: whose best it starts from. `game`: share of the samples that the game's textures make. `synthetic`:
    weight in sampling of a pair whose diffuse was synthesised. `crop`: (side in the first epoch, in the last), as
    shares of `side`. `composites`: shares of the samples that are put together from two and from four."""

    after: PhaseName | None
    trains: Trained
    rule: Rule
    epochs: int
    lr: float
    schedule: Literal["cosine", "one_cycle", "step", "restarts", "exponential"]
    optimizer: Literal["adamw", "adam", "lion"] = "adamw"
    beta2: float = 0.999
    weight_decay: float = 1e-2
    patience: int | None = None  # epochs without a better validation that end it
    game: float = 0.0
    synthetic: float = 1.0
    patches: int | None = None  # samples in an epoch; none: as many as there are
    side: int = 1024  # pixels; larger pictures are scaled down to it
    crop: tuple[float, float] = (1.0, 1.0)
    turned: bool = True  # flips, quarter turns
    jitter: float = 0.1
    composites: tuple[float, float] = (0.0, 0.0)
    photometric: tuple[float, float] = (0.0, 1.0)  # of the game's: probability, strength
    sunlit: bool = False  # the diffuse is synthesised from the maps
    perceptual: bool = False  # albedo by masked L1 and LPIPS


PHASES: dict[PhaseName, Phase] = {
    "A0": Phase(
        after=None,
        trains="all",
        rule="settles",
        epochs=15,
        lr=1e-4,
        schedule="cosine",
        patches=1000,
        turned=False,
        jitter=0.0,
    ),
    "A": Phase(
        after="A0",
        trains="all",
        rule="plateau",
        epochs=40,
        lr=5e-5,
        schedule="one_cycle",
        composites=(0.3, 0.15),
    ),
    "A_alb_syn": Phase(
        after="A0",
        trains="albedo",
        rule="both_fall",
        epochs=15,
        lr=5e-5,
        schedule="one_cycle",
        composites=(0.3, 0.15),
        sunlit=True,
        perceptual=True,
    ),
    "B": Phase(
        after="A",
        trains="adapters",
        rule="gate",
        epochs=12,
        lr=1e-5,
        schedule="step",
        game=0.25,
        crop=(0.25, 0.5),
        composites=(0.3, 0.15),
        photometric=(0.6, 1.0),
        perceptual=True,
    ),
    "C": Phase(
        after="B",
        trains="top",
        rule="gate",
        epochs=12,
        lr=5e-6,
        beta2=0.9995,
        schedule="cosine",
        game=0.5,
        synthetic=0.5,
        crop=(0.5, 0.75),
        composites=(0.2, 0.1),
        photometric=(0.6, 1.0),
    ),
    "Cp": Phase(
        after="C",
        trains="norms",
        rule="exempt",
        epochs=2,
        lr=3e-6,
        schedule="restarts",
        game=0.5,
        synthetic=0.25,
        crop=(0.75, 0.75),
        composites=(0.2, 0.1),
        photometric=(0.6, 1.0),
    ),
    "D": Phase(
        after="Cp",
        trains="head",
        rule="gate",
        epochs=10,
        lr=1e-6,
        optimizer="adam",
        beta2=0.9995,
        weight_decay=0.0,
        schedule="exponential",
        patience=3,
        game=1.0,
        synthetic=0.1,
        side=2048,
        crop=(0.5, 0.5),
        jitter=0.0,
        photometric=(0.6, 0.5),
    ),
}


def with_lion(phase: Phase) -> Phase:
    """In place of AdamW, within the range that its paper gives (arXiv:2302.06675): a learning rate LION times smaller,
    a weight decay as much larger."""
    return replace(
        phase, optimizer="lion", lr=phase.lr / LION, weight_decay=phase.weight_decay * LION, beta2=LION_BETA2
    )


def checkpoint_name(phase: PhaseName, head: MapName | None) -> str:
    """As the plan calls it: `B`, `D_ao`."""
    return phase if head is None else f"{phase}_{head}"


def comes_after(phase: PhaseName, head: MapName | None) -> str:
    """The checkpoint that a phase starts from. D's jobs go on from each other: a head shares nothing with the others,
    so the last one's checkpoint holds them all."""
    if head is not None and (number := HEADS.index(head)):
        return checkpoint_name(phase, HEADS[number - 1])
    return str(PHASES[phase].after)
