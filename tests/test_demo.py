"""The demonstration: matching with the truth, and the command around it."""

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from click.testing import CliRunner
from fakes import BLOB, BlobDetector, make_wcs, write_field

from astro_objdet import demo, runs
from astro_objdet.cli.main import main
from astro_objdet.errors import InputError, OutputExistsError


@pytest.fixture
def examples(monkeypatch, tmp_path):
    """A packaged field of one blob, with a cluster on it and one elsewhere."""
    folder = tmp_path / "examples"
    for path in write_field(folder, "demo"):
        with fits.open(path) as hdus:
            data, header = hdus[0].data, hdus[0].header
            fits.CompImageHDU(data, header, quantize_level=16).writeto(f"{path}.fz")
        path.unlink()
    sky = make_wcs().pixel_to_world(BLOB[1], BLOB[0] + 3)
    truth = QTable(
        {
            "ra": [150.3, sky.ra.deg] * u.deg,
            "dec": [2.0, sky.dec.deg] * u.deg,
            "redshift": [0.1, 0.2],
            "richness": [20.0, 60.0],
        }
    )
    truth.write(folder / "demo_truth.ecsv")
    monkeypatch.setattr(demo, "EXAMPLES", folder)
    monkeypatch.setattr(runs, "load_detector", lambda model, device: BlobDetector())
    return folder


def test_matches_the_truth(examples, tmp_path):
    report = demo.demo(tmp_path / "out")
    assert report.clusters == 2
    assert report.matched == 1
    (row,) = report.matches
    assert row["cluster"] == 2
    assert row["redshift"] == 0.2
    assert row["separation"].to_value(u.arcsec) == pytest.approx(3, abs=0.01)
    # 3.2677 kpc per arcsec at z = 0.2: the integral of c / H(z) summed by hand.
    assert row["distance"].to_value(u.kpc) == pytest.approx(3 * 3.2677, abs=0.03)


def test_outside_of_the_radius_is_no_match(examples, tmp_path):
    report = demo.demo(tmp_path / "out", radius=5 * u.kpc)
    assert report.matched == 0
    (row,) = report.matches
    assert row["cluster"] == 0
    assert np.isnan(row["separation"])


def test_command(examples, tmp_path):
    output = tmp_path / "out"
    result = CliRunner().invoke(main, ["demo", "-o", str(output)])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "found",
        "score",
        "cluster",
        "redshift",
        "richness",
        "arcsec",
        "kpc",
    ]
    assert lines[1].split() == ["1", "0.93", "no.", "2", "0.200", "60", "3.0", "10"]
    assert (
        "1 of 2 clusters found (richness 20 or more); 0 more on poorer groups, 0 on nothing"
        in lines
    )
    assert f"wrote {output / 'detections.png'}" in lines
    assert "Next: look at" in result.stdout


def test_command_as_json(examples, tmp_path):
    result = CliRunner().invoke(main, ["demo", "-o", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["clusters"] == 2
    assert report["matches"][0]["cluster"] == 2
    assert report["detections"][0]["label"] == "blob"


def test_does_not_overwrite(examples, tmp_path):
    demo.demo(tmp_path / "out")
    with pytest.raises(OutputExistsError, match="the output exists"):
        demo.demo(tmp_path / "out")


def test_a_damaged_installation(examples, tmp_path):
    (examples / "demo_r.fits.fz").unlink()
    with pytest.raises(InputError, match=r"packaged field failed: .*demo_r\.fits\.fz"):
        demo.demo(tmp_path / "out")
