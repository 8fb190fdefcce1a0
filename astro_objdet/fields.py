"""Which files belong to one field of the sky, told by their names."""

import dataclasses
import glob
import re
from pathlib import Path

from astro_objdet.errors import InputError
from astro_objdet.images.picture import PICTURE_SUFFIXES

__all__ = ["Field", "expand_inputs", "group_fields", "split_band"]

IMAGE_SUFFIX = re.compile(
    r"\.(?:(?:fits|fit|fts)(?:\.(?:gz|bz2|fz|xz|zst|Z))?|png|jpe?g)$", re.IGNORECASE
)
# A FITS file beside a picture is more often the image that the picture was made of.
HEADER_SUFFIXES = (".hdr", ".wcs")

# ugrizy in either case, the near infrared, and HST or JWST filters such as f814w.
BAND = r"[ugrizUGRIZyY]|[JHK]|Ks|[fF]\d{3,4}(?:w|W|m|M|n|N|lp|LP|x|X)\d?"


@dataclasses.dataclass(frozen=True)
class Field:
    """The files of one field.

    Attributes
    ----------
    name : str
        Name of the field, from its files; unique within one run.
    paths : tuple of `~pathlib.Path`
        Its files, sorted by band.
    bands : tuple of str
        The band of each file, or empty for a file that is a field by itself.
    """

    name: str
    paths: tuple
    bands: tuple = ()

    @property
    def image(self):
        """The field as `~astro_objdet.images.read_bands` takes it."""
        if not self.bands:
            return self.paths[0]
        return dict(zip(self.bands, self.paths, strict=True))

    def check(self):
        """Raise `InputError` for a missing file or a band that came twice."""
        for path in self.paths:
            if not path.exists():
                raise InputError("there is no such file", path)
        for number, band in enumerate(self.bands):
            path, first = self.paths[number], self.paths[self.bands.index(band)]
            if first != path:
                raise InputError(f"band {band} is already given by {first}", path)


def split_band(path, bands=None):
    """Split a file's name into what names the field and what names the band.

    Parameters
    ----------
    path : path-like
        A file such as ``abell_g.fits.gz``, ``abell-g.fits`` or ``g.fits``.
    bands : iterable of str, optional
        Names of bands to know besides ugrizy, JHK and HST's and JWST's filters.

    Returns
    -------
    name, band : str, str or None
        ``('abell', 'g')``. A file called after its band only takes the name of its
        folder. Without a band in the name: the whole stem and `None`.
    """
    path = Path(path)
    stem = IMAGE_SUFFIX.sub("", path.name) or path.name
    known = "|".join([*(re.escape(band) for band in bands or ()), BAND])
    tokens = list(re.finditer(rf"(?:^|[_\-. ])({known})(?=[_\-. ]|$)", stem))
    if not tokens:
        return stem, None
    token = tokens[-1]
    band = token[1].lower() if token[1] in "UGRIZ" else token[1]
    if band[0] in "fF" and band not in (bands or ()):
        band = band.upper()
    rest = (stem[: token.start()] + stem[token.end() :]).strip("_-. ")
    return rest or path.resolve().parent.name or stem, band


def expand_inputs(inputs):
    """Files named by files, glob patterns and folders.

    A folder stands for the FITS files in it, and for pictures (PNG, JPEG) that have
    their header in a ``.hdr`` or ``.wcs`` file beside them; its subfolders are left
    alone.

    Returns
    -------
    paths : list of `~pathlib.Path`
        Each once, in the order given; a file that is named need not exist.
    problems : list of (str, InputError)
        Inputs that stand for no file at all.
    """
    paths, problems = [], []
    for given in map(str, inputs):
        path = Path(given)
        if path.is_dir():
            found = sorted(filter(_is_image, path.iterdir()))
            nothing = "the folder holds no FITS image"
        elif glob.has_magic(given) and not path.exists():
            found = [Path(name) for name in sorted(glob.glob(given, recursive=True))]
            nothing = "no file matches the pattern"
        else:
            found = [path]
        if not found:
            problems.append((given, InputError(nothing, given)))
        paths.extend(found)
    return list(dict.fromkeys(paths)), problems


def group_fields(paths, bands=None):
    """Group files into fields: names equal but for the band are one field.

    Parameters
    ----------
    paths : iterable of path-like
        The files.
    bands : iterable of str, optional
        Names of bands to recognise besides the usual ones.

    Returns
    -------
    list of Field
        In the order in which their first files came. A file without a partner (a
        cube, several bands in one FITS file, a picture) is a field by itself.
    """
    groups = {}
    for path in map(Path, paths):
        name, band = split_band(path, bands)
        key = (path.parent, name) if band else (path,)
        groups.setdefault(key, []).append((band, path))

    fields = []
    for members in groups.values():
        members.sort(key=lambda member: (member[0] or "", str(member[1])))
        found, files = zip(*members, strict=True)
        if len(files) == 1:
            name = IMAGE_SUFFIX.sub("", files[0].name) or files[0].name
            fields.append(Field(name, files))
        else:
            fields.append(Field(split_band(files[0], bands)[0], files, found))
    return _unique_names(fields)


def _is_image(path):
    if not (path.is_file() and IMAGE_SUFFIX.search(path.name)):
        return False
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return True
    return any(path.with_suffix(suffix).is_file() for suffix in HEADER_SUFFIXES)


def _unique_names(fields):
    """Tell fields of one name apart by their folder, and by a number after that."""
    names = [field.name for field in fields]
    unique, taken = [], set()
    for field in fields:
        name = field.name
        if names.count(name) > 1:
            folder = field.paths[0].resolve().parent.name
            name = f"{folder}_{name}" if folder else name
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        unique.append(dataclasses.replace(field, name=candidate))
    return unique
