"""Selection functions: bins, smooth fits whose intervals hold, files, evaluations."""

import astropy.units as u
import numpy as np
import pytest
from astropy.stats import binom_conf_interval
from astropy.table import MaskedColumn, QTable
from scipy.optimize import minimize
from scipy.special import expit, ndtri

from astro_objdet.catalogs.evaluation import evaluate
from astro_objdet.catalogs.fitting.binning import goodness_of_fit
from astro_objdet.catalogs.fitting.logistic import fit_logistic, predict_logistic
from astro_objdet.catalogs.selection import SelectionFunction
from astro_objdet.errors import InputError, OutputExistsError


def known(redshift, richness):
    """The completeness that samples are drawn with."""
    return expit(1.5 + 3 * np.log10(richness / 30) - 10 * (redshift - 0.25))


def sample(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    redshift = rng.uniform(0.1, 0.4, n)
    richness = 20 * 10 ** rng.uniform(0, 1, n)
    recovered = rng.random(n) < known(redshift, richness)
    return {"redshift": redshift, "richness": richness}, recovered


@pytest.fixture(scope="module")
def fitted():
    return SelectionFunction.fit(*sample())


def test_fit_finds_the_completeness(fitted):
    redshift, richness = np.meshgrid(np.linspace(0.12, 0.38, 9), np.geomspace(22, 180, 9))
    value, low, high = fitted.completeness(redshift=redshift, richness=richness)
    truth = known(redshift, richness)
    assert value.shape == (9, 9)
    np.testing.assert_allclose(value, truth, atol=0.11)
    assert np.abs(value - truth).mean() < 0.02
    assert np.mean((low <= truth) & (truth <= high)) > 0.85
    assert np.all((low > 0) & (low < value) & (value < high) & (high < 1))


def test_bins_hold_the_counts(fitted):
    values, recovered = sample()
    table = fitted.table
    assert table["n"].sum() == 3000
    assert table["recovered"].sum() == recovered.sum()
    for row in table[::7]:
        inside = np.ones(3000, dtype=bool)
        for name, column in values.items():
            top = row[f"{name}_high"] == column.max()
            inside &= (column >= row[f"{name}_low"]) & (column < row[f"{name}_high"] + top)
        assert row["n"] == inside.sum()
        assert row["recovered"] == recovered[inside].sum()
    low, high = binom_conf_interval(table["recovered"], table["n"], 0.95, interval="wilson")
    np.testing.assert_allclose(table["low"], low, atol=1e-12)
    np.testing.assert_allclose(table["high"], high, atol=1e-12)


def test_given_bins_empty_ones_and_what_lies_outside():
    values, recovered = sample(500)
    bins = {"redshift": [0.0, 0.05, 0.2, 0.3], "richness": 2}
    fit = SelectionFunction.fit(values, recovered, bins=bins)
    table = fit.table
    assert len(table) == 6
    np.testing.assert_array_equal(table["n"][:2], 0)
    assert np.isnan(table["completeness"][:2]).all()
    assert (table["low"][0], table["high"][0]) == (0, 1)
    middle = np.sqrt(values["richness"].min() * values["richness"].max())
    assert table["richness_high"][0] == pytest.approx(middle)
    outside = int((values["redshift"] > 0.3).sum())
    assert fit.counts == {"n": 500, "recovered": int(recovered.sum()), "outside": outside}
    assert table["n"].sum() == 500 - outside


def test_a_value_that_many_share_gives_no_empty_bin():
    values, recovered = sample(500)
    values["richness"][:200] = 20.0
    table = SelectionFunction.fit(values, recovered).table
    assert np.all(table["richness_high"] > table["richness_low"])


def test_scaling_of_a_property_does_not_matter(fitted):
    values, recovered = sample()
    other = {"redshift": values["redshift"] * 1e6, "richness": values["richness"]}
    fit = SelectionFunction.fit(other, recovered)
    np.testing.assert_allclose(
        fit.completeness(redshift=0.2e6, richness=50),
        fitted.completeness(redshift=0.2, richness=50),
        rtol=1e-9,
    )


def test_one_property_and_its_unit():
    rng = np.random.default_rng(2)
    flux = 10 ** rng.uniform(-1, 2, 2000)
    recovered = rng.random(2000) < expit(3 * np.log10(flux))
    fit = SelectionFunction.fit({"flux": flux * u.uJy}, recovered, log=["flux"], degree=1)
    assert fit.table["flux_low"].unit == u.uJy
    value, low, high = fit.completeness(flux=[1000, 10000] * u.nJy)
    np.testing.assert_allclose(value, expit([0, 3]), atol=0.05)
    np.testing.assert_array_equal(value, fit.completeness(flux=[1, 10]).value)
    with pytest.raises(InputError, match="flux must be in uJy, got m"):
        fit.completeness(flux=1 * u.m)


def test_flux_ratios_are_fitted_in_their_logarithm():
    rng = np.random.default_rng(2)
    ratio = 10 ** rng.uniform(-3, 0, 300)
    fit = SelectionFunction.fit({"flux_ratio": ratio}, rng.random(300) < 0.5)
    assert fit.log == ("flux_ratio",)
    assert SelectionFunction.fit({"flux_ratio": ratio}, rng.random(300) < 0.5, log=()).log == ()


def test_outside_of_what_was_fitted(fitted):
    beyond = {"redshift": [0.05, 0.2, np.nan, 0.2], "richness": [50, 500, 50, -1]}
    assert np.isnan(fitted.completeness(**beyond)).all()
    value, low, high = fitted.completeness(**beyond, extrapolate=True)
    np.testing.assert_array_equal(np.isfinite(value), [True, True, False, False])
    assert np.all(high[:2] - low[:2] > 0)


def test_completeness_takes_its_properties_and_no_others(fitted):
    with pytest.raises(InputError, match="a function of redshift, richness; got redshift"):
        fitted.completeness(redshift=0.2)
    with pytest.raises(InputError, match="got redshift, mass"):
        fitted.completeness(redshift=0.2, mass=1e14)
    masked = MaskedColumn([0.2, 0.2], mask=[False, True])
    np.testing.assert_array_equal(
        np.isnan(fitted.completeness(redshift=masked, richness=50).value), [False, True]
    )


def test_unusable_rows_are_set_aside_and_counted():
    values, recovered = sample(200)
    values["redshift"][:3] = np.nan, np.inf, -np.inf
    values["richness"] = MaskedColumn(values["richness"], mask=np.arange(200) == 3)
    values["richness"][4:6] = 0, -5
    fit = SelectionFunction.fit(values, recovered)
    assert fit.counts["n"] == 194
    assert fit.counts["redshift masked, NaN or infinite"] == 3
    assert fit.counts["richness masked, NaN or infinite"] == 1
    assert fit.counts["richness 0 or negative"] == 2
    good = {name: np.asarray(column)[6:] for name, column in values.items()}
    same = SelectionFunction.fit(good, recovered[6:])
    np.testing.assert_allclose(fit.coefficients, same.coefficients, rtol=1e-9)


def test_outcomes_that_are_masked_are_set_aside_and_counted():
    values, recovered = sample(200)
    mask = np.arange(200) < 20
    for hidden in (True, False):
        shown = np.where(mask, hidden, recovered)
        fit = SelectionFunction.fit(values, np.ma.array(shown, mask=mask))
        assert fit.counts["recovered masked"] == 20
        assert (fit.counts["n"], fit.counts["recovered"]) == (180, recovered[20:].sum())
    with pytest.raises(InputError, match="got 5; 195 set aside: recovered masked"):
        SelectionFunction.fit(values, MaskedColumn(recovered, mask=np.arange(200) < 195))


@pytest.mark.parametrize(("outcome", "which"), [(True, "all"), (False, "none")])
def test_all_or_none_recovered(outcome, which):
    values, _ = sample(50)
    with pytest.warns(UserWarning, match=f"{which} of the 50 objects were recovered"):
        fit = SelectionFunction.fit(values, np.full(50, outcome))
    value, low, high = fit.completeness(redshift=[0.15, 0.3], richness=[30, 100])
    expected = (50 * outcome + 0.5) / 51
    np.testing.assert_allclose(value, expected)
    wilson = binom_conf_interval(50 * outcome, 50, 0.95, interval="wilson")
    assert low[0] < wilson[1 - outcome] + 0.02
    assert fit.degree == 0
    assert fit.goodness.get("p_value", 1) > 0.05
    np.testing.assert_array_equal(fit.table["completeness"], float(outcome))


def test_separated_outcomes_stay_finite():
    values, _ = sample(200)
    fit = SelectionFunction.fit(values, values["redshift"] < 0.25, degree=1)
    value, low, high = fit.completeness(redshift=[0.12, 0.25, 0.38], richness=50)
    assert value[0] > 0.95
    assert value[2] < 0.05
    assert low[1] < 0.5 < high[1]


def test_few_objects_warn():
    with pytest.warns(UserWarning, match="20 objects are few for the 6 coefficients of degree 2"):
        SelectionFunction.fit(*sample(20))


@pytest.mark.parametrize(
    ("n", "centre", "least"),
    [(100, 1.0, 0.9), (400, 1.0, 0.92), (100, 3.0, 0.84), (1000, 3.0, 0.92)],
    ids=["100", "400", "100 nearly all", "1000 nearly all"],
)
def test_intervals_cover_the_truth(n, centre, least):
    """Of 95 per cent intervals, 95 per cent hold what the samples were drawn with."""
    rng = np.random.default_rng(5)
    trials, grid = 400, np.linspace(-0.9, 0.9, 7)

    def design(x):
        return np.stack([np.ones_like(x), x, x**2], axis=-1)

    truth = expit(centre - 2 * grid)
    held = np.empty((trials, len(grid)))
    bias = np.empty((trials, len(grid)))
    for trial in range(trials):
        x = rng.uniform(-1, 1, n)
        outcome = rng.random(n) < expit(centre - 2 * x)
        fit = fit_logistic(design(x), outcome)
        value, low, high = predict_logistic(design(grid), *fit, ndtri(0.975))
        held[trial] = (low <= truth) & (truth <= high)
        bias[trial] = value - truth
    assert 0.93 < held.mean() < 0.985
    assert held.mean(axis=0).min() > least
    assert np.abs(bias.mean(axis=0)).max() < 0.05


def test_fit_is_the_maximum_of_the_penalised_likelihood():
    """Against a general minimiser that knows no derivatives."""
    rng = np.random.default_rng(6)
    x = rng.uniform(-1, 1, 60)
    design = np.stack([np.ones_like(x), x], axis=-1)
    outcome = rng.random(60) < expit(1 + x)

    def minus_likelihood(beta):
        p = expit(design @ beta)
        information = design.T @ (design * (p * (1 - p))[:, None])
        likelihood = np.sum(np.log(np.where(outcome, p, 1 - p)))
        return -likelihood - np.linalg.slogdet(information)[1] / 2

    best = minimize(minus_likelihood, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8})
    beta, covariance = fit_logistic(design, outcome)
    np.testing.assert_allclose(beta, best.x, atol=1e-5)
    # twice the drop of the likelihood along an axis is about the square over the variance
    step = 0.01
    curvature = minus_likelihood(beta + [0, step]) + minus_likelihood(beta - [0, step])
    curvature = (curvature - 2 * minus_likelihood(beta)) / step**2
    assert np.linalg.inv(covariance)[1, 1] == pytest.approx(curvature, rel=0.15)


