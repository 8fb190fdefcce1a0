"""A detector with a Faster R-CNN of its own, from recipe to weights."""

from ringfinder import RECIPE as FILTER
from ringfinder import RingDetector

from astro_objdet import Detector
from astro_objdet.detectors import TrainingSettings
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.training import train
from astro_objdet.engine.weights import save_weights

RECIPE = FILTER.replace(
    name="rings-resnet",
    backbone="resnet10t",  # any timm model
    strides=(8,),
    neck_channels=64,
    anchor_sizes=((20.0,),),
    head_width=64,
    training=TrainingSettings(learning_rate=1e-3, batch_size=2, steps=1000),
)


def make_weights(dataset, path, settings=RECIPE.training):
    """Train on pairs of an image (3, h, w) and a dict of boxes and labels."""
    model = train(build_model(RECIPE), dataset, settings)
    card = {
        "title": "Ring galaxies",
        "detector": RingDetector.name,
        "recipe": RECIPE.to_dict(),
    }
    save_weights(model.state_dict(), path, card)
    return Detector.from_pretrained(path)
