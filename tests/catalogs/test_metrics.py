"""The published tables from the published counts, and the statistics against others' code."""

import numpy as np
import pytest
from astropy import units as u
from astropy.stats import binom_conf_interval, poisson_conf_interval
from scipy import stats

from astro_objdet.catalogs import metrics
from astro_objdet.errors import InputError

# Paper I: threshold in per cent, TP, FP, FN, precision, recall, F1-score as printed.
TABLE_2 = """
0 203 60997 1 0.003317 0.9951 0.006612
10 198 538 6 0.2690 0.9706 0.4213
20 197 391 7 0.3350 0.9657 0.4975
30 193 302 11 0.3899 0.9461 0.5522
40 191 243 13 0.4401 0.9363 0.5987
50 188 202 16 0.4821 0.9216 0.6330
60 181 163 23 0.5262 0.8873 0.6606
70 177 119 27 0.5980 0.8676 0.7080
80 165 72 39 0.6962 0.8088 0.7483
90 136 29 68 0.8242 0.6667 0.7371
100 0 0 204 0.00 0.00 0.00
"""
TABLE_3 = """
0 30 9270 1 0.003226 0.9677 0.006430
10 29 50 2 0.3671 0.9355 0.5273
20 29 29 2 0.50 0.9355 0.6517
30 29 23 2 0.5577 0.9355 0.6988
40 28 18 3 0.6087 0.9032 0.7273
50 28 14 3 0.6667 0.9032 0.7671
60 28 11 3 0.7179 0.9032 0.80
70 27 8 4 0.7714 0.8710 0.8182
80 23 4 8 0.8519 0.7419 0.7931
90 17 0 14 1.00 0.5484 0.7083
100 0 0 31 0.00 0.00 0.00
"""


def rows(table):
    return [line.split() for line in table.split("\n") if line]


def as_printed(value, printed):
    """The value with as many decimals as the paper prints."""
    return f"{value:.{len(printed) - 2}f}"


@pytest.mark.parametrize("row", rows(TABLE_2) + rows(TABLE_3), ids=lambda row: "-".join(row[:3]))
def test_paper_1_tables_2_and_3_to_the_printed_digits(row):
    tp, fp, fn = (int(number) for number in row[1:4])
    purity, completeness = metrics.purity(tp, fp), metrics.completeness(tp, fn)
    values = purity, completeness, metrics.f1(purity, completeness)
    assert [as_printed(*pair) for pair in zip(values, row[4:], strict=True)] == row[4:]


@pytest.mark.parametrize(("table", "best"), [(TABLE_2, 80), (TABLE_3, 70)])
def test_paper_1_best_thresholds(table, best):
    threshold, tp, fp, fn = np.array([row[:4] for row in rows(table)], dtype=int).T
    f1 = metrics.f1(metrics.purity(tp, fp), metrics.completeness(tp, fn))
    assert threshold[np.argmax(f1)] == best
    assert len(set(tp + fn)) == 1


def test_paper_2_table_3_f1_where_the_printed_ap_and_ar_give_it():
    printed = [
        (0.40, 0.39, 0.40),
        (0.42, 0.82, 0.56),
        (0.07, 0.73, 0.13),
        (0.44, 0.68, 0.54),
        (0.44, 0.67, 0.53),
    ]
    given = [round(float(metrics.f1_of_averages(ap, ar)), 2) for ap, ar, _ in printed]
    # Rows 1 and 4 come out 0.01 lower from the inputs as printed ...
    assert given == [0.39, 0.56, 0.13, 0.53, 0.53]
    # ... but all are what inputs that round to those give.
    for ap, ar, f1 in printed:
        low = metrics.f1_of_averages(ap - 0.005, ar - 0.005)
        high = metrics.f1_of_averages(ap + 0.005, ar + 0.005)
        assert low < f1 + 0.005
        assert high > f1 - 0.005


