"""Checkpoints: everything a run needs to go on, in two generations, written whole.

A checkpoint is a safetensors file, tensors with a JSON text in the header: nothing in it is
run when it is opened. A checksum over both tells a damaged one.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from astro_objdet.errors import ModelError
from astro_objdet.files import atomic_path

__all__ = ["Checkpoints", "collect_state", "restore_state"]

FORMAT = "astro_objdet training checkpoint 1"


class Checkpoints:
    """The checkpoints of a run: the last one, and the one before it.

    Parameters
    ----------
    folder : path-like
        Of the run; it has ``last.safetensors`` and ``last.previous.safetensors``.
    """

    def __init__(self, folder):
        self.last = Path(folder) / "last.safetensors"
        self.previous = Path(folder) / "last.previous.safetensors"
        self.damaged = False  # a last one that is must not take the place of the previous

    def save(self, tensors, facts):
        """Write a checkpoint; the last one becomes the previous.

        Parameters
        ----------
        tensors : dict of str to `torch.Tensor`
        facts : dict
            Fit for JSON.

        Raises
        ------
        ResourceError
            When the disk is full. The last checkpoint stays what it was.
        """
        tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
        facts = json.dumps(facts, allow_nan=False)
        header = {"format": FORMAT, "facts": facts, "sha256": _digest(tensors, facts)}
        content = save(tensors, metadata=header)
        with atomic_path(self.last, overwrite=True) as temporary:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # the new one lies whole on the disk: now the old may leave its name
            if self.last.exists() and not self.damaged:
                os.replace(self.last, self.previous)
        self.damaged = False

    def newest(self, notice):
        """Tensors and facts of the newest checkpoint that is whole.

        Parameters
        ----------
        notice : callable
            Told in a sentence about one that is damaged.

        Returns
        -------
        tuple or None
            None when there is no checkpoint.

        Raises
        ------
        ModelError
            When there are checkpoints, and all of them are damaged.
        """
        there = [path for path in (self.last, self.previous) if path.is_file()]
        for path in there:
            try:
                found = _load(path)
            except ModelError as error:
                self.damaged = self.damaged or path == self.last
                notice(str(error))
                continue
            if path == self.previous:
                notice(
                    f"going on from the checkpoint before the last one, of step {found[1]['step']}"
                )
            return found
        if there:
            raise ModelError(
                f"{self.last}: no checkpoint of this run can be read; begin anew with --overwrite"
            )
        return None


def _load(path):
    """Tensors and facts of a file; `ModelError` when it is damaged or something else."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged checkpoint: {error}") from None
    if header.get("format") != FORMAT:
        raise ModelError(f"{path}: not a checkpoint of this version")
    if _digest(tensors, header["facts"]) != header.get("sha256"):
        raise ModelError(f"{path}: damaged checkpoint: its checksum differs")
    return tensors, json.loads(header["facts"])


def _digest(tensors, facts):
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def collect_state(model, optimizer, average, scaler):
    """What a run is made of, as tensors by name and plain facts.

    What is drawn at random in a step, and its learning rate, follow from its number: there
    is no state of generators or schedules.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    plain = {}
    for number, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{number}.{name}"] = value
            elif value is not None:
                plain[f"{number}.{name}"] = value
    if average is not None:
        tensors |= {f"average.{k}": value for k, value in enumerate(average.values)}
    return tensors, {"optimizer": plain, "scaler": scaler.state_dict()}


def restore_state(tensors, facts, model, optimizer, average, scaler):
    """Put what `collect_state` gave back in place.

    Raises
    ------
    ModelError
        When it is of another model or other settings.
    """
    parts = {"model": {}, "optimizer": {}, "average": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    try:
        model.load_state_dict(parts["model"])
        _restore_optimizer(optimizer, parts["optimizer"] | facts["optimizer"])
        if average is not None:
            for number, value in enumerate(average.values):
                value.copy_(parts["average"][str(number)])
        scaler.load_state_dict(facts["scaler"])
    except (RuntimeError, KeyError, IndexError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"the checkpoint does not fit this model and settings: {reason}") from None


def _restore_optimizer(optimizer, values):
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state = {}
    for name, value in values.items():
        number, _, key = name.partition(".")
        weight = weights[int(number)]
        if isinstance(value, torch.Tensor) and value.shape == weight.shape:
            # laid out in memory as the weight, which is faster, and as it was
            value = torch.empty_like(weight).copy_(value)
        state.setdefault(int(number), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
