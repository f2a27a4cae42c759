"""Real tokens a second of training: packed, padded, and the same conversations trained by others.

    python benchmarks/train_throughput.py                      # ours, and plain transformers.Trainer
    python benchmarks/train_throughput.py --trl PYTHON         # and TRL, by its interpreter
    python benchmarks/train_throughput.py --shape language     # small pictures, long conversations
    python benchmarks/train_throughput.py --profile packed     # where its processor time goes, module by module

All train the same Qwen2.5-VL (the embedded base's, without a detection head, which others have not) in float32 on the
same conversations: pictures of BBU rooms and of blood cells, teachers before them, eight samples a step. Every sample
is prepared before, so that what is measured is the step: how samples become a batch, and the model. Systems take
turns, a few steps each, in processes of their own; what a busy machine costs, it costs all of them. Ratios are of
the turns of a round, with 95 % intervals over the rounds. It is done as the machine is, or, with
``ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2``, as a plain one. Writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path("benchmarks/results")
BATCH = 8
SAMPLES = 160
WARM_UP, ROUNDS, STEPS = 1, 6, 1
IGNORED = -100
OURS = ("packed", "padded")
TRAINER = ("trainer-random", "trainer-grouped")
WRITTEN = 4
"""Rounds from which a result is written."""
TRL = ("trl-random",)
"""Its ``packing`` and ``padding_free`` refuse pictures ("not supported for vision datasets", TRL 1.16)."""
PLAIN = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t, two-sided 95 %, by degrees of freedom."""


@dataclass(frozen=True)
class Shape:
    """What a sample looks like.

    Attributes:
        name: Of the shape.
        max_pixels: Of a picture; a merged vision token is 784 of them.
        teachers: Demonstrations before a sample that has any.
        teacher_ratio: Share of samples that have.
    """

    name: str
    max_pixels: int
    teachers: int
    teacher_ratio: float

    @property
    def work(self) -> Path:
        """Its data, and the runs on them."""
        return Path("runs/throughput") / self.name

    @property
    def samples(self) -> Path:
        """Its samples as tensors."""
        return self.work / "samples.pt"

    @property
    def config(self) -> Path:
        """Of our own runs."""
        return self.work / "run.yaml"


SHAPES = {
    shape.name: shape for shape in (Shape("pictures", 235200, 1, 0.7), Shape("language", 50176, 4, 1.0))
}


# What all train on


def prepare(images: int, shape: Shape) -> None:
    """Records of both sets in one file, the configuration, and every sample as tensors for the others."""
    import torch

    work, config = shape.work, shape.config
    data = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "bccd"
    if not data.is_dir():
        raise SystemExit(f"{data} is not there: set ARGUS_SHARED_DATA to the folder that holds bccd")
    argus("data", "synth", "bbu-room", work / "bbu", "--images", images, "--seed", 1)
    pixels = ("--min-pixels", 3136, "--max-pixels", shape.max_pixels)
    argus("data", "convert", "voc", data, work / "bccd", *pixels, "--overwrite", accept=(0, 1))
    lines = [line for name in ("bbu", "bccd") for line in records_of(work / name)]
    random.Random(0).shuffle(lines)
    (work / "train.jsonl").write_text("".join(lines[:SAMPLES]), encoding="utf-8")
    start = argus("init", work / "train.jsonl", "--model", "argus-tiny")
    config.write_text(start, encoding="utf-8")
    dataset = task_of("standard", shape).train_dataset()
    torch.save([as_tensors(dataset[index]) for index in range(len(dataset))], shape.samples)


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


