"""Train the bundled deepcee recipe on rendered fields.

    python tools/train_deepcee.py train.h5 OUT.pt --seed 7
"""

import argparse

import torch

from astro_objdet.detectors.deepcee import BUNDLED
from astro_objdet.engine.backbones import load_lite0
from astro_objdet.engine.data import FieldViews
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.training import train


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=BUNDLED.training.steps)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    recipe = BUNDLED.replace(
        training=type(BUNDLED.training)(
            **{**vars(BUNDLED.training), "steps": args.steps}
        )
    )
    model = build_model(recipe)
    load_lite0(model.backbone)
    views = FieldViews(args.data, args.steps * recipe.training.batch_size, args.seed)

    def log(line):
        print(line, flush=True)
        torch.save(model.state_dict(), args.out)

    train(model, views, recipe.training, seed=args.seed, log=log)
    torch.save(model.state_dict(), args.out)


if __name__ == "__main__":
    main()
