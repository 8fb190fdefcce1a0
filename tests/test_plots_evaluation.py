"""Figures of an evaluation: what is on them, and that nothing to show makes one too."""

import io

import numpy as np
import pytest
from astropy.table import QTable
from evaluation_fixture import PAPER_COUNTS, empty_evaluation, make_evaluation
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from astro_objdet import plots
from astro_objdet.catalogs.calibration import Calibration
from astro_objdet.catalogs.selection import SelectionFunction
from astro_objdet.errors import InputError, OutputExistsError

OF_ONE = (
    plots.purity_completeness,
    plots.threshold_curves,
    plots.centre_distances,
    plots.centre_residuals,
    plots.field_positions,
    plots.property_distributions,
    plots.completeness_against,
    plots.purity_against,
)


@pytest.fixture(scope="module")
def evaluation():
    return make_evaluation()


def texts(figure):
    """All that is written inside the axes of a figure and in its legends."""
    found = []
    for ax in figure.axes:
        found += [text.get_text() for text in ax.texts]
        if ax.get_legend():
            found += [text.get_text() for text in ax.get_legend().get_texts()]
    return [text for text in found if text]


def errorbar_points(ax):
    (container,) = ax.containers
    return np.transpose(container[0].get_data())


@pytest.fixture(scope="module")
def selection():
    rng = np.random.default_rng(3)
    redshift, richness = rng.uniform(0.1, 0.3, 600), 20 + rng.exponential(30, 600)
    odds = 4 * np.log10(richness / 30) - 15 * (redshift - 0.2)
    recovered = rng.random(600) < 1 / (1 + np.exp(-odds))
    values = {"redshift": redshift, "richness": richness}
    return {
        count: SelectionFunction.fit(dict(list(values.items())[-count:]), recovered)
        for count in (1, 2)
    }


def test_points_are_the_rows_of_the_table(evaluation):
    (ax,) = plots.purity_completeness(evaluation).axes
    tp, fp, fn = np.array(PAPER_COUNTS[:-1]).T
    # the last threshold, without detections, is left out as in the paper
    expected = np.transpose([tp / (tp + fn), tp / (tp + fp)])
    np.testing.assert_allclose(errorbar_points(ax), expected)


def test_points_are_labelled_by_threshold_and_the_best_is_told(evaluation):
    shown = texts(plots.purity_completeness(evaluation))
    assert {"0", "0.1", "0.5", "0.8", "0.9"} <= set(shown)
    assert "1" not in shown
    assert "best F1 0.748 at 0.8" in shown


def test_labels_do_not_overlap(evaluation):
    figure = plots.purity_completeness(evaluation)
    figure.draw_without_rendering()
    labels = [text for text in figure.axes[0].texts if not text.get_text().startswith("F1")]
    boxes = [label.get_window_extent() for label in labels]
    meeting = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert not meeting


def test_thresholds_without_a_difference_are_one_point():
    counts = [(5, 1, 0)] * 6 + [(5, 0, 0)] * 3 + [(3, 0, 2), (0, 0, 5)]
    figure = plots.purity_completeness(make_evaluation(counts))
    assert len(errorbar_points(figure.axes[0])) == 3
    assert {"0–0.5", "0.6–0.8", "0.9"} <= set(texts(figure))


def test_several_evaluations_are_told_by_name(evaluation):
    other = make_evaluation([(190, 200, 14)] * 11, seed=2)
    figure = plots.purity_completeness({"mine": evaluation, "theirs": other, "no": _nothing()})
    shown = texts(figure)
    assert "mine: best F1 0.748 at 0.8" in shown
    assert any(text.startswith("theirs: best F1") for text in shown)
    assert "no: nothing to count" in shown
    styles = {line.get_marker() for line in figure.axes[0].lines if line.get_marker() != "None"}
    assert len(styles) == 3


def _nothing():
    return empty_evaluation()


def test_strict_counts_have_their_own_intervals(evaluation):
    table = evaluation.thresholds.copy()
    table["fp_strict"] = table["fp"] + 100
    table["purity_strict"] = table["tp"] / (table["tp"] + table["fp_strict"])
    (ax,) = plots.purity_completeness(table, strict=True).axes
    np.testing.assert_allclose(errorbar_points(ax)[0, 1], 203 / (203 + 1100))


def test_threshold_curves_mark_the_best(evaluation):
    assert {"Completeness", "Purity", "F1", "best: 0.8"} == set(
        texts(plots.threshold_curves(evaluation))
    )


