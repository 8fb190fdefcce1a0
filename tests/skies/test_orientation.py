"""Flips and turns: pixels and boxes go together."""

import itertools

import numpy as np
import pytest

from astro_objdet.errors import InputError
from astro_objdet.skies.orientation import Orientation, orient, random_orientation

ALL = [
    Orientation(*options) for options in itertools.product((False, True), (False, True), range(4))
]


@pytest.mark.parametrize("orientation", ALL, ids=str)
def test_the_box_stays_on_the_same_pixels(orientation):
    image = np.zeros((3, 20, 30))
    image[:, 4:9, 11:25] = np.arange(5 * 14).reshape(5, 14) + 1
    turned, boxes = orient(image, [[11, 4, 25, 9]], orientation)
    x1, y1, x2, y2 = boxes[0].astype(int)
    inside = turned[:, y1:y2, x1:x2]
    assert inside.size == 3 * 5 * 14
    assert (inside > 0).all()
    np.testing.assert_array_equal(np.sort(inside.ravel()), np.sort(image[image > 0]))
    assert x1 < x2
    assert y1 < y2


def test_a_quarter_turn_goes_from_x_to_y():
    image = np.zeros((4, 6))
    image[0, 5] = 1  # at the end of x
    turned, boxes = orient(image, [[5, 0, 6, 1]], Orientation(turns=1))
    assert turned.shape == (6, 4)
    assert turned[5, 3] == 1  # seen with y up: from lower right to upper right
    assert boxes.tolist() == [[3, 5, 4, 6]]


def test_four_turns_and_two_flips_change_nothing():
    image = np.random.default_rng(1).normal(size=(2, 5, 7)).astype(np.float32)
    boxes = np.array([[0.25, 1, 3, 4.5]], dtype=np.float32)
    for orientation in (Orientation(turns=4), Orientation(turns=0)):
        again, same = orient(image, boxes, orientation)
        np.testing.assert_array_equal(again, image)
        np.testing.assert_array_equal(same, boxes)
        assert same.dtype == np.float32
    half = orient(image, boxes, Orientation(turns=2))
    flips = orient(image, boxes, Orientation(True, True))
    np.testing.assert_array_equal(half[0], flips[0])
    np.testing.assert_array_equal(half[1], flips[1])


def test_an_image_without_boxes():
    _, boxes = orient(np.zeros((4, 4)), [], Orientation(True, False, 3))
    assert boxes.shape == (0, 4)


def test_half_of_the_images_are_flipped_as_in_the_paper():
    rng = np.random.default_rng(3)
    drawn = [random_orientation(rng) for _ in range(2000)]
    assert 900 < sum(one.flip_x for one in drawn) < 1100
    assert not any(one.flip_y or one.turns for one in drawn)


def test_an_option_does_not_change_what_is_drawn_otherwise():
    plain = [random_orientation(np.random.default_rng(k)) for k in range(50)]
    free = [
        random_orientation(np.random.default_rng(k), vertical=0.5, turns=True) for k in range(50)
    ]
    assert [one.flip_x for one in plain] == [one.flip_x for one in free]
    assert {one.turns for one in free} == {0, 1, 2, 3}
    assert {one.flip_y for one in free} == {False, True}


def test_bad_arguments():
    with pytest.raises(InputError, match=r"boxes must be of shape \(N, 4\), got \(1, 3\)"):
        orient(np.zeros((4, 4)), [[1, 2, 3]], Orientation())
    with pytest.raises(InputError, match=r"image must have the axes y and x, got shape \(4,\)"):
        orient(np.zeros(4), [], Orientation())
    with pytest.raises(InputError, match="vertical must be a number from 0 to 1, got 2"):
        random_orientation(np.random.default_rng(0), vertical=2)
