"""Calibration of scores: isotonic fits against brute force, and what a card keeps."""

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, QTable, Table

from astro_objdet.catalogs.calibration import Calibration
from astro_objdet.catalogs.evaluation import evaluate
from astro_objdet.catalogs.fitting import isotonic, reliability
from astro_objdet.errors import InputError


def brute_force(y, w):
    """Isotonic regression by its max-min formula: no pooling, O(n^3)."""
    n = len(y)
    mean = np.full((n, n), np.nan)
    for i in range(n):
        for k in range(i, n):
            mean[i, k] = np.average(y[i : k + 1], weights=w[i : k + 1])
    return np.array(
        [max(min(mean[j, k] for k in range(i, n)) for j in range(i + 1)) for i in range(n)]
    )


def sample(n=4000, seed=1, power=2):
    """Scores whose true probability is their ``power``."""
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    return score, rng.random(n) < score**power


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True])
def test_knots_are_the_blocks_of_isotonic_regression(seed, weighted):
    rng = np.random.default_rng(seed)
    score = np.sort(rng.choice(np.linspace(0, 1, 200), 40, replace=False))
    true = rng.random(40) < score
    weights = rng.uniform(0.2, 3, 40) if weighted else np.ones(40)
    scores, probabilities = isotonic.isotonic_knots(score, true, weights)
    # the prior: half a true one at the lowest score, half a false one at the highest
    y, w = true.astype(float), weights.copy()
    extra_true, extra_false = weights[true].mean() / 2, weights[~true].mean() / 2
    y[0] = (y[0] * w[0] + extra_true) / (w[0] + extra_true)
    w[0] += extra_true
    y[-1] = y[-1] * w[-1] / (w[-1] + extra_false)
    w[-1] += extra_false
    expected = brute_force(y, w)
    assert expected[0] > 0
    assert expected[-1] < 1
    levels = np.unique(expected.round(12))
    np.testing.assert_allclose(probabilities, levels, atol=1e-11)
    for x, level in zip(scores, levels, strict=True):
        block = np.abs(expected - level) < 1e-11
        assert x == pytest.approx(np.average(score[block], weights=w[block]))


