"""Measure the rendered sky against the real one, and draw the figures of docs/skies.rst.

    python tools/compare_sky.py --counts 20 --stars --presets -o docs/_static
    python tools/compare_sky.py --clusters redmapper_dr8_public_v5.10_catalog.fits -o docs/_static
    python tools/compare_sky.py --sdss FOLDER -o docs/_static
    python tools/compare_sky.py --rendered --seed 14 -o docs/_static
    python tools/compare_sky.py --des FOLDER -o beside.png

The FOLDER of --sdss holds three FITS files of one field, ``*_g.*``, ``*_r.*`` and
``*_i.*``, in nanomaggy per pixel of 0.396 arcsec whatever their own pixels; that of --des
holds pictures ``*_zrg_8bit.fits`` and ``clusters.ecsv`` with their redshift and richness.
Numbers are printed, with the number of fields they stand on; a part takes a minute or less.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import sky_measures as sky
import sky_pictures
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.detectors.deepcee import BUNDLED
from astro_objdet.images.stretch import stretch_from_dict
from astro_objdet.skies.populations import stars
from astro_objdet.skies.populations.haloes import draw_richness
from astro_objdet.skies.populations.members import cluster_galaxies
from astro_objdet.skies.populations.relations import characteristic_magnitude, red_sequence
from astro_objdet.skies.simulate import SURVEYS, render_field

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

COLORS = {"g": "#2a7f62", "r": "#c8553d", "i": "#6b4c9a"}
RENDERED = COLORS["r"]
#: r magnitudes between which stars are unsaturated and well above the noise.
STARS = {"sdss": (16, 19), "des": (17.5, 20.5), "hsc": (19, 21.5), "lsst": (17.5, 20.5)}


def pairs(first, second, form="{:.2f}: {:.0f}"):
    """Pairs of numbers on one line."""
    return "  ".join(form.format(a, b) for a, b in zip(first, second, strict=True))


def counts(fields, seed, out):
    """Galaxies per magnitude and square degree, and their colours."""
    edges = np.arange(15.0, 24.1, 0.5)
    middle = (edges[1:] + edges[:-1]) / 2
    skies = [sky.galaxies_on_sky(np.random.default_rng([seed, k])) for k in range(fields)]
    print(f"galaxies on {fields} fields of 1 deg2, down to r = 25.5")
    print("  brighter than: rendered per deg2, rms of fields, published")
    for band, limit, published, where in sky.PUBLISHED_BRIGHTER:
        brightest = 18.0 if band == "i" else 12.0
        mags = [field[sky.BANDS.index(band)] for field in skies]
        each = [((m > brightest) & (m < limit)).sum() for m in mags]
        print(f"  {band} < {limit}: {np.mean(each):.0f} {np.std(each):.0f} {published}, {where}")
    figure, axis = plt.subplots(figsize=(5.6, 4.4), layout="constrained")
    for row, band in enumerate(sky.BANDS):
        each = np.array([np.histogram(field[row], edges)[0] / 0.5 for field in skies])
        mean = each.mean(axis=0)
        style = {"fmt": "o-", "ms": 3, "lw": 1, "color": COLORS[band]}
        axis.errorbar(middle, mean, each.std(axis=0), label=f"rendered, {band}", **style)
        print(f"  per mag and deg2, {band}:", pairs(middle, mean))
    # the last band is i
    i_mag, log_n = sky.COSMOS2020[:, : np.searchsorted(sky.COSMOS2020[0], middle[-1]) + 1]
    axis.plot(i_mag, 10**log_n, "s", mfc="none", color=COLORS["i"], label="COSMOS2020, i")
    ratio = 10 ** (np.interp(i_mag, middle, np.log10(mean)) - log_n)
    print("  i, over COSMOS2020:", pairs(i_mag, ratio, "{:.2f}: {:.2f}"))
    axis.set(yscale="log", xlabel="magnitude (AB)", ylabel="galaxies per mag and deg$^2$")
    axis.legend(frameon=False)
    figure.savefig(out / "sky_counts.png", dpi=110)
    g, r, i = np.concatenate(skies, axis=1)
    print("  colours of all galaxies at r: g-r, r-i; 16, 50, 84 per cent")
    for magnitude in np.arange(17.5, 24):
        here = np.abs(r - magnitude) < 0.25
        print(f"  {magnitude}:", sky.spread((g - r)[here]), sky.spread((r - i)[here]))


def star_counts(out):
    """Stars per square degree against Bahcall & Soneira, and against SDSS."""
    r = (stars._R_EDGES[1:] + stars._R_EDGES[:-1])[:, None] / 2
    absolute = (stars._M_EDGES[1:] + stars._M_EDGES[:-1]) / 2
    g_r = np.interp(absolute, stars._MAIN_SEQUENCE[:, 0], stars._MAIN_SEQUENCE[:, 2])
    v = r + 0.41 * g_r - 0.01  # Jester et al. 2005
    latitudes = np.array([20, 25, 30, 40, 50, 60, 75, 90])
    figure, axis = plt.subplots(figsize=(5.6, 4.0), layout="constrained")
    print("stars per deg2 at longitude 90, by latitude: rendered / Bahcall & Soneira")
    for limit, shade in ((14, "0.7"), (16, "0.5"), (18, "0.3"), (20, "0")):
        ours = np.array([stars.star_counts(90, b)[v < limit].sum() for b in latitudes])
        theirs = sky.bahcall_soneira(90, latitudes, limit)
        axis.plot(latitudes, ours, "o", color=shade, ms=4)
        axis.plot(latitudes, theirs, "-", color=shade, lw=1)
        axis.text(91, ours[-1], f"V < {limit}", va="center", fontsize=8)
        print(f"  V < {limit}, {latitudes}:", pairs(ours, theirs, "{:.0f}/{:.0f}"))
    axis.set(yscale="log", xlim=(18, 99), xlabel="galactic latitude (deg)")
    axis.set(ylabel="stars per deg$^2$ brighter than V")
    figure.savefig(out / "sky_stars.png", dpi=110)
    # the equatorial stripes of SDSS's commissioning, north and south
    ra = np.concatenate([np.arange(145, 236.5, 3), np.arange(351, 416.5, 3) % 360])
    place = SkyCoord(ra, 0, unit="deg").galactic
    place = place[(np.abs(place.b.deg) > 49) & (np.abs(place.b.deg) < 64)]
    bright = r + g_r < 21
    seen = [stars.star_counts(round(p.l.deg), round(p.b.deg))[bright].sum() for p in place]
    published = sky.SDSS_STARS
    print(f"  g < 21, equator, 49 < |b| < 64: {np.mean(seen):.0f}; Chen et al. 2001: {published}")


def clusters(path, seed, out, count=600):
    """Red sequence, central galaxies and richness against redMaPPer's."""
    table = fits.getdata(path)
    rng = np.random.default_rng(seed)
    redshifts, richness = rng.uniform(0.08, 0.52, count), draw_richness(rng, count)
    drawn = [
        cluster_galaxies(rng, 0, 0, z, rich, sky.SDSS_PIXEL, 24.0)
        for z, rich in zip(redshifts, richness, strict=True)
    ]
    # the central galaxy and its envelope
    centres = np.array([22.5 - 2.5 * np.log10(d.flux[:2].sum(axis=0)) for d in drawn]).T
    figure, axes = plt.subplots(2, 2, figsize=(8, 6.4), layout="constrained")
    print(f"{count} drawn clusters and redMaPPer's: medians by redshift, half of 16 to 84 per cent")
    both = (("redMaPPer", table["MODEL_MAG"].T[1:4], table["Z_LAMBDA"]),)
    both += (("drawn", centres, redshifts),)
    edges = np.arange(0.08, 0.521, 0.04)
    middle = (edges[1:] + edges[:-1]) / 2
    for source, (g, r, i), z in both:
        part = np.digitize(z, edges)
        columns = (("g - r", g - r), ("r - i", r - i), ("i", i))
        for axis, (name, values) in zip(axes.flat, columns, strict=False):
            low, median, high = np.array([sky.spread(values[part == k + 1]) for k in range(11)]).T
            print(f"  {name}, {source}:", pairs(middle, median, "{:.2f}: {:.2f}"))
            print(f"  {name}, {source}, spread:", pairs(middle, (high - low) / 2, "{:.2f}: {:.2f}"))
            if source == "drawn":
                error = (median - low, high - median)
                axis.errorbar(middle, median, error, fmt="o", ms=4, color=RENDERED, label=source)
            else:
                axis.plot(middle, median, "k-", lw=1, label=source)
                axis.fill_between(middle, low, high, color="0.88")
            axis.set(xlabel="redshift", ylabel=f"{name} of the central galaxy (mag)")
            axis.legend(frameon=False)
    near = np.flatnonzero(redshifts < 0.33)
    found = np.array([red_members(drawn[k], redshifts[k], richness[k]) for k in near])
    ratio = found / richness[near]
    axes[1, 1].plot(richness[near], found, ".", ms=3, color=RENDERED)
    axes[1, 1].plot((20, 160), (20, 160), "k-", lw=1)
    axes[1, 1].set(xlabel="richness of the truth", ylabel="red galaxies within $R_\\lambda$")
    figure.savefig(out / "sky_clusters.png", dpi=100)
    print(f"  red galaxies over richness, {len(near)} clusters of z < 0.33: median", end=" ")
    print(f"{np.median(ratio):.2f}, rms {ratio.std():.2f}")


