"""Which format a file of a table is in, by its name or its content, and its bytes."""

import gzip
import os
import zlib
from pathlib import Path

from astro_objdet.errors import InputError

__all__ = ["SUFFIXES", "content_of", "format_by_suffix", "format_of", "title_of"]

# By the names that the formats have in astropy's unified I/O; ``.gz`` may follow a suffix.
SUFFIXES = {
    "ascii.ecsv": (".ecsv",),
    "ascii.csv": (".csv",),
    "fits": (".fits", ".fit"),
    "votable": (".vot", ".votable", ".xml"),
    "parquet": (".parquet", ".parq"),
    "ds9": (".reg",),
}
_LISTED = "FITS, ECSV, CSV, VOTable, Parquet and DS9 regions"
_GZIPPED = b"\x1f\x8b"


def format_by_suffix(path):
    """Return the name of the format in `SUFFIXES` that a path ends in, or None."""
    name = str(path).lower().removesuffix(".gz")
    for known, suffixes in SUFFIXES.items():
        if name.endswith(suffixes):
            return known
    return None


def format_of(path):
    """Return the name of the format that a file is in, by suffix, else by content.

    Raises
    ------
    InputError
        If the file is empty, a web page, or in no known format.
    """
    with open(path, "rb") as file:
        start = file.read(4096)
    if not start:
        raise InputError("is empty")
    if start.startswith(_GZIPPED):
        start = zlib.decompressobj(wbits=31).decompress(start)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        raise InputError("is a web page, not a table")
    known = format_by_suffix(path)
    if known is not None:
        return known
    if start.startswith(b"SIMPLE  ="):
        return "fits"
    if start.startswith(b"PAR1"):
        return "parquet"
    if b"<votable" in text or b":votable" in text:
        return "votable"
    if text.startswith(b"# region file format"):
        return "ds9"
    if text.startswith(b"# %ecsv"):
        return "ascii.ecsv"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(b"#")]
    if lines and any(mark in lines[0] for mark in b",;\t"):
        return "ascii.csv"
    raise InputError(f"is in no known format; known are {_LISTED}, by suffix or content")


def content_of(source):
    """Return the bytes of a path or of a file object, text as UTF-8, gzip undone."""
    if _is_path(source):
        content = Path(source).read_bytes()
    else:
        content = source.read()
    if isinstance(content, str):
        content = content.encode()
    return gzip.decompress(content) if content.startswith(_GZIPPED) else content


def title_of(source):
    """Return what a warning calls a path or a file object."""
    return os.fspath(source) if _is_path(source) else "the file"


def _is_path(source):
    return isinstance(source, str | os.PathLike)
