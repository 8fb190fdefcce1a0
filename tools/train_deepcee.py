"""Train the bundled deepcee recipe on rendered fields.

    python tools/train_deepcee.py train.h5 OUT.pt --seed 7

Starts from EfficientNet-Lite0's ImageNet weights, or from --init.
"""

import argparse
import dataclasses

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
    parser.add_argument("--init", help="state to go on from")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    recipe = BUNDLED.replace(training=dataclasses.replace(BUNDLED.training, steps=args.steps))
    model = build_model(recipe)
    if args.init:
        model.load_state_dict(torch.load(args.init, weights_only=True))
    else:
        load_lite0(model.backbone)
    views = FieldViews(args.data, args.steps * recipe.training.batch_size, args.seed)

    def log(line):
        print(line, flush=True)
        torch.save(model.state_dict(), args.out)

    train(model, views, recipe.training, seed=args.seed, log=log)
    torch.save(model.state_dict(), args.out)


if __name__ == "__main__":
    main()
