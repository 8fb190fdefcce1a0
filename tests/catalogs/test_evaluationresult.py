"""What an evaluation holds, against astropy, scipy and loops."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from scipy.stats import ks_2samp

from astro_objdet.catalogs.evaluation import evaluate
from astro_objdet.catalogs.footprint import sky_cells
from astro_objdet.catalogs.metrics import wilson
from astro_objdet.errors import InputError


def test_columns_of_thresholds(evaluated):
    table = evaluated.thresholds
    tp, fp, fn = table["tp"], table["fp"], table["fn"]
    np.testing.assert_allclose(table["threshold"], np.arange(11) / 10)
    np.testing.assert_allclose(table["completeness"], tp / (tp + fn))
    np.testing.assert_allclose(table["purity"][:-1], tp[:-1] / (tp + fp)[:-1])
    low, high = wilson(tp, tp + fp)
    np.testing.assert_array_equal([table["purity_low"], table["purity_high"]], [low, high])
    per_area = table["false_per_deg2"].to_value(u.deg**-2)
    np.testing.assert_allclose(per_area, fp / evaluated.area.value)
    assert (table["false_per_deg2_low"] <= table["false_per_deg2"]).all()
    assert (table["false_per_deg2_high"] > table["false_per_deg2"]).all()
    assert evaluated.best == np.argmax(table["f1"])
    assert evaluated.best_threshold == evaluated.at()["threshold"]
    assert evaluated.at(0.3)["tp"] == tp[3]


def test_jackknife_leaves_out_cells_of_the_sky(both):
    found, truth = both
    result = evaluate(found, truth, thresholds=[0.3], jackknife=30)
    cells, nside = result.meta["jackknife"]["cells"], result.meta["jackknife"]["nside"]
    positions = [np.concatenate([found[name], truth[name]]) for name in ("ra", "dec")]
    cell, expected = sky_cells(*positions, 30)
    assert (cells, nside) == (len(np.unique(cell)), expected)
    assert 30 <= cells <= 120
    cell_found, cell_truth = cell[: len(found)], cell[len(found) :]
    passed = np.asarray(found["score"]) > 0.3
    true = result.detections["status"] == "true"
    recovered = result.recovered(0.3)
    left = []
    for piece in np.unique(cell):
        tp = np.sum(recovered & (cell_truth != piece))
        fp = np.sum(passed & ~true & (cell_found != piece))
        left.append((tp / (tp + fp), tp / np.sum(cell_truth != piece)))
    spread = np.sqrt((cells - 1) * np.var(left, axis=0))
    row = result.thresholds[0]
    assert row["purity_jackknife"] == pytest.approx(spread[0])
    assert row["completeness_jackknife"] == pytest.approx(spread[1])
    assert np.isnan(evaluate(found, truth, jackknife=False).thresholds["f1_jackknife"]).all()


def test_separations_and_offsets(evaluated, both):
    found, truth = both
    table = evaluated.truth[evaluated.truth["detection_row"] >= 0]
    ours = SkyCoord(found["ra"], found["dec"], unit="deg")[table["detection_row"]]
    theirs = SkyCoord(truth["ra"], truth["dec"], unit="deg")[table["row"]]
    np.testing.assert_allclose(table["separation"], theirs.separation(ours).to(u.arcsec), rtol=1e-6)
    east, north = theirs.spherical_offsets_to(ours)
    np.testing.assert_allclose(table["offset_x"], east.to(u.arcsec), atol=1e-4)
    np.testing.assert_allclose(table["offset_y"], north.to(u.arcsec), atol=1e-4)
    assert (table["separation"] <= table["radius"]).all()
    assert (table["separation_kpc"] <= 100 * u.kpc).all()
    np.testing.assert_allclose(np.asarray(found["score"])[table["detection_row"]], table["score"])
    others = evaluated.detections[evaluated.detections["truth_row"] < 0]
    ours = SkyCoord(others["ra"], others["dec"])
    nearest, angle, _ = ours.match_to_catalog_sky(SkyCoord(truth["ra"], truth["dec"], unit="deg"))
    np.testing.assert_array_equal(others["nearest_row"], nearest)
    np.testing.assert_allclose(others["separation"], angle.to(u.arcsec), rtol=1e-6)


def test_centre_error_is_equation_8_of_paper_1(evaluated):
    matched = evaluated.truth[evaluated.recovered()]
    kpc = matched["separation_kpc"].to_value(u.kpc)
    assert evaluated.centre["n"] == len(kpc) == evaluated.at()["tp"]
    assert evaluated.centre["rms_kpc"] == pytest.approx(np.sqrt(np.sum(kpc**2) / len(kpc)))
    assert evaluated.centre["median_kpc"] == pytest.approx(np.median(kpc))
    assert evaluated.centre["threshold"] == evaluated.best_threshold
    # One kpc at z = 0.15 is 1 / 2.585 arcsec in paper I: 1.61 arcmin are 250 kpc.
    truth = Table({"ra": [10.0], "dec": [0.0], "redshift": [0.15]})
    found = Table({"ra": [10.0], "dec": [1.61 / 60], "score": [0.9]})
    far = evaluate(found, truth, 300 * u.kpc)
    assert far.centre["rms_kpc"] == pytest.approx(250, abs=1)


def test_ks_is_that_of_scipy(evaluated, both):
    _, truth = both
    for threshold in (None, 0.8):
        table = evaluated.ks_at(threshold)
        recovered = evaluated.recovered(threshold)
        row = table[table["property"] == "redshift"][0]
        expected = ks_2samp(truth["redshift"][recovered], truth["redshift"], method="asymp")
        assert row["statistic"] == pytest.approx(expected.statistic)
        assert row["p_value"] == pytest.approx(expected.pvalue)
        assert (row["n_recovered"], row["n_truth"]) == (recovered.sum(), len(truth))
    names = ["redshift", "richness", "magnitude", "field_x", "field_y"]
    assert evaluated.ks["property"].tolist() == names
    assert np.isnan(evaluated.ks["statistic"][2])
    assert not evaluated.ks["differs"][2]


def test_ks_finds_that_the_faint_are_missed(both):
    _, truth = both
    found = truth["ra", "dec"][truth["richness"] > np.median(truth["richness"])]
    found["score"] = 0.9
    ks = evaluate(found, truth).ks
    assert dict(zip(ks["property"], ks["differs"], strict=True))["richness"]


def test_positions_in_the_image(evaluated, both):
    _, truth = both
    east = (np.asarray(truth["ra"]) - 150) * np.cos(np.radians(2)) * 3600
    # x runs to the west in this image, y to the north.
    np.testing.assert_allclose(evaluated.truth["field_x"].value, -east, atol=5)
    middle = (np.asarray(truth["dec"]) - 2) * 3600
    np.testing.assert_allclose(evaluated.truth["field_y"].value, middle, atol=5)


def test_what_is_recorded(evaluated, both):
    found, truth = both
    meta = evaluated.meta
    assert meta["radius"] == "100 kpc"
    assert meta["cosmology"]["H0"] == 71
    assert meta["columns"]["found"]["score"] == "score"
    assert meta["columns"]["truth"]["redshift"] == "redshift"
    assert meta["columns"]["truth"]["magnitude"] is None
    assert meta["rows"] == {"found": len(found), "truth": len(truth)}
    plain = json.loads(json.dumps(evaluated.to_dict(), allow_nan=False))
    assert plain["thresholds"]["tp"] == evaluated.thresholds["tp"].tolist()
    assert plain["best_threshold"] == evaluated.best_threshold
    assert plain["area_deg2"] == pytest.approx(4, rel=0.01)
    summary = evaluated.summary()
    for text in ("best", "false per deg2", "redshift: KS", "centre error", "average precision"):
        assert text in summary


def test_fields_and_origin_are_kept(both):
    found, truth = both
    found = QTable(found)
    found["field"] = np.repeat(["a", "b"], len(found) // 2)
    found.meta.update(recipe="deepcee", threshold=0.05, bands=["g"])
    result = evaluate(found, truth)
    assert result.detections["field"].tolist() == found["field"].tolist()
    assert result.detections.meta["recipe"] == result.meta["found"]["recipe"] == "deepcee"
    assert "bands" not in result.detections.meta


def test_the_summary_at_a_threshold(evaluated):
    at_best, elsewhere = evaluated.summary(), evaluated.summary(0.8)
    assert f"at the threshold {evaluated.best_threshold:g}:" in at_best.splitlines()
    lines = elsewhere.splitlines()
    number = lines.index("at the threshold 0.8:")
    centre, ks = evaluated.centre_at(0.8), evaluated.ks_at(0.8)
    assert f"(rms of {centre['n']})" in lines[number + 1]
    assert f"kpc (rms of {centre['n_kpc']})" in lines[number + 2]
    assert f"redshift: KS {ks['statistic'][0]:.4f}" in lines[number + 3]
    # Of a threshold that nothing passes there is nothing to say.
    assert "at the threshold" not in evaluated.summary(1)


def test_centre_errors_count_those_with_a_redshift(both):
    found, truth = both
    truth = truth.copy()
    truth["redshift"][::2] = np.nan
    centre = evaluate(found, truth, "30 arcsec").centre_at(0)
    assert 0 < centre["n_kpc"] < centre["n"]


def test_too_few_to_tell(both):
    found, truth = both
    lines = evaluate(found, truth[:3]).summary(0)
    assert "too few to tell" in lines
    assert "no difference" not in lines


def test_without_scores_there_is_no_best_and_no_average(both):
    found, truth = both
    plain = found["ra", "dec"]
    lines = evaluate(plain, truth).summary()
    assert "average precision" not in lines
    assert "best" not in lines


def test_a_threshold_that_was_not_evaluated(evaluated):
    with pytest.raises(InputError, match=r"threshold must be one of 0, .*; got 'best'"):
        evaluated.at("best")
    with pytest.raises(InputError, match=r"threshold must be one of 0, 0\.1, .*; got 0\.55"):
        evaluated.at(0.55)
