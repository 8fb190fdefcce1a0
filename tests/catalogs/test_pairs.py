"""Pairs on the sphere, against astropy and against the plain loop."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky

from astro_objdet.catalogs.matching import pairs as module
from astro_objdet.catalogs.matching.pairs import Pairs, best_pairs, groups, nearest, pairs_within
from astro_objdet.errors import ResourceError


def random_sky(count, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))


def patch(count, seed, ra, dec, size):
    """Points in a square patch, in tangent-plane fashion, also over a pole or RA 0."""
    rng = np.random.default_rng(seed)
    centre = SkyCoord(ra, dec, unit="deg")
    around = centre.directional_offset_by(
        rng.uniform(0, 360, count) * u.deg, size * np.sqrt(rng.uniform(0, 1, count)) * u.deg
    )
    return around.ra.deg, around.dec.deg


def astropy_pairs(first, second, radius):
    one, two, angle, _ = search_around_sky(
        SkyCoord(*first, unit="deg"), SkyCoord(*second, unit="deg"), radius * u.arcsec
    )
    order = np.lexsort((two, one))
    return one[order], two[order], angle.arcsec[order]


@pytest.mark.parametrize(
    ("first", "second", "radius"),
    [
        (random_sky(3000, 1), random_sky(4000, 2), 3600.0),
        (random_sky(300, 1), random_sky(400, 2), 90 * 3600.0),
        (random_sky(300, 1), random_sky(400, 2), 179.9 * 3600.0),
        (patch(500, 3, 0, 0, 0.5), patch(600, 4, 0, 0, 0.5), 60.0),
        (patch(500, 3, 120, 90, 0.5), patch(600, 4, 10, 90, 0.5), 60.0),
        (patch(500, 3, 120, -90, 0.5), patch(600, 4, 10, -90, 0.5), 60.0),
        (patch(500, 3, 42, 89.9, 0.5), patch(600, 4, 42, 89.9, 0.5), 60.0),
    ],
)
def test_all_pairs_are_those_of_astropy(first, second, radius):
    found = pairs_within(*first, *second, radius)
    one, two, angle = astropy_pairs(first, second, radius)
    assert len(one) > 100
    np.testing.assert_array_equal(found.first, one)
    np.testing.assert_array_equal(found.second, two)
    # Near the antipode the chord of an angle tells less of it.
    np.testing.assert_allclose(found.separation, angle, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("of", ["first", "second"])
def test_radius_of_each_row(of):
    first, second = patch(400, 5, 0, 30, 1), patch(500, 6, 0, 30, 1)
    own = first if of == "first" else second
    radius = np.random.default_rng(7).uniform(1, 6, len(own[0])) ** 4
    radius[:3] = 0
    found = pairs_within(*first, *second, radius, of=of)
    one, two, angle = astropy_pairs(first, second, radius.max())
    keep = angle <= radius[one if of == "first" else two]
    assert 100 < keep.sum() < len(keep)
    np.testing.assert_array_equal(found.first, one[keep])
    np.testing.assert_array_equal(found.second, two[keep])


def test_chunks_make_no_difference(monkeypatch):
    first, second = patch(400, 5, 0, 30, 1), patch(500, 6, 0, 30, 1)
    whole = pairs_within(*first, *second, 100.0)
    monkeypatch.setattr(module, "_CHUNK", 37)
    chunked = pairs_within(*first, *second, 100.0)
    np.testing.assert_array_equal(whole.first, chunked.first)
    np.testing.assert_array_equal(whole.second, chunked.second)
    np.testing.assert_array_equal(whole.separation, chunked.separation)


def test_radius_of_zero_finds_the_same_position():
    here = np.array([10.0, 20.0]), np.array([1.0, 2.0])
    found = pairs_within(*here, *here, 0.0)
    assert found.first.tolist() == found.second.tolist() == [0, 1]
    assert found.separation.tolist() == [0, 0]


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 5), (5, 0)])
def test_no_rows_no_pairs(n, m):
    for radius in (60.0, np.full(m, 60.0)):
        found = pairs_within(np.zeros(n), np.zeros(n), np.zeros(m), np.zeros(m), radius)
        assert len(found) == 0
        assert found.first.dtype == np.int64
        assert len(best_pairs(found)) == 0


def test_more_pairs_than_memory_has_are_refused(monkeypatch):
    monkeypatch.setattr(module, "_MANY", 10_000)
    first, second = random_sky(300, 1), random_sky(400, 2)
    with pytest.raises(ResourceError, match="radius makes .* pairs of 300 and 400 rows"):
        pairs_within(*first, *second, 90 * 3600.0)
    assert len(pairs_within(*first, *second, 3600.0)) < 100


def greedy(pairs, order):
    chosen, used_first, used_second = [], set(), set()
    for k in order:
        i, j = pairs.first[k], pairs.second[k]
        if i not in used_first and j not in used_second:
            chosen.append(k)
            used_first.add(i)
            used_second.add(j)
    return sorted(chosen)


@pytest.mark.parametrize("seed", range(5))
def test_best_is_what_the_plain_loop_takes(seed):
    rng = np.random.default_rng(seed)
    # Crowded, so that one choice takes the partner of many.
    found = pairs_within(*patch(300, seed, 5, 5, 0.1), *patch(200, 50 + seed, 5, 5, 0.1), 60.0)
    by_separation = np.argsort(found.separation, kind="stable")
    assert best_pairs(found).tolist() == greedy(found, by_separation)
    order = rng.permutation(len(found))
    assert best_pairs(found, order).tolist() == greedy(found, order)


def test_best_is_symmetric():
    first, second = patch(300, 1, 5, 5, 0.1), patch(200, 2, 5, 5, 0.1)
    there, back = pairs_within(*first, *second, 60.0), pairs_within(*second, *first, 60.0)
    there, back = there[best_pairs(there)], back[best_pairs(back)]
    swapped = np.lexsort((back.first, back.second))
    np.testing.assert_array_equal(there.first, back.second[swapped])
    np.testing.assert_array_equal(there.second, back.first[swapped])


def test_ties_go_to_the_lower_rows():
    pairs = Pairs(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.ones(4))
    assert best_pairs(pairs).tolist() == [0, 3]


def test_a_long_chain_is_resolved():
    # Each pair is beaten by the next: the rounds must not be mistaken.
    n = 200
    first = np.repeat(np.arange(n), 2)[1:]
    second = np.repeat(np.arange(n), 2)[:-1]
    pairs = Pairs(first, second, np.arange(len(first))[::-1].astype(float))
    order = np.argsort(pairs.separation)
    assert best_pairs(pairs).tolist() == greedy(pairs, order)


def test_nearest_is_that_of_astropy():
    first, second = random_sky(200, 1), random_sky(300, 2)
    row, angle = nearest(*first, *second)
    expected, sep, _ = SkyCoord(*first, unit="deg").match_to_catalog_sky(
        SkyCoord(*second, unit="deg")
    )
    np.testing.assert_array_equal(row, expected)
    np.testing.assert_allclose(angle, sep.arcsec, rtol=1e-9)


def test_groups_are_linked_rows_of_both_tables():
    pairs = Pairs(np.array([0, 1, 3]), np.array([2, 2, 0]), np.ones(3))
    first, second, size = groups(pairs, 5, 4)
    assert first.tolist() == [1, 1, 0, 2, 0]
    assert second.tolist() == [2, 0, 1, 0]
    assert size.tolist() == [0, 3, 2]


def test_groups_of_nothing():
    empty = Pairs(np.empty(0, int), np.empty(0, int), np.empty(0))
    first, second, size = groups(empty, 2, 3)
    assert first.tolist() == [0, 0]
    assert second.tolist() == [0, 0, 0]
    assert size.tolist() == [0]


@pytest.mark.slow
def test_a_million_points_against_astropy():
    skies = []
    for seed in (1, 2):
        ra, dec = random_sky(10**6, seed)
        # crowds at RA 0 and at both poles
        for part, centre in enumerate([(0, 0), (0, 90), (0, -90)]):
            some = slice(2000 * part, 2000 * (part + 1))
            ra[some], dec[some] = patch(2000, seed + 10 * part, *centre, 0.3)
        skies.append((ra, dec))
    found = pairs_within(*skies[0], *skies[1], 60.0)
    one, two, _ = astropy_pairs(*skies, 60.0)
    assert len(one) > 30_000
    np.testing.assert_array_equal(found.first, one)
    np.testing.assert_array_equal(found.second, two)