def test_jeffreys_prior_of_a_constant():
    beta, covariance = fit_logistic(np.ones((40, 1)), np.arange(40) < 7)
    assert expit(beta[0]) == pytest.approx(7.5 / 41)
    assert covariance[0, 0] == pytest.approx(1 / (40 * 7.5 / 41 * 33.5 / 41))


def test_goodness_of_the_right_and_of_a_wrong_fit(fitted):
    assert fitted.goodness["p_value"] > 0.01
    assert fitted.goodness["hosmer_lemeshow_p_value"] > 0.01
    rng = np.random.default_rng(8)
    x = rng.uniform(0, 1, 3000)
    wave = rng.random(3000) < 0.5 + 0.4 * np.sin(12 * x)
    wrong = SelectionFunction.fit({"x": x}, wave, degree=1)
    assert wrong.goodness["p_value"] < 1e-6
    assert wrong.goodness["dof"] == wrong.goodness["bins"] - 2


def test_p_values_of_right_fits_are_spread_evenly():
    rng = np.random.default_rng(9)
    p_values = []
    for _ in range(300):
        x = rng.uniform(-1, 1, 400)
        outcome = rng.random(400) < expit(0.5 + x)
        design = np.stack([np.ones_like(x), x], axis=-1)
        probability = predict_logistic(design, *fit_logistic(design, outcome), 0)[0]
        cell = np.floor((x + 1) * 4).astype(int)
        p_values.append(goodness_of_fit(cell, outcome, probability, 2)["p_value"])
    shares = np.histogram(p_values, bins=4, range=(0, 1))[0] / 300
    np.testing.assert_allclose(shares, 0.25, atol=0.09)


