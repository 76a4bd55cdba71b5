"""Clicks per object: data sets, the simulated annotator, the measures and their report."""
