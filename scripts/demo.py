"""The demo: draws a data set, fine-tunes the embedded base on it, measures before and after, and writes a report.

Runs the same commands that a user would, and prints each. Everything lands in ``runs/demo``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from argusvl.config.loading import load_config
from argusvl.core.files import write_text_atomically
from argusvl.core.threads import share_cores, usable_cores

CONFIG = Path("configs/bbu_room.yaml")
RUN = Path("runs/demo")
DATA = RUN / "data"
HELD_OUT = DATA / "test.jsonl"
IMAGES, SEED = 1000, 1
# Where other work runs beside, processes with one core each lose less time than threads that wait for each other.
PROCESSES = min(2, usable_cores())
BATCH = 8
QUALITY = ("AP50", "AP", "AP75", "AP50_agnostic", "caption_exact", "recall")

console = Console(stderr=True)


def argus(*arguments: str | Path) -> str:
    """Runs ``argus`` as a user would; gives what it wrote to stdout."""
    words = [str(a) for a in arguments]
    console.print(f"\n[bold]$ argus {' '.join(words)}[/bold]")
    command = Path(sys.executable).with_name("argus")
    return subprocess.run([command, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def measure_before() -> dict[str, Any]:
    """The figures of the very weights that training starts from."""
    share_cores()  # before torch is imported
    from transformers import set_seed

    from argusvl.detection.config import DetectionRunConfig
    from argusvl.detection.data.records import RecordFile
    from argusvl.detection.predict.inference import RecordQuestions, evaluate_records
    from argusvl.detection.task import DetectionTask

    config = load_config(CONFIG, DetectionRunConfig)
    task = DetectionTask(config)
    set_seed(config.training.seed)
    model = task.model()
    evaluation = evaluate_records(
        model,  # type: ignore[arg-type]
        RecordQuestions(RecordFile(HELD_OUT), task.processor, task.limits),
        labels=task.labels,
        vocabulary=config.data.vocabulary,
        batch_size=config.training.per_device_eval_batch_size,
        descriptions=task.descriptions,
        show_progress=True,
    )
    return evaluation.figures.to_dict()


def summarise(before: dict[str, Any], after: dict[str, Any], trained: dict[str, Any], seconds: float) -> None:
    """Writes ``summary.json`` and prints it as one screen."""
    summary = {
        "ap50": after["AP50"],
        "ap": after["AP"],
        "caption_exact": after["caption_exact"],
        "train_seconds": round(trained["train_seconds"], 1),
        "images_per_second": round(trained["images_per_second"], 2),
        "total_seconds": round(seconds, 1),
        "images": IMAGES,
        "steps": trained["steps"],
        "before": {name: before[name] for name in (*QUALITY, "per_class")},
        "after": {name: after[name] for name in (*QUALITY, "per_class")},
    }
    write_text_atomically(RUN / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    table = Table("held-out pictures", "before", "after", title="Argus demo: the BBU room")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in QUALITY:
        table.add_row(name, f"{before[name]:.3f}", f"{after[name]:.3f}")
    console.print()
    console.print(table)
    console.print(
        f"{trained['steps']} steps in {trained['train_seconds'] / 60:.1f} min "
        f"({trained['images_per_second']:.1f} images/s); {seconds / 60:.1f} min in all"
    )
    console.print(f"Report: [bold]{RUN / 'report.html'}[/bold]   Figures: {RUN / 'summary.json'}")


def main() -> None:
    """The whole demo."""
    began = time.perf_counter()
    if RUN.exists():
        console.print(f"Removing the last demo, {RUN}")
        shutil.rmtree(RUN)
    argus("data", "synth", "bbu-room", DATA, "--images", str(IMAGES), "--seed", str(SEED))
    console.print("\nMeasuring the model before it is fine-tuned")
    before = measure_before()
    trained = json.loads(
        argus(
            "train", CONFIG, f"per_device_train_batch_size={BATCH // PROCESSES}",
            "--processes", str(PROCESSES), "--json",
        )
    )  # fmt: skip
    after = json.loads(argus("eval", trained["best_checkpoint"], HELD_OUT, "--json", "--out", RUN))
    summarise(before, after, trained, time.perf_counter() - began)
    argus("report", RUN)


if __name__ == "__main__":
    main()
