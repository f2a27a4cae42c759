"""Makes ``argus-hand``, the base model of hands inside the package: trains on drawn hands, keeps the weights in 16 bits.

    python scripts/make_argus_hand.py                        # pictures, training, export
    python scripts/make_argus_hand.py --backgrounds PHOTOS   # half of the pictures on photographs without hands
    python scripts/make_argus_hand.py --export-only          # of a training that has ended

Works in ``runs/argus_hand``; an interrupted training is continued. Keys of ``configs/argus_hand.yaml`` may be overridden
with ``key=value``. Writes ``benchmarks/results/<date>-argus-hand.json``.
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
from argusvl.core.hand_folders import FILE
from argusvl.manipulation.model.modeling import ArgusForHands
from argusvl.task_parts import ASSETS_FILE
from argusvl.training.checkpoints import read_best

CONFIG = Path("configs/argus_hand.yaml")
WORK = Path("runs/argus_hand")
RESULTS = Path("benchmarks/results")
MEBIBYTES = 12
"""Most that the package may grow by."""
DRAWN, ON_PHOTOGRAPHS, HELD_OUT = (6_000, 1), (6_000, 3), (800, 2)
"""Pictures and seed of each set."""


def argus(*arguments: str | Path) -> str:
    """Runs ``argus``; gives its stdout."""
    words = [str(a) for a in arguments]
    print("$ argus", *words, file=sys.stderr, flush=True)
    command = Path(sys.executable).with_name("argus")
    return subprocess.run([command, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def draw(name: str, number: tuple[int, int], *more: str | Path) -> None:
    """A set in the working folder; one that is there is left as it is."""
    images, seed = number
    argus("data", "synth", "hands", WORK / name, "--images", str(images), "--seed", str(seed), *more)


def join(names: list[str]) -> None:
    """One list of the hands of several sets."""
    tops = [json.loads((WORK / name / FILE).read_text("utf-8")) for name in names]
    hands = [
        hand | {"image": f"{name}/{hand['image']}"}
        for name, top in zip(names, tops, strict=True)
        for hand in top["hands"]
    ]
    write_text_atomically(WORK / FILE, json.dumps(tops[0] | {"hands": hands}) + "\n")


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
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    asked = parser.parse_args()
    draw("val", HELD_OUT)
    if not asked.export_only:
        draw("drawn", DRAWN)
        draw("on_photographs", ON_PHOTOGRAPHS, *(("--backgrounds", asked.backgrounds) if asked.backgrounds else ()))
        join(["drawn", "on_photographs"])
        argus("train", CONFIG, *asked.overrides)
    best = read_best(WORK / "train")
    if best is None:
        raise SystemExit(f"{WORK / 'train'} holds no finished training")
    base = export(WORK / "train" / best.checkpoint)
    figures = json.loads(argus("eval", base, WORK / "val", "--json"))
    today = datetime.date.today().isoformat()
    result = {
        "date": today,
        "argus": __version__,
        "machine": f"{os.cpu_count()} cores",
        "torch": torch.__version__,
        "config": str(CONFIG),
        "held_out_drawn_hands": figures,
    }
    file = RESULTS / f"{today}-argus-hand.json"
    write_text_atomically(file, json.dumps(result, indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main()