def task_of(kind: str, shape: Shape, rounds: int = ROUNDS) -> Any:
    """The detection task without its head, on the language path alone."""
    from argusvl.config.loading import load_config
    from argusvl.detection.config import DetectionRunConfig
    from argusvl.detection.task import DetectionTask

    return DetectionTask(
        load_config(
            shape.config,
            DetectionRunConfig,
            [
                f"collator_type={kind}",
                f"teacher_ratio={shape.teacher_ratio}",
                f"teacher_pool={shape.work / 'bbu' / 'teacher_pool.jsonl'}",
                f"model_path={stock_model()}",
                f"num_teachers={shape.teachers}",
                *("detection_enabled=false", "transfer_vocab_size=null", "bf16=false"),
                *("horizontal_flip=0", "scale_min=1", "scale_max=1", "ema_decay=null"),
                *("brightness=0", "contrast=0", "saturation=0", "model_max_length=8192", "report_to=[]"),
                f"max_pixels={shape.max_pixels}",
                *("min_pixels=3136", "vision_tokens_warn=400", "vision_tokens_max=400"),
                f"per_device_train_batch_size={BATCH}",
                *("gradient_accumulation_steps=1", f"max_steps={WARM_UP + rounds * STEPS}", "val=null"),
                *("eval_steps=1000", "save_steps=1000", "logging_steps=1000", "num_train_epochs=100"),
                f"output_dir={shape.work / kind}",
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
    """Trains a few steps when told to, and says what they took.

    Attributes:
        rounds: How many turns there are.
        wait: Whether to wait before each until told to go on.
    """

    def __init__(self, rounds: int = ROUNDS, wait: bool = True) -> None:
        self.rounds, self.wait = rounds, wait
        self.tokens = self.positions = self.images = 0
        self.peak = 0
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def _watch_memory(self) -> None:
        """Its highest memory of its own: without mapped files, so without the samples that others read from one."""
        while True:
            lines = Path("/proc/self/status").read_text("utf-8").splitlines()
            own = next(line for line in lines if line.startswith("RssAnon"))
            self.peak = max(self.peak, int(own.split()[1]))
            time.sleep(0.02)

    def count(self, _: Any, __: Any, batch: dict[str, Any]) -> None:
        """Adds a batch as it enters the model: loaders make theirs a step ahead."""
        ids, mask = batch["input_ids"], batch.get("attention_mask")
        self.positions += ids.numel()
        self.tokens += ids.numel() if mask is None else int(mask.sum())
        self.images += len(batch["image_grid_thw"])

    def callback(self) -> Any:
        """For any ``transformers.Trainer``."""
        from transformers import TrainerCallback

        turns = self

        class Waiting(TrainerCallback):
            def on_train_begin(self, *_: Any, model: Any, **__: Any) -> None:
                model.register_forward_pre_hook(turns.count, with_kwargs=True)

            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                done = state.global_step - WARM_UP
                if done < 0 or done % STEPS:
                    return
                turns.report(done // STEPS)
                if turns.wait:
                    sys.stdin.readline()
                turns.start()

            def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                turns.report(turns.rounds)

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
            found["peak_mib"] = self.peak // 1024
        print("turn " + json.dumps(found), flush=True)


def train_ours(kind: str, folder: str, shape: Shape, turns: Turns) -> None:
    """By ``argus train``'s own engine."""
    import shutil

    from argusvl.training.run import run_training

    task = task_of("standard" if kind == "padded" else kind, shape, turns.rounds)
    shutil.rmtree(task.config.training.output_dir, ignore_errors=True)
    dataset = task.train_dataset()
    samples = [dataset[index] for index in range(len(dataset))]
    dataset.__class__ = type(
        "Prepared", (type(dataset),), {"__getitem__": lambda self, index: samples[index]}
    )
    task.train_dataset = lambda: dataset
    run_training(task, task.config, callbacks=[turns.callback()])


def train_stock(kind: str, folder: str, shape: Shape, turns: Turns) -> None:
    """By transformers' Trainer, or TRL's, on the stock model with a padding collator."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    samples = torch.load(shape.samples, mmap=True)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)

    class Prepared(torch.utils.data.Dataset):  # type: ignore[type-arg]
        column_names = tuple(samples[0])

        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: int) -> dict[str, Any]:
            return samples[index]

    def collate(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        chosen = [samples[one["number"]] if "number" in one else one for one in chosen]
        pad = torch.nn.utils.rnn.pad_sequence
        ids = [one["input_ids"] for one in chosen]
        mask = pad([torch.ones_like(one) for one in ids], batch_first=True)
        return {
            "input_ids": pad(ids, batch_first=True, padding_value=0),
            "attention_mask": mask,
            "labels": pad([one["labels"] for one in chosen], batch_first=True, padding_value=IGNORED),
            "mm_token_type_ids": pad([one["mm_token_type_ids"] for one in chosen], batch_first=True),
            "pixel_values": torch.cat([one["pixel_values"] for one in chosen]),
            "image_grid_thw": torch.cat([one["image_grid_thw"] for one in chosen]),
        }

    options: dict[str, Any] = {
        "output_dir": str(shape.work / kind),
        "max_steps": WARM_UP + turns.rounds * STEPS,
        "per_device_train_batch_size": BATCH,
        "learning_rate": 1e-4,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1000,
        "remove_unused_columns": False,
        "gradient_checkpointing": False,  # as ours: TRL's default is on
        "disable_tqdm": True,
    }
    common = {"model": model, "train_dataset": Prepared(), "data_collator": collate}
    if kind.endswith("grouped"):
        options["train_sampling_strategy"] = "group_by_length"
    if kind in TRL:
        from datasets import Dataset
        from transformers import AutoTokenizer
        from trl import SFTConfig, SFTTrainer

        common["train_dataset"] = Dataset.from_dict(
            {"number": list(range(len(samples)))}
        )  # it takes no other kind

        arguments = SFTConfig(
            **options, dataset_kwargs={"skip_prepare_dataset": True}, max_length=None, bf16=False
        )
        trainer = SFTTrainer(**common, args=arguments, processing_class=AutoTokenizer.from_pretrained(folder))
    else:
        from transformers import Trainer, TrainingArguments

        trainer = Trainer(**common, args=TrainingArguments(**options))
    trainer.add_callback(turns.callback())
    trainer.train()


# Turns


def measure(systems: dict[str, list[str]], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Lets each train a few steps in turn."""
    running = {
        name: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name, command in systems.items()
    }
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    for name, process in running.items():
        heard(name, process)  # it is warm
    for number in range(rounds):
        for name, process in running.items():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            turns[name].append(heard(name, process))
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
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


def ratio(own: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, float]:
    """How many times the other's real tokens a processor second: geometric mean over the rounds, and its 95 %."""
    logs = [
        math.log(a["tokens"] / a["cpu"] * b["cpu"] / b["tokens"]) for a, b in zip(own, other, strict=True)
    ]
    middle = statistics.fmean(logs)
    either = T_95[len(logs) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    found = {"times": middle, "low": middle - either, "high": middle + either}
    return {name: round(math.exp(value), 3) for name, value in found.items()}


def summary(turns: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Of each system, over all of its turns."""
    table = {}
    for name, found in turns.items():
        total = {key: sum(turn[key] for turn in found) for key in found[0]}
        table[name] = {
            "real_tokens_per_second": round(total["tokens"] / total["wall"]),
            "real_tokens_per_cpu_second": round(total["tokens"] / total["cpu"]),
            "images_per_second": round(total["images"] / total["wall"], 2),
            "tokens_per_sample": round(total["tokens"] / (BATCH * STEPS * len(found))),
            "padding_share": round(1 - total["tokens"] / total["positions"], 4),
            "peak_mib": max(turn["peak_mib"] for turn in found),
            "packed_over_it": ratio(turns["packed"], found),
        }
    return table


# Where the time goes


def profile(kind: str, folder: str, shape: Shape, turns: Turns) -> None:
    """Trains some steps and prints the processor seconds by module, a parent's without its children's."""
    import torch

    before: dict[str, float] = {}
    stack: list[list[Any]] = []

    def enter(module: Any, *_: Any) -> None:
        stack.append([type(module).__name__, time.thread_time(), 0.0])

    def leave(module: Any, *_: Any) -> None:
        name, begun, inside = stack.pop()
        taken = time.thread_time() - begun
        before[name] = before.get(name, 0.0) + taken - inside
        if stack:
            stack[-1][2] += taken

    torch.nn.modules.module.register_module_forward_pre_hook(enter)
    torch.nn.modules.module.register_module_forward_hook(leave)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        run_worker(kind, folder, shape, turns)
    print("forward pass by module, processor seconds")
    for name, taken in sorted(before.items(), key=lambda item: -item[1])[:15]:
        print(f"{taken:8.2f}  {name}")
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=60))


def run_worker(kind: str, folder: str, shape: Shape, turns: Turns) -> None:
    """One of the systems, in this process."""
    (train_ours if kind in OURS else train_stock)(kind, folder, shape, turns)


def main() -> None:
    """Prepares, measures and writes the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100, help="pictures of BBU rooms beside those of cells")
    parser.add_argument("--shape", choices=SHAPES, default="pictures")
    parser.add_argument("--trl", metavar="PYTHON", help="interpreter of an environment with TRL")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="with fewer it is a trial, and nothing is written"
    )
    parser.add_argument(
        "--profile", choices=(*OURS, *TRAINER, *TRL), metavar="SYSTEM", help="in this process"
    )
    parser.add_argument("--worker", choices=(*OURS, *TRAINER, *TRL), help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    shape = SHAPES[asked.shape]
    if asked.worker or asked.profile:
        import torch

        torch.set_num_threads(asked.threads)
        turns = Turns(asked.rounds, wait=asked.profile is None)
        folder = asked.model or str(stock_model())
        (run_worker if asked.worker else profile)(asked.worker or asked.profile, folder, shape, turns)
        return
    shape.work.mkdir(parents=True, exist_ok=True)
    if not shape.samples.is_file():
        prepare(asked.images, shape)
    common = [__file__, "--threads", str(asked.threads), "--rounds", str(asked.rounds)]
    common += ["--shape", shape.name, "--model", str(stock_model()), "--worker"]
    systems = {kind: [sys.executable, *common, kind] for kind in (*OURS, *TRAINER)}
    if asked.trl:
        systems |= {kind: [asked.trl, *common, kind] for kind in TRL}
    taken = measure(systems, asked.rounds)
    table = summary(taken)
    for name, row in table.items():
        print(f"{name}: {row}")
    if asked.rounds < WRITTEN:
        return
    plain = {k: v for k, v in os.environ.items() if k in PLAIN}
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, no GPU, {asked.threads} threads"
        + (", AVX2 only" if plain else ""),
        "environment": plain,
        "shape": vars(shape),
        "steps": asked.rounds * STEPS,
        "systems": table,
        "turns": taken,
    }
    name = f"{result['date']}-train-throughput-{shape.name}{'-plain' if plain else ''}.json"
    (RESULTS / name).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
