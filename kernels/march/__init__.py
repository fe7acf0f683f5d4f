from terrarium.kernels.march.fused import march

__all__ = ["march"]
