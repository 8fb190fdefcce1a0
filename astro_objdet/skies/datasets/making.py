"""An archive while it is made: opened with its first window, and what is counted."""

import dataclasses
import warnings
from collections import Counter
from pathlib import Path

from astropy_healpix import HEALPix

from astro_objdet.errors import InputError, NetworkError, check_choice
from astro_objdet.skies.archive import Archive, ArchiveWriter
from astro_objdet.skies.splits import NSIDE

__all__ = ["BuildReport", "Making"]

_SURFACE_BRIGHTNESS = "nmgy / arcsec2"


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """What was built.

    Attributes
    ----------
    path : `~pathlib.Path`
    images : int
        In the archive.
    fields : int
        That were read.
    masked_windows : int
        Left out because too many of their pixels are bad.
    objects : dict of int
        In the images, by role; one in several images counts in each.
    rows, set_aside : int, dict of int
        Of the truth table, and how many could not be used by reason.
    outside : int
        Usable rows that lie on no field.
    splits : dict of int
        Images by split.
    leak : str
    failures : list of (str, str, int)
        Field, message and exit code of those that could not be read.
    """

    path: Path
    images: int
    fields: int
    masked_windows: int
    objects: dict
    rows: int
    set_aside: dict
    outside: int
    splits: dict
    leak: str
    failures: list

    @property
    def exit_code(self):
        """0, or 4 if some fields failed."""
        return 4 if self.failures else 0

    def to_dict(self):
        """Ready for JSON."""
        values = dataclasses.asdict(self)
        failures = [{"field": name, "error": text} for name, text, _ in self.failures]
        return {**values, "path": str(self.path), "failures": failures}


class Making:
    """A context manager; leaving it early leaves an archive that can be resumed.

    Parameters
    ----------
    path : path-like
    recipe : `~astro_objdet.detectors.Recipe`
    known : Truth
    provenance : dict
        With entries ``settings`` and ``truth``, which must be the same to resume.
    size : int
        Side of the images.
    dtype, compression : str
    stretch : dict, optional
        Of the pictures made of fluxes.
    max_masked : float
        Windows with more bad pixels are left out.
    resume, overwrite : bool
    """

    def __init__(
        self, path, recipe, known, provenance, *, size, dtype="float16", compression="auto",
        stretch=None, max_masked=1.0, resume=False, overwrite=False,
    ):  # fmt: skip
        check_choice("dtype", dtype, ("float16", "float32"))
        self.path, self.dtype, self.stretch = Path(path), dtype, stretch
        self.max_masked, self.overwrite = max_masked, overwrite
        self.resume = resume and self.path.exists()
        self.parameters = {
            "bands": tuple(reversed(recipe.bands)), "pixel_scale": recipe.pixel_scale,
            "shape": (size, size), "labels": recipe.labels, "recipe": recipe.name,
            "clip_boxes": recipe.clip_boxes, "columns": known.columns, "provenance": provenance,
            "compression": compression,
        }  # fmt: skip
        self.writer, self.pictures = None, None
        self.masked, self.read, self.outside, self.sources, self.failures = 0, 0, 0, {}, []
        if self.resume:
            # an archive of other settings is refused before any work
            done = Archive(path, need_targets=False)
            for name in ("settings", "truth"):
                self._same(name, done.provenance.get(name), provenance[name])
            self.pictures = done.kind == "stretched"
            self._open()

    def _same(self, name, found, wanted):
        if found != wanted:
            raise InputError(
                f"was made with other {name}: {found}, now {wanted}; build another archive",
                self.path,
            )

    def _open(self):
        """Make the archive, or go on with it."""
        kind = {"kind": "raw", "dtype": self.dtype, "unit": _SURFACE_BRIGHTNESS}
        if self.pictures:
            kind = {"kind": "stretched", "dtype": "uint8", "unit": "", "stretch": self.stretch}
        parameters = {**self.parameters, **kind}
        if self.resume:
            self.writer = ArchiveWriter.resume(self.path, **parameters)
        else:
            self.writer = ArchiveWriter(self.path, overwrite=self.overwrite, **parameters)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self.writer is not None:
            self.writer.close(complete=False)

    @property
    def done(self):
        """Names of the images that are there."""
        return set() if self.writer is None else self.writer.fields

    @property
    def broken(self):
        """Whether the archive takes no more, as on a full disk."""
        return self.writer is not None and self.writer.closed

    def same_kind(self, windows):
        """Raise `InputError` for pictures among fluxes, or fluxes among pictures."""
        if self.pictures is None:
            self.pictures = windows.pictures
        if self.pictures != windows.pictures:
            kinds = {True: "a stretched picture", False: "fluxes"}
            raise InputError(
                f"holds {kinds[windows.pictures]}, and the first field {kinds[self.pictures]}: "
                "they make two archives, or one of pictures with stretched"
            )

    def append(self, name, group, window):
        """Append a window, unless too much of it is bad."""
        if window.masked > self.max_masked:
            self.masked += 1
            return
        if self.writer is None:
            self._open()
        size = window.image.shape[-1]
        middle = window.wcs.pixel_to_world((size - 1) / 2, (size - 1) / 2).icrs
        cell = HEALPix(NSIDE, order="nested").lonlat_to_healpix(middle.ra, middle.dec)
        self.writer.append(
            window.image, window.objects, wcs=window.wcs, field=name, group=group, cell=int(cell)
        )

    def finish(self, split, outside=0, advice=""):
        """Write what is known at the end, call ``split``, and mark the archive as complete.

        Raises
        ------
        InputError, NetworkError
            If there is no image; the latter if no service sent one. ``advice`` ends the message.
        """
        if self.writer is None or not self.writer.n_images:
            if self.failures:
                codes = {code for *_, code in self.failures}
                kind = NetworkError if codes == {NetworkError.exit_code} else InputError
                raise kind(f"no field can be used; the first: {self.failures[0][1]}{advice}")
            raise InputError(f"all {self.masked} windows have too many bad pixels (max_masked)")
        self.outside = outside
        self.writer.add_provenance(
            inputs=self.sources, masked_windows=self.masked, outside=outside,
            cell_nside=NSIDE, failures={name: text for name, text, _ in self.failures},
        )  # fmt: skip
        split(self.writer)
        if not (Archive(self.path, need_targets=False).table["role"] == "target").any():
            warnings.warn(
                "no known object is a target on any field: are these the right table, columns "
                "and ranges, and right ascensions in degrees?",
                UserWarning,
                stacklevel=3,
            )
        self.writer.close()

    def report(self, known):
        """What came of it: `BuildReport`."""
        archive = Archive(self.path, need_targets=False)
        return BuildReport(
            path=self.path,
            images=archive.n_images,
            fields=self.read,
            masked_windows=self.masked,
            objects=dict(Counter(archive.table["role"].tolist())),
            rows=known.rows,
            set_aside=known.set_aside,
            outside=self.outside,
            splits=archive.splits,
            leak=archive.leak,
            failures=self.failures,
        )
