"""A model of materials as an ONNX file, which runs without PyTorch (extra `onnx`):

    python -m terrarium.worlds.materials.to_onnx shipped out/material.onnx --size 256

Inputs: `views` float32 [1, 3, 3, S, S] in sRGB, rectified, and `poses` [1, 3, 3]; output: `maps` [1, 8, S, S], as in
maps.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from terrarium.worlds.materials.cameras import random_poses
from terrarium.worlds.materials.checks import VIEWS
from terrarium.worlds.materials.model import MaterialNet, load_model

OPSET = 18


def to_onnx(model: MaterialNet, file: Path, size: int) -> None:
    """For pictures of `size` pixels. ValueError where the network does not take that size."""
    if size < model.cell or size % model.cell:
        raise ValueError(f"size {size}: expected a multiple of {model.cell}")
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(1, VIEWS, 3, size, size, generator=generator), random_poses(VIEWS, generator)[None]
    file.parent.mkdir(parents=True, exist_ok=True)
    program = torch.onnx.export(
        model.cpu().eval(),
        example,
        input_names=["views", "poses"],
        output_names=["maps"],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(str(file), external_data=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder of a material model, or `shipped`")
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in pixels")
    args = parser.parse_args()
    to_onnx(load_model(args.checkpoint)[0], args.out, args.size)
