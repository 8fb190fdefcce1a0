"""Boxes on pictures of real clusters: how far from the central galaxies, and what else.

    python tools/score_real.py WEIGHTS FOLDER

FOLDER has ``clusters.ecsv`` with the columns name, ra, dec and redshift, of the central
galaxies, and a colour picture in FITS for each, whose name begins with the cluster's.
"""

import argparse
import json
import warnings
from pathlib import Path

from astropy.coordinates import SkyCoord
from astropy.table import Table

from astro_objdet import Detector
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.errors import BandWarning

LOWEST_SCORE = 0.05
NEAR = 50.0  # kpc


def score_picture(detector, path, row):
    """Distance and score of the best box near the centre; scores of all other boxes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BandWarning)  # z, r, g stand in for i, r, g
        found = detector.detect(path, stretch="identity", threshold=LOWEST_SCORE)
    centre = SkyCoord(row["ra"], row["dec"], unit="deg")
    scores = [round(float(v), 3) for v in found["score"]]
    told = {"cluster": str(row["name"]), "redshift": float(row["redshift"]), "score": None}
    if len(found):
        kpc = found.skycoord.separation(centre).arcsec * kpc_per_arcsec(row["redshift"])
        near = [k for k, far in enumerate(kpc) if far <= NEAR]
        if near:
            told |= {"score": scores.pop(near[0]), "offset_kpc": round(float(kpc[near[0]]), 1)}
    return told | {"others": scores}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    detector = Detector.from_pretrained(args.weights, device="cpu")
    for row in Table.read(args.folder / "clusters.ecsv"):
        (path,) = args.folder.glob(f"{row['name']}*.fits")
        print(json.dumps(score_picture(detector, path, row)))


if __name__ == "__main__":
    main()
