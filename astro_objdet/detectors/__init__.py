"""Science cases: a recipe, its weights and what is done with the boxes."""

from astro_objdet.detectors import deepcee  # noqa: F401  registers itself
from astro_objdet.detectors.base import (
    Detector,
    get_detector_class,
    get_recipe,
    list_detectors,
    register_detector,
)
from astro_objdet.detectors.recipe import Recipe, TrainingSettings

__all__ = [
    "Detector",
    "Recipe",
    "TrainingSettings",
    "get_detector_class",
    "get_recipe",
    "list_detectors",
    "register_detector",
]
