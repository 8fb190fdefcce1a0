"""The published catalogues that are known by name."""