def test_file_gives_the_same_function(fitted, tmp_path):
    path = tmp_path / "selection.ecsv"
    fitted.write(path)
    again = SelectionFunction.read(path)
    where = {"redshift": [0.15, 0.3], "richness": [25, 120]}
    np.testing.assert_array_equal(again.completeness(**where), fitted.completeness(**where))
    assert again.table.colnames == fitted.table.colnames
    np.testing.assert_array_equal(again.table["n"], fitted.table["n"])
    for name in ("properties", "log", "ranges", "goodness", "counts", "provenance", "degree"):
        assert getattr(again, name) == getattr(fitted, name)
    with pytest.raises(OutputExistsError, match="exists"):
        fitted.write(path)
    fitted.write(path, overwrite=True)


def test_file_keeps_units(tmp_path):
    rng = np.random.default_rng(2)
    fit = SelectionFunction.fit({"flux": rng.random(50) * u.uJy}, rng.random(50) < 0.5)
    fit.write(tmp_path / "s.ecsv")
    again = SelectionFunction.read(tmp_path / "s.ecsv")
    assert again.table["flux_low"].unit == u.uJy
    assert again.completeness(flux=500 * u.nJy) == fit.completeness(flux=0.5)


def test_files_that_are_none(fitted, tmp_path):
    with pytest.raises(InputError, match=r"s.fits: a selection function is written as .ecsv"):
        fitted.write(tmp_path / "s.fits")
    QTable({"a": [1]}).write(tmp_path / "other.ecsv")
    with pytest.raises(InputError, match="other.ecsv: holds no selection function"):
        SelectionFunction.read(tmp_path / "other.ecsv")
    QTable({"a": [1]}, meta={"selection_function": {"degree": 1}}).write(tmp_path / "part.ecsv")
    with pytest.raises(InputError, match="part.ecsv: its selection function lacks 'properties'"):
        SelectionFunction.read(tmp_path / "part.ecsv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": {}}, r"a dict of one or two properties, got \[\]"),
        ({"values": [1, 2]}, "a dict of one or two properties, got list"),
        ({"values": {"x": np.arange(99)}}, r"one length, got shapes \[\(99,\), \(100,\)\]"),
        ({"values": {"x": ["a"] * 100}}, "x must hold numbers, got <U1"),
        ({"values": {"x": np.ones(100)}}, "x must take more than one value, got 1 in each row"),
        ({"values": {"x": np.full(100, np.nan)}}, "at least 10 objects, got 0; 100 set aside: x"),
        ({"values": {"x": np.arange(100) % 2}}, "x.* too few different values|too few different"),
        ({"recovered": np.full(100, 2)}, "recovered must hold True and False"),
        ({"degree": 4}, "degree must be one of 1, 2, 3; got 4"),
        ({"confidence": 95}, "confidence must be between 0 and 1, got 95"),
        ({"confidence": "0.9"}, "confidence must be between 0 and 1, got '0.9'"),
        ({"log": 3}, "log must be names of properties, got 3"),
        ({"log": ["mass"]}, "log must be one of 'redshift', 'richness'; got 'mass'"),
        ({"bins": 0}, "bins of redshift must be an integer above 0 or ascending edges, got 0"),
        ({"bins": {"mass": 3}}, "bins must be one of 'redshift', 'richness'; got 'mass'"),
        ({"bins": {"redshift": [0.3, 0.1]}}, "bins of redshift must be an integer above 0"),
    ],
)
def test_bad_parameters(change, message):
    values, recovered = sample(100)
    arguments = {"values": values, "recovered": recovered, **change}
    with pytest.raises(InputError, match=message):
        SelectionFunction.fit(**arguments)


