"""torchvision's Faster R-CNN, built as a recipe asks."""

from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from astro_objdet.engine.backbones import make_backbone
from astro_objdet.engine.colours import ApertureColours, Unstretched
from astro_objdet.engine.context import IMAGE, ContextHead, ContextRoIAlign
from astro_objdet.engine.estimates import EstimatingPredictor, estimate_properties
from astro_objdet.engine.sources import SourceFinder

__all__ = ["build_model", "initialise_as_paper"]

#: Boxes may reach this far (in pixels) beyond the image where they are not clipped.
OPEN_BORDER = 4096.0


def build_model(recipe, pretrained_backbone=False):
    """Untrained Faster R-CNN with a recipe's numbers.

    Parameters
    ----------
    recipe : `astro_objdet.detectors.Recipe`
    pretrained_backbone : bool
        Whether timm may fetch ImageNet weights for the backbone.

    Returns
    -------
    `torchvision.models.detection.FasterRCNN`
        Takes a list of (3, h, w) float32 tensors in 0-1, at the recipe's pixel
        scale: it resizes nothing.
    """
    backbone = make_backbone(
        recipe.backbone,
        recipe.strides,
        recipe.neck_channels,
        pretrained_backbone,
        with_image=bool(recipe.roi_core or recipe.roi_sources),
    )
    n_maps, n_labels = len(recipe.strides), len(recipe.labels)
    anchors = AnchorGenerator(recipe.anchor_sizes, (recipe.aspect_ratios,) * n_maps)
    pool, head = _pool_and_head(recipe, backbone.out_channels)
    model = FasterRCNN(
        backbone,
        image_mean=recipe.image_mean,
        image_std=recipe.image_std,
        rpn_anchor_generator=anchors,
        rpn_pre_nms_top_n_train=2 * recipe.proposals,
        rpn_pre_nms_top_n_test=2 * recipe.proposals,
        rpn_post_nms_top_n_train=recipe.proposals,
        rpn_post_nms_top_n_test=recipe.proposals,
        rpn_nms_thresh=recipe.rpn_nms,
        rpn_fg_iou_thresh=recipe.rpn_foreground_iou,
        rpn_bg_iou_thresh=recipe.rpn_background_iou,
        rpn_batch_size_per_image=recipe.rpn_samples,
        rpn_positive_fraction=recipe.rpn_positive_fraction,
        box_roi_pool=pool,
        box_head=head,
        box_predictor=_predictor(recipe),
        box_score_thresh=recipe.minimum_score,
        box_nms_thresh=recipe.box_nms,
        box_detections_per_img=recipe.detections,
        box_fg_iou_thresh=recipe.roi_foreground_iou,
        box_bg_iou_thresh=recipe.roi_foreground_iou,
        box_batch_size_per_image=recipe.roi_samples,
        box_positive_fraction=recipe.roi_positive_fraction,
    )
    # images come at the recipe's pixel scale; torchvision would resize them to 800
    model.transform.resize = _keep_size
    if recipe.roi_core or recipe.roi_sources:
        _hide_image(model.rpn)
    if not recipe.clip_boxes:
        _open_borders(model)
    if recipe.decoys:
        _drop_decoys(model, n_labels)
    if recipe.estimates:
        estimate_properties(model.roi_heads)
    return model


def _pool_and_head(recipe, channels):
    """What is read from the maps for each box, and the hidden layers over it."""
    maps = [str(k) for k in range(len(recipe.strides))]
    size, width = recipe.roi_size, recipe.head_width
    if not recipe.roi_context:
        return MultiScaleRoIAlign(maps, size, 2), TwoMLPHead(channels * size**2, width)
    stretch = recipe.stretch
    limits = (stretch["lower"], stretch["upper"]) if stretch["name"] == "sqrt" else None
    told = recipe.image_mean, recipe.image_std, limits
    colours = ApertureColours(recipe.roi_core, *told) if recipe.roi_core else None
    sources, counts = None, None
    if recipe.roi_sources:
        sources = SourceFinder(recipe.roi_sources, Unstretched(*told), len(recipe.bands))
        counts = sources.count, sources.box_count
    pool = ContextRoIAlign(
        maps,
        size,
        2,
        strides=recipe.strides,
        context=recipe.roi_context,
        colours=colours,
        sources=sources,
    )
    return pool, ContextHead(channels, size, width, colours.count if colours else 0, counts)


def _predictor(recipe):
    classes = 1 + len(recipe.labels) + len(recipe.decoys)
    if recipe.estimates:
        return EstimatingPredictor(recipe.head_width, classes, len(recipe.estimates))
    return FastRCNNPredictor(recipe.head_width, classes)


def _hide_image(rpn):
    """Let the region proposals go by the feature maps alone."""
    plain = rpn.forward

    def forward(images, features, targets=None):
        maps = {name: value for name, value in features.items() if name != IMAGE}
        return plain(images, maps, targets)

    rpn.forward = forward


def _keep_size(image, target=None):
    return image, target


def _drop_decoys(model, n_labels):
    """Let the model find no class beyond the first ``n_labels``."""
    postprocess = model.roi_heads.postprocess_detections

    def postprocess_detections(logits, regression, proposals, shapes):
        found = zip(*postprocess(logits, regression, proposals, shapes), strict=True)
        kept = [[part[labels <= n_labels] for part in (b, s, labels)] for b, s, labels in found]
        return tuple(list(part) for part in zip(*kept, strict=True))

    model.roi_heads.postprocess_detections = postprocess_detections


def _open_borders(model):
    """Let boxes reach beyond the image, so that centres at its edge stay true.

    torchvision clips boxes to the image in two places. Both see only offsets
    from the proposals, so moving these inwards by a wide border, and the
    results back, leaves the clipping nothing to do.
    """
    rpn_filter = model.rpn.filter_proposals
    postprocess = model.roi_heads.postprocess_detections

    def wider(shapes):
        return [(h + 2 * OPEN_BORDER, w + 2 * OPEN_BORDER) for h, w in shapes]

    def filter_proposals(proposals, objectness, shapes, num_anchors):
        boxes, scores = rpn_filter(proposals + OPEN_BORDER, objectness, wider(shapes), num_anchors)
        return [b - OPEN_BORDER for b in boxes], scores

    def postprocess_detections(logits, regression, proposals, shapes):
        moved = [p + OPEN_BORDER for p in proposals]
        boxes, scores, labels = postprocess(logits, regression, moved, wider(shapes))
        return [b - OPEN_BORDER for b in boxes], scores, labels

    model.rpn.filter_proposals = filter_proposals
    model.roi_heads.postprocess_detections = postprocess_detections


def initialise_as_paper(model):
    """Initial weights of RPN and head as in Deep-CEE section 2.1.

    Truncated Gaussian of standard deviation 0.01 for the RPN, variance scaling
    from a uniform distribution (Glorot & Bengio 2010) for the detection network,
    biases of zero.
    """
    for module in model.rpn.head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.01, a=-0.02, b=0.02)
            nn.init.zeros_(module.bias)
    for part in (model.roi_heads.box_head, model.roi_heads.box_predictor):
        for module in part.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return model
