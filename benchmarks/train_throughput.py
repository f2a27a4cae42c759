"""Real tokens a second of training: packed, padded, and the same conversations trained by others.

    python benchmarks/train_throughput.py                      # ours, and plain transformers.Trainer
    python benchmarks/train_throughput.py --trl PYTHON         # and TRL, by its interpreter

All train the same Qwen2.5-VL (the embedded base's, without a detection head, which others have not) in float32 on the
same conversations: pictures of BBU rooms and of blood cells, teachers before most of them, eight samples a step. Every
sample is prepared before, so that what is measured is the step: how samples become a batch, and the model. Systems take
turns, a few steps each, in processes of their own; what a busy machine costs, it costs all of them. Writes
``benchmarks/results/<date>-train-throughput.json``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WORK = Path("runs/throughput")
RESULTS = Path("benchmarks/results")
SAMPLES = WORK / "samples.pt"
CONFIG = WORK / "run.yaml"
BATCH = 8
WARM_UP, ROUNDS, STEPS = 3, 6, 3
IGNORED = -100
OURS = ("packed", "padded")
TRAINER = ("trainer-random", "trainer-grouped")
PLAIN = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")


# What all train on


def prepare(images: int, teacher_ratio: float) -> None:
    """Records of both sets in one file, the configuration, and every sample as tensors for the others."""
    import torch

    data = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "bccd"
    if not data.is_dir():
        raise SystemExit(f"{data} is not there: set ARGUS_SHARED_DATA to the folder that holds bccd")
    argus("data", "synth", "bbu-room", WORK / "bbu", "--images", images, "--seed", 1)
    pixels = ("--min-pixels", 3136, "--max-pixels", 235200)
    argus("data", "convert", "voc", data, WORK / "bccd", *pixels, "--overwrite", accept=(0, 1))
    lines = [line for name in ("bbu", "bccd") for line in records_of(WORK / name)]
    random.Random(0).shuffle(lines)
    (WORK / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    start = argus("init", WORK / "train.jsonl", "--model", "argus-tiny")
    CONFIG.write_text(start, encoding="utf-8")
    dataset = task_of("standard", teacher_ratio).train_dataset()
    torch.save([as_tensors(dataset[index]) for index in range(len(dataset))], SAMPLES)


def records_of(folder: Path) -> list[str]:
    """Its training records, with images named from the root of the file system."""
    lines = []
    for line in (folder / "train.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        for scene in (record.get("student", record), *record.get("teachers", ())):
            scene["images"] = [str((folder / name).resolve()) for name in scene["images"]]
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    return lines


def argus(*arguments: object, accept: tuple[int, ...] = (0,)) -> str:
    """Runs ``argus``; gives its stdout."""
    command = [str(Path(sys.executable).with_name("argus")), *map(str, arguments)]
    print("$ argus", *command[1:], file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode not in accept:
        raise SystemExit(f"argus {command[1]} ended with {done.returncode}")
    return done.stdout


def task_of(kind: str, teacher_ratio: float) -> Any:
    """The detection task without its head, on the language path alone."""
    from argusvl.config.loading import load_config
    from argusvl.detection.config import DetectionRunConfig
    from argusvl.detection.task import DetectionTask

    return DetectionTask(
        load_config(
            CONFIG,
            DetectionRunConfig,
            [
                f"collator_type={kind}",
                f"teacher_ratio={teacher_ratio}",
                f"teacher_pool={WORK / 'bbu' / 'teacher_pool.jsonl'}",
                f"model_path={stock_model()}",
                *("num_teachers=1", "detection_enabled=false", "transfer_vocab_size=null", "bf16=false"),
                *("horizontal_flip=0", "mosaic=0", "scale_min=1", "scale_max=1", "ema_decay=null"),
                *("brightness=0", "contrast=0", "saturation=0", "model_max_length=8192", "report_to=[]"),
                *("min_pixels=3136", "max_pixels=235200", "vision_tokens_warn=400", "vision_tokens_max=400"),
                f"per_device_train_batch_size={BATCH}",
                *("gradient_accumulation_steps=1", f"max_steps={WARM_UP + ROUNDS * STEPS}", "val=null"),
                *("eval_steps=1000", "save_steps=1000", "logging_steps=1000", "num_train_epochs=100"),
                f"output_dir={WORK / kind}",
            ],
        )
    )


def stock_model() -> Path:
    """The embedded base's Qwen2.5-VL, as any tool loads it."""
    from argusvl.assets import model_folder

    return model_folder(Path("argus-tiny")) / "qwen"


