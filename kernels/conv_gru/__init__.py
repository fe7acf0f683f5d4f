from terrarium.kernels.conv_gru.cell import ChannelNorm, ConvGRUCell, ResetAfter, ResetBefore
from terrarium.kernels.conv_gru.fused import conv_gru_gates
from terrarium.kernels.conv_gru.reset_before import reset_gates, update_gate

__all__ = [
    "ChannelNorm",
    "ConvGRUCell",
    "ResetAfter",
    "ResetBefore",
    "conv_gru_gates",
    "reset_gates",
    "update_gate",
]
