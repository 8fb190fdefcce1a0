"""The table of detections: what was found, where on the sky and in the image."""

import io
import os
import zlib
from functools import partial

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import registry
from astropy.table import Column, QTable
from astropy.table.connect import TableRead

from astro_objdet.catalogs import skyboxes
from astro_objdet.catalogs.tables import regionsio
from astro_objdet.catalogs.tables.formats import SUFFIXES, content_of, format_by_suffix
from astro_objdet.errors import InputError

__all__ = ["COLUMNS", "Detections", "as_detections"]

# Name: type, unit, description.
COLUMNS = {
    "id": (np.int64, None, "number of the detection, from 1"),
    "ra": (float, u.deg, "right ascension of the box centre, ICRS"),
    "dec": (float, u.deg, "declination of the box centre, ICRS"),
    "score": (float, None, "score of the detector, 0 to 1"),
    "label": (str, None, "what was detected"),
    "width": (float, u.arcsec, "size of the box along the pixel axis x"),
    "height": (float, u.arcsec, "size of the box along the pixel axis y"),
    "angle": (float, u.deg, "position angle of the pixel axis y, east of north"),
    "x_min": (float, u.pix, "left edge; centre of the first pixel = 0"),
    "y_min": (float, u.pix, "lower edge; centre of the first pixel = 0"),
    "x_max": (float, u.pix, "right edge; centre of the first pixel = 0"),
    "y_max": (float, u.pix, "upper edge; centre of the first pixel = 0"),
}
_EDGES = ("x_min", "y_min", "x_max", "y_max")


