"""Benchmarks: every figure with the ratio that makes it comparable, from one run on one machine."""
