from terrarium.kernels.vq.fused import vector_quantize

__all__ = ["vector_quantize"]