def red_members(galaxies, redshift, richness):
    """Members on the red sequence, brighter than 0.2 L*, within R_lambda."""
    flux = galaxies.flux[1:].copy()
    flux[0] += galaxies.flux[0]  # the central galaxy and its envelope are one
    g, r, i = 22.5 - 2.5 * np.log10(flux.T)
    arcsec = np.hypot(galaxies.x[1:], galaxies.y[1:]) * sky.SDSS_PIXEL
    g_r, r_i = red_sequence(redshift)
    relative = i - characteristic_magnitude(redshift)
    red = np.abs(g - r - g_r + 0.022 * (relative + 1.5)) < 0.15
    red &= np.abs(r - i - r_i + 0.008 * (relative + 1.5)) < 0.08
    within = arcsec * kpc_per_arcsec(redshift) / 1e3 < (richness / 100) ** 0.2 / 0.71
    return (red & within & (relative < 1.75)).sum()


def presets(seed):
    """Sky noise and PSF of rendered images against what the survey says."""
    print("one field of 2048 px each: sky noise (nmgy/arcsec2), over what the survey says;")
    print("FWHM (arcsec), over what the survey says; in g, r, i")
    for name, magnitudes in STARS.items():
        survey = SURVEYS[name].drawn(np.random.default_rng([seed, 1]))
        field = render_field(survey, (2048, 2048), seed=[seed, 2], center=(180, 30))
        image = sky.Image(field.image, survey.pixel_scale)
        noise, fwhm = image.sky_noise(), image.psf_fwhm(*magnitudes)
        print(f"  {name}: {noise.round(4)} {(noise / survey.noise).round(2)}", end=" ")
        print(fwhm.round(2), (fwhm / survey.psf_fwhm).round(2))


