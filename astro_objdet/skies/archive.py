"""`Archive`: labelled images in one HDF5 file, read by any number of programs.

Written by `ArchiveWriter`; training and evaluation read it, `astro_objdet.skies.dataset`
builds it from images and a catalogue.
"""

import json
import os
from functools import cached_property

import numpy as np
from astropy import units as u
from astropy.io.fits import Header as FitsHeader
from astropy.table import Table
from astropy.wcs import WCS

from astro_objdet.errors import InputError
from astro_objdet.skies.archives.checks import bad_box
from astro_objdet.skies.archives.files import open_reading, translated
from astro_objdet.skies.archives.layout import ROLES, record_of, whole_rows
from astro_objdet.skies.archives.pixels import chunk_index, identity, read_chunk
from astro_objdet.skies.archives.writer import ArchiveWriter

__all__ = ["ROLES", "Archive", "ArchiveWriter"]

# As close as images are taken for a recipe's: see `astro_objdet.images.resample`.
_SCALE_TOLERANCE = 0.01


class Archive:
    """An archive of labelled images, checked when it is opened.

    It shows the images there were at that moment; a half-built one may be opened again
    later for more. Copies that are pickled or forked open the file on their own.

    Parameters
    ----------
    path : path-like
    recipe : `~astro_objdet.detectors.Recipe`, optional
        That the archive must fit: bands, pixel scale, labels, stretch, clipped boxes.
    need_targets : bool, optional
        Whether an archive without a single target is an error.

    Attributes
    ----------
    path : str
    n_images : int
    complete : bool
        False while it is being built, and when that was interrupted.
    bands, labels : tuple of str
        Order of the planes; names of the classes.
    pixel_scale : float
        Arcsec.
    shape : tuple of int
        (ny, nx).
    kind : str
        ``"raw"``, surface brightness, or ``"stretched"``, pictures.
    dtype, unit, recipe : str
        Of the pixels; the recipe's name.
    stretch : dict or None
    clip_boxes : bool
        Whether boxes end at the border; otherwise their centres lie in the image.
    columns : tuple of str
        Numbers that objects have besides ra, dec, redshift and richness.
    provenance : dict
    split_record : dict
        How the images were split: scheme, seed, counts.
    leak : str
        What training and test share, a sentence; empty if nothing, as far as known.

    Raises
    ------
    InputError
        Naming the file and the rule: no HDF5, truncated, another version, another recipe,
        no targets, bad boxes, lengths that do not agree.
    """

    def __init__(self, path, *, recipe=None, need_targets=True):
        self.path = os.path.abspath(os.fspath(path))
        file, self._header = open_reading(self.path)
        try:
            with file:
                self._load(file)
        except InputError:
            raise
        except (KeyError, OSError, RuntimeError) as error:
            raise translated(OSError(str(error)), self.path) from error
        except (ValueError, TypeError, IndexError) as error:
            # what HDF5 reads without complaint, and no writer of archives has written
            raise InputError(f"is damaged: {error}", self.path) from error
        self._check_objects(need_targets)
        if recipe is not None:
            self._check_recipe(recipe)

    def __getattr__(self, name):
        # bands, pixel_scale, shape ...: what the header holds
        header = self.__dict__.get("_header")
        if header is None or name.startswith("_") or name not in vars(header):
            raise AttributeError(f"Archive has no attribute {name!r}")
        return getattr(header, name)

    def __repr__(self):
        ny, nx = self.shape
        return (
            f"<Archive {self.path}: {self.n_images} {self.kind} images of {nx} x {ny} px "
            f"({', '.join(self.bands)}), {len(self._objects)} objects>"
        )

    def __len__(self):
        return self.n_images

    def _load(self, file):
        rows = file["rows"][:]
        self.n_images = whole_rows(rows)
        self._rows = rows = rows[: self.n_images]
        complete, generation = file["state"][:]
        self.complete = bool(complete)
        if self.complete and len(rows) < len(file["rows"]):
            raise InputError(f"is damaged: the record of image {len(rows)} is not whole", self.path)
        n_objects = int((rows["first_object"] + rows["objects"]).max(initial=0))
        n_bytes = int((rows["first_byte"] + rows["bytes"]).max(initial=0))
        sizes = {"images": len(rows), "splits": len(rows), "objects": n_objects, "headers": n_bytes}
        for name, size in sizes.items():
            found = len(file[name])
            if found < size:
                raise InputError(
                    f"is damaged: {name} must have {size} entries for {len(rows)} images, "
                    f"got {found}",
                    self.path,
                )
        stored = file["images"].shape[1:]
        if stored != (len(self.bands), *self.shape):
            raise InputError(f"is damaged: its images have the shape {stored}", self.path)
        images, self._identity = file["images"], identity(self.path)
        self._chunks = chunk_index(images, len(rows), self.path)
        self._filters = (*("shuffle",) * images.shuffle, *("gzip",) * bool(images.compression))
        self._splits = np.char.decode(file["splits"][: len(rows), generation], "utf-8")
        self._objects = file["objects"][:n_objects]
        self._headers = file["headers"][:n_bytes]
        self.provenance = {**self._header.provenance, **record_of(file)}
        self.split_record = json.loads(file["notes"][int(generation)].decode() or "{}")

    def _check_objects(self, need_targets):
        wrong = bad_box(self._objects, self._header) if len(self._objects) else None
        if wrong is not None:
            image = int(np.searchsorted(self._last_objects, wrong[0], side="right"))
            raise InputError(f"object {wrong[0]} (image {image}): {wrong[1]}", self.path)
        known = (self._objects["label"] < len(self.labels)) & (self._objects["role"] < len(ROLES))
        if not known.all():
            raise InputError(
                f"object {int(np.argmin(known))} has a label or role that is not one of "
                f"{', '.join((*self.labels, *ROLES))}",
                self.path,
            )
        if need_targets and not (self._objects["role"] == 0).any():
            raise InputError(
                f"has no positives: none of its {len(self._objects)} objects is a target",
                self.path,
            )

    def _check_recipe(self, recipe):
        missing = [band for band in recipe.bands if band not in self.bands]
        if missing:
            self._refuse(recipe, "bands", ", ".join(self.bands), ", ".join(recipe.bands))
        if abs(self.pixel_scale / recipe.pixel_scale - 1) > _SCALE_TOLERANCE:
            scales = (f"{v:g} arcsec" for v in (self.pixel_scale, recipe.pixel_scale))
            self._refuse(recipe, "a pixel scale", *scales)
        if self.labels != tuple(recipe.labels):
            self._refuse(recipe, "labels", ", ".join(self.labels), ", ".join(recipe.labels))
        if self.kind == "raw" and self.unit.replace(" ", "") not in ("", "nmgy/arcsec2"):
            self._refuse(recipe, "pixels in", self.unit, "nmgy / arcsec2")
        if self.kind == "stretched" and self.stretch not in (None, dict(recipe.stretch)):
            self._refuse(recipe, "a stretch", self.stretch, recipe.stretch)
        if self.clip_boxes and not recipe.clip_boxes:
            self._refuse(recipe, "boxes", "cut at the border", "whole, also beyond it")

    def _refuse(self, recipe, what, own, wanted):
        raise InputError(
            f"is of another recipe: it has {what} {own}, and {recipe.name} has {wanted}", self.path
        )

    @property
    def _last_objects(self):
        return self._rows["first_object"] + self._rows["objects"]

    @property
    def leak(self):
        """What training and test share, a sentence; empty if nothing, as far as known."""
        return self.split_record.get("leak", "")

    @property
    def splits(self):
        """Number of images by the name of their split."""
        names, counts = np.unique(self._splits, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    def _index(self, i):
        if not 0 <= i < self.n_images:
            raise IndexError(f"image must be one of 0 to {self.n_images - 1}, got {i}")
        return int(i)

    def image(self, i):
        """Pixels of image ``i``: `numpy.ndarray` (band, ny, nx) as stored, NaN where masked."""
        chunk, shape = self._chunks[self._index(i)], (len(self.bands), *self.shape)
        return read_chunk(self.path, self._identity, chunk, self._filters, self.dtype, shape)

    def objects(self, i):
        """Objects of image ``i``.

        Returns
        -------
        `numpy.ndarray`, structured
            x1, y1, x2, y2 (pixel edges), label, role (str), ra, dec (deg), redshift,
            richness, and the archive's further `columns`.
        """
        row = self._rows[self._index(i)]
        first = int(row["first_object"])
        return self._named[first : first + int(row["objects"])]

    @cached_property
    def _named(self):
        """All objects with the names of labels and roles."""
        dtype = [
            (name, f"U{max(map(len, names))}") if names else (name, self._objects.dtype[name])
            for name, names in (
                (name, {"label": self.labels, "role": ROLES}.get(name))
                for name in self._objects.dtype.names
            )
        ]
        named = np.empty(len(self._objects), dtype)
        for name in named.dtype.names:
            names = {"label": self.labels, "role": ROLES}.get(name)
            codes = self._objects[name]
            named[name] = np.array(names)[codes] if names else codes
        named.flags.writeable = False
        return named

    @property
    def table(self):
        """All objects as a `~astropy.table.Table`, with the ``image`` each is in."""
        table = Table(self._named)
        image = np.repeat(np.arange(self.n_images), self._rows["objects"])
        table.add_column(image, 0, name="image")
        for name in ("ra", "dec"):
            table[name].unit = u.deg
        for name in ("x1", "y1", "x2", "y2"):
            table[name].unit = u.pix
        return table

    @property
    def images(self):
        """A row per image, a `~astropy.table.Table`: field, ra, dec (deg), split, group, cell."""
        table = Table()
        table["field"] = np.char.decode(self._rows["field"], "utf-8")
        table["ra"], table["dec"] = self._rows["ra"] * u.deg, self._rows["dec"] * u.deg
        table["split"] = self._splits
        table["group"] = np.char.decode(self._rows["group"], "utf-8")
        table["cell"] = self._rows["cell"]
        return table

    def rows(self, split=None):
        """Indices of the images of a split, of all where it is None.

        Raises
        ------
        InputError
            If no image is in it.
        """
        if split is None:
            return np.arange(self.n_images)
        rows = np.flatnonzero(self._splits == split)
        if not len(rows):
            have = ", ".join(repr(name) for name in self.splits) or "none"
            raise InputError(
                f"has no split {split!r}; it has {have}. `astro-objdet dataset split` makes others",
                self.path,
            )
        return rows

    def count_targets(self, split=None):
        """Number of objects to be found in the images of a split, in all where it is None."""
        chosen = np.zeros(self.n_images, dtype=bool)
        chosen[self.rows(split)] = True
        image = np.repeat(np.arange(self.n_images), self._rows["objects"])
        return int((chosen[image] & (self._objects["role"] == 0)).sum())

    def wcs(self, i):
        """`~astropy.wcs.WCS` of image ``i``, None if it has none."""
        row = self._rows[self._index(i)]
        first = int(row["first_byte"])
        text = self._headers[first : first + int(row["bytes"])].tobytes().decode("ascii")
        return WCS(FitsHeader.fromstring(text)) if text else None

    def corners(self, i):
        """Outer corners of image ``i``: `~astropy.coordinates.SkyCoord` (4,), ICRS, or None."""
        wcs, (ny, nx) = self.wcs(i), self.shape
        x, y = np.array([0, nx, nx, 0]) - 0.5, np.array([0, 0, ny, ny]) - 0.5
        return None if wcs is None else wcs.pixel_to_world(x, y).icrs
