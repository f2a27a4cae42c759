"""``argus demo``: draws a data set, fine-tunes the embedded base on it, measures before and after, writes a report.

Runs the same commands that a user would, and prints each. Everything lands in one folder, the configuration included.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from argusvl.command_options import AsJson
from argusvl.core.errors import ArgusError
from argusvl.core.figures import FIGURES_FILE
from argusvl.core.files import already_there, cannot_write, copy_file, refuse_losing, write_text_atomically
from argusvl.core.strict_json import decode_json
from argusvl.core.terminal import console, print_json, say
from argusvl.core.threads import usable_cores
from argusvl.run.layout import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    EVENTS_FILE,
    LOG_FILE,
    REPORT_FILE,
    SUMMARY_FILE,
    TRAINER_STATE,
)
from argusvl.run.lock import LOCK_FILE

if TYPE_CHECKING:
    from argusvl.detection.config import DetectionRunConfig

CONFIG = "demo.yaml"
"""In this package, and copied beside the run: it tells a folder that an earlier demo has made."""
HELD_OUT = "data/test.jsonl"
WRITTEN = (
    *(f"data/{name}.jsonl" for name in ("train", "val", "test", "teacher_pool")),
    *("data/manifest.json", "data/images/[0-9]*.jpg", "data/images/pool_*.jpg", "data/*.jsonl.facts/*.bin"),
    *(CONFIG, CONFIG_FILE, ENVIRONMENT_FILE, EVENTS_FILE, SUMMARY_FILE, REPORT_FILE, TRAINER_STATE),
    *(LOCK_FILE, FIGURES_FILE, LOG_FILE, f"{LOG_FILE}.rank*", "tensorboard/*", "non_finite/*"),
    *("best", "best_checkpoint.json", "checkpoint-*/*", "calibration.json"),
    *("predictions.jsonl", "answers.jsonl", "gallery.json", "precision_recall.json"),
)
"""What a demo and the commands that it runs leave in its folder; ``*`` takes ``/`` in."""
QUALITY = ("AP50", "AP", "AP75", "AP50_agnostic", "caption_exact", "recall")
BATCH = 8
"""Samples of a step, of all processes together."""

_STOP_SECONDS = 20
"""After which a command that was not asked to stop with us is asked by us."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("runs/demo"),
    images: Annotated[int, typer.Option(min=20, help="Pictures to draw.")] = 1000,
    steps: Annotated[int, typer.Option(min=2, help="Steps of training.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the demo that is in the folder already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draw a data set, fine-tune argus-tiny on it, measure before and after, write a report.

    Needs neither network nor GPU: with its defaults about seven minutes on two cores. The folder then holds
    report.html, the configuration (demo.yaml) and the run.

    Examples:

        argus demo

        argus demo --out runs/look --images 100 --steps 20
    """
    began = time.perf_counter()
    _make_room(out, overwrite)
    config = _write_config(out, steps)
    # Where other work runs beside, processes with one core each lose less time than threads that wait for each other.
    processes = min(2, usable_cores())
    _argus("data", "synth", "bbu-room", out / "data", "--images", images, "--seed", seed)
    say("\nMeasuring the model before it is fine-tuned")
    before = _measure_before(out, config)
    options = [f"per_device_train_batch_size={BATCH // processes}", "--processes", processes, "--json"]
    trained = decode_json(_argus("train", out / CONFIG, *options))
    after = decode_json(_argus("eval", trained["best_checkpoint"], out / HELD_OUT, "--json", "--out", out))
    summary = _summary(before, after, trained, images, time.perf_counter() - began)
    write_text_atomically(out / SUMMARY_FILE, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    _argus("report", out)
    _show(summary, out)
    if as_json:
        print_json(summary)


def _make_room(out: Path, overwrite: bool) -> None:
    """Removes the last demo where that was asked for, and never anything else."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        if out.is_symlink() or not (out / CONFIG).is_file():
            raise ArgusError(
                "is there already, and is no demo", where=out, remedy="name another place: --out"
            )
        if not overwrite:
            raise already_there(out)
        refuse_losing(out, lambda name: any(fnmatch(name, pattern) for pattern in WRITTEN))
        say(f"Removing the last demo, {out}")
        try:
            shutil.rmtree(out)
        except OSError as error:
            raise cannot_write(out, error) from error


def _write_config(out: Path, steps: int) -> DetectionRunConfig:
    """Copies the configuration into the demo's folder, its places and length as asked for."""
    from argusvl.config.loading import load_config, to_yaml
    from argusvl.detection.config import DetectionRunConfig

    out.mkdir(parents=True, exist_ok=True)
    copy_file(Path(__file__).with_name(CONFIG), out / CONFIG)
    places = {name: out / "data" / f"{name}.jsonl" for name in ("train", "val", "teacher_pool")}
    places["output_dir"] = out
    words = [f"{key}={json.dumps(str(place), ensure_ascii=False)}" for key, place in places.items()]
    words += [f"{key}={steps}" for key in ("max_steps", "eval_steps", "save_steps")]
    config = load_config(out / CONFIG, DetectionRunConfig, words)
    if config != load_config(out / CONFIG, DetectionRunConfig):  # else its comments stay
        write_text_atomically(out / CONFIG, to_yaml(config))
    return config


def _argus(*arguments: object) -> str:
    """Runs ``argus`` as a user would; gives what it wrote to stdout.

    Raises:
        typer.Exit: It failed, and has said why.
    """
    words = [str(argument) for argument in arguments]
    console().print(f"\n[bold]$ argus {shlex.join(words)}[/bold]", highlight=False, soft_wrap=True)
    with subprocess.Popen([sys.executable, "-m", "argusvl", *words], stdout=subprocess.PIPE) as command:
        try:
            found, _ = command.communicate()
        except KeyboardInterrupt:
            # A Ctrl-C has reached it as well, and it ends in order; a signal to this process alone has not.
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.wait(_STOP_SECONDS)
            command.terminate()
            raise
    if command.returncode:
        raise typer.Exit(command.returncode)
    return found.decode("utf-8")


def _measure_before(out: Path, config: DetectionRunConfig) -> dict[str, Any]:
    """The figures of the very weights that training starts from."""
    from transformers import set_seed

    from argusvl.detection.data.records import RecordFile
    from argusvl.detection.predict.inference import RecordQuestions, evaluate_records
    from argusvl.detection.task import DetectionTask

    task = DetectionTask(config)
    set_seed(config.training.seed)
    evaluation = evaluate_records(
        task.model(),  # type: ignore[arg-type]
        RecordQuestions(RecordFile(out / HELD_OUT), task.processor, task.limits),
        labels=task.labels,
        vocabulary=config.data.vocabulary,
        batch_size=config.training.per_device_eval_batch_size,
        descriptions=task.descriptions,
        show_progress=True,
    )
    return evaluation.figures.to_dict()


def _summary(
    before: dict[str, Any], after: dict[str, Any], trained: dict[str, Any], images: int, seconds: float
) -> dict[str, Any]:
    """What ``summary.json`` holds."""
    return {
        "ap50": after["AP50"],
        "ap": after["AP"],
        "caption_exact": after["caption_exact"],
        "train_seconds": round(trained["train_seconds"], 1),
        "images_per_second": round(trained["images_per_second"], 2),
        "total_seconds": round(seconds, 1),
        "images": images,
        "steps": trained["steps"],
        "before": {name: before[name] for name in (*QUALITY, "per_class")},
        "after": {name: after[name] for name in (*QUALITY, "per_class")},
    }


def _show(summary: dict[str, Any], out: Path) -> None:
    """The summary as one screen."""
    from rich.table import Table

    table = Table("held-out pictures", "before", "after", title="Argus demo: the BBU room")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in QUALITY:
        table.add_row(name, *(f"{summary[when][name]:.3f}" for when in ("before", "after")))
    say("")
    console().print(table)
    say(
        f"{summary['steps']} steps in {summary['train_seconds'] / 60:.1f} min "
        f"({summary['images_per_second']:.1f} images/s); {summary['total_seconds'] / 60:.1f} min in all"
    )
    say(f"Report: {out / 'report.html'}   Figures: {out / SUMMARY_FILE}   Configuration: {out / CONFIG}")
