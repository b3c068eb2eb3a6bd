"""Benchmarks of training and inference: `python -m benchmarks` runs all, `python -m benchmarks.train` one."""
