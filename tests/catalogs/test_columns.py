"""Positions and numbers of a table, and the rows that are set aside."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

from astro_objdet.catalogs.columns import (
    ColumnValues,
    SkyPositions,
    numeric_values,
    redshift_values,
    sky_positions,
)
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.errors import InputError


class TestAngles:
    @pytest.mark.parametrize(
        ("unit", "factor"),
        [(u.rad, 180 / np.pi), (u.hourangle, 15), (u.hour, 15), (u.arcmin, 1 / 60), ("degrees", 1)],
    )
    def test_units(self, unit, factor):
        table = Table({"ra": Column([0.5, 1.0], unit=u.Unit(unit, parse_strict="silent"))})
        table["dec"] = Column([0.5, 1.0], unit=u.deg)
        np.testing.assert_allclose(sky_positions(table).ra, [0.5 * factor, factor], rtol=1e-15)

    def test_units_that_are_no_angles(self):
        with pytest.raises(InputError, match="left table: column 'ra' must be an angle, .*'Jy'"):
            sky_positions(Table({"ra": [1] * u.Jy, "dec": [1.0]}))
        with pytest.raises(InputError, match="column 'dec' must be an angle, got the unit 'h'"):
            sky_positions(Table({"ra": [1.0], "dec": [1] * u.hour}))

    def test_quantities(self):
        table = QTable({"ra": [1, 2] * u.hourangle, "dec": Masked([1, 2] * u.deg, mask=[0, 1])})
        found = sky_positions(table)
        assert found.usable.tolist() == [True, False]
        assert found.ra[0] == 15

    @pytest.mark.parametrize(
        ("ra", "dec", "expected"),
        [
            ("12:34:56.7", "-00:30:36", (188.73625, -0.51)),
            ("12h34m56.7s", "-00d30m36s", (188.73625, -0.51)),
            ("12 34 56.7", "+45 30", (188.73625, 45.5)),
            ("12:34:57", "\u22125\u00b030'36\"", (188.7375, -5.51)),
            ("188d30m", "5.25", (188.5, 5.25)),
            ("188.5", "-5:59:60", (188.5, -6.0)),
        ],
    )
    def test_sexagesimal(self, ra, dec, expected):
        for kind in (str, bytes, object):
            texts = [[text.encode()] if kind is bytes else [text] for text in (ra, dec)]
            if kind is bytes and not (ra + dec).isascii():
                continue
            table = Table({"ra": np.array(texts[0], dtype=kind), "dec": np.array(texts[1])})
            found = sky_positions(table)
            np.testing.assert_allclose([found.ra[0], found.dec[0]], expected, rtol=1e-14)

    def test_units_of_text(self):
        table = Table({"ra": ["12:30:00", "1.5"], "dec": ["1", "2"]})
        table["ra"].unit = u.hourangle
        np.testing.assert_allclose(sky_positions(table).ra, [187.5, 22.5])
        table["ra"].unit = u.deg
        np.testing.assert_allclose(sky_positions(table).ra, [12.5, 1.5])
        table["ra"].unit = u.Unit('"h:m:s"', parse_strict="silent")
        np.testing.assert_allclose(sky_positions(table["ra", "dec"][:1]).ra, [187.5])

    @pytest.mark.parametrize("text", ["abc", "12:61:00", "12:30:61", "1:2:3:4", "h"])
    def test_text_that_is_no_angle(self, text):
        with pytest.raises(
            InputError, match=f"column 'ra' must hold angles, got '{text}' in row 1"
        ):
            sky_positions(Table({"ra": ["1", text], "dec": ["1", "2"]}))

    def test_hours_in_a_latitude(self):
        with pytest.raises(InputError, match="column 'dec' is a latitude, got hours, '5h30m'"):
            sky_positions(Table({"ra": ["1"], "dec": ["5h30m"]}))

    def test_missing_text(self):
        table = Table({"ra": ["", "--", "12:00:00", "null"], "dec": ["1", "2", "3", "4"]})
        assert sky_positions(table).usable.tolist() == [False, False, True, False]

    def test_wrapped(self):
        table = Table({"ra": [-1.0, 360, 725, -1e-20, 359.5], "dec": np.zeros(5)})
        np.testing.assert_array_equal(sky_positions(table).ra, [359, 0, 5, 0, 359.5])


class TestRowsSetAside:
    def test_positions(self):
        table = Table(
            {
                "ra": MaskedColumn([1, 2, np.nan, np.inf, 5, 6, 7], mask=[0, 1, 0, 0, 0, 0, 0]),
                "dec": [0, 0, 0, 0, 90.5, -np.inf, -90],
            }
        )
        found = sky_positions(table)
        assert isinstance(found, SkyPositions)
        assert found.reason.tolist() == [
            "",
            "position masked",
            "position is NaN or infinite",
            "position is NaN or infinite",
            "|dec| > 90",
            "position is NaN or infinite",
            "",
        ]
        np.testing.assert_array_equal(found.usable, found.reason == "")
        np.testing.assert_array_equal(np.isnan(found.ra), ~found.usable)
        np.testing.assert_array_equal(np.isnan(found.dec), ~found.usable)
        assert table["dec"][4] == 90.5

    def test_in_another_frame(self):
        table = Table({"glon": [10.0, np.nan, 30], "glat": [0.0, 1, 95]})
        found = sky_positions(table)
        assert found.usable.tolist() == [True, False, False]
        assert np.isnan(found.ra).tolist() == [False, True, True]

    def test_redshifts(self):
        table = Table(
            {"z": MaskedColumn([0.1, 0.2, np.nan, -1, 0, np.inf], mask=[0, 1, 0, 0, 0, 0])}
        )
        found = redshift_values(table)
        assert isinstance(found, ColumnValues)
        assert (found.name, found.unit) == ("z", None)
        assert found.reason.tolist() == [
            "",
            "redshift masked",
            "redshift is NaN or infinite",
            "redshift is 0 or negative",
            "redshift is 0 or negative",
            "redshift is NaN or infinite",
        ]
        np.testing.assert_array_equal(found.values, [0.1, *[np.nan] * 5])

    def test_numbers(self):
        table = QTable({"r200": Masked([1, 0, 3] * u.Mpc, mask=[0, 0, 1]), "n": [1, 2, 3]})
        found = numeric_values(table, "r200")
        assert (found.unit, found.values.tolist()[:2]) == (u.Mpc, [1, 0])
        assert found.reason.tolist() == ["", "", "r200 masked"]
        assert numeric_values(table, "r200", positive=True).reason[1] == "r200 is 0 or negative"
        assert numeric_values(table, "n").values.dtype == np.float64

    def test_what_is_no_number(self):
        table = Table({"name": ["a"], "pz": [[1.0, 2.0]], "good": [True]})
        for name in table.colnames:
            with pytest.raises(InputError, match=f"right table: column '{name}' must hold one num"):
                numeric_values(table, name, side="right")
        with pytest.raises(
            InputError, match=r"no column 'nam' \(did you mean name\?\); it has name"
        ):
            numeric_values(table, "nam")

    def test_empty(self):
        table = Table({"ra": np.zeros(0), "dec": np.zeros(0), "z": np.zeros(0)})
        found = sky_positions(table)
        assert len(found.ra) == len(found.usable) == len(found.reason) == 0
        assert len(redshift_values(table).values) == 0
        with pytest.raises(InputError, match="among no columns at all"):
            sky_positions(Table())


class TestHours:
    @pytest.fixture
    def hours(self):
        rng = np.random.default_rng(3)
        return Table({"ra": rng.uniform(0, 24, 50), "dec": rng.uniform(-80, 80, 50)})

    def test_warning(self, hours):
        with pytest.warns(
            UserWarning, match="right table: column 'ra' is read as degrees.*hourang"
        ):
            sky_positions(hours, side="right")
        hours["ra"].unit = u.deg
        with pytest.warns(UserWarning, match="as if they were hours"):
            sky_positions(hours)

    def test_no_warning(self, hours):
        sky_positions(hours[:10])
        sky_positions(hours, frame="galactic")
        narrow = hours.copy()
        narrow["dec"] /= 10
        sky_positions(narrow)
        hours["ra"].unit = u.hourangle
        assert sky_positions(hours).ra.max() > 100


@pytest.mark.parametrize(
    ("file", "position", "redshift", "rows", "known"),
    [
        ("redmapper_dr8_public_v5.10_catalog", ("RA", "DEC"), "Z_LAMBDA", 26350, 26350),
        ("abell-all", ("ra", "dec"), "z", 5250, 822),
        ("E-D56Clusters", ("RADeg", "decDeg"), "z", 182, 182),
    ],
)
def test_real_catalogues(sample_data, file, position, redshift, rows, known):
    table = read_table(sample_data / "catalogs" / f"{file}.fits")
    found, z = sky_positions(table), redshift_values(table)
    assert (found.columns, found.usable.sum()) == (position, rows)
    assert (z.name, z.usable.sum()) == (redshift, known)
    np.testing.assert_array_equal(found.ra, table[position[0]])
