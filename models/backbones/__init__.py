"""Feature extractors: one file per family, shared by all systems."""
