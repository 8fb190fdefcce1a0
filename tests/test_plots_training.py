"""Figures of a training's log and evaluations."""

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.figure import Figure

from astro_objdet import trainings
from astro_objdet.errors import InputError, OutputExistsError
from astro_objdet.plots import loss_curves, score_curves

LOG = """\
step,train_total,train_rpn_objectness,train_rpn_box,train_dn_classification,train_dn_box,test_total,test_rpn_objectness,test_rpn_box,test_dn_classification,test_dn_box
147,0.7,0.4,0.1,0.1,0.1,,,,,
204,0.4,0.2,0.05,0.1,0.05,0.3448,0.2023,0.0538,0.0605,0.0282
"""
EVALUATION = """step,threshold,tp,fp,fn,ignored,purity,completeness,f1,offset_kpc
204,0.5,8,4,2,0,0.667,0.8,0.727,20
204,0.7,8,2,2,0,0.8,0.8,0.8,20
204,0.8,8,2,2,0,0.8,0.8,0.8,20
313,0.5,0,0,10,0,0,0,0,
"""


def read(text):
    return Table.read(text, format="ascii.csv")


def lines_of(ax):
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in ax.lines}


def test_losses_of_train_and_test(tmp_path):
    figure = loss_curves(read(LOG), tmp_path / "losses.png", title="A run")
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert labels[0] == "Total loss"
    assert labels[1:] == [
        *("RPN objectness", "RPN box regression", "DN classification", "DN box regression")
    ]
    drawn = lines_of(figure.axes[1])
    np.testing.assert_allclose(drawn["train"], [[147, 204], [0.4, 0.2]])
    np.testing.assert_allclose(drawn["test"], [[204], [0.2023]])
    with pytest.raises(OutputExistsError, match="exists"):
        loss_curves(read(LOG), tmp_path / "losses.png")


def test_losses_of_estimates_where_there_are_any():
    log = read(LOG)
    log["train_dn_estimates"] = [0.9, 0.3]
    assert [ax.get_ylabel() for ax in loss_curves(log).axes][5:] == ["DN estimates"]
    log["train_dn_estimates"] = [np.nan, np.nan]
    assert len(loss_curves(log).axes) == 5


def test_losses_without_test_images():
    log = read(LOG)[:1]
    figure = loss_curves(log)
    assert list(lines_of(figure.axes[0])) == ["train"]
    with pytest.raises(InputError, match="ax must be 5 axes, got 1"):
        loss_curves(log, ax=Figure().subplots())


def test_scores_at_the_best_threshold_of_each_step():
    figure = score_curves(read(EVALUATION))
    drawn = lines_of(figure.axes[0])
    assert list(drawn) == ["purity", "completeness", "F1", "threshold"]
    np.testing.assert_allclose(drawn["F1"], [[204, 313], [0.8, 0]])
    np.testing.assert_allclose(drawn["threshold"], [[204, 313], [0.7, 0.5]])


def test_a_run_that_has_just_begun(tmp_path):
    assert trainings.draw_run(tmp_path) == []
    (tmp_path / "log.csv").write_text(LOG.splitlines()[0] + "\n")
    (tmp_path / "evaluation.csv").write_text(EVALUATION.splitlines()[0] + "\n")
    drawn = trainings.draw_run(tmp_path)
    assert [path.name for path in drawn] == ["losses.png", "scores.png"]
    assert all(path.is_file() for path in drawn)
