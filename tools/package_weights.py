"""Put trained tensors and their card into one safetensors file.

    python tools/package_weights.py STATE.pt CARD.json OUT.safetensors

Tensors are stored in half precision. CARD.json holds the card without its
recipe, which comes from the package, and without its scores: --scores takes
what ``tools/score_deepcee.py --out`` wrote.
"""

import argparse
import json

import torch

from astro_objdet.detectors.deepcee import BUNDLED
from astro_objdet.engine.weights import save_weights


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("state")
    parser.add_argument("card")
    parser.add_argument("out")
    parser.add_argument("--scores")
    args = parser.parse_args()
    state = torch.load(args.state, weights_only=True, map_location="cpu")
    with open(args.card) as file:
        card = json.load(file)
    card = {**card, "detector": "deepcee", "recipe": BUNDLED.to_dict()}
    if args.scores:
        with open(args.scores) as file:
            card["scores"] = json.load(file)
    half = {name: tensor.half() for name, tensor in state.items()}
    print(save_weights(half, args.out, card, overwrite=True))


if __name__ == "__main__":
    main()
