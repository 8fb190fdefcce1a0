"""``astro-objdet simulate`` and ``dataset simulate``."""

import json

from astro_objdet.skies.archive import Archive

SMALL = ("--size", 96, "--binning", 2, "--faintest", 20, "--seed", 3)


def test_a_sky_in_a_folder(command, tmp_path):
    result = command("simulate", "--area", 0.0008, *SMALL, "-o", tmp_path / "skies")
    assert result.exit_code == 0, result.output
    assert "2 fields, 0.000892 deg2:" in result.stdout
    names = {path.name for path in (tmp_path / "skies").iterdir()}
    assert names == {
        *(f"sdss_0000{k}_{band}.fits" for k in (0, 1) for band in "gri"),
        "truth.ecsv",
        "simulate.json",
    }


def test_json(command, tmp_path):
    arguments = ("--area", 0.0004, *SMALL, "--cluster-odds", "0,1", "--part", "test", "--json")
    result = command("simulate", *arguments, "-o", tmp_path)
    told = json.loads(result.stdout)
    assert told["fields"] == 1
    assert told["clusters"] >= 1


def test_a_rendered_sky_is_kept(command, tmp_path):
    command("simulate", "--area", 0.0004, *SMALL, "-o", tmp_path)
    result = command("simulate", "--area", 0.0004, *SMALL, "-o", tmp_path)
    assert result.exit_code == 3
    assert "simulate.json" in result.stderr
    assert "overwriting was not asked for" in result.stderr


def test_bad_options(command, tmp_path):
    result = command("simulate", "--area", 0, "--seed", 1, "-o", tmp_path)
    assert result.exit_code == 2
    assert "--area" in result.stderr
    result = command("dataset", "simulate", "--area", 1, "--seed", 1, "--redshift-range", "0.3:0.1",
                     "-o", tmp_path / "a.h5")  # fmt: skip
    assert result.exit_code in (2, 3)
    assert "0.3" in result.stderr
    result = command("simulate", "-o", tmp_path)
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def test_an_archive(command, tmp_path):
    path = tmp_path / "archive.h5"
    arguments = ("--area", 0.0015, "--size", 96, "--faintest", 20, "--seed", 3)
    more = ("--cluster-odds", "0,1", "--part", "train", "--part", "valid", "--no-noise")
    result = command("dataset", "simulate", *arguments, *more, "-o", path)
    assert result.exit_code == 0, result.output
    archive = Archive(path)
    assert archive.n_images == 2
    assert archive.provenance["noiseless"]
