"""A rendered field as FITS files, and the folder that a rendered sky is written to."""

import json
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import QTable

from astro_objdet.errors import InputError
from astro_objdet.files import atomic_path, check_writable
from astro_objdet.skies.conditions import SURVEYS

__all__ = ["field_name", "make_room", "write_field"]


def field_name(survey, number):
    """Name of a field, which its files begin with."""
    return f"{survey.name}_{number:05d}"


def make_room(out, survey, overwrite):
    """Remove the sky that was rendered into a folder, whose fields have other clusters.

    Parameters
    ----------
    out : `~pathlib.Path`
        The folder.
    survey : `~astro_objdet.skies.conditions.Survey`
        Of the fields that it is for.
    overwrite : bool

    Raises
    ------
    OutputExistsError
        A sky, or the first field of one, is there and ``overwrite`` is False.
    InputError
        A file cannot be replaced or removed.
    """
    record, truth = out / "simulate.json", out / "truth.ecsv"
    first = [_path(out, field_name(survey, 0), band) for band in survey.bands]
    for path in (record, truth, *first):
        check_writable(path, overwrite)
    # The table goes first and the list of the fields last: what is left is never taken for whole.
    for path in (truth, *_recorded(out, record), record):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot be removed: {error.strerror or error}", path) from error


def write_field(plan, out, overwrite, number, place):
    """Render a field and write its bands.

    Parameters
    ----------
    plan : `~astro_objdet.skies.plans.FieldPlan`
    out : path-like
        The folder.
    overwrite : bool
    number : int
    place : pair of float
        RA and Dec of the middle, degrees.

    Returns
    -------
    truth : `~astropy.table.QTable`
        That of the field, with its name in the column ``field``.
    paths : list of str
    """
    rendered = plan.render(number, place)
    name = field_name(plan.survey, number)
    paths = []
    for band, plane, seeing in zip(
        rendered.survey.bands, rendered.image, rendered.survey.psf_fwhm, strict=True
    ):
        header = rendered.wcs.to_header()
        zero_point = rendered.survey.zero_point
        header["BUNIT"] = "nanomaggy" if zero_point == 22.5 else "adu"
        header["MAGZERO"] = (zero_point, "AB magnitude of one count")
        header["FILTER"] = band
        header["PSF_FWHM"] = (seeing, "arcsec")
        header["ORIGIN"] = "rendered by astro_objdet"
        header["SEED"], header["FIELD"] = plan.seed, name
        counts = plane * np.float32(10 ** (0.4 * (zero_point - 22.5)))
        path = _path(out, name, band)
        with atomic_path(path, overwrite=overwrite) as temporary:
            fits.PrimaryHDU(counts, header).writeto(temporary)
        paths.append(str(path))
    truth = QTable(rendered.truth)
    truth.add_column([name] * len(truth) if len(truth) else np.empty(0, "U16"), 0, name="field")
    return truth, paths


def _path(out, name, band):
    return Path(out) / f"{name}_{band}.fits"


def _recorded(out, record):
    """Files of the fields that the record of a rendered sky tells of."""
    try:
        told = json.loads(record.read_bytes())
        survey = SURVEYS[told["survey_name"]]
        names = [field_name(survey, number) for number in range(told["fields"])]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return [_path(out, name, band) for name in names for band in survey.bands]
