"""Two processes over gloo train as one with twice the batch: padded and packed, whatever each of them sees."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from argusvl.config.loading import load_config, to_yaml
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.task import DetectionTask
from argusvl.training.run import run_training

TINY = (
    "detection_dropout=0 teacher_ratio=0.5 num_teachers=1 per_device_train_batch_size=2 logging_steps=1 "
    "eval_steps=100 save_steps=3 max_steps=5 save_total_limit=9 report_to=[] bf16=false "
    "lr_scheduler_type=constant warmup_ratio=0"
)
IN_PHASES = "phases=[{until: 0.5, train: [vision, merger, llm]}, {until: 1.0, rates: {llm: 0.5}}]"
SHARDED = "trainer_arguments.fsdp=true"

CASES: dict[str, tuple[str, ...]] = {
    # A rank then meets batches without any image, object or teacher, while the other has them.
    "one sample a rank": ("per_device_train_batch_size=1", "max_steps=8"),
    "accumulated, averaged, clipped": (
        *("gradient_accumulation_steps=2", "ema_decay=0.9", "max_grad_norm=0.5", "max_steps=4"),
    ),
    "packed, checkpointed, in phases": (
        *("collator_type=packed", "gradient_checkpointing=true", "max_grad_norm=0.5", IN_PHASES),
    ),
    "sharded, averaged, clipped, one sample a rank": (
        *(SHARDED, "per_device_train_batch_size=1", "max_steps=5", "ema_decay=0.9", "max_grad_norm=0.5"),
    ),
    "sharded, packed, checkpointed, accumulated, in phases": (
        *(SHARDED, "collator_type=packed", "gradient_checkpointing=true", IN_PHASES),
        *("gradient_accumulation_steps=2", "max_steps=4"),
    ),
    "sharded, with a second eye": (SHARDED, "detection_second_eye=efficientnet-lite0", "max_steps=4"),
}


RESUMED = (
    *("accumulated, averaged, clipped", "sharded, averaged, clipped, one sample a rank"),
    *("sharded, packed, checkpointed, accumulated, in phases", "sharded, with a second eye"),
)
"""The other two save nothing that these do not."""


@pytest.fixture
def config_file(tmp_path: Path, complete_config: str, small_model: tuple[str, ...]) -> Path:
    """Sixteen records to train on and three held out; some have no image, no object, or teachers of their own."""
    rng = np.random.default_rng(0)
    records = []
    for k in range(19):
        size = (84, 56) if k % 3 else (56, 112)
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(
            tmp_path / f"{k}.png"
        )
        boxes = [[4 + 3 * n, 5 + 2 * n, 30 + 3 * n, 40 + n] for n in range(0 if k == 3 else 1 + k % 3)]
        objects = [{"bbox_2d": box, "desc": ("螺丝/正确", "标签")[n % 2]} for n, box in enumerate(boxes)]
        records.append({"images": [f"{k}.png"], "objects": objects})
    records[5] = {"images": [], "objects": []}
    records[9] = {"images": [], "objects": []}
    records[2] = {"student": records[2], "teachers": [records[1], records[4]]}
    for name, chosen in (("train", records[:16]), ("pool", records[12:14]), ("val", records[16:])):
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in chosen]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    file = tmp_path / "run.yaml"
    file.write_text(complete_config, encoding="utf-8")
    file.write_text(to_yaml(load_config(file, DetectionRunConfig, small_model)), encoding="utf-8")
    return file


def overrides(file: Path, folder: str, *changes: str) -> list[str]:
    data = (f"train={file.parent}/train.jsonl", "val=null", f"teacher_pool={file.parent}/pool.jsonl")
    chosen = {text.partition("=")[0]: text for text in (*TINY.split(), *data, *changes)}
    return [*chosen.values(), f"output_dir={file.parent}/{folder}"]


def train(file: Path, changes: Sequence[str], resume: bool = False) -> None:
    config = load_config(file, DetectionRunConfig, changes)
    run_training(DetectionTask(config), config, resume)


def one_rank(rank: int, port: int, file: Path, changes: Sequence[str], resume: bool) -> None:
    from accelerate.state import AcceleratorState

    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    AcceleratorState._reset_state(reset_partial_state=True)  # inherited by the fork
    train(file, [*changes, "trainer_arguments.ddp_backend=gloo"], resume)
    torch.distributed.destroy_process_group()


def together(file: Path, changes: Sequence[str], resume: bool = False) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = int(server.getsockname()[1])
    processes = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    ranks = [
        processes.Process(target=one_rank, args=(rank, port, file, changes, resume)) for rank in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(180)
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    assert codes == [0, 0]


def history(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "trainer_state.json").read_text("utf-8"))["log_history"]


def logged(folder: Path) -> list[dict[str, Any]]:
    return [entry for entry in history(folder) if "loss" in entry]


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_as_one_process_with_twice_the_batch(config_file: Path, case: str) -> None:
    changes = CASES[case]
    together(config_file, overrides(config_file, "two", *changes))
    # Rows of a packed batch are planned for both alike: two that follow each other are a step.
    accumulation = 2 * int(dict(text.split("=", 1) for text in changes).get("gradient_accumulation_steps", 1))
    alone = [*changes, f"gradient_accumulation_steps={accumulation}"]
    train(config_file, overrides(config_file, "one", *alone))
    one, two = (logged(config_file.parent / name) for name in ("one", "two"))
    assert len(one) == len(two) >= 4
    for ours, theirs in zip(two, one, strict=True):
        for name in ("loss", "grad_norm", "student_lm_loss", "bbox_l1_loss", "caption_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5), f"{name} at step {ours['step']}"
    if any(text.startswith("max_grad_norm") for text in changes):
        assert all(entry["grad_norm"] > 0.5 for entry in two), "nothing was clipped"

    if case not in RESUMED:
        return
    last = sorted((config_file.parent / "two").glob("checkpoint-*"), key=lambda p: int(p.name[11:]))[-1]
    last.rename(last.with_name("gone"))
    together(config_file, overrides(config_file, "two", *changes), resume=True)
    assert [entry["loss"] for entry in logged(config_file.parent / "two")] == [entry["loss"] for entry in two]


def test_a_sharded_run_is_evaluated_and_one_process_goes_on_with_it(config_file: Path) -> None:
    val = f"val={config_file.parent}/val.jsonl"  # one process has two of its pictures, the other one
    changes = [val, SHARDED, "eval_steps=2", "save_steps=2", "max_steps=4"]
    together(config_file, overrides(config_file, "two", *changes))
    run = config_file.parent / "two"
    whole = history(run)
    assert [entry["step"] for entry in whole if "eval_AP50" in entry] == [2, 4]
    assert not ArgusForDetection.from_pretrained(run / "checkpoint-4").training
    shutil.rmtree(run / "checkpoint-4")

    train(config_file, overrides(config_file, "two", *changes, "gradient_accumulation_steps=2"), resume=True)
    for ours, theirs in zip(history(run), whole, strict=True):
        for name in ("loss", "grad_norm", "eval_AP50", "eval_AP", "eval_recall"):
            assert ours.get(name, -1) == pytest.approx(theirs.get(name, -1), rel=1e-5), f"{name} at {ours}"
