"""Fetching catalogues with the real clients, from a server that answers as VizieR does."""

import contextlib
import dataclasses
import gzip
import http.server
import json
import re
import threading

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.utils.masked import Masked

from astro_objdet.catalogs import reference
from astro_objdet.catalogs.columns import redshift_values, sky_positions
from astro_objdet.catalogs.reference import fetch_catalogue, list_catalogues, load_catalogue
from astro_objdet.catalogs.references.entries import find_catalogue
from astro_objdet.catalogs.tables.files import write_table
from astro_objdet.errors import InputError, NetworkError

vizier = pytest.importorskip("astroquery.vizier", reason="astroquery is not installed")

POSITION = """
<FIELD name="_RA.icrs" ucd="pos.eq.ra" datatype="double" unit="deg"/>
<FIELD name="_DE.icrs" ucd="pos.eq.dec" datatype="double" unit="deg"/>"""
WEN_FIELDS = (
    POSITION
    + """
<FIELD name="recno" ucd="meta.record" datatype="int"/>
<FIELD name="WHL" ucd="meta.id;meta.main" datatype="char" arraysize="16*">
 <DESCRIPTION>Cluster name</DESCRIPTION></FIELD>
<FIELD name="RAJ2000" ucd="pos.eq.ra;meta.main" datatype="double" unit="deg"/>
<FIELD name="DEJ2000" ucd="pos.eq.dec;meta.main" datatype="double" unit="deg"/>
<FIELD name="zph" ucd="src.redshift.phot" datatype="float"><VALUES null="NaN"/></FIELD>
<FIELD name="zsp" ucd="src.redshift" datatype="float"><VALUES null="NaN"/></FIELD>
<FIELD name="r200" ucd="phys.size.radius" datatype="float" unit="Mpc"/>
<FIELD name="RL*" ucd="src.richness" datatype="float" unit="---"/>
<FIELD name="N200" ucd="meta.number" datatype="short"><VALUES null="-32768"/></FIELD>"""
)
WEN_ROWS = [
    ("0.5", "-1.25", 1, "J000200.0-011500", "0.5", "-1.25", "0.1893", "", "0.92", "12.03", 12),
    ("180", "45", 2, "J120000.0+450000", "180", "45", "0.31", "0.3123", "1.1", "40.5", ""),
    ("359.9", "10", 3, "J235936.0+100000", "359.9", "10", "", "", "1.0", "15.1", 9),
]
ABELL_FIELDS = (
    POSITION
    + """
<FIELD name="ACO" ucd="meta.id;meta.main" datatype="short"/>
<FIELD name="RAB1950" ucd="pos.eq.ra;meta.main" datatype="char" arraysize="7"
 unit="&quot;h:m:s&quot;"/>
<FIELD name="DEB1950" ucd="pos.eq.dec;meta.main" datatype="char" arraysize="6"
 unit="&quot;d:m:s&quot;"/>
<FIELD name="Count" ucd="meta.number" datatype="short"/>
<FIELD name="z" ucd="src.redshift" datatype="float"><VALUES null="NaN"/></FIELD>
<FIELD name="Rich" ucd="src.class.richness" datatype="unsignedByte"/>"""
)
NORTH = [("1.893", "16.511", 1, "00 05.0", "+16 14", 51, "0.1249", 1)]
SOUTH = [("0.639", "-47.155", 2713, "00 00.0", "-47 26", 58, "", 1)]
SUPPLEMENT = [("0.640", "-30.622", 1, "00 00.0", "-30 54", -8, "", 0)]


def votable(tables, resource="J/ApJS/199/34", after="", version="1.4"):
    """A document as VizieR writes it; tables are (name, fields, rows)."""
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="{version}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
        '<INFO ID="VERSION" name="votable-version" value="1.99+ (14-Oct-2013)"/>\n'
        '<INFO ID="MaxTuples" name="-out.max" value="unlimited"/>\n'
        f'<RESOURCE ID="yCat" name="{resource}">\n'
    )
    parts = [head]
    for name, fields, rows in tables:
        parts.append(f'<TABLE ID="{re.sub("[^A-Za-z0-9]", "_", name)}" name="{name}">{fields}\n')
        parts.append("<DATA><TABLEDATA>\n")
        for row in rows:
            parts.append("<TR>" + "".join(f"<TD>{cell}</TD>" for cell in row) + "</TR>\n")
        parts.append("</TABLEDATA></DATA>\n</TABLE>\n")
        parts.append(f'<INFO name="matches" value="{len(rows)}">matching records</INFO>\n')
        parts.append('<INFO name="Warning" value="No center provided++++"/>\n')
    parts.append(f"{after}</RESOURCE>\n</VOTABLE>\n")
    return "".join(parts).encode()


