"""What a configuration costs in minutes on this machine: a training step of the model's shape, timed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch

from argusvl.core.devices import usable_device
from argusvl.core.precision import compute_in, decide
from argusvl.core.threads import usable_cores
from argusvl.core.wording import counted
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.patches import TOKEN_AREA
from argusvl.detection.measure.footprint import BatchShape
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.task import DetectionTask

_TEXT_TOKENS, _CAPTION_TOKENS = 160, 8
"""Of a conversation beside its image, and of a description: as they are in most data."""
_ROUNDS, _SECONDS = 3, 10.0
"""Of a step of each size, in turns, the fastest counts, for other programs disturb. No further round begins once so
many seconds are gone."""
_PROCESSES = 4
"""Most that are proposed: each holds the model and its own batch."""


def seconds_per_step(config: DetectionRunConfig, *image_tokens: int) -> list[float]:
    """Seconds of a forward and backward pass of a batch, on the run's device: for images of each of these many merged
    vision tokens.

    Weights are random, which costs the same. What the optimizer and reading take, a few percent, is left out.

    Raises:
        ConfigError: There is no such device.
    """
    device = usable_device(config.infrastructure.device)
    task = DetectionTask(config)
    shape_of_model = task.model_config()
    # The tokens of images come last, and a new vocabulary may be smaller than the checkpoint's.
    stock, words = shape_of_model.qwen_config, shape_of_model.text_sizes
    stock.image_token_id = min(stock.image_token_id, words.vocab_size - 1)
    model = ArgusForDetection(shape_of_model)
    model.qwen.to(
        task.stock_options()["dtype"]
    )  # as its weights are loaded, whatever type they are stored in
    model.loss_settings = task.loss_settings()
    model.to(device).train()  # type: ignore[arg-type]  # transformers wraps `to` with a signature of its own
    compute_in(decide(config.training.bf16, device), model)

    def batch_of(tokens: int) -> dict[str, Any]:
        shape = replace(
            BatchShape.largest(config),
            tokens=tokens + _TEXT_TOKENS,
            image_tokens=tokens,
            images=1,
            caption_tokens=_CAPTION_TOKENS,
        )
        batch = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in shape.batch(shape_of_model).items()
        }
        return batch | {"object_boxes_cxcywh_norm": torch.full_like(batch["object_boxes_cxcywh_norm"], 0.3)}

    def step(batch: dict[str, Any]) -> float:
        start = time.perf_counter()
        terms = model(**batch).loss_terms
        assert terms is not None
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        loss.backward()
        loss.item()  # waits for a GPU
        model.zero_grad()
        return time.perf_counter() - start

    step(batch_of(min(image_tokens)))  # sets memory up
    batches = [batch_of(tokens) for tokens in image_tokens]
    began, rounds = time.perf_counter(), list[list[float]]()
    while len(rounds) < _ROUNDS and not (rounds and time.perf_counter() - began > _SECONDS):
        rounds.append([step(batch) for batch in batches])
    accumulated = config.training.gradient_accumulation_steps
    return [min(seconds) * accumulated for seconds in zip(*rounds, strict=True)]


def price(config: DetectionRunConfig) -> str:
    """A run's minutes in words, and those with half of the pixels.

    Raises:
        ConfigError: There is no such device.
    """
    most = min(config.data.max_pixels // TOKEN_AREA, config.data.vision_tokens_max)
    full, half = seconds_per_step(config, most, max(1, most // 2))
    steps = config.training.max_steps
    return (
        f"a step takes about {full:.2g} s on this machine, as busy as it is now, so {counted(steps, 'step')} some "
        f"{_minutes(steps * full)} and evaluations besides; with half of max_pixels some {_minutes(steps * half)}"
        f"{_together(config)}"
    )


def _together(config: DetectionRunConfig) -> str:
    """Without a GPU: the words that let processes share a batch, which costs less than threads that share each sum."""
    batch = config.training.per_device_train_batch_size
    most = min(usable_cores(), _PROCESSES) if usable_device(config.infrastructure.device).type == "cpu" else 1
    count = max(one for one in range(1, most + 1) if batch % one == 0)
    if count == 1:
        return ""
    return (
        f"; `per_device_train_batch_size={batch // count} --processes {count}` behind `argus train` is faster"
    )


def _minutes(seconds: float) -> str:
    return counted(max(1, round(seconds / 60)), "minute")
