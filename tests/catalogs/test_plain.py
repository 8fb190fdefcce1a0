"""Results as JSON takes them."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from astro_objdet.catalogs.plain import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.nan, None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, np.inf], [np.nan, 2]]), [[1, None], [None, 2]]),
        ([1.5, 2] * u.arcsec, [1.5, 2]),
        (3 * u.deg**2, 3),
        ({1: (np.float64(1), "a", None)}, {"1": [1, "a", None]}),
        (QTable({"a": [1, np.nan] * u.kpc, "b": ["x", "y"]}), {"a": [1, None], "b": ["x", "y"]}),
    ],
)
def test_what_becomes_of_values(value, expected):
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected
