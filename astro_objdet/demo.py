"""The demonstration: the packaged field, its detections, and the truth."""

import dataclasses
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from astro_objdet.catalogs.crossmatch import crossmatch
from astro_objdet.errors import InputError
from astro_objdet.reports import RunReport
from astro_objdet.runs import detect

__all__ = ["DemoReport", "demo"]

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
    return DemoReport(
        run=run,
        matches=_matches(run.detections, truth, radius),
        clusters=int(np.count_nonzero(truth["richness"] >= RICHNESS_CUT)),
    )


def _matches(detections, truth, radius):
    """A row per detection with its cluster, as `DemoReport` describes."""
    truth = truth.copy()
    truth["cluster"] = np.arange(1, len(truth) + 1)
    table = crossmatch(detections, truth, radius, redshift="right.redshift", join="all1")
    names = ("id", "score", "cluster", "redshift", "richness", "separation", "separation_kpc")
    table = table[names]
    table.rename_column("separation_kpc", "distance")
    table["cluster"] = np.ma.asarray(table["cluster"]).filled(0)
    return table
