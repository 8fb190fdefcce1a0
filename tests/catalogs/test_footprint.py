"""Footprints, their areas, and positions in fields, against exact polygons and a WCS."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from mocpy import MOC

from astro_objdet.catalogs import fieldgeometry, footprint
from astro_objdet.errors import InputError


def corners_of(wcs, shape):
    ny, nx = shape
    sky = wcs.pixel_to_world([-0.5, nx - 0.5, nx - 0.5, -0.5], [-0.5, -0.5, ny - 0.5, ny - 0.5])
    return np.stack([sky.ra.deg, sky.dec.deg], axis=1)


def square(make_wcs, size, ra, dec, rotation=20.0):
    """Corners of a square image, ``size`` in degrees."""
    wcs = make_wcs(shape=(100, 100), scale=size * 36, ra=ra, dec=dec, rotation=rotation)
    return corners_of(wcs, (100, 100))


def polygon_area(corners):
    """Exact deg² of a spherical quadrangle, by the solid angle of two triangles."""
    a, b, c, d = SkyCoord(corners, unit="deg").cartesian.xyz.value.T

    def triangle(p, q, r):
        volume = abs(p @ np.cross(q, r))
        return 2 * np.arctan2(volume, 1 + p @ q + q @ r + r @ p)

    return np.degrees(np.degrees(triangle(a, b, c) + triangle(a, c, d)))


@pytest.mark.parametrize(("ra", "dec"), [(150, 2), (0, 30), (45, 90), (10, -90), (200, -60)])
@pytest.mark.parametrize("size", [0.02, 0.2, 5])
def test_area_is_that_of_the_polygon_to_a_percent(make_wcs, size, ra, dec):
    corners = square(make_wcs, size, ra, dec)
    moc = footprint.footprint_moc({"footprint_deg": corners.tolist()})
    area = footprint.area_deg2(moc)
    assert area.unit == u.deg**2
    assert 1 <= area.value / polygon_area(corners) < 1.01


def test_areas_of_known_mocs():
    everywhere = MOC.from_string("0/0-11")
    assert footprint.area_deg2(everywhere).value == pytest.approx(41252.961, abs=1e-3)
    assert footprint.area_deg2(MOC.new_empty(5)).value == 0


def test_fields_that_overlap_count_once(make_wcs):
    one, two = square(make_wcs, 0.2, 359.95, 1, 0), square(make_wcs, 0.2, 0.05, 1, 0)
    fields = {"a": {"footprint_deg": one}, "b": {"footprint_deg": two}, "c": {}}
    moc = footprint.footprint_moc({"fields": fields})
    assert footprint.area_deg2(moc).value == pytest.approx(0.3 * 0.2, rel=0.01)
    assert list(footprint.field_corners({"fields": fields})) == ["a", "b"]


def test_polygons_without_names(make_wcs):
    triangle = np.array([[10, 0], [10.2, 0], [10, 0.2]])
    area = footprint.area_deg2(footprint.footprint_moc([triangle]))
    assert area.value == pytest.approx(0.02, rel=0.01)


def test_no_footprint_is_none():
    assert footprint.field_corners({}) == {}
    assert footprint.footprint_moc({}) is None
    assert footprint.footprint_moc({"fields": {"a": {}}}) is None
    assert footprint.footprint_moc([]) is None


@pytest.mark.parametrize(
    "bad",
    [
        *([[1, 2]], "here", [[1, 2], [3, 4], [5, np.nan], [7, 8]], [[0, 1]] * 5),
        [[1, 89], [2, 89], [2, 91], [1, 91]],
    ],
)
def test_bad_footprints_are_named(bad):
    with pytest.raises(InputError, match=r"footprint of field 'a' must be four finite \[ra, dec\]"):
        footprint.footprint_moc({"fields": {"a": {"footprint_deg": bad}}})


def test_corners_beyond_the_pole_are_named():
    with pytest.raises(InputError, match=r"three or more .* with \|dec\| ≤ 90, got"):
        footprint.footprint_moc([[[1, 89], [2, 89], [1, 91]]])


@pytest.mark.parametrize("bad", [[1], "a", {"a": [1, 2]}])
def test_fields_are_dicts(bad):
    with pytest.raises(InputError, match=r"meta\['fields'\] must be a dict of fields by name"):
        footprint.field_corners({"fields": bad})


@pytest.mark.parametrize(("ra", "dec"), [(150, 2), (0, 30), (45, 90), (10, -90)])
def test_contains_agrees_with_the_pixels(make_wcs, ra, dec):
    wcs = make_wcs(shape=(120, 90), scale=7.2, ra=ra, dec=dec, rotation=33)
    moc = footprint.footprint_moc([corners_of(wcs, (120, 90))])
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-40, 130, 3000), rng.uniform(-40, 160, 3000)
    outwards = np.maximum(np.abs(x - 44.5) - 45, np.abs(y - 59.5) - 60)
    clear = np.abs(outwards) > 0.5
    sky = wcs.pixel_to_world(x[clear], y[clear])
    inside = footprint.contains(moc, sky.ra.deg, sky.dec.deg)
    np.testing.assert_array_equal(inside, outwards[clear] < 0)


def test_contains_nothing_that_is_not_finite():
    everywhere = MOC.from_string("0/0-11")
    inside = footprint.contains(everywhere, [10, np.nan, 10, np.inf], [5, 5, np.nan, 5])
    assert inside.tolist() == [True, False, False, False]
    assert footprint.contains(everywhere, [], []).shape == (0,)


@pytest.mark.parametrize(("suffix", "kind"), [(".fits", "fits"), (".json", "json")])
def test_mocs_read_back(tmp_path, suffix, kind):
    moc = MOC.from_string("5/17 20-30")
    moc.save(tmp_path / f"area{suffix}", format=kind)
    assert footprint.read_moc(tmp_path / f"area{suffix}") == moc


@pytest.mark.parametrize("name", ["none.fits", "text.fits", "text.json"])
def test_files_that_are_no_moc(tmp_path, name):
    if name.startswith("text"):
        (tmp_path / name).write_text("ra,dec\n1,2\n")
    with pytest.raises(InputError, match=rf"{name}: cannot be read as a MOC"):
        footprint.read_moc(tmp_path / name)


def test_sky_cells_are_enough_and_not_too_many():
    rng = np.random.default_rng(4)
    for spread in (0.3, 5, 180):
        ra = rng.uniform(0, 2 * spread, 2000)
        cell, nside = footprint.sky_cells(ra, rng.uniform(0, min(spread, 90), 2000))
        assert 20 <= len(np.unique(cell)) <= 100
        assert cell.shape == (2000,)
        assert 1 <= nside <= 8192
    assert nside == 2
    cell, nside = footprint.sky_cells([10.0, 10.0], [5.0, 5.0])
    assert nside == 8192
    assert cell[0] == cell[1]
    assert footprint.sky_cells([], [])[0].shape == (0,)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("ra", "dec"), [(150, 2), (0, -30), (45, 90)])
def test_field_positions_are_those_of_the_pixels(make_wcs, ra, dec, flip):
    wcs = make_wcs(shape=(120, 90), scale=3.0, ra=ra, dec=dec, rotation=33)
    if flip:
        wcs.wcs.cd = wcs.wcs.cd * [-1, 1]
        wcs.wcs.set()
    x, y = np.random.default_rng(2).uniform(-50, 150, (2, 50))
    sky = wcs.pixel_to_world(x, y)
    at = fieldgeometry.field_positions(corners_of(wcs, (120, 90)), sky.ra.deg, sky.dec.deg)
    np.testing.assert_allclose(at, [3 * (x - 44.5), 3 * (y - 59.5)], atol=1e-6)


def test_positions_behind_the_field_are_nan(make_wcs):
    x, y = fieldgeometry.field_positions(square(make_wcs, 1, 150, 2), [330.0], [-2.0])
    assert np.isnan([x, y]).all()


def test_the_field_of_each_position(make_wcs):
    fields = [square(make_wcs, 0.2, ra, 1, 0) for ra in (359.95, 0.05, 90)]
    ra, dec = np.array([359.9, 359.99, 0.02, 45, 90.09]), np.array([1, 1, 1.05, 1, 1.09])
    field, x, y = fieldgeometry.nearest_field(fields, ra, dec)
    assert field.tolist() == [0, 0, 1, -1, 2]
    assert np.isnan([x[3], y[3]]).all()
    np.testing.assert_allclose(x[[0, 1]], [180, -144], atol=0.2)
    rows, both, *_ = fieldgeometry.fields_containing(fields, ra, dec)
    assert sorted(zip(rows.tolist(), both.tolist(), strict=True)) == [
        (0, 0),
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
        (4, 2),
    ]


def test_no_fields_and_no_positions(make_wcs):
    field, x, _ = fieldgeometry.nearest_field([], np.array([1.0]), np.array([2.0]))
    assert field.tolist() == [-1]
    assert np.isnan(x[0])
    field, *_ = fieldgeometry.nearest_field([square(make_wcs, 1, 1, 2)], *np.empty((2, 0)))
    assert field.shape == (0,)


def test_many_fields_are_a_little_coarser(make_wcs):
    fields = [square(make_wcs, 0.02, ra, 1) for ra in np.linspace(10, 60, 501)]
    area = footprint.area_deg2(footprint.footprint_moc(fields)).value
    assert 1 <= area / sum(map(polygon_area, fields)) < 1.03
