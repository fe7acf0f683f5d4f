"""Every operator against eager PyTorch and torch.compile in one run: `python -m terrarium.kernels.bench --help`."""
