"""What a run would read and write, from names and headers: no pixel, no model."""

from astro_objdet.errors import AstroObjdetError, InputError
from astro_objdet.images.fitsfile import FitsFile
from astro_objdet.images.grid import celestial_wcs
from astro_objdet.images.hdus import choose_hdus
from astro_objdet.reports import Failure, FieldPreview, RunPreview
from astro_objdet.runs import plan

__all__ = ["preview"]


def preview(inputs, output, *, hdu=None, pixel_only=False, **planning):
    """Say what `~astro_objdet.runs.detect` would do with the same arguments.

    Parameters
    ----------
    inputs, output, hdu, pixel_only
        As for `~astro_objdet.runs.detect`.
    **planning
        As for `~astro_objdet.runs.plan`.

    Returns
    -------
    `~astro_objdet.reports.RunPreview`

    Raises
    ------
    InputError, OutputExistsError
        As `~astro_objdet.runs.plan` does.
    """
    todo = plan(inputs, output, **planning)
    fields, failures = [], list(todo.failures)
    for field in todo.fields:
        try:
            field.check()
            lines = [
                line
                for number, path in enumerate(field.paths)
                for line in _contents(path, hdu, pixel_only, field.bands[number : number + 1])
            ]
        except AstroObjdetError as error:
            failures.append(Failure(field.name, str(error), error.exit_code))
        else:
            files = tuple(map(str, field.paths))
            fields.append(FieldPreview(field.name, files, tuple(lines)))
    return RunPreview(fields, failures, todo.outputs if fields else [])


def _contents(path, hdu, pixel_only, named):
    """Lines that say what is in a file, a FITS file's HDUs one by one."""
    with open(path, "rb") as file:
        if file.read(8).startswith((b"\x89PNG", b"\xff\xd8")):
            return [f"{path}: a picture with its header beside it"]
    file = FitsFile(path)
    try:
        lines = []
        for chosen in choose_hdus(file, hdu):
            shape = chosen.shape
            bands = named or chosen.bands or ()
            where = "no sky coordinates"
            if not pixel_only:
                where = _centre(file, chosen, path)
            size = " x ".join(str(length) for length in shape[::-1])
            band = f", {'band' if len(bands) == 1 else 'bands'} {', '.join(bands)}"
            lines.append(f"{path}[{chosen.index}]: {size} pixels{band if bands else ''}, {where}")
        return lines
    finally:
        file.close()


def _centre(file, chosen, path):
    """Where an HDU's image lies on the sky, in words."""
    ny, nx = chosen.shape[-2:]
    try:
        wcs = celestial_wcs(chosen.header, (ny, nx), file.hdus)
        sky = wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2).icrs
    except InputError as error:
        raise InputError(str(error), path, chosen.index) from error
    return f"centre RA {sky.ra.deg:.4f} Dec {sky.dec.deg:+.4f} deg"
