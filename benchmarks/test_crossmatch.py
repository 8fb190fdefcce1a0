"""Cross-matching, beside astropy's ``search_around_sky`` in the same run."""

import subprocess
import sys
import time

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import Table

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.crossmatch import crossmatch

ROUNDS = 5

BIG = """
import resource, sys, time
import numpy as np
from astropy.table import Table
from astro_objdet import crossmatch

def sky(count, seed):
    rng = np.random.default_rng(seed)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    return Table({"ra": rng.uniform(0, 360, count), "dec": dec}, copy=False)

left, right = sky(int(sys.argv[1]), 1), sky(int(sys.argv[2]), 2)
start = time.perf_counter()
crossmatch(left, right, "60 arcsec", find="all")
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def random_sky(count, seed):
    rng = np.random.default_rng(seed)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    return Table({"ra": rng.uniform(0, 360, count), "dec": dec})


def survey(count, seed):
    """Positions over 10,000 deg2 with redshifts, as dense as 132,684 clusters of SDSS."""
    rng = np.random.default_rng(seed)
    size = 100 * np.sqrt(count / 132_684)
    return Table(
        {
            "ra": (200 + rng.uniform(-size / 2, size / 2, count)) % 360,
            "dec": np.degrees(np.arcsin(rng.uniform(0, np.radians(size), count) % 1)),
            "z": rng.uniform(0.05, 0.8, count),
        }
    )


def coordinates(table):
    return SkyCoord(table["ra"], table["dec"], unit="deg")


def timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def seconds(values):
    return f"{np.median(values):.3g} s ({min(values):.3g} to {max(values):.3g})"


def ratios(values):
    return f"{np.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def test_a_million_at_60_arcsec(report):
    left, right = random_sky(10**6, 1), random_sky(10**6, 2)
    one, two = coordinates(left), coordinates(right)
    ratio, ours = [], []
    for _ in range(ROUNDS):
        mine, matched = timed(lambda: crossmatch(left, right, "60 arcsec", find="all"))
        plain, found = timed(lambda: search_around_sky(one, two, 60 * u.arcsec, storekdtree=False))
        assert len(matched) == len(found[0])
        ratio.append(mine / plain)
        ours.append(mine)
    report("crossmatch of 10⁶ × 10⁶ at 60″, over search_around_sky", "≤ 1.2", ratios(ratio))
    report("its time", "", seconds(ours))
    assert np.median(ratio) <= 1.2


def test_a_radius_for_each_row(report):
    table = survey(132_684, 3)
    where = coordinates(table)
    radius = 1000 / kpc_per_arcsec(np.asarray(table["z"])) * u.arcsec
    mine = []
    for _ in range(ROUNDS):
        took, matched = timed(
            lambda: crossmatch(table, table, "1 Mpc", redshift="right.z", find="all")
        )
        mine.append(took)
    plain, found = timed(lambda: search_around_sky(where, where, radius))
    assert len(matched) == len(found[0])
    ratio = plain / np.array(mine)
    report("132,684 × 132,684 at 1 Mpc(z), search_around_sky over it", "≥ 20", ratios(ratio))
    assert np.median(ratio) >= 20


def test_four_thousand_both_ways(report):
    left, right = survey(4000, 4), survey(4000, 5)
    both = []
    for _ in range(2 * ROUNDS):
        there, _ = timed(lambda: crossmatch(left, right, "1 Mpc", redshift="right.z"))
        back, _ = timed(lambda: crossmatch(right, left, "1 Mpc", redshift="right.z"))
        both.append(there + back)
    report("4,000 × 4,000 at 1 Mpc(z), both ways", "< 0.1 s", seconds(both))
    assert np.median(both) < 0.1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in kilobytes")
def test_growth_to_ten_million(report):
    took = {}
    for count in (10**5, 10**6, 10**7):
        command = [sys.executable, "-c", BIG, str(count), str(count // 10)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        took[count], peak = map(float, done.stdout.split())
    growth = took[10**7] / took[10**6]
    # n log n grows by 10 log(10^7) / log(10^6) = 11.7; caches make it some more.
    report("10⁷ × 10⁶ at 60″, peak memory", "< 6 GB", f"{peak / 1e9:.2f} GB")
    report("time of 10⁷ × 10⁶ over that of 10⁶ × 10⁵", "n log n: 12", f"{growth:.1f}")
    report("its time", "", f"{took[10**7]:.1f} s")
    assert peak < 6e9
    assert growth < 25
