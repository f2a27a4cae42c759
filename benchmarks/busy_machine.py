"""What training and prediction cost alone and beside other work, by how threads wait for each other.

Draws a few scenes of the BBU room and starts six processes: three train the demo's model, three predict with the
embedded base; of each three, one has OpenMP as it comes (threads that wait spin for milliseconds), one sleeps at once,
and one is as the command sets it (``core/threads.py``: a short spin). They take turns of some images, alone and beside
neighbours that compute without pause, so that all meet the same machine; who has no turn sleeps. On a machine that
others use, too, "alone" is not quite alone, and the ratios count.

    python benchmarks/busy_machine.py
    python benchmarks/busy_machine.py --rounds 1   # a trial; nothing is written

Writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from argusvl import __version__
from argusvl.core.progress import track
from argusvl.core.threads import share_cores, usable_cores

RESULTS = Path("benchmarks/results")
CONFIG = Path("configs/bbu_room.yaml")
ARGUS = Path(sys.executable).with_name("argus")
ROUNDS = 4
STEPS, BATCH = 1, 8
"""Steps of training in a turn, and images of a step; prediction takes as many images."""
WAYS: dict[str, Callable[[], None]] = {
    "as OpenMP comes": lambda: None,
    "passive": lambda: os.environ.update(OMP_WAIT_POLICY="PASSIVE"),
    "as the command sets it": share_cores,
}
KINDS = ("training", "prediction")

Result = dict[str, Any]


# -- a process that works when it is told to -----------------------------------------------------------------------


class Turns:
    """Waits for its turn on stdin, and tells on stdout what the turn took."""

    def __init__(self) -> None:
        self._begun = (0.0, 0.0)

    def wait(self) -> bool:
        """Whether there is another turn."""
        going = sys.stdin.readline() == "go\n"
        self._begun = time.perf_counter(), self._cpu()
        return going

    def ended(self) -> None:
        """The turn is over."""
        wall, cpu = time.perf_counter() - self._begun[0], self._cpu() - self._begun[1]
        print(json.dumps({"seconds": wall, "cpu_seconds": cpu}), flush=True)

    @staticmethod
    def _cpu() -> float:
        times = os.times()  # of all threads
        return times.user + times.system


def train(data: Path, folder: Path) -> None:
    """The demo's training, some steps a turn."""
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    from argusvl.config.loading import load_config
    from argusvl.detection.config import DetectionRunConfig
    from argusvl.detection.task import DetectionTask
    from argusvl.training.run import run_training

    turns = Turns()

    class InTurns(TrainerCallback):
        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
        ) -> None:
            if state.global_step % STEPS == 0:
                turns.ended()  # the first time: it is ready, and warm
                control.should_training_stop = not turns.wait()

    overrides = {
        "train": data / "train.jsonl",
        "val": "null",
        "teacher_pool": data / "teacher_pool.jsonl",
        "output_dir": folder,
        "per_device_train_batch_size": BATCH,
        "max_steps": 10**6,
        "save_steps": 10**6,
        "logging_steps": 10**6,
        "report_to": "[]",
        "bf16": "false",
    }
    config = load_config(CONFIG, DetectionRunConfig, [f"{key}={value}" for key, value in overrides.items()])
    run_training(DetectionTask(config), config, callbacks=[InTurns()])


def predict(data: Path, folder: Path) -> None:
    """Plain prediction, some images a turn."""
    from argusvl.detection.predict.predictor import Predictor

    turns = Turns()
    predictor = Predictor.from_pretrained("argus-tiny", device="cpu")
    images = sorted((data / "images").iterdir())[: STEPS * BATCH]
    while True:
        predictor.predict_detection(images, batch_size=BATCH)
        turns.ended()
        if not turns.wait():
            return


WORK: dict[str, Callable[[Path, Path], None]] = {"training": train, "prediction": predict}


# -- the benchmark -------------------------------------------------------------------------------------------------


class Worker:
    """One of the processes, as the benchmark sees it."""

    def __init__(self, kind: str, way: str, data: Path, folder: Path) -> None:
        words = [sys.executable, __file__, "--work", kind, "--way", way, str(data), str(folder)]
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
        self._process = subprocess.Popen(
            words,
            env=plain,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def answer(self) -> dict[str, float]:
        """What the turn took; its end is waited for."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} has failed: start it by hand to see why")
        answer: dict[str, float] = json.loads(line)
        return answer

    def turn(self) -> dict[str, float]:
        """Lets it work for a turn."""
        self._tell("go\n")
        return self.answer()

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()

    def _tell(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()


@contextlib.contextmanager
def neighbours(number: int) -> Iterator[None]:
    """So many processes that compute without pause, until the body ends."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        time.sleep(0.5 if started else 0.0)
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(rounds: int, numbers: list[int]) -> Result:
    """All turns, and what they come to."""
    taken: dict[tuple[str, int, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        data = Path(temporary) / "data"
        drawn = ["data", "synth", "bbu-room", str(data), "--images", "60", "--seed", "1"]
        subprocess.run([str(ARGUS), *drawn], check=True, stderr=subprocess.DEVNULL)
        workers = {}
        for kind in KINDS:
            for index, way in enumerate(WAYS):
                worker = workers[kind, way] = Worker(kind, way, data, Path(temporary) / f"{kind}{index}")
                stack.callback(worker.end)
                worker.answer()
        for _ in track(range(rounds), rounds, "Measuring", unit="rounds"):
            for number in numbers:
                with neighbours(number):
                    for (kind, way), worker in workers.items():
                        taken.setdefault((kind, number, way), []).append(worker.turn())
    return {
        kind: {
            f"{number} neighbours" if number else "alone": {
                way: figures(taken[kind, number, way]) for way in WAYS
            }
            for number in numbers
        }
        for kind in KINDS
    }


def figures(turns: list[dict[str, float]]) -> Result:
    """Of several turns of the same work."""
    images = STEPS * BATCH
    speeds = [images / turn["seconds"] for turn in turns]
    costs = [turn["cpu_seconds"] / images for turn in turns]
    return {
        "images_per_second": round(statistics.median(speeds), 2),
        "cpu_seconds_per_image": round(statistics.median(costs), 3),
        "each_images_per_second": [round(speed, 2) for speed in speeds],
        "each_cpu_seconds_per_image": [round(cost, 3) for cost in costs],
    }


def main() -> None:
    """Measures and writes the dated result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, help=f"{ROUNDS} where it is not given; given, nothing is written"
    )
    parser.add_argument("--work", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("folders", type=Path, nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work is not None:
        WAYS[asked.way]()
        WORK[asked.work](*asked.folders)
        return
    import torch

    cores = usable_cores()
    load_before = os.getloadavg()[0]
    today = datetime.date.today().isoformat()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    result = {
        "date": today,
        "argus": __version__,
        "commit": commit,
        "machine": f"{cores} cores, {platform.machine()}, no GPU; shared with other work",
        "torch": torch.__version__,
        "load_before": round(load_before, 1),
        "what": f"turns of {STEPS * BATCH} images in float32 with {cores} threads; medians",
        "rounds": asked.rounds or ROUNDS,
        **measure(asked.rounds or ROUNDS, [0, cores]),
    }
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    print(text, end="")
    if asked.rounds is None:
        file = RESULTS / f"{today}-busy-machine.json"
        file.write_text(text, encoding="utf-8")
        print(f"written: {file}")


if __name__ == "__main__":
    main()
