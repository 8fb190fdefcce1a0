"""Files of others in each format, and files that are no tables."""

import math

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits, votable
from astropy.table import MaskedColumn, Table

from astro_objdet.catalogs.tables.files import read_table, write_table
from astro_objdet.errors import InputError


class TestRegions:
    def test_points_of_a_table(self, tmp_path):
        table = Table({"RA": [10.0, np.nan, 359.5], "DEC": [-5.0, 2, 89], "NAME": ["a}", "b", "c"]})
        with pytest.warns(UserWarning, match="1 of 3 rows have no position"):
            write_table(table, tmp_path / "t.reg")
        assert (
            "\npoint(10.000000000,-5.000000000) # point=circle" in (tmp_path / "t.reg").read_text()
        )
        back = read_table(tmp_path / "t.reg")
        assert back.colnames == ["ra", "dec", "label"]
        assert back["label"].tolist() == ["a}", "c"]
        np.testing.assert_allclose(back["ra"], [10, 359.5], rtol=0, atol=1e-9)
        assert back["ra"].unit == u.deg

    def test_scores(self, tmp_path):
        table = Table({"ra": [1.0, 2], "dec": [3.0, 4], "score": [0.25, np.nan]})
        write_table(table, tmp_path / "t.reg")
        np.testing.assert_array_equal(read_table(tmp_path / "t.reg")["score"], [0.25, np.nan])

    def test_shapes_and_frames(self, tmp_path):
        text = (
            '# Region file format: DS9 version 4.1\ngalactic\ncircle(10,20,30") # text={A 1}\n'
            'fk5\nellipse(1:00:00,+2:00:00,3",4",5)\npoint(3,4)\n'
        )
        (tmp_path / "t.reg").write_text(text)
        table = read_table(tmp_path / "t.reg")
        expected = SkyCoord([10], [20], unit="deg", frame="galactic").icrs
        np.testing.assert_allclose(table["ra"], [expected.ra.deg[0], 15, 3], atol=1e-5)
        assert table["label"].tolist() == ["A 1", "", ""]

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("icrs\npolygon(1,2,3,4,5,6)", "t.reg: region 0 has no centre .Polygon"),
            ("image\ncircle(1,2,3)", "region 0 is in pixels .CirclePixel"),
            ("nonsense", "cannot be read in full: .nonsense"),
        ],
    )
    def test_what_has_no_position(self, line, match, tmp_path):
        (tmp_path / "t.reg").write_text(line + "\n")
        with pytest.raises(InputError, match=match):
            read_table(tmp_path / "t.reg")


class TestCSV:
    def read(self, tmp_path, content):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path)

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
    def test_encodings(self, encoding, tmp_path):
        table = self.read(tmp_path, "ra,name\r\n1.5,Möller\r\n".encode(encoding))
        assert table.colnames == ["ra", "name"]
        assert table["name"].tolist() == ["Möller"]

    def test_missing_numbers(self, tmp_path):
        text = 'a,b,s\n1,1.5,null\nnull,NULL,N/A\nN/A,NaN,\n,"",x\n4,-inf,nan\n'
        table = self.read(tmp_path, text)
        assert table["a"].tolist() == [1, None, None, None, 4]
        assert table["a"].dtype == np.int64
        assert table["b"].tolist() == [1.5, None, None, None, -np.inf]
        assert table["s"].tolist() == ["null", "N/A", "", "x", "nan"]

    def test_names_twice(self, tmp_path):
        with pytest.raises(InputError, match=r"t\.csv: two columns have the name 'ra', .* 1 and 3"):
            self.read(tmp_path, "ra,dec,ra\n1,2,3\n")

    def test_other_delimiters_and_comments(self, tmp_path):
        assert self.read(tmp_path, "ra;dec\n1;2\n").colnames == ["ra", "dec"]
        assert self.read(tmp_path, "# made by hand\n\nra\tdec\n1\t2\n")["dec"].tolist() == [2]
        assert self.read(tmp_path, "# ra,dec\n1.0,2.0\n").colnames == ["ra", "dec"]

    def test_text_stays_text(self, tmp_path):
        text = 'id,day,label\n 7,2024-01-02,"a, ""b""\n c"\n8,2024-01-03,d\n'
        table = self.read(tmp_path, text)
        assert table["day"].tolist() == ["2024-01-02", "2024-01-03"]
        assert table["label"].tolist() == ['a, "b"\n c', "d"]
        assert table["id"].tolist() == [7, 8]

    def test_large_numbers(self, tmp_path):
        table = self.read(tmp_path, "id\n9223372036854775807\n1\n")
        assert table["id"].tolist() == [2**63 - 1, 1]

    def test_header_alone(self, tmp_path):
        table = self.read(tmp_path, "ra,dec\n")
        assert (table.colnames, len(table)) == (["ra", "dec"], 0)

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("", "is empty"),
            ("\n\n", "no line with column names"),
            ("1.5,2.5\n3,4\n", "numbers where the names of columns belong"),
            ("a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
            ("<!DOCTYPE html><html>", "is a web page"),
            (b"a,b\n\x00\xff", "is not text"),
        ],
    )
    def test_no_tables(self, text, match, tmp_path):
        with pytest.raises(InputError, match=f"t.csv: .*{match}"):
            self.read(tmp_path, text)


