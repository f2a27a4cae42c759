"""Makes ``argus-hand-finder``, the detector of hands in the package: as a user would, from drawn scenes with hands.

    python scripts/make_argus_hand_finder.py --backgrounds PHOTOS   # that show no hands; draw_people.py makes some
    python scripts/make_argus_hand_finder.py --export-only          # of a training that has ended

What ships was trained in two goes: 400 of 700 steps on scenes without people, then, by ``model_path=argus-hand-finder
max_steps=220 eval_steps=220 save_steps=220``, on scenes with them.

Works in ``runs/argus-hand-finder``; keys of the configuration that ``argus init`` writes may be overridden with
``key=value``. Writes ``benchmarks/results/<date>-argus-hand-finder.json``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from pathlib import Path

import torch

from argusvl import __version__
from argusvl.core.files import write_text_atomically
from argusvl.run.checkpoints import read_best
from make_argus_tiny import argus, export

WORK = Path("runs/argus-hand-finder")
DATA, CONFIG, TRAIN = WORK / "data", WORK / "config.yaml", WORK / "train"
RESULTS = Path("benchmarks/results")
SCENES, SEED = 3_300, 1
STEPS = 700
# Drawn skin and light are not the camera's: colour has to mean little.
OVERRIDES = ("saturation=0.8", "brightness=0.35", "contrast=0.35", "hue=0.05")
MEBIBYTES = 14


def main() -> None:
    """The whole way from nothing to the files in the package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--export-only", action="store_true", help="the training has ended: export it")
    parser.add_argument("--backgrounds", type=Path, help="folder with photographs that show no hands")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    asked = parser.parse_args()
    if not asked.export_only:
        photographs = ("--backgrounds", asked.backgrounds) if asked.backgrounds else ()
        argus(
            "data", "synth", "hand-scenes", DATA, "--images", str(SCENES), "--seed", str(SEED), *photographs
        )
        write_text_atomically(CONFIG, argus("init", DATA, "--model", "argus-tiny"))
        steps = (f"output_dir={TRAIN}", f"max_steps={STEPS}", "eval_steps=100", "save_steps=100")
        argus("train", CONFIG, *steps, *OVERRIDES, *asked.overrides)
    best = read_best(TRAIN)
    if best is None:
        raise SystemExit(f"{TRAIN} holds no finished training")
    model = export(TRAIN / best.checkpoint, "argus-hand-finder", MEBIBYTES)
    figures = json.loads(argus("eval", model, DATA / "test.jsonl", "--json"))
    names = ("AP50", "AP", "AP75", "AR100", "recall", "images", "objects")
    result = {
        "date": datetime.date.today().isoformat(),
        "argus": __version__,
        "machine": f"{os.cpu_count()} cores",
        "torch": torch.__version__,
        "scenes": SCENES,
        "steps": best.step,
        "held_out_scenes": {name: figures[name] for name in names},
    }
    file = RESULTS / f"{result['date']}-argus-hand-finder.json"
    write_text_atomically(file, json.dumps(result, indent=2) + "\n")
    print(file)


if __name__ == "__main__":
    main()
