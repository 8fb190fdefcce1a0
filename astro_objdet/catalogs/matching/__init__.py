"""The parts of a cross-match."""
