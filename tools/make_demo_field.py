"""Render the packaged demo field and its truth catalogue.

python tools/make_demo_field.py astro_objdet/examples --seed 31
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.io import fits

from astro_objdet.files import atomic_path
from astro_objdet.skies.simulate import render_field

SIZE = 1600
ORIGIN = "rendered by astro_objdet tools/make_demo_field.py"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=31)
    args = parser.parse_args()
    field = render_field(
        "sdss",
        (SIZE, SIZE),
        seed=[args.seed, 99],
        clusters=3,
        groups=2,
        redshift_range=(0.12, 0.34),
        center=(0.02, 12.5),  # across RA = 0
        margin=200,
    )
    for band, plane, seeing in zip(
        field.survey.bands, field.image, field.survey.psf_fwhm, strict=True
    ):
        header = field.wcs.to_header()
        header["BUNIT"] = "nanomaggy"
        header["FILTER"] = band
        header["PSF_FWHM"] = (seeing, "arcsec")
        header["ORIGIN"] = ORIGIN
        header["SEED"] = args.seed
        hdu = fits.CompImageHDU(
            plane,
            header,
            name=band.upper(),
            compression_type="RICE_1",
            quantize_level=2,
            quantize_method=1,
            dither_seed=1,
        )
        with atomic_path(args.out / f"demo_{band}.fits.fz", overwrite=True) as path:
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    truth = field.truth[np.argsort(-field.truth["richness"])]
    truth.meta = {
        "origin": ORIGIN,
        "seed": args.seed,
        "note": "clusters of richness 20 or more, and poorer groups for confusion",
    }
    for name in ("ra", "dec"):
        truth[name] = truth[name].round(6)
    for name in ("redshift", "richness", "x", "y", "half_width"):
        truth[name] = np.round(truth[name], 3)
    with atomic_path(args.out / "demo_truth.ecsv", overwrite=True) as path:
        truth.write(path, format="ascii.ecsv")
    print(truth)


if __name__ == "__main__":
    main()
