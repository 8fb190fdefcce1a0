"""Turn a training run into weights that can be bundled, with their card.

    python tools/package_weights.py RUN CARD.json OUT.safetensors --scores scores/scores.json

Tensors are stored in half precision. Recipe and training come from the run's own card;
CARD.json adds what a person says: title, labels, licence, known failures. --scores,
--cut and --rich take what ``tools/score_deepcee.py`` wrote, --real what
``tools/score_real.py`` printed.
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
    parser.add_argument("--rich", help="scores.json of a sky with --rich")
    parser.add_argument("--cut", help="scores.json of the same sky with --redshift-est")
    parser.add_argument("--real", help="lines of score_real.py")
    parser.add_argument("--threshold", type=float, help="score threshold of the recipe")
    args = parser.parse_args()
    state, own, _ = load_state(args.run)
    said = json.loads(Path(args.card).read_text())
    card = {**own, **said, "training": {**own["training"], **said.get("training", {})}}
    if args.scores:
        card["scores"] = json.loads(Path(args.scores).read_text())
    if args.rich:
        card["scores_by_bin"] = json.loads(Path(args.rich).read_text())
    if args.cut:
        card["scores_with_redshift_cut"] = json.loads(Path(args.cut).read_text())
    if args.real:
        lines = Path(args.real).read_text().splitlines()
        card["real_images"] = [json.loads(line) for line in lines]
    if args.threshold is not None:
        card["recipe"]["score_threshold"] = args.threshold
    if "calibration" in card:  # the longest, last
        card["calibration"] = card.pop("calibration")
    half = {name: tensor.half() for name, tensor in state.items()}
    print(save_weights(half, args.out, card, overwrite=True))


if __name__ == "__main__":
    main()
