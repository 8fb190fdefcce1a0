"""Cross-matching catalogue files: what ``astro-objdet crossmatch`` does."""

import dataclasses
from pathlib import Path

from astropy.table import Table

from astro_objdet.catalogs.crossmatch import crossmatch
from astro_objdet.catalogs.reference import fetch_catalogue, list_catalogues, load_catalogue
from astro_objdet.catalogs.tables.files import check_output, read_table, write_table
from astro_objdet.catalogs.triage import triage
from astro_objdet.errors import InputError
from astro_objdet.files import sha256_of

__all__ = ["CrossmatchReport", "TriageReport", "crossmatch_files", "triage_files"]

#: Radius of triage: 250 kpc at a redshift of 0.15 (Chan & Stott 2019, section 3.2).
TRIAGE_RADIUS = "1.61 arcmin"


@dataclasses.dataclass(frozen=True)
class CrossmatchReport:
    """What a cross-match found.

    Attributes
    ----------
    table : `~astropy.table.QTable`
    left, right : `~pathlib.Path`
    written : `~pathlib.Path` or None
    """

    table: Table
    left: Path
    right: Path
    written: Path | None

    @property
    def record(self):
        """What ``.meta["crossmatch"]`` of the table holds."""
        return self.table.meta["crossmatch"]

    def to_dict(self):
        """The counts and parameters, ready for JSON."""
        written = None if self.written is None else str(self.written)
        return {**self.record, "rows": len(self.table), "written": written}


def crossmatch_files(left, right, output=None, *, radius, overwrite=False, **options):
    """Match two catalogue files on the sky.

    Parameters
    ----------
    left, right : path-like
        Tables in any format that `~astro_objdet.catalogs.tables.files.read_table` reads.
    output : path-like, optional
        File for the result; the format goes by its suffix.
    radius, **options
        As for `~astro_objdet.catalogs.crossmatch.crossmatch`.
    overwrite : bool
        Whether the output may replace a file.

    Returns
    -------
    CrossmatchReport

    Raises
    ------
    InputError, OutputExistsError
        As `crossmatch` does, and for files that cannot be read or written.
    """
    if output is not None:
        check_output(output, overwrite, (left, right))
    tables = [read_table(left), read_table(right)]
    matched = crossmatch(*tables, radius, **options)
    for side, path in (("left", left), ("right", right)):
        matched.meta["crossmatch"][side].update(_origin(path))
    _write(matched, output, overwrite)
    return CrossmatchReport(matched, Path(left), Path(right), _path(output))


@dataclasses.dataclass(frozen=True)
class TriageReport:
    """Which detections known catalogues have.

    Attributes
    ----------
    table : `~astropy.table.QTable`
        The detections, with what is known of each.
    catalogues : dict of str
        Reference of each catalogue by its name.
    written : `~pathlib.Path` or None
    """

    table: Table
    catalogues: dict
    written: Path | None

    @property
    def known(self):
        """Number of detections known in each catalogue, by its name."""
        return {name: int(self.table[f"known_in_{name}"].sum()) for name in self.catalogues}

    @property
    def new(self):
        """Number of detections that no catalogue has."""
        return int(self.table["new"].sum())

    def to_dict(self):
        """The counts and the table's record, ready for JSON."""
        return {
            "rows": len(self.table),
            "known": self.known,
            "new": self.new,
            "catalogues": self.catalogues,
            "written": None if self.written is None else str(self.written),
        }


def triage_files(found, names, output=None, *, radius=None, overwrite=False, **options):
    """Look detections up in known catalogues.

    Parameters
    ----------
    found : path-like
        Table of detections.
    names : iterable of str
        Catalogues: names of `~astro_objdet.catalogs.reference.list_catalogues`, or files.
    output : path-like, optional
    radius : str or `~astropy.units.Quantity`, optional
        Default `TRIAGE_RADIUS`.
    overwrite : bool
    **options
        As for `~astro_objdet.catalogs.triage.triage`.

    Returns
    -------
    TriageReport

    Raises
    ------
    InputError, OutputExistsError, NetworkError
        NetworkError where a catalogue is neither a file, nor cached, nor reached.
    """
    if output is not None:
        check_output(output, overwrite, (found, *filter(_is_file, names)))
    table = read_table(found)
    catalogues = {}
    for name in names:
        short = Path(name).stem if _is_file(name) else name
        if short in catalogues:
            raise InputError(f"catalogue {short!r} is given twice")
        catalogues[short] = load_catalogue(name) if _is_file(name) else fetch_catalogue(name)
    known = triage(table, catalogues, radius or TRIAGE_RADIUS, **options)
    known.meta["found"] = _origin(found)
    _write(known, output, overwrite)
    origins = {name: catalogue.meta.get("origin") for name, catalogue in catalogues.items()}
    return TriageReport(known, origins, _path(output))


def _is_file(name):
    if name in {catalogue.name for catalogue in list_catalogues()}:
        return False
    return Path(name).is_file()


def _origin(path):
    return {"path": str(path), "sha256": sha256_of(path)}


def _path(output):
    return None if output is None else Path(output)


def _write(table, output, overwrite):
    if output is not None:
        write_table(table, output, overwrite=overwrite)
