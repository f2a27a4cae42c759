"""A training run killed at random moments resumes to the losses of one that was not.

    python benchmarks/training_kill.py                  # padded and packed, one process and two, twenty kills each
    python benchmarks/training_kill.py --kills 5 --only packed-2

Each run trains a tiny model with random weights on drawn pictures, saves every second step, and gets SIGKILL, with all
of its processes, at moments drawn from the time between its start and its end; each time ``argus train --resume`` goes
on. Losses of all steps are compared with the uninterrupted run's, exactly. Writes
``benchmarks/results/<date>-training-kill.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

WORK = Path("runs/kill")
CASES = {
    "padded-1": ("standard", 1),
    "packed-1": ("packed", 1),
    "padded-2": ("standard", 2),
    "packed-2": ("packed", 2),
}
SIZES = (
    "hidden_size=32",
    "num_attention_heads=2",
    "num_key_value_heads=1",
    "intermediate_size=48",
    "vision_hidden_size=32",
    "vision_num_heads=2",
    "vision_intermediate_size=48",
    "vocab_size=400",
    "detection_hidden_size=32",
    "detection_num_heads=2",
    "detection_ffn_size=48",
    "detection_caption_max_tokens=60",
    "model_max_length=4096",
)


def command(folder: Path, kind: str, processes: int, steps: int) -> list[str]:
    """Of ``argus train``."""
    data = WORK / "data"
    return [
        *(str(Path(sys.executable).with_name("argus")), "train", str(WORK / "run.yaml")),
        *SIZES,
        *(f"output_dir={folder}", f"collator_type={kind}", f"max_steps={steps}", "save_steps=2", "eval_steps=7"),
        *("logging_steps=1", "save_total_limit=2", "per_device_train_batch_size=2", "report_to=[]", "bf16=false"),
        *("teacher_ratio=0.5", "num_teachers=1", f"teacher_pool={data}/teacher_pool.jsonl", "max_examples=40"),
        *("--processes", str(processes)),
    ]  # fmt: skip


def losses(folder: Path) -> dict[int, tuple[float, ...]]:
    """Everything that a step logs of its losses and gradients."""
    history = json.loads((folder / "trainer_state.json").read_text("utf-8"))["log_history"]
    return {
        entry["step"]: tuple(v for k, v in sorted(entry.items()) if k.endswith("loss") or k == "grad_norm")
        for entry in history
        if "loss" in entry
    }


def killed(words: list[str], seconds: float) -> bool:
    """Starts a run and kills it, with its children, after so many seconds; whether it was still alive."""
    process = subprocess.Popen(
        words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        code = process.wait(seconds)
        if code:
            raise SystemExit(f"a run ended on its own with code {code}: {words}")
        return False
    except subprocess.TimeoutExpired:
        return True
    finally:
        # The launcher of several ranks gives each a session of its own: the group alone would leave them alive.
        with contextlib.suppress(psutil.NoSuchProcess):
            everyone = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            for one in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(everyone)
        process.wait()


def trial(case: str, kills: int, steps: int, rng: random.Random) -> dict[str, Any]:
    """One uninterrupted run, and one that is killed again and again."""
    kind, processes = CASES[case]
    whole, parts = WORK / f"{case}-whole", WORK / f"{case}-parts"
    for folder in (whole, parts):
        shutil.rmtree(folder, ignore_errors=True)
    began = time.perf_counter()
    subprocess.run(command(whole, kind, processes, steps), check=True, stderr=subprocess.DEVNULL)
    length = time.perf_counter() - began
    done, finished = 0, 0
    while done < kills:
        saved = list(parts.glob("checkpoint-*"))
        words = command(parts, kind, processes, steps) + (["--resume"] if saved else [])
        if killed(words, rng.uniform(0.2, 1.0) * length):
            done += 1
        else:  # it came to its end before: the next kills are of another run
            finished += 1
            assert losses(parts) == losses(whole), case
            shutil.rmtree(parts, ignore_errors=True)
    saved = list(parts.glob("checkpoint-*"))
    subprocess.run(
        command(parts, kind, processes, steps) + (["--resume"] if saved else []),
        check=True,
        stderr=subprocess.DEVNULL,
    )
    equal = losses(parts) == losses(whole)
    return {"case": case, "kills": done, "runs": finished + 1, "steps": steps, "equal": equal}


def main() -> None:
    """All cases, and their result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    asked = parser.parse_args()
    argus = str(Path(sys.executable).with_name("argus"))
    data = WORK / "data"
    if not data.is_dir():
        subprocess.run(
            [argus, "data", "synth", "bbu-room", str(data), "--images", "60", "--seed", "1", "--width", "224",
             "--height", "168"],
            check=True,
        )  # fmt: skip
    start = subprocess.run(
        [argus, "init", str(data), "--model", "random"], check=True, stdout=subprocess.PIPE, text=True
    )
    (WORK / "run.yaml").write_text(start.stdout, encoding="utf-8")
    today, rng = datetime.date.today().isoformat(), random.Random(0)
    result: dict[str, Any] = {"date": today, "machine": f"{os.cpu_count()} cores, no GPU", "cases": []}
    file = Path("benchmarks/results") / f"{today}-training-kill.json"
    for case in asked.only:
        result["cases"].append(trial(case, asked.kills, asked.steps, rng))
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(result["cases"][-1], flush=True)


if __name__ == "__main__":
    main()
