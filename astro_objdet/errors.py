"""Exceptions of the package and the argument checks that raise them.

Every exception carries the exit code the command line ends with, so that
``cli/`` needs one place to turn an error into a message and a status.
"""

import math
import numbers

__all__ = [
    "AstroObjdetError",
    "BandWarning",
    "InputError",
    "ModelError",
    "NetworkError",
    "OutputExistsError",
    "ResourceError",
    "UncalibratedWarning",
    "check_choice",
    "check_count",
    "check_fraction",
    "check_positive",
    "in_unit",
]


class AstroObjdetError(Exception):
    """Base class of the errors this package raises on purpose."""

    exit_code = 1


class InputError(AstroObjdetError, ValueError):
    """An image, table or parameter that cannot be used as it is.

    Parameters
    ----------
    message : str
        What was expected and what came.
    path : path-like, optional
        The file, put before the message.
    hdu : int or str, optional
        The HDU in that file, put behind the path as ``path[hdu]``.
    """

    exit_code = 3

    def __init__(self, message, path=None, hdu=None):
        self.path = path
        self.hdu = hdu
        where = "" if path is None else str(path)
        if hdu is not None:
            where += f"[{hdu}]"
        super().__init__(f"{where}: {message}" if where else message)


class OutputExistsError(InputError, FileExistsError):
    """An output file exists and overwriting was not asked for."""


class NetworkError(AstroObjdetError):
    """A remote service or hub did not answer, or not with what was asked."""

    exit_code = 5


class ModelError(AstroObjdetError, ValueError):
    """Weights that are missing, damaged, of another kind, or not trusted."""

    exit_code = 6


class ResourceError(AstroObjdetError):
    """Disk or memory did not suffice."""

    exit_code = 7


class BandWarning(UserWarning):
    """Other bands than a recipe was made for stand in for them."""


class UncalibratedWarning(UserWarning):
    """Pixel values without a known flux scale: limits come from the noise."""


def check_positive(name, value):
    """Return ``value`` if it is a finite number above zero, else raise.

    Raises
    ------
    InputError
        Naming the parameter, the rule and the value.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise InputError(f"{name} must be a finite number above 0, got {value!r}")
    return value


def check_count(name, value, least=1):
    """Return ``value`` as an int if it is a whole number from ``least`` up, else raise.

    Raises
    ------
    InputError
        Naming the parameter, the rule and the value.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InputError(f"{name} must be a whole number from {least} up, got {value!r}")
    return int(value)


def check_fraction(name, value):
    """Return ``value`` if it is a number in [0, 1], else raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value <= 1:
        raise InputError(f"{name} must be a number from 0 to 1, got {value!r}")
    return value


def in_unit(name, value, unit):
    """Plain numbers of a quantity in a unit; numbers without a unit are taken to be in it.

    What is masked is NaN.

    Returns
    -------
    float or `numpy.ndarray` of float64

    Raises
    ------
    InputError
        Naming the parameter and the unit, for another kind of quantity or no numbers.
    """
    import numpy as np
    from astropy import units as u

    try:
        if isinstance(value, np.ma.MaskedArray):
            value = value.astype(float).filled(np.nan)
        return u.Quantity(value, unit, dtype=float).value
    except (u.UnitConversionError, TypeError, ValueError):
        raise InputError(f"{name} must be numbers or a quantity in {unit}, got {value!r}") from None


def check_choice(name, value, choices):
    """Return ``value`` if it is one of ``choices``, else raise `InputError`."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in sorted(choices))
        raise InputError(f"{name} must be one of {listed}; got {value!r}")
    return value
