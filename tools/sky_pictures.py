"""Rendered clusters in the colours of a survey's viewer, for `compare_sky.py`."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.visualization import make_lupton_rgb
from PIL import Image as Picture
from scipy.ndimage import map_coordinates
from sky_measures import Image, spread

from astro_objdet.skies.artefacts import add_noise
from astro_objdet.skies.drawing import draw_sources
from astro_objdet.skies.populations.members import cluster_galaxies
from astro_objdet.skies.simulate import SURVEYS, render_field

#: The viewer's softening in nanomaggy per pixel of 0.262 arcsec for its red, green, blue plane.
SOFTENING = np.array([0.025, 0.01385, 0.0066])
#: i to z of a galaxy, 0.25 mag: there is no rendered z, which is a picture's red.
I_TO_Z = 1.26
#: Factor on the flux at which the sky noise of rendered pictures is that of the real ones.
GAIN = 5.0
#: Clusters of the two real pictures: redshift, richness; where the first is on the sky.
CLUSTERS, CENTER = ((0.223, 65.1), (0.364, 37.5)), (29.3, -58.35)
DES_SCALE, VIEWER_PIXEL = 0.45, 0.262


def des_cluster(redshift, richness, size, seed):
    """A rendered DES `Image` of 0.45 arcsec per pixel with a cluster in its middle."""
    survey = SURVEYS["des"]
    scale = survey.pixel_scale
    native = int(np.ceil(size * DES_SCALE / scale)) + 4
    rng = np.random.default_rng(seed)
    field = render_field(survey, (native, native), seed=rng, clusters=0, center=CENTER, noise=False)
    middle = (native - 1) / 2
    faintest = survey.depth()[1]
    members = cluster_galaxies(rng, middle, middle, redshift, richness, scale, faintest)
    light = field.image / scale**2 + draw_sources(members, (native, native), survey)
    flux = np.nan_to_num(add_noise(light, survey, rng)) * scale**2
    # as a viewer does: interpolated from the survey's pixels, not averaged
    step = DES_SCALE / scale
    grid = (np.indices((size, size)) - (size - 1) / 2) * step + middle
    # the ringing around saturated pixels is cut off with what would be white three times over
    white = 300 * SOFTENING[::-1] / GAIN * (scale / VIEWER_PIXEL) ** 2
    flux = np.minimum(flux, white[:, None, None])
    return Image(np.array([map_coordinates(b, grid, order=3) * step**2 for b in flux]), DES_SCALE)


def viewer_picture(image, gain=GAIN, red=I_TO_Z):
    """(3, y, x) uint8 z, r, g: arcsinh between -1 and 100 of the softening."""
    planes = image.bands[::-1] * np.array([red, 1, 1])[:, None, None]
    per_pixel = planes * gain * (VIEWER_PIXEL / image.scale) ** 2 / SOFTENING[:, None, None]
    low, high = np.arcsinh([-1, 100])
    return np.round(np.clip((np.arcsinh(per_pixel) - low) / (high - low), 0, 1) * 255)


def from_picture(planes, scale=DES_SCALE, gain=GAIN):
    """The `Image` in g, r, z behind a picture; clipped where that is."""
    low, high = np.arcsinh([-1, 100])
    flux = np.sinh(np.asarray(planes, dtype=float) / 255 * (high - low) + low)
    flux = flux * SOFTENING[:, None, None] * (scale / VIEWER_PIXEL) ** 2 / gain
    return Image(flux[::-1], scale)


def rendered_clusters(seed, size=320):
    """Pictures of rendered clusters like those of the real ones."""
    images = [des_cluster(*cluster, size, [seed, k]) for k, cluster in enumerate(CLUSTERS)]
    return [viewer_picture(image) for image in images]


def beside_real(folder, seed, path, again=4):
    """Rendered clusters beside the real ones, and what photutils sees in both."""
    known = Table.read(Path(folder) / "clusters.ecsv")
    pictures = {
        "real": [fits.getdata(path) for path in sorted(Path(folder).glob("*_zrg_8bit.fits"))],
        "rendered": [
            viewer_picture(des_cluster(row["redshift"], row["richness"], 512, [seed, k, n]))
            for k, row in enumerate(known)
            for n in range(again)
        ],
    }
    for name, some in pictures.items():
        images = [from_picture(picture) for picture in some]
        noise = np.mean([image.sky_noise() for image in images], axis=0)
        print(
            f"{name}, {len(some)} pictures, at gain {GAIN}: noise (nmgy/arcsec2) in g, r, z", noise
        )
        for plane, values in zip("zrg", np.concatenate(some, axis=1), strict=True):
            per_cent = np.percentile(values, (1, 10, 50, 90, 99))
            print(f"  {plane} of the picture, per cent 1 10 50 90 99:", per_cent)
        parts = [image.sources()[:2] for image in images]
        g, r, z = np.concatenate([part[0] for part in parts], axis=1)
        fwhm = np.concatenate([part[1] for part in parts])
        print("  per picture: r, sources, FWHM (arcsec), g-r, r-z; 16, 50, 84 per cent")
        for low in range(18, 25):
            here = (r > low) & (r <= low + 1)
            columns = [spread(values[here]) for values in (fwhm, g - r, r - z)]
            print(f"  {low + 0.5}: {here.sum() / len(some):.0f}", *columns)
    real, rendered = pictures["real"], pictures["rendered"]
    rows = [(real[0], rendered[0]), (rendered[again], real[1])]
    save_pictures(np.concatenate([np.concatenate(row, axis=2) for row in rows[::-1]], axis=1), path)


def in_one_stretch(images, path):
    """Fields of one survey beside each other, in the colours of Lupton et al. (2004)."""
    planes = [image.bands[::-1, :380, :440] / image.scale**2 for image in images]
    pictures = [
        make_lupton_rgb(0.55 * i, 0.8 * r, 1.5 * g, stretch=0.6, Q=9, minimum=-0.03)
        for i, r, g in planes
    ]
    gap = np.full((len(pictures[0]), 6, 3), 255)
    both = np.concatenate([pictures[0], gap, pictures[1]], axis=1)
    save_pictures(np.moveaxis(both, -1, 0), path, step=12)


def save_pictures(planes, path, step=1):
    """Write planes (red, green, blue; first row at the bottom); a ``step`` above 1 saves space."""
    pixels = np.moveaxis(np.asarray(planes, dtype=np.uint8) // step * step, 0, -1)[::-1]
    Picture.fromarray(np.ascontiguousarray(pixels)).save(path, optimize=True)
