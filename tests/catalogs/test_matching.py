"""Radii in all their forms, and redshift windows."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table

from astro_objdet.catalogs.columns import redshift_values
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.matching.pairs import Pairs
from astro_objdet.catalogs.matching.radius import parse_radius, radius_arcsec
from astro_objdet.catalogs.matching.window import RedshiftWindow
from astro_objdet.errors import InputError


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("30 arcsec", 30, u.arcsec),
        ("30arcsec", 30, u.arcsec),
        ("0.5'", 0.5, u.arcmin),
        ("1 Mpc", 1, u.Mpc),
        ("1e2 kpc", 100, u.kpc),
        (".5 deg", 0.5, u.deg),
    ],
)
def test_angles_and_lengths(text, value, unit):
    radius = parse_radius(text)
    assert (radius.value, radius.unit, radius.column) == (value, unit, None)
    quantity = parse_radius(value * unit)
    assert (quantity.value, quantity.unit) == (value, unit)


@pytest.mark.parametrize(
    ("text", "value", "column"),
    [
        ("R200", 1, "R200"),
        ("0.75 psf_fwhm", 0.75, "psf_fwhm"),
        ("2 * R200", 2, "R200"),
        ("0.5 left.R200", 0.5, "left.R200"),
        ("r", 1, "r"),
    ],
)
def test_columns_and_multiples_of_them(text, value, column):
    radius = parse_radius(text)
    assert (radius.value, radius.column) == (value, column)


@pytest.mark.parametrize(
    ("radius", "match"),
    [
        ("30 Jy", "angle or a length, got unit 'Jy' in '30 Jy'"),
        (3 * u.s, "angle or a length, got unit 's'"),
        ("30", "got no unit in '30'"),
        ("", "must be an angle .* got ''"),
        (30, "must be an angle .*; got 30"),
        (None, "must be an angle"),
        ("-3 arcsec", "radius must be a finite number above 0, got -3"),
        (0 * u.arcsec, "radius must be a finite number above 0"),
        (np.nan * u.kpc, "radius must be a finite number above 0, got nan"),
        (np.inf * u.kpc, "radius must be a finite number above 0, got inf"),
        ("-1 R200", "radius must be a finite number above 0"),
        ([1, 2] * u.arcsec, "must be an angle"),
    ],
)
def test_what_is_no_radius_is_refused(radius, match):
    with pytest.raises(InputError, match=match):
        parse_radius(radius)


@pytest.fixture
def table():
    return Table(
        {
            "z": MaskedColumn([0.1, 0.2, -1, 0.3], mask=[False, False, False, True]),
            "z_err": [0.01, 0.02, 0.01, 0.01],
            "psf_fwhm": [1.2, np.nan, 1.0, -1.0] * u.arcsec,
            "R200": [1, 2, 1, 1] * u.Mpc,
            "plain": [1.0, 2, 3, 4],
            "flux": [1.0, 2, 3, 4] * u.Jy,
        }
    )


def test_length_at_the_redshift_of_each_row(table):
    arcsec, reason = radius_arcsec("100 kpc", table, redshift=redshift_values(table, side="right"))
    np.testing.assert_allclose(arcsec[:2], 100 / kpc_per_arcsec([0.1, 0.2]))
    assert np.isnan(arcsec[2:]).all()
    assert reason.tolist() == ["", "", "redshift is 0 or negative", "redshift masked"]


def test_length_at_one_redshift(table):
    arcsec, reason = radius_arcsec("100 kpc", table, redshift=0.1, cosmology="Planck18")
    np.testing.assert_allclose(arcsec, 100 / kpc_per_arcsec(0.1, "Planck18"))
    assert not reason.any()


def test_multiple_of_an_angle_in_a_column(table):
    arcsec, reason = radius_arcsec("0.75 psf_fwhm", table)
    np.testing.assert_allclose(arcsec[[0, 2]], [0.9, 0.75])
    assert np.isnan(arcsec[[1, 3]]).all()
    assert reason.astype(bool).tolist() == [False, True, False, True]


def test_column_of_lengths(table):
    for kind in (table, QTable(table)):
        redshift = redshift_values(kind, side="right", column="z")
        arcsec, _ = radius_arcsec("0.5 R200", kind, redshift=redshift)
        np.testing.assert_allclose(arcsec[:2], [500, 1000] / kpc_per_arcsec([0.1, 0.2]))


def test_unit_of_a_column_without_one(table):
    arcsec, _ = radius_arcsec("plain", table, unit="arcmin")
    np.testing.assert_allclose(arcsec, [60, 120, 180, 240])
    with pytest.raises(InputError, match="column 'plain' of the right table has no unit"):
        radius_arcsec("plain", table)


def test_other_columns_are_refused(table):
    with pytest.raises(InputError, match="got unit 'Jy'"):
        radius_arcsec("flux", table)
    with pytest.raises(InputError, match="psf"):
        radius_arcsec("psf", table)


def test_length_without_a_redshift_is_refused(table):
    with pytest.raises(InputError, match="length .100 kpc., which needs a redshift"):
        radius_arcsec("100 kpc", table)
    with pytest.raises(InputError, match="redshift must be"):
        radius_arcsec("100 kpc", table, redshift=-0.1)


def all_pairs(n, m):
    one, two = np.mgrid[:n, :m].reshape(2, -1)
    return Pairs(one, two, np.zeros(n * m))


@pytest.mark.parametrize(
    ("kind", "max_dz", "expected"),
    [
        ("absolute", 0.05, [True, False, False, True]),
        ("relative", 0.042, [True, True, False, True]),
        ("sigma", 3.5, [True, False, False, True]),
    ],
)
def test_windows(kind, max_dz, expected):
    left = Table({"z": [0.2, 0.3], "z_err": [0.01, 0.01]})
    right = Table({"z": [0.2, 0.252], "z_err": [0.01, 0.01]})
    values = [redshift_values(t, side="left") for t in (left, right)]
    errors = [redshift_values(t, side="left", column="z_err") for t in (left, right)]
    window = RedshiftWindow(*values, max_dz, kind, None, *errors)
    inside, missing = window.test(all_pairs(2, 2))
    # dz 0, 0.052, 0.1, 0.048; over 1 + z2 0.0415 for the second; over the errors 3.7 and 3.4
    assert inside.tolist() == expected
    assert not missing.any()


@pytest.mark.parametrize(("missing", "expected"), [("accept", True), ("reject", False)])
def test_missing_redshifts_do_what_was_said(missing, expected):
    left, right = Table({"z": [0.2, np.nan]}), Table({"z": [0.2]})
    values = [redshift_values(t, side="left") for t in (left, right)]
    inside, lacking = RedshiftWindow(*values, 0.05, missing=missing).test(all_pairs(2, 1))
    assert inside.tolist() == [True, expected]
    assert lacking.tolist() == [False, True]


def test_a_missing_redshift_is_never_guessed():
    left, right = Table({"z": [0.2, np.nan]}), Table({"z": [0.2]})
    values = [redshift_values(t, side="left") for t in (left, right)]
    with pytest.raises(InputError, match="1 of 2 rows of the left .*missing_redshift"):
        RedshiftWindow(*values, 0.05)


@pytest.mark.parametrize("max_dz", [0, -1, np.nan])
def test_window_must_have_a_width(max_dz):
    values = redshift_values(Table({"z": [0.2]}), side="left")
    with pytest.raises(InputError, match="max_dz must be"):
        RedshiftWindow(values, values, max_dz)
