"""Smooth and monotone functions through counts of successes."""
