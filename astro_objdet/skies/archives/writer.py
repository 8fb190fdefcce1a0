"""`ArchiveWriter`: images appended one by one, each whole or not at all."""

import contextlib
import json
import os

import numpy as np

from astro_objdet.catalogs.plain import plain
from astro_objdet.errors import InputError, check_choice
from astro_objdet.files import check_writable
from astro_objdet.skies.archives.checks import object_records, pixels_of
from astro_objdet.skies.archives.files import (
    Lock,
    mend,
    new_file,
    open_reading,
    open_writing,
    translated,
    was_closed,
)
from astro_objdet.skies.archives.layout import Header, record_of, row_dtype, seal, whole_rows
from astro_objdet.skies.stable import short_text

__all__ = ["ArchiveWriter"]

_COMPRESSIONS = ("auto", "gzip", "none")
# Of HDF5's own tables, beside what an image and its objects take.
_RESERVE = 256 * 1024


class ArchiveWriter:
    """An archive of labelled images that is being built; a context manager.

    Readers may open the archive meanwhile. A program killed at any moment leaves what was
    appended before; `resume` goes on from there. (After a power failure the same holds for
    what the system had written to the disk; `close` waits for that.) Leaving the context
    without an exception marks the archive as complete.

    Parameters
    ----------
    path : path-like
    bands : sequence of str
        In the order of the planes.
    pixel_scale : float
        Arcsec.
    shape : tuple of int
        (ny, nx) of every image.
    kind : str
        ``"raw"``: surface brightness that a recipe stretches; ``"stretched"``: pictures.
    dtype : str
        ``"float16"``, ``"float32"`` or ``"uint8"``. A masked pixel of a float is NaN.
    unit : str
        ``"nmgy / arcsec2"``, or empty for pictures and unknown flux scales.
    labels : sequence of str
        Names of the classes.
    recipe : str, optional
        Name of the recipe it was built for.
    stretch : dict, optional
        Of pictures, how they were stretched, as
        `~astro_objdet.images.stretch_from_dict` takes it.
    provenance : dict, optional
        Anything JSON holds: versions, command, seeds, checksums of the inputs.
    clip_boxes : bool, optional
        Whether boxes end at the border of the image; otherwise only the centre of a box
        must lie in it.
    columns : sequence of str, optional
        Further numbers that objects may have.
    compression : str, optional
        ``"gzip"`` (level 1), ``"none"``, or ``"auto"``: gzip for 8-bit
        pictures only, since the sky noise of fluxes does not compress.
    overwrite : bool, optional
        Whether an existing file is replaced; it is when the empty archive is made.

    Attributes
    ----------
    path : path-like
    header : Header
        The parameters above.
    n_images : int

    Raises
    ------
    InputError
        For parameters that break a rule, or an archive that another program writes to.
    OutputExistsError
        The file exists and ``overwrite`` is False.
    ResourceError
        The disk is full.
    """

    def __init__(
        self,
        path,
        *,
        bands,
        pixel_scale,
        shape,
        kind="raw",
        dtype="float16",
        unit="",
        labels=("cluster",),
        recipe="",
        stretch=None,
        provenance=None,
        clip_boxes=False,
        columns=(),
        compression="auto",
        overwrite=False,
    ):
        header = Header(
            bands, pixel_scale, tuple(shape), kind, dtype, unit, labels, recipe, stretch,
            clip_boxes, columns, provenance or {},
        )  # fmt: skip
        check_choice("compression", compression, _COMPRESSIONS)
        if compression == "auto":
            compression = "gzip" if header.dtype == "uint8" else "none"
        check_writable(path, overwrite)
        packing = None if compression == "none" else compression
        self._take(path, header, lambda: new_file(path, header, packing, overwrite))

    @classmethod
    def resume(cls, path, **expected):
        """Go on with an archive, half-built or complete.

        Parameters
        ----------
        path : path-like
        **expected
            Parameters of the constructor that it must have been made with; compression,
            provenance and overwrite are not compared.

        Returns
        -------
        ArchiveWriter

        Raises
        ------
        InputError
            If it is no archive, was made with other parameters, or is being written.
        """
        for name in ("compression", "provenance", "overwrite"):
            expected.pop(name, None)
        file, header = open_reading(path)
        file.close()
        wanted = Header(**{**vars(header), **expected})
        for name in header.differences(wanted):
            raise InputError(
                f"was made with {name} {getattr(header, name)!r}, and "
                f"{getattr(wanted, name)!r} was asked for; build another archive",
                path,
            )
        writer = cls.__new__(cls)
        writer._take(path, header, lambda: was_closed(path) or mend(path))
        return writer

    def _take(self, path, header, prepare):
        """Lock the archive, get the file ready, and open it."""
        with contextlib.ExitStack() as undo:
            lock = Lock(path)
            undo.callback(lock.release)
            prepare()
            self._start(path, header, lock)
            undo.pop_all()

    def _start(self, path, header, lock):
        self.path, self.header, self._lock = path, header, lock
        self._file = open_writing(path)
        rows = self._file["rows"][:]
        self.n_images = whole_rows(rows)
        rows = rows[: self.n_images]
        self._n_objects = int((rows["first_object"] + rows["objects"]).max(initial=0))
        self._n_bytes = int((rows["first_byte"] + rows["bytes"]).max(initial=0))
        self._fields = {name.decode() for name in rows["field"].tolist()}
        self._record = record_of(self._file)
        self._complete = bool(self._file["state"][0])

    @property
    def closed(self):
        """Whether it takes no more images: it was closed, or the disk is full."""
        return self._file is None

    @property
    def fields(self):
        """Names of the fields that are in it, a set."""
        return set(self._fields)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close(complete=kind is None)

    def append(self, image, objects=None, *, wcs=None, field, split="", group="", cell=-1):
        """Add an image with its objects.

        Parameters
        ----------
        image : `numpy.ndarray` (band, ny, nx)
        objects : list of dict or `~astropy.table.Table`, optional
            x1, y1, x2, y2 (pixel edges); optional label (default the first), role
            (default target), ra, dec, redshift, richness, and the archive's own columns.
            What is not known is NaN.
        wcs : `~astropy.wcs.WCS`, optional
            2-D, of the image.
        field : str
            The field it was cut from.
        split, group : str, optional
            Name of its split; what it must stay together with, such as a cluster (a long
            name is shortened, the same one always alike).
        cell : int, optional
            HEALPix cell of its centre.

        Raises
        ------
        InputError
            For an image or objects that break a rule; the archive stays as it was.
        ResourceError
            The disk is full; the archive stays as it was.
        """
        if self._file is None:
            raise InputError("the archive was closed, or could not be written to", self.path)
        try:
            pixels = pixels_of(image, self.header)
            records = object_records(objects, self.header)
            text = np.frombuffer(_wcs_text(wcs).encode("ascii"), np.uint8)
            row = np.zeros((), row_dtype())
            row["ra"], row["dec"] = _centre(wcs, self.header.shape)
            row["cell"] = cell
            # of a group nothing counts but which images share it
            group = short_text(group, row.dtype["group"].itemsize)
            for name, value in (("field", field), ("group", group)):
                row[name] = encoded(name, value, row.dtype[name].itemsize)
            split = encoded("split", split, self._file["splits"].dtype.itemsize)
        except InputError as error:
            raise InputError(f"image {self.n_images} ({field}): {error}", self.path) from None
        row["first_object"], row["objects"] = self._n_objects, len(records)
        row["first_byte"], row["bytes"] = self._n_bytes, len(text)
        seal(row)
        self._write(row, pixels, records, text, split)
        self._fields.add(str(field))

    def _write(self, row, pixels, records, text, split):
        """All that a row points to, then the row."""
        number = self.n_images
        try:
            if self._complete:
                self._file["state"][0] = self._complete = False
            self._reserve(2 * (pixels.nbytes + records.nbytes + text.nbytes) + _RESERVE)
            _put(self._file["images"], number, pixels[None])
            _put(self._file["objects"], self._n_objects, records)
            _put(self._file["headers"], self._n_bytes, text)
            _put(self._file["splits"], number, np.full((1, 2), split))
            self._file.flush()
            _put(self._file["rows"], number, row[None])
            self._file.flush()
        except OSError as error:
            self._abandon()
            raise translated(error, self.path, "written") from error
        self.n_images += 1
        self._n_objects += len(records)
        self._n_bytes += len(text)

    def _reserve(self, size):
        """Make sure of room on the disk: HDF5 does not recover from a full one."""
        if not hasattr(os, "posix_fallocate"):
            return
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, self._file.id.get_filesize(), size)
        finally:
            os.close(descriptor)

    def set_splits(self, names, note):
        """Give every image another split, all at once.

        Parameters
        ----------
        names : sequence of str, length `n_images`
        note : dict
            How it was split: scheme, seed, and ``leak``, a sentence, if sides share sky.
        """
        splits, state, notes = (self._file[name] for name in ("splits", "state", "notes"))
        if len(names) != self.n_images:
            raise InputError(f"got {len(names)} splits for {self.n_images} images", self.path)
        names = [encoded("split", name, splits.dtype.itemsize) for name in names]
        text = encoded("how it was split", json.dumps(plain(note)), notes.dtype.itemsize)
        other = 1 - int(state[1])
        try:
            splits[: self.n_images, other] = np.array(names, splits.dtype)
            notes[other] = text
            self._file.flush()
            state[1] = other  # one byte: either generation counts, never a mixture
            self._file.flush()
        except OSError as error:
            self._abandon()
            raise translated(error, self.path, "written") from error

    def add_provenance(self, **entries):
        """Provenance that is known late; written when the archive is closed."""
        self._record.update(json.loads(json.dumps(plain(entries))))

    def close(self, complete=True):
        """Close the file, marked as complete or as half-built.

        Parameters
        ----------
        complete : bool or None
            None leaves it as it was, if nothing was appended.

        Raises
        ------
        ResourceError
            The disk is full.
        """
        if self._file is None:
            return
        try:
            record = np.frombuffer(json.dumps(self._record).encode(), np.uint8)
            self._file["record"].resize(0, axis=0)
            _put(self._file["record"], 0, record)
            self._file.flush()
            self._file["state"][0] = self._complete if complete is None else complete
            self._file.flush()
            size = self._file.id.get_filesize()
            self._file.close()
            with open(self.path, "rb+") as file:
                # what was reserved and not used
                if was_closed(self.path) and file.seek(0, os.SEEK_END) > size:
                    file.truncate(size)
                os.fsync(file.fileno())
        except OSError as error:
            raise translated(error, self.path, "written") from error
        finally:
            self._file = None
            self._lock.release()

    def _abandon(self):
        """Let go of a file that HDF5 could not write to."""
        with contextlib.suppress(OSError, RuntimeError):  # what failed may fail again
            self._file.close()
        self._file = None
        self._lock.release()


def _put(dataset, start, values):
    if len(values):
        dataset.resize(start + len(values), axis=0)
        dataset[start:] = values


def encoded(name, value, size):
    """A text as UTF-8 that a column of ``size`` bytes holds."""
    text = str(value).encode()
    if len(text) > size or b"\0" in text:
        raise InputError(f"{name} must have at most {size} bytes without NUL, got {value!r}")
    return text


def _wcs_text(wcs):
    """Cards of a WCS, each 80 characters; empty without one."""
    if wcs is None:
        return ""
    return wcs.to_header(relax=True).tostring(padding=False, endcard=False)


def _centre(wcs, shape):
    """ICRS position of the middle of an image in degrees, NaN without a WCS."""
    if wcs is None:
        return np.nan, np.nan
    sky = wcs.pixel_to_world((shape[1] - 1) / 2, (shape[0] - 1) / 2).icrs
    return sky.ra.deg, sky.dec.deg
