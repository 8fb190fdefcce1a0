"""Tables to and from files of every format, and files that are none."""

import gzip

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils import minversion
from astropy.utils.masked import Masked

from astro_objdet.catalogs import Detections
from astro_objdet.catalogs.tables.files import read_table, write_table
from astro_objdet.errors import InputError, OutputExistsError

FORMATS = ("ecsv", "csv", "fits", "vot", "parquet", "ecsv.gz", "fits.gz", "vot.gz")
SEVERAL = [suffix for suffix in FORMATS if suffix != "csv"]


@pytest.fixture
def table():
    """A matched table: missing values of every type, units, and a nested meta."""
    mask = [False, True, False]
    table = Table(
        {
            "name": MaskedColumn(["RM 1", "", 'Möller; #2\n"x"'], mask=mask),
            "note": ["", " a", "b "],
            "row": MaskedColumn([0, 1, 2], mask=mask),
            "class": MaskedColumn([0, 0, 255], mask=mask, dtype=np.uint8),
            "flag": MaskedColumn([True, False, True], mask=mask),
            "known": [True, False, False],
            "z": MaskedColumn([0.1, np.nan, 0.3], mask=mask, dtype=np.float32),
            "limit": [1.5, np.nan, -np.inf],
            "objid": np.array([1, 2, 2**64 - 1], dtype=np.uint64),
            "small": np.array([-1, 0, 1], dtype=np.int8),
            "unsigned": MaskedColumn([1, 2, 2**32 - 1], mask=mask, dtype=np.uint32),
        }
    )
    table["ra"] = Column([1.0, 2.0, 1 / 3], unit=u.deg, description="right ascension")
    table["ra"].meta = {"ucd": "pos.eq.ra;meta.main"}
    table["flux"] = Column([1.0, 2.0, 3.0], unit=u.nmgy)
    table["limit"].format = ".2f"
    table.meta = {"cosmology": {"H0": 71.0, "name": "paper"}, "n": [1, 2], "who": "Möller", "k": 3}
    return table


def assert_same(left, right):
    assert left.colnames == right.colnames
    assert dict(left.meta) == dict(right.meta)
    for name in left.colnames:
        one, two = left[name], right[name]
        masks = [np.broadcast_to(getattr(c, "mask", False), c.shape) for c in (one, two)]
        np.testing.assert_array_equal(*masks, err_msg=name)
        values = [np.asarray(getattr(c, "unmasked", c))[~masks[0]] for c in (one, two)]
        assert values[0].dtype.kind == "U" or values[0].dtype == values[1].dtype, name
        np.testing.assert_array_equal(*values, err_msg=name)
        for key in ("unit", "description", "format", "meta"):
            assert (getattr(one.info, key) or None) == (getattr(two.info, key) or None), name


@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip(table, suffix, tmp_path):
    path = tmp_path / f"table.{suffix}"
    write_table(table, path)
    assert_same(table, read_table(path))
    write_table(table[:0], path, overwrite=True)
    assert_same(table[:0], read_table(path))


@pytest.mark.parametrize("suffix", SEVERAL)
def test_columns_of_several_values(table, suffix, tmp_path):
    several = Table({"pz": np.arange(6.0).reshape(3, 2), "ids": np.arange(12).reshape(3, 2, 2)})
    if not suffix.startswith("vot"):
        several["bands"] = np.array([["g", "r"], ["i", ""], ["", "z"]])
    mask = np.arange(6).reshape(3, 2) % 3 == 0
    several["mag"] = MaskedColumn(np.arange(6.0).reshape(3, 2), mask=mask)
    several["count"] = MaskedColumn(np.arange(6).reshape(3, 2), mask=mask)
    several["gone"] = MaskedColumn(np.ones((3, 2)), mask=[[True] * 2, [False] * 2, [True] * 2])
    path = tmp_path / f"table.{suffix}"
    write_table(several, path)
    assert_same(several, read_table(path))
    write_table(several[:0], path, overwrite=True)
    assert_same(several[:0], read_table(path))


