"""Evaluations against paper I's table, loops over every pair, and other code."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, angular_separation
from astropy.table import MaskedColumn, QTable, Table
from mocpy import MOC

from astro_objdet.catalogs.crossmatch import crossmatch
from astro_objdet.catalogs.evaluating import tables
from astro_objdet.catalogs.evaluation import evaluate
from astro_objdet.errors import InputError

# Paper I, Table 2: true and false positives above 0, 10, ... 100 per cent, of 204 clusters.
PAPER_TP = [203, 198, 197, 193, 191, 188, 181, 177, 165, 136, 0]
PAPER_FP = [60997, 538, 391, 302, 243, 202, 163, 119, 72, 29, 0]


def angles_of(found, truth):
    """Separations of all pairs, arcsec."""
    positions = [SkyCoord(table["ra"], table["dec"], unit="deg") for table in (found, truth)]
    return positions[0][:, None].separation(positions[1]).arcsec


def slow_matches(angles, score, radius, threshold, find, inclusive):
    """True object of each detection, pair by pair; radius in arcsec of all or by truth row."""
    pairs = []
    for row, angle in enumerate(angles):
        if score[row] > threshold or (inclusive and score[row] == threshold):
            pairs += [(angle[n], row, n) for n in np.flatnonzero(angle <= radius).tolist()]
    first = (lambda pair: (-score[pair[1]], *pair)) if find == "score" else None
    matched, taken = {}, set()
    for _, row, number in sorted(pairs, key=first):
        if row not in matched and number not in taken:
            matched[row] = number
            taken.add(number)
    return matched


def test_paper_1_table_2_from_a_sky_with_its_detections():
    truth = Table({"ra": np.arange(204) * 1.5, "dec": np.full(204, 10.0)})
    truth["redshift"] = 0.15
    scores, ra, dec = [], [], []
    for hits, offset in ((PAPER_TP, 20 / 3600), (PAPER_FP, 0.5)):
        for step in range(10):
            number = hits[step] - hits[step + 1]
            # All lie in the middle of their bin, false ones over and over on the same images.
            rows = np.arange(hits[step + 1], hits[step]) % 204
            scores.append(np.full(number, step / 10 + 0.05))
            ra.append(rows * 1.5)
            dec.append(np.full(number, 10 + offset))
    columns = {"ra": ra, "dec": dec, "score": scores}
    found = Table({name: np.concatenate(parts) for name, parts in columns.items()})
    table = evaluate(found, truth, 100 * u.kpc).thresholds
    assert table["tp"].tolist() == PAPER_TP
    assert table["fp"].tolist() == PAPER_FP
    assert table["fn"].tolist() == [204 - tp for tp in PAPER_TP]
    assert [f"{value:.4f}" for value in table["f1"][[0, 8]]] == ["0.0066", "0.7483"]


def test_a_second_box_on_a_cluster_is_false():
    truth = Table({"ra": [10.0], "dec": [0.0], "redshift": [0.15]})
    found = Table({"ra": [10.0, 10.001], "dec": [0.0, 0.0], "score": [0.5, 0.9]})
    result = evaluate(found, truth)
    assert result.detections["status"].tolist() == ["duplicate", "true"]
    assert result.thresholds["tp"][:9].tolist() == [1] * 9
    assert result.thresholds["fp"][:6].tolist() == [1] * 5 + [0]
    # By separation the closer one is true while it passes.
    closest = evaluate(found, truth, find="separation")
    assert closest.detections["status"].tolist() == ["true", "duplicate"]
    assert closest.recovered(0.8).tolist() == [True]
    assert closest.thresholds["tp"].tolist() == result.thresholds["tp"].tolist()


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("find", ["score", "separation"])
def test_counts_against_a_loop_over_pairs(both, find, inclusive):
    found, truth = both
    result = evaluate(found, truth, "2 arcmin", find=find, inclusive=inclusive)
    score, angles = np.asarray(found["score"]), angles_of(found, truth)
    for row in result.thresholds:
        threshold = row["threshold"]
        matched = slow_matches(angles, score, 120, threshold, find, inclusive)
        above = np.sum(score >= threshold if inclusive else score > threshold)
        assert (row["tp"], row["fp"]) == (len(matched), above - len(matched))
        assert row["fn"] == len(truth) - len(matched)
        recovered = np.flatnonzero(result.recovered(threshold))
        assert sorted(matched.values()) == recovered.tolist()
    everything = slow_matches(angles, score, 120, -1, find, inclusive)
    pairs = enumerate(result.detections["truth_row"].tolist())
    assert {row: number for row, number in pairs if number >= 0} == everything


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 5.0), (77.0, 89.5), (200.0, -89.5)])
def test_nothing_changes_across_the_wrap_and_near_the_poles(both, ra, dec):
    found, truth = both
    frame = SkyCoord(150 * u.deg, 2 * u.deg).skyoffset_frame()
    moved = []
    for table in both:
        at = SkyCoord(table["ra"], table["dec"], unit="deg").transform_to(frame)
        target = SkyCoord(ra * u.deg, dec * u.deg).skyoffset_frame()
        there = SkyCoord(at.lon, at.lat, frame=target).icrs
        table = table.copy()
        table["ra"], table["dec"] = there.ra.deg, there.dec.deg
        moved.append(table)
    names = ("tp", "fp", "fn")
    here, there = evaluate(found, truth), evaluate(*moved)
    for name in names:
        np.testing.assert_array_equal(here.thresholds[name], there.thresholds[name])
    assert there.centre["rms_kpc"] == pytest.approx(here.centre["rms_kpc"], rel=1e-6)


def test_the_order_of_rows_does_not_matter(both):
    found, truth = both
    rng = np.random.default_rng(8)
    result = evaluate(found, truth, jackknife=False)
    mixed = evaluate(
        found[rng.permutation(len(found))], truth[rng.permutation(len(truth))], jackknife=False
    )
    for name in ("tp", "fp", "fn"):
        np.testing.assert_array_equal(result.thresholds[name], mixed.thresholds[name])


def test_ranges_know_a_property_by_what_it_means(both):
    found, truth = both
    limits = {"redshift": (0.12, 0.18), "richness": (10, np.inf)}
    expected = evaluate(found, truth, ranges=limits)
    truth = truth.copy()
    truth.rename_columns(("redshift", "richness"), ("Z_LAMBDA", "LAMBDA"))
    result = evaluate(found, truth, ranges=limits)
    np.testing.assert_array_equal(result.truth["status"], expected.truth["status"])
    # A column of that very name is meant before.
    truth["richness"] = 5.0
    result = evaluate(found, truth, ranges=limits)
    assert not (result.truth["status"] == "counted").any()


def test_ranges_ignore_objects_and_what_is_on_them(both):
    found, truth = both
    limits = {"redshift": (0.12, 0.18), "richness": (10, np.inf)}
    result = evaluate(found, truth, ranges=limits)
    within = (truth["redshift"] >= 0.12) & (truth["redshift"] <= 0.18) & (truth["richness"] >= 10)
    assert (result.truth["status"] == np.where(within, "counted", "ignored")).all()
    assert "redshift not in 0.12 to 0.18" in result.truth["reason"]
    radius = np.asarray(result.truth["radius"].to_value(u.arcsec))
    close = angles_of(found, truth) <= radius
    status, passed = result.detections["status"], np.asarray(found["score"]) > 0.3
    on_ignored = close[:, ~within].any(axis=1) & (status != "true")
    np.testing.assert_array_equal(status == "ignored", on_ignored)
    row = result.at(0.3)
    assert row["ignored"] == np.sum(on_ignored & passed) > 0
    assert row["tp"] + row["fp"] + row["ignored"] == passed.sum()
    assert row["tp"] + row["fn"] == within.sum()
    # What stands beside is what one gets without the other objects.
    absent = evaluate(found, truth[within]).at(0.3)
    assert (row["tp"], row["fp_strict"]) == (absent["tp"], absent["fp"])
    assert row["purity_strict"] == absent["purity"]
    assert row["f1_strict"] == absent["f1"]


def test_an_object_that_is_counted_comes_before_one_that_is_not():
    truth = Table({"ra": [10.0, 10.002], "dec": [0.0, 0.0], "redshift": [0.15, 0.3]})
    found = Table({"ra": [10.0018], "dec": [0.0], "score": [0.9]})
    result = evaluate(found, truth, ranges={"redshift": (0.1, 0.2)})
    assert result.detections["status"].tolist() == ["true"]
    assert result.detections["truth_row"].tolist() == [0]


def test_outside_of_the_footprint_nothing_counts(both):
    found, truth = both
    found = found.copy()
    half = [[150.0, 1.0], [149.0, 1.0], [149.0, 3.0], [150.0, 3.0]]
    found.meta["footprint_deg"] = half
    result = evaluate(found, truth)
    clear = np.abs(np.asarray(truth["ra"]) - 150) > 0.002
    outside = np.asarray(truth["ra"]) > 150
    np.testing.assert_array_equal((result.truth["status"] == "outside")[clear], outside[clear])
    detected = np.asarray(found["ra"])
    clear = (np.abs(detected - 150) > 0.01) & (np.abs(found["dec"] - 2) < 0.99)
    statuses = result.detections["status"]
    np.testing.assert_array_equal((statuses == "outside")[clear], (detected > 150)[clear])
    assert result.area.to_value(u.deg**2) == pytest.approx(2, rel=0.01)
    row = result.at(0)
    assert row["tp"] + row["fn"] == np.sum(result.truth["status"] == "counted")
    anywhere = evaluate(found, truth, footprint="none")
    assert anywhere.area is None
    assert np.isnan(anywhere.thresholds["false_per_deg2"]).all()
    assert anywhere.at(0)["fn"] + anywhere.at(0)["tp"] == len(truth)
    given = evaluate(found, truth, footprint=MOC.from_string("0/0-11"), area=9 * u.deg**2)
    assert given.area == 9 * u.deg**2
    assert given.at(0)["tp"] == anywhere.at(0)["tp"]


def test_a_detection_inside_of_an_object_outside_is_ignored():
    found = Table({"ra": [10.0], "dec": [0.0], "score": [0.9]})
    found.meta["footprint_deg"] = [[10.1, -0.1], [9.999, -0.1], [9.999, 0.1], [10.1, 0.1]]
    truth = Table({"ra": [9.997], "dec": [0.0], "redshift": [0.15]})
    result = evaluate(found, truth)
    assert result.detections["status"].tolist() == ["ignored"]
    assert (result.at(0)["fp"], result.at(0)["fp_strict"], result.at(0)["fn"]) == (0, 1, 0)


def test_everything_outside(both):
    found, truth = both
    away = MOC.from_string("5/0")
    result = evaluate(found, truth, footprint=away)
    assert set(result.detections["status"]) == set(result.truth["status"]) == {"outside"}
    assert not np.any([result.thresholds[name] for name in ("tp", "fp", "fn", "ignored")])
    assert result.thresholds["purity_high"].tolist() == [1] * 11
    json.dumps(result.to_dict(), allow_nan=False)


def test_rows_that_cannot_be_used_are_set_aside_and_counted():
    found = Table({"ra": MaskedColumn([10.0, 10, 10, 10, 10], mask=[1, 0, 0, 0, 0])})
    found["dec"] = [0.0, np.nan, 91, 0, 0]
    found["score"] = MaskedColumn([0.9, 0.9, 0.9, np.nan, 0.9], mask=[0, 0, 0, 0, 1])
    truth = Table({"ra": [10.0, np.inf, 10, 10], "dec": [0.0] * 4})
    truth["z"] = MaskedColumn([0.1, 0.1, -1, 0.2], mask=[0, 0, 0, 1])
    result = evaluate(found, truth)
    assert result.detections["status"].tolist() == ["set aside"] * 5
    assert result.detections["reason"][:3].tolist() == [
        "position masked",
        "position is NaN or infinite",
        "|dec| > 90",
    ]
    assert result.truth["status"].tolist() == ["counted"] + ["set aside"] * 3
    assert result.meta["not_counted"]["truth"] == {
        "position is NaN or infinite": 1,
        "redshift is 0 or negative": 1,
        "redshift masked": 1,
    }
    assert sum(result.meta["not_counted"]["found"].values()) == 5
    assert (result.at(0)["tp"], result.at(0)["fp"], result.at(0)["fn"]) == (0, 0, 1)
    # An angle needs no redshift.
    assert evaluate(found, truth, 5 * u.arcsec).at(0)["fn"] == 3


@pytest.mark.parametrize("empty", ["found", "truth", "both"])
def test_empty_tables_give_whole_results(both, evaluated, empty):
    found, truth = both
    found = found[:0] if empty != "truth" else found
    truth = truth[:0] if empty != "found" else truth
    result = evaluate(found, truth)
    for name in ("thresholds", "detections", "truth", "ks"):
        whole, part = getattr(evaluated, name), getattr(result, name)
        assert part.colnames == whole.colnames
        for column in part.colnames:
            assert getattr(part[column], "unit", None) == getattr(whole[column], "unit", None)
    assert len(result.detections) == len(found)
    assert len(result.truth) == len(truth)
    assert len(result.ks) == 5
    row = result.at(0)
    assert (row["tp"], row["fp"], row["fn"]) == (0, np.sum(found["score"] > 0), len(truth))
    assert result.average_precision == 0
    assert result.centre["n"] == 0
    assert "threshold" in result.summary()
    json.dumps(result.to_dict(), allow_nan=False)


def test_scores_that_are_all_nan(both):
    found, truth = both
    found = found.copy()
    found["score"] = np.nan
    result = evaluate(found, truth)
    assert set(result.detections["status"]) == {"set aside"}
    assert result.thresholds["fn"].tolist() == [len(truth)] * 11


def test_detections_without_scores_count_alike(both):
    found, truth = both
    result = evaluate(found["ra", "dec"], truth)
    assert result.thresholds["threshold"].tolist() == [0]
    assert result.at()["tp"] + result.at()["fp"] == len(found)
    assert "no column of scores" in result.summary()


def test_scores_beyond_one_need_thresholds(both):
    found, truth = both
    found = found.copy()
    found["score"] *= 100
    with pytest.raises(InputError, match=r"thresholds must be given .* 'score' .* reaches"):
        evaluate(found, truth)
    percent = evaluate(found, truth, thresholds=[100, 0, 50])
    assert percent.thresholds["threshold"].tolist() == [0, 50, 100]


def test_a_radius_of_a_column_of_truth(both):
    found, truth = both
    truth = truth.copy()
    truth["psf_fwhm"] = np.linspace(10, 60, len(truth)) * u.arcsec
    result = evaluate(found, truth, "0.75 psf_fwhm", inclusive=True)
    np.testing.assert_allclose(result.truth["radius"].value, 0.75 * truth["psf_fwhm"])
    score, radius = np.asarray(found["score"]), 0.75 * np.asarray(truth["psf_fwhm"])
    matched = slow_matches(angles_of(found, truth), score, radius, 0.3, "score", True)
    assert result.at(0.3)["tp"] == len(matched)
    assert result.meta["rule"] == "score ≥ threshold"


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"find": "best"}, "find must be one of 'score', 'separation'; got 'best'"),
        ({"thresholds": []}, r"thresholds must be one or more finite numbers, got \[\]"),
        ({"thresholds": [0, np.nan]}, "thresholds must be one or more finite numbers"),
        ({"thresholds": "high"}, "thresholds must be one or more finite numbers, got 'high'"),
        ({"ranges": {"redshift": 3}}, r"the range of redshift must be \(low, high\)"),
        ({"ranges": {"redshift": (2, 1)}}, r"with low ≤ high, got \(2, 1\)"),
        ({"ranges": {"mass": (1, 2)}}, "mass"),
        ({"footprint": "all"}, "footprint must be one of 'none'; got 'all'"),
        ({"footprint": 3}, "footprint must be a MOC or 'none', got int"),
        ({"area": 3}, "area must be an area of the sky"),
        ({"area": 3 * u.deg}, "area must be an area of the sky"),
        ({"area": -3 * u.deg**2}, "area must be a finite number above 0"),
        ({"jackknife": -1}, "jackknife must be True, False or a number of pieces, got -1"),
        ({"jackknife": 2.5}, "jackknife must be True, False or a number of pieces, got 2.5"),
        ({"confidence": 95}, "confidence must be between 0 and 1, got 95"),
        ({"redshift": -0.1}, "redshift must be a finite number above 0, got -0.1"),
        ({"redshift": "photoz"}, "photoz"),
        ({"radius": 3 * u.Jy}, "radius must be an angle or a length, got unit 'Jy'"),
        ({"score": "confidence"}, "confidence"),
        ({"found": {"ra": 1}}, "found must be an astropy Table, got dict"),
        ({"truth": [1]}, "truth must be an astropy Table, got list"),
        ({"ranges": [("redshift", (0, 1))]}, "ranges must be a dict of .low, high. by column"),
        ({"confidence": "0.9"}, "confidence must be between 0 and 1, got '0.9'"),
        ({"found_columns": ("ra", "dec", "score")}, "found_columns must be two names"),
        ({"truth_columns": "ra"}, "truth table: 'ra' is no column of coordinates"),
        ({"ranges": {"radius": (0, 1)}}, "truth table: no column 'radius'"),
        ({"ranges": {"kpc_per_arcsec": (0, 1)}}, "truth table: no column 'kpc_per_arcsec'"),
        ({"ranges": {"field_x": (0, 1)}}, "truth table: no column 'field_x'"),
    ],
)
def test_bad_parameters_are_named(both, options, rule):
    given = dict(zip(("found", "truth"), both, strict=True)) | options
    with pytest.raises(InputError, match=rule):
        evaluate(**given)


def test_a_length_needs_a_redshift(both):
    found, truth = both
    with pytest.raises(InputError, match="needs a redshift"):
        evaluate(found, truth["ra", "dec"])
    same = evaluate(found, truth["ra", "dec"], redshift=0.15)
    assert same.meta["columns"]["truth"]["redshift"] == 0.15
    assert len(np.unique(same.truth["radius"])) == 1
    assert np.isfinite(same.centre["rms_kpc"])


def test_names_of_columns_and_frames(both):
    found, truth = both
    galactic = SkyCoord(truth["ra"], truth["dec"], unit="deg").galactic
    other = Table({"u": galactic.l.deg, "v": galactic.b.deg, "photo": truth["redshift"]})
    named = found.copy()
    named.rename_columns(["ra", "dec", "score"], ["east", "north", "p"])
    options = {"found_columns": ("east", "north"), "score": "p", "redshift": "photo"}
    options |= {"truth_columns": ("u", "v"), "truth_frame": "galactic"}
    result = evaluate(named, other, **options)
    np.testing.assert_array_equal(result.thresholds["tp"], evaluate(found, truth).thresholds["tp"])


def test_one_column_of_coordinates(both):
    found, truth = both
    moved = QTable({"pos": SkyCoord(found["ra"], found["dec"], unit="deg"), "ra": found["dec"]})
    moved["score"] = found["score"]
    expected = evaluate(found, truth).thresholds["tp"]
    for columns in ("pos", ("pos",)):
        result = evaluate(moved, truth, found_columns=columns)
        np.testing.assert_array_equal(result.thresholds["tp"], expected)


@pytest.mark.parametrize("find", ["score", "separation"])
def test_separations_are_computed_once_for_all_thresholds(both, monkeypatch, find):
    computed = []

    def counting(*angles):
        computed.append(len(angles[0]))
        return angular_separation(*angles)

    monkeypatch.setattr(tables, "angular_separation", counting)
    found, truth = both
    result = evaluate(found, truth, find=find)
    assert len(computed) == (1 if find == "score" else 12)
    # At each threshold they are those of its pairs.
    angles = angles_of(found, truth)
    for row, matched in zip(result.thresholds, map(result.matches.at, range(11)), strict=True):
        numbers = np.flatnonzero(matched >= 0)
        expected = angles[matched[numbers], numbers]
        centre = result.centre_at(row["threshold"])
        assert centre["n"] == len(numbers) == row["tp"]
        if len(numbers):
            assert centre["rms_arcsec"] == pytest.approx(np.sqrt(np.mean(expected**2)))
            assert centre["median_arcsec"] == pytest.approx(np.median(expected))


def test_real_clusters_as_the_crossmatch_has_them(sample_data):
    folder = sample_data / "catalogs"
    abell = Table.read(folder / "abell-all.fits")
    redmapper = Table.read(folder / "redmapper_dr8_public_v5.10_catalog.fits")
    result = evaluate(abell, redmapper, "1 Mpc", redshift="Z_LAMBDA")
    assert result.at()["tp"] == len(crossmatch(abell, redmapper, "1 Mpc", redshift="Z_LAMBDA"))
    assert result.at()["tp"] > 1000
