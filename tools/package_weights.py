"""Turn a training run into weights that can be bundled, with their card.

    python tools/package_weights.py RUN CARD.json OUT.safetensors --scores scores/scores.json

Tensors are stored in half precision. Recipe and training come from the run's own card;
CARD.json adds what a person says: title, labels, licence, known failures. --scores
takes what ``tools/score_deepcee.py`` wrote.
"""

import argparse
import json
from pathlib import Path

from astro_objdet.engine.weights import load_state, save_weights


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of a run, or weights")
    parser.add_argument("card")
    parser.add_argument("out")
    parser.add_argument("--scores")
    args = parser.parse_args()
    state, own, _ = load_state(args.run)
    said = json.loads(Path(args.card).read_text())
    card = {**own, **said, "training": {**own["training"], **said.get("training", {})}}
    if args.scores:
        card["scores"] = json.loads(Path(args.scores).read_text())
    half = {name: tensor.half() for name, tensor in state.items()}
    print(save_weights(half, args.out, card, overwrite=True))


if __name__ == "__main__":
    main()
