"""Measurements of the machine at hand; each module prints a table: `python -m benchmarks.NAME`."""