def sdss(folder, seed, out, fields=8):
    """A real SDSS field and rendered ones at its place, measured alike."""
    paths = [next(Path(folder).glob(f"*_{band}.*")) for band in sky.BANDS]
    wcs = WCS(fits.getheader(paths[0])).celestial
    scale = float(wcs.proj_plane_pixel_scales()[0].to_value("arcsec"))
    planes = np.array([fits.getdata(p) for p in paths]) * (scale / sky.SDSS_PIXEL) ** 2
    ny, nx = planes.shape[1:]
    middle = wcs.pixel_to_world(nx / 2, ny / 2)
    groups = {"real": [sky.Image(planes, scale)], "rendered": []}
    for k in range(fields):
        place = (middle.ra.deg, middle.dec.deg)
        field = render_field("sdss", (3 * ny, 3 * nx), seed=[seed, k], center=place)
        image = sky.binned(np.nan_to_num(field.image), 3)
        groups["rendered"].append(sky.Image(image, 3 * sky.SDSS_PIXEL))
    print(f"SDSS at b = {middle.galactic.b.deg:.0f} deg")
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for name, images in groups.items():
        _measure_sdss(name, images, axes, "k" if name == "real" else RENDERED)
    axes[0].set(yscale="log", xlabel="r (mag)", ylabel="sources per mag and deg$^2$")
    axes[1].set(yscale="log", ylim=(1e-4, 50), ylabel="density of pixels")
    axes[1].set(xlabel="pixel value after the recipe's stretch")
    for axis in axes:
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(out / "sky_sdss.png", dpi=110)
    beside = groups["real"] + groups["rendered"][1:2]
    sky_pictures.in_one_stretch(beside, out / "rendered_beside_sdss.png")


