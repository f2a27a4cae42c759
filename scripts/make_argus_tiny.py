"""Makes ``argus-tiny``, the base model inside the package: draws scenes, trains on them, keeps the weights in bfloat16.

    python scripts/make_argus_tiny.py                   # scenes, tokenizer, training, export
    python scripts/make_argus_tiny.py --export-only     # of a training that has ended

Works in ``runs/argus_tiny``; an interrupted training is continued. Keys of ``configs/argus_tiny.yaml`` may be
overridden with ``key=value``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import shapes
from argusvl import __version__
from argusvl.assets import MODELS
from argusvl.config.loading import load_config
from argusvl.core.files import atomic_folder, write_text_atomically
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.checkpoint_layout import QWEN_FOLDER
from argusvl.detection.data.descriptions import scenes_of
from argusvl.detection.data.prompts import PROMPTS
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.tokenizer import load_tokenizer, tokenizer_texts, train_tokenizer
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.run.checkpoints import list_checkpoints, read_best
from argusvl.task_parts import ASSETS_FILE

CONFIG = Path("configs/argus_tiny.yaml")
WORK = Path("runs/argus_tiny")
DATA, TOKENIZER, TRAIN = WORK / "data", WORK / "tokenizer", WORK / "train"
RESULTS = Path("benchmarks/results")
SCENES, SEED = 12_000, 0
MEBIBYTES = 12
"""Most that the package may grow by."""


def argus(*arguments: str | Path, accept: tuple[int, ...] = (0,)) -> str:
    """Runs ``argus``; gives its stdout."""
    words = [str(a) for a in arguments]
    print("$ argus", *words, file=sys.stderr, flush=True)
    command = Path(sys.executable).with_name("argus")
    done = subprocess.run([command, *words], stdout=subprocess.PIPE, text=True)
    if done.returncode not in accept:
        raise SystemExit(done.returncode)
    return done.stdout


def make_tokenizer(config: DetectionRunConfig) -> None:
    """Learns the base's tokenizer: prompts of both languages, the scenes' descriptions, everyday Chinese characters.

    A description of a user's own is then written with a token a character, not with its three bytes.
    """
    prompts = [text for p in PROMPTS.values() for text in (p.system, p.find, p.several)]
    texts = [
        *tokenizer_texts(scenes_of(RecordFile(config.data.train)), prompts, max_side=1280, seed=SEED),
        # Often enough that each character is learned before rare pairs of them are.
        *(character for character in everyday_characters() for _ in range(50)),
    ]
    assert config.model.architecture is not None
    with atomic_folder(TOKENIZER) as folder:
        train_tokenizer(texts, config.model.architecture.vocab_size).save_pretrained(folder)


def everyday_characters() -> Iterator[str]:
    """The 3,755 characters of GB 2312's first level, which it chose by how often they are used."""
    for row in range(16, 56):
        for column in range(1, 95 if row < 55 else 90):
            yield bytes([row + 0xA0, column + 0xA0]).decode("gb2312")


def export(checkpoint: Path, name: str = "argus-tiny", most_mebibytes: int = MEBIBYTES) -> Path:
    """Puts a checkpoint's weights into the package, in bfloat16 and without what only training needs."""
    target = MODELS[name]
    with atomic_folder(target) as folder:
        ArgusForDetection.from_pretrained(checkpoint, dtype=torch.bfloat16).save_pretrained(folder)
        load_tokenizer(checkpoint / QWEN_FOLDER).save_pretrained(folder / QWEN_FOLDER)
        shutil.copyfile(
            checkpoint / QWEN_FOLDER / "preprocessor_config.json",
            folder / QWEN_FOLDER / "preprocessor_config.json",
        )
        shutil.copyfile(checkpoint / ASSETS_FILE, folder / ASSETS_FILE)
        for file in folder.rglob("*.safetensors"):
            file.chmod(0o644)  # written for their owner alone
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if size > most_mebibytes * 2**20:
            raise SystemExit(f"the model takes {size / 2**20:.1f} MiB, more than {most_mebibytes}")
    print(f"{target}: {size / 2**20:.1f} MiB", file=sys.stderr)
    return target


def write_figures(figures: dict[str, Any], trained: dict[str, Any] | None) -> Path:
    """The dated result."""
    today = datetime.date.today().isoformat()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    names = ("AP50", "AP", "AP75", "AR100", "AP50_agnostic", "caption_exact", "recall", "images", "objects")
    result = {
        "date": today,
        "argus": __version__,
        "commit": commit,
        "machine": f"{os.cpu_count()} cores",
        "torch": torch.__version__,
        "config": str(CONFIG),
        "scenes": SCENES,
        "trained": trained,
        "held_out_scenes": {name: figures[name] for name in names},
    }
    file = RESULTS / f"{today}-argus-tiny.json"
    write_text_atomically(file, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return file


def main() -> None:
    """The whole way from nothing to the files in the package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--export-only", action="store_true", help="the training has ended: export it")
    parser.add_argument(
        "--processes", type=int, default=2, help="that train together, each on a batch of its own"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    asked = parser.parse_args()
    trained = None
    if not asked.export_only:
        # A folder with this very set is left as it is.
        shapes.generate(DATA, images=SCENES, seed=SEED, width=336, height=252, progress=True)
        if not TOKENIZER.is_dir():
            make_tokenizer(load_config(CONFIG, DetectionRunConfig, asked.overrides))
        resume = ["--resume"] if list_checkpoints(TRAIN) else []
        trained = json.loads(
            argus("train", CONFIG, "--json", "--processes", str(asked.processes), *resume, *asked.overrides)
        )
    best = read_best(TRAIN)
    if best is None:
        raise SystemExit(f"{TRAIN} holds no finished training")
    base = export(TRAIN / best.checkpoint)
    figures = json.loads(argus("eval", base, DATA / "test.jsonl", "--json"))
    print(write_figures(figures, trained))


if __name__ == "__main__":
    main()
