"""What a step is predicted to take is what it takes: compared with the memory that a process has used at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from argusvl.assets import model_folder
from argusvl.detection.measure.footprint import BatchShape, CountedStep, count_step
from argusvl.detection.measure.strategies import GIB, Strategy, first_that_fits, need
from argusvl.detection.model.architecture import PublishedShape
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.loading import load_config
from argusvl.detection.model.losses import SHIPPED
from argusvl.networks.efficientnet_lite import EfficientNetLite0

CASES = [(2, False, False), (2, True, True), (4, False, True), (4, True, False)]
"""Samples, whether they are packed, and whether layers are computed again."""


def shape(samples: int, packed: bool) -> BatchShape:
    return BatchShape(
        samples=samples,
        tokens=150,
        images=1,
        image_tokens=36,
        objects=8,
        caption_tokens=12,
        labels=8,
        packed=packed,
    )


def peak(step: CountedStep) -> int:
    """Most bytes in use at once."""
    return int(step.timeline.bytes_in_use.sum(1).max())


def tiny() -> ArgusDetectionConfig:
    return load_config(model_folder("argus-tiny"))


MEASURE = """
import ctypes, gc, json, sys, torch
from argusvl.assets import model_folder
from argusvl.detection.model.modeling import ArgusForDetection
sys.path.insert(0, sys.argv[1])
from test_footprint import CASES, SHIPPED, shape

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

def step(batch):
    sum(model(**batch).loss_terms.values()).backward()

torch.set_num_threads(1)
model = ArgusForDetection.from_pretrained(model_folder("argus-tiny"), dtype=torch.float32)
model.loss_settings = SHIPPED
measured = []
for samples, packed, saves in CASES:
    model.train()
    model.activation_checkpointing_enable({"use_reentrant": False}) if saves else model.gradient_checkpointing_disable()
    batch = shape(samples, packed).batch(model.config)
    batch["object_boxes_cxcywh_norm"] = torch.rand(len(batch["object_image"]), 4) * 0.3 + 0.2
    for warm in range(2):
        model.zero_grad()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # forgets the highest mark
        before = status("VmRSS")
        step(batch)
        peak = status("VmHWM") - before
    measured.append(peak)
print(json.dumps(measured))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the measure needs Linux")
def test_the_peak_is_within_15_percent_of_what_a_process_takes() -> None:
    # Blocks are given back when they are freed, so that resident memory is memory in use.
    quiet = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(Path(__file__).parent)],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=True,
    )
    ratios: dict[tuple[Any, ...], float] = {}
    for case, measured in zip(CASES, json.loads(done.stdout), strict=True):
        samples, packed, saves = case
        step = count_step(tiny(), shape(samples, packed), SHIPPED, precision="float32", checkpointing=saves)
        batch = int(step.timeline.bytes_in_use[:, step.timeline.parts.index("batch")].max())
        ratios[case] = (peak(step) - batch) / measured  # the batch was there before
    assert all(0.85 <= ratio <= 1.15 for ratio in ratios.values()), ratios


def small(layers: int, blocks: int) -> ArgusDetectionConfig:
    qwen = PublishedShape(128, layers, 4, 2, 256, 160_000, True, 128).config()
    vision: Any = qwen.vision_config
    vision.depth, vision.hidden_size, vision.num_heads = blocks, 64, 4
    vision.fullatt_block_indexes = [blocks - 1]
    return ArgusDetectionConfig(qwen, hidden_size=32, num_heads=4, ffn_size=64, num_queries=8)


@pytest.mark.parametrize(("precision", "saves"), [("float32", False), ("mixed", True)])
def test_like_layers_are_counted_once(precision: Any, saves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from argusvl.detection.measure import footprint

    batch = BatchShape(1, 200, 1, 16, 2, 4, 4)
    few = count_step(small(6, 4), batch, SHIPPED, precision=precision, checkpointing=saves)

    def whole(config: ArgusDetectionConfig) -> Any:
        return config, [1] * (6 + 4)

    monkeypatch.setattr(footprint, "_shortened", whole)
    all_of_them = count_step(small(6, 4), batch, SHIPPED, precision=precision, checkpointing=saves)
    assert (few.parameters, few.trainable, few.linear) == (
        all_of_them.parameters,
        all_of_them.trainable,
        all_of_them.linear,
    )
    assert peak(few) == pytest.approx(peak(all_of_them), rel=0.03)


def test_a_second_eye_is_counted_and_its_first_stages_do_not_train() -> None:
    batch = BatchShape(1, 200, 1, 16, 2, 4, 4)
    counted = {}
    for name in ("none", "efficientnet-lite0"):
        config = small(4, 3)
        config.second_eye = name
        counted[name] = count_step(config, batch, SHIPPED, precision="float32", checkpointing=False)
    none, eye = counted.values()
    network = sum(p.numel() for p in EfficientNetLite0().without_classifier().fold_norms().parameters())
    assert eye.parameters["head"] > none.parameters["head"] + network
    assert eye.trainable < eye.total and none.trainable == none.total
    assert peak(eye) > peak(none)


def test_strategies_take_less_as_they_promise() -> None:
    batch = BatchShape(1, 200, 1, 16, 2, 4, 4)
    plain = count_step(small(4, 3), batch, SHIPPED, precision="float32", checkpointing=False)
    saving = count_step(small(4, 3), batch, SHIPPED, precision="float32", checkpointing=True)
    lora = count_step(small(4, 3), batch, SHIPPED, precision="mixed", checkpointing=True, lora_rank=4)
    assert saving.timeline.forward_peak() < plain.timeline.forward_peak()
    assert plain.trainable == plain.total
    # Two matrices of rank 4 beside each of seven linear layers, and the head.
    rows = sum((a + b) * 4 for a, b in [(128, 128), (128, 64), (128, 64), (128, 128), *[(128, 256)] * 3]) * 4
    assert lora.trainable == lora.parameters["head"] + rows
    alone = Strategy("", "float32", checkpointing=False)
    whole = need(alone, plain)
    assert whole.start == 12 * plain.total  # weights and AdamW's two moments
    assert need(alone, plain, averaged=True).start == 16 * plain.total
    assert sum(whole.parts.values()) == pytest.approx(whole.peak, abs=16)
    divided = need(Strategy("", sharding="zero3", devices=4), saving)
    assert divided.parts["optimizer"] == pytest.approx(3 * plain.total, rel=1e-6)
    host = need(Strategy("", offload=True), saving)
    assert host.parts["optimizer"] == 0 and host.host == 8 * plain.total
    held = {
        base: need(Strategy("", lora_rank=4, base=base), lora).parts["weights"]
        for base in ("float32", "bfloat16", "int8", "nf4")
    }
    assert held["float32"] - held["bfloat16"] == 2 * (lora.total - lora.parameters["head"])
    assert held["bfloat16"] - held["int8"] == lora.linear
    assert held["int8"] - held["nf4"] == pytest.approx(0.484 * lora.linear, rel=0.01)
    assert first_that_fits([alone], 24, lambda _: whole) == (alone, whole)
    assert first_that_fits([alone], whole.peak / GIB, lambda _: whole) is None