@pytest.mark.parametrize("suffix", FORMATS)
def test_classes_of_astropy(suffix, tmp_path):
    table = QTable({"size": [1, 2.5] * u.kpc, "time": Time([2000.0, 2001.5], format="jyear")})
    table["limit"] = Masked([1.0, 2.0] * u.arcsec, mask=[True, False])
    table["coord"] = SkyCoord([10, 20], [-5, 5], unit="deg", frame="galactic")
    path = tmp_path / f"table.{suffix}"
    write_table(table, path)
    back = read_table(path)
    assert back["coord"].frame.name == "galactic"
    np.testing.assert_array_equal(back["coord"].l, table["coord"].l)
    np.testing.assert_array_equal(back["time"].jyear, table["time"].jyear)
    assert_same(table["size", "limit"], back["size", "limit"])


@pytest.mark.parametrize("suffix", SEVERAL)
def test_same_bytes(table, suffix, tmp_path):
    one, two = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
    write_table(table, one)
    write_table(table, two)
    assert one.read_bytes() == two.read_bytes()


def test_object_columns_of_text(tmp_path):
    table = Table({"reason": np.array(["", None, "far"], dtype=object)})
    write_table(table, tmp_path / "t.fits")
    # Told apart by a column with the mask, as FITS has one word for both.
    assert read_table(tmp_path / "t.fits")["reason"].tolist() == ["", None, "far"]
    assert fits.getdata(tmp_path / "t.fits").names == ["reason", "reason.mask"]


@pytest.mark.parametrize("suffix", ["fits", "vot", "parquet"])
def test_lists_of_various_lengths_are_refused_by_name(suffix, tmp_path):
    cells = np.empty(2, dtype=object)
    cells[:] = [np.zeros(2), np.zeros(3)]
    with pytest.raises(InputError, match=f"t.{suffix}: .*'lists' holds .*write .ecsv"):
        write_table(Table({"lists": cells}), tmp_path / f"t.{suffix}")
    assert list(tmp_path.iterdir()) == []
    write_table(Table({"lists": cells}), tmp_path / "t.ecsv")
    assert [len(cell) for cell in read_table(tmp_path / "t.ecsv")["lists"]] == [2, 3]


def test_astropy_reads_what_is_written(table, tmp_path):
    # FITS has no such unit, and astropy warns of it.
    table.remove_column("flux")
    for suffix in ("ecsv", "fits"):
        write_table(table, tmp_path / f"table.{suffix}")
        back = Table.read(tmp_path / f"table.{suffix}")
        assert back.colnames == table.colnames
        assert back["ra"].unit == u.deg
        assert back["row"].tolist() == [0, None, 2]
        if suffix == "ecsv" or minversion("astropy", "8.0"):  # before, FITS had cards for meta
            assert back.meta["cosmology"] == {"H0": 71.0, "name": "paper"}
    with fits.open(tmp_path / "table.fits") as hdus:
        assert hdus[1].header["TUCD12"] == "pos.eq.ra;meta.main"
        assert hdus[1].header["TCOMM12"] == "right ascension"


def test_tables_of_astropy_are_read(table, tmp_path):
    table.meta = {"N": 3}
    table.remove_columns(["objid", "small", "known", "flag", "flux"])
    table["name"][2] = "RM 3"
    for suffix in ("ecsv", "fits"):
        table.write(tmp_path / f"table.{suffix}")
        back = read_table(tmp_path / f"table.{suffix}")
        assert back.colnames == table.colnames
        assert back["row"].tolist() == [0, None, 2]
        assert back["ra"].unit == u.deg
        assert back["ra"].description == "right ascension"
        assert back["z"].mask.tolist() == [False, True, False]
        assert back.meta["N"] == 3


def test_lists_of_texts_in_votable(tmp_path):
    with pytest.raises(InputError, match="'bands' holds lists of texts, .* VOTable"):
        write_table(Table({"bands": [["g", "r"]]}), tmp_path / "t.vot")


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "parquet"])
def test_complex_numbers_are_refused_by_name(suffix, tmp_path):
    with pytest.raises(InputError, match=f"t.{suffix}: .*'phase' holds complex .*write .fits"):
        write_table(Table({"phase": [1j, 2]}), tmp_path / f"t.{suffix}")
    write_table(Table({"phase": [1j, 2]}), tmp_path / "t.fits")
    assert read_table(tmp_path / "t.fits")["phase"].tolist() == [1j, 2]


