"""Sources around a box, as the detection network counts them."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from astro_objdet.engine import sources
from astro_objdet.engine.colours import Unstretched
from astro_objdet.engine.context import ContextRoIAlign
from astro_objdet.engine.sources import (
    SOFTENING,
    STRETCHED,
    SourceCounts,
    SourceFinder,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NOISE = 0.01
SIDE = 256


@pytest.fixture
def finder():
    return SourceFinder(2.5, Unstretched(MEAN, STD), 3)


def sky(galaxies, sky_level=0.0, side=SIDE, width=1.2):
    """Image (1, 3, side, side) with galaxies (x, y, flux per band), normalised."""
    rng = np.random.default_rng(3)
    image = rng.normal(sky_level, NOISE, (3, side, side))
    grid = np.arange(side) + 0.5
    for x, y, flux in galaxies:
        profile = np.exp(-((grid - x) ** 2 + (grid[:, None] - y) ** 2) / (2 * width**2))
        image += np.array(flux)[:, None, None] * profile
    mean, std = (np.array(v)[:, None, None] for v in (MEAN, STD))
    return torch.from_numpy(((image - mean) / std)[None].astype(np.float32))


RED, BLUE = (4.0, 2.5, 0.8), (2.0, 1.8, 1.6)


def test_sources_stand_where_the_galaxies_are_with_their_colours(finder):
    image = sky([(60.5, 80.5, RED), (150.5, 40.5, BLUE)])
    (found,) = finder.find(image, [(SIDE, SIDE)])
    assert len(found) == 2
    order = found[:, 0].argsort()
    np.testing.assert_allclose(found[order, :2], [[60.5, 80.5], [150.5, 40.5]])
    for row, flux in zip(found[order], (RED, BLUE), strict=True):
        expected = np.log([flux[0] / flux[1], flux[1] / flux[2]]) * STRETCHED
        np.testing.assert_allclose(row[3:5], expected, atol=0.1)
    # brightness is ln of flux, but for a constant
    step = np.arcsinh(RED[0] / SOFTENING) - np.arcsinh(BLUE[0] / SOFTENING)
    assert float(found[order[0], 2] - found[order[1], 2]) == pytest.approx(step, abs=0.03)


def test_wide_sources_are_less_peaked(finder):
    """As galaxies and stars of the same brightness, or ten times as faint, are told apart."""
    shapes = []
    for width in (0.6, 1.2, 2.0):
        galaxies = [(60.5, 80.5, RED), (150.5, 40.5, [f / 10 for f in RED])]
        (found,) = finder.find(sky(galaxies, width=width), [(SIDE, SIDE)])
        bright, faint = found[found[:, 2].argsort(descending=True), 5:]
        torch.testing.assert_close(faint, bright, atol=0.15, rtol=0)
        shapes.append(bright)
    peaked, wide = torch.stack(shapes).T
    assert (peaked.diff() < -0.3).all()
    assert (wide.diff() > 0.2).all()


def test_the_level_of_the_sky_does_not_matter(finder):
    galaxies = [(60.5, 80.5, RED), (150.5, 40.5, BLUE)]
    (dark,) = finder.find(sky(galaxies), [(SIDE, SIDE)])
    (lit,) = finder.find(sky(galaxies, sky_level=0.2), [(SIDE, SIDE)])
    torch.testing.assert_close(dark, lit, atol=1e-3, rtol=0)


def test_padding_has_no_sources(finder):
    """Neither what stands there, nor its edge."""
    image = sky([(60.5, 80.5, RED), (150.5, 200.5, BLUE)])
    image[..., 180:, :] = 0  # as torchvision pads: the mean of all images
    (found,) = finder.find(image, [(180, SIDE)])
    np.testing.assert_allclose(found[:, :2], [[60.5, 80.5]])


def test_of_too_many_sources_the_brightest_count(finder, monkeypatch):
    monkeypatch.setattr("astro_objdet.engine.sources.DENSEST", 1e-4)
    rng = np.random.default_rng(1)
    places = np.stack(np.meshgrid(*[np.arange(16, SIDE, 40)] * 2), -1).reshape(-1, 2)
    flux = rng.permutation(np.linspace(1, 5, len(places)))
    galaxies = [(x + 0.5, y + 0.5, (f, f, f)) for (x, y), f in zip(places, flux, strict=True)]
    (found,) = finder.find(sky(galaxies), [(SIDE, SIDE)])
    assert len(found) == np.ceil(1e-4 * SIDE**2) < len(places)
    brightest = places[np.argsort(-flux)[: len(found)]] + 0.5
    assert set(map(tuple, brightest)) == set(map(tuple, found[:, :2].numpy().astype(float)))


def test_boxes_own_the_sources_around_them(finder):
    galaxies = [(60.5, 80.5, RED), (90.5, 80.5, RED), (60.5, 104.5, BLUE), (200.5, 200.5, BLUE)]
    sources = finder.find(sky(galaxies), [(SIDE, SIDE)])
    # the circle is 2.5 boxes wide: 50 pixels across, then 100
    boxes = torch.tensor([[50.5, 70.5, 70.5, 90.5], [40.5, 60.5, 80.5, 100.5]])
    pairs, owner, own = finder(sources, [boxes], [(SIDE, SIDE)])
    assert pairs.shape == (5, finder.count)
    assert own.shape == (2, finder.box_count)
    assert owner.tolist() == [0, 0, 1, 1, 1]
    # brightness and colours relative to the galaxy in the middle: none for itself
    relative = pairs[owner == 1, 5:8]
    like = relative.abs().amax(dim=1) < 0.15
    assert like.sum() == 2
    assert relative[~like, 1].item() < -0.5
    np.testing.assert_allclose(sorted(pairs[owner == 1, 8]), [0, 0.6, 0.75], atol=0.01)
    torch.testing.assert_close(own[:, -1], torch.ones(2))


def test_boxes_of_several_images_are_counted_on(finder):
    image = torch.cat([sky([(60.5, 80.5, RED)]), sky([(30.5, 30.5, BLUE)])])
    shapes = [(SIDE, SIDE)] * 2
    sources = finder.find(image, shapes)
    boxes = [torch.tensor([[50.5, 70.5, 70.5, 90.5]]), torch.tensor([[20.5, 20.5, 40.5, 40.5]])]
    pairs, owner, own = finder(sources, boxes, shapes)
    assert owner.tolist() == [0, 1]
    assert len(own) == 2
    assert pairs[0, 1] > pairs[1, 1]  # the first one is red


@pytest.mark.parametrize("galaxies", [[], [(60.5, 80.5, RED)]])
def test_no_sources_no_boxes_and_boxes_beyond_the_image(finder, galaxies):
    sources = finder.find(sky(galaxies), [(SIDE, SIDE)])
    assert len(sources[0]) == len(galaxies)
    boxes = torch.tensor([[-80.0, -60, 80, 60], [400, 400, 500, 500], [9, 9, 9, 9]])
    pairs, owner, own = finder(sources, [boxes], [(SIDE, SIDE)])
    assert pairs.isfinite().all()
    assert own.isfinite().all()
    assert own[0, -1] < 0.4
    assert own[1, -1] == 0
    counts = SourceCounts(finder.count, finder.box_count)
    assert counts(pairs, owner, own).shape == (3, counts.out_features)
    pairs, owner, own = finder(sources, [boxes[:0]], [(SIDE, SIDE)])
    assert counts(pairs, owner, own).shape == (0, counts.out_features)


def test_counts_add_up():
    torch.manual_seed(0)
    counts = SourceCounts(9, 5, kinds=6, rounds=1)
    counts.rounds[0].read = nn.Identity()
    pairs, owner = torch.randn(7, 9), torch.tensor([0, 0, 0, 1, 1, 1, 1])
    own = torch.zeros(2, 5)
    once = counts(pairs, owner, own)[:, 6:12]
    twice = counts(torch.cat([pairs, pairs]), torch.cat([owner, owner]), own)[:, 6:12]
    torch.testing.assert_close(twice, 2 * once)
    alone = counts(pairs[:3], owner[:3], own[:1])[:, 6:12]
    torch.testing.assert_close(alone, once[:1])


def test_sources_are_counted_again_with_what_their_own_box_told():
    torch.manual_seed(0)
    counts = SourceCounts(9, 5, kinds=6)
    pairs, owner, own = torch.randn(7, 9), torch.tensor([0, 0, 0, 1, 1, 1, 1]), torch.randn(2, 5)
    rounds = counts.in_rounds(pairs, owner, own)
    assert [part.shape for part in rounds] == [(2, counts.out_features)] * 3
    torch.testing.assert_close(counts(pairs, owner, own), rounds[-1])
    # another order of the sources is the same, and a box knows of no other one
    order = torch.randperm(7)
    torch.testing.assert_close(counts(pairs[order], owner[order], own), rounds[-1])
    alone = counts(pairs[3:], owner[3:] - 1, own[1:])
    torch.testing.assert_close(alone, rounds[-1][1:])
    # the first round reaches the second one's sources, not only what is read at the end
    (slope,) = torch.autograd.grad(rounds[1].sum(), counts.rounds[1].known.weight)
    assert slope.abs().sum() > 0


def test_sources_are_found_once_for_all_boxes_of_an_image(finder, monkeypatch):
    pool = ContextRoIAlign(["0"], 7, 2, strides=(16,), context=2.5, sources=finder)
    maps = {"0": torch.zeros(1, 4, 16, 16), "image": sky([(60.5, 80.5, RED)])}
    boxes, shapes = [torch.tensor([[50.0, 70, 70, 90]])], [(SIDE, SIDE)]
    first = pool(maps, boxes, shapes)["sources"]
    monkeypatch.setattr(finder, "find", None)
    again = pool(maps, boxes, shapes)["sources"]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("shape", [(40, 53), (7, 3), (1, 9), (1, 1)])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_images_are_blurred_as_by_a_convolution(shape, sigma):
    flux = torch.rand((2, *shape), generator=torch.Generator().manual_seed(4))
    far = min(math.ceil(3 * sigma), *(side - 1 for side in shape))
    line = torch.exp(-0.5 * (torch.arange(-far, far + 1) / sigma) ** 2)
    kernel = torch.outer(line, line) / line.sum() ** 2
    padded = functional.pad(flux[None], (far,) * 4, mode="replicate")
    expected = functional.conv2d(padded, kernel.expand(2, 1, -1, -1), groups=2)[0]
    torch.testing.assert_close(sources._blurred(flux, sigma), expected)


@pytest.mark.parametrize("shape", [(40, 53), (7, 3), (1, 9), (1, 1)])
def test_the_highest_near_a_pixel_is_that_of_nine(shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    given = values.clone()
    expected = functional.max_pool2d(values[None], 3, 1, 1)[0]
    assert torch.equal(sources._highest_near(values), expected)
    assert torch.equal(values, given)


def test_softplus_is_torchs_own_with_its_gradient():
    values = torch.tensor([-200.0, -30, -1e-3, 0.3, 12, 200]).requires_grad_()
    (expected,) = torch.autograd.grad(functional.softplus(values).sum(), values)
    (gradient,) = torch.autograd.grad(sources._softplus(values).sum(), values)
    torch.testing.assert_close(sources._softplus(values), functional.softplus(values))
    torch.testing.assert_close(gradient, expected)
