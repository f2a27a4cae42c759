"""What a training step of the detector takes, by part: counted on fake tensors, at any size, see
:mod:`argusvl.training.allocations`.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.patches import TOKEN_AREA
from argusvl.detection.data.sampling.conversation import ROLE_IDS
from argusvl.detection.data.sampling.positions import conversation_positions
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.losses import LossSettings
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.training.allocations import Allocations, Timeline

Precision = Literal["float32", "mixed", "bfloat16"]
"""Of weights and computing: both float32; float32 and bfloat16; both bfloat16."""

PARTS = ("logits and losses", "batch", "vision", "language", "head")
_PROMPT = 64
"""Tokens around images and answers: system prompt, questions, turns."""


@dataclass(frozen=True, slots=True)
class BatchShape:
    """How large a micro-batch is.

    Attributes:
        samples: Conversations.
        tokens: Of each, images included.
        images: Of each, its teachers' included; the last one is the student's.
        image_tokens: Merged vision tokens of an image.
        objects: Of each student image.
        caption_tokens: Of an object's description.
        labels: Vocabulary of the type score.
        packed: Whether the samples lie in one row.
    """

    samples: int = 1
    tokens: int = 4096
    images: int = 2
    image_tokens: int = 1024
    objects: int = 50
    caption_tokens: int = 16
    labels: int = 32
    packed: bool = False

    @classmethod
    def largest(cls, config: DetectionRunConfig) -> BatchShape:
        """The largest that a configuration's limits allow."""
        data, section = config.data, config.detection
        return cls(
            samples=config.training.per_device_train_batch_size,
            tokens=config.model.model_max_length,
            images=1 + (data.num_teachers if data.teacher_ratio > 0 else 0),
            image_tokens=min(data.max_pixels // TOKEN_AREA, data.vision_tokens_max),
            objects=max(1, section.detection_num_queries // section.detection_positives_per_object),
            caption_tokens=section.detection_caption_max_tokens,
            labels=32 if data.labels is None else len(data.labels),
            packed=data.collator_type == "packed",
        )

    @property
    def grid(self) -> tuple[int, int, int]:
        """Of an image, in patches: nearly square."""
        rows = math.isqrt(self.image_tokens)
        return 1, 2 * rows, 2 * (self.image_tokens // rows)

    def batch(self, config: ArgusDetectionConfig) -> dict[str, Any]:
        """A batch of that size, as :class:`~argusvl.detection.data.sampling.collation.Collator` makes them."""
        qwen, patch = config.qwen_config, config.vision_sizes
        grids = [self.grid] * self.images
        merged = self.grid[1] * self.grid[2] // 4
        length = max(self.tokens, self.images * (merged + 2) + _PROMPT + 1)
        types = np.zeros(length, dtype=np.int64)
        places = [1 + k * (merged + 2) for k in range(self.images)]
        for place in places:
            types[place : place + merged] = 1
        ids = np.where(types == 1, qwen.image_token_id, 0)
        answer = places[-1] + merged + _PROMPT  # what follows is taught
        labels, roles = np.full(length, -100, dtype=np.int64), np.zeros(length, dtype=np.int64)
        labels[answer:], roles[answer:] = 0, ROLE_IDS["student"]
        shape = (1, self.samples * length) if self.packed else (self.samples, length)
        rows = {"input_ids": ids, "mm_token_type_ids": types, "labels": labels, "label_roles": roles}
        batch: dict[str, Any] = {
            k: torch.from_numpy(np.tile(row, self.samples)).view(shape) for k, row in rows.items()
        }
        positions = conversation_positions(types, grids)
        starts = torch.arange(self.samples) * length
        objects = self.samples * self.objects
        return batch | {
            "position_ids": positions.repeat(1, self.samples).view(4, *shape),
            "attention_mask": None if self.packed else torch.ones(shape, dtype=torch.int64),
            "pixel_values": torch.zeros(
                self.samples * self.images * merged * 4,
                patch.in_channels * patch.temporal_patch_size * patch.patch_size**2,
            ),
            "image_grid_thw": torch.tensor(grids * self.samples),
            "student_image_index": torch.arange(1, self.samples + 1) * self.images - 1,
            "student_image_sample": torch.arange(self.samples),
            "student_image_start": starts + places[-1],
            "student_prompt_span": torch.stack([starts + places[-1] - 1, starts + answer], dim=1),
            "object_boxes_cxcywh_norm": torch.zeros(objects, 4),
            "object_image": torch.arange(self.samples).repeat_interleave(self.objects),
            "object_label": torch.zeros(objects, dtype=torch.int64),
            "object_caption_ids": torch.zeros(objects, self.caption_tokens, dtype=torch.int64),
            "vocabulary_ids": torch.zeros(self.labels, 4, dtype=torch.int64),
        }


@dataclass(frozen=True, slots=True)
class CountedStep:
    """A step's memory, beside that of weights and optimizer.

    Attributes:
        timeline: Of one forward and backward pass.
        parameters: By part: ``vision``, ``language``, ``head``.
        trainable: Those that train.
        linear: Values in the language model's linear layers: what quantisation reaches.
        largest_linear: Values in the largest of them.
        largest_unit: Values in the largest layer or embedding: what sharding gathers at a time.
    """

    timeline: Timeline
    parameters: dict[str, int]
    trainable: int
    linear: int
    largest_linear: int
    largest_unit: int

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self.parameters.values())


def count_step(
    config: ArgusDetectionConfig,
    batch: BatchShape,
    settings: LossSettings,
    *,
    precision: Precision,
    checkpointing: bool,
    lora_rank: int | None = None,
) -> CountedStep:
    """Counts what a forward and backward pass of a micro-batch of a size take.

    Layers that are alike are counted once, and repeated. With ``checkpointing`` the stock model's layers are
    computed again in the backward pass. A ``lora_rank`` trains the head, and matrices of this rank beside the
    language model's; the rest is frozen and in bfloat16.
    """
    config, repeats = _shortened(config)
    with Allocations(PARTS) as allocations:
        model = ArgusForDetection(config)
        model.loss_settings = settings
        model.train()
        qwen = model.qwen.model
        if precision == "bfloat16" or lora_rank is not None:
            _halve(model if lora_rank is None else model.qwen)
        linear = [m for m in qwen.language_model.layers.modules() if isinstance(m, nn.Linear)]
        repeated = dict(zip((*qwen.language_model.layers, *qwen.visual.blocks), repeats, strict=True))

        def values(parameters: Iterable[Tensor]) -> int:
            times = {id(p): number for layer, number in repeated.items() for p in layer.parameters()}
            return sum(p.numel() * times.get(id(p), 1) for p in parameters)

        vision, every = values(qwen.visual.parameters()), values(model.parameters())
        head = 0 if model.detection_head is None else values(model.detection_head.parameters())
        linears = values(m.weight for m in linear)
        units = [*qwen.language_model.layers, qwen.language_model.embed_tokens]
        if lora_rank is not None:
            model.qwen.requires_grad_(False)
            for module in linear:
                _make_lora(module, lora_rank)
        trainable = values(p for p in model.parameters() if p.requires_grad)
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
            if lora_rank is not None:
                model.enable_input_require_grads()
        allocations.watch(
            model,
            {
                "vision": [qwen.visual],
                "language": [qwen.language_model],
                "head": [] if model.detection_head is None else list(model.detection_head.children()),
            },
        )
        for layer, number in repeated.items():
            if number > 1:
                allocations.repeat(layer, number)
        allocations.start("batch")
        made = batch.batch(config)
        allocations.forward()
        mixed = precision != "float32" or lora_rank is not None
        with torch.autocast("cpu", dtype=torch.bfloat16) if mixed else contextlib.nullcontext():
            terms = model(**made).loss_terms
            assert terms is not None
            loss = torch.stack([term.float() for term in terms.values()]).sum()
        del terms
        allocations.backward()
        loss.backward()
        timeline = allocations.timeline()
    return CountedStep(
        timeline=timeline,
        parameters={"vision": vision, "language": every - vision - head, "head": head},
        trainable=trainable,
        linear=linears,
        largest_linear=max(m.weight.numel() for m in linear),
        largest_unit=max(sum(p.numel() for p in unit.parameters()) for unit in units),
    )


def _shortened(config: ArgusDetectionConfig) -> tuple[ArgusDetectionConfig, list[int]]:
    """A model of few layers, and how many each of them stands for: the language model's, then the tower's."""
    short = copy.deepcopy(config)
    text, vision = short.text_sizes, short.vision_sizes
    layers, blocks = text.num_hidden_layers, vision.depth
    full = len(vision.fullatt_block_indexes)
    repeats = [1, layers - 1][:layers]
    text.num_hidden_layers = min(2, layers)
    text.layer_types = text.layer_types[:2] if text.layer_types else None
    vision.depth = min(2, blocks)
    if 0 < full < blocks:
        vision.fullatt_block_indexes = [1]
        repeats += [blocks - full, full]
    else:
        vision.fullatt_block_indexes = list(range(vision.depth)) if full else []
        repeats += [1, blocks - 1][:blocks]
    for part in (short.qwen_config, text, vision):
        part.dtype = torch.float32
    short.qwen_config._attn_implementation = "sdpa"
    return short, repeats


def _halve(model: nn.Module) -> None:
    """``model.to(torch.bfloat16)``, which fake parameters do not know."""
    halves: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in halves:
                halves[id(parameter)] = nn.Parameter(parameter.detach().to(torch.bfloat16))
            module.register_parameter(name, halves[id(parameter)])


def _make_lora(linear: nn.Linear, rank: int) -> None:
    """As PEFT does: matrices of a low rank in float32 beside a frozen one."""
    linear.__class__ = _LoraLinear
    assert isinstance(linear, _LoraLinear)
    linear.lora_down = nn.Parameter(torch.zeros(rank, linear.in_features))
    linear.lora_up = nn.Parameter(torch.zeros(linear.out_features, rank))


class _LoraLinear(nn.Linear):
    lora_down: nn.Parameter
    lora_up: nn.Parameter

    def forward(self, hidden_states: Tensor) -> Tensor:
        down = F.linear(hidden_states.to(self.lora_down.dtype), self.lora_down)
        return super().forward(hidden_states) + F.linear(down, self.lora_up)
