from terrarium.kernels.codes.fused import draw_codes
from terrarium.kernels.codes.naive import join_factors, largest, nats, sample, split_factors

__all__ = ["draw_codes", "join_factors", "largest", "nats", "sample", "split_factors"]
