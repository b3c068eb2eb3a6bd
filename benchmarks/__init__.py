"""How fast lucid trains and runs: `python -m benchmarks` runs all benchmarks, `python -m benchmarks.train` one."""
