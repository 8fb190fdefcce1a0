"""A model with its trained weights, made ready to run."""

import torch

from astro_objdet.engine.convert import fit_state
from astro_objdet.engine.devices import resolve_device
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.folding import fold_norms
from astro_objdet.engine.precision import keep_boxes_single
from astro_objdet.engine.weights import load_state

__all__ = ["load_model"]


def load_model(name, make_recipe, device="auto", sha256=None):
    """Build the model that a weights file's card describes, and load it.

    Parameters
    ----------
    name : str or path-like
        As for `astro_objdet.engine.weights.resolve_weights`.
    make_recipe : callable
        Turns the card's recipe, a dict, into a recipe.
    device : str or `torch.device`
    sha256 : str, optional
        What the file must hash to.

    Returns
    -------
    card : dict
    recipe : object
        What ``make_recipe`` made.
    model : `torchvision.models.detection.FasterRCNN`
        In evaluation mode on the device, batch norms folded.
    sha256 : str
        Of the weights file.
    """
    device = resolve_device(device)
    state, card, digest = load_state(name, sha256=sha256)
    recipe = make_recipe(card["recipe"])
    model = keep_boxes_single(fit_state(build_model(recipe), state, name).eval())
    fold_norms(model.backbone, torch.zeros(1, 3, 64, 64))
    # with channels last the convolutions take two thirds of the time on a CPU
    model.backbone.to(memory_format=torch.channels_last)
    return card, recipe, model.requires_grad_(False).to(device), digest
