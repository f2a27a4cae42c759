"""Hands and objects as the engine sees them: what ``argus train`` must know, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import PreTrainedModel

from argus_doctor.findings import Finding, finding_of
from argusvl.assets import model_folder
from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError, CheckpointError, DataError
from argusvl.core.figures import FigureSpec
from argusvl.core.logging import get_logger
from argusvl.manipulation.config import HandRunConfig
from argusvl.manipulation.data.checking import Floats
from argusvl.manipulation.data.dataset import CropSettings, HandCrop, HandDataset, collate, usable
from argusvl.manipulation.data.reading import open_hands
from argusvl.manipulation.data.records import HandRecord
from argusvl.manipulation.measure.evaluation import HandEvaluation, evaluate_dataset
from argusvl.manipulation.measure.metrics import FIGURES, mean_pose
from argusvl.manipulation.model.configuration import HUB
from argusvl.manipulation.model.loading import load_config, load_model
from argusvl.manipulation.model.losses import LOSSES
from argusvl.manipulation.model.modeling import new_config, new_model
from argusvl.manipulation.predict.checkpoint import HandAssets
from argusvl.run.checkpoints import checkpoint_at
from argusvl.training.parallel import Parallel
from argusvl.training.protocol import LossTerm, ParameterGroup

logger = get_logger(__name__)

PICTURES_SHOWN = 4
GROUPS = ("encoder", "decoder", "refinement", "heads")
"""Names of the model's parts, and so of the parameter groups."""
FIXED_SIZES = (
    *("positions", "image_size", "hidden_size", "num_layers", "num_heads", "num_refinement_steps"),
    *("sigma_reparam", "objects"),
)
"""Keys of the configuration's model that a checkpoint has decided."""


