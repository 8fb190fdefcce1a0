"""Galaxy clusters in i, r, g colour images, after Deep-CEE (Chan & Stott 2019)."""

from astro_objdet.detectors.base import Detector, register_detector
from astro_objdet.detectors.recipe import Recipe, TrainingSettings

__all__ = ["BUNDLED", "PAPER", "DeepCEE"]

#: The paper's numbers. Its Inception-v2 has no PyTorch weights: Inception-v3,
#: the next of that family, stands in with its one map of stride 16.
PAPER = Recipe(
    name="deepcee-paper",
    detector="deepcee",
    reference="Chan & Stott 2019, MNRAS 490, 5770, sections 2.1 and 2.2",
    bands=("i", "r", "g"),
    labels=("cluster",),
    stretch={"name": "sqrt", "lower": 0.0, "upper": 10.0},
    reference_noise=(0.142, 0.086, 0.053),
    pixel_scale=0.792,  # 2000 px at 0.396 arcsec, lowered to 1000 px
    tile=1000,
    overlap=250,
    backbone="inception_v3",
    strides=(16,),
    neck_channels=None,
    image_mean=(0.5, 0.5, 0.5),
    image_std=(0.5, 0.5, 0.5),
    anchor_sizes=((64.0, 128.0, 256.0, 512.0),),
    aspect_ratios=(0.5, 1.0, 2.0),
    rpn_foreground_iou=0.7,
    rpn_background_iou=0.3,
    rpn_samples=256,
    rpn_positive_fraction=0.5,
    rpn_nms=0.7,
    proposals=300,
    roi_samples=64,
    roi_positive_fraction=0.25,
    roi_foreground_iou=0.5,
    box_nms=0.6,
    detections=100,
    minimum_score=0.0,
    score_threshold=0.8,
    clip_boxes=True,
    training=TrainingSettings(
        optimizer="sgd",
        learning_rate=2e-4,
        momentum=0.9,
        weight_decay=0.0,
        clip_norm=10.0,
        schedule="constant",
        batch_size=1,
        steps=25_000,
        freeze_stages=-1,
        initialisation="paper",
        augmentation="flip",
    ),
)

#: What the bundled weights use: small enough for git and for a laptop's CPU.
#: Boxes are squares of 500 kpc, 80 to 280 px at 0.38 > z > 0.08. Groups are a class of
#: their own in training, so that it learns to tell them apart.
BUNDLED = PAPER.replace(
    name="deepcee-lite0",
    stretch={"name": "sqrt", "lower": -0.2, "upper": 10.0},
    reference_noise=(0.095, 0.057, 0.035),
    pixel_scale=1.188,  # 3x3 pixels of SDSS
    tile=1536,
    overlap=512,
    backbone="tf_efficientnet_lite0",
    strides=(16, 32),
    neck_channels=128,
    anchor_sizes=((72.0, 95.0, 125.0), (165.0, 216.0, 284.0)),
    aspect_ratios=(1.0,),
    head_width=256,
    proposals=100,
    roi_context=2.5,
    roi_core=0.2,
    roi_sources=2.5,
    roi_samples=128,
    estimates=("richness", "redshift"),
    box_nms=0.3,
    minimum_score=0.05,
    score_threshold=0.5,
    clip_boxes=False,
    decoys=("group",),
    training=TrainingSettings(
        optimizer="adamw",
        learning_rate=4e-4,
        weight_decay=1e-4,
        schedule="one-cycle",
        batch_size=2,
        steps=5500,
        freeze_stages=0,
        backbone_rate=0.25,
        ema=0.999,
        view=1024,
        augmentation="survey",
        implants=4.0,
    ),
)


@register_detector
class DeepCEE(Detector):
    """Clusters of galaxies: one box of 500 kpc on the brightest cluster galaxy."""

    name = "deepcee"
    recipes = (BUNDLED, PAPER)
