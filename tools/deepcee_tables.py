"""Completeness, purity and false detections as rows of tables, from the card of weights.

python tools/deepcee_tables.py WEIGHTS
"""

import argparse

from astro_objdet.engine.weights import load_card

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)


def share(found, total, low, high):
    """A ratio with its numbers and its 95 per cent interval."""
    if not total:
        return "--"
    return f"{found:.0f}/{total:.0f} = {found / total:.2f} ({low:.2f} to {high:.2f})"


def blind_rows(scores):
    """Completeness, purity and false detections per threshold."""
    best = scores["best_threshold"]
    for row in scores["table"]:
        if row["threshold"] not in {*THRESHOLDS, best}:
            continue
        tp, fp, fn = row["tp"], row["fp"], row["fn"]
        yield " | ".join(
            (
                f"{row['threshold']:.2f}" + (", best F1" if row["threshold"] == best else ""),
                share(tp, tp + fn, row["completeness_low"], row["completeness_high"]),
                share(tp, tp + fp, row["purity_low"], row["purity_high"]),
                f"{row['purity_strict']:.2f}",
                f"{row['f1']:.2f}",
                f"{row['false_per_deg2']:.2f}",
                f"{row['fp_on_groups']:.0f} of {fp:.0f}",
                f"{row['median_offset_kpc']:.0f}" if row["median_offset_kpc"] is not None else "--",
            )
        )


def bin_rows(scores):
    """Completeness in bins of redshift and richness."""
    for row in scores["bins"]:
        z, richness = row["redshift"], row["richness"]
        yield " | ".join(
            (
                f"{z[0]} to {z[1]}",
                f"{richness[0]} to {richness[1]}",
                share(row["found"], row["clusters"], *row["interval_95"]),
            )
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    card = load_card(parser.parse_args().weights)
    print(*blind_rows(card["scores"]), "", *bin_rows(card["scores_by_bin"]), sep="\n")


if __name__ == "__main__":
    main()
