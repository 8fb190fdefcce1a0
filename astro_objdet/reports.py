"""What a run is going to do, and what it did."""

import dataclasses
from pathlib import Path

from astro_objdet.catalogs import Detections
from astro_objdet.catalogs.plain import plain
from astro_objdet.errors import InputError, OutputExistsError

__all__ = [
    "Failure",
    "FieldPreview",
    "FieldResult",
    "RunPlan",
    "RunPreview",
    "RunReport",
    "table_rows",
    "table_units",
]


@dataclasses.dataclass(frozen=True)
class Failure:
    """An input that could not be used, why, and the exit code that goes with it."""

    input: str
    error: str
    exit_code: int


@dataclasses.dataclass(frozen=True)
class FieldResult:
    """What became of one field."""

    name: str
    files: tuple
    bands: tuple
    detections: int
    best_score: float | None
    seconds: float


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """What a run reads and writes, known before any work.

    Attributes
    ----------
    fields : list of `~astro_objdet.fields.Field`
    failures : list of Failure
        Inputs that stand for no file.
    output : `~pathlib.Path`
        The folder.
    catalogue, regions : str
        Names of the files in it.
    overlays : dict of str
        Name of the picture by name of the field; empty without pictures.
    """

    fields: list
    failures: list
    output: Path
    catalogue: str
    regions: str
    overlays: dict

    @property
    def outputs(self):
        """Paths of all files the run writes."""
        names = (self.catalogue, self.regions, *self.overlays.values())
        return [self.output / name for name in names]

    def refuse_existing(self):
        """Raise `OutputExistsError` if a file would be overwritten."""
        existing = [path for path in self.outputs if path.exists()]
        if existing:
            more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
            raise OutputExistsError(
                f"the output exists{more}; allow overwriting it (--overwrite) "
                "or choose another folder",
                existing[0],
            )


@dataclasses.dataclass(frozen=True)
class RunReport:
    """What a run did.

    Attributes
    ----------
    model : dict
        The detector, its weights and their sha256.
    fields : list of FieldResult
    failures : list of Failure
    written : list of `~pathlib.Path`
        Catalogue, region file, pictures; nothing if every field failed.
    detections : `~astro_objdet.catalogs.Detections` or None
        The catalogue; of several fields, with the column ``field``. None if
        every field failed.
    """

    model: dict
    fields: list
    failures: list
    written: list
    detections: Detections | None

    @property
    def exit_code(self):
        """0, or 4 where some inputs failed, or the code of the failures."""
        return _exit_code(self.fields, self.failures)

    def to_dict(self):
        """The report and the catalogue's rows as JSON takes them (NaN is None)."""
        return {
            "model": self.model,
            "fields": [dataclasses.asdict(field) for field in self.fields],
            "failures": [dataclasses.asdict(failure) for failure in self.failures],
            "written": [str(path) for path in self.written],
            "units": {} if self.detections is None else table_units(self.detections),
            "detections": ([] if self.detections is None else table_rows(self.detections)),
        }


@dataclasses.dataclass(frozen=True)
class FieldPreview:
    """What would be read of one field: a line per file and HDU."""

    name: str
    files: tuple
    contents: tuple


@dataclasses.dataclass(frozen=True)
class RunPreview:
    """What a run would do, from names and headers alone.

    Attributes
    ----------
    fields : list of FieldPreview
    failures : list of Failure
    written : list of `~pathlib.Path`
        Files that would be written.
    """

    fields: list
    failures: list
    written: list

    @property
    def exit_code(self):
        """As that of `RunReport`."""
        return _exit_code(self.fields, self.failures)

    def to_dict(self):
        """The preview as JSON takes it."""
        return {
            "fields": [dataclasses.asdict(field) for field in self.fields],
            "failures": [dataclasses.asdict(failure) for failure in self.failures],
            "would_write": [str(path) for path in self.written],
        }


def table_units(table):
    """Unit of each column that has one, as text."""
    return {
        name: str(column.unit)
        for name, column in table.items()
        if getattr(column, "unit", None) is not None
    }


def table_rows(table):
    """Rows of a table as dicts of plain Python values, NaN and masked as None."""
    columns = plain(table)
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _exit_code(done, failures):
    if not failures:
        return 0
    if done:
        return 4
    codes = {failure.exit_code for failure in failures}
    return codes.pop() if len(codes) == 1 else InputError.exit_code
