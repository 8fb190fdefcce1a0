"""Splits on the real positions of clusters: what leaks, and what does not."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table

from astro_objdet.errors import InputError
from astro_objdet.skies.leaks import LeakWarning, leaks, overlapping
from astro_objdet.skies.samples import cluster_sample, cutout_wcs, random_offsets
from astro_objdet.skies.splits import PAPER_TEST, split_cells, split_kfold, split_paper

SIZE = 792.0  # 2000 px of 0.396 arcsec


@pytest.fixture(scope="module")
def images(sample_data):
    """Four images of each redMaPPer cluster of the paper's cuts."""
    path = sample_data / "catalogs" / "redmapper_dr8_public_v5.10_catalog.fits"
    return placed(random_offsets(cluster_sample(path), seed=3))


def placed(offsets):
    return {
        "ra": offsets["centre_ra"].value,
        "dec": offsets["centre_dec"].value,
        "size": SIZE,
        "groups": np.asarray(offsets["cluster"]),
        "redshift": np.asarray(offsets["redshift"]),
        "richness": np.asarray(offsets["richness"]),
    }


def made(scheme, images, **options):
    names = ("ra", "dec", "size", "groups")
    names += ("redshift", "richness") if scheme is split_kfold else ()
    return scheme(**{name: images[name] for name in names}, **options)


def rows(images, chosen):
    return {k: v[chosen] if isinstance(v, np.ndarray) else v for k, v in images.items()}


def sky_in_common(images, names):
    """Cells of 26 arcsec that stand in two splits, counted on the sky with astropy's WCS."""
    from astropy_healpix import HEALPix

    grid = HEALPix(nside=8192, order="nested")
    seen = {}
    step = np.linspace(0, 999, 26)  # 1000 pixels of 0.792 arcsec
    x, y = (v.ravel() for v in np.meshgrid(step, step))
    for name in np.unique(names[names != ""]):
        cells = [
            grid.lonlat_to_healpix(*(v * u.deg for v in cutout_wcs(ra, dec, 1000, 0.792)
                                     .pixel_to_world_values(x, y)))
            for ra, dec in zip(images["ra"][names == name], images["dec"][names == name],
                               strict=True)
        ]  # fmt: skip
        seen[name] = np.unique(np.concatenate(cells))
    splits = list(seen.values())
    return sum(len(np.intersect1d(one, two)) for k, one in enumerate(splits) for two in splits[:k])


def test_the_papers_split_has_its_numbers_and_leaks():
    # 497 clusters in the paper; positions do not matter for the counts.
    rng = np.random.default_rng(1)
    clusters = Table({"ra": rng.uniform(110, 260, 497), "dec": rng.uniform(0, 60, 497)})
    clusters["ra"].unit = clusters["dec"].unit = u.deg
    clusters["name"] = np.arange(497).astype(str)
    clusters["redshift"], clusters["richness"] = 0.15, 30.0
    images = placed(random_offsets(clusters))
    with pytest.warns(LeakWarning, match=r"\d+ of 497 clusters or fields stand in several splits"):
        split = made(split_paper, images, test=PAPER_TEST)
    assert split.counts == {"test": 204, "train": 1784}
    # Of the four images of a test cluster, most others are for training.
    assert split.leaks.groups > 140
    assert split.leaks.shared["test"] > 0.7
    assert split.leak.startswith("split 'paper' leaks: ")
    with pytest.warns(LeakWarning, match="of test"):
        tenth = made(split_paper, images)
    assert tenth.counts["test"] == 199


def test_whole_cells_and_clusters_leak_nothing(images):
    split = made(split_cells, images)
    assert not split.leaks
    assert split.leak == ""
    assert split.leaks.n_images == len(images["ra"])
    assert set(split.leaks.shared.values()) == {0.0}
    some = (images["ra"] > 150) & (images["ra"] < 190)
    assert len(np.unique(split.names[some])) == 3
    assert sky_in_common(rows(images, some), split.names[some]) == 0
    per_cluster = [np.unique(split.names[images["groups"] == k]) for k in range(0, 1800, 7)]
    assert {len(names) for names in per_cluster} == {1}
    part = split.counts["train"] / len(images["ra"])
    assert 0.7 < part < 0.9


def test_the_papers_split_has_sky_in_common_where_the_check_says_so(images):
    some = rows(images, np.arange(200))
    with pytest.warns(LeakWarning, match="pairs of images of different splits overlap"):
        split = made(split_paper, some)
    assert sky_in_common(some, split.names) > 500


def test_dropping_at_the_border_depends_on_the_own_place_alone(images):
    split = made(split_cells, images, border="drop")
    assert not split.leaks
    assert 0.02 < split.counts[""] / len(images["ra"]) < 0.15
    some = np.random.default_rng(2).permutation(len(images["ra"]))[::5]
    alone = dict(rows(images, some), groups=None)
    np.testing.assert_array_equal(
        made(split_cells, alone, border="drop").names,
        made(split_cells, dict(images, groups=None), border="drop").names[some],
    )


