"""World coordinate systems for the tests of this folder."""

import numpy as np
from astropy.wcs import WCS


def tan_wcs(ra, dec, rotation=0.0, parity=1, scale=(0.4, 0.4), shape=(2000, 2000)):
    """A TAN WCS with its reference in the middle; ``parity=-1`` has east right."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = ra, dec
    wcs.wcs.crpix = (shape[1] + 1) / 2, (shape[0] + 1) / 2
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    turn = np.array([[-parity * cos, sin], [parity * sin, cos]])
    wcs.wcs.cd = turn * np.array(scale) / 3600
    wcs.array_shape = shape
    wcs.wcs.set()
    return wcs


SIP = """\
NAXIS   = 2
NAXIS1  = 2000
NAXIS2  = 2000
CTYPE1  = 'RA---TAN-SIP'
CTYPE2  = 'DEC--TAN-SIP'
CRVAL1  = 202.48
CRVAL2  = 47.17
CRPIX1  = 1000.5
CRPIX2  = 1000.5
CD1_1   = 2.9E-05
CD1_2   = 1.05E-04
CD2_1   = 1.05E-04
CD2_2   = -2.9E-05
A_ORDER = 2
A_2_0   = 2.2E-07
A_0_2   = 4.1E-07
A_1_1   = -1.6E-07
B_ORDER = 2
B_2_0   = -1.0E-07
B_0_2   = -2.5E-07
B_1_1   = 4.2E-07"""

TPV = """\
NAXIS   = 2
NAXIS1  = 2000
NAXIS2  = 2000
CTYPE1  = 'RA---TPV'
CTYPE2  = 'DEC--TPV'
CUNIT1  = 'deg'
CUNIT2  = 'deg'
CRVAL1  = 0.001
CRVAL2  = -1.9
CRPIX1  = -800.0
CRPIX2  = 1400.0
CD1_1   = -7.3E-08
CD1_2   = 7.28E-05
CD2_1   = -7.28E-05
CD2_2   = -7.3E-08
PV1_0   = 2.5E-04
PV1_1   = 1.0007
PV1_2   = -8.0E-05
PV1_4   = -4.5E-03
PV1_5   = 2.6E-03
PV1_6   = -9.0E-04
PV2_0   = 1.1E-04
PV2_1   = 1.0005
PV2_2   = 2.2E-04
PV2_4   = -3.3E-03
PV2_5   = 1.6E-03
PV2_6   = -1.0E-03"""
