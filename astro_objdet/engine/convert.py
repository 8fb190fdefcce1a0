"""Foreign PyTorch files turned into weights with a card, by an explicit command."""

import pickle
from pathlib import Path

import torch

from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.weights import save_weights
from astro_objdet.errors import InputError, ModelError
from astro_objdet.files import sha256_of

__all__ = ["convert_weights", "fit_state"]


def convert_weights(source, out, recipe, *, title=None, overwrite=False):
    """Turn a foreign ``.pth`` into weights with a card.

    Parameters
    ----------
    source : path-like
        A state dict saved by ``torch.save``, alone or under ``model`` or
        ``state_dict``; read with ``weights_only=True``.
    out : path-like
    recipe : `astro_objdet.detectors.Recipe`
        What the weights belong to; they must fit it tensor by tensor.
    title : str, optional

    Returns
    -------
    str
        sha256 of the file written.

    Raises
    ------
    ModelError
        When the file holds more than tensors, or does not fit the recipe.
    """
    try:
        state = torch.load(source, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise InputError("no such file", path=source) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{source}: holds more than tensors: {reason}") from None
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    fit_state(build_model(recipe), state, source)
    card = {
        "title": title or f"{recipe.name}, converted from {Path(source).name}",
        "detector": recipe.detector,
        "recipe": recipe.to_dict(),
        "training": {"source": Path(source).name, "sha256": sha256_of(source)},
    }
    return save_weights(state, out, card, overwrite=overwrite)


def fit_state(model, state, path):
    """Load tensors into a model; half precision becomes single."""
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise ModelError(f"{path}: not a state dict (tensors by name)")
    try:
        model.load_state_dict({k: v.float() for k, v in state.items()})
    except RuntimeError as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines()[1:4])
        raise ModelError(f"{path}: does not fit its recipe: {reason}") from None
    return model
