"""What an archive's HDF5 file holds, and in which order it becomes valid.

========== ================== ====================================================
dataset    shape              content
========== ================== ====================================================
images     (N, band, ny, nx)  one chunk per image
rows       (N,)               `row_dtype`: where the rest of each image lies
splits     (N, 2)             name of the split, in two generations
objects    (M,)               `object_dtype`, image after image
headers    (K,)               WCS headers as ASCII, image after image
state      (2,)               complete or not, and the generation of splits that counts
notes      (2,)               per generation, JSON of how it was split
header     (bytes,)           JSON of `Header`, as it was made
record     (bytes,)           JSON, provenance that was known at the end
========== ================== ====================================================

The root's attributes are ``format`` and ``version``. A row is written after all it points to,
and carries a CRC-32 of itself: what has a good row is whole, and whatever lies behind the
last one is not there.
"""

import dataclasses
import json
import zlib

import numpy as np

from astro_objdet.catalogs.plain import plain
from astro_objdet.errors import InputError, check_choice, check_positive

__all__ = [
    "FORMAT",
    "KINDS",
    "OBJECT_COLUMNS",
    "ROLES",
    "VERSION",
    "Header",
    "create_datasets",
    "object_dtype",
    "record_of",
    "row_dtype",
    "seal",
    "whole_rows",
]

FORMAT = "astro_objdet archive"
VERSION = 1
KINDS = ("raw", "stretched")
#: What an object is to training and evaluation; see `astro_objdet.skies.archive.Archive`.
ROLES = ("target", "ignored", "confusion", "decoy")
#: Columns that every table of objects has, besides its own further ones.
OBJECT_COLUMNS = ("x1", "y1", "x2", "y2", "label", "role", "ra", "dec", "redshift", "richness")
_DTYPES = ("float16", "float32", "uint8")
_SPLIT_BYTES, _NOTE_BYTES = 24, 4096


def row_dtype():
    """Record of one image; texts are UTF-8."""
    return np.dtype(
        [
            ("field", "S128"),
            ("group", "S64"),
            ("cell", "<i8"),
            ("ra", "<f8"),
            ("dec", "<f8"),
            ("first_object", "<i8"),
            ("objects", "<i8"),
            ("first_byte", "<i8"),
            ("bytes", "<i8"),
            ("crc", "<u4"),
        ]
    )


def object_dtype(columns=()):
    """Record of one object; ``columns`` are further numbers."""
    names = [("x1", "<f4"), ("y1", "<f4"), ("x2", "<f4"), ("y2", "<f4"), ("label", "u1")]
    names += [("role", "u1"), ("ra", "<f8"), ("dec", "<f8"), ("redshift", "<f8")]
    return np.dtype([*names, ("richness", "<f8"), *((name, "<f8") for name in columns)])


@dataclasses.dataclass(frozen=True)
class Header:
    """What holds for all images of an archive; attributes as those of `Archive`."""

    bands: tuple
    pixel_scale: float
    shape: tuple
    kind: str
    dtype: str
    unit: str
    labels: tuple
    recipe: str = ""
    stretch: dict | None = None
    clip_boxes: bool = False
    columns: tuple = ()
    provenance: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for name in ("bands", "shape", "labels", "columns"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "dtype", np.dtype(self.dtype).name)
        object.__setattr__(self, "unit", str(self.unit or ""))
        check_positive("pixel_scale", self.pixel_scale)
        check_choice("kind", self.kind, KINDS)
        check_choice("dtype", self.dtype, _DTYPES)
        for name, distinct in (("bands", self.bands), ("labels", self.labels)):
            if not distinct or len(set(distinct)) != len(distinct):
                raise InputError(f"{name} must be names, each different; got {distinct}")
        if len(self.shape) != 2 or not all(isinstance(n, int) and n > 0 for n in self.shape):
            raise InputError(f"shape must be (ny, nx), whole numbers above 0; got {self.shape}")
        taken = set(self.columns) & {*OBJECT_COLUMNS, "image"}
        if taken or len(set(self.columns)) != len(self.columns):
            raise InputError(
                "columns must be names, each different and none of "
                f"{', '.join(OBJECT_COLUMNS)}; got {self.columns}"
            )

    def to_json(self):
        """One line of JSON, without numbers that JSON does not have."""
        return json.dumps(plain(dataclasses.asdict(self)), sort_keys=True)

    @classmethod
    def from_json(cls, text):
        """The header that `to_json` wrote; ValueError or TypeError for anything else."""
        return cls(**json.loads(text))

    def differences(self, other):
        """Names of the entries in which two headers differ, provenance aside."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "provenance"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def create_datasets(file, header, compression):
    """Make the empty datasets and attributes of an archive in an open HDF5 file."""
    file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
    file.create_dataset("header", data=np.frombuffer(header.to_json().encode(), np.uint8))
    image = (len(header.bands), *header.shape)
    packed = {}
    if compression is not None:
        packed = {"compression": compression, "compression_opts": 1}
        packed["shuffle"] = header.dtype != "uint8"
    _growing(file, "images", header.dtype, image, 1, **packed)
    _growing(file, "rows", row_dtype(), (), 64)
    _growing(file, "splits", f"S{_SPLIT_BYTES}", (2,), 256)
    _growing(file, "objects", object_dtype(header.columns), (), 512)
    _growing(file, "headers", "u1", (), 65536)
    _growing(file, "record", "u1", (), 65536)
    file.create_dataset("state", data=np.zeros(2, np.uint8))
    file.create_dataset("notes", shape=(2,), dtype=f"S{_NOTE_BYTES}", data=[b"{}", b"{}"])


def _growing(file, name, dtype, shape, chunk, **options):
    file.create_dataset(
        name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(chunk, *shape), **options
    )


def seal(row):
    """Put the CRC-32 of a record of `row_dtype` into it."""
    row["crc"] = zlib.crc32(row.tobytes()[:-4])


def whole_rows(rows):
    """How many records from the first on carry the right CRC-32."""
    for number, row in enumerate(rows):
        if zlib.crc32(row.tobytes()[:-4]) != row["crc"]:
            return number
    return len(rows)


def record_of(file):
    """Provenance that was written last; empty where that was cut short."""
    try:
        return json.loads(file["record"][:].tobytes() or b"{}")
    except ValueError:
        return {}
