"""Timings of whole programs against PyTorch and a plain-NumPy control: `python -m benchmarks`."""
