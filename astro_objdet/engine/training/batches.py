"""The images of each step, read ahead by worker processes."""

import torch
from torch.utils.data import DataLoader

from astro_objdet.engine.training.signals import leave_signals_to_parent
from astro_objdet.errors import AstroObjdetError, ResourceError

__all__ = ["Batches"]


class Batches:
    """Views of a dataset, a batch per step; which they are follows from the step's number.

    Step n of batches of B images has the views (n - 1) B to n B - 1, and the processes of a
    run share them in this order, so that any number of processes sees the same.

    Parameters
    ----------
    views : `torch.utils.data.Dataset`
        Begun again from view 0 when its length is reached.
    batch_size : int
        Images of a step, of all processes.
    processes : `astro_objdet.engine.training.distributed.Processes`
    describe : callable
        Words for a view by its number.
    """

    def __init__(self, views, batch_size, processes, describe):
        self.views, self.batch_size, self.describe = views, batch_size, describe
        self.share, self.rank = processes.share(batch_size), processes.rank

    def numbers(self, step):
        """Numbers of the views that this process takes at a step."""
        first = (step - 1) * self.batch_size + self.rank * self.share
        return [k % len(self.views) for k in range(first, first + self.share)]

    def names(self, step):
        """The images of a step in words."""
        return ", ".join(self.describe(number) for number in self.numbers(step))

    def read(self, first, last, device, *, seed=0, workers=1):
        """Batches of steps ``first`` to ``last`` on a device.

        Yields
        ------
        step : int
        images : list of `torch.Tensor`
        targets : list of dict of `torch.Tensor`

        Raises
        ------
        ResourceError
            When a worker process is ended by the system.
        """
        loader = DataLoader(
            self.views,
            batch_sampler=[self.numbers(step) for step in range(first, last + 1)],
            num_workers=workers,
            collate_fn=_as_lists,
            worker_init_fn=leave_signals_to_parent,
            pin_memory=device.type == "cuda",
            # else the loader would draw from torch's own generator
            generator=torch.Generator().manual_seed(seed),
        )
        batches = iter(loader)
        try:
            for step in range(first, last + 1):
                images, targets = _next(batches)
                yield step, *_moved(images, targets, device)
        finally:
            # An error on its way up keeps the loader alive, and as its workers take no signal
            # from anyone, nothing else would end them before the program does.
            if workers:
                batches._shutdown_workers()
                for worker in batches._workers:
                    if worker.is_alive():  # stuck in a read, deaf to anything softer
                        worker.kill()


def _as_lists(batch):
    images, targets = zip(*batch, strict=True)
    return list(images), list(targets)


def _next(batches):
    try:
        return next(batches)
    except AstroObjdetError as error:
        # from a worker it comes with the traceback in its text; the last line says it
        line = str(error).strip().splitlines()[-1]
        raise type(error)(line.removeprefix(f"{_full_name(type(error))}: ")) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ResourceError(
            f"a process that reads images was ended by the system ({str(error).strip()}): memory "
            "or shared memory ran out; use fewer --workers"
        ) from error


def _full_name(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def _moved(images, targets, device):
    images = [image.to(device, non_blocking=True) for image in images]
    targets = [
        {k: v.to(device, non_blocking=True) for k, v in t.items() if isinstance(v, torch.Tensor)}
        for t in targets
    ]
    return images, targets
