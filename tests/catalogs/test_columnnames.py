"""Which columns hold what, by UCD and by name."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from astro_objdet.catalogs.columns import guess_column, redshift_values, sky_positions
from astro_objdet.catalogs.columns.frames import known_frame
from astro_objdet.errors import InputError


def named(*names, **units):
    """A table of two rows with these columns."""
    table = Table({name: [1.5, 80.25] for name in names})
    for name, unit in units.items():
        table[name].unit = unit
    return table


def with_ucds(**ucds):
    table = named(*ucds)
    for name, ucd in ucds.items():
        table[name].meta["ucd"] = ucd
    return table


class TestWhichColumns:
    @pytest.mark.parametrize(
        "pair",
        [
            "RA DEC",
            "ra dec",
            "RA_ICRS DE_ICRS",
            "RAJ2000 DEJ2000",
            "RAJ2000 DECJ2000",
            "_RAJ2000 _DEJ2000",
            "RADeg decDeg",
            "RAdeg DEdeg",
            "ra_deg dec_deg",
            "ALPHA_J2000 DELTA_J2000",
            "ALPHAWIN_J2000 DELTAWIN_J2000",
            "XWIN_WORLD YWIN_WORLD",
            "right_ascension declination",
            "RA_TARG DEC_TARG",
            "alpha delta",
        ],
    )
    def test_usual_names(self, pair):
        names = tuple(pair.split())
        found = sky_positions(named("id", *names, "RA_ERR"))
        assert (found.columns, found.frame, found.how) == (names, "icrs", "name")
        np.testing.assert_array_equal(found.ra, [1.5, 80.25])

    @pytest.mark.parametrize(
        "pair", [("RA (deg)", "Dec (deg)"), ("Right Ascension", "Declination")]
    )
    def test_names_with_blanks(self, pair):
        assert sky_positions(named(*pair)).columns == pair

    @pytest.mark.parametrize(
        ("pair", "frame"),
        [
            ("GLON GLAT", "galactic"),
            ("_Glon _Glat", "galactic"),
            ("ELON ELAT", "barycentricmeanecliptic"),
            ("SGL SGB", "supergalactic"),
            ("RAB1950 DEB1950", "fk4"),
        ],
    )
    def test_frames_by_name(self, pair, frame):
        for given in ({}, dict(zip(("ra", "dec"), pair.split(), strict=True))):
            found = sky_positions(named(*pair.split()), **given)
            assert found.frame == frame
            expected = SkyCoord([1.5, 80.25], [1.5, 80.25], unit="deg", frame=frame).icrs
            np.testing.assert_allclose(found.ra, expected.ra.deg, rtol=0, atol=1e-10)
            np.testing.assert_allclose(found.dec, expected.dec.deg, rtol=0, atol=1e-10)

    def test_l_and_b_need_a_unit(self):
        with pytest.raises(
            InputError, match="left table: no columns with positions.* l, b; name the"
        ):
            sky_positions(named("l", "b"))
        found = sky_positions(named("l", "b", l=u.deg, b=u.deg))
        assert (found.frame, found.how) == ("galactic", "unit and name")

    def test_rank(self):
        table = named("BCG_RADeg", "BCG_decDeg", "RADeg", "decDeg", "glon", "glat")
        assert sky_positions(table).columns == ("RADeg", "decDeg")
        assert sky_positions(table["glon", "glat", "BCG_RADeg", "BCG_decDeg"]).frame == "icrs"

    def test_ambiguous(self):
        with pytest.raises(
            InputError,
            match=r"right table: positions could be ra, dec or RA, DEC; .*\(right_columns\)",
        ):
            sky_positions(named("ra", "dec", "RA", "DEC"), side="right")
        with pytest.raises(InputError, match="could be ra_bcg, dec_bcg or bcg_ra, bcg_dec"):
            sky_positions(named("ra_bcg", "dec_bcg", "bcg_ra", "bcg_dec"))

    @pytest.mark.parametrize(
        ("lon", "lat", "frame"),
        [
            ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main", "icrs"),
            ("POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN", "icrs"),
            ("pos.eq.ra", "pos.eq.dec", "icrs"),
            ("pos.galactic.lon", "pos.galactic.lat", "galactic"),
            ("pos.ecliptic.lon;meta.main", "pos.ecliptic.lat;meta.main", "barycentricmeanecliptic"),
        ],
    )
    def test_ucds(self, lon, lat, frame):
        found = sky_positions(with_ucds(ra="meta.note", dec="meta.note", first=lon, second=lat))
        assert (found.columns, found.frame, found.how) == (("first", "second"), frame, "UCD")

    def test_ucds_main_first_and_names_between_equals(self):
        main = {"a": "pos.eq.ra;meta.main", "d": "pos.eq.dec;meta.main"}
        others = {"ra": "pos.eq.ra", "dec": "pos.eq.dec", "e": "stat.error;pos.eq.ra"}
        assert sky_positions(with_ucds(**others, **main)).columns == ("a", "d")
        more = {"ra_x": "pos.eq.ra", "dec_x": "pos.eq.dec"}
        assert sky_positions(with_ucds(**more, **others)).columns == ("ra", "dec")
        with pytest.raises(InputError, match="positions could be p, q or r, s"):
            sky_positions(with_ucds(p="pos.eq.ra", q="pos.eq.dec", r="pos.eq.ra", s="pos.eq.dec"))

    def test_word_of_a_votable(self):
        table = named("RAJ2000", "DEJ2000")
        for name in table.colnames:
            table[name].meta["coosys"] = "galactic"
        assert sky_positions(table).frame == "galactic"

    def test_given(self):
        table = named("x", "y", "ra", "dec")
        found = sky_positions(table, ra="x", dec="y", frame="Galactic")
        assert (found.columns, found.frame, found.how) == (("x", "y"), "galactic", "given")
        with pytest.raises(
            InputError, match="left table: 'x' is no column of coordinates; .* latitude"
        ):
            sky_positions(table, ra="x")
        with pytest.raises(InputError, match="'y' is no column of coordinates; .* longitude"):
            sky_positions(table, dec="y")
        with pytest.raises(InputError, match=r"no column 'R' .*; it has x, y, ra, dec"):
            sky_positions(table, ra="R", dec="dec")
        with pytest.raises(InputError, match=r"no column 'decc' \(did you mean dec\?\)"):
            sky_positions(table, ra="ra", dec="decc")

    def test_frames(self):
        table = named("ra", "dec")
        assert sky_positions(table, frame="B1950").frame == "fk4"
        with pytest.raises(InputError, match=r"frame must be one of altaz, .* icrs, .*got 'moon'"):
            sky_positions(table, frame="moon")
        with pytest.raises(InputError, match="frame altaz needs obstime and location"):
            sky_positions(table, frame="altaz")
        assert known_frame(SkyCoord(1, 2, unit="deg", frame="fk5").frame).name == "fk5"

    def test_coordinates(self):
        coords = SkyCoord([10, 20], [-5, 5], unit="deg", frame="galactic")
        found = sky_positions(QTable({"where": coords, "ra": [1, 2], "dec": [3, 4]}))
        assert (found.columns, found.frame, found.how) == (("where",), "galactic", "SkyCoord")
        np.testing.assert_allclose(found.ra, coords.icrs.ra.deg, rtol=0, atol=1e-12)
        table = QTable({"a": coords, "b": coords})
        assert sky_positions(table, ra="b").columns == ("b",)
        with pytest.raises(InputError, match="positions could be a or b"):
            sky_positions(table)
        with pytest.raises(InputError, match="frame must not be given for the column 'b'"):
            sky_positions(table, ra="b", frame="icrs")

    def test_arrays_are_no_positions(self):
        table = Table({"ra": np.zeros((2, 5)), "dec": np.zeros((2, 5))})
        with pytest.raises(
            InputError, match="no columns with positions were recognised among ra, dec"
        ):
            sky_positions(table)
        with pytest.raises(InputError, match=r"'ra' must hold one angle a row, got shape \(2, 5\)"):
            sky_positions(table, ra="ra", dec="dec")


class TestGuesses:
    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ("ra dec z", "z"),
            ("Redshift z", "Redshift"),
            ("Z_LAMBDA Z_LAMBDA_ERR Z_SPEC", "Z_LAMBDA"),
            ("zspec", "zspec"),
            ("photoz zBCG", "photoz"),
            ("g r i z", None),
            ("g r i z zphot", "zphot"),
            ("name", None),
        ],
    )
    def test_redshift(self, columns, expected):
        assert guess_column(named(*columns.split()), "redshift") == expected

    def test_redshift_by_ucd_and_unit(self):
        table = with_ucds(cz="spect.dopplerVeloc", v="src.redshift", z="src.redshift;meta.main")
        assert guess_column(table, "redshift") == "z"
        assert guess_column(with_ucds(z="phot.mag;em.opt.z"), "redshift") is None
        assert guess_column(named("z", z=u.mag), "redshift") is None
        assert redshift_values(named("x")) is None

    def test_ambiguous_redshift(self):
        table = named("z_spec", "z_phot")
        for guess in (redshift_values, lambda t, **k: guess_column(t, "redshift", **k)):
            with pytest.raises(InputError, match="right table: redshift could be z_spec or z_phot"):
                guess(table, side="right")
        assert redshift_values(table, column="z_phot").name == "z_phot"

    @pytest.mark.parametrize("name", ["z_err", "e_z", "zErr", "sigma_z"])
    def test_error_of_the_redshift(self, name):
        assert guess_column(named("z", "mag_err", name), "redshift_error") == name
        assert guess_column(named("mag_err", name), "redshift_error") is None

    def test_error_of_a_given_redshift(self):
        table = named("Z_SPEC", "Z_SPEC_ERR", "Z_LAMBDA", "Z_LAMBDA_E")
        assert guess_column(table, "redshift_error") == "Z_LAMBDA_E"
        assert guess_column(table, "redshift_error", of="Z_SPEC") == "Z_SPEC_ERR"

    @pytest.mark.parametrize(
        ("kind", "columns", "expected"),
        [
            ("richness", "LAMBDA LAMBDA_ERR", "LAMBDA"),
            ("score", "score", "score"),
            ("magnitude", "g r i z", "i"),
            ("magnitude", "r", None),
            ("magnitude", "mag_g mag_i", "mag_i"),
            ("id", "NAME ID", "ID"),
            ("label", "id label", "label"),
            ("probability", "score probability", "probability"),
        ],
    )
    def test_other_kinds(self, kind, columns, expected):
        assert guess_column(named(*columns.split()), kind) == expected

    def test_not_clear_or_not_there(self):
        table = named("lambda", "lambda_chisq")
        assert guess_column(table, "richness") is None
        with pytest.raises(InputError, match="richness could be lambda or lambda_chisq"):
            guess_column(table, "richness", required=True)
        with pytest.raises(
            InputError, match="no column with the score was recognised among lambda"
        ):
            guess_column(table, "score", required=True)
        with pytest.raises(InputError, match=r"kind must be one of 'id', .*; got 'colour'"):
            guess_column(table, "colour")
