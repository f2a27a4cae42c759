"""Small random models and real batches for them: conversations by ChatProcessor, padding by Collator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Qwen2_5_VLConfig
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from argusvl.core.batch import Batch
from argusvl.detection.data.prompts import PROMPTS
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.sampling.collation import Collator, CollatorType
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.samples import LoadedScene, Sample, join
from argusvl.detection.data.sampling.tokenizer import train_tokenizer
from argusvl.detection.model.architecture import qwen_config, random_qwen
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.losses import LossSettings
from argusvl.detection.model.modeling import ArgusForDetection

LABELS = ("挡风板", "标签贴纸", "螺丝")
DESCRIPTIONS = ("挡风板/已安装", "标签贴纸", "螺丝/正确")
CAPTION_TOKENS = 12
SMALL, WIDE, TALL = (56, 56), (140, 56), (56, 112)
MIXTURES = (
    *("one sample", "equal samples", "several images", "teachers", "text among images"),
    *("nothing to find", "nothing to find in any", "teachers' images only", "text alone"),
)
"""What a batch may hold; in the last two no student shows an image."""
STOCK_ARGUMENTS = ("input_ids", "attention_mask", "mm_token_type_ids", "pixel_values", "image_grid_thw")


@dataclass(frozen=True)
class Kit:
    """What a test puts its batches together from."""

    processor: ChatProcessor

    @property
    def tokenizer(self) -> TokenizersBackend:
        return self.processor.tokenizer

    @staticmethod
    def scene(seed: int, *sizes: tuple[int, int], objects: int = 2) -> LoadedScene:
        """Noise pictures of these ``(width, height)``, each with this many objects."""
        rng = np.random.default_rng(seed)
        images, annotations = [], []
        for number, (width, height) in enumerate(sizes):
            images.append(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
            for k in range(objects):
                x1, y1 = rng.uniform(0, width * 0.6), rng.uniform(0, height * 0.6)
                x2, y2 = x1 + rng.uniform(8, width * 0.35), y1 + rng.uniform(8, height * 0.35)
                desc = DESCRIPTIONS[(seed + k) % len(DESCRIPTIONS)]
                annotations.append(
                    ObjectAnnotation((float(x1), float(y1), float(x2), float(y2)), desc, number)
                )
        return LoadedScene(tuple(images), tuple(annotations))

    def sample(self, student: LoadedScene, *teachers: LoadedScene) -> Sample:
        """A training sample; a scene without objects answers with an empty list."""
        turns = [teacher.turn for teacher in teachers]
        return join(self.processor.training(student.turn, turns), student, teachers, "test")

    def mixture(self, name: str) -> list[Sample]:
        """The samples of one of :data:`MIXTURES`."""
        one, wide, several = (
            self.scene(1, SMALL),
            self.scene(2, WIDE, objects=4),
            self.scene(3, SMALL, TALL, WIDE),
        )
        text, empty = self.sample(self.scene(4, objects=0)), self.scene(7, WIDE, objects=0)
        teacher, another = self.scene(5, TALL), self.scene(6, WIDE)
        taught = [self.sample(one, teacher), self.sample(wide), self.sample(several, teacher, another)]
        return {
            "one sample": [self.sample(one)],
            "equal samples": [self.sample(one), self.sample(one)],
            "several images": [self.sample(wide), self.sample(several), self.sample(one)],
            "teachers": taught,
            "text among images": [text, self.sample(one), text, self.sample(wide)],
            "nothing to find": [self.sample(empty), self.sample(one)],
            "nothing to find in any": [self.sample(empty), self.sample(empty, one)],
            "teachers' images only": [self.sample(self.scene(4, objects=0), one), text],
            "text alone": [text, text],
        }[name]

    @staticmethod
    def gradients(model: ArgusForDetection, loss_terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of each parameter that has one, after a backward pass from the terms' sum."""
        model.zero_grad()
        torch.stack([term.float() for term in loss_terms.values()]).sum().backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    @staticmethod
    def stock(batch: dict[str, Any]) -> dict[str, Any]:
        """Of the model's arguments those that the stock model takes."""
        return {name: batch.get(name) for name in STOCK_ARGUMENTS}

    def collate(self, *samples: Sample, **options: Any) -> dict[str, Any]:
        """The model's arguments."""
        return dict(self.batch(*samples, **options).inputs)

    def batch(
        self,
        *samples: Sample,
        for_inference: bool = False,
        labels: Sequence[str] = LABELS,
        kind: CollatorType = "standard",
    ) -> Batch:
        """Samples, collated."""
        collator = Collator(
            self.processor,
            labels=labels,
            vocabulary="open",
            caption_max_tokens=CAPTION_TOKENS,
            kind=kind,
            for_inference=for_inference,
        )
        return collator(samples)

    def qwen_config(self, *, tied: bool = True, tokenizer: Any = None, **sizes: Any) -> Qwen2_5_VLConfig:
        """Two windows of 2 × 2 merged tokens, then the whole image."""
        chosen: dict[str, Any] = {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "intermediate_size": 48,
            "vision_hidden_size": 32,
            "vision_depth": 3,
            "vision_num_heads": 2,
            "vision_intermediate_size": 48,
            "vision_window_size": 56,
            "vision_fullatt_block_indexes": [1],
            "max_position_embeddings": 2048,
        }
        config = qwen_config(tokenizer or self.tokenizer, **{**chosen, **sizes})
        config.tie_word_embeddings = tied
        return config

    def model(
        self, queries: str = "proposals", seed: int = 0, tied: bool = True, **head: Any
    ) -> ArgusForDetection:
        """A model in training mode whose every weight is random: none is zero, so that everything has an effect."""
        torch.manual_seed(seed)
        config = self.qwen_config(tied=tied)
        chosen = {"hidden_size": 32, "num_heads": 2, "ffn_size": 48, "num_queries": 8, "sampling_points": 2}
        chosen |= {
            "decoder_num_layers": 2,
            "caption_decoder_num_layers": 2,
            "caption_max_tokens": CAPTION_TOKENS,
        }
        model = ArgusForDetection(
            ArgusDetectionConfig(config, queries=queries, **{**chosen, **head}), random_qwen(config, "sdpa")
        )
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                # Qwen2.5-VL's own scale (0.02) leaves hidden states almost the same everywhere at this depth.
                noise = torch.randn_like(parameter)
                if name.startswith("detection_head."):
                    parameter.add_(0.1 * noise)
                elif parameter.ndim > 1:
                    parameter.copy_(0.2 * noise)
        model.loss_settings = loss_settings()
        return model.train()


def loss_settings(**changes: Any) -> LossSettings:
    chosen: dict[str, Any] = {
        "objectness": "iou_aware",
        "focal_alpha": 0.75,
        "focal_gamma": 2.0,
        "bbox_weight": 5.0,
        "giou_weight": 2.0,
        "positives_per_object": 3,
        "assignment": "one_to_one",
    }
    return LossSettings(**{**chosen, **changes})


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def kit() -> Kit:
    texts = [text for p in PROMPTS.values() for text in (p.system, p.find, p.several)]
    texts += [*DESCRIPTIONS, '[{"bbox_2d": [12, 34, 56, 78], "label": "螺丝/正确"}]'] * 5
    tokenizer = train_tokenizer(texts, 400)
    processor = ChatProcessor(
        tokenizer, prompt_language="zh", model_max_length=2000, over_length_policy="refuse"
    )
    return Kit(processor)


@pytest.fixture(scope="session")
def settings() -> Callable[..., LossSettings]:
    return loss_settings


@pytest.fixture(params=MIXTURES)
def mixture(request: pytest.FixtureRequest, kit: Kit) -> tuple[str, list[Sample]]:
    """Each of the mixtures, with its name."""
    return request.param, kit.mixture(request.param)
