"""Purity and completeness of boxes, image by image, while a model trains.

The rules are those of `astro_objdet.catalogs.evaluation.evaluate`, one detection for one
object and the highest score first, within each image: cutouts of an archive overlap on the
sky, and the same cluster may be in many.
"""

import dataclasses

import numpy as np

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.matching.pairs import Pairs, best_pairs
from astro_objdet.catalogs.metrics import completeness, f1, purity

__all__ = ["MATCH_IOU", "MATCH_KPC", "THRESHOLDS", "ImageResult", "best_row", "score_images"]

#: A true detection is within 100 kpc of its object (paper I, section 3.1) ...
MATCH_KPC = 100.0
#: ... or, where redshifts are not known, overlaps it by this much.
MATCH_IOU = 0.5
THRESHOLDS = np.round(np.arange(0.05, 1, 0.05), 2)


@dataclasses.dataclass(frozen=True)
class ImageResult:
    """What was found in an image, and what is there.

    Attributes
    ----------
    row : int
        Number of the image.
    boxes, scores, labels : `numpy.ndarray`
        Shapes (n, 4), (n,), (n,).
    true_boxes, true_labels, redshift : `numpy.ndarray`
        Of the labelled objects; redshift is NaN where it is not known.
    ignored_boxes : `numpy.ndarray` (m, 4)
        A detection on one of these is neither true nor false.
    """

    row: int
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    true_boxes: np.ndarray
    true_labels: np.ndarray
    redshift: np.ndarray
    ignored_boxes: np.ndarray

    @classmethod
    def of(cls, row, output, target):
        """From what a torchvision model returns, and a target on the CPU."""
        found = {name: output[name].cpu().numpy() for name in ("boxes", "scores", "labels")}
        boxes = np.asarray(target["boxes"], dtype=float).reshape(-1, 4)
        own = np.asarray(target.get("scored", np.ones(len(boxes))), dtype=bool)
        redshift = np.asarray(target.get("redshift", np.full(len(boxes), np.nan)), dtype=float)
        return cls(
            row=row,
            boxes=found["boxes"].astype(float),
            scores=found["scores"].astype(float),
            labels=found["labels"],
            true_boxes=boxes[own],
            true_labels=np.asarray(target["labels"])[own],
            redshift=redshift[own],
            ignored_boxes=np.asarray(target.get("ignored", ()), dtype=float).reshape(-1, 4),
        )


def score_images(results, pixel_scale):
    """Count true and false detections and missed objects at score thresholds.

    Detections and objects match within 100 kpc where the redshift of every labelled object
    is known, else by an IoU of 0.5 or more. A detection centred in an ignored box, with no
    object of its own, does not count.

    Parameters
    ----------
    results : list of ImageResult
    pixel_scale : float
        Arcsec.

    Returns
    -------
    list of dict
        A row per threshold: ``threshold``; ``tp``, ``fp``, ``fn``, ``ignored``; ``purity``,
        ``completeness``, ``f1``; ``offset_kpc``, the median distance of the true ones from
        their objects (None without redshifts).
    """
    z = np.concatenate([one.redshift for one in results]) if results else np.empty(0)
    in_kpc = len(z) > 0 and bool((np.isfinite(z) & (z > 0)).all())
    scores, truths = np.concatenate([[], *(one.scores for one in results)]), len(z)
    pairs = _pairs(results, pixel_scale if in_kpc else None)
    order = np.lexsort((pairs.separation, -scores[pairs.first]))
    taken = pairs[best_pairs(pairs, order)]
    true = np.zeros(len(scores), bool)
    true[taken.first] = True
    excused = ~true & np.concatenate([np.zeros(0, bool), *map(_on_ignored, results)])
    return [
        _row(threshold, scores > threshold, true, excused, truths, taken, in_kpc)
        for threshold in THRESHOLDS.tolist()
    ]


def best_row(rows):
    """The row with the highest F1, of several the one of the lowest threshold."""
    return max(rows, key=lambda row: (row["f1"], -row["threshold"]))


def _row(threshold, passed, true, excused, truths, taken, in_kpc):
    tp, ignored = int((passed & true).sum()), int((passed & excused).sum())
    fp, fn = int(passed.sum()) - tp - ignored, truths - tp
    p, c = float(purity(tp, fp)), float(completeness(tp, fn))
    offsets = taken.separation[passed[taken.first]]
    return {
        "threshold": threshold,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "ignored": ignored,
        "purity": p,
        "completeness": c,
        "f1": float(f1(p, c)),
        "offset_kpc": float(np.median(offsets)) if in_kpc and tp else None,
    }


def _pairs(results, pixel_scale):
    """Detections close enough to objects, numbered over all images; best is smallest."""
    first, second, separation = [], [], []
    n_found = n_true = 0
    for one in results:
        if pixel_scale is None:
            apart = 1 - _iou(one.boxes, one.true_boxes)
            near = apart <= 1 - MATCH_IOU
        else:
            kpc = pixel_scale * kpc_per_arcsec(one.redshift) if len(one.redshift) else 0.0
            apart = _distances(one.boxes, one.true_boxes) * kpc
            near = apart <= MATCH_KPC
        near &= one.labels[:, None] == one.true_labels[None, :]
        mine, theirs = np.nonzero(near)
        first.append(mine + n_found)
        second.append(theirs + n_true)
        separation.append(apart[near])
        n_found, n_true = n_found + len(one.boxes), n_true + len(one.true_boxes)
    empty = np.empty(0, np.int64)
    return Pairs(
        np.concatenate([empty, *first]),
        np.concatenate([empty, *second]),
        np.concatenate([np.empty(0), *separation]),
    )


def _distances(boxes, others):
    """Between centres, (n, m), in pixels."""
    x, y = ((b[:, :2] + b[:, 2:]) / 2 for b in (boxes, others))
    return np.linalg.norm(x[:, None] - y[None], axis=2)


def _iou(boxes, others):
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    far = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(far - corner, 0, None), axis=2)
    areas = [np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, others)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def _on_ignored(one):
    """Which detections have their centre in an ignored box."""
    centres = (one.boxes[:, :2] + one.boxes[:, 2:]) / 2
    low, high = one.ignored_boxes[:, :2], one.ignored_boxes[:, 2:]
    inside = (centres[:, None] >= low[None]) & (centres[:, None] <= high[None])
    return inside.all(axis=2).any(axis=1)
