"""Where a model runs."""

import torch

from astro_objdet.errors import InputError

__all__ = ["describe_device", "resolve_device"]


def resolve_device(device="auto"):
    """The device asked for, or the best there is.

    Parameters
    ----------
    device : str or `torch.device`
        ``"auto"`` takes a CUDA GPU where there is one, else the CPU. Otherwise as
        torch names devices: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Returns
    -------
    `torch.device`

    Raises
    ------
    InputError
        For a name torch does not know, or a device this machine lacks.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"device must be 'auto', 'cpu' or a device of this machine, got {device!r}: {reason}"
        ) from None
    return resolved


def describe_device(device="auto"):
    """Name and memory of a device, in words for a person.

    Returns
    -------
    str
        Such as ``cuda:0, NVIDIA A100, 40 GB`` or ``cpu, 2 threads``.
    """
    device = resolve_device(device)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        memory = properties.total_memory / 1e9
        return f"{device}, {properties.name}, {memory:.0f} GB"
    return f"{device}, {torch.get_num_threads()} threads"
