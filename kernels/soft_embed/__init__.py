from terrarium.kernels.soft_embed.fused import soft_embed

__all__ = ["soft_embed"]
