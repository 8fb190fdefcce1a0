"""Lengths on the sky: the cosmology, and kiloparsecs per arcsecond in it."""

import numbers

import numpy as np
from astropy import cosmology as cosmologies
from astropy import units as u
from astropy.cosmology import Cosmology, FlatLambdaCDM
from scipy.interpolate import make_interp_spline

from astro_objdet.errors import InputError

__all__ = ["PAPER_COSMOLOGY", "cosmology_meta", "get_cosmology", "kpc_per_arcsec"]

#: Of Chan & Stott (2019), end of section 1: flat, H0 = 71 km/s/Mpc, Ωm = 0.27.
PAPER_COSMOLOGY = FlatLambdaCDM(H0=71, Om0=0.27, name="Chan & Stott 2019")

# Above this many redshifts distances are interpolated; see `kpc_per_arcsec`.
_MANY = 2000
_NODES = 1024
_NUMBERS = ("H0", "Om0", "Ode0")


def get_cosmology(cosmology=None):
    """A cosmology by name, by its numbers, or as it is.

    Parameters
    ----------
    cosmology : `~astropy.cosmology.Cosmology`, str or dict, optional
        A name that astropy knows (``"Planck18"``), or ``"H0=70,Om0=0.3"``, flat
        unless ``Ode0`` is given too; a dict has the same keys.
        Default `PAPER_COSMOLOGY`.

    Returns
    -------
    `~astropy.cosmology.Cosmology`

    Raises
    ------
    InputError
        Naming what can be given.
    """
    if cosmology is None:
        return PAPER_COSMOLOGY
    if isinstance(cosmology, Cosmology):
        return cosmology
    if isinstance(cosmology, str) and "=" not in cosmology:
        if cosmology in cosmologies.available:
            return getattr(cosmologies, cosmology)
        known = ", ".join(cosmologies.available)
        raise InputError(
            f"cosmology must be one of {known}, or numbers such as 'H0=70,Om0=0.3'; "
            f"got {cosmology!r}"
        )
    return _from_numbers(cosmology)


def _from_numbers(given):
    try:
        pairs = (
            dict(part.split("=") for part in given.split(",")) if isinstance(given, str) else given
        )
        values = {key.strip(): float(value) for key, value in pairs.items()}
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"cosmology must be like 'H0=70,Om0=0.3', got {given!r}") from None
    if not {"H0", "Om0"} <= set(values) <= set(_NUMBERS):
        raise InputError(f"cosmology needs H0 and Om0, and may have Ode0; got {given!r}")
    if not (np.isfinite(list(values.values())).all() and values["H0"] > 0 <= values["Om0"]):
        raise InputError(f"cosmology needs H0 above 0 and Om0 not below 0, got {given!r}")
    if "Ode0" in values:
        return cosmologies.LambdaCDM(**values)
    return FlatLambdaCDM(**values)


def kpc_per_arcsec(redshift, cosmology=None):
    """Proper transverse kiloparsecs per arcsecond.

    Parameters
    ----------
    redshift : float or array_like of float
        Finite and above 0: of masked or negative ones astropy computes wrong numbers.
    cosmology : as for `get_cosmology`, optional

    Returns
    -------
    float or `~numpy.ndarray` of float64
        Of the shape of ``redshift``.

    Raises
    ------
    InputError
        If a redshift is masked, not finite, or not above 0.

    Notes
    -----
    Of more than two thousand redshifts the comoving distance is interpolated by a
    spline through 1024 nodes in log(1 + z), to 1e-9 of its value: cosmologies with
    massive neutrinos integrate numerically for each redshift.
    """
    cosmology = get_cosmology(cosmology)
    if np.any(getattr(redshift, "mask", False)):
        raise InputError("redshift must not be masked")
    values = np.asarray(redshift, dtype=float)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise InputError(f"redshift must be a finite number above 0, got {values[bad].flat[0]!r}")
    if values.size <= _MANY:
        distance = cosmology.comoving_transverse_distance(values).to_value(u.kpc)
    else:
        ends = np.log1p([values.min(), values.max()])
        nodes = np.linspace(*ends, _NODES) if ends[1] > ends[0] else ends[:1]
        at = cosmology.comoving_transverse_distance(np.expm1(nodes)).to_value(u.kpc)
        distance = make_interp_spline(nodes, at)(np.log1p(values)) if len(nodes) > 1 else at[0]
    scale = distance / (1 + values) * u.arcsec.to(u.rad)
    return float(scale) if isinstance(redshift, numbers.Real) else scale


def cosmology_meta(cosmology=None):
    """What ``.meta`` records of a cosmology: name, class and its numbers."""
    cosmology = get_cosmology(cosmology)
    meta = {"name": cosmology.name, "class": type(cosmology).__name__}
    for name in ("H0", "Om0", "Ode0"):
        value = getattr(cosmology, name, None)
        if value is not None:
            meta[name] = float(getattr(value, "value", value))
    return meta
