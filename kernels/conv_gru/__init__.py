from kernels.conv_gru.fused import conv_gru_gates

__all__ = ["conv_gru_gates"]
