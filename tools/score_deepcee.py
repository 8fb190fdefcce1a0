"""Score deepcee weights on rendered sky that they have not seen.

    python tools/score_deepcee.py WEIGHTS.safetensors --fields 400 --seed 2001

Fields have SDSS's median seeing, depth and pixel scale (binned 2x2), clusters
and groups at random. A cluster of richness 20 or more is found when a detection
lies within 100 kpc of its central galaxy, one to one, best score first. A
detection on a cluster outside the cuts, or on a poorer group of 14 or less,
counts as false. Purity is stated for redMaPPer's density of clusters on the sky.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.stats import binom_conf_interval

from astro_objdet import Detector
from astro_objdet.skies.populations import kpc_per_arcsec
from astro_objdet.skies.simulate import SURVEYS, render_field

#: redMaPPer DR8 clusters per square degree at 0.1 < z < 0.35 (10,754 on 10,400).
CUTS = (0.10, 0.35)
DENSITY = 1.034
SIZE = 1024
THRESHOLDS = np.round(np.arange(0.1, 1.0, 0.05), 2)


load_once = cache(Detector.from_pretrained)


def score_field(weights, seed, number):
    """Rows (score, matched truth, offset kpc), and the truths' (z, richness).

    -1 stands for a detection on nothing, -2 for one on a group poorer than the cut.
    """
    rng = np.random.default_rng([seed, number, 1])
    survey = SURVEYS["sdss"].binned(2)
    field = render_field(
        survey,
        (SIZE, SIZE),
        seed=[seed, number],
        clusters=int(rng.poisson(0.6)),
        groups=int(rng.poisson(0.75)),
        center=(rng.uniform(0, 360), rng.uniform(-60, 60)),
    )
    bands = {
        band: CCDData(plane, unit=u.nmgy, wcs=field.wcs)
        for band, plane in zip(survey.bands, field.image, strict=True)
    }
    found = load_once(weights).detect(bands, threshold=float(THRESHOLDS[0]))
    truth = field.truth[field.truth["richness"] >= 19.5]
    poor = field.truth[field.truth["richness"] < 19.5]
    rows, taken = [], set()
    sky = SkyCoord(truth["ra"], truth["dec"])
    poor_sky = SkyCoord(poor["ra"], poor["dec"])
    for row in found:
        best, offset = -1, np.nan
        if len(truth):
            here = SkyCoord(row["ra"], row["dec"])
            kpc = here.separation(sky).arcsec * kpc_per_arcsec(truth["redshift"])
            kpc[list(taken)] = np.inf
            if kpc.min() < 100:
                best, offset = int(kpc.argmin()), float(kpc.min())
                taken.add(best)
        if best < 0 and len(poor):
            here = SkyCoord(row["ra"], row["dec"])
            kpc = here.separation(poor_sky).arcsec * kpc_per_arcsec(poor["redshift"])
            best = -2 if kpc.min() < 100 else -1
        rows.append((float(row["score"]), best, offset))
    return rows, np.stack([truth["redshift"], truth["richness"]], axis=1)


def summarise(results, area):
    """Completeness, false detections and purity at each threshold."""
    table = []
    for threshold in THRESHOLDS:
        found = total = false = on_groups = 0
        offsets = []
        for rows, truth in results:
            cut = (truth[:, 0] > CUTS[0]) & (truth[:, 0] < CUTS[1])
            total += int(cut.sum())
            for score, match, offset in rows:
                if score < threshold:
                    continue
                if match < 0:
                    false += 1
                    on_groups += match == -2
                elif cut[match]:
                    found += 1
                    offsets.append(offset)
        low, high = binom_conf_interval(found, total, 0.95, interval="wilson")
        per_degree = false / area
        true_degree = found / total * DENSITY
        purity = true_degree / (true_degree + per_degree) if found else 0.0
        table.append(
            {
                "threshold": float(threshold),
                "found": found,
                "clusters": total,
                "completeness": round(found / total, 4),
                "completeness_95": [round(float(low), 4), round(float(high), 4)],
                "false": false,
                "false_on_poor_groups": on_groups,
                "false_per_deg2": round(per_degree, 3),
                "purity_at_redmapper_density": round(purity, 4),
                "median_offset_kpc": round(float(np.median(offsets)), 2) if offsets else None,
            }
        )
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("--fields", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2001)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", help="JSON file for the table")
    args = parser.parse_args()
    with ProcessPoolExecutor(args.processes) as pool:
        work = partial(score_field, args.weights, args.seed)
        results = list(pool.map(work, range(args.fields)))
    survey = SURVEYS["sdss"].binned(2)
    area = args.fields * (SIZE * survey.pixel_scale / 3600) ** 2
    report = {
        "fields": args.fields,
        "seed": args.seed,
        "area_deg2": round(area, 2),
        "redshift": CUTS,
        "richness": 19.5,
        "command": f"python tools/score_deepcee.py {Path(args.weights).name} "
        f"--fields {args.fields} --seed {args.seed}",
        "table": summarise(results, area),
    }
    for row in report["table"]:
        print(row)
    if args.out:
        with open(args.out, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
