from terrarium.kernels.ssim.fused import SSIM, ssim

__all__ = ["SSIM", "ssim"]
