"""Fused operators for training on a processor: C programs that are compiled when a training starts, and never needed.

    found = compiled()          # a few seconds of the machine's C compiler; None where there is none that works
    with using(found):
        loss = ...              # the operators below take their programs

One file an operator: a function with its gradient. What `used` does not take (other devices and dtypes) goes to
PyTorch's operators, and these say what the programs compute.
"""

from terrarium.kernels.cpu.blur import blur
from terrarium.kernels.cpu.build import compiled, used, using
from terrarium.kernels.cpu.flow import flow
from terrarium.kernels.cpu.gates import conv_gru_gates
from terrarium.kernels.cpu.group_norm import group_norm_silu
from terrarium.kernels.cpu.halve import halve, takes_halving
from terrarium.kernels.cpu.picture import move_picture
from terrarium.kernels.cpu.picture_losses import picture_losses, takes_pictures
from terrarium.kernels.cpu.residual import residual
from terrarium.kernels.cpu.silu import SiLU, silu
from terrarium.kernels.cpu.upsample import upsample
from terrarium.kernels.cpu.warp import warp

__all__ = [
    "SiLU",
    "blur",
    "compiled",
    "conv_gru_gates",
    "flow",
    "group_norm_silu",
    "halve",
    "move_picture",
    "picture_losses",
    "residual",
    "silu",
    "takes_halving",
    "takes_pictures",
    "upsample",
    "used",
    "using",
    "warp",
]
