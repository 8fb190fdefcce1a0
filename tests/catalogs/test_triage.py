"""Which detections are known: against astropy's matching, and section 3.2 of Chan & Stott."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import MaskedColumn, QTable, Table

from astro_objdet.catalogs.cosmology import PAPER_COSMOLOGY, kpc_per_arcsec
from astro_objdet.catalogs.reference import load_catalogue
from astro_objdet.catalogs.tables.files import read_table, write_table
from astro_objdet.catalogs.triage import triage
from astro_objdet.errors import InputError

NEW_COLUMNS = ("known_in_{}", "{}_id", "{}_separation", "{}_separation_kpc", "{}_redshift")


def catalogue(ra, dec, redshift=None, name="C"):
    table = QTable({"id": [f"{name}{row}" for row in range(len(ra))]})
    table["ra"], table["dec"] = np.asarray(ra, float) * u.deg, np.asarray(dec, float) * u.deg
    if redshift is not None:
        values = np.asarray(redshift, float)
        table["redshift"] = MaskedColumn(np.nan_to_num(values), mask=np.isnan(values))
    return table


def detections(ra, dec):
    position = {"ra": np.asarray(ra, float) * u.deg, "dec": np.asarray(dec, float) * u.deg}
    return QTable(position | {"score": np.linspace(1, 0.5, len(ra))})


def offset(ra, dec, arcsec, angle=0):
    moved = SkyCoord(ra, dec, unit="deg").directional_offset_by(angle * u.deg, arcsec * u.arcsec)
    return moved.ra.deg, moved.dec.deg


def test_the_radius_of_the_paper():
    # "~1.61 arcminute radius ... optical mean core radii of 250 kpc ... at redshift z = 0.15"
    assert 1.61 * 60 * kpc_per_arcsec(0.15, PAPER_COSMOLOGY) == pytest.approx(250, abs=0.5)


def test_section_3_2_of_the_paper():
    """Eight candidates: none in redMaPPer, three in Wen et al., five new."""
    ra, dec = np.linspace(150, 164, 8), np.linspace(0, 14, 8)
    found = detections(ra, dec)
    # Near the first three, at 20, 60 and 96 arcsec, within the range of redshift; near the
    # fourth beyond the radius, near the fifth and sixth outside of the range.
    places = [offset(ra[i], dec[i], d, 30 * i) for i, d in enumerate((20, 60, 96, 97.5, 10, 10))]
    wen = catalogue(*np.transpose(places), [0.1, 0.05, 0.4, 0.2, 0.41, 0.04], "WHL ")
    redmapper = catalogue(ra + 1, dec, np.full(8, 0.15), "RMJ")
    known = {"redmapper": redmapper, "wen2012": wen}
    result = triage(found, known, 1.61 * u.arcmin, ranges={"redshift": (0.05, 0.4)})
    assert result["known_in"].tolist() == ["wen2012"] * 3 + [""] * 5
    assert result["new"].tolist() == [False] * 3 + [True] * 5
    assert result["wen2012_id"].tolist()[:4] == ["WHL 0", "WHL 1", "WHL 2", ""]
    np.testing.assert_allclose(result["wen2012_separation"][:3].to_value(u.arcsec), [20, 60, 96])
    expected = np.array([20, 60, 96]) * kpc_per_arcsec(np.array([0.1, 0.05, 0.4]))
    np.testing.assert_allclose(result["wen2012_separation_kpc"][:3].to_value(u.kpc), expected)
    np.testing.assert_allclose(result["wen2012_redshift"][:3], [0.1, 0.05, 0.4])
    same = triage(
        found, known, "250 kpc", redshift=0.15, ranges={"redshift": (0.05, 0.4)}, cosmology=None
    )
    assert same["known_in"].tolist() == result["known_in"].tolist()


def test_columns_and_meta():
    found = detections([10, 20], [0, 0])
    found.meta["model"] = "deepcee"
    known = catalogue([10], [0], [0.2])
    known.meta["origin"] = {"catalogue": "wen2012", "reference": "2012ApJS..199...34W"}
    result = triage(found, {"wen2012": known, "own": known[:0]}, 10 * u.arcsec)
    names = [name.format(c) for c in ("wen2012", "own") for name in NEW_COLUMNS]
    assert result.colnames == ["ra", "dec", "score", *names, "known_in", "new", "triage_reason"]
    assert result["own_separation"].unit == u.arcsec
    assert result["own_separation_kpc"].unit == u.kpc
    assert result["known_in_own"].tolist() == [False, False]
    assert np.isnan(result["wen2012_redshift"][1])
    assert result.meta["model"] == "deepcee"
    record = result.meta["triage"]
    assert record["radius"] == "10.0 arcsec" or record["radius"] == "10 arcsec"
    assert record["catalogues"]["wen2012"]["origin"]["catalogue"] == "wen2012"
    assert record["catalogues"]["wen2012"]["known"] == 1
    assert record["new"] == 1
    assert record["cosmology"]["H0"] == 71
    assert found.colnames == ["ra", "dec", "score"]
    assert "triage" not in found.meta


def test_one_object_makes_all_detections_near_it_known():
    known = catalogue([10, 10.001], [0, 0])
    found = detections([10, 10.0002, 10.0009], [0, 0, 0])
    result = triage(found, {"c": known}, 10 * u.arcsec)
    assert result["c_id"].tolist() == ["C0", "C0", "C1"]
    assert not result["new"].any()


def test_nearest_object_as_astropy_finds_it():
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    # Also where right ascensions end and begin, and at the poles.
    edge = rng.uniform(-0.5, 0.5, 200)
    ra = np.concatenate([ra, edge % 360, rng.uniform(0, 360, 200)])
    dec = np.concatenate([dec, edge[::-1], rng.choice([-1, 1], 200) * (90 - np.abs(edge))])
    places = SkyCoord(ra, dec, unit="deg")
    moved = places.directional_offset_by(
        rng.uniform(0, 360, len(ra)) * u.deg, rng.uniform(0, 600, len(ra)) * u.arcsec
    )
    found = detections(moved.ra.deg, moved.dec.deg)
    radius = rng.uniform(100, 500, len(ra))
    known = catalogue(ra, dec)
    known["R"] = radius * u.arcsec
    result = triage(found, {"c": known}, "R")
    first, second, separation, _ = search_around_sky(moved, places, 500 * u.arcsec)
    good = separation.arcsec <= radius[second]
    best = {}
    order = np.argsort(separation.arcsec[good])[::-1]
    for row, other in zip(first[good][order], second[good][order], strict=True):
        best[row] = f"C{other}"
    expected = [best.get(row, "") for row in range(len(found))]
    assert result["c_id"].tolist() == expected
    assert 1000 < np.count_nonzero(result["known_in_c"]) < len(found)


def test_length_at_the_redshift_of_each_object():
    distance = 1000 / kpc_per_arcsec(np.array([0.1, 0.5]))
    inside = [offset(10, 0, distance[0] - 1), offset(50, 60, distance[1] - 1)]
    outside = [offset(10, 0, distance[0] + 1), offset(50, 60, distance[1] + 1)]
    known = catalogue([10, 50], [0, 60], [0.1, 0.5])
    found = detections(*np.transpose(inside + outside))
    result = triage(found, {"c": known}, "1 Mpc")
    assert result["known_in_c"].tolist() == [True, True, False, False]
    assert (result["c_separation_kpc"][:2] < 1000 * u.kpc).all()


def test_objects_without_redshift():
    known = catalogue([10, 20, 30], [0, 0, 0], [0.1, np.nan, 0.3])
    found = detections([10, 20, 30], [0, 0, 0])
    text = r"1 of 3 rows of catalogue 'c' have no usable 'redshift': say by missing \(--missing-red"
    with pytest.raises(InputError, match=text):
        triage(found, {"c": known}, 10 * u.arcsec, ranges={"redshift": (0, 1)})
    ranged = {"ranges": {"redshift": (0, 0.2)}}
    accepted = triage(found, {"c": known}, 10 * u.arcsec, missing="accept", **ranged)
    assert accepted["new"].tolist() == [False, False, True]
    assert np.isnan(accepted["c_separation_kpc"][1])
    rejected = triage(found, {"c": known}, 10 * u.arcsec, missing="reject", **ranged)
    assert rejected["new"].tolist() == [False, True, True]
    set_aside = rejected.meta["triage"]["catalogues"]["c"]["set_aside"]
    assert set_aside == {"redshift masked": 1, "redshift outside of the range": 1}
    # A length without a redshift reaches nowhere, and is counted.
    result = triage(found, {"c": known}, "1 Mpc")
    assert result["new"].tolist() == [False, True, False]
    assert result.meta["triage"]["catalogues"]["c"]["set_aside"] == {"redshift masked": 1}
    at = triage(found, {"c": known}, "1 Mpc", redshift=0.15)
    assert at["new"].tolist() == [False, False, False]
    assert at["c_separation_kpc"][1] == 0 * u.kpc


def test_rows_that_cannot_be_looked_up_are_neither_known_nor_new():
    found = detections([10, np.nan, 10], [0, 0, 95])
    result = triage(found, {"c": catalogue([10], [0])}, 10 * u.arcsec)
    assert result["new"].tolist() == [False, False, False]
    assert result["known_in"].tolist() == ["c", "", ""]
    assert result["triage_reason"].tolist() == ["", "position is NaN or infinite", "|dec| > 90"]
    bad = catalogue([np.nan, 10], [0, 0])
    result = triage(found, {"c": bad}, 10 * u.arcsec)
    assert result["c_id"][0] == "C1"


def test_nothing_found_and_nothing_known():
    known = catalogue([10], [0], [0.1])
    empty = triage(detections([], []), {"c": known, "d": known[:0]}, "1 Mpc")
    full = triage(detections([10], [0]), {"c": known, "d": known[:0]}, "1 Mpc")
    assert len(empty) == 0
    assert empty.colnames == full.colnames
    assert [empty[n].unit for n in ("c_separation", "c_separation_kpc")] == [u.arcsec, u.kpc]
    assert full["known_in"].tolist() == ["c"]


def test_any_table_is_a_catalogue():
    known = Table({"RAJ2000": [10.0], "DEJ2000": [0.0], "Name": ["A 1"], "z_spec": [0.1]})
    result = triage(detections([10], [0]), {"own": known}, "100 kpc")
    assert result["own_id"][0] == "A 1"
    assert result["own_redshift"][0] == 0.1
    nameless = Table({"ra": [1.0, 10.0], "dec": [0.0, 0.0]})
    assert triage(detections([10], [0]), {"own": nameless}, "1 arcsec")["own_id"][0] == "1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"catalogues": {}}, "catalogues must be a dict of tables by name, got dict of none"),
        ({"catalogues": [1]}, "catalogues must be a dict of tables by name, got list"),
        ({"catalogues": {"a b": QTable()}}, "names of catalogues must be .*got 'a b'"),
        ({"catalogues": {"c": 3}}, "catalogue 'c' must be an astropy Table, got int"),
        ({"radius": "3 Jy"}, "radius must be an angle or a length, got unit 'Jy'"),
        ({"radius": "R200"}, "catalogue 'c' table: no column 'R200'"),
        ({"radius": "1 Mpc"}, r"length \(1 Mpc\), which needs a redshift, and catalogue 'c' has"),
        ({"redshift": -1}, "redshift must be a finite number above 0, got -1"),
        ({"missing": "maybe"}, "missing must be one of 'accept', 'reject'; got 'maybe'"),
        ({"ranges": {"mass": (0, 1)}}, "catalogue 'c' table: no column 'mass'"),
        ({"ranges": {"redshift": (1, 0)}}, r"the range of redshift must be \(low, high\)"),
        ({"ranges": {"redshift": 3}}, r"the range of redshift must be \(low, high\)"),
        ({"cosmology": "Hubble"}, "cosmology must be one of"),
        ({"found": [1]}, "found must be an astropy Table, got list"),
        ({"ranges": [("redshift", (0, 1))]}, "ranges must be a dict of"),
        ({"columns": ("a", "b", "c")}, "columns must be two names"),
        (
            {"catalogues": {name: catalogue([10], [0]) for name in ("known_in", "id")}},
            "catalogues must have names that give .* got known_in, id, both with 'known_in_id'",
        ),
    ],
)
def test_what_is_refused(change, message):
    given = {"catalogues": {"c": catalogue([10], [0])}, "radius": 10 * u.arcsec}
    given = {"found": detections([10], [0])} | given | change
    with pytest.raises(InputError, match=message):
        triage(**given)


@pytest.mark.parametrize("name", ["new", "known_in", "triage_reason", "c_id", "known_in_c"])
def test_columns_of_the_user_are_not_written_over(name):
    found = detections([10], [0])
    found[name] = ["mine"]
    known = {"c": catalogue([10], [0])}
    with pytest.raises(InputError, match=f"that are added, '{name}': rename or remove them"):
        triage(found, known, 10 * u.arcsec)
    found.rename_column(name, "kept")
    assert triage(found, known, 10 * u.arcsec)["kept"][0] == "mine"


def test_a_triaged_table_is_not_triaged_again():
    once = triage(detections([10], [0]), {"c": catalogue([10], [0])}, 10 * u.arcsec)
    with pytest.raises(InputError, match="'known_in', 'new', 'triage_reason': rename or remove"):
        triage(once, {"d": catalogue([10], [0])}, 10 * u.arcsec)


def test_ids_that_are_masked_are_empty():
    known = catalogue([10, 20], [0, 0])
    for values in ([7, 8], ["A 1 ", "B"], [b"A 1 ", b"B"]):
        known["id"] = MaskedColumn(values, mask=[False, True])
        result = triage(detections([10, 20], [0, 0]), {"c": known}, 10 * u.arcsec)
        assert result["c_id"].tolist() == ["7" if values[0] == 7 else "A 1", ""]


def test_positions_in_one_column_of_coordinates():
    found = QTable({"pos": SkyCoord([10, 20] * u.deg, [0, 0] * u.deg), "score": [1, 0.5]})
    result = triage(found, {"c": catalogue([10], [0])}, 10 * u.arcsec, columns="pos")
    assert result["new"].tolist() == [False, True]


def test_a_redshift_that_is_not_clear_is_asked_for():
    known = catalogue([10], [0])
    known["z_spec"], known["zph"] = [0.1], [0.2]
    with pytest.raises(InputError, match=r"redshift could be z_spec or zph.*columns={'redshift'"):
        triage(detections([10], [0]), {"c": known}, 10 * u.arcsec)


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot", ".parquet", ".csv"])
def test_the_result_goes_through_every_format(tmp_path, suffix):
    known = catalogue([10], [0], [0.2])
    result = triage(detections([10, 20], [0, 0]), {"c": known}, 10 * u.arcsec)
    path = tmp_path / f"triage{suffix}"
    write_table(result, path)
    again = read_table(path)
    assert again["new"].tolist() == [False, True]
    assert np.ma.filled(again["c_id"], "").tolist() == ["C0", ""]
    np.testing.assert_allclose(np.asarray(again["c_redshift"][:1], float), [0.2])


def test_real_catalogues(sample_data):
    folder = sample_data / "catalogs"
    known = {
        "redmapper": load_catalogue(folder / "redmapper_dr8_public_v5.10_catalog.fits"),
        "abell": load_catalogue(folder / "abell-all.fits"),
    }
    ra, dec = known["redmapper"]["ra"][:500].value, known["redmapper"]["dec"][:500].value
    moved = np.transpose([offset(*place, 30) for place in zip(ra, dec, strict=True)])
    result = triage(detections(*moved), known, 1.61 * u.arcmin)
    assert result["known_in_redmapper"].all()
    assert (result["redmapper_separation"] <= 30.001 * u.arcsec).all()
    # Coma's neighbours on the list: rich clusters of both, by their names.
    both = result[result["known_in_abell"]]
    assert 50 < len(both) < 300
    assert all(name.startswith("ACO ") for name in both["abell_id"].tolist())
    assert set(both["known_in"].tolist()) == {"redmapper,abell"}
    sky = SkyCoord(*moved, unit="deg")
    abell = SkyCoord(known["abell"]["ra"], known["abell"]["dec"])
    index, separation, _ = sky.match_to_catalog_sky(abell)
    near = separation <= 1.61 * u.arcmin
    np.testing.assert_array_equal(result["known_in_abell"], near)
    expected = known["abell"]["id"][index[near]].tolist()
    assert result["abell_id"][near].tolist() == expected
