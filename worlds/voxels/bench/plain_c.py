"""march.c, compiled where it is asked for."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.voxels.camera import Camera

FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")


def compiler() -> str | None:
    """The machine's C compiler, if it has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compiled() -> ctypes.CDLL:
    """The loops of march.c. Raises what the compiler raises."""
    cc = compiler()
    assert cc is not None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "march.so"
        subprocess.run([cc, *FLAGS, str(Path(__file__).with_name("march.c")), "-o", str(library), "-lm"], check=True)
        return ctypes.CDLL(str(library))


def forward(library: ctypes.CDLL, alpha: Tensor, colour: Tensor, camera: Camera, rays: np.ndarray) -> Tensor:
    """float32 alpha and colour, contiguous; float64 rays of the camera -> [H, W, 8] as in cpu.py."""
    out = alpha.new_empty(camera.height, camera.width, 8)
    library.forward(*_arguments(alpha, colour, camera, rays), _pointer(out))
    return out


def backward(
    library: ctypes.CDLL, alpha: Tensor, colour: Tensor, camera: Camera, rays: np.ndarray, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of alpha and colour for a contiguous grad [H, W, 8]."""
    d_alpha, d_colour = torch.zeros_like(alpha), torch.zeros_like(colour)
    library.backward(*_arguments(alpha, colour, camera, rays), *map(_pointer, (grad, d_alpha, d_colour)))
    return d_alpha, d_colour


def _arguments(alpha: Tensor, colour: Tensor, camera: Camera, rays: np.ndarray) -> tuple[Any, ...]:
    eye = (ctypes.c_double * 3)(*camera.eye)
    pixels = ctypes.c_long(camera.width * camera.height)
    return *alpha.shape, _pointer(alpha), _pointer(colour), eye, ctypes.c_void_p(rays.ctypes.data), pixels


def _pointer(values: Tensor) -> ctypes.c_void_p:
    assert values.is_contiguous() and values.dtype == torch.float32
    return ctypes.c_void_p(values.data_ptr())
