"""The ONNX file says the same as the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from terrarium.worlds.materials.cameras import random_poses
from terrarium.worlds.materials.kinds import train_debug
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.to_onnx import to_onnx
from terrarium.worlds.materials.train import shape_of

onnxruntime = pytest.importorskip("onnxruntime", reason="extra `onnx` is not installed")


def test_onnxruntime_computes_the_same_maps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = MaterialNet(**shape_of(replace(train_debug(), encoder="mobile", encoder_stride=2))).eval()
    torch.nn.init.normal_(net.heads.weight, std=0.3)
    views, poses = torch.rand(1, 3, 3, 64, 64), random_poses(3, torch.Generator().manual_seed(0))[None]
    to_onnx(net, tmp_path / "net.onnx", 64)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (maps,) = session.run(None, {"views": views.numpy(), "poses": poses.numpy()})
    np.testing.assert_allclose(maps, net(views, poses).detach(), atol=1e-4)
    with torch.no_grad(), pytest.raises(ValueError, match="size 100: expected a multiple of 16"):
        to_onnx(net, tmp_path / "none.onnx", 100)
