"""Looks through a folder of textures and says as JSON what is in it:

    python -m terrarium.worlds.materials.texture.check data/game --out statistics.json

A diffuse that is the albedo once more (`duplicates`) teaches a model that there is no light to take away.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from terrarium.worlds.durable import write_text
from terrarium.worlds.materials.maps import ALBEDO, METALLIC, ROUGHNESS
from terrarium.worlds.materials.texture.sample import AO, DIFFUSE, HEIGHT
from terrarium.worlds.materials.texture.textures import open_textures

ALIKE = 2 / 255  # mean absolute difference of a diffuse and an albedo that count as one picture
MEASURED = {"albedo": ALBEDO, "diffuse": DIFFUSE, "roughness": ROUGHNESS, "metallic": METALLIC}


def statistics(folder: Path) -> dict[str, Any]:
    """Of all its textures; `wrong` has those that cannot be read, with the reason."""
    textures = open_textures(folder)
    classes = textures.categories()
    wrong: dict[str, str] = {}
    duplicates, synthetic, sizes, missing = list[str](), list[str](), Counter[str](), Counter[str]()
    sums = dict.fromkeys(MEASURED, 0.0)
    for name in textures.names:
        try:
            x = textures.read(name, classes)
        except ValueError as e:
            wrong[name] = str(e)
            continue
        sizes[f"{x.shape[-1]}x{x.shape[-2]}"] += 1
        if textures.synthetic(name):
            synthetic.append(name)
        elif float((x[DIFFUSE] - x[ALBEDO]).abs().mean()) <= ALIKE:
            duplicates.append(name)
        missing.update(what for what, at in (("ao", AO), ("height", HEIGHT)) if float(x[at].max()) < 0)
        for what, at in MEASURED.items():
            sums[what] += float(x[at].mean())
    read = len(textures.names) - len(wrong)
    return {
        "layout": textures.layout,
        "textures": len(textures.names),
        "wrong": wrong,
        "duplicates": duplicates,
        "synthetic": synthetic,
        "sizes": dict(sizes),
        "without": dict(missing),
        "categories": dict(Counter(textures.category(name) or "unknown" for name in textures.names)),
        "means": {what: round(total / max(1, read), 4) for what, total in sums.items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="textures in either layout")
    parser.add_argument("--out", type=Path, help="file for the statistics; if omitted, they are printed")
    args = parser.parse_args()
    found = json.dumps(statistics(args.folder), indent=1)
    if args.out is None:
        print(found)
    else:
        write_text(args.out, found)