def _measure_sdss(name, images, axes, color):
    """Sources, noise, PSF, colours and pixel values of some images."""
    edges = np.arange(13, 23.1, 0.5)
    g, r, i = np.concatenate([image.sources()[0] for image in images], axis=1)
    area = sum(image.area for image in images)
    found = np.histogram(r, edges)[0]
    middle, number, error = edges[:-1] + 0.25, found / area / 0.5, np.sqrt(found) / area / 0.5
    axes[0].errorbar(middle, number, error, fmt="o-", ms=3, lw=1, color=color, label=name)
    print(f"{name}, {len(images)} fields, {area:.3f} deg2")
    print("  sources per mag and deg2, r:", pairs(middle, number))
    noise = np.mean([image.sky_noise() for image in images], axis=0)
    fwhm = np.nanmedian([image.psf_fwhm(15.5, 18.5) for image in images], axis=0)
    print("  noise (nmgy/arcsec2) and FWHM (arcsec) in g, r, i:", noise.round(4), fwhm.round(2))
    print("  colours of all sources: r, number, g-r, r-i; 16, 50, 84 per cent")
    for low, high in ((16, 18), (18, 20), (20, 21.5)):
        here = (r > low) & (r < high)
        print(f"  {low}-{high}: {here.sum()}", sky.spread((g - r)[here]), sky.spread((r - i)[here]))
    stretch = stretch_from_dict(BUNDLED.stretch)
    pixels = [image.bands[::-1] / image.scale**2 for image in images]
    stretched = stretch(np.concatenate(pixels, axis=1))
    for band, plane, line in zip("irg", stretched, ("-", "--", ":"), strict=True):
        heights, bins = np.histogram(plane, np.linspace(0, 1, 81), density=True)
        label = f"{name}, {band}"
        axes[1].plot((bins[1:] + bins[:-1]) / 2, heights, line, color=color, lw=1, label=label)
        per_cent = np.percentile(plane, (1, 10, 50, 90, 99, 99.9)).round(3)
        print(f"  {band} after the stretch, per cent 1 10 50 90 99 99.9:", per_cent)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, metavar="DEG2", help="count galaxies")
    parser.add_argument("--stars", action="store_true", help="stars by latitude")
    parser.add_argument("--presets", action="store_true", help="noise and PSF of the surveys")
    parser.add_argument("--clusters", type=Path, metavar="CATALOGUE", help="redMaPPer's")
    parser.add_argument("--sdss", type=Path, metavar="FOLDER", help="a real field")
    parser.add_argument("--rendered", action="store_true", help="pictures of two clusters")
    parser.add_argument("--des", type=Path, metavar="FOLDER", help="two real pictures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder; of --des a PNG")
    args = parser.parse_args()
    if args.counts:
        counts(args.counts, args.seed, args.out)
    if args.stars:
        star_counts(args.out)
    if args.clusters:
        clusters(args.clusters, args.seed, args.out)
    if args.presets:
        presets(args.seed)
    if args.sdss:
        sdss(args.sdss, args.seed, args.out)
    if args.rendered:
        both = np.concatenate(sky_pictures.rendered_clusters(args.seed), axis=2)
        sky_pictures.save_pictures(both, args.out / "rendered_clusters.png", step=12)
    if args.des:
        sky_pictures.beside_real(args.des, args.seed, args.out)


if __name__ == "__main__":
    main()