def as_tensors(sample: Any) -> dict[str, Any]:
    """A sample as the stock model's own users have it."""
    import numpy as np
    import torch

    from argusvl.detection.data.sampling.pixels import pixel_values

    ids = torch.from_numpy(sample.conversation.input_ids)
    labels = torch.full_like(ids, IGNORED)
    for part in sample.conversation.answers:
        labels[part.start : part.stop] = ids[part.start : part.stop]
    types = torch.zeros_like(ids)
    for part in sample.conversation.images:
        types[part.start : part.stop] = 1
    values, grids = pixel_values([np.asarray(image) for image in sample.images])
    return {
        "input_ids": ids,
        "labels": labels,
        "mm_token_type_ids": types,
        "pixel_values": torch.as_tensor(values),
        "image_grid_thw": torch.as_tensor(grids),
    }


# The systems


class Turns:
    """Trains a few steps when told to, and says what they took."""

    def __init__(self) -> None:
        self.tokens = self.positions = self.images = 0

    def count(self, tokens: int, positions: int, images: int) -> None:
        """Adds a batch that was made."""
        self.tokens, self.positions, self.images = (
            self.tokens + tokens,
            self.positions + positions,
            self.images + images,
        )

    def callback(self) -> Any:
        """For any ``transformers.Trainer``."""
        from transformers import TrainerCallback

        turns = self

        class Waiting(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                done = state.global_step - WARM_UP
                if done < 0 or done % STEPS:
                    return
                turns.report(done // STEPS)
                sys.stdin.readline()
                turns.start()

            def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                turns.report(ROUNDS)

        return Waiting()

    def start(self) -> None:
        """A turn begins."""
        self._before = (self.tokens, self.positions, self.images)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def report(self, turn: int) -> None:
        """Writes what the turn before came to."""
        found: dict[str, Any] = {}
        if turn > 0:
            now = (self.tokens, self.positions, self.images)
            names = ("tokens", "positions", "images")
            found = {n: b - a for n, a, b in zip(names, self._before, now, strict=True)}
            found |= {"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}
            found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print("turn " + json.dumps(found), flush=True)


def train_ours(kind: str, teacher_ratio: float) -> None:
    """By ``argus train``'s own engine."""
    import shutil

    from argusvl.training.run import run_training

    task, turns = task_of("standard" if kind == "padded" else kind, teacher_ratio), Turns()
    shutil.rmtree(task.config.training.output_dir, ignore_errors=True)
    dataset = task.train_dataset()
    samples = [dataset[index] for index in range(len(dataset))]
    dataset.__class__ = type(
        "Prepared", (type(dataset),), {"__getitem__": lambda self, index: samples[index]}
    )
    task.train_dataset = lambda: dataset
    collate = task.collate

    def counted(chosen: Any) -> Any:
        batch = collate(chosen)
        turns.count(batch.sizes.real_tokens, batch.sizes.tokens, batch.sizes.images)
        return batch

    task.collate = counted
    run_training(task, task.config, callbacks=[turns.callback()])


def train_stock(kind: str, folder: str) -> None:
    """By transformers' Trainer, or TRL's, on the stock model with a padding collator."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    samples, turns = torch.load(SAMPLES), Turns()
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)

    class Prepared(torch.utils.data.Dataset):  # type: ignore[type-arg]
        column_names = tuple(samples[0])

        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: int) -> dict[str, Any]:
            return samples[index]

    def collate(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        pad = torch.nn.utils.rnn.pad_sequence
        ids = [one["input_ids"] for one in chosen]
        mask = pad([torch.ones_like(one) for one in ids], batch_first=True)
        turns.count(int(mask.sum()), mask.numel(), sum(len(one["image_grid_thw"]) for one in chosen))
        return {
            "input_ids": pad(ids, batch_first=True, padding_value=0),
            "attention_mask": mask,
            "labels": pad([one["labels"] for one in chosen], batch_first=True, padding_value=IGNORED),
            "mm_token_type_ids": pad([one["mm_token_type_ids"] for one in chosen], batch_first=True),
            "pixel_values": torch.cat([one["pixel_values"] for one in chosen]),
            "image_grid_thw": torch.cat([one["image_grid_thw"] for one in chosen]),
        }

    options: dict[str, Any] = {
        "output_dir": str(WORK / kind),
        "max_steps": WARM_UP + ROUNDS * STEPS,
        "per_device_train_batch_size": BATCH,
        "learning_rate": 1e-4,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1000,
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }
    common = {"model": model, "train_dataset": Prepared(), "data_collator": collate}
    if kind == "trl":
        from transformers import AutoTokenizer
        from trl import SFTConfig, SFTTrainer

        arguments = SFTConfig(
            **options, dataset_kwargs={"skip_prepare_dataset": True}, max_length=None, bf16=False
        )
        trainer = SFTTrainer(**common, args=arguments, processing_class=AutoTokenizer.from_pretrained(folder))
    else:
        from transformers import Trainer, TrainingArguments

        if kind == "trainer-grouped":
            options["train_sampling_strategy"] = "group_by_length"
        trainer = Trainer(**common, args=TrainingArguments(**options))
    trainer.add_callback(turns.callback())
    trainer.train()


# Turns


def measure(systems: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """Lets each train a few steps in turn."""
    running = {
        name: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name, command in systems.items()
    }
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    for name, process in running.items():
        heard(name, process)  # it is warm
    for _ in range(ROUNDS):
        for name, process in running.items():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            turns[name].append(heard(name, process))
    for process in running.values():
        process.wait()
    return turns


def heard(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next turn that a system reports."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("turn "):
            found: dict[str, Any] = json.loads(line.removeprefix("turn "))
            return found
    raise SystemExit(f"{name} ended with {process.wait()}")


def main() -> None:
    """Prepares, measures and writes the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=int, default=400, help="pictures of BBU rooms beside those of blood cells"
    )
    parser.add_argument("--teacher-ratio", type=float, default=0.7)
    parser.add_argument("--trl", metavar="PYTHON", help="interpreter of an environment with TRL")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker is not None:
        import torch

        torch.set_num_threads(asked.threads)
        kind, folder = asked.worker
        if kind in OURS:
            train_ours(kind, asked.teacher_ratio)
        else:
            train_stock(kind, folder)
        return
    WORK.mkdir(parents=True, exist_ok=True)
    if not SAMPLES.is_file():
        prepare(asked.images, asked.teacher_ratio)
    folder = str(stock_model())
    common = [
        __file__,
        "--teacher-ratio",
        str(asked.teacher_ratio),
        "--threads",
        str(asked.threads),
        "--worker",
    ]
    systems = {kind: [sys.executable, *common, kind, folder] for kind in (*OURS, *TRAINER)}
    if asked.trl:
        systems["trl"] = [asked.trl, *common, "trl", folder]
    turns = measure(systems)
    table = {}
    for name, found in turns.items():
        total = {key: sum(turn[key] for turn in found) for key in found[0]}
        table[name] = {
            "real_tokens_per_second": round(total["tokens"] / total["wall"]),
            "real_tokens_per_cpu_second": round(total["tokens"] / total["cpu"]),
            "images_per_second": round(total["images"] / total["wall"], 2),
            "padding_share": round(1 - total["tokens"] / total["positions"], 4),
            "peak_mib": max(turn["peak_mib"] for turn in found),
        }
    base = table["packed"]["real_tokens_per_cpu_second"]
    ratios = {name: round(base / row["real_tokens_per_cpu_second"], 2) for name, row in table.items()}
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, no GPU, {asked.threads} threads",
        "environment": {k: v for k, v in os.environ.items() if k in PLAIN},
        "teacher_ratio": asked.teacher_ratio,
        "steps": ROUNDS * STEPS,
        "systems": table,
        "packed_over": ratios,
        "turns": turns,
    }
    plain = "-plain" if result["environment"] else ""
    file = RESULTS / f"{result['date']}-train-throughput{plain}.json"
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, row in table.items():
        print(f"{name}: {row}, packed over it {ratios[name]}")


if __name__ == "__main__":
    main()
