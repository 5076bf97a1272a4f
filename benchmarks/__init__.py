"""Ratios of two ways measured in turns in one run: `python -m benchmarks [name ...] [--quick]`."""