def test_equal_scores_are_one_point():
    score = np.repeat([0.1, 0.5, 0.9], 10)
    true = np.concatenate([[True] * 1 + [False] * 9, [True] * 5 + [False] * 5, [True] * 10])
    scores, probabilities = isotonic.isotonic_knots(score, true, np.ones(30))
    np.testing.assert_allclose(scores, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(probabilities, [1.5 / 10.5, 0.5, 10 / 10.5])


def test_probability_finds_the_truth():
    calibration = Calibration.fit(*sample(200_000))
    grid = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(calibration.probability(grid), grid**2, atol=0.02)
    assert len(calibration.scores) <= 64


def test_probability_is_monotone_clipped_and_inside():
    calibration = Calibration.fit(*sample(500))
    probability = calibration.probability(np.linspace(-1, 2, 1000))
    assert np.all(np.diff(probability) >= 0)
    assert probability[0] > 0
    assert probability[-1] < 1
    assert probability[0] == calibration.probability(calibration.lowest_score)


def test_probability_of_nothing_of_nan_and_of_masked():
    calibration = Calibration.fit(*sample(100))
    assert calibration.probability([]).shape == (0,)
    assert calibration.probability([]).dtype == np.float64
    masked = MaskedColumn([0.5, 0.5, np.nan], mask=[False, True, False])
    np.testing.assert_array_equal(np.isnan(calibration.probability(masked)), [False, True, True])
    assert calibration.probability([[0.1, 0.2]]).shape == (1, 2)


def test_merging_knots_keeps_the_mean_and_the_order():
    score, true = sample(2000, power=1)
    weights = np.ones(2000)
    few, many = [], []
    for most, target in ((8, few), (64, many)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(isotonic, "MAX_KNOTS", most)
            target.extend(isotonic.isotonic_knots(score, true, weights))
    assert len(few[0]) == 8 < len(many[0])
    assert np.all(np.diff(few[1]) > 0)
    grid = np.linspace(0.1, 0.9, 50)
    np.testing.assert_allclose(np.interp(grid, *few), np.interp(grid, *many), atol=0.12)


def test_weights_move_the_odds():
    """True ones at a tenth of their number: the odds fall to a tenth."""
    score, true = sample(100_000)
    plain = Calibration.fit(score, true).probability(0.7)
    rare = Calibration.fit(score, true, weights=np.where(true, 0.1, 1.0)).probability(0.7)
    assert rare / (1 - rare) == pytest.approx(plain / (1 - plain) / 10, rel=0.1)


def test_cross_validation_by_groups():
    score, true = sample(5000)
    quality = Calibration.fit(score, true, groups=np.arange(5000) // 50).quality
    assert quality["folds"] == 5
    assert quality["groups"] == 100
    # E[(s - y)^2] and E[p (1 - p)] for p = s^2 and s uniform
    assert quality["brier_score"] == pytest.approx(1 / 6, abs=0.01)
    assert quality["brier_probability"] == pytest.approx(1 / 3 - 1 / 5, abs=0.01)
    assert quality["ece_score"] == pytest.approx(1 / 6, abs=0.02)
    assert quality["ece_probability"] < 0.03


def test_cross_validation_sees_what_leaks_through_a_field():
    """Fields of which all detections are true or none: held out together, nothing is known."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), 25)
    score = rng.random(40)[groups]
    true = (rng.random(40) < 0.5)[groups]
    together = Calibration.cross_validate(score, true, groups=groups)
    apart = Calibration.cross_validate(score, true)
    assert together["brier_probability"] > apart["brier_probability"]


def test_one_group_cannot_be_held_out():
    assert Calibration.fit(*sample(100), groups=np.zeros(100)).quality == {}


def test_scores_beyond_0_to_1_are_not_compared():
    score, true = sample(500)
    quality = Calibration.fit(10 * score - 5, true).quality
    expected = Calibration.fit(score, true).quality
    assert set(quality) == {"folds", "groups", "brier_probability", "ece_probability"}
    assert quality["brier_probability"] == pytest.approx(expected["brier_probability"])


def test_calibration_error_by_hand():
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    true = np.array([False, True, True, True])
    error = reliability.calibration_error(probability, true, np.ones(4))
    assert error == pytest.approx((2 * abs(0.05 - 0.5) + 2 * abs(0.95 - 1)) / 4)


def test_reliability():
    score, true = sample(3000)
    calibration = Calibration.fit(*sample(3000, seed=2))
    table = calibration.reliability(score, true)
    assert table.colnames == [
        *("score_low", "score_high", "n", "mean_score", "mean_probability"),
        *("fraction", "low", "high"),
    ]
    assert table["n"].sum() == 3000
    for row in table:
        inside = (score >= row["score_low"]) & (score < row["score_high"])
        assert row["n"] == inside.sum()
        assert row["mean_score"] == pytest.approx(score[inside].mean())
        assert row["fraction"] == pytest.approx(true[inside].mean())
        assert row["low"] <= row["fraction"] <= row["high"]
    covered = (table["low"] <= table["mean_probability"]) & (
        table["mean_probability"] <= table["high"]
    )
    assert covered.sum() >= 8


def test_reliability_intervals_are_wilson_s():
    from astropy.stats import binom_conf_interval

    score, true = sample(300)
    table = Calibration.fit(score, true).reliability(score, true, bins=4, confidence=0.9)
    hits = np.round(table["fraction"] * table["n"]).astype(int)
    low, high = binom_conf_interval(hits, table["n"], 0.9, interval="wilson")
    np.testing.assert_allclose(table["low"], low, atol=1e-12)
    np.testing.assert_allclose(table["high"], high, atol=1e-12)


def test_reliability_with_empty_bins_edges_and_weights():
    score, true = sample(100)
    calibration = Calibration.fit(score, true)
    table = calibration.reliability([0.35, 1.0], [True, False], bins=[0, 0.3, 0.5, 1.0])
    np.testing.assert_array_equal(table["n"], [0, 1, 1])
    assert np.isnan(table["fraction"][0])
    assert (table["low"][0], table["high"][0]) == (0, 1)
    heavy = calibration.reliability([0.4, 0.4], [True, False], bins=1, weights=[3, 1])
    assert heavy["fraction"][0] == pytest.approx(0.75)
    assert len(calibration.reliability([], [], bins=5)) == 5


def test_dict_goes_through_json():
    provenance = {"recipe": "deepcee-lite0", "sky": "rendered", "radius": "100 kpc"}
    calibration = Calibration.fit(*sample(500), provenance=provenance)
    text = json.dumps(calibration.to_dict(), allow_nan=False)
    assert len(text) < 8000
    again = Calibration.from_dict(json.loads(text))
    grid = np.linspace(0, 1, 101)
    np.testing.assert_array_equal(again.probability(grid), calibration.probability(grid))
    assert again.to_dict() == calibration.to_dict()
    assert again.summary()["recipe"] == "deepcee-lite0"
    assert "500 detections" in repr(again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": None}, "a calibration must hold numbers|as many of each"),
        ({"scores": [0.2, 0.1]}, "as many of each, and ascending"),
        ({"scores": [0.1]}, "as many of each, and ascending"),
        ({"probabilities": [0.9, 0.1]}, "as many of each, and ascending"),
        ({"probabilities": [0.1, 1.5]}, "from 0 to 1"),
        ({"probabilities": ["a", "b"]}, "a calibration must hold numbers"),
        ({"lowest_score": float("nan")}, "must be finite"),
        ({"n": "x"}, "n and true of a calibration must be whole numbers.*, got 'x' and 20"),
        ({"true": 51}, "with true ≤ n, got 50 and 51"),
        ({"quality": [1]}, r"quality of a calibration must be a dict, got \[1\]"),
    ],
)
def test_damaged_dicts(change, message):
    good = {"scores": [0.1, 0.9], "probabilities": [0.2, 0.8], "lowest_score": 0.1}
    good |= {"n": 50, "true": 20}
    Calibration.from_dict(good)
    with pytest.raises(InputError, match=message):
        Calibration.from_dict({**good, **change})


def test_missing_entries_and_other_things():
    with pytest.raises(InputError, match="must have the entry 'scores'"):
        Calibration.from_dict({})
    with pytest.raises(InputError, match=r"must be a dict, got \[1\]"):
        Calibration.from_dict([1])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0.1] * 30, [True] * 30), {}, "at least 10 true and 10 false detections, got 30 and 0"),
        (([], []), {}, "at least 10 true and 10 false detections, got 0 and 0"),
        (([0.1, 0.2], [True]), {}, r"one length, got shapes \(2,\), \(1,\)"),
        (([0.1, np.nan], [True, False]), {}, "score must be finite, got nan at index 1"),
        (([0.1, 0.2], [2, 0]), {}, "true must hold True and False"),
        ((["a", "b"], [True, False]), {}, "score must hold numbers, got <U1"),
        (([0.1, 0.2], [1, 0]), {"weights": [1, 0]}, "weights must be finite numbers above 0"),
        (([0.1] * 20, [1, 0] * 10), {"groups": [1]}, r"groups must have length 20"),
        (
            ([0.1] * 30, MaskedColumn([1, 0] * 15, mask=[True] + [False] * 29)),
            {},
            "true must be known of each detection, got 1 masked values",
        ),
    ],
)
def test_bad_parameters_of_fit(arguments, options, message):
    with pytest.raises(InputError, match=message):
        Calibration.fit(*arguments, **options)


def test_bad_parameters_of_the_rest():
    calibration = Calibration.fit(*sample(100))
    with pytest.raises(InputError, match="bins must be an integer above 0 or ascending edges"):
        calibration.reliability([0.5], [True], bins=0)
    for confidence in (0, 1, 2, "0.9"):
        with pytest.raises(InputError, match="confidence must be between 0 and 1, got"):
            calibration.reliability([0.5], [True], confidence=confidence)
    with pytest.raises(InputError, match="table must be an astropy Table, got dict"):
        Calibration.from_table({"score": [0.5]})
    with pytest.raises(InputError, match="folds must be an integer from 2, got 1"):
        Calibration.cross_validate([0.5, 0.6], [True, False], folds=1)


def evaluated(n=200, seed=4):
    """Detections as an evaluation writes them."""
    score, true = sample(n, seed)
    status = np.where(true, "true", "false").astype("U9")
    status[:10], status[10:15], status[15:20] = "ignored", "outside", "set aside"
    status[20:30] = np.where(true[20:30], "true", "duplicate")
    rng = np.random.default_rng(seed)
    columns = {"ra": rng.uniform(0, 360, n), "dec": rng.uniform(-80, 80, n)}
    meta = {"recipe": "deepcee-lite0", "weights": {"name": "x", "sha256": "5"}, "radius": "1 Mpc"}
    return QTable({**columns, "score": score, "status": status}, meta=meta), true


def test_from_table_takes_true_false_and_duplicate():
    table, true = evaluated()
    calibration = Calibration.from_table(table, provenance={"sky": "north"})
    expected = Calibration.fit(table["score"][20:], true[20:])
    np.testing.assert_array_equal(calibration.scores, expected.scores)
    assert calibration.n == 180
    assert calibration.provenance == {
        **{"recipe": "deepcee-lite0", "weights_sha256": "5", "radius": "1 Mpc"},
        **{"sky": "north", "left_out": 20, "weighted": False},
    }
    assert 20 <= calibration.quality["groups"] < 180


def test_from_table_uses_fields_weights_and_masks():
    table, true = evaluated()
    table["field"] = np.arange(200) // 20
    table["weight"] = np.where(true, 0.5, 1.0)
    table["score"] = MaskedColumn(table["score"], mask=np.arange(200) == 199)
    calibration = Calibration.from_table(table)
    assert calibration.n == 179
    assert calibration.quality["groups"] == 9
    assert calibration.provenance["weighted"]
    table.remove_columns(["ra", "dec", "field"])
    assert Calibration.from_table(table).quality["groups"] == 179


def test_held_out_reliability_knows_nothing_of_a_detection_s_own_field():
    table, true = evaluated(400)
    table["field"] = np.arange(400) // 20
    judged = Calibration.held_out_reliability(table, bins=5)
    used = np.arange(400) >= 20
    assert judged["n"].sum() == 380
    calibration = Calibration.from_table(table)
    same = calibration.reliability(table["score"][used], true[used], bins=5)
    np.testing.assert_array_equal(judged["fraction"], same["fraction"])
    # a calibration fits its own detections better than others
    off, own = (np.abs(t["mean_probability"] - t["fraction"]).sum() for t in (judged, same))
    assert own < off < 0.5


def test_held_out_reliability_of_one_field():
    table, _ = evaluated()
    table["field"] = "a"
    with pytest.raises(InputError, match="detections of two fields and more"):
        Calibration.held_out_reliability(table)


def test_from_table_takes_what_a_text_file_makes_of_true_and_false():
    score, true = sample(200)
    hidden = MaskedColumn(true, mask=np.arange(200) < 10)
    for status, n in ((true, 200), (np.where(true, "True", "False"), 200), (hidden, 190)):
        calibration = Calibration.from_table(QTable({"score": score, "status": status}))
        assert (calibration.n, calibration.true) == (n, true[200 - n :].sum())


def test_tables_that_do_not_say_what_is_true():
    with pytest.raises(InputError, match="must have the column 'status'.*; it has score, label"):
        Calibration.from_table(Table({"score": [0.5], "label": ["a"]}))
    with pytest.raises(InputError, match="must have the column 'score'.*; it has none"):
        Calibration.from_table(Table())
    with pytest.raises(InputError, match="rows of status true, false, duplicate .*has maybe"):
        Calibration.from_table(Table({"score": [0.5], "status": ["maybe"]}))
    with pytest.raises(InputError, match="with a score; it has no rows"):
        Calibration.from_table(Table({"score": [0.5], "status": ["maybe"]})[:0])


def test_detections_of_a_real_evaluation():
    rng = np.random.default_rng(7)
    ra, dec = rng.uniform(100, 120, 600), rng.uniform(20, 40, 600)
    score, real = sample(600, seed=7)
    found = QTable({"ra": ra * u.deg, "dec": dec * u.deg, "score": score})
    found.meta = {"recipe": "deepcee-lite0", "threshold": 0.05}
    truth = QTable(
        {"ra": ra[real] * u.deg, "dec": dec[real] * u.deg, "z": np.full(real.sum(), 0.2)}
    )
    evaluation = evaluate(found, truth, ranges={"z": (0.1, np.inf)})
    calibration = Calibration.from_table(evaluation.detections)
    assert (calibration.n, calibration.true) == (600, real.sum())
    kept = json.loads(json.dumps(calibration.to_dict(), allow_nan=False))
    assert kept["radius"].startswith("100")
    assert kept["cosmology"]
    assert kept["ranges"] == {"z": [0.1, None]}
    assert kept["threshold"] == 0.05
