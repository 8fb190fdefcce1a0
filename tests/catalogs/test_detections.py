"""The table itself, and its files, which read back equal."""

import gzip
import io

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import MaskedColumn, QTable, Table, vstack
from astropy.time import Time
from astropy.utils import minversion
from astropy.utils.masked import Masked
from sky_wcs import tan_wcs

from astro_objdet.catalogs import Detections
from astro_objdet.errors import InputError, OutputExistsError

SUFFIXES = ["ecsv", "ecsv.gz", "csv", "fits", "fits.gz", "vot", "xml", "parquet"]
LABELS = [
    "cluster",
    "",
    ' # "odd"; {label}, it\'s 100% ',
    "two\nlines\r\nand a\ttab",
    "Abell 370 à Noël, <b>&amp;</b>",
]
COLUMNS = [
    *("id", "ra", "dec", "score", "label", "width", "height", "angle"),
    *("x_min", "y_min", "x_max", "y_max"),
]
META = {
    "model": {"name": "deepcee", "sha256": "0123456789abcdef" * 4},
    "recipe": {
        "bands": ["i", "r", "g"],
        "anchors": [[64, 128], [256.5, 1e-5, -1e300]],
        "nested": {"deep": {"deeper": [None, True, False, {"end": "é ☉ \\ ' \" # : <&gt;"}]}},
    },
    "a key of more than eight letters": "long text, with blanks  " * 40,
    "lower": 1,
    "LOWER": 2,
    "empty": {"list": [], "dict": {}, "text": ""},
    "numbers like text": ["1", "yes", "null", "1e5", "2026-01-01", "~"],
    "footprint": [[150.123456789012345, 2.2], [np.pi, -np.e]],
}


@pytest.fixture
def found():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 1800, (5, 2))
    boxes = np.hstack([corner, corner + rng.uniform(10, 200, (5, 2))])
    return Detections.from_boxes(
        boxes, rng.uniform(0, 1, 5), LABELS, tan_wcs(359.99, 60, rotation=20), META
    )


def assert_equal(one, two):
    assert type(one) is type(two) is Detections
    assert one.colnames == two.colnames
    assert one.meta == two.meta
    for name in one.colnames:
        left, right = one[name], two[name]
        assert type(left) is type(right), name
        assert left.unit == right.unit, name
        assert left.info.description == right.info.description, name
        if left.dtype.kind == "U":
            assert left.tolist() == right.tolist()
        else:
            assert left.dtype == right.dtype, name
            np.testing.assert_array_equal(left, right, err_msg=name)
        if hasattr(left, "mask"):
            np.testing.assert_array_equal(left.mask, right.mask)


def test_columns_units_and_types(found):
    assert found.colnames == COLUMNS
    assert [str(found[name].unit or "") for name in COLUMNS] == (
        ["", "deg", "deg", "", "", "arcsec", "arcsec", "deg"] + ["pix"] * 4
    )
    assert found["id"].dtype == np.int64
    assert found["id"].tolist() == [1, 2, 3, 4, 5]
    assert found["score"].dtype == np.float64
    assert found["label"].tolist() == LABELS
    assert found.skycoord.frame.name == "icrs"


def test_boxes_are_what_came_in():
    boxes = np.array([[0, 0, 10, 20], [3.25, 4.5, 1999.75, 2000]])
    found = Detections.from_boxes(boxes, [1, 0], ["a", "b"])
    np.testing.assert_array_equal(found.boxes, boxes)
    assert found["x_min"][0] == -0.5 * u.pix
    assert found.boxes.dtype == np.float64


def test_without_wcs_the_sky_is_nan():
    found = Detections.from_boxes([[0, 0, 1, 1]], [0.5], ["a"])
    for name in ("ra", "dec", "width", "height", "angle"):
        assert np.isnan(found[name][0])
    assert np.isnan(found.skycoord.ra[0])


@pytest.mark.parametrize("boxes", [[], np.empty((0, 4)), np.empty((0, 4), np.float32)])
@pytest.mark.parametrize("wcs", [None, tan_wcs(1, 2)])
def test_nothing_found_has_all_columns_and_units(boxes, wcs):
    found = Detections.from_boxes(boxes, [], [], wcs)
    assert len(found) == 0
    assert found.colnames == COLUMNS
    assert found["ra"].unit == u.deg
    assert found["label"].dtype.kind == "U"
    assert found["id"].dtype == np.int64
    assert found.boxes.shape == (0, 4)
    assert len(found.skycoord) == 0
    assert len(found.to_regions()) == 0