class _DetectionsRead(TableRead):
    """Read detections from a file.

    The format goes by the suffix (.ecsv, .csv, .fits, .vot, .parquet, .reg), or is given as
    ``format``: "ascii.ecsv", "ascii.csv", "fits", "votable", "parquet", "ds9". ``hdu`` chooses
    among several tables of a FITS file or a VOTable, ``wcs`` fills the columns in pixels from
    regions.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks a column that detections have.
    """

    def __call__(self, source, *args, **kwargs):
        path = source if isinstance(source, str | os.PathLike) else None
        try:
            return super().__call__(source, *args, **kwargs)
        except InputError as error:
            if path is None or error.path is not None:
                raise
            raise InputError(str(error), path) from error
        except (OSError, EOFError, zlib.error, registry.IORegistryError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise InputError(f"cannot be read: {reason}", path) from error


class Detections(QTable):
    """Objects found in an image: one row each, with box, score and label.

    A `~astropy.table.QTable` with these columns first, and any others behind:

    ==============================  ========  =====================================
    column                          unit      meaning
    ==============================  ========  =====================================
    id                                        int64, from 1
    ra, dec                         deg       box centre, ICRS; NaN without a WCS
    score                                     float64, of the detector
    label                                     str
    width, height                   arcsec    sky size of the box along the pixel
                                              axes x and y
    angle                           deg       position angle of the pixel axis y,
                                              east of north: the angle of a
                                              `~regions.RectangleSkyRegion`
    x_min, y_min, x_max, y_max      pix       edges of the box; the centre of the
                                              first pixel is 0, its left edge −0.5
    ==============================  ========  =====================================

    ``.meta`` holds where the detections came from. Both read back equal from ``.ecsv``,
    ``.csv``, ``.fits``, ``.vot`` and ``.parquet``; ``.reg`` is a DS9 region file. Files are
    written whole or not at all, and over existing ones only with ``overwrite=True``.

    Make one with `from_boxes` or `from_regions`.
    """

    read = registry.UnifiedReadWriteMethod(_DetectionsRead)

    @classmethod
    def from_boxes(cls, boxes, scores, labels, wcs=None, meta=None):
        """Make detections from boxes in an image.

        Parameters
        ----------
        boxes : array_like of float, shape (N, 4)
            Edges (x1, y1, x2, y2) in pixels, 0 ≤ x1 < x2 ≤ width of the image,
            as torchvision gives them. N may be 0.
        scores : array_like of float, shape (N,)
            Score of each box.
        labels : sequence of str, length N
            Label of each box.
        wcs : `~astropy.wcs.WCS`, optional
            Celestial WCS of the image. Without one all sky columns are NaN.
        meta : dict, optional
            Becomes ``.meta``.

        Returns
        -------
        Detections

        Raises
        ------
        InputError
            If the lengths differ, or a box is not finite or has no area.
        """
        boxes = np.asarray(boxes, dtype=float)
        boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
        scores = np.asarray(scores, dtype=float).reshape(-1)
        labels = [str(label) for label in labels]
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise InputError(f"boxes must have shape (N, 4), got {boxes.shape}")
        if not len(boxes) == len(scores) == len(labels):
            raise InputError(
                "boxes, scores and labels must have the same length, got "
                f"{len(boxes)}, {len(scores)} and {len(labels)}"
            )
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        if not good.all():
            first = int(np.argmin(good))
            raise InputError(
                "boxes must be finite with x1 < x2 and y1 < y2, got "
                f"{boxes[first].tolist()} at index {first}"
            )
        sky = None if wcs is None else skyboxes.sky_boxes(wcs, boxes)
        return cls._assemble(boxes, scores, labels, sky, meta)

    @classmethod
    def from_regions(cls, regions, wcs=None, meta=None):
        """Make detections from rectangular regions.

        Parameters
        ----------
        regions : iterable of `~regions.RectangleSkyRegion` or `~regions.RectanglePixelRegion`
            Boxes, all on the sky or all in pixels. Label and score come from
            the meta that `to_regions` writes, or a text such as ``cluster 0.93``;
            a region without a score gets NaN.
        wcs : `~astropy.wcs.WCS`, optional
            Of the image, to fill the columns of the other kind, else NaN. A box
            turned against the pixel axes gets the upright box around it.
        meta : dict, optional
            Becomes ``.meta``.

        Raises
        ------
        InputError
            If a region is not a box, or some are on the sky and some in pixels.
        """
        return cls._assemble(*regionsio.box_columns(regions, wcs), meta)

    @classmethod
    def _assemble(cls, boxes, scores, labels, sky, meta):
        values = {"id": np.arange(1, len(boxes) + 1), "score": scores, "label": labels}
        values.update(sky or {})
        values.update(zip(_EDGES, boxes.T - skyboxes.HALF_PIXEL, strict=True))
        columns = []
        for name, (dtype, unit, description) in COLUMNS.items():
            data = values.get(name, np.full(len(boxes), np.nan))
            columns.append(Column(data, name, dtype=dtype, unit=unit, description=description))
        return cls(columns, meta=meta)

    @property
    def skycoord(self):
        """`~astropy.coordinates.SkyCoord` of the box centres, ICRS, shape (N,)."""
        return SkyCoord(self["ra"], self["dec"])

    @property
    def boxes(self):
        """Edges (x1, y1, x2, y2) in pixels as torchvision has them.

        `~numpy.ndarray` of float64, shape (N, 4); the image starts at 0.
        """
        edges = [self[name].to_value(u.pix) for name in _EDGES]
        return np.stack(edges, axis=1) + skyboxes.HALF_PIXEL

    def to_regions(self, pixel=False):
        """Return the boxes as regions.

        Parameters
        ----------
        pixel : bool, optional
            Whether to return boxes in pixels rather than on the sky.

        Returns
        -------
        `regions.Regions`
            Of `~regions.RectangleSkyRegion`, or `~regions.RectanglePixelRegion`.
            In the meta of each: ``text`` ("cluster 0.93"), ``label``, and
            ``tag`` with the label and the score in full ("score=0.9312").

        Raises
        ------
        InputError
            If a detection has no position on the sky and ``pixel`` is false.

        Notes
        -----
        ``to_pixel`` of ``regions`` may turn boxes that are very nearly square, whose axes a
        singular value decomposition cannot tell. Ask for ``pixel=True`` instead.
        """
        return regionsio.to_regions(self, pixel)


def as_detections(table):
    """Return a table that has all columns of detections as `Detections`.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Its columns are used as they are, if need be with the units that detections have, as a
        CSV file that went through a spreadsheet has none.

    Raises
    ------
    InputError
        If a column is not there, or holds something else.
    """
    missing = [name for name in COLUMNS if name not in table.colnames]
    if missing:
        raise InputError(
            f"is not a table of detections: it lacks {', '.join(missing)}; "
            f"it has {', '.join(table.colnames)}"
        )
    for name, (dtype, unit, _) in COLUMNS.items():
        column = table[name]
        if column.ndim != 1 or (dtype is not str and column.dtype.kind not in "iuf"):
            what = "text" if dtype is str else "number"
            got = f"{column.dtype} of shape {column.shape}"
            raise InputError(f"column {name} must hold one {what} a row, got {got}")
        if unit is not None and column.unit is not None and not column.unit.is_equivalent(unit):
            raise InputError(f"column {name} must be in {unit}, got {column.unit}")
    for name, (_, unit, _) in COLUMNS.items():
        if unit is not None and table[name].unit is None:
            table[name].unit = unit
    return Detections(table, copy=False)


# The codecs load pyarrow, which takes long: they are imported when they are first needed.
def _read(name, source, hdu=None, filename=None):
    """Read a file object or path; astropy gives a VOTable's name in ``filename`` besides."""
    from astro_objdet.catalogs.tables.codecs import READERS, reading

    with reading():
        # A detection without a number has NaN, whatever other tables mean by it.
        table = READERS[name](io.BytesIO(content_of(source)), hdu, False)
    return as_detections(table)


def _read_ds9(source, wcs=None):
    return Detections.from_regions(regionsio.load_ds9(content_of(source)), wcs=wcs)


def _write(name, table, output, overwrite=False):
    from astro_objdet.catalogs.tables.codecs import WRITERS, check_packing, dump, write

    writer = _write_ds9 if name == "ds9" else WRITERS[name]
    if isinstance(output, str | os.PathLike):
        check_packing(name, output)
        write(writer, table, output, overwrite)
    elif isinstance(output, io.TextIOBase):
        output.write(dump(writer, table).decode())
    else:
        output.write(dump(writer, table))


def _write_ds9(table, stream):
    stream.write(regionsio.dump_ds9(table))


def _identify(name, origin, path, fileobj, *args, **kwargs):
    """Return whether a file is in a format, which goes by the ending of its name alone."""
    return path is not None and format_by_suffix(path) == name


for _name in SUFFIXES:
    _reader = _read_ds9 if _name == "ds9" else partial(_read, _name)
    registry.register_reader(_name, Detections, _reader)
    registry.register_writer(_name, Detections, partial(_write, _name))
    registry.register_identifier(_name, Detections, partial(_identify, _name))
