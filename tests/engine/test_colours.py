"""Colours in apertures, as the detection network sees them."""

import numpy as np
import pytest
import torch

from astro_objdet.detectors.deepcee import BUNDLED
from astro_objdet.engine.colours import SOFTENING, STRETCHED, ApertureColours
from astro_objdet.images.stretch import stretch_from_dict

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def galaxy(x, y, flux, width=4.0, side=256):
    """Surface brightness (i, r, g) of a round galaxy."""
    grid = np.arange(side) + 0.5
    profile = np.exp(-((grid - x) ** 2 + (grid[:, None] - y) ** 2) / (2 * width**2))
    return (np.array(flux)[:, None, None] * profile).astype(np.float32)


def seen(image, boxes):
    """Colours of boxes in an image as the bundled recipe shows it to the network."""
    limits = BUNDLED.stretch["lower"], BUNDLED.stretch["upper"]
    view = torch.from_numpy(stretch_from_dict(BUNDLED.stretch)(image))
    view = (view - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    found = ApertureColours(0.2, MEAN, STD, limits)(view[None], [torch.tensor(boxes)])
    return found.reshape(len(boxes), 3, 3, 3)  # aperture, power, (brightness, two colours)


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_colours_are_ratios_of_flux_wherever_the_galaxy_is(offset):
    flux = (6.0, 4.0, 1.5)
    image = galaxy(120.0 + offset, 130.0, flux)
    (found,) = seen(image, [[60.0, 70.0, 180.0, 190.0]])
    # the smallest aperture, weighted by light: magnitudes in units of asinh
    expected = np.log(np.array([flux[1] / flux[0], flux[2] / flux[1]])) * STRETCHED
    np.testing.assert_allclose(found[0, 1, 1:], expected, atol=0.05)
    assert found[0, 2, 0] > found[0, 0, 0]  # its peak is brighter than its mean


def test_light_weighs_more_than_the_sky():
    """Unweighted, a wide aperture shows the sky; weighted, the galaxy."""
    red = galaxy(120.0, 130.0, (3.0, 2.0, 0.6)) + np.float32(0.01)
    (found,) = seen(red, [[60.0, 70.0, 180.0, 190.0]])
    expected = np.log(2.0 / 3.0) * STRETCHED
    assert abs(found[2, 2, 1] - expected) < 0.1
    assert abs(found[2, 0, 1] - expected) > abs(found[2, 2, 1] - expected)


def test_brightness_is_an_asinh_magnitude():
    flat = np.full((3, 64, 64), 0.5, dtype=np.float32)
    (found,) = seen(flat, [[10.0, 10.0, 50.0, 50.0]])
    torch.testing.assert_close(found[..., 0], torch.full((3, 3), np.arcsinh(0.5 / SOFTENING) - 2))
    assert found[..., 1:].abs().max() < 1e-3


def test_no_boxes_and_boxes_beyond_the_image():
    image = galaxy(5.0, 5.0, (2.0, 1.0, 0.5))
    assert seen(image, np.zeros((0, 4), np.float32)).shape == (0, 3, 3, 3)
    assert torch.isfinite(
        seen(image, [[-60.0, -60.0, 60.0, 60.0], [400.0, 0.0, 500.0, 90.0]])
    ).all()