def test_few_change_sides_when_rows_are_added(images):
    half = np.sort(np.random.default_rng(4).permutation(1880)[:940])
    some = np.flatnonzero(np.isin(images["groups"], half))
    before = made(split_cells, rows(images, some)).names
    after = made(split_cells, images).names[some]
    assert (before != after).mean() < 0.05


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        (split_paper, {}),
        (split_kfold, {}),
        (split_kfold, {"together": False, "test_fold": 2}),
        (split_cells, {}),
        (split_cells, {"border": "drop"}),
    ],
)
def test_the_order_of_the_images_does_not_matter(images, scheme, options):
    some = rows(images, np.arange(1200))
    order = np.random.default_rng(5).permutation(1200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)
        names = made(scheme, some, **options).names
        shuffled = made(scheme, rows(some, order), **options).names
        other = made(scheme, some, seed=1, **options).names
    np.testing.assert_array_equal(shuffled, names[order])
    assert (other != names).any()


def test_the_tiles_of_a_survey_are_parted_at_the_borders():
    # Overlapping tiles all over 15 x 10 degrees hang together as a whole.
    x, y = np.meshgrid(np.arange(0, 15, 0.2), np.arange(-5, 5, 0.2))
    ra, dec = (x.ravel() - 7) % 360, y.ravel()
    split = split_cells(ra, dec, size=SIZE, nside=32)
    assert not split.leaks
    some = np.abs(dec) < 2
    assert sky_in_common({"ra": ra[some], "dec": dec[some]}, split.names[some]) == 0
    assert 0 < split.counts[""] < 0.3 * len(ra)
    assert min(split.counts[name] for name in ("train", "valid", "test")) > 50


def test_groups_stay_whole_wherever_their_images_are():
    rng = np.random.default_rng(6)
    ra, dec = rng.uniform(0, 360, 400), rng.uniform(-60, 60, 400)
    groups = np.arange(400) // 2
    split = split_cells(ra, dec, size=100, groups=groups)
    assert split.leaks.groups == 0
    assert (split.names[::2] == split.names[1::2]).all()


def test_folds_are_stratified_and_whole(images):
    split = made(split_kfold, images)
    assert not split.leaks
    assert sorted(split.counts) == [f"fold{k}" for k in range(5)]
    n = len(images["ra"])
    assert all(abs(count - n / 5) < 0.02 * n for count in split.counts.values())
    for name in ("redshift", "richness"):
        medians = [np.median(images[name][split.names == fold]) for fold in split.counts]
        assert np.ptp(medians) < 0.05 * np.median(images[name])
    test = made(split_kfold, images, test_fold=1)
    np.testing.assert_array_equal(test.names == "test", split.names == "fold1")


def test_clusters_alone_leave_sky_in_several_folds(images):
    with pytest.warns(LeakWarning, match=r"split 'kfold' leaks: \d+ pairs of images"):
        split = made(split_kfold, images, together=False)
    assert split.leaks.groups == 0
    assert split.leaks.pairs > 0


def test_overlaps_are_those_of_the_pixels():
    rng = np.random.default_rng(7)
    for dec0, spread in ((0, 0.3), (75, 1.2), (89.9, 180)):
        ra = (359.9 + rng.uniform(-spread, spread, 24)) % 360
        dec = np.minimum(dec0 + rng.uniform(-0.3, 0.3, 24), 90)
        size = rng.uniform(200, 900, 24)
        first, second = overlapping(ra, dec, size)
        found = set(zip(first.tolist(), second.tolist(), strict=True))
        assert all(one < two for one, two in found)
        for one in range(24):
            for two in range(one):
                seen = _share_pixels(ra, dec, size, one, two)
                if seen != ((two, one) in found):
                    # Slivers thinner than a pixel of the comparison.
                    assert not seen
                    assert _share_pixels(ra, dec, size * 1.04, one, two)


def _share_pixels(ra, dec, size, one, two):
    wcs = [cutout_wcs(ra[k], dec[k], 60, size[k] / 60) for k in (one, two)]
    step = np.arange(-0.5, 60, 1)
    for here, there in (wcs, wcs[::-1]):
        sky = here.pixel_to_world_values(*(v.ravel() for v in np.meshgrid(step, step)))
        x, y = there.all_world2pix(*sky, 0)
        if ((x > -0.5) & (x < 59.5) & (y > -0.5) & (y < 59.5)).any():
            return True
    return False


def test_leaks_count_images_of_one_place():
    found = leaks([10] * 5, [0] * 5, ["a", "a", "b", "b", ""], size=60, groups=list("xxxyz"))
    assert (found.pairs, found.groups, found.n_groups, found.n_images) == (4, 1, 2, 4)
    assert found.shared == {"a": 1.0, "b": 1.0}
    assert not leaks([10, 10], [0, 0], ["a", "a"], size=60)
    assert leaks([], [], [], size=60).sentence == ""
    # Two images side by side, across RA 0.
    side = leaks([359.99, 0.01], [0, 0], ["a", "b"], size=36)
    assert side.pairs == 0
    half = leaks([359.9975, 0.0025], [0, 0], ["a", "b"], size=36)
    assert half.shared == pytest.approx({"a": 0.5, "b": 0.5})