def test_average_precision_of_paper_1_table_2_by_hand():
    _, tp, fp, fn = np.array([row[:4] for row in rows(TABLE_2)], dtype=int).T
    purity, completeness = metrics.purity(tp, fp), metrics.completeness(tp, fn)
    area, before = 0.0, 0.0
    for p, r in zip(purity[::-1], completeness[::-1], strict=True):
        area += (r - before) * p
        before = r
    assert metrics.average_precision(purity, completeness) == pytest.approx(area, rel=1e-14)
    backwards = metrics.average_precision(purity[::-1], completeness[::-1])
    assert backwards == metrics.average_precision(purity, completeness)


def test_average_precision_of_simple_cases():
    assert metrics.average_precision([], []) == 0
    assert metrics.average_precision([1, 1], [1, 0.5]) == 1
    assert metrics.average_precision([0.5, 0], [0.8, 0]) == pytest.approx(0.4)
    with pytest.raises(InputError, match="same length, got 2 and 1"):
        metrics.average_precision([1, 1], [1])


def test_average_recall_is_twice_the_area():
    iou = np.linspace(0.5, 1, 11)
    assert metrics.average_recall(iou, np.ones(11)) == pytest.approx(1)
    assert metrics.average_recall(iou, 2 * (1 - iou)) == pytest.approx(0.5)
    assert metrics.average_recall([0.4, 0.6, 1.0], [1, 1, 0]) == pytest.approx(0.6)
    assert metrics.average_recall(np.arange(0.5, 1.01, 0.05), np.ones(11)) == pytest.approx(1)
    with pytest.raises(InputError, match=r"iou must rise from 0\.5 to 1"):
        metrics.average_recall([0.5, 0.95], [1, 0])


def test_ratios_are_zero_where_undefined_and_keep_shapes():
    assert metrics.purity(0, 0) == 0
    assert metrics.completeness(0, 0) == 0
    assert metrics.f1(0, 0) == 0
    assert metrics.purity([[3], [0]], [1, 0]).shape == (2, 2)
    np.testing.assert_array_equal(metrics.purity([[3], [0]], [1, 0]), [[0.75, 1], [0, 0]])


def test_wilson_is_that_of_astropy():
    k, n = np.array([0, 1, 5, 165, 204]), np.array([1, 4, 5, 237, 204])
    low, high = metrics.wilson(k, n, 0.9)
    expected = binom_conf_interval(k, n, 0.9, interval="wilson")
    np.testing.assert_allclose([low, high], expected, atol=1e-15)
    exact = stats.binomtest(165, 237).proportion_ci(0.95, method="wilson")
    assert metrics.wilson(165, 237) == pytest.approx((exact.low, exact.high), rel=1e-12)


def test_wilson_of_effective_numbers():
    # Between those of the whole numbers around.
    low, high = metrics.wilson([3, 3.5, 4], [10, 10, 10])
    assert (np.diff(low) > 0).all()
    assert (np.diff(high) > 0).all()
    # The ends are where the share lies z standard deviations away (Wilson 1927).
    k, n, z = 2.5, 7.25, stats.norm.ppf(0.975)
    for end in metrics.wilson(k, n):
        assert abs(k / n - end) == pytest.approx(z * np.sqrt(end * (1 - end) / n))


def test_wilson_without_trials_and_with_bad_ones():
    assert metrics.wilson(0, 0) == (0, 1)
    low, high = metrics.wilson([0, 3], [0, 3])
    assert (low[0], high[0], high[1]) == (0, 1, 1)
    assert 0 < low[1] < 1
    low, high = metrics.wilson([], [])
    assert low.shape == high.shape == (0,)
    with pytest.raises(InputError, match="k must be between 0 and n"):
        metrics.wilson(5, 4)
    with pytest.raises(InputError, match=r"confidence must be between 0 and 1, got 95"):
        metrics.wilson(1, 4, 95)
    with pytest.raises(InputError, match=r"confidence must be between 0 and 1, got '0.9'"):
        metrics.poisson_interval(1, "0.9")
    with pytest.raises(InputError, match="k must be between 0 and n"):
        metrics.wilson(np.nan, 4)