class HandTask:
    """Meets :class:`argusvl.training.protocol.Task` for a :class:`HandRunConfig`.

    Raises:
        ArgusError: What the configuration names is missing or cannot be read.
    """

    def __init__(self, config: HandRunConfig) -> None:
        self.config = config
        self._last: tuple[HandDataset, HandEvaluation] | None = None
        self._learned: HandAssets | None = None

    def load_assets(self, checkpoint: Path) -> None:
        """The mean pose is that of the run that goes on.

        Raises:
            CheckpointError: It is missing or damaged.
        """
        self._learned = HandAssets.load(checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """Nothing is learned beside the weights."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """There is nothing to take."""

    # Data

    @cached_property
    def _read(self) -> list[tuple[Path, list[HandRecord], list[Finding]]]:
        """Of the training data, then of the held-out data if there are any: records, and what is wrong with others."""
        data = self.config.data
        parts = [(data.train, data.train_options), (data.val, data.val_options)]
        return [
            (path, *open_hands(path, data.format, options).read(data.max_examples))
            for path, options in parts
            if path is not None
        ]

    @cached_property
    def _hands(self) -> tuple[list[HandRecord], list[HandRecord]]:
        """Those to train on, and those held out, if any."""
        train, *held_out = (usable(_without_findings(*part)) for part in self._read)
        return train, held_out[0] if held_out else []

    @cached_property
    def _crop(self) -> CropSettings:
        return CropSettings(self.config.model.image_size, self.config.data.box_margin)

    @cached_property
    def mean_pose(self) -> Floats:
        """``[21, 3]``: of the training crops: what answers without looking at the picture."""
        if self._learned is not None:
            return self._learned.mean_pose
        records, _ = self._hands
        # Left hands are mirrored, as in their crops.
        mirror = np.array([-1.0, 1.0, 1.0])
        joints = np.stack([r.joints_m * (mirror if r.side == "left" else 1.0) for r in records])
        return mean_pose(joints, np.stack([r.joint_valid for r in records]))

    def check(self) -> Sequence[Finding]:
        """Reads every record."""
        try:
            if findings := [one for _, _, found in self._read for one in found]:
                return findings
            train, held_out = self._hands
            _ = self.mean_pose, self._base
            self._refuse_shared(train, held_out)
        except ArgusError as error:
            return [finding_of(error)]
        left_out = len(self._read[0][1]) - len(train)
        without = f" ({left_out} records left out, which show none)" if left_out else ""
        logger.info("%d training hands%s, %d held out", len(train), without, len(held_out))
        return []

    def _refuse_shared(self, train: Sequence[HandRecord], held_out: Sequence[HandRecord]) -> None:
        shared = {one.image.resolve() for one in train} & {one.image.resolve() for one in held_out}
        if shared:
            raise DataError(
                f"{len(shared)} pictures are in the training data and in the held-out data",
                where=min(shared),
                remedy="take them out of one of the two: figures of pictures that were trained on mean nothing",
                slug="hand-data-shared",
            )

    def train_dataset(self) -> HandDataset:
        """Crops, changed at random."""
        data, seed = self.config.data, self.config.training.seed
        noise = data.input_noise, data.input_noise_epochs
        return HandDataset(self._hands[0], self._crop, data.augmentation, seed, noise)

    def eval_dataset(self) -> HandDataset | None:
        """Held-out crops as they are."""
        return HandDataset(self._hands[1], self._crop) if self._hands[1] else None

    def collate(self, samples: Sequence[HandCrop]) -> Batch:
        """Crops → batch."""
        return collate(samples, self.config.model.objects)

    # Model

    def model(self) -> PreTrainedModel:
        """The checkpoint that the configuration names, or a new model of its sizes.

        Raises:
            CheckpointError: The checkpoint is of other sizes.
        """
        section = self.config.model
        if self._base is None:
            return new_model(section.encoder, **self._sizes)
        # What ships is stored in 16 bits.
        changeable = {"dropout": section.dropout, "encoder_frozen_stages": section.frozen_stages}
        return load_model(self._base, **changeable)

    @property
    def _sizes(self) -> dict[str, Any]:
        section = self.config.model
        fields = section.model_dump(exclude={"model_path", "encoder", "frozen_stages"})
        return fields | {"encoder_frozen_stages": section.frozen_stages}

    @cached_property
    def _base(self) -> Path | None:
        """Folder of the checkpoint to start from, whose sizes are the configured ones."""
        section = self.config.model
        if section.model_path is None:
            new_config(section.encoder, **self._sizes)
            return None
        folder = checkpoint_at(model_folder(section.model_path))
        trained, shape = HandAssets.load(folder), load_config(folder)
        fixed = FIXED_SIZES + (() if shape.encoder == HUB else ("encoder", "encoder_stages"))
        there = {name: getattr(shape, name) for name in fixed} | {"box_margin": trained.box_margin}
        asked = section.model_dump() | {"box_margin": self.config.data.box_margin}
        other = [f"{name} {value}" for name, value in there.items() if asked[name] != value]
        if other:
            raise CheckpointError(
                f"it was trained with {', '.join(other)}",
                where=folder,
                remedy="write the same, or model_path: null for a new model",
            )
        return folder

    def loss_terms(self) -> Sequence[LossTerm]:
        """The table's losses with the configured weights."""
        weights = self.config.losses
        return [
            LossTerm(name, spec.count, getattr(weights, f"{name}_weight"), f"{name}_loss")
            for name, spec in LOSSES.items()
        ]

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """The model's parts and their rates."""
        return [
            ParameterGroup(name, rf"^{name}\.", getattr(self.config.training, f"{name}_lr"), optional=True)
            for name in GROUPS
        ]

    # Evaluation

    def evaluate(self, model: PreTrainedModel, dataset: Any, parallel: Parallel) -> dict[str, float]:
        """Figures on held-out hands, and those of the mean pose."""
        size = self.config.training.per_device_eval_batch_size
        found = evaluate_dataset(model, dataset, self.mean_pose, batch_size=size, parallel=parallel)
        self._last = dataset, found
        logger.info("%s", "; ".join(f"{n} {m}" for n, m in found.figures.figures.items() if "auc" not in n))
        return dict(found.scalars)

    def figures(self) -> Mapping[str, FigureSpec]:
        """What the figures mean."""
        return FIGURES

    def pictures(self) -> Mapping[str, Image.Image]:
        """Truth beside prediction for the first hands of the last evaluation."""
        from argusvl.manipulation.report.drawing import draw_comparison

        if self._last is None:
            return {}
        dataset, found = self._last
        shown = range(min(PICTURES_SHOWN, len(dataset)))
        return {
            f"{k}: {dataset.records[k].image.name}": draw_comparison(dataset[k], found.predictions[k])
            for k in shown
        }

    def save_assets(self, folder: Path) -> None:
        """How hands are cut out, and the mean pose."""
        crop = self._crop
        pose = self.mean_pose.round(6).tolist()
        turned = self.config.data.augmentation.rotation >= 90
        HandAssets(crop.size, crop.margin, pose, self.config.model_dump(mode="json"), turned).save(folder)


def _without_findings(path: Path, records: list[HandRecord], findings: Sequence[Finding]) -> list[HandRecord]:
    """The records, if nothing is wrong with any of the file.

    Raises:
        DataError: Something is: trained on the others, a model would be of other data than the user believes.
    """
    if not findings:
        return records
    first = findings[0]
    raise DataError(
        f"{len(findings)} of {len(records) + len(findings)} hands cannot be used; the first: {first.where}: "
        f"{first.what}",
        where=path,
        remedy=f"{first.remedy}; `argus train CONFIG --validate-only` names each",
        slug=first.slug,
    )