def test_what_csv_refuses_it_names(tmp_path):
    table = Table({"ra": [1.0], "pz": [[1, 2]], "mag": [[1, 2]]})
    with pytest.raises(InputError, match=r"one value a cell, and pz, mag more; write \.ecsv"):
        write_table(table, tmp_path / "t.csv")


def test_suffixes_and_overwriting(table, tmp_path):
    with pytest.raises(InputError, match=r"one of \.ecsv, \.csv, \.fits.*got '\.txt'"):
        write_table(table, tmp_path / "t.txt")
    with pytest.raises(InputError, match=r"leave \.gz out of the name"):
        write_table(table, tmp_path / "t.parquet.gz")
    write_table(table, tmp_path / "t.ecsv")
    before = (tmp_path / "t.ecsv").read_bytes()
    with pytest.raises(OutputExistsError, match="exists"):
        write_table(table[:1], tmp_path / "t.ecsv")
    assert (tmp_path / "t.ecsv").read_bytes() == before


def test_meta_without_words_in_yaml(tmp_path):
    with pytest.raises(InputError, match=r"t\.fits: .*meta holds a object"):
        write_table(Table({"a": [1]}, meta={"x": object()}), tmp_path / "t.fits")


class TestDetections:
    @pytest.fixture
    def found(self, tan_wcs):
        boxes = [[1, 2, 11, 22], [30.5, 40, 50, 60]]
        return Detections.from_boxes(boxes, [0.9, 0.5], ["cluster", "a;b#"], tan_wcs, {"k": [1]})

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_written_by_either(self, found, suffix, tmp_path):
        found["probability"] = MaskedColumn([0.5, 0.6], mask=[True, False])
        found["ra"][0] = np.nan
        found.write(tmp_path / f"one.{suffix}")
        write_table(found, tmp_path / f"two.{suffix}")
        for name in ("one", "two"):
            back = read_table(tmp_path / f"{name}.{suffix}")
            assert type(back) is Detections
            assert_same(found, back)
            assert_same(found, Detections.read(tmp_path / f"{name}.{suffix}"))
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()

    def test_as_regions(self, found, tmp_path):
        write_table(found, tmp_path / "t.reg")
        back = read_table(tmp_path / "t.reg")
        assert type(back) is Detections
        assert back["label"].tolist() == found["label"].tolist()
        np.testing.assert_allclose(back["ra"], found["ra"], rtol=0, atol=1e-8)

    def test_half_empty_ones_are_plain_tables(self, found, tmp_path):
        table = Table(found)
        table["ra"] = MaskedColumn(table["ra"], mask=[True, False])
        write_table(table, tmp_path / "t.ecsv")
        assert type(read_table(tmp_path / "t.ecsv")) is Table
        assert type(Detections.read(tmp_path / "t.ecsv")) is Detections


class TestByContent:
    @pytest.mark.parametrize("suffix", ["ecsv", "csv", "fits", "vot", "parquet", "reg"])
    def test_known(self, suffix, tmp_path):
        table = Table({"ra": [1.0, 2.0], "dec": [3.0, 4.0]})
        write_table(table, tmp_path / f"t.{suffix}")
        content = (tmp_path / f"t.{suffix}").read_bytes()
        (tmp_path / "download").write_bytes(content)
        (tmp_path / "packed").write_bytes(gzip.compress(content))
        for name in ("download", "packed")[: 1 if suffix == "parquet" else 2]:
            assert read_table(tmp_path / name)["dec"].tolist() == [3.0, 4.0]

    def test_unknown(self, tmp_path):
        (tmp_path / "t.dat").write_text("just words\n")
        with pytest.raises(InputError, match=r"t\.dat: is in no known format; known are FITS"):
            read_table(tmp_path / "t.dat")
        with pytest.raises(InputError, match=r"gone\.fits: cannot be read: No such file"):
            read_table(tmp_path / "gone.fits")
        with pytest.raises(InputError, match="cannot be read: Is a directory"):
            read_table(tmp_path)


@pytest.mark.parametrize("suffix", ["fits", "parquet"])
def test_real_catalogues(sample_data, suffix, tmp_path):
    for path in sorted((sample_data / "catalogs").glob("*.fits")):
        table = read_table(path)
        write_table(table, tmp_path / f"{path.stem}.{suffix}")
        assert_same(table, read_table(tmp_path / f"{path.stem}.{suffix}"))
