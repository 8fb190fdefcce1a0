"""Which detection is of which true object, and how many at each threshold.

One detection for one true object: paper I's Table 2 has TP + FN = 204 in each row, so that a
second box on a cluster is a false one.
"""

import dataclasses

import numpy as np

from astro_objdet.catalogs.evaluating.inputs import IN_PLAY, Status
from astro_objdet.catalogs.footprint import sky_cells
from astro_objdet.catalogs.matching.pairs import best_pairs, nearest, pairs_within
from astro_objdet.catalogs.metrics import jackknife

__all__ = ["Counts", "Matches", "count", "match", "nearest_counted"]


@dataclasses.dataclass(frozen=True)
class Matches:
    """The matching, at all thresholds.

    Attributes
    ----------
    level : `~numpy.ndarray` of int64, shape (n_found,)
        How many of the thresholds a detection passes; 0 for rows that do not count.
    excused : `~numpy.ndarray` of bool, shape (n_found,)
        Whether a detection lies on a true object that is not counted.
    doubled : `~numpy.ndarray` of bool, shape (n_found,)
        Whether a detection lies on one that is.
    detection_row : `~numpy.ndarray` of int64, shape (n_truth,)
        Row of its detection, at whatever score; −1 for none.
    anew : list of `~numpy.ndarray` of int64, or None
        The same at each threshold, where raising it does more than to take matches away.
    """

    level: np.ndarray
    excused: np.ndarray
    doubled: np.ndarray
    detection_row: np.ndarray
    anew: list | None = None

    def at(self, number):
        """Row of the detection of each true object at a threshold, by its number.

        `~numpy.ndarray` of int64, shape (n_truth,); −1 for none.
        """
        if self.anew is not None:
            return self.anew[number]
        found = self.detection_row >= 0
        found[found] = self.level[self.detection_row[found]] > number
        return np.where(found, self.detection_row, -1)


def match(found, truth, thresholds, find, inclusive):
    """Match detections with true objects one to one, within the radius of each object.

    Parameters
    ----------
    found, truth : `~astro_objdet.catalogs.evaluating.inputs.Rows`
    thresholds : `~numpy.ndarray` of float64, shape (T,)
        Rising.
    find : {"score", "separation"}
        ``"score"``: the detection of the highest score takes the nearest object that is
        free; raising the threshold takes matches away and adds none. ``"separation"``: the
        closest pairs first, at each threshold anew.
    inclusive : bool
        Whether a score equal to the threshold passes.

    Returns
    -------
    Matches
    """
    score = found.values["score"]
    level = np.searchsorted(thresholds, score, side="right" if inclusive else "left")
    level[found.status != Status.COUNTED] = 0
    near = _near(found, truth)
    on_counted = truth.status[near.second] == Status.COUNTED
    excused, doubled = np.zeros(len(found), bool), np.zeros(len(found), bool)
    excused[near.first[~on_counted]] = True
    doubled[near.first[on_counted]] = True
    pairs = near[on_counted]
    if find == "score":
        keys = (pairs.second, pairs.first, pairs.separation, -score[pairs.first])
        detection_row = _partner(pairs, len(truth), np.lexsort(keys))
        return Matches(level, excused, doubled, detection_row)
    anew = [
        _partner(pairs[level[pairs.first] > number], len(truth))
        for number in range(len(thresholds))
    ]
    return Matches(level, excused, doubled, _partner(pairs, len(truth)), anew)


def _near(found, truth):
    """All pairs within the radii, by row numbers of the tables."""
    ours, theirs = found.having(Status.COUNTED), truth.having(*IN_PLAY)
    theirs = theirs[np.isfinite(truth.values["radius"][theirs])]
    pairs = pairs_within(
        found.ra[ours],
        found.dec[ours],
        truth.ra[theirs],
        truth.dec[theirs],
        truth.values["radius"][theirs],
        of="second",
    )
    return dataclasses.replace(pairs, first=ours[pairs.first], second=theirs[pairs.second])


