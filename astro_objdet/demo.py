"""The demonstration: the packaged field, its detections, and the truth."""

import dataclasses
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.cosmology import FlatLambdaCDM
from astropy.table import QTable

from astro_objdet.errors import InputError
from astro_objdet.reports import RunReport
from astro_objdet.runs import detect

__all__ = ["COSMOLOGY", "DemoReport", "demo", "match_within"]

# Of Chan & Stott 2019, end of section 1.
COSMOLOGY = FlatLambdaCDM(H0=71, Om0=0.27)
# Poorer ones were not labelled in training (redMaPPer's own limit).
RICHNESS_CUT = 20
EXAMPLES = Path(__file__).with_name("examples")


@dataclasses.dataclass(frozen=True)
class DemoReport:
    """What the demonstration found.

    Attributes
    ----------
    run : `~astro_objdet.reports.RunReport`
    matches : `~astropy.table.QTable`
        A row per detection: ``id``, ``score``, ``cluster`` (row of the truth,
        counted from 1; 0 without a match), ``redshift``, ``richness``, ``separation``
        in arcsec and ``distance`` in kpc at the cluster's redshift (NaN without a
        match).
    clusters : int
        Number of clusters in the truth, groups poorer than `RICHNESS_CUT` not counted.
    """

    run: RunReport
    matches: QTable
    clusters: int

    @property
    def matched(self):
        """Number of clusters that were found."""
        return int(np.count_nonzero(self.matches["richness"] >= RICHNESS_CUT))

    @property
    def on_groups(self):
        """Number of detections on groups that are too poor to be called clusters."""
        return int(np.count_nonzero(self.matches["richness"] < RICHNESS_CUT))


def demo(
    output="astro-objdet-demo",
    *,
    model="deepcee",
    device="auto",
    radius=100 * u.kpc,
    overwrite=False,
    progress=None,
):
    """Detect in the field that comes with the package and compare with its truth.

    Parameters
    ----------
    output : path-like
        Folder for catalogue, region file and picture.
    model, device, overwrite, progress
        As for `~astro_objdet.runs.detect`.
    radius : `~astropy.units.Quantity`
        Length within which a detection is the cluster, at the cluster's redshift.

    Returns
    -------
    DemoReport

    Raises
    ------
    InputError, OutputExistsError, ModelError, ResourceError
        As `~astro_objdet.runs.detect` does.
    """
    truth = QTable.read(EXAMPLES / "demo_truth.ecsv", format="ascii.ecsv")
    where = SkyCoord(u.Quantity(truth["ra"], u.deg), u.Quantity(truth["dec"], u.deg))
    run = detect(
        [EXAMPLES / f"demo_{band}.fits.fz" for band in "gri"],
        output,
        model=model,
        device=device,
        truth=where,
        overwrite=overwrite,
        progress=progress,
    )
    if run.failures:
        raise InputError(f"the packaged field failed: {run.failures[0].error}")
    redshift = np.asarray(truth["redshift"], dtype=float)
    found, cluster, separation = match_within(run.detections.skycoord, where, redshift, radius)
    return DemoReport(
        run=run,
        matches=_match_table(run.detections, truth, found, cluster, separation),
        clusters=int(np.count_nonzero(truth["richness"] >= RICHNESS_CUT)),
    )


def match_within(detections, truth, redshift, radius):
    """Pair detections with known objects, each used once, the closest pairs first.

    Parameters
    ----------
    detections, truth : `~astropy.coordinates.SkyCoord`
        Arrays of positions.
    redshift : array of float
        Redshifts of ``truth``.
    radius : `~astropy.units.Quantity`
        Length, taken at each redshift in `COSMOLOGY`.

    Returns
    -------
    detection, known : array of int
        Indices of the pairs.
    separation : `~astropy.coordinates.Angle`
        Angle between the two of each pair.
    """
    limit = (radius * COSMOLOGY.arcsec_per_kpc_proper(redshift)).to(u.arcsec)
    if not (len(detections) and len(truth)):
        return np.empty(0, int), np.empty(0, int), [] * u.arcsec
    # One maximum radius and a filter: an array of radii is far slower.
    first, second, angle, _ = search_around_sky(detections, truth, limit.max())
    chosen, used_first, used_second = [], set(), set()
    for pair in np.argsort(angle, kind="stable"):
        i, j = int(first[pair]), int(second[pair])
        if angle[pair] > limit[j] or i in used_first or j in used_second:
            continue
        used_first.add(i)
        used_second.add(j)
        chosen.append(pair)
    chosen = np.array(chosen, dtype=int)
    return first[chosen], second[chosen], angle[chosen].to(u.arcsec)


def _match_table(detections, truth, found, cluster, separation):
    count = len(detections)
    redshift = np.asarray(truth["redshift"], dtype=float)[cluster]
    table = QTable()
    table["id"] = np.asarray(detections["id"])
    table["score"] = np.asarray(detections["score"])
    table["cluster"] = np.zeros(count, dtype=int)
    table["cluster"][found] = cluster + 1
    kpc = separation / COSMOLOGY.arcsec_per_kpc_proper(redshift)
    columns = (
        ("redshift", redshift, None),
        ("richness", np.asarray(truth["richness"], dtype=float)[cluster], None),
        ("separation", separation.to_value(u.arcsec), u.arcsec),
        ("distance", kpc.to_value(u.kpc), u.kpc),
    )
    for name, values, unit in columns:
        column = np.full(count, np.nan)
        column[found] = values
        table[name] = column if unit is None else column * unit
    return table
