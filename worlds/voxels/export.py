"""A world as files that people open: map.json, a mesh, a turntable, a thumbnail; and as a table of what is in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from PIL import Image

from terrarium.worlds.blocks.map_entries import entries_of
from terrarium.worlds.blocks.map_json import BlockMap, to_json
from terrarium.worlds.blocks.palette import AIR, NAMES, face_colours
from terrarium.worlds.durable import new_folder
from terrarium.worlds.pictures.video import mp4
from terrarium.worlds.progress import Progress
from terrarium.worlds.voxels.camera import orbit
from terrarium.worlds.voxels.grid import DifferentiableVoxelGrid, Shape
from terrarium.worlds.voxels.manifest import facts_of
from terrarium.worlds.voxels.render import of_blocks, render

ELEVATION_DEG = 25.0
FPS = 20.0
TURN = 60  # frames of a turntable
GLANCE = 12  # frames of a preview's
SIDE, SMALL = 256, 96  # pixels: of what is kept, and of a preview
HEIGHTS = ((1, 1), (2, 4), (5, 8), (9, 11), (12, 18), (19, None))  # of columns, in the table
# The corners of each face of worlds/blocks/palette.py, counter-clockwise seen from outside.
CORNERS = np.array(
    [
        [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]],
        [[1, 0, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]],
        [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
        [[0, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0]],
        [[1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]],
        [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
    ]
)


class Looks:
    """Previews of a run: a turntable that goes on turning, and pictures of every so many steps from one place."""

    def __init__(self, shape: Shape, out_dir: Path, progress: Progress) -> None:
        self.shape, self.out_dir, self.progress = shape, out_dir, progress

    @torch.no_grad()
    def show(self, grid: DifferentiableVoxelGrid, step: int) -> None:
        alpha, colour = (part.cpu() for part in grid())
        first, *rest = (Image.fromarray(frame) for frame in turntable(alpha, colour, GLANCE, SMALL))
        folder = self.out_dir / "images"
        folder.mkdir(parents=True, exist_ok=True)
        first.save(folder / f"step_{step:04d}_view0.png")
        file = self.out_dir / "turntable.gif"
        first.save(file, "GIF", save_all=True, append_images=rest, duration=150, loop=0)
        self.progress.preview("turntable", file)


def export_world(out_dir: Path, block_map: BlockMap, facts: dict[str, Any], progress: Progress) -> None:
    """Writes `out_dir/output`, the folder of a block-world asset, and reports what is to be seen of it."""
    data = to_json(block_map)
    alpha, colour = of_blocks(block_map.blocks)
    frames = turntable(alpha, colour, TURN, SIDE)
    with new_folder(out_dir / "output") as draft:
        (draft / "map.json").write_text(json.dumps(data))
        manifest = facts_of(entries_of(data)) | {"table": table_of(block_map.blocks)} | facts
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=1))
        (draft / "world.glb").write_bytes(glb(block_map))
        (draft / "turntable.mp4").write_bytes(mp4(frames, FPS))
        Image.fromarray(frames[0]).save(draft / "thumbnail.png")
        if (out_dir / "train.jsonl").is_file():
            shutil.copyfile(out_dir / "train.jsonl", draft / "train.jsonl")
    output = out_dir / "output"
    progress.preview("thumbnail", output / "thumbnail.png")
    for name, caption in (
        ("turntable.mp4", "turntable"),
        ("world.glb", "mesh"),
        ("map.json", "map"),
    ):
        progress.file(output / name, caption)


@torch.no_grad()
def turntable(alpha: torch.Tensor, colour: torch.Tensor, count: int, side: int) -> np.ndarray:
    """A turn around the grid, uint8 [count, side, side, 3]."""
    nx, ny, nz = alpha.shape
    cameras = (orbit((nx, ny, nz), 30 + 360 * i / count, ELEVATION_DEG, side, side) for i in range(count))
    pictures = [render(alpha, colour, camera).rgb for camera in cameras]
    return (torch.stack(pictures) * 255).round().to(torch.uint8).numpy()


def glb(block_map: BlockMap) -> bytes:
    """Faces that touch air as one mesh in the map viewer's world coordinates, with the palette's linear colours at its
    vertices, as glTF has them; whoever shows it brings the light."""
    quads, colours = faces_of(block_map.blocks)
    nx, _, nz = block_map.blocks.shape
    vertices = (quads.reshape(-1, 3) - [nx / 2, 0, nz / 2]) * block_map.world_scale
    start = 4 * np.arange(len(quads))[:, None]
    triangles = np.concatenate([start + [0, 1, 2], start + [0, 2, 3]])
    shades = np.round(colours.repeat(4, axis=0) * 255).astype(np.uint8)
    alpha = np.full((len(shades), 1), 255, np.uint8)
    mesh = trimesh.Trimesh(vertices, triangles, vertex_colors=np.hstack([shades, alpha]), process=False)
    data: bytes = trimesh.Scene(mesh).export(file_type="glb")
    return data


def faces_of(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those between a block and air: corners [N, 4, 3] in blocks, linear RGB [N, 3]."""
    padded, palette = np.pad(blocks, 1), face_colours()
    quads, colours = [], []
    for face, corners in enumerate(CORNERS):
        beyond = np.roll(padded, -1 if face & 1 else 1, axis=face // 2)[1:-1, 1:-1, 1:-1]
        at = np.argwhere((blocks != AIR) & (beyond == AIR))
        quads.append(at[:, None] + corners)
        colours.append(palette[blocks[tuple(at.T)], face])
    return np.concatenate(quads), np.concatenate(colours)


def table_of(blocks: np.ndarray) -> dict[str, Any]:
    """Of what a world is made: blocks, the filled share of its ground, materials' shares, columns by height."""
    solid = blocks != AIR
    count = int(solid.sum())
    counts = np.bincount(blocks[solid], minlength=len(NAMES))
    heights = np.where(solid.any(1), solid.shape[1] - solid[:, ::-1].argmax(1), 0)
    columns = {
        f"{low}" if low == high else f"{low}+" if high is None else f"{low}-{high}": int(
            ((heights >= low) & (heights <= (high or heights.max()))).sum()
        )
        for low, high in HEIGHTS
    }
    return {
        "solid": count,
        "ground_filled": round(float(solid[:, 0].mean()), 4),
        "materials": {NAMES[i]: round(float(counts[i] / count), 4) for i in np.argsort(-counts) if counts[i]},
        "columns_by_height": columns,
        "highest": int(heights.max()),
    }
