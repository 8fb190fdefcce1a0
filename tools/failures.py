"""Pictures of what a detector gets wrong on a blind rendered sky.

    python tools/failures.py scores/ docs/_static/deepcee_failures.png

Above: the false detections of highest score. Below: the richest clusters missed at the
threshold of the best F1. The fields are rendered again, from what ``score_deepcee.py`` wrote.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from matplotlib.figure import Figure
from score_deepcee import blind_sky

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.images import read_bands
from astro_objdet.plots.picture import display_rgb

SIDE = 600  # pixels of 0.396 arcsec, four arcmin


def cases(folder, columns):
    """Rows (field, position, words) of the worst false detections and misses.

    The false ones may lie below the threshold: what comes next tells where to look as well.
    """
    report = json.loads((folder / "scores.json").read_text())
    threshold = report["best_threshold"]
    found, truth = (read_table(folder / f"{name}.ecsv") for name in ("detections", "truth"))
    false = found[np.isin(found["status"], ("false", "duplicate"))]
    false = false[np.argsort(-false["score"])][:columns]
    hit = np.nan_to_num(np.ma.filled(truth["score"], np.nan), nan=-1.0) > threshold
    missed = truth[(truth["status"] == "counted") & ~hit]
    missed = missed[np.argsort(-missed["richness"])][:columns]
    rows = [[(r["field"], place(r), f"false, score {r['score']:.2f}") for r in false]]
    rows.append([(r["field"], place(r), f"missed, {words(r)}") for r in missed])
    return report, rows


def place(row):
    return SkyCoord(row["ra"], row["dec"], unit="deg")


def words(row):
    return f"z {row['redshift']:.2f}, richness {row['richness']:.0f}"


def draw(ax, field, position, title):
    """A picture around a position, with the haloes that were rendered there."""
    x, y = (round(float(v)) for v in field.wcs.world_to_pixel(position))
    half = SIDE // 2
    x0, y0 = (int(np.clip(v - half, 0, field.image.shape[1] - SIDE)) for v in (x, y))
    here = (slice(y0, y0 + SIDE), slice(x0, x0 + SIDE))
    stack = read_bands(
        {
            band: CCDData(plane[here], unit=u.nmgy, wcs=field.wcs[here], mask=np.isnan(plane[here]))
            for band, plane in zip(field.survey.bands, field.image, strict=True)
        }
    )
    ax.imshow(display_rgb(stack.select(("i", "r", "g"))), origin="lower")
    ax.plot(x - x0, y - y0, "s", mfc="none", mec="white", ms=24)
    for row in field.truth:
        a, b = (float(v) for v in field.wcs.world_to_pixel(place(row)))
        if 0 <= a - x0 < SIDE and 0 <= b - y0 < SIDE:
            radius = 100 / kpc_per_arcsec(row["redshift"]) / field.survey.pixel_scale
            angle = np.linspace(0, 2 * np.pi, 60)
            ax.plot(a - x0 + radius * np.cos(angle), b - y0 + radius * np.sin(angle), "y-", lw=1)
            # words below the circle, and inside the picture
            x = np.clip(a - x0, 0.25 * SIDE, 0.75 * SIDE)
            y = max(b - y0 - radius - 0.01 * SIDE, 0.06 * SIDE)
            ax.text(x, y, words(row), ha="center", va="top", color="yellow", fontsize=7)
    ax.set(title=title, xlim=(0, SIDE), ylim=(0, SIDE), xticks=[], yticks=[])
    ax.title.set_fontsize(9)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path)
    parser.add_argument("out")
    parser.add_argument("--columns", type=int, default=4)
    args = parser.parse_args()
    report, rows = cases(args.scores, args.columns)
    plan, *_ = blind_sky(report["asked_deg2"], report["seed"], report["part"], report["rich"])
    places, _ = plan.places(report["fields"])
    figure = Figure(figsize=(2.6 * args.columns, 5.7), layout="constrained")
    axes = figure.subplots(2, args.columns, squeeze=False)
    for line, some in zip(axes, rows, strict=True):
        for ax in line[len(some) :]:
            ax.set_axis_off()
        for ax, (number, position, title) in zip(line, some, strict=False):
            field = plan.render(number, places[number])
            draw(ax, field, position, title)
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
