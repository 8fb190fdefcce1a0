"""An evaluation as lines of text."""

from astropy import units as u

from astro_objdet.textlines import table_lines

__all__ = ["summary_lines", "verdict"]

# Below so many objects a KS test finds no difference whatever there is.
_TOO_FEW = 5


def summary_lines(evaluation, threshold=None):
    """What was read, the counts at each threshold, then what else is known at one of them.

    Parameters
    ----------
    evaluation : `~astro_objdet.catalogs.evaluation.Evaluation`
    threshold : float, optional
        One that was evaluated; by default the best.

    Yields
    ------
    str

    Raises
    ------
    InputError
        If that threshold was not evaluated.
    """
    row = evaluation.at(threshold)
    yield from _what_was_read(evaluation.meta)
    yield from _counts(evaluation)
    if len(evaluation.thresholds) > 1:
        yield f"average precision {evaluation.average_precision:.4f}"
    if evaluation.coco is not None:
        known = {**evaluation.coco, "F1": evaluation.f1_coco}
        yield "COCO: " + ", ".join(f"{name} {value:.4f}" for name, value in known.items())
    if evaluation.area is not None:
        rate = row["false_per_deg2"].value
        yield f"area {evaluation.area.to_value(u.deg**2):.4g} deg2, {rate:.3g} false per deg2"
    tests = evaluation.ks if row.index == evaluation.best else evaluation.ks_at(threshold)
    below = list(_at_threshold(evaluation.centre_at(threshold), tests))
    if below:
        yield f"at the threshold {row['threshold']:g}:"
        yield from below


def _what_was_read(meta):
    for side in ("found", "truth"):
        columns = meta["columns"][side]
        named = [f"position {', '.join(columns['position'])} ({columns['frame']})"]
        kinds = ("score", "redshift", "richness", "magnitude")
        named += [f"{kind} {columns[kind]}" for kind in kinds if columns.get(kind)]
        yield f"{side}: {meta['rows'][side]} rows, {', '.join(named)}"
        if side == "found" and columns.get("score") is None:
            yield "  no column of scores is known: all detections count alike"
        for reason, count in meta["not_counted"][side].items():
            yield f"  {count} rows not counted: {reason}"
    yield f"matched within {meta['radius']}, {meta['rule']}"


def _counts(evaluation):
    interval = f"({100 * evaluation.meta['confidence']:g} %)"
    header = ("threshold", "true", "false", "missed", "purity", interval)
    header += ("completeness", interval, "F1", "")
    several = len(evaluation.thresholds) > 1
    rows = [
        (
            f"{row['threshold']:g}",
            *(row[name] for name in ("tp", "fp", "fn")),
            *_share(row, "purity"),
            *_share(row, "completeness"),
            f"{row['f1']:.4f}",
            "best" if row.index == evaluation.best and row["f1"] > 0 and several else "",
        )
        for row in evaluation.thresholds
    ]
    return table_lines(header, rows)


def _share(row, name):
    return f"{row[name]:.4f}", f"({row[f'{name}_low']:.3f}-{row[f'{name}_high']:.3f})"


def _at_threshold(centre, tests):
    if centre["n"]:
        yield f"  centre error {centre['rms_arcsec']:.2f} arcsec (rms of {centre['n']})"
    if centre["n_kpc"]:
        yield f"  centre error {centre['rms_kpc']:.2f} kpc (rms of {centre['n_kpc']})"
    for test in tests:
        if test["n_recovered"]:
            yield (
                f"  {test['property']}: KS {test['statistic']:.4f}, "
                f"critical {test['critical']:.4f}, {verdict(test)}"
            )


def verdict(test):
    """What a row of the KS tests says, in words."""
    if test["n_recovered"] < _TOO_FEW:
        return "too few to tell"
    return "differs" if test["differs"] else "no difference"
