"""Score deepcee weights on rendered sky that they have not seen.

    python tools/score_deepcee.py WEIGHTS.safetensors --fields 400 --seed 2001
    astro-objdet weights calibrate WEIGHTS.safetensors detections.ecsv -o CALIBRATED.safetensors

Fields have SDSS's median seeing, depth and pixel scale (binned 2x2), clusters
and groups at random. A cluster of richness 20 or more is found when a detection
lies within 100 kpc of its central galaxy, one to one, best score first. A
detection on a poorer group, of 14 or less, counts as false, one on a cluster
outside the cuts in redshift neither as true nor as false. Purity is stated for
redMaPPer's density of clusters on the sky.

With --detections, the single detections are written from the score 0.05 on, for
the second command. There too the clusters, of which the rendered sky has more than
the real one, count with redMaPPer's density: the column ``weight``.
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
from astropy.table import QTable

from astro_objdet import Detector
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.tables.files import write_table
from astro_objdet.skies.simulate import SURVEYS, render_field

#: redMaPPer DR8 clusters per square degree at 0.1 < z < 0.35 (10,754 on 10,400).
CUTS = (0.10, 0.35)
DENSITY = 1.034
SIZE = 1024
RICHNESS = 19.5
RADIUS_KPC = 100
LOWEST_SCORE = 0.05
THRESHOLDS = np.round(np.arange(0.1, 1.0, 0.05), 2)


load_once = cache(Detector.from_pretrained)


def score_field(weights, seed, number):
    """Rows of what was found, the truths' (z, richness), and the catalogue's meta.

    A row is score, matched truth, offset in kpc, RA, Dec, and a truth of the same
    place that a better one has taken, or -1. For a match, -1 stands for a detection on
    nothing, -2 for one on a group poorer than the cut.
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
    found = load_once(weights).detect(bands, threshold=LOWEST_SCORE)
    truth = field.truth[field.truth["richness"] >= RICHNESS]
    poor = field.truth[field.truth["richness"] < RICHNESS]
    rows, taken = [], set()
    for row in found:
        best, offset, again = -1, np.nan, -1
        if len(truth):
            kpc = distances(row, truth)
            free = np.where(np.isin(np.arange(len(truth)), list(taken)), np.inf, kpc)
            if free.min() < RADIUS_KPC:
                best, offset = int(free.argmin()), float(free.min())
                taken.add(best)
            elif kpc.min() < RADIUS_KPC:
                again = int(kpc.argmin())
        if best < 0 and len(poor):
            best = -2 if distances(row, poor).min() < RADIUS_KPC else -1
        ra, dec = row["ra"].to_value(u.deg), row["dec"].to_value(u.deg)
        rows.append((float(row["score"]), best, offset, float(ra), float(dec), again))
    return rows, np.stack([truth["redshift"], truth["richness"]], axis=1), found.meta


def distances(row, objects):
    """From a detection to each object in kpc, at the redshift of the object."""
    sky = SkyCoord(objects["ra"], objects["dec"])
    separation = SkyCoord(row["ra"], row["dec"]).separation(sky)
    return separation.arcsec * kpc_per_arcsec(objects["redshift"])


def inside(truth):
    """Which truths of a field are within the cuts in redshift."""
    return (truth[:, 0] > CUTS[0]) & (truth[:, 0] < CUTS[1])


def summarise(results, area):
    """Completeness, false detections and purity at each threshold."""
    table = []
    for threshold in THRESHOLDS:
        found = total = false = on_groups = 0
        offsets = []
        for rows, truth, _ in results:
            cut = inside(truth)
            total += int(cut.sum())
            for score, match, offset, *_ in rows:
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


def detection_table(results, area, seed):
    """What `weights calibrate` takes: each detection with its status."""
    rows = []
    for number, (found, truth, _) in enumerate(results):
        cut = inside(truth)
        for score, match, offset, ra, dec, again in found:
            if match >= 0:
                status = "true" if cut[match] else "ignored"
            elif again >= 0:
                status = "duplicate" if cut[again] else "ignored"
            else:
                status = "false"
            rows.append((number, ra, dec, score, status, offset))
    names = ("field", "ra", "dec", "score", "status", "offset")
    dtype = (int, float, float, float, str, float)
    table = QTable(
        rows=rows, names=names, dtype=dtype, units={"ra": u.deg, "dec": u.deg, "offset": u.kpc}
    )
    rendered = sum(inside(truth).sum() for _, truth, _ in results) / area
    on_cluster = np.isin(table["status"], ("true", "duplicate"))
    table["weight"] = np.where(on_cluster, DENSITY / rendered, 1.0)
    meta = results[0][2]
    table.meta = {
        **{name: meta[name] for name in ("recipe", "weights", "threshold")},
        "sky": f"{len(results)} rendered fields of SDSS's seeing and depth, {area:.1f} deg2, "
        f"seed {seed}; clusters at redMaPPer's density of {DENSITY} per deg2",
        "radius": f"{RADIUS_KPC} kpc",
        "ranges": {"redshift": [*CUTS], "richness": [RICHNESS, None]},
    }
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("--fields", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2001)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", help="JSON file for the table")
    parser.add_argument("--detections", help="ECSV file for the single detections")
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
        "richness": RICHNESS,
        "command": f"python tools/score_deepcee.py {Path(args.weights).name} "
        f"--fields {args.fields} --seed {args.seed}",
        "table": summarise(results, area),
    }
    for row in report["table"]:
        print(row)
    if args.out:
        with open(args.out, "w") as file:
            json.dump(report, file, indent=1)
    if args.detections:
        table = detection_table(results, area, args.seed)
        write_table(table, args.detections, overwrite=True)


if __name__ == "__main__":
    main()
