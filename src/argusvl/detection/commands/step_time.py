"""What a configuration costs in minutes on this machine: a training step of the model's shape, timed."""

from __future__ import annotations

import math
import time
from dataclasses import replace

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
_STEPS = 3
"""Of which the fastest counts: the first one sets memory up, and other programs disturb."""
_PROCESSES = 4
"""Most that are proposed: each holds the model and its own batch."""
_BRIEF = 0.5
"""Seconds after which a step need not be tried again."""


def seconds_per_step(config: DetectionRunConfig, image_tokens: int) -> float:
    """Seconds of a forward and backward pass of a batch of images of so many merged vision tokens, on the run's device.

    Weights are random, which costs the same. What the optimizer and reading take, a few percent, is left out.

    Raises:
        ConfigError: There is no such device.
    """
    device = usable_device(config.infrastructure.device)
    task = DetectionTask(config)
    shape_of_model = task.model_config()
    words = shape_of_model.text_sizes  # the tokens of images come last, and a new vocabulary may be smaller
    words.vocab_size = max(words.vocab_size, shape_of_model.qwen_config.image_token_id + 1)
    model = ArgusForDetection(shape_of_model)
    model.loss_settings = task.loss_settings()
    model.to(device).train()  # type: ignore[arg-type]  # transformers wraps `to` with a signature of its own
    compute_in(decide(config.training.bf16, device), model)
    shape = replace(
        BatchShape.largest(config),
        tokens=image_tokens + _TEXT_TOKENS,
        image_tokens=image_tokens,
        images=1,
        caption_tokens=_CAPTION_TOKENS,
    )
    batch = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in shape.batch(shape_of_model).items()
    }
    batch["object_boxes_cxcywh_norm"] = torch.full_like(batch["object_boxes_cxcywh_norm"], 0.3)
    fastest = math.inf
    for _ in range(_STEPS):
        start = time.perf_counter()
        terms = model(**batch).loss_terms
        assert terms is not None
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        loss.backward()
        loss.item()  # waits for a GPU
        model.zero_grad()
        fastest = min(fastest, time.perf_counter() - start)
        if fastest > 4 * _BRIEF:
            break
    return fastest * config.training.gradient_accumulation_steps


def price(config: DetectionRunConfig) -> str:
    """A run's minutes in words, and those with half of the pixels.

    Raises:
        ConfigError: There is no such device.
    """
    most = min(config.data.max_pixels // TOKEN_AREA, config.data.vision_tokens_max)
    full, half = (seconds_per_step(config, tokens) for tokens in (most, max(1, most // 2)))
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
