import json

import numpy as np
import pytest

from astro_objdet.errors import InputError
from astro_objdet.images import (
    HSCStretch,
    IdentityStretch,
    LuptonStretch,
    SqrtFluxStretch,
    stretch_from_dict,
)

STRETCHES = [
    IdentityStretch(),
    SqrtFluxStretch(-0.5, (10, 20, 30)),
    LuptonStretch(),
    HSCStretch(),
]


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    return (10 ** rng.uniform(-4, 3, (3, 20, 30)) * rng.choice([-1, 1], (3, 20, 30))).astype("f4")


@pytest.mark.parametrize("stretch", STRETCHES, ids=lambda s: s.name)
def test_range_type_and_bad_pixels(stretch, data):
    zero = stretch(np.zeros((3, 1, 1)))[:, 0, 0]
    before = data.copy()
    mask = np.zeros(data.shape, bool)
    mask[:, 3, 4] = True
    data[:, 0, :3] = before[:, 0, :3] = np.nan, np.inf, -np.inf
    out = stretch(data, mask)
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 1
    assert np.array_equal(data, before, equal_nan=True)
    for y, x in ((0, 0), (0, 1), (0, 2), (3, 4)):
        np.testing.assert_array_equal(out[:, y, x], zero)


@pytest.mark.parametrize("stretch", STRETCHES, ids=lambda s: s.name)
def test_monotonic(stretch):
    flux = np.linspace(-5, 100, 4001)
    out = stretch(np.broadcast_to(flux, (3, 1, flux.size)))
    assert np.diff(out, axis=-1).min() >= -1e-7
    assert out[..., -1].min() > 0.9


@pytest.mark.parametrize("stretch", STRETCHES, ids=lambda s: s.name)
def test_dict_round_trip_through_json(stretch):
    again = stretch_from_dict(json.loads(json.dumps(stretch.to_dict())))
    assert again == stretch
    assert hash(again) == hash(stretch)


def test_sqrt_against_its_formula(data):
    out = SqrtFluxStretch((0, -1, 0.1), (10, 20, 30))(data)
    for band, values, low, high in zip(out, data, (0, -1, 0.1), (10, 20, 30), strict=True):
        expected = np.sqrt(np.clip((values.astype(float) - low) / (high - low), 0, 1))
        np.testing.assert_allclose(band, expected, atol=1e-6)


def test_lupton_is_equation_a1_with_table_a1(data):
    stretch = LuptonStretch()
    assert (stretch.Q, stretch.alpha, stretch.m) == (7, 0.2, 0)
    assert stretch.beta == (0.7, 1.17, 1.818)
    out = stretch(data)
    for band, values, beta in zip(out, data, stretch.beta, strict=True):
        flux = values.astype(float) * 0.396**2
        expected = np.arcsinh(7 * (flux / beta - 0) / 0.2) / 7
        np.testing.assert_allclose(band, np.clip(expected, 0, 1), atol=2e-6)


def test_lupton_minimum(data):
    out = LuptonStretch(m=0.1, beta=1.0, pixel_scale=1)(data)
    expected = np.arcsinh(7 * (data.astype(float) - 0.1) / 0.2) / 7
    np.testing.assert_allclose(out, np.clip(expected, 0, 1), atol=2e-6)


def test_hsc_is_equation_a2_with_asinh(data):
    out = HSCStretch()(data)
    e10 = np.exp(10)
    expected = (np.arcsinh(e10 * 1e-3 * data.astype(float)) / np.arcsinh(e10) + 0.05) / 0.72
    np.testing.assert_allclose(out, np.clip(expected, 0, 1), atol=2e-6)


def test_hsc_noise_is_dark_and_galaxies_are_not_lost():
    out = HSCStretch()(np.array([0, 0.05, 1, 60]).reshape(1, 1, 4)).ravel()
    assert out[0] == pytest.approx(0.05 / 0.72)
    assert out[1] == pytest.approx(0.2, abs=0.02)
    assert 0.4 < out[2] < 0.8
    assert out[3] == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SqrtFluxStretch(2, 1), "upper must lie above lower"),
        (lambda: SqrtFluxStretch((0, 0), (1, 1, 1)), "same number of bands"),
        (lambda: SqrtFluxStretch((0, 0), 1)(np.zeros((3, 4, 4))), "one per band"),
        (lambda: LuptonStretch(Q=0), "Q must be a finite number above 0"),
        (lambda: LuptonStretch(beta=(1, -1)), "beta must be a finite number above 0"),
        (lambda: HSCStretch(scale=0), "scale must be a finite number above 0"),
        (lambda: IdentityStretch()(np.zeros((4, 4))), r"shape \(band, y, x\)"),
        (lambda: stretch_from_dict({"name": "log"}), "stretch name must be one of"),
        (lambda: stretch_from_dict({"name": "hsc", "Q": 1}), "does not take these parameters"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(InputError, match=message):
        make()
