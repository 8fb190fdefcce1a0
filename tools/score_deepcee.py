"""Score deepcee weights on a blind rendered sky.

    python tools/score_deepcee.py WEIGHTS.safetensors --area 60 -o scores/
    astro-objdet weights calibrate WEIGHTS.safetensors scores/detections.ecsv -o NEW.safetensors

Fields of 6144 px lie in the part of the sky that is never trained on, have SDSS's
seeing, depth and pixel scale, all artefacts, and clusters and groups as nature has
them. Counted are clusters of richness 20 or more at 0.1 < z < 0.3; a detection within
100 kpc of the central galaxy is true, one to one, best score first. A detection on
another rendered cluster or group of richness 10 or more counts neither way; in the
strict numbers it is false. Of the false ones it is told how many lie on groups poorer
than that, which the renderer knows down to richness 3. What lies within 100 arcsec of a
field's edge is left out, as surveys do whose fields overlap; with it the numbers are told
as well.

With --redshift-est the catalogue is cut at its own redshifts first, as a user would who
wants clusters of these redshifts.

With --rich there are three or four on a field, spread evenly in redshift: for completeness
in bins, where nature's clusters are too few, at a --threshold that nature's sky gave.
Written are detections.ecsv, truth.ecsv and scores.json; and everything that was found and
rendered, in all_detections.ecsv and all_truth.ecsv, which --again scores with another cut
without rendering it once more.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import QTable, vstack

from astro_objdet import Detector
from astro_objdet.allocator import keep_memory
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.evaluation import evaluate
from astro_objdet.catalogs.metrics import wilson
from astro_objdet.catalogs.tables.files import read_table, write_table
from astro_objdet.skies.conditions import SURVEYS
from astro_objdet.skies.plans import plan_fields

RANGES = {"redshift": (0.1, 0.3), "richness": (20.0, None)}
INSIDE = {"inside": (0.5, None)}
POOREST = 10.0
SIZE = 6144
MARGIN = 100.0  # arcsec
#: Chances of 0, 1, 2 ... clusters on a field with --rich.
RICH_ODDS = (0.0, 0.05, 0.15, 0.3, 0.3, 0.15, 0.05)
LOWEST_SCORE = 0.05
THRESHOLDS = np.round(np.concatenate([np.arange(0.05, 0.5, 0.05), np.arange(0.5, 1.0, 0.01)]), 2)
ESTIMATES = ("richness", "redshift")
WRITTEN = ("detections", "truth")
Z_BINS, RICHNESS_BINS = (0.1, 0.2, 0.3, 0.4), (20, 25, 35, 200)

load_once = cache(Detector.from_pretrained)


def blind_sky(area, seed, part="test", rich=False):
    """Plan of the fields, their number, and the area within their margins."""
    more = {"cluster_odds": RICH_ODDS, "redshift_range": (0.08, 0.42)} if rich else {}
    side = SIZE * SURVEYS["sdss"].pixel_scale
    share = (1 - 2 * MARGIN / side) ** 2
    plan, count = plan_fields("sdss", area / share, seed=seed, size=SIZE, parts=(part,), **more)
    return plan, count, count * plan.field_area * share


def inside(table, field):
    """1.0 for what is farther than the margin from the edges of a field, else 0.0."""
    x, y = field.wcs.world_to_pixel(SkyCoord(table["ra"], table["dec"]))
    margin = MARGIN / field.survey.pixel_scale
    near = np.minimum(np.minimum(x, y), SIZE - 1 - np.maximum(x, y))
    return (near >= margin).astype(float)


def score_field(weights, plan, task):
    """Detections and truth of one field, with its number."""
    number, place = task
    field = plan.render(number, place)
    bands = {
        band: CCDData(plane, unit=u.nmgy, wcs=field.wcs, mask=~np.isfinite(plane))
        for band, plane in zip(field.survey.bands, field.image, strict=True)
    }
    found = load_once(weights).detect(bands, threshold=LOWEST_SCORE)
    table = QTable({name: np.asarray(found[name].value) for name in ("ra", "dec")})
    table["score"] = np.asarray(found["score"])
    table["ra"].unit = table["dec"].unit = u.deg
    for name in ESTIMATES:
        if f"{name}_est" in found.colnames:
            table[f"{name}_est"] = np.asarray(found[f"{name}_est"])
    table["halo_richness"] = halo_richness(table, field.truth)
    truth = field.truth[field.truth["richness"] >= POOREST]
    truth = truth[["ra", "dec", "redshift", "richness", "i_central"]]
    for rows in (table, truth):
        rows["field"] = np.full(len(rows), number)
        rows["inside"] = inside(rows, field)
    meta = {name: found.meta[name] for name in ("recipe", "weights", "threshold")}
    return table, truth, meta


def halo_richness(table, haloes):
    """Richness of the richest rendered halo whose centre is within 100 kpc, 0 without one."""
    here = SkyCoord(table["ra"], table["dec"])[:, np.newaxis]
    there = SkyCoord(haloes["ra"], haloes["dec"], unit="deg")[np.newaxis]
    kpc = here.separation(there).arcsec * kpc_per_arcsec(np.asarray(haloes["redshift"]))
    richness = np.where(kpc <= 100, np.asarray(haloes["richness"]), 0.0)
    return richness.max(axis=1, initial=0.0)


def bins(found, truth, threshold):
    """Completeness with 95 per cent Wilson intervals in bins of redshift and richness."""
    given = truth
    truth = evaluate(found, truth, "100 kpc", thresholds=[threshold], footprint="none").truth
    truth = truth[np.asarray(given["inside"]) > 0]
    z, rich = np.asarray(truth["redshift"]), np.asarray(truth["richness"])
    hit = np.nan_to_num(np.asarray(truth["score"]), nan=-1.0) > threshold
    rows = []
    for z_low, z_high in zip(Z_BINS[:-1], Z_BINS[1:], strict=True):
        for low, high in zip(RICHNESS_BINS[:-1], RICHNESS_BINS[1:], strict=True):
            here = (z > z_low) & (z <= z_high) & (rich >= low) & (rich < high)
            n, k = int(here.sum()), int((hit & here).sum())
            interval = [round(float(v), 3) for v in wilson(k, n)]
            rows.append(
                {
                    "redshift": [z_low, z_high],
                    "richness": [low, high],
                    "clusters": n,
                    "found": k,
                    "completeness": round(k / n, 3) if n else None,
                    "interval_95": interval,
                }
            )
    return rows


def summary(evaluation, area):
    """Rows of the table of thresholds, as plain numbers."""
    wanted = ("threshold", "tp", "fp", "fn", "ignored", "purity", "purity_low", "purity_high")
    wanted += ("completeness", "completeness_low", "completeness_high", "f1", "fp_strict")
    wanted += ("purity_strict",)
    rows = []
    for row in evaluation.thresholds:
        values = {name: round(float(row[name]), 4) for name in wanted}
        false = np.isin(evaluation.detections["status"], ("false", "duplicate"))
        false &= np.asarray(evaluation.detections["score"]) > row["threshold"]
        values["fp_on_groups"] = int((false & (evaluation.detections["halo_richness"] > 0)).sum())
        values["false_per_deg2"] = round(float(row["fp"]) / area, 4)
        near = np.asarray(evaluation.truth["score"]) > row["threshold"]
        near &= np.asarray(evaluation.truth["status"]) == "counted"
        kpc = np.asarray(evaluation.truth["separation_kpc"].value)[near]
        values["median_offset_kpc"] = round(float(np.median(kpc)), 2) if len(kpc) else None
        rows.append(values)
    return rows


def estimates(found, truth, threshold):
    """How far estimates are off for the counted clusters that are found."""
    score = np.nan_to_num(np.ma.filled(truth["score"], np.nan), nan=-1.0)
    hit = (np.asarray(truth["status"]) == "counted") & (score > threshold)
    rows = np.asarray(truth["detection_row"])[hit]
    off = {}
    for name in ESTIMATES:
        if f"{name}_est" in found.colnames and hit.any():
            true, read = np.asarray(truth[name])[hit], np.asarray(found[f"{name}_est"])[rows]
            wrong = np.log(read / true) if name == "richness" else read - true
            off["ln richness" if name == "richness" else name] = {
                "clusters": int(hit.sum()),
                "median": round(float(np.median(wrong)), 4),
                "rms": round(float(np.sqrt(np.mean(wrong**2))), 4),
                "1.48 mad": round(float(1.4826 * np.median(abs(wrong - np.median(wrong)))), 4),
            }
    return off


def render_and_score(weights, plan, count, processes):
    """Detections and truth of all fields, and what a catalogue says of recipe and weights."""
    places, _ = plan.places(count)
    work = partial(score_field, weights, plan)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=keep_memory) as pool:
        results = []
        for done in pool.map(work, enumerate(places), chunksize=4):
            results.append(done)
            if len(results) % 20 == 0:
                print(f"{len(results)} of {count} fields", flush=True)
    found = vstack([table for table, *_ in results], metadata_conflicts="silent")
    truth = vstack([rows for _, rows, _ in results], metadata_conflicts="silent")
    return found, truth, results[0][2]


def match(found, truth, area):
    """Evaluations within the margins and with them, and the detections of the former."""
    every = evaluate(
        found, truth, "100 kpc", ranges=RANGES, thresholds=THRESHOLDS, footprint="none"
    )
    # beyond the margin only what lies on a cluster is kept, which may be inside
    found = found[(found["inside"] > 0) | (found["halo_richness"] >= POOREST)]
    result = evaluate(
        found, truth, "100 kpc", ranges=RANGES | INSIDE, thresholds=THRESHOLDS, footprint="none",
        area=area * u.deg**2,
    )  # fmt: skip
    for table, given in ((result.detections, found), (result.truth, truth)):
        table["field"] = given["field"]
    for name in ("halo_richness", *(f"{name}_est" for name in ESTIMATES)):
        if name in found.colnames:
            result.detections[name] = found[name]
    return result, every, found


def command_line(args):
    """The command that repeats this, without the folders of this machine."""
    options = " --rich" if args.rich else ""
    options += f" --redshift-est {args.redshift_est}" if args.redshift_est else ""
    options += f" --threshold {args.threshold:g}" if args.threshold is not None else ""
    return (
        f"python tools/score_deepcee.py {Path(args.weights).stem} --area {args.area:g} "
        f"--seed {args.seed} --part {args.part}{options} -o scores"
    )


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--area", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=2001)
    parser.add_argument("--part", default="test", choices=("valid", "test"))
    parser.add_argument("--rich", action="store_true")
    parser.add_argument("--redshift-est", help="LOW:HIGH, of the detections")
    parser.add_argument("--again", type=Path, help="folder of the same sky, scored before")
    parser.add_argument("--threshold", type=float, help="of the bins; the best F1 by default")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def main():
    args = read_arguments()
    plan, count, area = blind_sky(args.area, args.seed, args.part, args.rich)
    if args.again:
        found, truth = (read_table(args.again / f"all_{name}.ecsv") for name in WRITTEN)
        told = found.meta
    else:
        found, truth, told = render_and_score(args.weights, plan, count, args.processes)
        found.meta = told
        args.out.mkdir(parents=True, exist_ok=True)
        for table, name in zip((found, truth), WRITTEN, strict=True):
            write_table(table, args.out / f"all_{name}.ecsv", overwrite=True)
    cut = [float(v) for v in args.redshift_est.split(":")] if args.redshift_est else None
    if cut:
        found = found[(found["redshift_est"] >= cut[0]) & (found["redshift_est"] <= cut[1])]
    result, every, found = match(found, truth, area)
    best = float(result.thresholds[result.best]["threshold"])
    threshold = best if args.threshold is None else args.threshold
    wanted = ("threshold", "tp", "fp", "fn", "purity", "completeness", "f1")
    report = {
        "command": command_line(args),
        "fields": count,
        "area_deg2": round(area, 2),
        "asked_deg2": args.area,
        "margin_arcsec": MARGIN,
        "redshift_est": cut,
        "seed": args.seed,
        "ranges": RANGES,
        "best_threshold": best,
        "part": args.part,
        "rich": args.rich,
        "table": summary(result, area),
        "with_edges": {k: round(float(every.thresholds[result.best][k]), 4) for k in wanted},
        "estimates": estimates(found, result.truth, threshold),
        "bins_threshold": threshold,
        "bins": bins(found, truth, threshold),
    }
    table = result.detections
    table["weight"] = np.ones(len(table))
    table.meta = {
        **told,
        "sky": f"{count} rendered fields of SDSS's seeing and depth, {area:.1f} deg2, seed "
        f"{args.seed}; clusters at redMaPPer's density",
        "radius": "100 kpc",
        "ranges": {name: list(limits) for name, limits in RANGES.items()},
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write_table(table, args.out / "detections.ecsv", overwrite=True)
    write_table(result.truth, args.out / "truth.ecsv", overwrite=True)
    (args.out / "scores.json").write_text(json.dumps(report, indent=1) + "\n")
    for row in report["table"]:
        print(row)
    for row in (*report["bins"], report["with_edges"], report["estimates"]):
        print(row)


if __name__ == "__main__":
    main()
