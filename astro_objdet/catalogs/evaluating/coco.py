"""The metrics of the COCO challenge for boxes: average precision and recall over IoU."""

from typing import NamedTuple

import numpy as np

from astro_objdet.catalogs.metrics import average_recall, f1_of_averages
from astro_objdet.errors import InputError

__all__ = ["CocoMetrics", "coco_metrics", "have_area"]

# From 0.5 to 1 as the integral D5 goes; COCO's own ten thresholds are each fifth of them.
_IOU = np.linspace(0.5, 1.0, 51)
_COCO_IOU = slice(0, 50, 5)
_MOST_PER_IMAGE = (1, 10, 100)
_NAMES = ("AP", "AP50", "AP75", "AR1", "AR10", "AR100", "AP_all", "AR_all")


class CocoMetrics(NamedTuple):
    """What `coco_metrics` returns.

    Attributes
    ----------
    metrics : dict of str to float
        ``AP`` (mean over IoU 0.5, 0.55, … 0.95), ``AP50``, ``AP75``, with the 100 best boxes
        of each image as COCO has it; ``AR1``, ``AR10``, ``AR100`` with so many; ``AP_all``
        and ``AR_all`` with all, as images of the sky may hold more. NaN without true boxes.
    iou, recall : `~numpy.ndarray` of float64, shape (51,)
        Recall at each IoU from 0.5 to 1, of all boxes.
    average_recall : float
        Paper II Eq. D5, from these.
    f1 : float
        Paper II Eq. D7, of ``AP_all`` and `average_recall`.
    """

    metrics: dict
    iou: np.ndarray
    recall: np.ndarray
    average_recall: float
    f1: float


def coco_metrics(
    found_boxes,
    scores,
    found_images,
    truth_boxes,
    truth_images,
    *,
    found_labels=None,
    truth_labels=None,
    ignored=None,
):
    """Compute COCO metrics of boxes, by faster-coco-eval.

    Parameters
    ----------
    found_boxes, truth_boxes : array_like of float, shape (N, 4) and (M, 4)
        Edges (x1, y1, x2, y2), finite, in any unit.
    scores : array_like of float, shape (N,)
        Of the boxes found.
    found_images, truth_images : array_like of int or str, shape (N,) and (M,)
        The image of each box: only boxes of one image are compared.
    found_labels, truth_labels : array_like of str, shape (N,) and (M,), optional
        Classes, over which the metrics are averaged (paper II Eqs D4 and D6). Without them
        all are one class.
    ignored : array_like of bool, shape (M,), optional
        True boxes that do not count: a box on one is neither true nor false, as COCO's
        "crowds" are, where the IoU is the share of the found box that lies on it.

    Returns
    -------
    CocoMetrics

    Raises
    ------
    InputError
        If lengths differ, or a box or score is not finite or has no area.
    """
    found = _check("found", found_boxes, found_images, scores, found_labels)
    truth = _check("truth", truth_boxes, truth_images, ignored, truth_labels)
    if (found_labels is None) != (truth_labels is None):
        raise InputError("found_labels and truth_labels must be given both or neither")
    ignored = np.zeros(len(truth), bool) if ignored is None else np.asarray(ignored, bool)
    if not np.any(~ignored):
        return _nothing()
    images = _numbered(found_images, truth_images)
    one_class = np.full(len(found), ""), np.full(len(truth), "")
    labels = one_class if found_labels is None else (found_labels, truth_labels)
    classes = _numbered(*labels)
    precision, recall = _evaluate(
        _annotations(found, images[0], classes[0], score=np.asarray(scores, dtype=float)),
        _annotations(truth, images[1], classes[1], iscrowd=ignored.astype(int)),
        images=np.unique(np.concatenate(images)),
        classes=np.unique(np.concatenate(classes)),
    )
    return _summarised(precision, recall)