def test_cells_are_those_of_the_sky(images):
    """Neighbours across the whole sky, not rows, decide."""
    split = made(split_cells, images)
    sky = SkyCoord(images["ra"], images["dec"], unit="deg")
    near = sky.search_around_sky(sky, 600 * u.arcsec)[:2]
    assert (split.names[near[0]] == split.names[near[1]]).all()


def test_bad_arguments():
    ra, dec = np.linspace(0, 300, 20), np.zeros(20)
    with pytest.raises(InputError, match="nside must be a power of 2 from 1 to 8192, got 12"):
        split_cells(ra, dec, size=60, nside=12)
    with pytest.raises(InputError, match="nside=512 has cells of 412 arcsec, smaller than"):
        split_cells(ra, dec, size=792, nside=512)
    with pytest.raises(InputError, match=r"no image falls into 'test' with 1 images in 1 cells"):
        split_cells([1], [2], size=60, fractions={"train": 1, "test": 1e-9})
    with pytest.raises(InputError, match="fractions must be two or more numbers by name of split"):
        split_cells(ra, dec, size=60, fractions={"train": 1})
    with pytest.raises(InputError, match=r"fractions\['test'\] must be a finite number above 0"):
        split_cells(ra, dec, size=60, fractions={"train": 1, "test": -1})
    with pytest.raises(InputError, match="border must be one of 'drop', 'move'; got 'cut'"):
        split_cells(ra, dec, size=60, border="cut")
    with pytest.raises(InputError, match="test must leave images on both sides, got 20 of 20"):
        split_paper(ra, dec, size=60, test=20)
    with pytest.raises(InputError, match="test_fold must be from 0 to 4, got 5"):
        split_kfold(ra, dec, size=60, test_fold=5)
    with pytest.raises(InputError, match="folds must be at most the number of separate clusters"):
        split_kfold(ra[:3], dec[:3], size=60)
    with pytest.raises(InputError, match="folds must be at most"):
        split_kfold(np.linspace(0, 0.1, 20), dec, size=792, folds=3)
    with pytest.raises(InputError, match="18 of 20 images hang together by overlaps"):
        split_kfold(np.append(np.linspace(0, 0.1, 18), [90, 180]), dec, size=792, folds=3)
    with pytest.raises(InputError, match="ra and dec must be finite degrees"):
        split_paper([1, np.nan], [0, 0], size=60)
    with pytest.raises(InputError, match="size must be arcsec above 0"):
        split_paper([1, 2], [0, 0], size=0)
    with pytest.raises(InputError, match="groups must have one name for each image"):
        split_paper(ra, dec, size=60, groups=[1, 2])


def test_quantities_are_converted(images):
    plain = {name: images[name] for name in ("ra", "dec", "size")}
    units = {"ra": u.deg, "dec": u.deg, "size": u.arcsec}
    given = {name: (plain[name] * units[name]) for name in plain}
    turned = {"ra": given["ra"].to(u.rad), "dec": given["dec"].to(u.hourangle)}
    turned["size"] = given["size"].to(u.arcmin)
    split = np.where(np.arange(len(plain["ra"])) % 2, "train", "test")
    expected = leaks(**plain, split=split)
    assert expected.pairs > 0
    masked = MaskedColumn(plain["ra"], mask=np.arange(len(split)) == 3, unit=u.deg)
    with pytest.raises(InputError, match="ra and dec must be finite degrees"):
        leaks(masked, plain["dec"], split, size=60)
    for quantities in (given, turned):
        assert leaks(**quantities, split=split) == expected
    assert split_cells(**turned).names.tolist() == split_cells(**plain).names.tolist()
    with pytest.raises(
        InputError, match="size must be numbers or a quantity in arcsec, got .*3. kpc"
    ):
        leaks(plain["ra"], plain["dec"], split, size=3 * u.kpc)


def test_offsets_and_cutouts_take_quantities():
    wcs = cutout_wcs(10.0, 20.0, 100, 0.5)
    same = cutout_wcs((10 * u.deg).to(u.hourangle), 1200 * u.arcmin, 100, 500 * u.marcsec)
    np.testing.assert_allclose(same.wcs.crval, wcs.wcs.crval)
    np.testing.assert_allclose(same.wcs.cdelt, wcs.wcs.cdelt)
    sample = Table({"name": ["a"], "ra": [10.0] * u.deg, "dec": [20.0] * u.deg})
    sample["redshift"], sample["richness"] = 0.2, 30.0
    offsets = random_offsets(sample, radius=270.0)
    again = random_offsets(sample, radius=4.5 * u.arcmin)
    np.testing.assert_allclose(again["offset_x"], offsets["offset_x"])
    with pytest.raises(InputError, match="ra must be numbers or a quantity in deg, got .* s"):
        cutout_wcs(10 * u.s, 20.0)