@pytest.mark.parametrize(
    ("boxes", "scores", "labels", "message"),
    [
        ([[0, 0, 1, 1]], [1, 2], ["a"], "same length, got 1, 2 and 1"),
        ([[0, 0, 1]], [1], ["a"], r"boxes must have shape \(N, 4\), got \(1, 3\)"),
        ([[0, 0, 1, 1], [5, 0, 5, 2]], [1, 1], "ab", r"got \[5.*\] at index 1"),
        ([[0, np.nan, 1, 1]], [1], ["a"], r"got \[0.*nan.*\] at index 0"),
        ([[0, 3, 1, 1]], [1], ["a"], "x1 < x2 and y1 < y2"),
    ],
)
def test_bad_boxes(boxes, scores, labels, message):
    with pytest.raises(InputError, match=message):
        Detections.from_boxes(boxes, scores, labels)


def test_stays_a_table_of_detections(found):
    assert type(found[1:3]) is Detections
    assert type(found[found["score"] > 0.5]) is Detections
    assert type(found.copy()) is Detections
    assert_equal(found.copy(), found)
    both = vstack([found, found[:0], found[2:]])
    assert type(both) is Detections
    assert len(both) == 8
    np.testing.assert_array_equal(both.boxes[5:], found.boxes[2:])
    nothing = vstack([found[:0], Detections.from_boxes([], [], [])])
    assert nothing.colnames == COLUMNS


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_read_back_equal(found, tmp_path, suffix):
    for i, table in enumerate([found, found[:1], found[:0], found[[1]]]):
        path = tmp_path / f"{i}.{suffix}"
        table.write(path)
        assert_equal(Detections.read(path), table)
        assert_equal(Detections.read(str(path)), table)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_wcs_and_meta(tmp_path, suffix):
    table = Detections.from_boxes([[0, 0, 1, 1]], [np.nan], ["a"])
    table.write(tmp_path / f"a.{suffix}")
    assert_equal(Detections.read(tmp_path / f"a.{suffix}"), table)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_further_columns_read_back_equal(found, tmp_path, suffix):
    mask = [True, False, False, True, False]
    found["field"] = ["a", "bb", "", " ", "e"]
    found["flux"] = np.array([1, np.nan, -0.1, np.inf, 0]) * u.nmgy
    found["flux32"] = np.float32([0.1, 1e-30, 3e30, 4, 5]) * u.Jy
    found["matched"] = [True, False, True, True, False]
    found["rank"] = np.int32([-1, 2, 3, 4, 2**31 - 1])
    found["z"] = MaskedColumn([0.1, 0.2, np.nan, 0.4, 0.5], mask=mask)
    found["number"] = MaskedColumn([1, 2, 3, 4, 5], mask=mask, description="or none")
    found["name"] = MaskedColumn(["", "b", "", "d", "e"], mask=mask)
    found["error"] = Masked([1, np.nan, 3, 4, 5] * u.Jy, mask=mask)
    found.write(tmp_path / f"a.{suffix}")
    assert_equal(Detections.read(tmp_path / f"a.{suffix}"), found)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_values_in_any_column_read_back_equal(found, tmp_path, suffix):
    found["ra"] = Masked(found["ra"], mask=[True, False, False, False, False])
    found["label"] = MaskedColumn(found["label"], mask=[False, False, True, False, False])
    found["score"] = MaskedColumn(found["score"], mask=[True] * 5)
    found.write(tmp_path / f"a.{suffix}")
    assert_equal(Detections.read(tmp_path / f"a.{suffix}"), found)


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != "csv"])
def test_columns_of_several_values_read_back_equal(found, tmp_path, suffix):
    found["cutout"] = np.append(np.arange(29.0), np.nan).reshape(5, 2, 3) * u.nJy
    mask = np.arange(10).reshape(5, 2) % 3 == 0
    found["z"] = MaskedColumn(np.append(np.arange(9.0), np.nan).reshape(5, 2), mask=mask)
    found.write(tmp_path / f"a.{suffix}")
    assert_equal(Detections.read(tmp_path / f"a.{suffix}"), found)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_quantities_and_tuples_in_meta(found, tmp_path, suffix):
    found.meta = {"H0": 71 * u.km / u.s / u.Mpc, "pair": (1, 2), "n": np.float64(0.1)}
    found["seen"] = Time([2460000.5 + i for i in range(5)], format="jd")
    found["at"] = found.skycoord
    found.write(tmp_path / f"a.{suffix}")
    back = Detections.read(tmp_path / f"a.{suffix}")
    assert back.meta == found.meta
    assert back.meta["H0"].unit == found.meta["H0"].unit
    assert np.abs(back["seen"] - found["seen"]).max() < 1 * u.us
    assert back["at"].separation(found["at"]).max() < 1e-9 * u.arcsec