class TestECSV:
    def test_empty_text_of_astropy_is_missing(self, tmp_path):
        Table({"a": ["", "b"], "n": [1, 2]}).write(tmp_path / "t.ecsv")
        assert read_table(tmp_path / "t.ecsv")["a"].tolist() == [None, "b"]

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("# - {name: a", "cannot be read"),
            ("# meta: {}", "no 'datatype'"),
            ("# datatype: [{name: b, datatype: int64}]\na\n1", "has the columns b, its text a"),
            ("# datatype: [{name: a, datatype: int64}]\na\nx", "invalid value 'x'"),
        ],
    )
    def test_damaged(self, line, match, tmp_path):
        (tmp_path / "t.ecsv").write_text(f"# %ECSV 1.0\n# ---\n{line}\n")
        with pytest.raises(InputError, match=f"t.ecsv: .*{match}"):
            read_table(tmp_path / "t.ecsv")


class TestFITS:
    def test_missing_and_keywords(self, tmp_path):
        columns = [
            fits.Column("n", "J", null=-99, array=[1, -99]),
            fits.Column("x", "E", array=[np.nan, 2], unit="Mpc"),
            fits.Column("s", "3A", array=["a", ""]),
            fits.Column("bits", "8X", array=np.eye(2, 8, dtype=bool)),
        ]
        hdu = fits.BinTableHDU.from_columns(columns, fits.Header({"SURVEY": "DES"}))
        hdu.header["TUCD2"], hdu.header["TCOMM2"] = "pos.distance", "how far"
        hdu.writeto(tmp_path / "t.fits")
        table = read_table(tmp_path / "t.fits")
        assert table["n"].tolist() == [1, None]
        assert table["x"].tolist() == [None, 2]
        assert table["x"].dtype == np.dtype("f4")
        assert (table["x"].unit, table["x"].description) == (u.Mpc, "how far")
        assert table["x"].meta == {"ucd": "pos.distance"}
        assert table["s"].tolist() == ["a", ""]
        assert table["bits"].shape == (2, 8)
        assert table.meta == {"SURVEY": "DES"}

    def test_several_tables(self, tmp_path):
        hdus = [fits.PrimaryHDU()]
        for name in ("FIRST", "SECOND"):
            hdus.append(fits.table_to_hdu(Table({name.lower(): [1]}), name=name))
        fits.HDUList(hdus).writeto(tmp_path / "t.fits")
        with pytest.warns(UserWarning, match=r"1 \(FIRST\), 2 \(SECOND\); the first is read"):
            assert read_table(tmp_path / "t.fits").colnames == ["first"]
        for hdu in (2, "2", "second"):
            assert read_table(tmp_path / "t.fits", hdu=hdu).colnames == ["second"]
        for hdu in (0, 3, "third"):
            with pytest.raises(InputError, match="hdu must be that of a table: 1 .FIRST.*got"):
                read_table(tmp_path / "t.fits", hdu=hdu)

    def test_names_twice(self, tmp_path):
        write_table(Table({"ra": [1.0], "xx": [2.0]}), tmp_path / "t.fits")
        content = (tmp_path / "t.fits").read_bytes()
        (tmp_path / "t.fits").write_bytes(content.replace(b"'xx ", b"'ra "))
        with pytest.raises(InputError, match="two columns have the name 'ra'"):
            read_table(tmp_path / "t.fits")

    @pytest.mark.parametrize("size", [100, 2880, 5000, 8640, 10000])
    def test_cut_short(self, size, tmp_path):
        write_table(Table({"ra": np.arange(1000.0)}), tmp_path / "t.fits")
        content = (tmp_path / "t.fits").read_bytes()
        assert len(content) > 11000
        (tmp_path / "t.fits").write_bytes(content[:size])
        with pytest.raises(InputError, match=r"t\.fits: "):
            read_table(tmp_path / "t.fits")

    def test_no_table(self, tmp_path):
        fits.PrimaryHDU(np.zeros((2, 2))).writeto(tmp_path / "t.fits")
        with pytest.raises(InputError, match="holds no table"):
            read_table(tmp_path / "t.fits")

    @pytest.mark.parametrize(
        ("values", "kept"), [(np.arange(256, dtype=np.uint8), False), (np.arange(255), True)]
    )
    def test_a_number_for_missing_ones(self, values, kept, tmp_path):
        values = values.astype(np.uint8)
        column = MaskedColumn(
            np.append(values, 0).astype(np.uint8), mask=[False] * len(values) + [True]
        )
        if kept:
            write_table(Table({"n": column}), tmp_path / "t.fits")
            assert read_table(tmp_path / "t.fits")["n"].tolist() == [*range(255), None]
        else:
            with pytest.raises(InputError, match="'n' leaves no number"):
                write_table(Table({"n": column}), tmp_path / "t.fits")