WEN_TABLE = ("J/ApJS/199/34/table1", WEN_FIELDS, WEN_ROWS)
WEN_REPLY = votable([WEN_TABLE])
OVERFLOW = votable(
    [WEN_TABLE],
    after='<INFO name="QUERY_STATUS" value="OVERFLOW">truncated result (maxtup=50)</INFO>\n',
)
HTML = b"<html><head><title>Down</title></head><body>VizieR is being repaired</body></html>"


class Server(http.server.ThreadingHTTPServer):
    """Gives one answer after the other, the last one for ever, and remembers the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = {"/viz-bin/votable": [], "/tap/sync": []}
        self.requests = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def says(self, *answers, path="/viz-bin/votable"):
        self.answers[path] = list(answers)

    def asked(self, path="/viz-bin/votable"):
        return [body for where, body in self.requests if where == path]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.requests.append((self.path, body))
        answers = self.server.answers[self.path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer == "hang":
            self.server.released.wait(10)
            return
        status, content, length = answer if isinstance(answer, tuple) else (200, answer, None)
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(length or len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server in place of VizieR, asked without pauses."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(
            vizier.VizierClass,
            "_server_to_url",
            lambda self, return_type: f"{server.url}/viz-bin/{return_type}",
        )
        monkeypatch.setattr(reference, "_PAUSES", {"VizieR": (0, 0, 0), "TAP": (0,)})
        server.says((503, b"", None), path="/tap/sync")
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def wen(server):
    """Wen+ 2012 cut to the three objects the server has."""
    entry = find_catalogue("wen2012")
    return dataclasses.replace(entry, rows=3, tap_url=f"{server.url}/tap")


def check_wen(table):
    assert isinstance(table, QTable)
    assert table.colnames[:5] == ["id", "ra", "dec", "redshift", "richness"]
    assert table["id"].tolist() == [f"WHL {row[3]}" for row in WEN_ROWS]
    assert table["ra"].unit == u.deg
    np.testing.assert_allclose(table["ra"].value, [0.5, 180, 359.9])
    np.testing.assert_allclose(table["dec"].value, [-1.25, 45, 10])
    np.testing.assert_allclose(table["redshift"][:2], [0.1893, 0.31], rtol=1e-6)
    assert table["redshift"].mask.tolist() == [False, False, True]
    np.testing.assert_allclose(table["richness"], [12.03, 40.5, 15.1], rtol=1e-6)


def test_a_catalogue_is_fetched_with_our_columns(server, wen, tmp_path):
    server.says(WEN_REPLY)
    table = fetch_catalogue(wen, cache_dir=tmp_path)
    check_wen(table)
    assert table.colnames[5:] == ["recno", "RAJ2000", "DEJ2000", "zsp", "r200", "N200"]
    assert table["r200"].unit == u.Mpc
    assert table["zsp"].mask.tolist() == [True, False, True]
    assert table["N200"].mask.tolist() == [False, True, False]
    assert table["id"].info.meta == {"ucd": "meta.id;meta.main"}


def test_vizier_is_asked_for_all_rows_columns_and_computed_positions(server, wen, tmp_path):
    server.says(WEN_REPLY)
    fetch_catalogue(wen, cache_dir=tmp_path)
    (query,) = server.asked()
    lines = query.splitlines()
    assert "-out.max=unlimited" in lines
    assert "-out.all" in lines
    assert "-out.add=_RA.icrs,_DE.icrs" in lines
    assert "J/ApJS/199/34/table1" in query


def test_the_origin_is_recorded(server, wen, tmp_path):
    server.says(WEN_REPLY)
    origin = fetch_catalogue(wen, cache_dir=tmp_path).meta["origin"]
    assert origin["catalogue"] == "wen2012"
    assert origin["reference"] == "2012ApJS..199...34W"
    assert origin["service"] == "VizieR"
    assert origin["tables"] == ["J/ApJS/199/34/table1"]
    assert "-source" in origin["query"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", origin["date"])
    assert re.fullmatch("[0-9a-f]{64}", origin["sha256"])
    assert origin["columns"]["redshift"] == "zph"
    assert origin["columns"]["ra"] == "_RA.icrs"
    assert origin["rows"] == 3
    assert origin["astro_objdet"]


def test_the_kept_copy_serves_without_the_service(server, wen, tmp_path):
    server.says(WEN_REPLY)
    first = fetch_catalogue(wen, cache_dir=tmp_path)
    server.says((500, b"", None))
    again = fetch_catalogue(wen, cache_dir=tmp_path)
    check_wen(again)
    assert len(server.requests) == 1
    assert again.meta == first.meta


def test_the_kept_copy_is_a_votable_for_everybody(server, wen, tmp_path):
    server.says(WEN_REPLY)
    fetch_catalogue(wen, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == "wen2012.vot.gz"
    content = gzip.decompress(path.read_bytes())
    assert content.startswith(WEN_REPLY)
    plain = tmp_path / "copy.vot"
    plain.write_bytes(content)
    assert len(Table.read(plain, format="votable")) == 3


def test_the_copy_goes_to_the_cache_folder_of_astropy(server, wen, tmp_path):
    from astropy.config import set_temp_cache

    server.says(WEN_REPLY)
    with set_temp_cache(tmp_path):
        fetch_catalogue(wen)
        (path,) = tmp_path.rglob("*.vot.gz")
    assert path.parent.name == "astro_objdet"


def test_without_cache_nothing_is_kept_or_taken(server, wen, tmp_path):
    server.says(WEN_REPLY)
    for _ in range(2):
        fetch_catalogue(wen, cache=False, cache_dir=tmp_path)
    assert len(server.requests) == 2
    assert not list(tmp_path.iterdir())


def test_refresh_replaces_the_copy_and_keeps_it_when_that_fails(server, wen, tmp_path):
    server.says(WEN_REPLY)
    fetch_catalogue(wen, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    old = path.read_bytes()
    server.says((500, b"", None))
    with pytest.raises(NetworkError, match="HTTP 500"):
        fetch_catalogue(wen, cache_dir=tmp_path, refresh=True)
    assert path.read_bytes() == old
    changed = [(*WEN_ROWS[0][:9], "99.5", 12), *WEN_ROWS[1:]]
    server.says(votable([(WEN_TABLE[0], WEN_FIELDS, changed)]))
    fetch_catalogue(wen, cache_dir=tmp_path, refresh=True)
    assert fetch_catalogue(wen, cache_dir=tmp_path)["richness"][0] == pytest.approx(99.5)


DAMAGE = {
    "cut short": lambda data: data[:-30],
    "empty": lambda data: b"",
    "not packed": lambda data: b"something else",
    "a byte changed": lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:],
    "repacked with another row": lambda data: gzip.compress(
        gzip.decompress(data).replace(b"0.1893", b"0.2893")
    ),
    "without the note": lambda data: gzip.compress(WEN_REPLY),
    "of other tables": lambda data: gzip.compress(
        gzip.decompress(data).replace(b'34/table1"]', b'34/table2"]')
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_copy_is_fetched_anew(server, wen, tmp_path, damage):
    server.says(WEN_REPLY)
    fetch_catalogue(wen, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    check_wen(fetch_catalogue(wen, cache_dir=tmp_path))
    assert len(server.requests) == 2
    note = json.loads(gzip.decompress(path.read_bytes()).rpartition(b"astro_objdet ")[2][:-5])
    assert note["tables"] == ["J/ApJS/199/34/table1"]


def test_a_folder_that_cannot_be_written_costs_the_copy_only(server, wen, tmp_path):
    server.says(WEN_REPLY)
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.warns(UserWarning, match="'wen2012' was not kept"):
        check_wen(fetch_catalogue(wen, cache_dir=blocked))


BAD = {
    "server error": ((500, b"", None), "VizieR: HTTP 500", 3),
    "busy": ((429, b"", None), "VizieR: HTTP 429", 3),
    "not found": ((404, b"", None), "VizieR: HTTP 404", 1),
    "empty": (b"", "VizieR: an empty reply", 3),
    "error page": (HTML, "no VOTable but 'Down VizieR is being repaired'", 3),
    "cut off": (WEN_REPLY[: len(WEN_REPLY) // 2], r"cut off after \d+ bytes", 3),
    "cut off in transit": (
        (200, WEN_REPLY[:900], len(WEN_REPLY)),
        "connection failed: IncompleteRead",
        3,
    ),
    "damaged": (WEN_REPLY.replace(b"</TABLE>", b"</TABEL>"), "a damaged VOTable", 3),
    "overflow": (OVERFLOW, r"only a part .*OVERFLOW: truncated result \(maxtup=50\)", 1),
    "rows missing": (
        WEN_REPLY.replace(b'name="matches" value="3"', b'name="matches" value="4"'),
        "3 of 4 rows came",
        3,
    ),
    "no rows": (votable([(WEN_TABLE[0], WEN_FIELDS, [])]), "no rows came", 1),
    "an error report": (
        votable(
            [],
            after='<INFO name="QUERY_STATUS" value="ERROR">no such table</INFO>',
        ),
        "the service reports an error: no such table",
        1,
    ),
    "another catalogue": (
        votable([("J/ApJS/199/35/table1", WEN_FIELDS, WEN_ROWS)]),
        "another catalogue came, J/ApJS/199/35/table1, not J/ApJS/199/34/table1",
        1,
    ),
    "no positions": (
        votable([(WEN_TABLE[0], '<FIELD name="name" datatype="char" arraysize="*"/>', [("a",)])]),
        "J/ApJS/199/34/table1 table: no columns with positions were recognised among name",
        1,
    ),
    "no redshift": (
        votable([(WEN_TABLE[0], POSITION, [("1", "2"), ("3", "4"), ("5", "6")])]),
        "no column with the redshift was recognised among _RA.icrs, _DE.icrs",
        1,
    ),
}


@pytest.mark.parametrize(("answer", "message", "times"), BAD.values(), ids=BAD)
def test_a_bad_reply_is_refused_and_not_kept(server, wen, tmp_path, answer, message, times):
    server.says(answer)
    with pytest.raises(NetworkError, match=message) as caught:
        fetch_catalogue(wen, cache_dir=tmp_path)
    assert "'wen2012'" in str(caught.value)
    assert "load_catalogue('FILE', like='wen2012')" in str(caught.value)
    assert caught.value.exit_code == 5
    assert len(server.asked()) == times
    assert not list(tmp_path.iterdir())


def test_a_service_that_hangs_is_given_up(server, wen, tmp_path):
    server.says("hang")
    with pytest.raises(NetworkError, match=r"VizieR: no answer within 0.2 s"):
        fetch_catalogue(wen, timeout=0.2, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_service_that_is_not_there(server, wen, tmp_path):
    # Listening no more, the port refuses connections.
    server.socket.close()
    with pytest.raises(NetworkError, match=r"VizieR: connection failed: .*Connection refused"):
        fetch_catalogue(wen, timeout=1, cache_dir=tmp_path)


@pytest.mark.parametrize("first", [(503, b"", None), b"", HTML, WEN_REPLY[:500]])
def test_what_passes_is_tried_again(server, wen, tmp_path, first):
    server.says(first, WEN_REPLY)
    check_wen(fetch_catalogue(wen, cache_dir=tmp_path))
    assert len(server.asked()) == 2


def test_pauses_grow_between_attempts():
    pauses = reference._PAUSES["VizieR"]
    assert pauses[0] == 0
    assert list(pauses) == sorted(set(pauses))
    assert sum(pauses) < 10


def test_tap_serves_where_vizier_does_not(server, wen, tmp_path):
    server.says((500, b"", None))
    server.says(WEN_REPLY, path="/tap/sync")
    table = fetch_catalogue(wen, cache_dir=tmp_path)
    check_wen(table)
    assert table.meta["origin"]["service"] == f"TAP ({server.url}/tap)"
    assert table.meta["origin"]["query"] == 'SELECT * FROM "J/ApJS/199/34/table1"'
    assert "MAXREC" in server.asked("/tap/sync")[0]


def test_tap_overflow_and_hanging_are_refused(server, wen, tmp_path):
    server.says((404, b"", None))
    server.says(OVERFLOW, path="/tap/sync")
    with pytest.raises(NetworkError, match=r"VizieR: HTTP 404.*TAP \(http.*OVERFLOW"):
        fetch_catalogue(wen, cache_dir=tmp_path)
    server.says("hang", path="/tap/sync")
    with pytest.raises(NetworkError, match=r"TAP \(http.*no answer within 0.2 s"):
        fetch_catalogue(wen, timeout=0.2, cache_dir=tmp_path)


def test_fewer_objects_than_published(server, wen, tmp_path):
    server.says(WEN_REPLY)
    with pytest.raises(NetworkError, match="only 3 of about 4 objects came"):
        fetch_catalogue(dataclasses.replace(wen, rows=4), cache_dir=tmp_path)
    many = votable([(WEN_TABLE[0], WEN_FIELDS, WEN_ROWS * 33)])
    server.says(many)
    with pytest.warns(UserWarning, match="came with 99 objects, 105 are published"):
        fetch_catalogue(dataclasses.replace(wen, rows=105), cache_dir=tmp_path)
    # More than were published: corrections and additions.
    fetch_catalogue(dataclasses.replace(wen, rows=98), cache=False)


def test_abell_is_several_tables_in_b1950(server):
    tables = [
        ("VII/110A/table3", ABELL_FIELDS, NORTH),
        ("VII/110A/table4", ABELL_FIELDS, SOUTH),
        ("VII/110A/table5", ABELL_FIELDS, SUPPLEMENT),
        ("VII/110A/notes", '<FIELD name="Note" datatype="char" arraysize="*"/>', [("text",)]),
    ]
    server.says(votable(tables, "VII/110A"))
    table = fetch_catalogue(dataclasses.replace(find_catalogue("abell"), rows=3), cache=False)
    assert table["id"].tolist() == ["ACO 1", "ACO 2713", "ACO S1"]
    np.testing.assert_allclose(table["ra"].value, [1.893, 0.639, 0.640])
    assert table["richness"].tolist() == [51, 58, -8]
    assert table["redshift"].mask.tolist() == [False, True, True]
    assert table["RAB1950"].tolist() == ["00 05.0", "00 00.0", "00 00.0"]


@pytest.mark.parametrize("version", ["1.2", "1.4"])
def test_positions_in_sexagesimal_form(server, version):
    fields = """
