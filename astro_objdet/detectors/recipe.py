"""A recipe: everything a detector is, as data.

No torch here: a recipe can be read, compared and printed without it.
"""

import dataclasses
import numbers
from dataclasses import dataclass, field

from astro_objdet.errors import InputError, check_choice, check_fraction, check_positive

__all__ = ["Recipe", "TrainingSettings"]


@dataclass(frozen=True)
class TrainingSettings:
    """How the weights of a recipe are trained.

    Attributes
    ----------
    optimizer : str
        ``"sgd"`` or ``"adamw"``.
    learning_rate, momentum, weight_decay, clip_norm : float
        Momentum is that of SGD; the gradient's norm is clipped at ``clip_norm``.
    schedule : str
        ``"constant"``, ``"one-cycle"`` (up to the learning rate in the first 10 per cent
        of the steps, then down, as `torch.optim.lr_scheduler.OneCycleLR`) or ``"cosine"``
        (down from it to nothing).
    batch_size, steps : int
        Images of a step over all processes, and steps.
    freeze_stages : int
        Stages of the backbone, counted from the image, that stay as they came;
        -1 freezes all of it.
    backbone_rate : float
        Factor on the learning rate of the backbone.
    initialisation : str
        ``"torchvision"``, or ``"paper"`` for the RPN and head of Deep-CEE section 2.1.
    ema : float
        Decay of an exponential moving average of the weights, which is evaluated and
        kept in their place; 0 for none.
    view : int
        Side in pixels of the window of an image that one view shows; 0 for all of it.
    augmentation : str
        What a view does to an image: ``"none"``; ``"flip"``, left to right for every
        second one, as the paper; ``"turn"``, flips and quarter turns; ``"survey"``, these
        and another depth, sky level, calibration and stretch (raw archives only).
    implants : float
        Mean number of clusters and groups that are drawn afresh into each view of sky that
        was rendered without noise; other archives do without.

    Raises
    ------
    InputError
        Naming the entry that cannot be.
    """

    optimizer: str = "adamw"
    learning_rate: float = 6e-4
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip_norm: float = 10.0
    schedule: str = "one-cycle"
    batch_size: int = 2
    steps: int = 1500
    freeze_stages: int = 0
    backbone_rate: float = 1.0
    initialisation: str = "torchvision"
    ema: float = 0.0
    view: int = 0
    augmentation: str = "turn"
    implants: float = 0.0

    def __post_init__(self):
        check_choice("optimizer", self.optimizer, ("adamw", "sgd"))
        check_choice("schedule", self.schedule, ("constant", "cosine", "one-cycle"))
        check_choice("initialisation", self.initialisation, ("paper", "torchvision"))
        check_choice("augmentation", self.augmentation, ("none", "flip", "turn", "survey"))
        for name in ("learning_rate", "backbone_rate", "clip_norm"):
            check_positive(name, getattr(self, name))
        for name in ("momentum", "weight_decay", "ema"):
            check_fraction(name, getattr(self, name))
        for name, least in (("batch_size", 1), ("steps", 1), ("freeze_stages", -1), ("view", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
                raise InputError(f"{name} must be an integer from {least}, got {value!r}")
        if isinstance(self.implants, bool) or not 0 <= self.implants < 100:
            raise InputError(f"implants must be a number from 0 to 100, got {self.implants!r}")
        if self.ema == 1:
            raise InputError("ema must be below 1: with 1 the weights would never change")


@dataclass(frozen=True)
class Recipe:
    """The numbers of one detector, from pixels to boxes.

    Attributes
    ----------
    name, detector : str
        The recipe's own name and the registered detector it belongs to.
    reference : str
        Paper and section the numbers come from.
    bands : tuple of str
        Bands that become red, green and blue, in this order.
    labels : tuple of str
        Classes; the background is not one of them.
    decoys : tuple of str
        Classes of objects that are easily taken for one of the labels. Training teaches
        them apart, a detection is never one of them. See the role ``"decoy"`` of
        `~astro_objdet.skies.archive.Archive`.
    stretch : dict
        As `astro_objdet.images.stretch_from_dict` takes it.
    reference_noise : tuple of float or None
        Sky noise per band, in nanomaggy per square arcsec at ``pixel_scale``,
        that an image without a flux scale is brought to.
    pixel_scale : float
        Arcsec per pixel that images are resampled to.
    tile, overlap : int
        Side of a window and how far neighbours overlap, in such pixels.
    backbone : str
        timm model, used as a feature extractor.
    strides : tuple of int
        Strides of the feature maps taken from it.
    neck_channels : int or None
        Width of the feature pyramid; None takes a single map as it is.
    image_mean, image_std : tuple of float
        What the backbone expects, per channel of an image in 0-1.
    anchor_sizes : tuple of tuple of float
        Side of the anchors in pixels, per feature map.
    aspect_ratios : tuple of float
        Height to width of the anchors.
    rpn_foreground_iou, rpn_background_iou : float
    rpn_samples, rpn_positive_fraction, rpn_nms, proposals
        Anchors sampled per image and the share of positives among them; NMS
        overlap, and proposals kept.
    roi_size, head_width : int
        Side of the pooled features and width of the two hidden layers.
    roi_context : float or None
        How many times as wide as a box its surroundings are, whose features the detection
        network sees as well, see `~astro_objdet.engine.context.ContextHead`; None for
        torchvision's network, which sees the box alone.
    roi_core : float or None
        How many times as wide as a box the middle one of three apertures is, whose colours the
        detection network sees, see `~astro_objdet.engine.colours.ApertureColours`; None for
        feature maps alone.
    roi_sources : float or None
        How many times as wide as a box the circle is whose sources the detection network counts
        by brightness and colours, see `~astro_objdet.engine.sources.SourceFinder`; None for
        feature maps alone.
    estimates : tuple of str
        Columns of the archive, such as ``"richness"``, that the detection network learns to
        estimate for each object.
    roi_samples, roi_positive_fraction, roi_foreground_iou
        Proposals sampled per image for the detection network.
    box_nms, detections : float, int
        Overlap above which the lower score is dropped; boxes kept per tile.
    minimum_score, score_threshold : float
        Boxes below the first are never returned; the second is the default.
    clip_boxes : bool
        Whether boxes end at the image's border. Left open, an object near the
        border keeps its centre.
    training : `TrainingSettings`
    """

    name: str
    detector: str
    reference: str
    bands: tuple
    labels: tuple
    stretch: dict
    pixel_scale: float
    backbone: str = "resnet50"
    strides: tuple = (4, 8, 16, 32)
    anchor_sizes: tuple = ((32.0,), (64.0,), (128.0,), (256.0,))
    aspect_ratios: tuple = (1.0,)
    reference_noise: tuple | None = None
    decoys: tuple = ()
    tile: int = 1024
    overlap: int = 256
    neck_channels: int | None = 256
    image_mean: tuple = (0.485, 0.456, 0.406)
    image_std: tuple = (0.229, 0.224, 0.225)
    rpn_foreground_iou: float = 0.7
    rpn_background_iou: float = 0.3
    rpn_samples: int = 256
    rpn_positive_fraction: float = 0.5
    rpn_nms: float = 0.7
    proposals: int = 300
    roi_size: int = 7
    roi_context: float | None = None
    roi_core: float | None = None
    roi_sources: float | None = None
    estimates: tuple = ()
    head_width: int = 1024
    roi_samples: int = 64
    roi_positive_fraction: float = 0.25
    roi_foreground_iou: float = 0.5
    box_nms: float = 0.6
    detections: int = 100
    minimum_score: float = 0.05
    score_threshold: float = 0.8
    clip_boxes: bool = False
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self):
        for name in ("pixel_scale", "tile", "proposals", "detections", "head_width"):
            check_positive(f"{self.name}.{name}", getattr(self, name))
        for name in ("box_nms", "rpn_nms", "minimum_score", "score_threshold"):
            check_fraction(f"{self.name}.{name}", getattr(self, name))
        if self.roi_context is not None and not self.roi_context > 1:
            raise InputError(f"{self.name}.roi_context must be above 1, got {self.roi_context}")
        if self.roi_core is not None and not 0 < self.roi_core <= 1:
            raise InputError(f"{self.name}.roi_core must be above 0, up to 1, got {self.roi_core}")
        if self.roi_core is not None and self.roi_context is None:
            raise InputError(f"{self.name}.roi_core needs roi_context as well")
        if self.roi_sources is not None:
            check_positive(f"{self.name}.roi_sources", self.roi_sources)
            if self.roi_context is None:
                raise InputError(f"{self.name}.roi_sources needs roi_context as well")
        if not all(isinstance(name, str) and len(name) > 1 for name in self.estimates):
            raise InputError(
                f"{self.name}.estimates must be names of columns, got {self.estimates!r}"
            )
        if len(self.bands) != 3:
            raise InputError(
                f"{self.name}.bands must name three bands (red, green, blue), got {self.bands}"
            )
        if len(self.anchor_sizes) != len(self.strides):
            raise InputError(
                f"{self.name}.anchor_sizes must have one tuple per feature map "
                f"({len(self.strides)}), got {len(self.anchor_sizes)}"
            )
        if not 0 <= self.overlap < self.tile:
            raise InputError(
                f"{self.name}.overlap must be at least 0 and below the tile of "
                f"{self.tile} pixels, got {self.overlap}"
            )

    @property
    def view(self):
        """Side in pixels of what training sees of an image at once: its view, else a tile."""
        return self.training.view or self.tile

    def to_dict(self):
        """Plain dict of the recipe, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Recipe from `to_dict`'s result, after JSON turned tuples into lists.

        Raises
        ------
        InputError
            Naming unknown or missing entries.
        """
        unknown = _unknown(cls, values)
        if isinstance(values.get("training"), dict):
            unknown += [
                f"training.{name}" for name in _unknown(TrainingSettings, values["training"])
            ]
        if unknown:
            raise InputError(f"recipe has unknown entries: {', '.join(unknown)}")
        values = {name: _tuples(value) for name, value in values.items()}
        try:
            if isinstance(values.get("training"), dict):
                values["training"] = TrainingSettings(**values["training"])
            return cls(**values)
        except TypeError as error:
            raise InputError(f"recipe is incomplete: {error}") from None

    def replace(self, **changes):
        """A copy with some entries changed."""
        return dataclasses.replace(self, **changes)


def _unknown(cls, values):
    return sorted(set(values) - {field.name for field in dataclasses.fields(cls)})


def _tuples(value):
    """Lists as tuples, however deep; dicts are left as they are."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
