"""Cross-matching files: what is read, recorded, written and refused."""

import numpy as np
import pytest
from astropy.table import Table

from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.crossmatches import crossmatch_files, triage_files
from astro_objdet.errors import InputError, OutputExistsError
from astro_objdet.files import sha256_of


@pytest.fixture
def files(tmp_path):
    left = Table({"ra": [10.0, 20.0], "dec": [0.0, 0.0], "score": [0.9, 0.8]})
    right = Table({"RAJ2000": [10.001], "DEJ2000": [0.0], "z": [0.2], "name": ["A1"]})
    paths = tmp_path / "left.ecsv", tmp_path / "right.fits"
    left.write(paths[0])
    right.write(paths[1])
    return paths


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot", ".parquet", ".csv"])
def test_result_reads_back(files, tmp_path, suffix):
    output = tmp_path / f"matched{suffix}"
    report = crossmatch_files(*files, output, radius="100 kpc", redshift="z", join="1or2")
    table = read_table(output)
    assert report.written == output
    assert len(table) == 2
    assert table.colnames == report.table.colnames
    name = np.ma.asarray(table["name"]).filled("")
    assert name.tolist() == ["A1", ""]
    assert table["match_status"].tolist() == ["matched", "unmatched"]


def test_record_names_the_files(files, tmp_path):
    report = crossmatch_files(*files, tmp_path / "m.ecsv", radius="10 arcsec")
    kept = read_table(tmp_path / "m.ecsv").meta["crossmatch"]
    for side, path in zip(("left", "right"), files, strict=True):
        assert kept[side]["path"] == str(path)
        assert kept[side]["sha256"] == sha256_of(path)
    assert report.to_dict()["pairs"] == 1
    assert report.to_dict()["written"] == str(tmp_path / "m.ecsv")


def test_nothing_is_written_without_a_name(files, tmp_path):
    before = sorted(tmp_path.iterdir())
    report = crossmatch_files(*files, radius="10 arcsec")
    assert report.written is None
    assert sorted(tmp_path.iterdir()) == before


def test_existing_output_is_refused_and_kept(files, tmp_path):
    output = tmp_path / "m.ecsv"
    output.write_text("mine")
    with pytest.raises(OutputExistsError, match="m.ecsv: exists"):
        crossmatch_files(*files, output, radius="10 arcsec")
    assert output.read_text() == "mine"
    crossmatch_files(*files, output, radius="10 arcsec", overwrite=True)
    assert len(read_table(output)) == 1


def test_inputs_are_never_replaced(files, tmp_path):
    link = tmp_path / "link.fits"
    link.symlink_to(files[1])
    for output in (files[0], files[1], link):
        before = output.read_bytes()
        with pytest.raises(InputError, match="is read for this, and never replaced"):
            crossmatch_files(*files, output, radius="10 arcsec", overwrite=True)
        assert output.read_bytes() == before
    with pytest.raises(InputError, match="is read for this, and never replaced"):
        triage_files(files[0], [str(files[1])], files[1], overwrite=True)


def test_read_only_files_are_not_replaced(files, tmp_path):
    output = tmp_path / "m.ecsv"
    output.write_text("mine")
    output.chmod(0o444)
    with pytest.raises(InputError, match=r"m\.ecsv: cannot be written: it is read-only"):
        crossmatch_files(*files, output, radius="10 arcsec", overwrite=True)
    assert output.read_text() == "mine"


def test_output_is_refused_before_any_work(files, tmp_path):
    with pytest.raises(InputError, match=r"m\.xyz: .*suffix"):
        crossmatch_files("nothing.fits", files[1], tmp_path / "m.xyz", radius="10 arcsec")


def test_missing_input_is_named(files):
    with pytest.raises(InputError, match=r"nothing\.fits: .*[Nn]o such file"):
        crossmatch_files("nothing.fits", files[1], radius="10 arcsec")


def test_triage_with_a_local_file(files, tmp_path, sample_data):
    redmapper = sample_data / "catalogs" / "redmapper_dr8_public_v5.10_catalog.fits"
    abell = sample_data / "catalogs" / "abell-all.fits"
    found = Table({"ra": [239.5833, 10.0], "dec": [27.2334, 70.0], "score": [0.9, 0.5]})
    found.write(tmp_path / "found.ecsv")
    report = triage_files(tmp_path / "found.ecsv", [str(redmapper), abell], tmp_path / "k.ecsv")
    assert report.known == {redmapper.stem: 1, "abell-all": 1}
    assert report.new == 1
    table = read_table(tmp_path / "k.ecsv")
    assert table["new"].tolist() == [False, True]
    assert table.meta["found"]["sha256"] == sha256_of(tmp_path / "found.ecsv")


def test_triage_refuses_a_catalogue_twice(files, sample_data):
    path = str(sample_data / "catalogs" / "abell-all.fits")
    with pytest.raises(InputError, match="'abell-all' is given twice"):
        triage_files(files[0], [path, path])
