"""Datasets over an archive of labelled images: random views, and images as they are."""

import numpy as np
import torch
from torch.utils.data import Dataset

from astro_objdet.engine.augment import observe, picture, turn, window
from astro_objdet.errors import InputError, check_positive
from astro_objdet.images.stretch import stretch_from_dict
from astro_objdet.skies.archive import Archive

__all__ = ["ArchiveImages", "ArchiveViews"]

#: Share of views that look like a viewer's colour picture, where the sky varies.
PICTURES = 0.2


class _OverArchive(Dataset):
    """What both kinds of dataset read in the same way.

    Parameters
    ----------
    path : str or path-like
    recipe : `astro_objdet.detectors.Recipe`
    split : str or None
        Name of the archive's split; None for all of its images.
    """

    def __init__(self, path, recipe, split):
        self.archive = Archive(path, recipe=recipe)
        self.recipe = recipe
        self.rows = self.archive.rows(split)
        self._bands = [self.archive.bands.index(band) for band in recipe.bands]
        self._stretch = stretch_from_dict(recipe.stretch)

        missing = {*recipe.estimates} - {"redshift", "richness", *self.archive.columns}
        if missing:
            raise InputError(
                f"has no column {', '.join(sorted(missing))}, which {recipe.name} learns",
                self.archive.path,
            )
        # objects farther than any target are too faint to learn from
        self._reach = _farthest_target(self.archive) if recipe.estimates else np.inf
        raw = self.archive.kind == "raw"
        self.noiseless = raw and bool(self.archive.provenance.get("noiseless"))
        if recipe.training.augmentation == "survey" and self.archive.kind != "raw":
            raise InputError(
                f"holds stretched pictures, and the augmentation 'survey' of {recipe.name} needs "
                "raw images; train with another one: turn, flip or none",
                self.archive.path,
            )

    def _read(self, row):
        """Channels (3, ny, nx) float32; boxes to be taught, ignored, and of what is known.

        Boxes are (n, 5), the last column the label: 0 is torchvision's background, the
        recipe's labels follow, then its decoys. Targets come before decoys. The last ones have
        ln of the recipe's estimates behind them.
        """
        image = self.archive.image(row)[self._bands]
        scale = 255 if image.dtype == np.uint8 else 1
        image = image.astype(np.float32) / np.float32(scale)
        objects = self.archive.objects(row)
        labels = [1 + self.archive.labels.index(name) for name in objects["label"]]
        edges = [objects[name] for name in ("x1", "y1", "x2", "y2")]
        boxes = np.column_stack([*edges, labels]).astype(np.float32).reshape(-1, 5)
        parts = {role: boxes[objects["role"] == role] for role in ("target", "decoy", "ignored")}
        # one class of decoys for each label, or one for all
        parts["decoy"][:, 4] = len(self.archive.labels) + np.minimum(
            parts["decoy"][:, 4], len(self.recipe.decoys)
        )
        taught = [parts["target"], parts["decoy"]] if self.recipe.decoys else [parts["target"]]
        return image, [np.concatenate(taught), parts["ignored"], self._known(boxes, objects)]

    def _known(self, boxes, objects):
        """Boxes (n, 5 + k) with ln of the recipe's estimates, NaN where they are not known."""
        values = np.array([objects[name] for name in self.recipe.estimates], dtype=np.float64)
        values = values.reshape(len(self.recipe.estimates), len(boxes))
        logs = np.log(values, out=np.full(values.shape, np.nan), where=values > 0)
        here = np.isfinite(logs).any(axis=0) & ~(objects["redshift"] > self._reach)
        return np.column_stack([boxes, logs.T])[here].astype(np.float32)

    def typical(self):
        """Mean of ln of the recipe's estimates over the objects of the split, and their rms.

        Returns
        -------
        pair of `numpy.ndarray` (k,), float64
        """
        parts = [
            self._known(np.zeros((len(o), 5)), o) for o in map(self.archive.objects, self.rows)
        ]
        logs = np.concatenate(parts)[:, 5:]
        logs = np.ma.masked_invalid(logs)
        return logs.mean(axis=0).filled(0), np.maximum(logs.std(axis=0).filled(1), 0.1)

    def _with_noise(self, image, rng):
        """A noiseless image with the survey's noise."""
        if not self.noiseless or self.recipe.reference_noise is None:
            return image
        noise = np.asarray(self.recipe.reference_noise, dtype=np.float32)
        return image + rng.standard_normal(image.shape, np.float32) * noise[:, None, None]

    def _stretched(self, image):
        """The recipe's view of an image; what is masked in any band is empty sky."""
        image = _unmasked(image)
        return self._stretch(image) if self.archive.kind == "raw" else image


