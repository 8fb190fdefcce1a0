"""Samples: cuts, rows set aside, central galaxies, and where images are taken."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from scipy.stats import kstest

from astro_objdet.catalogs import load_catalogue
from astro_objdet.errors import InputError
from astro_objdet.skies.samples import (
    PAPER_LOWERED,
    PAPER_PIXEL_SCALE,
    PAPER_SIZE,
    cluster_sample,
    cutout_wcs,
    random_offsets,
)


@pytest.fixture
def redmapper(sample_data):
    return sample_data / "catalogs" / "redmapper_dr8_public_v5.10_catalog.fits"


def clusters(**columns):
    table = {
        "name": ["a", "b", "c"],
        "ra": [359.999, 10.0, 20.0] * u.deg,
        "dec": [10.0, 20.0, 30.0] * u.deg,
        "redshift": [0.15, 0.12, 0.18],
        "richness": [30.0, 20.0, 19.9],
    }
    return QTable(table | columns)


def test_the_cuts_of_the_paper_on_redmapper(redmapper):
    sample = cluster_sample(redmapper)
    assert 0.1 < sample["redshift"].min() < sample["redshift"].max() < 0.2
    assert sample["richness"].min() >= 20
    assert sample["dec"].min() > 0 * u.deg
    assert sample["name"][0].startswith("RMJ")
    theirs = Table.read(redmapper)
    z, richness, dec = (np.asarray(theirs[name], float) for name in ("Z_LAMBDA", "LAMBDA", "DEC"))
    expected = np.flatnonzero((z > 0.1) & (z < 0.2) & (richness >= 20) & (dec > 0))
    np.testing.assert_array_equal(sample["row"], expected)
    np.testing.assert_array_equal(sample["ra"].value, theirs["RA"][expected])
    np.testing.assert_array_equal(sample["dec"].value, theirs["DEC"][expected])
    meta = sample.meta
    assert meta["columns"]["richness"] == "LAMBDA"
    assert meta["catalogue"]["rows"] == 26350
    assert len(meta["catalogue"]["sha256"]) == 64
    assert meta["set_aside"] == {}
    assert sum(meta["cut_away"].values()) + len(sample) == 26350
    assert meta["cuts"] == {
        "redshift": [0.1, 0.2],
        "richness": [20, None],
        "declination": [0, None],
    }


def test_central_galaxies_of_redmapper(redmapper):
    sample = cluster_sample(redmapper)
    theirs = Table.read(redmapper)[sample["row"]]
    first = np.asarray(theirs["P_CEN"])[:, 0]
    # RA and DEC are the first candidate, and the likeliest.
    assert (first == np.asarray(theirs["P_CEN"]).max(axis=1)).all()
    away = SkyCoord(sample["ra"], sample["dec"]).separation(
        SkyCoord(theirs["RA_CEN"][:, 0], theirs["DEC_CEN"][:, 0], unit="deg")
    )
    assert away.arcsec.max() < 1
    assert sample.meta["ambiguous"] == np.count_nonzero(first < 0.5)
    np.testing.assert_allclose(sample["p_centre"], first)
    second = cluster_sample(redmapper, candidate=1)
    assert second.meta["ambiguous"] == sample.meta["ambiguous"]
    moved = second["ra"] != sample["ra"]
    np.testing.assert_array_equal(moved, first < 0.5)
    np.testing.assert_array_equal(second["ra"][moved].value, theirs["RA_CEN"][moved, 1])
    with pytest.raises(InputError, match="candidate must be below 5, got 5"):
        cluster_sample(redmapper, candidate=5)


def test_abell_gives_the_count_and_sets_aside_what_has_no_redshift(sample_data):
    sample = cluster_sample(sample_data / "catalogs" / "abell-all.fits")
    assert sample.meta["columns"]["richness"] == "count"
    assert sample.meta["set_aside"] == {"redshift masked": 4428}
    assert len(sample) == 163
    assert "p_centre" not in sample.colnames


def test_a_loaded_catalogue_gives_the_same_sample(redmapper):
    direct = cluster_sample(redmapper)
    loaded = cluster_sample(load_catalogue(redmapper))
    np.testing.assert_array_equal(loaded["row"], direct["row"])
    np.testing.assert_array_equal(loaded["p_centre"], direct["p_centre"])
    assert loaded.meta["catalogue"]["catalogue"] == "redmapper"


def test_the_ends_of_the_cuts():
    table = clusters(redshift=[0.1, 0.2, 0.15], richness=[30, 30, 20.0], dec=[1, 1, 1] * u.deg)
    assert cluster_sample(table)["name"].tolist() == ["c"]
    assert len(cluster_sample(table, redshift=(0.05, 0.3))) == 3
    assert len(cluster_sample(table, redshift=None)) == 3
    assert len(cluster_sample(table, redshift=(None, None), declination=(1, 2))) == 0


def test_every_row_that_cannot_be_used_is_counted_with_its_reason():
    table = Table({"ra": np.arange(8.0), "dec": [5, 5, 5, 5, 5, np.nan, 95, 5.0]})
    table["z"] = MaskedColumn(
        [0.15, 0, -1, np.nan, 0.15, 0.15, 0.15, 0.15], mask=[0] * 4 + [1, 0, 0, 0]
    )
    table["richness"] = [30, 30, 30, 30, 30, 30, 30, np.nan]
    sample = cluster_sample(table)
    assert sample["row"].tolist() == [0]
    assert sample["name"].tolist() == ["0"]
    assert sample.meta["set_aside"] == {
        "position is NaN or infinite": 1,
        "redshift is 0 or negative": 2,
        "redshift is NaN or infinite": 1,
        "redshift masked": 1,
        "richness is NaN or infinite": 1,
        "|dec| > 90": 1,
    }
    # Without a cut on richness, one without it stays, masked.
    whole = cluster_sample(table, richness=None)
    assert whole["row"].tolist() == [0, 7]
    assert whole["richness"].mask.tolist() == [False, True]


def test_hours_are_refused():
    n = 8
    table = Table({"ra": np.linspace(0, 23.9, n), "dec": np.linspace(1, 80, n)})
    table["z"], table["richness"] = 0.15, 30
    with pytest.raises(InputError, match="'ra' is read as degrees, .* as if they were hours"):
        cluster_sample(table)
    strip = table.copy()
    strip["dec"] = np.linspace(1, 40, n)
    with pytest.warns(UserWarning, match="as if they were hours; if so, set the column's unit"):
        cluster_sample(strip)
    strip["ra"] /= 3  # 8 degrees wide
    assert cluster_sample(strip)["ra"].max() < 8 * u.deg
    table["ra"].unit = u.hourangle
    assert cluster_sample(table)["ra"].max() > 300 * u.deg


def test_columns_can_be_named():
    table = Table({"lon": [10.0], "lat": [20.0], "z_a": [0.15], "z_spec": [0.5], "z_phot": [0.15]})
    table["N200"], table["RL*"], table["who"] = 25, 12.0, "x"
    with pytest.raises(InputError, match="catalogue table: "):
        cluster_sample(table)
    columns = {"ra": "lon", "dec": "lat", "redshift": "z_a", "richness": "N200", "name": "who"}
    sample = cluster_sample(table, columns=columns)
    assert sample["name"].tolist() == ["x"]
    assert sample.meta["columns"] == columns
    with pytest.raises(InputError, match="columns: the catalogue has no column 'zz'; it has lon"):
        cluster_sample(table, columns=columns | {"redshift": "zz"})
    with pytest.raises(InputError, match=r"columns must be of ra, dec.*; got \['mass'\]"):
        cluster_sample(table, columns={"mass": "N200"})


def test_what_a_catalogue_must_have():
    table = clusters()
    with pytest.raises(InputError, match="catalogue table: no column with the redshift"):
        cluster_sample(table["ra", "dec", "richness"])
    with pytest.raises(InputError, match="catalogue table: .*richness"):
        cluster_sample(table["ra", "dec", "redshift"])
    assert len(cluster_sample(table["ra", "dec", "redshift"], richness=None)) == 3
    with pytest.raises(InputError, match="no columns with positions"):
        cluster_sample(table["name", "redshift", "richness"])
    with pytest.raises(InputError, match=r"the range of redshift must be \(low, high\)"):
        cluster_sample(table, redshift=(0.2, 0.1))
    with pytest.raises(InputError, match="candidate must be 0 for a catalogue without RA_CEN"):
        cluster_sample(table, candidate=1)


def test_offsets_are_even_over_the_square(redmapper):
    offsets = random_offsets(cluster_sample(redmapper), seed=11)
    assert len(offsets) == 4 * 1882
    for name in ("offset_x", "offset_y"):
        values = offsets[name].to_value(u.arcsec)
        assert np.abs(values).max() <= 270
        assert kstest(values, "uniform", (-270, 540)).pvalue > 0.001
    assert abs(np.corrcoef(offsets["offset_x"].value, offsets["offset_y"].value)[0, 1]) < 0.05
    assert (np.bincount(offsets["cluster"]) == 4).all()
    assert offsets.meta["offsets"] == {"n": 4, "radius_arcsec": 270.0, "seed": 11}
    assert offsets.meta["sample"]["cut_away"]


@pytest.mark.parametrize("dec", [0, 45, -60, 89.8, 89.95, 90, -90])
@pytest.mark.parametrize("size", [PAPER_SIZE, PAPER_LOWERED])
def test_the_cluster_lies_where_the_offset_says(dec, size):
    table = clusters(dec=[dec] * 3 * u.deg)
    offsets = random_offsets(table, seed=5)
    scale = PAPER_PIXEL_SCALE * PAPER_SIZE / size
    for row in offsets:
        wcs = cutout_wcs(row["centre_ra"].value, row["centre_dec"].value, size, scale)
        assert wcs.pixel_shape == (size, size)
        x, y = wcs.world_to_pixel(SkyCoord(row["ra"], row["dec"]))
        middle = (size - 1) / 2
        assert (x - middle) * scale == pytest.approx(row["offset_x"].value, abs=1e-6)
        assert (y - middle) * scale == pytest.approx(row["offset_y"].value, abs=1e-6)
        assert max(abs(x - middle), abs(y - middle)) * scale < 270.001


def test_what_is_drawn_belongs_to_the_cluster():
    table = clusters()
    whole = random_offsets(table, 4, seed=1)
    for order in ([2, 0, 1], [1]):
        part = random_offsets(table[order], 4, seed=1)
        rows = [4 * row + image for row in order for image in range(4)]
        np.testing.assert_array_equal(part["centre_ra"], whole["centre_ra"][rows])
        np.testing.assert_array_equal(part["centre_dec"], whole["centre_dec"][rows])
    more = random_offsets(table, 6, seed=1)
    np.testing.assert_array_equal(more["offset_x"][more["image"] < 4], whole["offset_x"])
    assert (random_offsets(table, 4, seed=2)["offset_x"] != whole["offset_x"]).all()
    # RA 0 is crossed.
    across = whole["centre_ra"][:4].value
    assert across.min() < 1
    assert across.max() > 359


def test_no_offset_leaves_the_cluster_in_the_middle():
    offsets = random_offsets(clusters(), 1, radius=0)
    np.testing.assert_allclose(offsets["centre_ra"].value, [359.999, 10, 20], rtol=1e-12)
    np.testing.assert_allclose(offsets["centre_dec"].value, [10, 20, 30], rtol=1e-12)


def test_bad_arguments():
    with pytest.raises(InputError, match="n must be a whole number from 1 up, got 0"):
        random_offsets(clusters(), 0)
    with pytest.raises(InputError, match="radius must be a finite number above 0, got -1"):
        random_offsets(clusters(), radius=-1)
    with pytest.raises(InputError, match="size must be a whole number from 1 up, got 0"):
        cutout_wcs(1, 2, 0)
    with pytest.raises(InputError, match="ra and dec must be finite degrees"):
        cutout_wcs(np.nan, 2)


def test_an_empty_sample_gives_no_images():
    sample = cluster_sample(clusters(), redshift=(0.5, 0.6))
    offsets = random_offsets(sample)
    assert len(sample) == len(offsets) == 0
    assert offsets["centre_ra"].unit == u.deg
