"""Stretches: surface brightness to 0-1, one frozen dataclass each.

A stretch is part of a recipe, so it turns into a plain dictionary and back
(`stretch_from_dict`). Pixels that are masked or not finite get the value of zero flux.
"""

import math
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from astropy.visualization import ManualInterval, SqrtStretch

from astro_objdet.errors import InputError, check_choice, check_positive

__all__ = [
    "HSCStretch",
    "IdentityStretch",
    "LuptonStretch",
    "SqrtFluxStretch",
    "stretch_from_dict",
]


def _clean(data, mask):
    """Return a float32 copy with bad pixels at zero flux."""
    out = np.array(data, dtype=np.float32)
    if out.ndim != 3:
        raise InputError(f"data must have shape (band, y, x), got {out.shape}")
    bad = ~np.isfinite(out)
    if mask is not None:
        bad |= mask
    if bad.any():
        out[bad] = 0
    return out


def _per_band(name, value, n_bands):
    """Return one float per band from a scalar or a sequence."""
    values = np.atleast_1d(value)
    if values.size not in (1, n_bands):
        raise InputError(
            f"{name} must be one number or one per band ({n_bands}), got {values.size}"
        )
    return [float(v) for v in np.broadcast_to(values, n_bands)]


def _positive_asinh(values, top):
    """``arcsinh`` of ``values`` clipped to [0, top], in place.

    The logarithm is several times faster in float32 than numpy's arcsinh, and
    within 1e-7 of it above zero.
    """
    np.clip(values, 0, top, out=values)
    root = values * values
    root += 1
    np.sqrt(root, out=root)
    values += root
    return np.log(values, out=values)


