r"""Makes ``argus-hand``, the base model of hands in the package: trains on drawn hands, keeps the weights in 16 bits.

    python scripts/make_argus_hand.py                        # pictures, training, export
    python scripts/make_argus_hand.py --backgrounds PHOTOS   # four of five pictures on photographs without hands
    python scripts/make_argus_hand.py --export-only          # of a training that has ended

It is what ``configs/argus_hand.yaml`` trains, in ``runs/argus-hand``; keys of that file may be overridden with
``key=value``. Once the folder of one training is moved away, its model is trained further on other hands, at half the
rates, by:

    python scripts/make_argus_hand.py --backgrounds PHOTOS --seed 9 model_path=argus-hand \
        seed=9 max_steps=3500 encoder_lr=5e-4 decoder_lr=1e-3 refinement_lr=1e-3 heads_lr=1e-3

Writes ``benchmarks/results/<date>-argus-hand.json``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from argusvl import __version__
from argusvl.assets import MODELS
from argusvl.core.files import atomic_folder, write_text_atomically
from argusvl.manipulation.model.modeling import ArgusForHands
from argusvl.run.checkpoints import read_best
from argusvl.task_parts import ASSETS_FILE

CONFIG = Path("configs/argus_hand.yaml")
WORK = Path("runs/argus-hand")
RESULTS = Path("benchmarks/results")
MEBIBYTES = 12
"""Most that the package may grow by."""
SETS = {"train": 20_000, "val": 800}
"""Name → pictures."""
HELD_OUT_SEED = 2
"""Of the demo's pictures, too."""


def argus(*arguments: str | Path) -> str:
    """Runs ``argus``; gives its stdout."""
    words = [str(a) for a in arguments]
    print("$ argus", *words, file=sys.stderr, flush=True)
    command = Path(sys.executable).with_name("argus")
    return subprocess.run([command, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def export(checkpoint: Path) -> Path:
    """Puts a checkpoint's weights into the package, in 16 bits."""
    target = MODELS["argus-hand"]
    model = ArgusForHands.from_pretrained(checkpoint)
    with atomic_folder(target) as folder:
        model.to(torch.float16).save_pretrained(folder)  # type: ignore[arg-type]
        shutil.copyfile(checkpoint / ASSETS_FILE, folder / ASSETS_FILE)
        for file in folder.rglob("*.safetensors"):
            file.chmod(0o644)  # written for their owner alone
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if size > MEBIBYTES * 2**20:
            raise SystemExit(f"the model takes {size / 2**20:.1f} MiB, more than {MEBIBYTES}")
    print(f"{target}: {size / 2**20:.1f} MiB", file=sys.stderr)
    return target


def main() -> None:
    """The whole way from nothing to the files in the package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--export-only", action="store_true", help="the training has ended: export it")
    parser.add_argument("--backgrounds", type=Path, help="folder with photographs that show no hands")
    parser.add_argument("--seed", type=int, default=3, help="of the hands that it is trained on")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    asked = parser.parse_args()
    for name, images in SETS.items():  # one that is there is left as it is
        seed = asked.seed if name == "train" else HELD_OUT_SEED
        photographs = ("--backgrounds", asked.backgrounds) if asked.backgrounds and name == "train" else ()
        out = WORK / "data" / name
        argus("data", "synth", "hands", out, "--images", str(images), "--seed", str(seed), *photographs)
    if not asked.export_only:
        argus("train", CONFIG, *asked.overrides)
    best = read_best(WORK)
    if best is None:
        raise SystemExit(f"{WORK} holds no finished training")
    base = export(WORK / best.checkpoint)
    figures = json.loads(argus("eval", base, WORK / "data" / "val", "--json"))
    today = datetime.date.today().isoformat()
    result = {
        "date": today,
        "argus": __version__,
        "machine": f"{os.cpu_count()} cores",
        "torch": torch.__version__,
        "config": str(CONFIG),
        "overrides": asked.overrides,
        "seed": asked.seed,
        "held_out_drawn_hands": {k: v for k, v in figures.items() if k not in ("checkpoint", "data")},
    }
    file = RESULTS / f"{today}-argus-hand.json"
    write_text_atomically(file, json.dumps(result, indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main()
