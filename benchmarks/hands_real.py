"""How well a hand model does on photographs that it was never trained on.

    python benchmarks/hands_real.py FOLDER                              # a folder with hands.json: docs/hand-data.md
    python benchmarks/hands_real.py FreiHAND --format freihand --option part=evaluation
    python benchmarks/hands_real.py FOLDER --checkpoint runs/hands

Prints error relative to the wrist, after the best similarity, and the area under PCK, beside the mean pose of the
model's training data and beside the mean pose of these photographs, which knows more than it should.
Writes ``benchmarks/results/<date>-hands-real.json``, or the file that ``--out`` names.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path

import numpy as np
import transformers

from argusvl.assets import model_folder
from argusvl.core.errors import ArgusError
from argusvl.core.files import write_text_atomically
from argusvl.manipulation.commands.options import reader_options
from argusvl.manipulation.data.dataset import HandDataset, usable
from argusvl.manipulation.data.reading import FORMATS, open_hands
from argusvl.manipulation.measure.evaluation import evaluate_dataset
from argusvl.manipulation.measure.metrics import evaluate_hands, mean_pose
from argusvl.manipulation.predict.checkpoint import HandAssets
from argusvl.manipulation.predict.predictor import HandPredictor
from argusvl.run.checkpoints import checkpoint_at

SHOWN = ("mpjpe_root", "mpjpe_pa", "auc_root", "auc_pa")


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--format", choices=sorted(FORMATS), default="folder")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--checkpoint", default="argus-hand")
    parser.add_argument("--device", default="auto")
    today = datetime.date.today()
    default = Path(__file__).parent / "results" / f"{today}-hands-real.json"
    parser.add_argument("--out", type=Path, default=default, help="JSON file for the result")
    options = parser.parse_args()
    try:
        measure(options)
    except ArgusError as error:
        sys.exit(str(error))


def measure(options: argparse.Namespace) -> None:
    """Prints the table and writes the file."""
    transformers.utils.logging.disable_progress_bar()
    folder = checkpoint_at(model_folder(options.checkpoint))
    assets = HandAssets.load(folder)
    hands = open_hands(options.data, options.format, reader_options(options.option))
    dataset = HandDataset(usable(list(hands)), assets.crop)
    model = HandPredictor.from_pretrained(folder, device=options.device).model
    found = evaluate_dataset(model, dataset, assets.mean_pose, batch_size=32, progress=True)

    truth, valid = (np.stack([getattr(v, name) for v in found.views]) for name in ("joints_m", "joint_valid"))
    predicted = np.stack([p.joints_m for p in found.predictions])
    own = evaluate_hands(predicted, truth, valid, mean_pose(truth, valid))
    table = {
        name: {
            "refined": found.figures.figures[name].value,
            "coarse": found.coarse.figures[name].value,
            "mean_pose_of_training": found.figures.figures[name].mean_pose,
            "mean_pose_of_these": own.figures[name].mean_pose,
        }
        for name in SHOWN
    }
    print(f"{found.figures.hands} hands; errors in mm, areas from 0 to 1")
    print(f"{'':12}{'refined':>10}{'coarse':>10}{'mean pose':>12}{'their own':>12}")
    for name, row in table.items():
        print(
            f"{name:12}"
            + "".join(f"{value:>{w}.3f}" for value, w in zip(row.values(), (10, 10, 12, 12), strict=True))
        )
    result = {
        "data": str(options.data),
        "checkpoint": str(options.checkpoint),
        "hands": found.figures.hands,
        "figures": table,
    }
    write_text_atomically(options.out, json.dumps(result, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