def test_models_at_one_threshold(evaluation):
    runs = [evaluation, make_evaluation([(190, 200, 14)] * 11)]
    figure = plots.model_comparison({"A": runs, "B": evaluation, "C": _nothing()}, 0.8)
    points = [container[0].get_xdata() for container in figure.axes[0].containers]
    assert [len(x) for x in points] == [2, 1, 0]
    np.testing.assert_allclose(points[1], 165 / 204)
    assert {"A", "B", "C: nothing to count", "score threshold 0.8"} == set(texts(figure))


def test_models_without_that_threshold(evaluation):
    with pytest.raises(InputError, match="threshold must be one of 0, 0.1.*; got 0.85"):
        plots.model_comparison({"A": evaluation}, 0.85)


def test_distances_of_all_and_of_the_true(evaluation):
    above, below = plots.centre_distances(evaluation, threshold=0.8).axes
    assert any("237 detections" in text.get_text() for text in above.texts)
    assert sum(patch.get_height() for patch in below.patches) == 165
    assert "100 kpc" in [text.get_text() for text in above.get_legend().get_texts()]
    assert below.get_xlim() == (0, 100)


def test_distances_in_arcsec_without_redshifts(evaluation):
    other = make_evaluation()
    for table in (other.detections, other.truth):
        table["separation_kpc"][:] = np.nan
    below = plots.centre_distances(other).axes[1]
    assert below.get_xlabel() == "Distance from the true centre (arcsec)"
    assert sum(patch.get_height() for patch in below.patches) == 165


def test_positions_in_the_field(evaluation):
    figure = plots.field_positions(evaluation)
    assert {"all (204)", "recovered (165)"} <= set(texts(figure))
    assert any("x: KS" in text and "y: KS" in text for text in texts(figure))


def test_positions_without_fields_say_so():
    figure = plots.field_positions(make_evaluation(fields=False))
    assert texts(figure) == ["The outlines of the fields are not known"]


def test_residuals_have_east_to_the_left(evaluation):
    figure = plots.centre_residuals(evaluation)
    left, right = figure.axes[0].get_xlim()
    assert left > 0 > right
    (label,) = (text for text in texts(figure) if text.startswith("mean"))
    x = evaluation.truth["offset_x"].value[evaluation.recovered()]
    assert f"east {x.mean():+.2f} ± {x.std() / np.sqrt(165):.2f}" in label


def test_properties_and_what_the_ks_test_says(evaluation):
    figure = plots.property_distributions(evaluation)
    assert [ax.get_xlabel() for ax in figure.axes] == ["Redshift", "Magnitude", "Richness"]
    for ax, name in zip(figure.axes, ("redshift", "magnitude", "richness"), strict=True):
        (row,) = evaluation.ks[evaluation.ks["property"] == name]
        (said,) = (text.get_text() for text in ax.texts)
        assert said == f"KS {row['statistic']:.3f}, critical 0.128: no difference"


def test_known_properties_only():
    evaluation = make_evaluation()
    evaluation.truth["magnitude"][:] = np.nan
    figure = plots.property_distributions(evaluation)
    assert [ax.get_xlabel() for ax in figure.axes] == ["Redshift", "Richness"]


def test_completeness_against_a_flux_ratio(evaluation):
    ratio = np.geomspace(0.001, 1, 204)
    figure = plots.completeness_against(
        evaluation, ratio, threshold=0.3, log=True, marks={"3 %": 0.03, "8 %": 0.08}, bins=4
    )
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    assert {"3 %", "8 %", "204 objects"} == set(texts(figure))
    line = next(line for line in ax.lines if len(line.get_xdata()) == 4)
    recovered = evaluation.recovered(0.3)
    number = np.minimum(np.arange(204) * 4 // 203, 3)
    expected = [recovered[number == k].mean() for k in range(4)]
    np.testing.assert_allclose(line.get_ydata(), expected, atol=0.02)


def test_purity_against_the_score_rises(evaluation):
    (ax,) = plots.purity_against(evaluation, threshold=0, bins=[0, 0.5, 1]).axes
    tp, fp = np.array(PAPER_COUNTS)[:, :2].T
    low = (tp[0] - tp[5]) / (tp[0] + fp[0] - tp[5] - fp[5])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [low, tp[5] / (tp[5] + fp[5])])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "flux"}, "by must be a column, of row, ra.*; got 'flux'"),
        ({"by": [1.0, 2.0]}, r"by must be 204 values, one a row, got shape \(2,\)"),
        ({"by": {"other": [1.0]}}, "by must have values for ''; it has other"),
        ({"bins": 0}, "bins must be an integer above 0 or ascending edges, got 0"),
        ({"bins": [2, 1]}, "bins must be an integer above 0 or ascending edges"),
        ({"threshold": 0.33}, "threshold must be one of 0, 0.1"),
    ],
)
def test_what_is_refused(evaluation, options, message):
    with pytest.raises(InputError, match=message):
        plots.completeness_against(evaluation, **options)