class ArchiveViews(_OverArchive):
    """Random views of an archive's images, for training.

    Parameters
    ----------
    path : str or path-like
    recipe : `astro_objdet.detectors.Recipe`
        Its training settings say how large a view is and what is done to it.
    split : str or None
        Name of the archive's split; None for all of its images.
    length : int
        Number of views. View k is a function of ``seed`` and k alone; every image
        comes once before one comes again.
    seed : int

    Raises
    ------
    InputError
        For an archive that does not fit the recipe.
    """

    def __init__(self, path, recipe, *, split="train", length, seed):
        super().__init__(path, recipe, split)
        check_positive("length", length)
        if not self.archive.count_targets(split):
            raise InputError(
                f"has no positives in its split {split!r}: none of the objects there is a target",
                self.archive.path,
            )
        self.length, self.seed = length, seed
        self._implant = None
        if (
            recipe.training.implants
            and self.noiseless
            and {"plan", "roles"} <= self.archive.provenance.keys()
        ):
            # drawing needs GalSim, which other archives do without
            from astro_objdet.skies.implants import Implanter

            self._implant = Implanter(self.archive, recipe.training.implants)

    def __len__(self):
        return self.length

    def row(self, index):
        """The archive's image that view ``index`` shows."""
        epoch, place = divmod(index, len(self.rows))
        order = np.random.default_rng([self.seed, epoch, 1]).permutation(len(self.rows))
        return int(self.rows[order[place]])

    def __getitem__(self, index):
        settings = self.recipe.training
        rng = np.random.default_rng([self.seed, index])
        image, boxes = self._read(self.row(index))
        if settings.augmentation != "none":
            quarter = settings.augmentation != "flip"
            image, boxes = turn(image, boxes, rng, quarter=quarter)
        # blank sky around an image that is smaller than the view teaches nothing
        side = min(settings.view, max(image.shape[1:]))
        image, boxes = window(image, boxes, rng, side)
        if self._implant is not None:
            image, boxes = self._with_implants(image, boxes, rng)
        if settings.augmentation == "survey":
            depth = None if self.noiseless else rng.uniform(0, 0.8)
            image = observe(image, self.recipe.reference_noise, rng, depth)
            if rng.random() < PICTURES:
                # fluxes are not to be had from it, and so no properties
                taught, ignored, known = boxes
                return _item(picture(_unmasked(image), rng), taught, ignored, known[:0])
        else:
            image = self._with_noise(image, rng)
        return _item(self._stretched(image), *boxes)

    def _with_implants(self, image, boxes, rng):
        """The view with haloes drawn in, and its boxes with theirs."""
        taught, ignored, known = boxes
        full = np.zeros((len(self.archive.bands), *image.shape[1:]), dtype=np.float32)
        full[self._bands] = image
        others = np.concatenate([taught[:, :4], ignored[:, :4]])
        new, roles, values = self._implant(full, others, rng)
        label = np.where(roles == "decoy", 1 + len(self.archive.labels), 1)
        rows = np.column_stack([new, label]).astype(np.float32)
        blank = np.full(len(new), np.nan)
        logs = np.array([np.log(values.get(name, blank)) for name in self.recipe.estimates])
        logs = logs.reshape(len(self.recipe.estimates), len(new))
        near = values["redshift"] <= self._reach
        more = np.column_stack([rows, logs.T]).astype(np.float32)[near]
        teach = (roles == "target") | ((roles == "decoy") & bool(self.recipe.decoys))
        # targets come before decoys
        taught = np.concatenate([taught, rows[teach]])
        taught = taught[np.argsort(taught[:, 4], kind="stable")]
        ignored = np.concatenate([ignored, rows[roles == "ignored"]])
        return full[self._bands], [taught, ignored, np.concatenate([known, more])]


class ArchiveImages(_OverArchive):
    """The images of an archive, each once and as it is, for test losses and evaluation.

    Noiseless images get the noise of the survey, each always the same. Targets say which
    of their boxes are ``scored``: those of objects to be found, not of decoys.

    Parameters
    ----------
    path : str or path-like
    recipe : `astro_objdet.detectors.Recipe`
    split : str or None
        Name of the archive's split; None for all of its images.
    """

    def __init__(self, path, recipe, *, split="test"):
        super().__init__(path, recipe, split)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = int(self.rows[index])
        image, boxes = self._read(row)
        image = self._with_noise(image, np.random.default_rng([row, 2]))
        image, target = _item(self._stretched(image), *boxes)
        return image, target | {"scored": target["labels"] <= len(self.archive.labels)}


def _unmasked(image):
    return np.where(np.isfinite(image).all(axis=0), image, np.float32(0))


def _farthest_target(archive):
    objects = archive.table
    redshifts = np.asarray(objects["redshift"])[np.asarray(objects["role"]) == "target"]
    return np.nanmax(redshifts, initial=-np.inf) if np.isfinite(redshifts).any() else np.inf


def _item(image, boxes, ignored, known):
    """What torchvision's detectors take, an image and its target, and what ours take besides."""
    target = {
        "boxes": torch.from_numpy(np.ascontiguousarray(boxes[:, :4])),
        "labels": torch.from_numpy(boxes[:, 4].astype(np.int64)),
    }
    if len(ignored):
        target["ignored"] = torch.from_numpy(np.ascontiguousarray(ignored[:, :4]))
    if len(known) and known.shape[1] > 5:
        target["known"] = torch.from_numpy(np.ascontiguousarray(known[:, :4]))
        target["properties"] = torch.from_numpy(np.ascontiguousarray(known[:, 5:]))
    return torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)), target
