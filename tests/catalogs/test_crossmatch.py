"""Cross-matching tables: joins, reasons, redshift windows, chance, bad rows."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table

from astro_objdet.catalogs import Detections
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.crossmatch import FIND, JOIN, crossmatch
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.errors import InputError


def table(ra, dec, **columns):
    return Table({"ra": np.array(ra, float), "dec": np.array(dec, float), **columns})


@pytest.fixture
def left():
    # along the equator and across RA 0; the last one is far from all
    return table(
        [359.999, 0.010, 0.020, 90.0],
        [0, 0, 0, 0],
        name=["a", "b", "c", "d"],
        z=[0.10, 0.20, 0.30, 0.40],
        score=[0.9, 0.8, 0.7, 0.6],
    )


@pytest.fixture
def right():
    return table(
        [0.001, 0.011, 0.0195, 180.0],
        [0, 0, 0, 0],
        name=["A", "B", "C", "D"],
        z=[0.11, 0.50, 0.30, 0.40],
        count=[1, 2, 3, 4],
    )


def names(matched):
    return list(zip(matched["name_1"].tolist(), matched["name_2"].tolist(), strict=True))


def test_best_across_ra_zero(left, right):
    matched = crossmatch(left, right, 10 * u.arcsec)
    assert names(matched) == [("a", "A"), ("b", "B"), ("c", "C")]
    np.testing.assert_allclose(matched["separation"].to_value(u.arcsec), [7.2, 3.6, 1.8])
    assert matched.colnames[:5] == ["ra_1", "dec_1", "name_1", "z_1", "score"]
    assert "separation_kpc" not in matched.colnames


def test_all_pairs_and_their_groups(left, right):
    matched = crossmatch(left, right, "40 arcsec", find="all")
    assert names(matched) == [
        ("a", "A"), ("b", "A"), ("b", "B"), ("b", "C"), ("c", "B"), ("c", "C"),
    ]  # fmt: skip
    assert matched["group_id"].tolist() == [1] * 6
    assert matched["group_size"].tolist() == [6] * 6


@pytest.mark.parametrize(
    ("find", "expected"),
    [
        ("best1", [("a", "A"), ("b", "B"), ("c", "C")]),
        ("best2", [("a", "A"), ("b", "B"), ("c", "C")]),
    ],
)
def test_best_of_each_row(left, right, find, expected):
    assert names(crossmatch(left, right, "40 arcsec", find=find)) == expected


def test_best_of_each_row_may_share_a_partner(left, right):
    one = right[1:2]
    assert names(crossmatch(left, one, "40 arcsec", find="best1")) == [("b", "B"), ("c", "B")]
    assert names(crossmatch(left, one, "40 arcsec", find="best")) == [("b", "B")]


def test_best_by_a_column(left, right):
    one = right[1:2]
    by = {"find": "best", "redshift": None}
    assert names(crossmatch(left, one, "40 arcsec", best_by="score", **by)) == [("b", "B")]
    assert names(crossmatch(left, one, "40 arcsec", best_by="-score", **by)) == [("c", "B")]
    assert names(crossmatch(left, one, "40 arcsec", best_by="left.z", **by)) == [("c", "B")]


def test_best_by_the_fraction_of_the_radius():
    left = table([0.0, 0.006], [0, 0], name=["near", "wide"], r=[5, 60] * u.arcsec)
    right = table([0.001], [0], name=["x"])
    assert names(crossmatch(left, right, "r"))[0][0] == "near"
    relative = crossmatch(left, right, "r", best_by="separation/radius")
    # 3.6 arcsec of 5, and 18 of 60
    assert names(relative)[0][0] == "wide"


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ("1and2", ["aA", "bB"]),
        ("1or2", ["aA", "bB", "c", "d", "C", "D"]),
        ("all1", ["aA", "bB", "c", "d"]),
        ("all2", ["aA", "bB", "C", "D"]),
        ("1xor2", ["c", "d", "C", "D"]),
    ],
)
def test_joins(left, right, join, expected):
    right["dec"][2] = 1.0
    matched = crossmatch(left, right, 10 * u.arcsec, join=join)
    columns = [np.ma.asarray(matched[name]).filled("") for name in ("name_1", "name_2")]
    assert [f"{a}{b}" for a, b in zip(*columns, strict=True)] == expected


@pytest.mark.parametrize(("join", "expected"), [("1not2", ["c", "d"]), ("2not1", ["C", "D"])])
def test_joins_of_one_table_have_its_columns_only(left, right, join, expected):
    right["dec"][2] = 1.0
    matched = crossmatch(left, right, 10 * u.arcsec, join=join)
    assert matched["name"].tolist() == expected
    assert ("score" in matched.colnames) == (join == "1not2")
    assert matched["match_status"].tolist() == ["unmatched"] * 2


def test_what_stands_for_nothing(left, right):
    matched = crossmatch(left, right, 10 * u.arcsec, join="1or2")
    alone = matched[-1]
    assert np.ma.is_masked(alone["name_1"])
    assert np.isnan(alone["ra_1"])
    assert np.isnan(alone["separation"].value)
    assert np.ma.is_masked(matched["count"][3])
    assert matched["count"].dtype.kind == "i"
    assert np.ma.is_masked(matched["group_id"][3])


def test_a_masked_column_is_masked_where_there_is_nothing(left, right):
    right["z"] = MaskedColumn(right["z"], mask=[True, False, False, False])
    right["dec"][1] = 5
    matched = crossmatch(left, right, 10 * u.arcsec, join="all1")
    assert matched["z_2"].mask.tolist() == [True, True, False, True]


def test_columns_of_angles_and_coordinates(left, right):
    right = QTable(right)
    where = SkyCoord(right["ra"], right["dec"], unit="deg")
    right["lon"], right["where"] = where.ra, where
    right["lon"].info.description = "of the place"
    left["dec"][0] = 5
    options = {"right_columns": ("ra", "dec"), "join": "all1"}
    matched = crossmatch(left, right, 10 * u.arcsec, **options)
    assert np.isnan(matched["lon"][0].value)
    assert matched["lon"].unit == u.deg
    assert matched["lon"].info.description == "of the place"
    assert matched["where"][1].ra.deg == right["ra"][1]
    assert np.all(matched["where"].mask == [True, False, False, True])


def test_reasons_of_the_unmatched():
    left = table([10, 20, 30, 40, 50], [0] * 5, z=[0.1, 0.2, np.nan, 0.3, 0.3])
    right = table([10.001, 20.001, 30.001, 40.002, 40.001], [0] * 5, z=[0.5, 0.2, 0.2, 0.3, 0.3])
    matched = crossmatch(
        left, right, 10 * u.arcsec, max_dz=0.05, missing_redshift="reject", join="1or2"
    )
    status, reason = matched["match_status"].tolist(), matched["match_reason"].tolist()
    assert (
        status == ["unmatched", "matched", "unmatched", "matched", "unmatched"] + ["unmatched"] * 3
    )
    assert reason == [
        "redshifts differ",
        "",
        "a redshift is missing",
        "",
        "nothing within the radius",
        "redshifts differ",
        "a redshift is missing",
        "its candidates have better matches",
    ]
    assert matched["nearest_row"][[0, 2, 4]].tolist() == [0, 2, 3]
    np.testing.assert_allclose(matched["nearest_separation"][0].to_value(u.arcsec), 3.6)
    np.testing.assert_allclose(matched["nearest_separation"][4].to_value(u.deg), 9.998)
    assert np.ma.is_masked(matched["nearest_row"][1])


def test_rows_without_a_position_are_set_aside(left, right):
    left["dec"][0] = 91
    left["ra"][1] = np.nan
    left = Table(left, masked=True)
    left["ra"].mask[2] = True
    matched = crossmatch(left, right, 10 * u.arcsec, join="all1")
    assert matched["match_status"].tolist() == ["set aside"] * 3 + ["unmatched"]
    assert all(matched["match_reason"].tolist())
    assert sum(matched.meta["crossmatch"]["left"]["set_aside"].values()) == 3
    assert matched.meta["crossmatch"]["pairs"] == 0


@pytest.mark.parametrize("radius", ["100 kpc", 100 * u.kpc, 0.1 * u.Mpc])
@pytest.mark.parametrize("redshift", ["left.z", "right.z", 0.11])
def test_lengths(left, right, radius, redshift):
    matched = crossmatch(left, right, radius, redshift=redshift, find="all")
    z = redshift if redshift == 0.11 else matched["z_1" if "left" in redshift else "z_2"]
    expected = matched["separation"].value * kpc_per_arcsec(np.asarray(z))
    np.testing.assert_allclose(matched["separation_kpc"].to_value(u.kpc), expected)
    assert matched["separation_kpc"].max() <= 100 * u.kpc
    everything = crossmatch(left, right, 1 * u.deg, redshift=redshift, find="all")
    assert len(matched) == (everything["separation_kpc"] <= 100 * u.kpc).sum() > 3
    assert matched.meta["crossmatch"]["cosmology"]["H0"] == 71


def test_a_row_without_a_redshift_has_no_length(left, right):
    right["z"] = MaskedColumn(right["z"], mask=[True, False, False, False])
    right["z"][1] = -1
    matched = crossmatch(left, right, "100 kpc", redshift="right.z", join="all2")
    aside = matched.meta["crossmatch"]["right"]["set_aside"]
    assert aside == {"redshift masked": 1, "redshift is 0 or negative": 1}
    # With an angle it only has no kiloparsecs.
    matched = crossmatch(left, right, "10 arcsec", redshift="right.z")
    assert np.isnan(matched["separation_kpc"].value).tolist() == [True, True, False]


def test_cosmology_is_used_and_recorded(left, right):
    ours = crossmatch(left, right, "100 kpc", redshift="left.z")
    other = crossmatch(left, right, "100 kpc", redshift="left.z", cosmology="H0=35.5,Om0=0.27")
    same = np.isin(ours["name_1"], other["name_1"])
    np.testing.assert_allclose(
        2 * ours["separation_kpc"][same].value, other["separation_kpc"].value
    )
    assert other.meta["crossmatch"]["cosmology"]["H0"] == 35.5


def test_the_papers_radius_of_clumps(left, right):
    right["psf_fwhm"] = [10, 4.8, 2, 1] * u.arcsec
    matched = crossmatch(left, right, "0.75 psf_fwhm")
    # 7.2 of 7.5 arcsec, 3.6 of 3.6, 1.8 of 1.5
    assert names(matched) in ([("a", "A")], [("a", "A"), ("b", "B")])


@pytest.mark.parametrize("find", FIND)
def test_the_same_whichever_table_is_left(left, right, find):
    swapped = {"best1": "best2", "best2": "best1"}.get(find, find)
    there = crossmatch(left, right, "40 arcsec", find=find)
    back = crossmatch(right, left, "40 arcsec", find=swapped)
    assert sorted(names(there)) == sorted((b, a) for a, b in names(back))


@pytest.mark.parametrize("frame", ["galactic", "fk4", "barycentrictrueecliptic"])
def test_other_frames(left, right, frame):
    turned = SkyCoord(left["ra"], left["dec"], unit="deg").transform_to(frame)
    moved = left.copy()
    moved["ra"], moved["dec"] = turned.spherical.lon.deg, turned.spherical.lat.deg
    matched = crossmatch(moved, right, "10 arcsec", left_frame=frame)
    assert names(matched) == [("a", "A"), ("b", "B"), ("c", "C")]
    np.testing.assert_allclose(matched["separation"].value, [7.2, 3.6, 1.8], atol=1e-3)


@pytest.mark.parametrize("join", JOIN)
@pytest.mark.parametrize("empty", ["left", "right", "both"])
def test_empty_tables(left, right, empty, join):
    full = crossmatch(left, right, "100 kpc", redshift="left.z", join=join, chance=2)
    left = left[:0] if empty in ("left", "both") else left
    right = right[:0] if empty in ("right", "both") else right
    matched = crossmatch(left, right, "100 kpc", redshift="left.z", join=join, chance=2)
    assert matched.colnames == full.colnames
    assert matched.meta["crossmatch"]["pairs"] == 0
    for name in ("separation", "separation_kpc"):
        assert matched[name].unit == full[name].unit


def test_empty_detections_match_nothing(right):
    found = Detections.from_boxes(np.empty((0, 4)), [], [])
    matched = crossmatch(found, right, "100 kpc", redshift="z", join="1or2")
    assert len(matched) == len(right)
    assert set(matched["match_reason"]) == {"the other table has no usable row"}


def test_detections_keep_their_provenance(right, tan_wcs):
    boxes = [[10, 10, 40, 40]]
    found = Detections.from_boxes(boxes, [0.9], ["cluster"], wcs=tan_wcs, meta={"detector": "x"})
    right["ra"], right["dec"] = found["ra"][0], found["dec"][0]
    matched = crossmatch(found, right, "100 kpc", redshift="z")
    assert len(matched) == 1
    assert matched.meta["left"]["detector"] == "x"
    assert matched["width"].unit == u.arcsec


def test_chance_matches_are_those_of_unrelated_skies():
    rng = np.random.default_rng(3)

    def sky(count):
        return table(rng.uniform(0, 10, count), rng.uniform(-5, 5, count))

    left, right = sky(2000), sky(1500)
    # 10x10 deg, 60 arcsec, all pairs: n m pi r^2 / A
    expected = 2000 * 1500 * np.pi * (60 / 3600) ** 2 / 100
    chance = crossmatch(left, right, "60 arcsec", find="all", chance=10).meta["crossmatch"][
        "chance"
    ]
    assert chance["trials"] == 10
    assert len(chance["counts"]) == 10
    assert chance["matches"] == pytest.approx(expected, rel=0.15)
    assert chance["low"] < expected < chance["high"] * 1.1
    assert chance["low"] < chance["matches"] < chance["high"]


@pytest.mark.parametrize(("radius", "known"), [("100 kpc", True), ("1 Mpc", False)])
def test_chance_in_a_field_as_small_as_the_radius(radius, known):
    # 13 arcmin, as an image has; 100 kpc at z = 0.1 are 0.9 arcmin, 1 Mpc 9 arcmin.
    rng = np.random.default_rng(5)
    left, right = (
        table(150 + rng.uniform(-6.5, 6.5, 60) / 60, rng.uniform(-6.5, 6.5, 60) / 60)
        for _ in range(2)
    )
    matched = crossmatch(left, right, radius, redshift=0.1, chance=8)
    chance = matched.meta["crossmatch"]["chance"]
    # All of them are chance.
    assert ("matches" in chance) == known
    if known:
        assert chance["matches"] == pytest.approx(len(matched), rel=0.35)
    else:
        assert chance["share"] < 0.8


def test_names_of_one_table_may_differ_in_case(left, right):
    left["B"], left["b"] = 1.0, 2.0
    matched = crossmatch(left, right, "10 arcsec")
    assert {"B", "b"} <= set(matched.colnames)
    right["b"] = 3.0
    matched = crossmatch(left, right, "10 arcsec")
    assert {"B_1", "b_1", "b_2"} <= set(matched.colnames)
    left["name_2"] = "x"
    with pytest.raises(InputError, match="'name' becomes 'name_2', which is there already"):
        crossmatch(left, right, "10 arcsec")


def test_quantities_of_integers_and_magnitudes_in_an_outer_join(left, right):
    right = QTable(right)
    right["counts"] = u.Quantity([1, 2, 3, 4], u.ct, dtype=int)
    right["mag"] = [20.0, 21.0, 22.0, 23.0] * u.ABmag
    matched = crossmatch(left, right, "10 arcsec", join="all1")
    assert np.isnan(matched["counts"].value).tolist() == [False, False, False, True]
    assert np.isnan(matched["mag"].value).tolist() == [False, False, False, True]
    assert matched["mag"].unit == u.ABmag


def test_a_column_of_coordinates_by_its_name(left, right):
    left = QTable(left)
    left["here"] = SkyCoord(left["ra"], left["dec"], unit="deg")
    left["there"] = SkyCoord(left["ra"] + 20, left["dec"], unit="deg")
    with pytest.raises(InputError, match="positions could be here or there"):
        crossmatch(left, right, "10 arcsec")
    assert len(crossmatch(left, right, "10 arcsec", left_columns="here")) == 3
    assert len(crossmatch(left, right, "10 arcsec", left_columns=("there",))) == 0
    with pytest.raises(InputError, match="left_columns must be two names"):
        crossmatch(left, right, "10 arcsec", left_columns=("a", "b", "c"))
    with pytest.raises(InputError, match="left_columns must be two names"):
        crossmatch(left, right, "10 arcsec", left_columns=3)
    with pytest.raises(InputError, match="'ra' is no column of coordinates; .* latitude"):
        crossmatch(left, right, "10 arcsec", left_columns="ra")


@pytest.mark.parametrize(
    "options",
    [
        {"dz": "relative"},
        {"missing_redshift": "accept"},
        {"left_redshift": "z"},
        {"right_redshift_error": "z"},
    ],
)
def test_what_only_max_dz_uses_is_refused_without_it(left, right, options):
    with pytest.raises(InputError, match="give max_dz too"):
        crossmatch(left, right, "10 arcsec", **options)


def test_errors_below_zero_are_none(left, right):
    left["z_err"], right["z_err"] = [-1.0, 0.01, 0.0, 0.01], 0.0
    with pytest.raises(InputError, match="1 of 4 rows of the left table have no usable 'z_err'"):
        crossmatch(left, right, "10 arcsec", max_dz=3, dz="sigma")
    options = {"max_dz": 3, "dz": "sigma", "missing_redshift": "reject"}
    # c and C have the same redshift and errors of 0.
    assert names(crossmatch(left, right, "10 arcsec", **options)) == [("c", "C")]


def test_the_error_is_that_of_the_redshift(left, right):
    left.rename_column("z", "zspec")
    left["redshift"], left["redshift_err"], left["sigma_zspec"] = 0.1, 9.0, 0.01
    right["z_err"] = 0.01
    options = {"max_dz": 3, "dz": "sigma", "left_redshift": "zspec"}
    record = crossmatch(left, right, "10 arcsec", **options).meta["crossmatch"]
    assert record["left"]["redshift_error"] == "sigma_zspec"


def test_a_velocity_is_no_redshift(left, right):
    right["z"].unit = "km/s"
    with pytest.raises(InputError, match="column 'z' must hold redshifts.*got km / s"):
        crossmatch(left, right, "100 kpc", redshift="right.z")


def test_an_angle_of_one_table_and_a_redshift_of_the_other(left, right):
    left["psf_fwhm"] = 10 * u.arcsec
    matched = crossmatch(left, right, "psf_fwhm", redshift="right.z")
    expected = matched["separation"].value * kpc_per_arcsec(np.asarray(matched["z_2"]))
    np.testing.assert_allclose(matched["separation_kpc"].value, expected)
    left["r200"] = 1 * u.Mpc
    with pytest.raises(InputError, match="a length and its redshift must be of one row"):
        crossmatch(left, right, "r200", redshift="right.z")


def test_names_that_clash_whatever_their_case(left, right):
    right.rename_column("ra", "RA")
    right.rename_column("dec", "DEC")
    right["separation"] = 1.0
    matched = crossmatch(left, right, "10 arcsec", suffixes=("_a", "_b"))
    assert {"ra_a", "RA_b", "DEC_b", "separation_b", "separation"} <= set(matched.colnames)
    assert matched["separation_b"].tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("radius", "options", "match"),
    [
        ("100 kpc", {}, "which needs a redshift: give redshift"),
        ("30 Jy", {}, "radius must be an angle or a length, got unit 'Jy'"),
        ("1 R200", {}, "radius: 'R200' is no unit and no column of either table; left has ra, dec"),
        ("100 kpc", {"redshift": "zz"}, "redshift: 'zz' is no column of either table"),
        ("100 kpc", {"redshift": "z"}, "both tables have a column 'z'; write left.z or right.z"),
        ("100 kpc", {"redshift": -1}, "redshift must be a finite number above 0, got -1"),
        ("score", {}, "column 'score' of the left table has no unit"),
        ("9 arcsec", {"find": "closest"}, "find must be one of 'all', 'best'"),
        ("9 arcsec", {"join": "left"}, "join must be one of"),
        ("9 arcsec", {"best_by": "name"}, "name"),
        ("9 arcsec", {"best_by": "flux"}, "best_by: 'flux' is no column of either table"),
        ("9 arcsec", {"chance": -1}, "chance must be an integer not below 0"),
        ("9 arcsec", {"suffixes": ("_1", "_1")}, "suffixes must be two different"),
        ("9 arcsec", {"max_dz": 0.1, "dz": "percent"}, "dz must be one of"),
        ("9 arcsec", {"max_dz": -0.1}, "max_dz must be a finite number above 0"),
        ("9 arcsec", {"max_dz": 0.1, "left_redshift": "zz"}, "zz"),
        ("9 arcsec", {"max_dz": 3, "dz": "sigma"}, "name the column by left_redshift_error"),
        ("nan arcsec", {}, "radius must be a finite number above 0, got nan"),
        ("200 deg", {}, "radius must be at most 180 deg"),
        ("score", {"radius_unit": "foo"}, "radius_unit must be an angle or a length"),
        ("9 arcsec", {"suffixes": None}, "suffixes must be two different texts"),
        ("9 arcsec", {"best_by": None}, "best_by must be"),
        ("9 arcsec", {"left_columns": ("x", "y")}, "x"),
        ("9 arcsec", {"left_frame": "nowhere"}, "frame"),
    ],
)
def test_bad_parameters_are_named(left, right, radius, options, match):
    left["name"] = ["a", "b", "c", "d"]
    if options.get("best_by") == "name":
        right.rename_column("name", "label")
    with pytest.raises(InputError, match=match):
        crossmatch(left, right, radius, **options)


def test_no_redshift_to_compare(left, right):
    left.remove_column("z")
    with pytest.raises(InputError, match="max_dz: no redshift was found in the left table"):
        crossmatch(left, right, "9 arcsec", max_dz=0.1)


def test_what_is_no_table_is_refused(left):
    with pytest.raises(InputError, match="right must be an astropy Table, got list"):
        crossmatch(left, [], "9 arcsec")


def test_sigma_uses_the_errors_named_after_the_redshifts(left, right):
    left["z_err"], right["e_z"] = 0.01, 0.02
    matched = crossmatch(left, right, "10 arcsec", max_dz=1, dz="sigma")
    assert names(matched) == [("a", "A"), ("c", "C")]
    np.testing.assert_allclose(matched["delta_z"], [-0.01, 0], atol=1e-12)


def test_inputs_are_left_as_they_were(left, right):
    before = left.copy(), right.copy()
    crossmatch(left, right, "100 kpc", redshift="left.z", join="1or2", max_dz=0.1)
    for table_, copy in zip((left, right), before, strict=True):
        assert (table_ == copy).all()


@pytest.mark.parametrize("kind", [Table, QTable])
def test_tables_and_qtables_give_the_same(left, right, kind):
    left["width"] = [1, 2, 3, 4] * u.arcsec
    plain = crossmatch(left, right, "10 arcsec", join="1or2")
    other = crossmatch(kind(left), kind(right), "10 arcsec", join="1or2")
    assert plain.colnames == other.colnames
    assert plain["width"].unit == other["width"].unit == u.arcsec
    np.testing.assert_array_equal(plain["width"].value, other["width"].value)


def test_redmapper_and_abell(sample_data):
    redmapper, abell = (
        read_table(sample_data / "catalogs" / name)
        for name in ("redmapper_dr8_public_v5.10_catalog.fits", "abell-all.fits")
    )
    matched = crossmatch(redmapper, abell, "1 Mpc", redshift="Z_LAMBDA", join="1or2")
    record = matched.meta["crossmatch"]
    assert record["pairs"] == 1137
    assert len(matched) == len(redmapper) + len(abell) - 1137
    assert len(np.unique(np.asarray(matched["ID"][: len(redmapper)]))) == len(redmapper)
