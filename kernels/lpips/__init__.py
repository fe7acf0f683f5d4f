from terrarium.kernels.lpips.fused import LPIPSHead, lpips_head

__all__ = ["LPIPSHead", "lpips_head"]
