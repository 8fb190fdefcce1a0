"""The quick start's way from rendered sky to an evaluation, as small as it can be."""

import json

import pytest

from astro_objdet.catalogs.tables.files import read_table

SKY = ("--area", 0.0012, "--size", 96, "--binning", 2, "--cluster-odds", "0,1", "--faintest", 20)


@pytest.fixture
def run(command):
    """A command that must work."""

    def run(*arguments):
        result = command(*arguments)
        assert result.exit_code == 0, result.output
        return result

    return run


def test_from_a_rendered_sky_to_an_evaluation(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("simulate", *SKY, "--seed", 7, "--part", "train", "-o", "skies/")
    run("simulate", *SKY, "--seed", 8, "--part", "test", "-o", "blind/")
    run("dataset", "build", "skies/", "--min-richness", 20, "--size", 96, "-o", "archive.h5")
    shown = run("dataset", "show", "archive.h5", "--preview", "archive.png")
    assert "target" in shown.stdout
    run(
        *("train", "deepcee", "--data", "archive.h5", "--steps", 2, "--batch-size", 1),
        *("--workers", 0, "--train-split", "train", "-o", "run/"),
    )
    assert (tmp_path / "run" / "log.csv").read_text().count("\n") >= 2
    run("detect", "blind/", "--model", "run/", "--threshold", 0.05, "--no-overlay", "-o", "out/")
    found = read_table("out/detections.ecsv")
    assert found.meta["recipe"] == "deepcee-lite0"
    told = run(
        *("evaluate", "out/detections.ecsv", "blind/truth.ecsv", "--radius", "100 kpc"),
        *("--range", "richness=20:", "--json", "-o", "evaluation/"),
    )
    assert json.loads(told.stdout)
    assert (tmp_path / "evaluation").is_dir()
