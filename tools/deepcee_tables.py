"""What the page on the bundled weights says of them, from their card.

    python tools/deepcee_tables.py WEIGHTS FOLDER

The build of the documentation calls `write_parts`: the tables as CSV, the commands that
give them, and the numbers of its sentences, so that none of them is ever of other weights.
"""

import argparse
from pathlib import Path

from astro_objdet.catalogs import Calibration
from astro_objdet.engine.weights import load_card

#: Name in the card of the scores of a catalogue that is cut at its own redshifts.
CUT = "scores_with_redshift_cut"
THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98)
#: Paper I, section 3.2: false detections on 31 images of 2000 px at 0.396 arcsec, and what
#: purity that means on a blind sky.
PAPER_FALSE = 8 / (31 * (2000 * 0.396 / 3600) ** 2)


def share(found, total, low, high):
    """A ratio with its numbers and its 95 per cent interval."""
    if not total:
        return "--"
    return f"{found:.0f}/{total:.0f} = {found / total:.2f} ({low:.2f} to {high:.2f})"


def real_rows(pictures):
    """What was found on pictures of real clusters."""
    for told in pictures:
        found = told["score"] is not None
        yield " | ".join(
            (
                told["cluster"],
                f"{told['redshift']:.3f}",
                f"{told['score']:.2f}" if found else "not boxed",
                f"{told['offset_kpc']:.0f}" if found else "--",
                f"{max(told['others']):.2f}" if told["others"] else "none above 0.05",
            )
        )


def default_row(card, scores="scores"):
    """The row of the default threshold."""
    threshold = card["recipe"]["score_threshold"]
    return next(r for r in card[scores]["table"] if r["threshold"] == threshold)


def best_row(card, scores="scores"):
    """The row of the best F1."""
    threshold = card[scores]["best_threshold"]
    return next(r for r in card[scores]["table"] if r["threshold"] == threshold)


def completeness(row):
    """Of a row of the table, with its interval."""
    low, high = row["completeness_low"], row["completeness_high"]
    return share(row["tp"], row["tp"] + row["fn"], low, high)


def purity(row):
    """Of a row of the table, with its interval."""
    return share(row["tp"], row["tp"] + row["fp"], row["purity_low"], row["purity_high"])


def blind_rows(scores, default):
    """Completeness, purity and false detections per threshold."""
    best = scores["best_threshold"]
    for row in scores["table"]:
        if row["threshold"] not in {*THRESHOLDS, default, best}:
            continue
        yield " | ".join(
            (
                ", ".join([f"{row['threshold']:.2f}", *_marks(row["threshold"], default, best)]),
                completeness(row),
                purity(row),
                f"{row['purity_strict']:.2f}",
                f"{row['f1']:.2f}",
                f"{row['false_per_deg2']:.2f}",
                f"{row['fp_on_groups']:.0f} of {row['fp']:.0f}",
                f"{row['median_offset_kpc']:.0f}" if row["median_offset_kpc"] is not None else "--",
            )
        )


def _marks(threshold, default, best):
    """What a threshold is known for."""
    return ["default"] * (threshold == default) + ["best F1"] * (threshold == best)


def bin_rows(scores):
    """Completeness in bins of redshift and richness."""
    for row in scores["bins"]:
        z, richness = row["redshift"], row["richness"]
        yield " | ".join(
            (
                f"{z[0]} to {z[1]}",
                f"{richness[0]} to {richness[1]}" if richness[1] < 200 else f"from {richness[0]}",
                share(row["found"], row["clusters"], *row["interval_95"]),
            )
        )


def words(card):
    """Name and text of what the pages say in their sentences."""
    scores, bins = card["scores"], card["scores_by_bin"]
    row, edges, off = default_row(card), scores["with_edges"], scores["estimates"]
    cut, limits = default_row(card, CUT), card[CUT]["redshift_est"]
    best = best_row(card)
    chance = row["tp"] / scores["area_deg2"]
    return {
        "area": f"{scores['area_deg2']:.0f}",
        "fields": f"{scores['fields']}",
        "part": scores["part"],
        "threshold": f"{row['threshold']:.2f}",
        "completeness": completeness(row),
        "purity": purity(row),
        "strict purity": f"{row['purity_strict']:.2f}",
        "F1": f"{row['f1']:.2f}",
        "false": f"{row['false_per_deg2']:.2f}",
        "kpc": f"{row['median_offset_kpc']:.0f}",
        "cut": f"{limits[0]:g} to {limits[1]:g}",
        "cut completeness": completeness(cut),
        "cut purity": purity(cut),
        "cut strict": f"{cut['purity_strict']:.2f}",
        "best": f"{best['threshold']:.2f}",
        "best F1": f"{best['f1']:.2f}",
        "best completeness": completeness(best),
        "best purity": purity(best),
        "edges F1": f"{edges['f1']:.2f}",
        "richness scatter": f"{100 * off['ln richness']['1.48 mad']:.0f}",
        "redshift scatter": f"{off['redshift']['1.48 mad']:.3f}",
        "redshift bias": f"{off['redshift']['median']:+.3f}",
        "bins area": f"{bins['area_deg2']:.0f}",
        "bins threshold": f"{bins['bins_threshold']:.2f}",
        "paper false": f"{PAPER_FALSE:.1f}",
        "paper purity": f"{100 * chance / (chance + PAPER_FALSE):.0f}",
        "times purer": f"{row['purity'] * (chance + PAPER_FALSE) / chance:.0f}",
        "times fewer": f"{PAPER_FALSE / row['false_per_deg2']:.0f}" if row["fp"] else "--",
        **calibration_words(card["calibration"], row["threshold"]),
    }


def calibration_words(calibration, threshold):
    """What the calibration was made from and how good it is."""
    quality = calibration["quality"]
    told = Calibration.from_dict(calibration)
    likely = {
        name: told.probability(score) for name, score in (("threshold", threshold), ("0.9", 0.9))
    }
    return {
        "calibration n": f"{calibration['n']}",
        "calibration sky": calibration["sky"],
        **{f"probability at {name}": f"{float(p):.2f}" for name, p in likely.items()},
        **{f"{k.replace('_', ' ')}": f"{v:.3f}" for k, v in quality.items() if k[0] in "be"},
    }


def write_parts(card, folder):
    """Write tables, commands, and the numbers of the text into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "deepcee_blind.csv": "\n".join(
            blind_rows(card["scores"], card["recipe"]["score_threshold"])
        ),
        "deepcee_bins.csv": "\n".join(bin_rows(card["scores_by_bin"])),
        "deepcee_real.csv": "\n".join(real_rows(card["real_images"])),
        "deepcee_commands.txt": "\n".join(
            [card[name]["command"] for name in ("scores", CUT, "scores_by_bin")]
        ),
        "deepcee_chain.txt": "\n\n".join(chain(card)),
        "deepcee_failures.txt": "\n".join(f"- {text}" for text in card["known_failures"]),
        "deepcee_words.txt": "\n".join(
            f".. |{name}| replace:: {text}" for name, text in words(card).items()
        ),
    }
    for name, text in parts.items():
        (folder / name).write_text(text + "\n")


def chain(card):
    """The commands that lead to the weights, each with what it was run with."""
    for step in card["training"]["chain"]:
        yield f"# {step['what']}, at commit {step['commit']}\n{step['command']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("folder")
    args = parser.parse_args()
    write_parts(load_card(args.weights), args.folder)


if __name__ == "__main__":
    main()
