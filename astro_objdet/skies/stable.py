"""Random numbers that belong to a thing, not to its place in a table.

What is drawn for a cluster or a cell of sky from its own key stays the same whatever other rows
there are and in whatever order.
"""

import hashlib

import numpy as np

__all__ = ["position_key", "short_text", "stable_number", "stable_uniform"]

# 1e-5 degrees, 0.04 arcsec: the same position from tables of float64 and of printed digits.
_PER_DEGREE = 100_000


def stable_number(*parts):
    """A number of 64 bits that follows from ``parts`` alone.

    Parameters
    ----------
    *parts : int or str
        The seed and what the number is for.

    Returns
    -------
    int
    """
    text = "\n".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def stable_uniform(seed, keys):
    """A number in [0, 1) for each key.

    Parameters
    ----------
    seed : int
    keys : iterable of int or str

    Returns
    -------
    `~numpy.ndarray` of float64
    """
    # 53 bits: all of them fit a float64, and none rounds up to 1.
    return np.array([(stable_number(seed, key) >> 11) / 2**53 for key in keys], dtype=float)


def short_text(text, size):
    """A text in at most ``size`` bytes of UTF-8: itself, or its start and 64 bits of SHA-256."""
    text = str(text)
    if len(text.encode()) <= size:
        return text
    digest = f"~{stable_number(text):016x}"
    return text.encode()[: size - len(digest)].decode(errors="ignore") + digest


def position_key(ra, dec):
    """Text for a position in degrees, the same within 0.02 arcsec and across RA 0."""
    turn = 360 * _PER_DEGREE
    return f"{round(float(ra) * _PER_DEGREE) % turn},{round(float(dec) * _PER_DEGREE)}"
