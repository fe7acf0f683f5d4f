"""Which inputs fit a job that makes a world, judged by their manifests alone. Torch-free."""

from __future__ import annotations

from typing import Any

from terrarium.worlds.kinds import Manifests, Misfit

PROMPTED = ("blocks", "sd", "sdxl")  # guidances that follow words


def generate_misfits(config: Any, manifests: Manifests) -> list[Misfit]:
    found: list[Misfit] = []
    if config.guidance == "target" and config.target is None and "target" not in manifests:
        found.append(("target", "is missing: guidance target rebuilds a world, expected one"))
    if config.guidance in PROMPTED and not config.prompts:
        found.append(("prompts", f"is empty: guidance {config.guidance} builds what is said, expected a prompt"))
    if config.coarse and (config.start is not None or "start" in manifests):
        found.append(("start", "is beside coarse stages: expected a start world or coarse, not both"))
    sizes = {field: manifests[field]["size"] for field in ("start", "target") if "size" in manifests.get(field, {})}
    if config.size is not None:
        wanted = [config.size] * 3
        found += [(field, f"{_has(size)}, size says {wanted}") for field, size in sizes.items() if size != wanted]
    elif len(sizes) == 2 and sizes["start"] != sizes["target"]:
        found.append(("start", f"{_has(sizes['start'])}, the target {sizes['target']}: expected the same"))
    return found


def _has(size: list[int]) -> str:
    return f"has {size} blocks along x, y and z"
