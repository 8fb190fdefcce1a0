"""The bundled weights on real survey images, where these are at hand."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from regions import Regions

from astro_objdet import Detector
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.errors import BandWarning


@pytest.fixture(scope="module")
def detector():
    return Detector.from_pretrained("deepcee", device="cpu")


@pytest.mark.parametrize("name", ["SPT-CLJ0157-5821", "SPT-CLJ2113-5310"])
def test_real_clusters_are_boxed_and_nothing_else(detector, sample_data, name):
    """At z = 0.223 and 0.364, in pictures of the Dark Energy Survey."""
    clusters = Table.read(sample_data / "des" / "clusters.ecsv")
    (row,) = clusters[clusters["name"] == name]
    path = sample_data / "des" / f"{name}_zrg_8bit.fits"
    with pytest.warns(BandWarning, match="z, r, g stand in"):
        found = detector.detect(path, stretch="identity")
    assert len(found) == 1
    centre = SkyCoord(row["ra"], row["dec"], unit="deg")
    kpc = found.skycoord[0].separation(centre).arcsec * kpc_per_arcsec(row["redshift"])
    assert kpc < 50


@pytest.mark.parametrize(
    "name", ["sdss/reprojected_sdss_{}.fits.bz2", "cfhtls/CFHTLS-test_{}.fits"]
)
def test_region_file_agrees_with_the_catalogue(detector, sample_data, tmp_path, name):
    found = detector.detect([sample_data / name.format(band) for band in "gri"], threshold=0.05)
    found.write(tmp_path / "found.reg")
    regions = Regions.read(tmp_path / "found.reg", format="ds9") if len(found) else []
    assert len(regions) == len(found)
    for region, row in zip(regions, found, strict=True):
        where = SkyCoord(row["ra"], row["dec"])
        assert region.center.icrs.separation(where) < 1 * u.mas
        assert region.width.to_value(u.arcsec) == pytest.approx(
            row["width"].to_value(u.arcsec), abs=1e-3
        )
    assert np.all(found["score"] >= 0.05)
