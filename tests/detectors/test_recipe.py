import json

import pytest

from astro_objdet.detectors import Recipe, get_recipe
from astro_objdet.errors import InputError


@pytest.fixture(scope="module")
def paper():
    return get_recipe("deepcee-paper")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bands", ("i", "r", "g")),  # section 2.2
        ("labels", ("cluster",)),
        ("pixel_scale", 2 * 0.396),  # 2000 px lowered to 1000 px
        ("tile", 1000),
        ("strides", (16,)),  # every sixteenth pixel, section 2.1.2
        ("anchor_sizes", ((64, 128, 256, 512),)),  # 0.25, 0.5, 1, 2 of 256 px
        ("aspect_ratios", (0.5, 1.0, 2.0)),
        ("rpn_foreground_iou", 0.7),
        ("rpn_background_iou", 0.3),
        ("rpn_samples", 128 + 128),
        ("rpn_positive_fraction", 0.5),
        ("rpn_nms", 0.7),
        ("proposals", 300),
        ("roi_samples", 16 + 48),  # section 2.1.3
        ("roi_positive_fraction", 16 / 64),
        ("roi_foreground_iou", 0.5),
        ("box_nms", 0.6),
        ("detections", 100),
        ("score_threshold", 0.8),  # section 3.1
        ("clip_boxes", True),
    ],
)
def test_numbers_of_deep_cee(paper, name, value):
    assert getattr(paper, name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer", "sgd"),  # section 2.1
        ("learning_rate", 0.0002),
        ("momentum", 0.9),
        ("clip_norm", 10),
        ("batch_size", 1),
        ("steps", 25_000),  # section 3.1
        ("initialisation", "paper"),
    ],
)
def test_training_numbers_of_deep_cee(paper, name, value):
    assert getattr(paper.training, name) == value


@pytest.mark.parametrize("name", ["deepcee-paper", "deepcee-lite0"])
def test_a_recipe_survives_json(name):
    recipe = get_recipe(name)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_recipes_are_frozen(paper):
    with pytest.raises(AttributeError, match="cannot assign to field 'tile'"):
        paper.tile = 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixel_scale": -1}, "deepcee-paper.pixel_scale must be a finite number above 0, got -1"),
        ({"box_nms": 1.5}, "deepcee-paper.box_nms must be a number from 0 to 1, got 1.5"),
        ({"roi_core": 1.5}, "deepcee-paper.roi_core must be above 0, up to 1, got 1.5"),
        ({"roi_core": 0.5}, "deepcee-paper.roi_core needs roi_context as well"),
        ({"roi_sources": 0}, "deepcee-paper.roi_sources must be a finite number above 0, got 0"),
        ({"roi_sources": 2.5}, "deepcee-paper.roi_sources needs roi_context as well"),
        ({"estimates": "mass"}, "deepcee-paper.estimates must be names of columns, got 'mass'"),
        ({"roi_context": 0.5}, "deepcee-paper.roi_context must be above 1, got 0.5"),
        ({"bands": ("r",)}, "bands must name three bands"),
        ({"strides": (16, 32)}, r"one tuple per feature map \(2\), got 1"),
        ({"overlap": 1000}, "overlap must be at least 0 and below the tile of 1000"),
    ],
)
def test_bad_numbers_name_the_recipe_and_the_rule(paper, changes, message):
    with pytest.raises(InputError, match=message):
        paper.replace(**changes)


def test_unknown_names():
    with pytest.raises(InputError, match="recipe must be one of 'deepcee-lite0', 'deepcee-paper'"):
        get_recipe("deepsea")
    with pytest.raises(InputError, match="recipe has unknown entries: colour"):
        Recipe.from_dict({"colour": 1})
    with pytest.raises(InputError, match="recipe has unknown entries: training.patience"):
        Recipe.from_dict(get_recipe("deepcee-lite0").to_dict() | {"training": {"patience": 3}})
    with pytest.raises(InputError, match="recipe is incomplete"):
        Recipe.from_dict({"name": "x"})