def test_map_of_the_selection_function(selection):
    figure = plots.selection_map(selection[2])
    ax, bar = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Redshift", "Richness")
    assert ax.get_yscale() == "log"
    assert bar.get_ylabel() == "Completeness"
    written = set(texts(figure))
    counts = {f"{r['recovered']}/{r['n']}" for r in selection[2].table}
    assert written
    assert written <= counts


def test_line_of_the_selection_function(selection):
    (ax,) = plots.selection_map(selection[1]).axes
    (points,) = ax.containers
    some = selection[1].table["n"] > 0
    np.testing.assert_allclose(points[0].get_ydata(), selection[1].table["completeness"][some])


def test_reliability_of_scores_and_probabilities():
    rng = np.random.default_rng(4)
    score = rng.random(400)
    true = rng.random(400) < score**2
    calibration = Calibration.fit(score, true)
    figure = plots.reliability_diagram(calibration.reliability(score, true))
    assert {"score", "probability", "as it says", "400 detections"} == set(texts(figure))
    more = plots.reliability_diagram(calibration.reliability(score, true), calibration=calibration)
    assert "probability of a score" in texts(more)


def test_reliability_needs_its_table():
    with pytest.raises(InputError, match="it lacks fraction, mean_probability, mean_score"):
        plots.reliability_diagram(QTable({"n": [1]}))


@pytest.mark.parametrize("draw", OF_ONE)
def test_nothing_to_show_is_said(draw):
    figure = draw(_nothing())
    assert all(texts(figure))
    assert not figure.axes[0].get_legend()
    notes = ("No ", "no ")
    assert any(note in text for text in texts(figure) for note in notes)


@pytest.mark.parametrize("draw", OF_ONE)
def test_no_detections_or_no_truth(draw):
    assert draw(make_evaluation([(0, 0, 20)] * 11))
    assert draw(make_evaluation([(0, 20, 0)] * 10 + [(0, 0, 0)]))


@pytest.mark.parametrize("draw", OF_ONE)
def test_saves_whole_and_overwrites_only_if_asked(draw, evaluation, tmp_path):
    path = tmp_path / "figure.png"
    assert isinstance(draw(evaluation, path=path), Figure)
    assert imread(path).shape[0] > 400
    with pytest.raises(OutputExistsError, match="overwriting was not asked for"):
        draw(evaluation, path=path)
    draw(evaluation, path=path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]


def test_unknown_picture_format(evaluation, tmp_path):
    with pytest.raises(InputError, match=r"figure\.txt: cannot be a picture"):
        plots.threshold_curves(evaluation, tmp_path / "figure.txt")
    assert not list(tmp_path.iterdir())


def test_the_same_bytes_each_time(evaluation, tmp_path):
    for name in ("a.svg", "b.svg", "c.png", "d.png"):
        plots.purity_completeness(evaluation, tmp_path / name)
    read = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert read["a.svg"] == read["b.svg"]
    assert read["c.png"] == read["d.png"]


def test_draws_into_given_axes(evaluation):
    figure = Figure()
    FigureCanvasAgg(figure)
    one, two = figure.subplots(1, 2)
    assert plots.threshold_curves(evaluation, ax=one) is figure
    assert one.lines
    assert not two.lines
    with pytest.raises(InputError, match="ax must be 2 axes, got 1"):
        plots.centre_distances(evaluation, ax=one)
    assert plots.centre_distances(evaluation, ax=[one, two]) is figure


def test_style_of_the_user_does_not_change_a_figure(evaluation):
    from matplotlib import rc_context

    def drawn():
        figure, buffer = plots.threshold_curves(evaluation), io.BytesIO()
        figure.savefig(buffer)
        return buffer.getvalue()

    plain = drawn()
    with rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9}):
        figure = plots.threshold_curves(evaluation)
    buffer = io.BytesIO()
    figure.savefig(buffer)
    assert buffer.getvalue() == plain


def test_empty_mapping(evaluation):
    with pytest.raises(InputError, match="at least one, got an empty mapping"):
        plots.purity_completeness({})