@pytest.mark.parametrize("interval", [metrics.wilson, None])
def test_intervals_hold_the_truth_as_often_as_they_say(interval):
    rng = np.random.default_rng(3)
    if interval:
        low, high = metrics.wilson(rng.binomial(80, 0.7, 4000), 80)
        share = np.mean((low <= 0.7) & (high >= 0.7))
    else:
        low, high = metrics.poisson_interval(rng.poisson(7.3, 4000))
        share = np.mean((low <= 7.3) & (high >= 7.3))
    assert 0.935 < share < 0.985


def test_poisson_interval_is_garwoods():
    n = np.array([0, 1, 7, 1000])
    expected = poisson_conf_interval(n, "frequentist-confidence", sigma=2)
    confidence = 1 - 2 * stats.norm.sf(2)
    np.testing.assert_allclose(metrics.poisson_interval(n, confidence), expected, rtol=1e-9)
    assert metrics.poisson_interval(0)[0] == 0
    # Garwood (1936), Table 1: no events, 95 per cent central.
    assert metrics.poisson_interval(0)[1] == pytest.approx(3.689, abs=5e-4)


def test_centre_error():
    assert metrics.centre_error([3, 4]) == pytest.approx(np.sqrt(12.5))
    in_kpc = metrics.centre_error([3, np.nan, 4] * u.kpc)
    assert in_kpc.to_value(u.pc) == pytest.approx(1000 * np.sqrt(12.5))
    assert np.isnan(metrics.centre_error([]))
    assert np.isnan(metrics.centre_error([] * u.kpc))


def test_ks_critical_value_of_paper_1_is_the_one_sided_one():
    critical = metrics.ks_critical(204, 165)
    assert f"{critical:.4f}" == "0.1281"
    # The paper's statistics, of redshift, magnitude and richness.
    assert max(0.06275, 0.07335, 0.02193) < critical
    assert metrics.ks_critical(204, 165, sides=2) == pytest.approx(0.1422, abs=1e-4)


def test_ks_critical_is_where_the_p_value_is_alpha():
    n1, n2 = 4000, 3000
    effective = np.sqrt(n1 * n2 / (n1 + n2))
    two_sided = metrics.ks_critical(n1, n2, sides=2)
    # One term of Kolmogorov's series is left out: 2e-6 here.
    assert stats.kstwobign.sf(two_sided * effective) == pytest.approx(0.05, abs=1e-4)
    one_sided = metrics.ks_critical(n1, n2)
    assert stats.ksone.sf(one_sided, int(effective**2)) == pytest.approx(0.05, abs=2e-3)


def test_ks_critical_of_nothing_and_bad_parameters():
    assert np.isnan(metrics.ks_critical(0, 10))
    with pytest.raises(InputError, match="sides must be one of 1, 2; got 3"):
        metrics.ks_critical(5, 5, sides=3)
    with pytest.raises(InputError, match="alpha must be between 0 and 1, got 5"):
        metrics.ks_critical(5, 5, alpha=5)


def test_jackknife_against_a_loop_over_pieces():
    rng = np.random.default_rng(5)
    tp, fp, fn = rng.poisson(4, (3, 30, 2))
    errors = metrics.jackknife(tp, fp, fn)
    for step in range(2):
        left = []
        for piece in range(30):
            t, f, n = (np.delete(counts[:, step], piece).sum() for counts in (tp, fp, fn))
            left.append((t / (t + f), t / (t + n), 2 * t / (2 * t + f + n)))
        spread = np.sqrt(29 / 30 * np.sum((left - np.mean(left, axis=0)) ** 2, axis=0))
        np.testing.assert_allclose([error[step] for error in errors], spread, rtol=1e-12)


def test_jackknife_agrees_with_the_scatter_of_many_skies():
    rng = np.random.default_rng(6)
    found = rng.binomial(50, 0.8, (300, 60))
    errors, values = [], []
    for tp in found:
        counts = tp[:, None], np.zeros((60, 1), int), 50 - tp[:, None]
        errors.append(metrics.jackknife(*counts).completeness[0])
        values.append(tp.sum() / 3000)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.12)


def test_jackknife_of_few_pieces_is_unknown():
    errors = metrics.jackknife(*np.ones((3, 9, 4), int))
    assert np.isnan(errors).all()
    assert errors.f1.shape == (4,)
