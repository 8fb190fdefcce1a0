"""`BandStack`: bands on one celestial grid, and `read_bands`, which makes it from any input."""

import threading

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from astro_objdet.errors import InputError, ResourceError
from astro_objdet.files import sha256_of
from astro_objdet.images.assemble import assemble
from astro_objdet.images.grid import pixel_geometry
from astro_objdet.images.noise import robust_sigma, spread_blocks

__all__ = ["BandStack", "read_bands"]


class BandStack:
    """Bands of one field on one pixel grid, read by section.

    Made by `read_bands`. A context manager: leaving it closes the files.

    Parameters
    ----------
    bands : sequence of str
        Names, all different.
    planes : sequence
        One object per band with ``shape`` and ``read_into(data, mask, y0, y1, x0, x1)``.
    wcs : `~astropy.wcs.WCS`, optional
        2-D celestial WCS of the grid; None for pixels only.
    unit : `~astropy.units.Unit`, optional
        Unit of the values (nanomaggies); None when there is no flux calibration.
    psf_fwhm : dict, optional
        Band to FWHM in arcsec, for the bands where it is known.
    stretched : bool
        The values are a picture, 0-1, not fluxes.
    origins : sequence of tuple, optional
        Path and HDU of each band, None for arrays.
    files : sequence, optional
        What `close` closes.

    Attributes
    ----------
    bands, wcs, unit, psf_fwhm, stretched
        As given.
    shape : tuple of int
        (n_bands, ny, nx).
    pixel_scale : Quantity or None
        Square root of the pixel area at the image centre.
    """

    def __init__(
        self,
        bands,
        planes,
        *,
        wcs=None,
        unit=None,
        psf_fwhm=None,
        stretched=False,
        origins=None,
        files=(),
    ):
        self.bands = tuple(bands)
        self._planes = tuple(planes)
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise InputError(f"bands must be named, each differently; got {list(self.bands)}")
        if len(self.bands) != len(self._planes):
            raise InputError(f"got {len(self.bands)} band names for {len(self._planes)} planes")
        shapes = {tuple(plane.shape) for plane in self._planes}
        if len(shapes) != 1:
            raise InputError(f"planes must share one shape, got {sorted(shapes)}")
        self.shape = (len(self.bands), *shapes.pop())
        self.wcs = wcs
        self.unit = unit
        self.psf_fwhm = dict(psf_fwhm or {})
        self.stretched = bool(stretched)
        self.pixel_scale = None
        if wcs is not None:
            self.pixel_scale = pixel_geometry(wcs, self.shape[1:])[2] ** 0.5 * u.arcsec
        self._origins = tuple(origins or [(None, None)] * len(self.bands))
        self._files = tuple(files)
        self._noise = None
        self._sources = None
        self._lock = threading.RLock()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """Close the files behind the stack. Stacks made by `select` share them."""
        for file in self._files:
            file.close()

    def __repr__(self):
        n, ny, nx = self.shape
        parts = [f"{nx} x {ny} px, {n} band{'s' * (n > 1)} ({', '.join(self.bands)})"]
        if self.stretched:
            parts.append("stretched picture")
        else:
            parts.append(str(self.unit) if self.unit is not None else "uncalibrated")
        if self.wcs is None:
            parts.append("no WCS")
        else:
            scale = self.pixel_scale.to_value(u.arcsec)
            centre = SkyCoord(self.wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)).icrs
            parts.append(f"{scale:.3g} arcsec/px at {centre.to_string('decimal', precision=4)}")
        return f"<BandStack {'; '.join(parts)}>"

    def read(self, y0, y1, x0, x1):
        """Read a section; safe to call from several threads.

        Parameters
        ----------
        y0, y1, x0, x1 : int
            Half-open ranges inside the image.

        Returns
        -------
        data : ndarray of float32, shape (band, y1 - y0, x1 - x0)
            In ``unit``; 0 where bad.
        mask : ndarray of bool
            True where a pixel is bad: masked, not finite, or of no inverse variance.

        Raises
        ------
        InputError
            If the section does not lie inside the image, or its file cannot be read.
        ResourceError
            If memory does not suffice.
        """
        n, ny, nx = self.shape
        if not (0 <= y0 < y1 <= ny and 0 <= x0 < x1 <= nx):
            raise InputError(
                f"section [{y0}:{y1}, {x0}:{x1}] must lie inside the image of shape {(ny, nx)}"
            )
        try:
            data = np.empty((n, y1 - y0, x1 - x0), np.float32)
            mask = np.empty(data.shape, bool)
            for plane, band_data, band_mask in zip(self._planes, data, mask, strict=True):
                plane.read_into(band_data, band_mask, y0, y1, x0, x1)
        except MemoryError as err:
            raise ResourceError(
                f"not enough memory for a section of {y1 - y0} x {x1 - x0}"
            ) from err
        return data, mask

    def read_all(self):
        """Read the whole image as `read` does; for small ones."""
        return self.read(0, self.shape[1], 0, self.shape[2])

    def select(self, bands):
        """Return a stack of these bands, in this order, sharing the pixels.

        Raises
        ------
        InputError
            Naming the bands that are missing and those there are.
        """
        bands = (bands,) if isinstance(bands, str) else tuple(bands)
        missing = [b for b in bands if b not in self.bands]
        if missing:
            raise InputError(
                f"missing band{'s' * (len(missing) > 1)} {', '.join(map(str, missing))}; "
                f"the image has {', '.join(self.bands)}",
                self._origins[0][0],
            )
        order = [self.bands.index(b) for b in bands]
        return BandStack(
            bands,
            [self._planes[i] for i in order],
            wcs=self.wcs,
            unit=self.unit,
            psf_fwhm={b: self.psf_fwhm[b] for b in bands if b in self.psf_fwhm},
            stretched=self.stretched,
            origins=[self._origins[i] for i in order],
            files=self._files,
        )

    @property
    def sources(self):
        """Where each band comes from: a list of dict(band, path, hdu, sha256).

        Path, HDU and checksum are None for arrays. The first use reads the files for
        their checksum.
        """
        with self._lock:
            if self._sources is None:
                sums = {path: sha256_of(path) for path, _ in self._origins if path is not None}
                self._sources = [
                    {
                        "band": band,
                        "path": None if path is None else str(path),
                        "hdu": hdu,
                        "sha256": sums.get(path),
                    }
                    for band, (path, hdu) in zip(self.bands, self._origins, strict=True)
                ]
            return [dict(source) for source in self._sources]

    def noise(self):
        """Return the robust sigma of the sky per pixel and band, in ``unit``.

        Measured once, in up to 25 blocks of 128 pixels spread over the image: the median of the
        blocks' scaled median absolute deviations, which objects hardly move.

        Returns
        -------
        ndarray of float64, shape (band,)
            NaN for a band without good pixels in them.
        """
        with self._lock:
            if self._noise is None:
                sigmas = [
                    robust_sigma(*self.read(*block)) for block in spread_blocks(self.shape[1:])
                ]
                sigmas = np.array(sigmas)
                known = np.isfinite(sigmas)
                self._noise = np.array(
                    [
                        np.median(s[k]) if k.any() else np.nan
                        for s, k in zip(sigmas.T, known.T, strict=True)
                    ]
                )
            return self._noise.copy()

    def footprint(self):
        """Return the sky positions of the four outer corners of the image.

        Returns
        -------
        `~astropy.coordinates.SkyCoord`, shape (4,)
            ICRS; lower left, lower right, upper right, upper left in pixels, at
            pixel edges.

        Raises
        ------
        InputError
            Without a WCS.
        """
        if self.wcs is None:
            raise InputError("an image without WCS has no footprint on the sky")
        _, ny, nx = self.shape
        x = np.array([0, nx, nx, 0]) - 0.5
        y = np.array([0, 0, ny, ny]) - 0.5
        return SkyCoord(self.wcs.pixel_to_world(x, y)).icrs


