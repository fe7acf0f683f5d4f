"""Fused operators, differentiable, in Triton on CUDA and as their equations elsewhere:

    from terrarium.kernels import SSIM, conv_gru_gates, vector_quantize

One folder an operator; README.md there has the maths, the traffic and what was measured.

naive.py           the equation as it reads, any device, any floating dtype
fused.py           the same signature: CUDA tensors take the Triton programs, all others the naive path
triton_kernels.py  the programs and their launch; imported at the first launch, so importing an operator is light
cases.py           what to benchmark and what to compile without a GPU (kernels/cases.py)
"""

from terrarium.kernels.codes import draw_codes
from terrarium.kernels.conv_gru import ConvGRUCell, conv_gru_gates, reset_gates, update_gate
from terrarium.kernels.lpips import LPIPSHead, lpips_head
from terrarium.kernels.march import march
from terrarium.kernels.soft_embed import soft_embed
from terrarium.kernels.ssim import SSIM, ssim
from terrarium.kernels.vq import vector_quantize

__all__ = [
    "SSIM",
    "ConvGRUCell",
    "LPIPSHead",
    "conv_gru_gates",
    "draw_codes",
    "lpips_head",
    "march",
    "reset_gates",
    "soft_embed",
    "ssim",
    "update_gate",
    "vector_quantize",
]
