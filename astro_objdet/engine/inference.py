"""From tiles of an image to boxes: batches through a model, seams merged."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torchvision.ops import batched_nms

from astro_objdet.errors import ResourceError

__all__ = ["Boxes", "predict_tiles"]

#: A centre may fall this many pixels over a seam in one tile and short of it in
#: the next; both are kept then, and the overlap rule leaves the better one.
SEAM = 8.0


class Boxes(NamedTuple):
    """What was found in an image, best score first.

    Attributes
    ----------
    boxes : `numpy.ndarray` (n, 4), float64
        x1, y1, x2, y2 in pixel edges of the grid.
    scores : `numpy.ndarray` (n,), float64
    labels : `numpy.ndarray` (n,), int64
        As the model gives them; 0 is the background.
    estimates : `numpy.ndarray` (n, k), float64
        ln of properties, of models that estimate k of them.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    estimates: np.ndarray


@torch.inference_mode()
def predict_tiles(model, grid, *, threshold, nms, batch_size=1, workers=1, progress=None):
    """Boxes of a whole image, found tile by tile.

    Parameters
    ----------
    model : `torch.nn.Module`
        Takes a list of (3, h, w) float32 tensors and returns a list of dicts with
        ``boxes`` (n, 4), ``scores`` (n,) and ``labels`` (n,), as torchvision's do, and
        optionally ``estimates`` (n, k).
    grid : `astro_objdet.images.TileGrid`
        Anything with ``tiles`` and ``read(tile)``.
    threshold : float
        Lowest score to keep.
    nms : float
        Overlap (IoU) above which the lower score is dropped, across tiles.
    batch_size : int
        Tiles per forward pass.
    workers : int
        Threads that read tiles ahead of the model; 0 reads in turn.
    progress : callable, optional
        Called as ``progress(done, total)`` after each batch.

    Returns
    -------
    Boxes

    Raises
    ------
    ResourceError
        When the device runs out of memory.
    """
    device = next(model.parameters()).device
    half = torch.autocast(device.type, enabled=device.type == "cuda")
    found = []
    done = 0
    for batch in _batches(_read_ahead(grid, workers), batch_size):
        filled = [(tile, image) for tile, image in batch if not _is_blank(image)]
        if filled:
            # a single band is shown in all three channels
            images = [torch.from_numpy(image).to(device).expand(3, -1, -1) for _, image in filled]
            try:
                with half:
                    outputs = model(images)
            except torch.OutOfMemoryError as error:
                raise ResourceError(
                    f"{device} ran out of memory on a batch of {len(images)} tiles; "
                    "ask for a smaller batch_size"
                ) from error
            for (tile, _), output in zip(filled, outputs, strict=True):
                found.append(_own(tile, output, threshold))
        done += len(batch)
        if progress is not None:
            progress(done, len(grid.tiles))
    return _merge(found, nms)


def _read_ahead(grid, workers):
    """Tiles with their pixels, in order, read by threads ahead of time."""
    if workers < 1:
        for tile in grid.tiles:
            yield tile, grid.read(tile)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        tiles = iter(grid.tiles)
        try:
            for tile in islice(tiles, workers + 1):
                waiting.append((tile, pool.submit(grid.read, tile)))
            while waiting:
                tile, pixels = waiting.popleft()
                image = pixels.result()
                for following in islice(tiles, 1):
                    waiting.append((following, pool.submit(grid.read, following)))
                yield tile, image
        finally:
            for _, pixels in waiting:
                pixels.cancel()


def _batches(items, size):
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _is_blank(image):
    """Whether a tile holds one value only: fully masked, nothing to find."""
    first = image[:, :1, :1]
    return bool((image[:, ::16, ::16] == first).all() and (image == first).all())


def _own(tile, output, threshold):
    """A tile's boxes whose centre it owns, give or take a seam, in grid pixels."""
    boxes = output["boxes"].double().cpu()
    scores = output["scores"].double().cpu()
    boxes += torch.tensor([tile.x0, tile.y0, tile.x0, tile.y0], dtype=boxes.dtype)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    keep = (scores >= threshold) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    keep &= (x >= tile.core_x0 - SEAM) & (x < tile.core_x1 + SEAM)
    keep &= (y >= tile.core_y0 - SEAM) & (y < tile.core_y1 + SEAM)
    estimates = output.get("estimates", boxes[:, :0]).double().cpu()
    return boxes[keep], scores[keep], output["labels"].cpu()[keep], estimates[keep]


def _merge(found, nms):
    """One list from all tiles; of boxes found twice at a seam, the better one."""
    if not found:
        return Boxes(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64), np.empty((0, 0)))
    boxes, scores, labels, estimates = (torch.cat(part) for part in zip(*found, strict=True))
    kept = batched_nms(boxes, scores, labels, nms)
    return Boxes(*(part[kept].numpy() for part in (boxes, scores, labels, estimates)))