def read_bands(
    image,
    *,
    bands=None,
    hdu=None,
    mask=None,
    unit=None,
    zero_point=None,
    psf_fwhm=None,
    pixel_only=False,
    stretched=None,
):
    """Read bands of one field from any accepted input onto one grid.

    Parameters
    ----------
    image : BandStack, CCDData, NDData, ndarray, (array, WCS), path, mapping or sequence
        2-D (one band) or (band, y, x). Paths are FITS files (also .gz, .bz2, .xz, .fz), or a PNG or
        JPEG picture with a FITS header beside it. A mapping goes from band to any of
        these, a sequence holds one per band.
    bands : sequence of str, optional
        Names of the planes in their order. Where the input names its bands itself (mapping, BAND or
        BANDS cards, file names like ``_g.fits``), the bands wanted, in the order wanted.
    hdu : int, str, (str, int) or list, optional
        HDUs to read, by number, name, or name and version; the same for each file.
    mask : array, mapping or path, optional
        True is bad; (y, x), (band, y, x), or a mapping of bands.
    unit : Unit or str, optional
        Unit of the pixel values, over what the input says.
    zero_point : float or sequence or mapping, optional
        AB magnitude of one count, over what the input says.
    psf_fwhm : Quantity, float in arcsec, sequence or mapping, optional
    pixel_only : bool
        Go on without a celestial WCS.
    stretched : bool, optional
        The values are a picture, not fluxes. Default: 8-bit pixels without a unit are.

    Returns
    -------
    BandStack

    Raises
    ------
    InputError
        Naming file and HDU, for anything that cannot be used.
    ResourceError
        If disk or memory do not suffice.

    Notes
    -----
    Values become nanomaggies per pixel where every band has a flux scale; otherwise all bands
    keep their own and ``unit`` is None. Bands on another grid than the first are reprojected.
    """
    if isinstance(image, BandStack):
        return image if bands is None else image.select(bands)
    try:
        return BandStack(
            **assemble(
                image,
                bands=bands,
                hdu=hdu,
                mask=mask,
                unit=unit,
                zero_point=zero_point,
                psf_fwhm=psf_fwhm,
                pixel_only=pixel_only,
                stretched=stretched,
            )
        )
    except MemoryError as err:
        raise ResourceError("not enough memory to open the image") from err
