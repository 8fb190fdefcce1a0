"""``astro-objdet crossmatch``: options, streams, exit codes."""

import json

import pytest
from astropy.table import Table

from astro_objdet.catalogs.crossmatch import FIND, JOIN
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.cli import crossmatch as module


@pytest.fixture
def files(tmp_path):
    left = Table({"ra": [10.0, 20.0, 30.0], "dec": [0.0, 0.0, 95.0], "z": [0.2, 0.3, 0.4]})
    right = Table({"RA_ICRS": [10.001], "DE_ICRS": [0.0], "zphot": [0.25]})
    left.write(tmp_path / "left.ecsv")
    right.write(tmp_path / "right.csv")
    return tmp_path / "left.ecsv", tmp_path / "right.csv"


def test_says_what_it_took_and_found(command, files, tmp_path):
    output = tmp_path / "m.ecsv"
    result = command(
        "crossmatch", *files, "--radius", "1 Mpc", "--redshift", "left.z", "-o", output
    )
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "left: left.ecsv, 3 rows, position ra, dec (icrs, by name)"
    assert lines[1] == "  1 rows set aside: |dec| > 90"
    assert lines[2].startswith("right: right.csv, 1 rows, position RA_ICRS, DE_ICRS (icrs")
    assert lines[3] == "radius 1 Mpc at redshift left.z, cosmology Chan & Stott 2019"
    assert lines[4] == "1 pairs: 1 rows (33.3 %) of left, 1 rows (100.0 %) of right"
    assert lines[5].startswith("by chance 0.0 (0.0 to ")
    assert lines[6] == f"wrote {output}: 1 rows"
    assert len(read_table(output)) == 1


def test_json_is_all_of_stdout(command, files):
    result = command("crossmatch", *files, "--radius", "10 arcsec", "--json", "--chance", "0")
    report = json.loads(result.stdout)
    assert report["pairs"] == 1
    assert report["left"]["set_aside"] == {"|dec| > 90": 1}
    assert report["written"] is None
    assert "chance" not in report


def test_quiet(command, files):
    result = command("crossmatch", *files, "--radius", "10 arcsec", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_options_reach_the_library(command, files, tmp_path):
    options = {
        "--radius": "10 arcsec",
        "--redshift": "0.2",
        "--max-dz": "0.1",
        "--dz": "relative",
        "--left-redshift": "z",
        "--right-redshift": "zphot",
        "--missing-redshift": "reject",
        "--find": "all",
        "--join": "1or2",
        "--best-by": "-z",
        "--cosmology": "H0=70,Om0=0.3",
        "--left-columns": "ra,dec",
        "--right-columns": "RA_ICRS,DE_ICRS",
        "--left-frame": "icrs",
        "--right-frame": "icrs",
        "--suffixes": "_a,_b",
        "--chance": "3",
    }
    words = [word for pair in options.items() for word in pair]
    result = command("crossmatch", *files, *words, "-o", tmp_path / "m.fits")
    assert result.exit_code == 0, result.stderr
    record = read_table(tmp_path / "m.fits").meta["crossmatch"]
    assert record["parameters"] == {
        "radius": "10 arcsec",
        "redshift": 0.2,
        "max_dz": 0.1,
        "dz": "relative",
        "missing_redshift": "reject",
        "find": "all",
        "join": "1or2",
        "best_by": "-z",
    }
    assert record["cosmology"]["H0"] == 70
    assert record["chance"]["trials"] == 3
    assert record["left"]["position_by"] == "given"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--radius", "100 kpc"], 3, "radius is a length (100 kpc), which needs a redshift"),
        (["--radius", "9 Jy"], 3, "radius must be an angle or a length, got unit 'Jy'"),
        (["--radius", "-9 arcsec"], 3, "radius must be a finite number above 0"),
        ([], 2, "give --radius"),
        (["--radius", "9 arcsec", "--with", "abell"], 2, "give RIGHT, or known catalogues"),
        (["--radius", "9 arcsec", "--left-columns", "x,y"], 3, "x"),
    ],
)
def test_errors_are_one_line(command, files, words, code, message):
    result = command("crossmatch", *files, *words)
    assert result.exit_code == code
    assert message in result.stderr
    if code == 3:
        assert len(result.stderr.splitlines()) == 1


def test_errors_name_the_options_not_the_parameters(command, files):
    result = command("crossmatch", *files, "--radius", "9 arcsec", "--missing-redshift", "accept")
    assert "--missing-redshift say how redshifts are compared: give --max-dz too" in result.stderr
    result = command("crossmatch", *files, "--radius", "z")
    assert "say which by --radius-unit" in result.stderr


def test_chance_that_cannot_be_told(command, files):
    words = ("--radius", "50 Mpc", "--redshift", "0.1")
    result = command("crossmatch", files[1], files[1], *words)
    assert "by chance: not known, as only 0 % of the rows stay" in result.stdout


def test_empty_tables_give_empty_results(command, files, tmp_path):
    read_table(files[0])[:0].write(tmp_path / "none.ecsv")
    output = tmp_path / "m.ecsv"
    result = command(
        "crossmatch", tmp_path / "none.ecsv", files[1], "--radius", "9 arcsec", "-o", output
    )
    assert result.exit_code == 0
    assert "0 pairs: 0 rows of left, 0 rows (0.0 %) of right" in result.stdout
    assert {"ra", "RA_ICRS", "separation"} <= set(read_table(output).colnames)


def test_with_known_catalogues(command, tmp_path, sample_data):
    found = tmp_path / "found.ecsv"
    Table({"ra": [239.5833, 10.0], "dec": [27.2334, 70.0]}).write(found)
    abell = sample_data / "catalogs" / "abell-all.fits"
    result = command("crossmatch", found, "--with", abell, "-o", tmp_path / "k.ecsv")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["catalogue", "known"]
    assert lines[1].split() == ["abell-all", "1"]
    assert lines[2] == "1 of 2 are in none of them"
    report = json.loads(command("crossmatch", found, "--with", abell, "--json").stdout)
    assert (report["known"], report["new"]) == ({"abell-all": 1}, 1)


def test_options_that_do_not_go_with_triage(command, files):
    result = command("crossmatch", files[0], "--with", "abell", "--find", "all")
    assert result.exit_code == 2
    assert "--find does not go with --with" in result.stderr


@pytest.mark.parametrize(("name", "choices"), [("find", FIND), ("join", JOIN)])
def test_choices_are_those_of_the_library(name, choices):
    (option,) = [option for option in module.crossmatch.params if option.name == name]
    assert set(option.type.choices) == set(choices)
