"""Several processes that train one model, as ``torchrun`` starts them.

Each takes its share of the images of a step; gradients are averaged before the weights
change, so that all processes keep the same weights. That is what DistributedDataParallel
does too. It is done here in the open, after the backward pass, since the processes must
first agree whether one of them ran out of memory, met a loss that is not finite, or was told
to stop: with the averaging inside the backward pass the others would wait for it for ever.
"""

import contextlib
import datetime
import os

import torch
import torch.distributed as dist

from astro_objdet.engine.devices import resolve_device
from astro_objdet.errors import InputError

__all__ = ["Processes", "join_processes"]

#: How long a process waits for the others, evaluations and checkpoints included.
PATIENCE = datetime.timedelta(hours=1)


class Processes:
    """The processes of this run; one alone needs no communication.

    Attributes
    ----------
    rank, count : int
        Number of this process, from 0, and how many there are.
    """

    def __init__(self, rank=0, count=1):
        self.rank, self.count = rank, count

    @property
    def first(self):
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, batch_size):
        """How many images of a step this process takes.

        Raises
        ------
        InputError
            When they cannot be shared out evenly.
        """
        if batch_size % self.count:
            raise InputError(
                f"batch_size must be a multiple of the {self.count} processes, got {batch_size}"
            )
        return batch_size // self.count

    def any(self, *flags, device=None):
        """For each flag, whether it is set in any process."""
        if self.count == 1:
            return flags
        values = torch.tensor([float(flag) for flag in flags], device=device)
        dist.all_reduce(values, dist.ReduceOp.MAX)
        return tuple(bool(value) for value in values.tolist())

    def average(self, tensors):
        """Replace tensors by their mean over the processes, in one message."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view(tensor.shape))
            start += tensor.numel()

    def gather(self, value):
        """A plain value of each process, in a list, in every process."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def tell(self, value=None):
        """The first process's value, in every process."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]


@contextlib.contextmanager
def join_processes(device="auto"):
    """The processes that ``torchrun`` started, or this one alone.

    Parameters
    ----------
    device : str or `torch.device`
        As for `astro_objdet.engine.devices.resolve_device`; on CUDA each process takes the
        GPU of its number on its machine.

    Yields
    ------
    processes : Processes
    device : `torch.device`
    """
    device = resolve_device(device)
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield Processes(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    ours = not dist.is_initialized()
    if ours:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), count), device
    finally:
        if ours:
            dist.destroy_process_group()