<FIELD name="MCXC" ucd="meta.id;meta.main" datatype="char" arraysize="12"/>
<FIELD name="RAJ2000" ucd="pos.eq.ra;meta.main" datatype="char" arraysize="10"
 unit="&quot;h:m:s&quot;"/>
<FIELD name="DEJ2000" ucd="pos.eq.dec;meta.main" datatype="char" arraysize="9"
 unit="&quot;d:m:s&quot;"/>
<FIELD name="z" ucd="src.redshift" datatype="float"/>
<FIELD name="M500" ucd="phys.mass" datatype="float" unit="10+14Msun"/>"""
    rows = [
        ("J0000.1+0816", "00 00 07.1", "+08 16 45", "0.0396", "0.7373"),
        ("J1259.7-2756", "12 59 44.4", "-27 56 15", "0.2", "0"),
    ]
    reply = votable([("J/A+A/534/A109/mcxc", fields, rows)], "J/A+A/534/A109", version=version)
    server.says(reply)
    table = fetch_catalogue(dataclasses.replace(find_catalogue("mcxc"), rows=2), cache=False)
    expected = SkyCoord("00h00m07.1s +08d16m45s")
    assert table["ra"][0].to_value(u.deg) == pytest.approx(expected.ra.deg)
    assert table["dec"][1].to_value(u.deg) == pytest.approx(-27.9375)
    assert table["id"][0] == "MCXC J0000.1+0816"
    assert table["mass"].unit == u.Msun
    assert table["mass"][0].to_value(u.Msun) == pytest.approx(7.373e13)
    # A mass of 0 stands for none.
    assert np.isnan(table["mass"][1].value)
    assert not isinstance(table["ra"], Masked)


def test_the_table_of_the_right_length_is_taken_of_a_whole_catalogue(server):
    fields = POSITION + '<FIELD name="zph" ucd="src.redshift.phot" datatype="float"/>'
    tables = [
        ("J/ApJ/660/239/members", fields, [("1", "2", "0.2")] * 5),
        ("J/ApJ/660/239/clusters", fields, [("3", "4", "0.1"), ("5", "6", "0.3")]),
    ]
    server.says(votable(tables, "J/ApJ/660/239"))
    table = fetch_catalogue(dataclasses.replace(find_catalogue("maxbcg"), rows=2), cache=False)
    np.testing.assert_allclose(table["ra"].value, [3, 5])
    assert table["id"].tolist() == ["1", "2"]


def test_unknown_names_and_parameters():
    with pytest.raises(InputError, match="catalogue must be one of redmapper, .*mean 'abell'"):
        fetch_catalogue("abel")
    with pytest.raises(InputError, match="timeout must be a finite number above 0, got 0"):
        fetch_catalogue("abell", timeout=0)
    odd = dataclasses.replace(find_catalogue("abell"), name="../abell")
    with pytest.raises(InputError, match="name of a catalogue must be letters and digits"):
        fetch_catalogue(odd)


def test_without_astroquery_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "astroquery.vizier", None)
    with pytest.raises(InputError, match="pip install astroquery"):
        fetch_catalogue("abell", cache_dir=tmp_path)


def test_the_list_has_what_the_papers_need():
    entries = {entry.name: entry for entry in list_catalogues()}
    assert len(entries) == len(list_catalogues())
    wanted = "redmapper wen2012 wen2015 abell mspm planck act spt mcxc maxbcg"
    assert set(wanted.split()) <= set(entries)
    assert entries["wen2012"].rows == 132684
    for entry in entries.values():
        assert re.fullmatch(r"\d{4}[\w&.]{14}[A-Z]", entry.reference)
        assert entry.tables
        assert entry.title
        assert entry.redshift
        assert entry.columns_from
        assert "VizieR" in entry.acknowledgement
        assert find_catalogue(entry.name.upper()) is entry
        if entry.tap_query:
            assert entry.tables[0] in entry.tap_query


REAL = {
    "redmapper_dr8_public_v5.10_catalog.fits": ("redmapper", 26350, "Z_LAMBDA", "LAMBDA"),
    "abell-all.fits": ("abell", 5250, "z", "count"),
    "E-D56Clusters.fits": ("act_dr3", 182, "z", None),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_recognised(sample_data, name):
    path = sample_data / "catalogs" / name
    catalogue, rows, redshift, richness = REAL[name]
    table = load_catalogue(path)
    origin = table.meta["origin"]
    assert (origin["catalogue"], len(table)) == (catalogue, rows)
    assert origin["file"] == name
    assert origin["columns"]["redshift"] == redshift
    assert origin["columns"].get("richness") == richness
    assert table.colnames[:4] == ["id", "ra", "dec", "redshift"]
    assert len(set(table["id"].tolist())) == rows
    theirs = Table.read(path)
    expected = np.ma.filled(np.ma.asarray(theirs[redshift]).astype(float), np.nan)
    np.testing.assert_array_equal(np.ma.filled(table["redshift"].data, np.nan), expected)
    again = load_catalogue(path, like=catalogue)
    assert again.colnames == table.colnames


def test_any_file_can_be_loaded(tmp_path):
    path = tmp_path / "own.ecsv"
    plain = QTable({"name": ["a", "b"], "ra": [1, 2] * u.deg, "dec": [3, 4] * u.deg})
    plain["z_one"], plain["z_two"] = [0.1, -1], [0.3, 0.4]
    plain.write(path)
    table = load_catalogue(path, columns={"redshift": "z_one"})
    assert table["id"].tolist() == ["a", "b"]
    assert table["redshift"].mask.tolist() == [False, True]
    assert table["z_two"].tolist() == [0.3, 0.4]
    assert table.meta["origin"]["catalogue"] == ""
    assert load_catalogue(path)["redshift"].mask.all()
    with pytest.raises(InputError, match="own.ecsv: columns: table has no column 'zz'; it has"):
        load_catalogue(path, columns={"redshift": "zz"})
    with pytest.raises(InputError, match="columns must be of id, ra, .*got 'colour'"):
        load_catalogue(path, columns={"colour": "z_one"})
    with pytest.raises(InputError, match="own.ecsv: table: no column with the redshift"):
        load_catalogue(path, like="planck")


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits", ".vot", ".parquet"])
def test_what_was_fetched_and_written_is_ours_already(server, wen, tmp_path, suffix):
    server.says(WEN_REPLY)
    table = fetch_catalogue(wen, cache=False)
    path = tmp_path / f"copy{suffix}"
    write_table(table, path)
    again = load_catalogue(path)
    check_wen(again)
    assert again.colnames == table.colnames
    assert again.meta["origin"]["sha256"] == table.meta["origin"]["sha256"]


def test_what_vizier_sent_can_be_loaded_as_a_file(tmp_path):
    path = tmp_path / "from_the_web.vot"
    path.write_bytes(WEN_REPLY)
    table = load_catalogue(path)
    check_wen(table)
    assert table.meta["origin"]["catalogue"] == "wen2012"


def test_the_positions_of_a_fetched_catalogue_are_found_without_options(server):
    tables = [("VII/110A/table3", ABELL_FIELDS, NORTH * 2)]
    server.says(votable(tables, "VII/110A"))
    table = fetch_catalogue(dataclasses.replace(find_catalogue("abell"), rows=2), cache=False)
    positions = sky_positions(table)
    assert positions.columns == ("ra", "dec")
    assert redshift_values(table).name == "redshift"
