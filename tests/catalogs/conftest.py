"""An evaluation with its catalogues, for tests of what it holds."""

import numpy as np
import pytest
from astropy.table import Table

from astro_objdet.catalogs.evaluation import evaluate

FOOTPRINT = [[151.0, 1.0], [149.0, 1.0], [149.0, 3.0], [151.0, 3.0]]


@pytest.fixture(scope="session")
def both():
    """Detections, some twice and some of nothing, and the objects, with redshifts."""
    rng = np.random.default_rng(1)
    ra, dec, n_truth = 150.0, 2.0, 150
    x, y = rng.uniform(-1, 1, (2, n_truth))
    truth = Table({"ra": (ra + x / np.cos(np.radians(dec))) % 360, "dec": dec + y})
    truth["redshift"] = rng.uniform(0.1, 0.2, n_truth)
    truth["richness"] = rng.lognormal(3, 0.5, n_truth)
    rows = rng.choice(n_truth, int(1.2 * n_truth))
    shift = rng.normal(0, 20 / 3600, (2, len(rows)))
    other = rng.uniform(-1, 1, (2, 150))
    x, y = np.hstack([[x[rows], y[rows]] + shift, other])
    found = Table({"ra": (ra + x / np.cos(np.radians(dec))) % 360, "dec": dec + y})
    scores = np.concatenate([rng.beta(4, 2, len(rows)), rng.beta(1, 3, 150)])
    # Two digits make ties, and scores equal to thresholds.
    found["score"] = np.round(scores, 2)
    return found, truth


@pytest.fixture(scope="session")
def evaluated(both):
    """Both, evaluated at 100 kpc in the footprint of one image."""
    found, truth = both
    found = found.copy()
    found.meta["footprint_deg"] = FOOTPRINT
    return evaluate(found, truth)
