"""Teach weights to count sources, before the rest of the detection network learns from it.

Counting galaxies by brightness and colours needs no feature maps, so it is learned in
minutes, where it would take a whole training to learn it beside them:

    python tools/pretrain_sources.py sky.h5 INIT OUT.safetensors --views 2600 --seed 1
"""

import functools
import time

import click
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from astro_objdet.detectors.deepcee import BUNDLED
from astro_objdet.engine.context import SourceCounts
from astro_objdet.engine.data import ArchiveViews
from astro_objdet.engine.estimates import BEND, moved_boxes
from astro_objdet.engine.training.initial import start_model
from astro_objdet.engine.weights import save_weights

#: Views of one step, and the highest rate of the steps.
BATCH, RATE = 4, 2e-3
#: What the rounds before the last one count for in the loss.
EARLIER = 0.3


class Catalogues(Dataset):
    """Sources of views, and what is known of the objects among them."""

    def __init__(self, views, finder):
        self.views, self.finder = views, finder

    def __len__(self):
        return len(self.views)

    def __getitem__(self, index):
        image, target = self.views[index]
        if "known" not in target:
            return None
        mean, std = (
            torch.tensor(v)[:, None, None] for v in (BUNDLED.image_mean, BUNDLED.image_std)
        )
        image = ((image - mean) / std)[None]
        shape = tuple(image.shape[2:])
        return self.finder.find(image, [shape])[0], shape, target["known"], target["properties"]


class Estimator(nn.Module):
    """The counts, each round with a layer of its own for ln of the properties in spreads."""

    def __init__(self, finder, properties):
        super().__init__()
        self.finder = finder
        self.counts = SourceCounts(finder.count, finder.box_count)
        layers = [nn.Linear(self.counts.out_features, properties) for _ in self.counts.rounds]
        self.last = nn.ModuleList(layers)

    def forward(self, items):
        sources, shapes, boxes, _ = zip(*items, strict=True)
        boxes = [moved_boxes(some) for some in boxes]
        learned = self.counts.in_rounds(*self.finder(sources, boxes, shapes))
        return [layer(some) for layer, some in zip(self.last, learned, strict=True)]


def losses(model, items, typical, spread):
    """Smooth L1 in spreads after each round, as the detection network's."""
    wanted = (torch.cat([item[3] for item in items]) - typical) / spread
    known = wanted.isfinite()
    plain = functools.partial(functional.smooth_l1_loss, beta=BEND, reduction="sum")
    return [plain(read[known], wanted[known]) / len(read) for read in model(items)]


def collected(archive, split, count, seed, finder):
    views = ArchiveViews(archive, BUNDLED, split=split, length=count, seed=seed)
    loader = DataLoader(
        Catalogues(views, finder), batch_size=None, num_workers=2, multiprocessing_context="spawn"
    )
    return views, [item for item in loader if item is not None]


@click.command(help=__doc__)
@click.argument("archive", type=click.Path(exists=True))
@click.argument("init")
@click.argument("out", type=click.Path())
@click.option("--views", default=2600)
@click.option("--epochs", default=40)
@click.option("--seed", default=1)
def main(archive, init, out, views, epochs, seed):
    torch.set_num_threads(2)
    whole, origin = start_model(BUNDLED, init, seed=seed)
    finder = whole.roi_heads.box_roi_pool.sources
    begun = time.time()
    data, items = collected(archive, "train", views, seed, finder)
    _, held = collected(archive, "valid", max(views // 10, 20), seed + 1, finder)
    click.echo(f"{len(items)} and {len(held)} views, {time.time() - begun:.0f} s")
    typical, spread = (torch.tensor(v, dtype=torch.float32) for v in data.typical())

    torch.manual_seed(seed)
    model = Estimator(finder, len(BUNDLED.estimates))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-3)
    steps = epochs * (len(items) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    rng, log = np.random.default_rng(seed), []
    loss_of = functools.partial(losses, typical=typical, spread=spread)
    for epoch in range(epochs):
        order = rng.permutation(len(items))[: steps // epochs * BATCH].reshape(-1, BATCH)
        for chosen in order:
            *earlier, loss = loss_of(model, [items[k] for k in chosen])
            optimizer.zero_grad()
            (loss + EARLIER * sum(earlier)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            log.append(loss.item())
        with torch.no_grad():
            parts = [held[k : k + 8] for k in range(0, len(held), 8)]
            test = float(np.mean([loss_of(model, part)[-1].item() for part in parts]))
        train = float(np.mean(log[-len(order) :]))
        click.echo(
            f"epoch {epoch + 1}: train {train:.3f}, test {test:.3f}, {time.time() - begun:.0f} s"
        )

    whole.roi_heads.box_head.sources.load_state_dict(model.counts.state_dict())
    card = {
        "title": f"{BUNDLED.name} that counts sources",
        "detector": BUNDLED.detector,
        "recipe": BUNDLED.to_dict(),
        "training": {
            "init": origin,
            "views": views,
            "epochs": epochs,
            "seed": seed,
            "losses": [train, test],
        },
    }
    save_weights(whole.state_dict(), out, card)


if __name__ == "__main__":
    main()
