from terrarium.kernels.conv_gru.fused import conv_gru_gates
from terrarium.kernels.conv_gru.live import LiveStep
from terrarium.kernels.conv_gru.reset_before import reset_gates, update_gate
from terrarium.kernels.conv_gru.sequence import conv_gru

__all__ = ["LiveStep", "conv_gru", "conv_gru_gates", "reset_gates", "update_gate"]