def test_precision_of_csv_survives_pandas_like_readers(found, tmp_path):
    """A plain CSV reader that skips lines with # gets every digit and label."""
    import csv

    found.write(tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as file:
        lines = file.read()
    assert lines.startswith("# %ECSV 1.0\n")  # What makes TOPCAT see the header.
    body = lines[lines.index('"id"') :]
    assert "\n# " in lines
    rows = list(csv.DictReader(io.StringIO(body, newline="")))
    assert [row["label"] for row in rows] == LABELS
    assert [float(row["ra"]) for row in rows] == found["ra"].value.tolist()


def test_other_readers_see_columns_and_units(found, tmp_path):
    for suffix in ("ecsv", "fits", "vot", "parquet"):
        found.write(tmp_path / f"a.{suffix}")
    table = QTable.read(tmp_path / "a.fits")
    assert table["ra"].unit == u.deg
    if minversion("astropy", "8.0"):  # its FITS reader takes the meta of any ECSV header
        assert table.meta["recipe"] == META["recipe"]
    header = fits.getheader(tmp_path / "a.fits", 1)
    assert header["TTYPE2"] == "ra"
    assert header["TUNIT2"] == "deg"
    table = Table.read(tmp_path / "a.ecsv")
    assert table.meta == META
    assert table["x_min"].unit == u.pix
    table = parse_single_table(tmp_path / "a.vot")
    assert [field.name for field in table.fields] == COLUMNS
    assert table.get_field_by_id("ra").unit == u.deg
    np.testing.assert_array_equal(table.array["ra"], found["ra"].value)


def test_the_same_table_gives_the_same_bytes(found, tmp_path):
    for suffix in SUFFIXES:
        found.write(tmp_path / f"a.{suffix}")
        found.write(tmp_path / f"b.{suffix}")
        one, two = ((tmp_path / f"{n}.{suffix}").read_bytes() for n in "ab")
        assert one == two
    assert gzip.decompress((tmp_path / "a.fits.gz").read_bytes())[:6] == b"SIMPLE"


@pytest.mark.parametrize("suffix", [*SUFFIXES, "reg"])
def test_no_file_is_overwritten_unasked(found, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"a\..*: exists"):
        found.write(path)
    assert path.read_bytes() == b"precious"
    found.write(path, overwrite=True)
    assert len(Detections.read(path)) == 5
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_written_leaves_nothing(found, tmp_path):
    found.meta["path"] = object()
    with pytest.raises(InputError, match="meta holds a object"):
        found.write(tmp_path / "a.fits")
    found.meta = {}
    found["cutout"] = np.zeros((5, 3))
    with pytest.raises(InputError, match=r"a\.csv: .*one value a cell, and cutout more"):
        found.write(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"leave \.gz out of the name"):
        found.write(tmp_path / "a.parquet.gz")
    assert not list(tmp_path.iterdir())


def test_file_objects(found):
    for name in ("ascii.ecsv", "ascii.csv", "fits", "votable", "parquet"):
        stream = io.BytesIO()
        found.write(stream, format=name)
        stream.seek(0)
        assert_equal(Detections.read(stream, format=name), found)
    text = io.StringIO()
    found.write(text, format="ascii.ecsv")
    text.seek(0)
    assert_equal(Detections.read(text, format="ascii.ecsv"), found)


@pytest.mark.parametrize("name", ["a.ecsv", "a.csv", "a.fits", "a.vot", "a.parquet", "a.reg"])
@pytest.mark.parametrize(
    "content", [b"", b"<html><body>404</body></html>", b"\x00\xff" * 100, b"a,b\n1,2\n"]
)
def test_other_content_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: "):
        Detections.read(tmp_path / name)


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "fits", "vot", "parquet", "ecsv.gz", "fits.gz"])
def test_truncated_file_is_refused(found, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    found.write(path)
    path.write_bytes(path.read_bytes()[:-3000] if suffix == "fits" else path.read_bytes()[:-30])
    with pytest.raises(InputError, match=rf"a\.{suffix}: "):
        Detections.read(path)


def test_missing_file_and_unknown_format(tmp_path):
    with pytest.raises(InputError, match=r"none\.fits: cannot be read: No such file"):
        Detections.read(tmp_path / "none.fits")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"a\.txt: cannot be read: Format could not"):
        Detections.read(tmp_path / "a.txt")