def evaluated(**options):
    """An evaluation of detections that find half of the clusters, more of the rich ones."""
    rng = np.random.default_rng(11)
    n = 200
    truth = QTable(
        {
            "ra": rng.uniform(10, 30, n) * u.deg,
            "dec": rng.uniform(-10, 10, n) * u.deg,
            "redshift": rng.uniform(0.1, 0.4, n),
            "richness": 20 * 10 ** rng.uniform(0, 1, n),
        }
    )
    score = np.clip(0.2 + 0.5 * np.log10(truth["richness"] / 20) + rng.normal(0, 0.15, n), 0, 1)
    found = QTable({"ra": truth["ra"], "dec": truth["dec"], "score": score})[score > 0.3]
    return evaluate(found, truth, 5 * u.arcsec, redshift="redshift", **options), score


def test_from_an_evaluation():
    evaluation, score = evaluated()
    fit = SelectionFunction.from_evaluation(evaluation, threshold=0.45, degree=1)
    assert fit.properties == ("redshift", "richness")
    assert fit.counts["recovered"] == (score > 0.45).sum()
    assert fit.provenance["threshold"] == 0.45
    assert fit.provenance["radius"]
    value = fit.completeness(redshift=0.2, richness=[25, 150]).value
    assert value[0] < value[1]
    best = SelectionFunction.from_evaluation(evaluation, properties=["richness"])
    assert best.properties == ("richness",)
    assert best.provenance["threshold"] == evaluation.best_threshold


