"""Every operator against eager PyTorch and torch.compile in one run: `python -m kernels.bench --help`."""