class _Stretch:
    """What the stretches share: the dictionary form."""

    name: ClassVar[str]

    def __post_init__(self):
        # A recipe read from JSON has lists; tuples keep the instance hashable.
        for key, value in vars(self).items():
            if isinstance(value, (list, np.ndarray)):
                object.__setattr__(self, key, tuple(float(v) for v in value))
        self._check()

    def _check(self):
        """Raise `InputError` for parameters outside of their range."""

    def to_dict(self):
        """Return ``{'name': ..., parameter: value, ...}`` of plain types."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {"name": self.name, **values}


@dataclass(frozen=True)
class IdentityStretch(_Stretch):
    """For pictures that are stretched already: values are clipped to 0-1."""

    name: ClassVar[str] = "identity"

    def __call__(self, data, mask=None):
        """Return ``data`` (band, y, x) clipped to 0-1 as float32; bad pixels are 0."""
        out = _clean(data, mask)
        return np.clip(out, 0, 1, out=out)


@dataclass(frozen=True)
class SqrtFluxStretch(_Stretch):
    """Square root between flux limits, as paper I (Chan & Stott 2019, section 2.2).

    Parameters
    ----------
    lower, upper : float or tuple of float
        Surface brightness in nanomaggy / arcsec2 mapped to 0 and to 1, for all bands or
        for each. The paper gives the shape, not the limits.

    Raises
    ------
    InputError
        If a limit is not finite or ``upper`` does not lie above ``lower``.
    """

    lower: float | tuple
    upper: float | tuple
    name: ClassVar[str] = "sqrt"

    def _check(self):
        lower, upper = np.atleast_1d(self.lower), np.atleast_1d(self.upper)
        if lower.size != upper.size and 1 not in (lower.size, upper.size):
            raise InputError("lower and upper must be given for the same number of bands")
        if not (np.isfinite(lower).all() and np.isfinite(upper).all() and np.all(lower < upper)):
            raise InputError(
                f"upper must lie above lower, both finite; got {self.lower!r} and {self.upper!r}"
            )

    def __call__(self, data, mask=None):
        """Stretch surface brightness (band, y, x) in nanomaggy / arcsec2 to 0-1, float32."""
        out = _clean(data, mask)
        lower = _per_band("lower", self.lower, len(out))
        upper = _per_band("upper", self.upper, len(out))
        for band, low, high in zip(out, lower, upper, strict=True):
            ManualInterval(low, high)(band, clip=True, out=band)
        return SqrtStretch()(out, clip=False, out=out)


@dataclass(frozen=True)
class LuptonStretch(_Stretch):
    """The scaling of paper II (Popp et al. 2024), equation A1 with Table A1.

    ``asinh(Q (I / beta - m) / alpha) / Q`` in each channel on its own, clipped to 0-1.
    The paper's channels are g, r, i as red, green, blue. Unlike
    `astropy.visualization.make_lupton_rgb` the channels do not share an intensity.

    Parameters
    ----------
    Q, alpha, m : float
        Softening, stretch and minimum.
    beta : tuple of float
        Channel scales.
    pixel_scale : float
        Arcsec. The paper's ``I`` is flux per SDSS pixel; the input is flux per square
        arcsecond, so it is multiplied by this squared.
    """

    Q: float = 7.0
    alpha: float = 0.2
    m: float = 0.0
    beta: float | tuple = (0.7, 1.17, 1.818)
    pixel_scale: float = 0.396
    name: ClassVar[str] = "lupton"

    def _check(self):
        for key in ("Q", "alpha", "pixel_scale"):
            check_positive(key, getattr(self, key))
        for value in np.atleast_1d(self.beta):
            check_positive("beta", float(value))

    def __call__(self, data, mask=None):
        """Stretch surface brightness (band, y, x) in nanomaggy / arcsec2 to 0-1, float32."""
        out = _clean(data, mask)
        for band, beta in zip(out, _per_band("beta", self.beta, len(out)), strict=True):
            band *= self.pixel_scale**2 * self.Q / (beta * self.alpha)
            if self.m:
                band -= self.m * self.Q / self.alpha
        _positive_asinh(out, math.sinh(min(self.Q, 80)))
        out /= self.Q
        return np.minimum(out, 1, out=out)


@dataclass(frozen=True)
class HSCStretch(_Stretch):
    """The HSC scaling of paper II, equation A2: ``(asinh(e^10 I) / asinh(e^10) + 0.05) / 0.72``.

    Departures: the paper prints sinh for asinh, which overflows (sinh(e^10) is not a
    number any computer holds) while its text says asinh. The unit of ``I`` is not stated.

    Parameters
    ----------
    scale : float
        ``I`` for 1 nanomaggy / arcsec2. The default puts ``I = 1`` at 15 mag / arcsec2, so that
        the noise of an HSC Wide image (0.05 nanomaggy / arcsec2) ends at 0.2 and
        18.8 mag / arcsec2 is white.
    """

    scale: float = 1e-3
    name: ClassVar[str] = "hsc"

    def _check(self):
        check_positive("scale", self.scale)

    def __call__(self, data, mask=None):
        """Stretch surface brightness (band, y, x) in nanomaggy / arcsec2 to 0-1, float32.

        Zero flux is 0.069.
        """
        out = _clean(data, mask)
        softening = math.exp(10)
        norm = math.asinh(softening)
        out *= softening * self.scale
        negative = out < 0
        low = -np.arcsinh(-out[negative]) if negative.any() else None
        _positive_asinh(out, math.sinh(0.67 * norm) * 1.001)
        if low is not None:
            out[negative] = low
        out /= norm * 0.72
        out += 0.05 / 0.72
        return np.clip(out, 0, 1, out=out)


_STRETCHES = {
    cls.name: cls for cls in (IdentityStretch, SqrtFluxStretch, LuptonStretch, HSCStretch)
}


def stretch_from_dict(values):
    """Rebuild a stretch from its `to_dict` form.

    Parameters
    ----------
    values : dict
        ``name`` and the parameters of that stretch.

    Returns
    -------
    callable
        A stretch that equals the one written.

    Raises
    ------
    InputError
        For an unknown name or parameter.
    """
    values = dict(values)
    name = check_choice("stretch name", values.pop("name", None), set(_STRETCHES))
    try:
        return _STRETCHES[name](**values)
    except TypeError as err:
        raise InputError(f"stretch {name!r} does not take these parameters: {err}") from None