def test_from_an_evaluation_that_matches_anew_at_each_threshold(tmp_path):
    evaluation, score = evaluated(find="separation", ranges={"redshift": (0.2, 0.4)})
    fit = SelectionFunction.from_evaluation(evaluation, threshold=0.5)
    counted = np.asarray(evaluation.truth["status"]) == "counted"
    assert fit.counts["n"] == counted.sum() < 200
    assert fit.counts["recovered"] == (score[counted] > 0.5).sum()
    fit.write(tmp_path / "s.ecsv")
    assert SelectionFunction.read(tmp_path / "s.ecsv").provenance == fit.provenance
    with pytest.raises(InputError, match="threshold must be one of"):
        SelectionFunction.from_evaluation(evaluation, threshold=0.45)


def test_properties_that_the_truth_does_not_have():
    evaluation, _ = evaluated()
    with pytest.raises(InputError, match="truth has no values of magnitude; it has those of .*ra"):
        SelectionFunction.from_evaluation(evaluation, properties=["magnitude"])
    with pytest.raises(InputError, match="properties must be names of properties, got 3"):
        SelectionFunction.from_evaluation(evaluation, properties=3)
    with pytest.raises(InputError, match="threshold must be a finite number, got 'best'"):
        SelectionFunction.from_evaluation(evaluation, threshold="best")