def test_other_tables_are_refused_by_name_of_column(tmp_path):
    Table({"ra": [1.0], "dec": [2.0]}).write(tmp_path / "a.fits")
    with pytest.raises(InputError, match="lacks id, score, label.*it has ra, dec"):
        Detections.read(tmp_path / "a.fits")


def test_csv_from_a_spreadsheet_gets_units(found, tmp_path):
    plain = Table({name: np.asarray(found[name]) for name in COLUMNS})[[0, 2]]
    plain.write(tmp_path / "a.csv")
    back = Detections.read(tmp_path / "a.csv")
    assert back["width"].unit == u.arcsec
    np.testing.assert_allclose(back.boxes, found.boxes[[0, 2]])
    for values in (["a", "b"], [[1, 2], [3, 4]]):
        other = plain.copy()
        other["score"] = values
        other.write(tmp_path / "a.fits", overwrite=True)
        with pytest.raises(InputError, match="column score must hold one number a row, got"):
            Detections.read(tmp_path / "a.fits")
    plain["ra"].unit = "Jy"
    plain.write(tmp_path / "b.fits")
    with pytest.raises(InputError, match="column ra must be in deg, got Jy"):
        Detections.read(tmp_path / "b.fits")


def test_a_column_added_by_another_program(found, tmp_path):
    found["z"] = MaskedColumn([0.1, 0.2, np.nan, 0.4, 0.5], mask=[1, 0, 0, 0, 0])
    found.write(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        columns = [c for c in hdus[1].columns if c.name != "z.mask"]
        columns.append(fits.Column("new", "D", array=np.arange(5.0), unit="Jy"))
        hdu = fits.BinTableHDU.from_columns(columns, header=hdus[1].header)
        hdu.writeto(tmp_path / "b.fits")
    back = Detections.read(tmp_path / "b.fits")
    assert back["new"].unit == u.Jy
    assert back.meta == META
    np.testing.assert_array_equal(back.boxes, found.boxes)


@pytest.mark.parametrize("suffix", ["ecsv", "fits"])
def test_written_again_by_astropy(tmp_path, suffix):
    """Astropy takes NaN and empty texts for missing values; detections have them."""
    found = Detections.from_boxes([[0, 0, 1, 1], [0, 0, 2, 2]], [np.nan, 1], ["", "a"])
    QTable(found).write(tmp_path / f"a.{suffix}")
    assert_equal(Detections.read(tmp_path / f"a.{suffix}"), found)


def test_one_of_several_tables(found, tmp_path):
    found.meta = {}
    found.write(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", mode="append") as hdus:
        hdus.append(fits.table_to_hdu(Table({"a": [1]}), name="OTHER"))
    with pytest.warns(UserWarning, match="the first is read, hdu= chooses"):
        assert_equal(Detections.read(tmp_path / "a.fits"), found)
    assert_equal(Detections.read(tmp_path / "a.fits", hdu=1), found)
    with pytest.raises(InputError, match=r"a\.fits: .*it has a$"):
        Detections.read(tmp_path / "a.fits", hdu="OTHER")


@pytest.mark.parametrize(
    ("suffix", "line", "instead"),
    [
        ("ecsv", b"# masked: []\n", b""),
        ("csv", b"# masked: []\n", b""),
        ("fits", b"COMMENT masked: []".ljust(80), b" " * 80),
        ("vot", rb"masked: []\n", b""),
    ],
)
def test_files_of_older_versions(found, tmp_path, suffix, line, instead):
    """Their headers do not say which columns have missing values; all masks are columns."""
    found["name"] = MaskedColumn(["a", "", "b", "c", "d"], mask=[1, 0, 0, 0, 0])
    found["flux"], found["note"] = [np.nan, 1, 2, 3, 4], ["", "a", "b", "c", "d"]
    found.write(tmp_path / f"a.{suffix}")
    content = (tmp_path / f"a.{suffix}").read_bytes()
    assert content.count(line) == 1
    (tmp_path / f"a.{suffix}").write_bytes(content.replace(line, instead))
    assert_equal(Detections.read(tmp_path / f"a.{suffix}"), found)
