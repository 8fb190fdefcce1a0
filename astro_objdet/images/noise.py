"""Robust statistics of the sky from a bounded sample of an image."""

import numpy as np

__all__ = ["robust_sigma", "spread_blocks"]


def spread_blocks(shape, side=128, count=5):
    """Up to ``count`` squared blocks spread over an image."""
    spread = [sorted({int(f * max(n - side, 0)) for f in np.linspace(0, 1, count)}) for n in shape]
    return [
        (y, min(y + side, shape[0]), x, min(x + side, shape[1]))
        for y in spread[0]
        for x in spread[1]
    ]


def robust_sigma(data, mask):
    """1.4826 times the median absolute deviation of the good pixels, per band."""
    sigmas = []
    for band, bad in zip(data, mask, strict=True):
        good = band[~bad]
        sigmas.append(
            1.4826 * np.median(abs(good - np.median(good))) if good.size >= 16 else np.nan
        )
    return sigmas