def have_area(boxes):
    """Which boxes, shape (N, 4), are finite with x1 < x2 and y1 < y2."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)


def _check(name, boxes, images, numbers, labels):
    boxes = np.asarray(boxes, dtype=float)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"{name}_boxes must have shape (N, 4), got {boxes.shape}")
    for values in (images, numbers, labels):
        if values is not None and len(values) != len(boxes):
            raise InputError(
                f"{name}: {len(boxes)} boxes need as many images, scores and labels, got "
                f"{len(values)}"
            )
    good = have_area(boxes)
    if numbers is not None:
        good &= np.isfinite(np.asarray(numbers, dtype=float))
    if not good.all():
        first = int(np.argmin(good))
        raise InputError(
            f"{name}: boxes and scores must be finite with x1 < x2 and y1 < y2, got "
            f"{boxes[first].tolist()} at index {first}"
        )
    return boxes


def _numbered(first, second):
    """Numbers from 1 for the distinct values of two arrays together."""
    first, second = np.asarray(first).astype(str), np.asarray(second).astype(str)
    _, number = np.unique(np.concatenate([first, second]), return_inverse=True)
    return number[: len(first)] + 1, number[len(first) :] + 1


def _annotations(boxes, images, classes, **more):
    """Boxes as COCO has them: a dict each, with corner and size."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    columns = {
        "id": np.arange(1, len(boxes) + 1),
        "image_id": images,
        "category_id": classes,
        "bbox": np.hstack([boxes[:, :2], sizes]),
        "area": sizes.prod(axis=1),
        "iscrowd": np.zeros(len(boxes), int),
        **more,
    }
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _evaluate(found, truth, images, classes):
    """Run COCO's evaluation.

    Returns precision of shape (IoU, recall, class, most boxes) and recall of shape (IoU,
    class, most boxes); the last of the most boxes stands for all.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    about = {
        "images": [{"id": number} for number in images.tolist()],
        "categories": [{"id": number} for number in classes.tolist()],
    }
    sides = []
    for annotations in (truth, found):
        side = COCO()
        side.dataset = about | {"annotations": annotations}
        side.createIndex()
        sides.append(side)
    evaluation = COCOeval_faster(*sides, "bbox")
    evaluation.params.iouThrs = _IOU
    everything = np.bincount([box["image_id"] for box in found], minlength=1).max()
    evaluation.params.maxDets = [*_MOST_PER_IMAGE, max(int(everything), _MOST_PER_IMAGE[-1]) + 1]
    # Its own limit of 1e10 is for pixels; these may be in arcsec.
    evaluation.params.areaRng = [[0, np.inf]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    return precision[:, :, :, 0, :], recall[:, :, 0, :]


def _summarised(precision, recall):
    # −1 marks classes that no true box has.
    known = recall[0, :, 0] >= 0
    precision, recall = precision[:, :, known], recall[:, known]
    ap, ar = precision.mean(axis=(1, 2)), recall.mean(axis=1)
    at_100 = _MOST_PER_IMAGE.index(100)
    values = {"AP": ap[_COCO_IOU, at_100].mean(), "AP50": ap[0, at_100], "AP75": ap[25, at_100]}
    for number, most in enumerate(_MOST_PER_IMAGE):
        values[f"AR{most}"] = ar[_COCO_IOU, number].mean()
    values["AP_all"], values["AR_all"] = ap[_COCO_IOU, -1].mean(), ar[_COCO_IOU, -1].mean()
    metrics = {name: float(values[name]) for name in _NAMES}
    over_iou = average_recall(_IOU, ar[:, -1])
    f1 = float(f1_of_averages(metrics["AP_all"], over_iou))
    return CocoMetrics(metrics, _IOU.copy(), ar[:, -1], over_iou, f1)


def _nothing():
    nan = np.full(len(_IOU), np.nan)
    return CocoMetrics(dict.fromkeys(_NAMES, np.nan), _IOU.copy(), nan, np.nan, np.nan)
