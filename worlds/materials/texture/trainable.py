"""Which parameters each phase of the staged plan trains, by name."""

from __future__ import annotations

from torch import nn

from terrarium.worlds.materials.encoders import STAGES
from terrarium.worlds.materials.texture.model import TextureNet
from terrarium.worlds.materials.texture.phases import PHASES, MapName, PhaseName
from terrarium.worlds.training.lora import is_adapters
from terrarium.worlds.training.optimisers import norms

TAGGED = ("A0", "A")  # the phases in which the tagger learns
TOP = STAGES // 2  # the first of the deeper stages of an encoder; the SegFormer has four too


def trainable(model: TextureNet, phase: PhaseName, head: MapName | None = None) -> dict[str, nn.Parameter]:
    """{name: parameter} in the model's order.

    all       everything, the tagger in A0 and A alone
    albedo    UNet-Albedo
    adapters  heads and adapters
    top       these, and the deeper half of the three encoders
    norms     scales and shifts of norms; group and layer norms keep no running statistics
    head      one map's head with its upsampling
    """
    if (PHASES[phase].trains == "head") != (head is not None):
        raise ValueError(f"phase {phase} with the map {head}: expected a map for D, and for no other phase")
    of_norms = _names_of_norms(model)
    return {name: p for name, p in model.named_parameters() if _learns(name, phase, head, of_norms)}


def _learns(name: str, phase: PhaseName, head: MapName | None, of_norms: set[str]) -> bool:
    if name.startswith("tagger."):
        return phase in TAGGED
    match PHASES[phase].trains:
        case "all":
            return True
        case "albedo":
            return name.startswith("albedo.")
        case "adapters":
            return is_adapters(name) or _of_heads(name)
        case "top":
            return is_adapters(name) or _of_heads(name) or _on_top(name)
        case "norms":
            return name.rpartition(".")[0] in of_norms
        case "head":
            return name.startswith(f"{'albedo' if head == 'albedo' else 'maps'}.heads.{head}.")


def _of_heads(name: str) -> bool:
    return name.startswith(("albedo.heads.", "maps.heads.", "segmentation.decoder."))


def _on_top(name: str) -> bool:
    encoders = ("albedo.encoder.stages.", "maps.encoder.stages.", "segmentation.stages.")
    return any(name.startswith(f"{encoder}{i}.") for encoder in encoders for i in range(TOP, STAGES))


def _names_of_norms(model: TextureNet) -> set[str]:
    wanted = set(norms(model))
    return {name for name, module in model.named_modules() if module in wanted}