VOTABLE = """<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<COOSYS ID="sys" system="galactic"/>
<RESOURCE type="results"><INFO name="QUERY_STATUS" value="{status}">{words}</INFO>
<TABLE name="one"><FIELD name="x" ID="x1" datatype="double" unit="deg" ref="sys"
 ucd="pos.galactic.lon"/><FIELD name="{name}" ID="x2" datatype="int"/>
<DATA><TABLEDATA><TR><TD>1.5</TD><TD/></TR></TABLEDATA></DATA></TABLE>{more}
</RESOURCE></VOTABLE>"""


class TestVOTable:
    def read(self, tmp_path, hdu=None, **words):
        words = {"status": "OK", "words": "", "name": "n", "more": "", **words}
        (tmp_path / "t.vot").write_text(VOTABLE.format(**words))
        return read_table(tmp_path / "t.vot", hdu=hdu)

    def test_columns(self, tmp_path):
        table = self.read(tmp_path)
        assert table["x"].unit == u.deg
        assert table["x"].meta == {"ucd": "pos.galactic.lon", "coosys": "galactic"}
        assert table["n"].tolist() == [None]
        assert table.meta == {"name": "one"}

    def test_names_twice_are_told_apart_by_id(self, tmp_path):
        assert self.read(tmp_path, name="x").colnames == ["x1", "x2"]

    def test_answers_of_services(self, tmp_path):
        with pytest.raises(InputError, match=r"t\.vot: .*message of an error: no such table"):
            self.read(tmp_path, status="ERROR", words="no such table")
        with pytest.warns(UserWarning, match="cut its answer short: 50 rows"):
            self.read(tmp_path, status="OVERFLOW", words="50 rows")

    def test_several_tables(self, tmp_path):
        more = '<TABLE name="two"><FIELD name="y" datatype="int"/></TABLE>'
        with pytest.warns(UserWarning, match=r"tables 0 \(one\), 1 \(two\); the first is read"):
            assert self.read(tmp_path, more=more).colnames == ["x", "n"]
        for hdu in (1, "1", "two"):
            assert self.read(tmp_path, hdu, more=more).colnames == ["y"]
        with pytest.raises(InputError, match=r"hdu must be that of a table: 0 .*got 'three'"):
            self.read(tmp_path, "three", more=more)

    def test_binary(self, tmp_path):
        tree = votable.from_table(Table({"a": [1, 2], "s": ["x", "yz"]}))
        tree.set_all_tables_format("binary2")
        tree.to_xml(str(tmp_path / "t.xml"))
        table = read_table(tmp_path / "t.xml")
        assert (table["a"].tolist(), table["s"].tolist()) == ([1, 2], ["x", "yz"])


class TestParquet:
    def test_of_others(self, tmp_path):
        import pyarrow
        from pyarrow import parquet

        # Before version 26 pyarrow could not read its own missing lists of a fixed length.
        nothing = None if int(pyarrow.__version__.split(".")[0]) >= 26 else [math.nan] * 2
        table = pyarrow.table(
            {
                "ra": pyarrow.array([1.5, None]),
                "name": pyarrow.array(["a", None]).dictionary_encode(),
                "n": pyarrow.array([1, None], pyarrow.int16()),
                "bands": pyarrow.array([[1.0, 2.0], nothing], pyarrow.list_(pyarrow.float32(), 2)),
                "curve": pyarrow.array([{"t": 1}, None]),
            }
        )
        parquet.write_table(table, tmp_path / "t.parquet")
        with pytest.warns(UserWarning, match="left out, which hold structures: curve"):
            back = read_table(tmp_path / "t.parquet")
        assert back.colnames == ["ra", "name", "n", "bands"]
        assert [back[name].tolist()[1] for name in ("ra", "name", "n")] == [None] * 3
        assert back["n"].dtype == np.int16
        assert back["bands"][0].tolist() == [1.0, 2.0]
        assert not np.isfinite(np.ma.filled(back["bands"][1], np.nan)).any()

    def test_damaged(self, tmp_path):
        (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
        with pytest.raises(InputError, match=r"t\.parquet: cannot be read"):
            read_table(tmp_path / "t.parquet")