def _partner(pairs, n_truth, order=None):
    partner = np.full(n_truth, -1)
    chosen = best_pairs(pairs, order)
    partner[pairs.second[chosen]] = pairs.first[chosen]
    return partner


def nearest_counted(found, truth, wanted):
    """The counted true object next to each detection, at whatever distance.

    Parameters
    ----------
    found, truth : `~astro_objdet.catalogs.evaluating.inputs.Rows`
    wanted : `~numpy.ndarray` of bool, shape (n_found,)
        Which detections to look for one of.

    Returns
    -------
    row : `~numpy.ndarray` of int64, shape (n_found,)
        −1 without any, without a position, or where it is not wanted.
    separation : `~numpy.ndarray` of float64, shape (n_found,)
        Arcsec.
    """
    row, separation = np.full(len(found), -1), np.full(len(found), np.nan)
    ours, theirs = np.flatnonzero(wanted & np.isfinite(found.ra)), truth.having(Status.COUNTED)
    if len(ours) and len(theirs):
        next_to, separation[ours] = nearest(
            found.ra[ours], found.dec[ours], truth.ra[theirs], truth.dec[theirs]
        )
        row[ours] = theirs[next_to]
    return row, separation


@dataclasses.dataclass(frozen=True)
class Counts:
    """What was found and not at each threshold, each of shape (T,).

    ``errors`` are `~astro_objdet.catalogs.metrics.JackknifeErrors`.
    """

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    ignored: np.ndarray
    errors: tuple
    cells: int
    nside: int | None


def count(found, truth, matches, steps, at_least):
    """Count true, false, missed and ignored at each threshold, and their jackknife errors.

    ``steps`` is the number of thresholds, ``at_least`` how many pieces of sky to leave out
    in turn; 0 for no jackknife.

    Returns
    -------
    Counts
    """
    ours, theirs = found.having(Status.COUNTED), truth.having(Status.COUNTED)
    cell_found, cell_truth, cells, nside = _cells(found, truth, ours, theirs, at_least)

    def per_cell(numbers):
        return np.bincount(numbers, minlength=cells)

    def passing(rows):
        """Detections above each threshold, shape (cells, T)."""
        key = cell_found[rows] * (steps + 1) + matches.level[rows]
        at_level = np.bincount(key, minlength=cells * (steps + 1)).reshape(cells, steps + 1)
        return at_level[:, :0:-1].cumsum(axis=1)[:, ::-1]

    tp, true, true_and_excused = np.zeros((3, cells, steps), np.int64)
    for step in range(steps):
        rows = matches.at(step)
        at = np.flatnonzero(rows >= 0)
        rows = rows[at]
        tp[:, step] = per_cell(cell_truth[at])
        # A detection is of the cell it lies in, which need not be that of its object.
        true[:, step] = per_cell(cell_found[rows])
        true_and_excused[:, step] = per_cell(cell_found[rows[matches.excused[rows]]])
    fn = per_cell(cell_truth[theirs])[:, None] - tp
    ignored = passing(ours[matches.excused[ours]]) - true_and_excused
    fp = passing(ours) - true - ignored
    totals = (counts.sum(axis=0) for counts in (tp, fp, fn, ignored))
    return Counts(*totals, errors=jackknife(tp, fp, fn), cells=cells if nside else 0, nside=nside)


def _cells(found, truth, ours, theirs, at_least):
    """Numbers from 0 of the piece of sky of each row, how many there are, and their nside."""
    cell_found, cell_truth = np.zeros(len(found), np.int64), np.zeros(len(truth), np.int64)
    if not at_least or not len(ours) + len(theirs):
        return cell_found, cell_truth, 1, None
    ra = np.concatenate([found.ra[ours], truth.ra[theirs]])
    dec = np.concatenate([found.dec[ours], truth.dec[theirs]])
    cell, nside = sky_cells(ra, dec, at_least)
    occupied, number = np.unique(cell, return_inverse=True)
    cell_found[ours], cell_truth[theirs] = number[: len(ours)], number[len(ours) :]
    return cell_found, cell_truth, len(occupied), nside
