"""Render the fields that the bundled deepcee weights are trained and scored on.

    python tools/render_training_set.py OUT.h5 --fields 2400 --seed 7

Each field is drawn without noise at twice SDSS's pixel scale, with seeing that
varies from field to field; training adds noise of its own to each view.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor

import h5py
import numpy as np

from astro_objdet.skies.simulate import SURVEYS, Survey, render_field

SIZE = 640
BINNING = 2


def render(task):
    """Surface brightness (3, y, x) float16 and boxes' (x, y, half, z, richness)."""
    seed, number = task
    rng = np.random.default_rng([seed, number, 1])
    sdss = SURVEYS["sdss"].binned(BINNING)
    seeing = rng.uniform(0.8, 1.75)
    psf = tuple(seeing * np.array([1.06, 1.0, 0.96]) * rng.normal(1, 0.04, 3))
    survey = Survey("training", sdss.pixel_scale, psf, sdss.noise)
    field = render_field(
        survey,
        (SIZE, SIZE),
        seed=[seed, number],
        clusters=int(rng.choice(3, p=(0.2, 0.5, 0.3))),
        groups=int(rng.poisson(0.8)),
        noise=False,
        bright_excess=8.0,
    )
    truth = field.truth
    columns = ("x", "y", "half_width", "redshift", "richness")
    table = np.stack([np.asarray(truth[name].value) for name in columns], axis=1)
    image = np.minimum(field.image / survey.pixel_scale**2, 6e4).astype(np.float16)
    return image, table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--fields", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    tasks = [(args.seed, number) for number in range(args.fields)]
    shape = (args.fields, 3, SIZE, SIZE)
    with (
        h5py.File(args.out, "w") as file,
        ProcessPoolExecutor(args.processes) as pool,
    ):
        file.attrs["seed"] = args.seed
        file.attrs["pixel_scale"] = SURVEYS["sdss"].binned(BINNING).pixel_scale
        images = file.create_dataset("images", shape, np.float16, chunks=(1, *shape[1:]))
        truth = file.create_group("truth")
        for number, (image, table) in enumerate(pool.map(render, tasks, chunksize=8)):
            images[number] = image
            truth[str(number)] = table
            if (number + 1) % 100 == 0:
                print(f"{number + 1} of {args.fields} fields", flush=True)


if __name__ == "__main__":
    main()
