"""Which inputs fit jobs that draw worlds or align a generator, judged by their manifests alone. Torch-free."""

from __future__ import annotations

from typing import Any

from terrarium.worlds.kinds import Manifests, Misfit

LEARNED = ("clip", "hps", "aesthetic", "normal")  # rewards that need a folder of weights each, <name>_model


def sample_misfits(config: Any, manifests: Manifests) -> list[Misfit]:
    found: list[Misfit] = []
    aligned = "generator" if config.adapter is None else "adapter"
    if config.measurement is not None and aligned in manifests:
        known = measured_steps(manifests[aligned])
        if config.measurement not in known:
            wanted = f"one of {', '.join(map(str, known))}" if known else "an aligned generator"
            found.append(("measurement", f"{config.measurement} is none of the {aligned}'s: expected {wanted}"))
    base, given = manifests.get("adapter", {}).get("aligned", {}).get("base"), manifests.get("generator", {})
    if base is not None and given.get("sha256", base) != base:
        found.append(("adapter", f"belongs to generator {base[:12]}, not to {given['sha256'][:12]}"))
    start = manifests.get("start", {}).get("size")
    if start is None:
        return found
    height = manifests.get("generator", {}).get("model", {}).get("size")
    if height is not None and start[1] != height:
        found.append(("start", f"is {start[1]} blocks high, the generator's worlds {height}"))
    if config.size is not None and config.size < max(start[0], start[2]):
        found.append(("start", f"has {start} blocks along x, y and z, more than size {config.size}"))
    if config.dream and any(last > side for last, side in zip(config.dream[3:], start, strict=True)):
        found.append(("dream", f"{list(config.dream)} reaches beyond the world's {start} blocks"))
    return found


def measured_steps(manifest: dict[str, Any]) -> list[int]:
    """The steps at which a generator was measured while it was aligned."""
    return [row["step"] for row in manifest.get("aligned", {}).get("pareto", ())]


def align_misfits(config: Any, manifests: Manifests) -> list[Misfit]:
    found: list[Misfit] = []
    if "silhouette" in config.rewards and config.target is None and "target" not in manifests:
        found.append(("target", "is missing: reward silhouette wants an outline, expected a world"))
    for name in LEARNED:
        if name in config.rewards and getattr(config, f"{name}_model") is None:
            found.append((f"{name}_model", f"is missing: reward {name} needs a folder of weights on this machine"))
    wanted, size = manifests.get("target", {}).get("size"), manifests.get("generator", {}).get("model", {}).get("size")
    if wanted is not None and size is not None and wanted != [size] * 3:
        found.append(("target", f"has {wanted} blocks along x, y and z, the generator's worlds {[size] * 3}"))
    return found
