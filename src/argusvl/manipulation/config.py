"""The configuration of a hand run: the common sections, extended, and the task's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from argusvl.config.schema import (
    Count,
    DataSection,
    FilePath,
    KeyProblem,
    Rate,
    RunConfig,
    Section,
    TrainingSection,
)
from argusvl.manipulation.data.augmentation import HandAugmentation
from argusvl.manipulation.data.reading import Format

Metric = Literal["mpjpe", "mpjpe_root", "mpjpe_pa", "auc", "auc_root", "auc_pa"]
"""Figures of an evaluation that may choose the best checkpoint."""

Weight = Annotated[float, Field(ge=0)]


class HandDataSection(DataSection):
    """Which hands are used, and how they are cut out."""

    train: FilePath
    """Folder of training data, or the JSON file of a coco data set."""
    val: FilePath | None = None
    """Of held-out data, in the same format; without it there is no evaluation in training."""
    root: FilePath | None = None
    """Of no use here: a data set knows where its pictures are; coco has the option images."""
    format: Format
    """How the data are laid out; docs/hand-data.md describes each."""
    train_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the reader for the training data, such as {setup: s0, split: train} for dexycb."""
    val_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the reader for the held-out data."""
    box_margin: float = Field(ge=1, le=4)
    """Factor of the longer side of a hand's box: the side of the square that is cut out."""
    input_noise: float = Field(ge=0, lt=1)
    """Deviation of noise on the normalised input in the first epochs, against answers that ignore the picture."""
    input_noise_epochs: float = Field(ge=0)
    """Epochs over which that noise falls to 0."""
    augmentation: HandAugmentation
    """Random changes of training crops."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        if self.root is not None:
            yield KeyProblem("root", f"is {self.root}", "leave it out; for coco write train_options.images")


class HandModelSection(Section):
    """What is trained: a checkpoint to start from, or the sizes of a new model."""

    model_path: str | None = None
    """Checkpoint to start from: argus-hand, a run or a checkpoint's folder; null for a new model."""
    encoder: str
    """Of a new model: small (random weights), efficientnet-lite0 (pretrained on ImageNet), or the folder of a ViT in
    hub layout such as DINOv2."""
    encoder_stages: Literal[5, 7]
    """Of EfficientNet: with 5 the decoder's dense convolutions do what its last two would, in less time on a CPU."""
    frozen_stages: int = Field(ge=0)
    """Number of the encoder's first stages, or layers, that never train."""
    positions: bool
    """Whether patches know where they are; without, hands cannot be told apart by their place."""
    image_size: Count
    """Side of the crop, pixels."""
    hidden_size: Count
    """Width of the decoder, in features."""
    num_layers: Count
    """Number of the decoder's layers."""
    num_heads: Count
    """Number of attention heads of each."""
    num_refinement_steps: int = Field(ge=0)
    """Times that joints are projected, looked at in the picture and corrected; 0: no heat maps either."""
    sigma_reparam: bool
    """Whether linear layers of attention are divided by their largest singular value (arXiv 2303.06296)."""
    dropout: float = Field(ge=0, lt=1)
    """Share of features left out in the decoder while training."""
    wide_initialisation: bool
    """Whether joint queries begin far apart."""
    objects: list[str]
    """Names of the objects whose pose is learned; those of a data set that are not listed are left out."""


class HandLossSection(Section):
    """Weights of the losses; 0 for one that is left out of the total."""

    joints_weight: Weight
    """Of the coarse joints relative to the wrist."""
    refined_weight: Weight
    """Of the joints after each step of refinement; finger tips count half as much again."""
    root_weight: Weight
    """Of the wrist's depth."""
    reprojection_weight: Weight
    """Of where the joints are seen in the crop."""
    heatmap_weight: Weight
    """Of the heat map that says where in the crop each joint is."""
    confidence_weight: Weight
    """Of each joint's confidence."""
    object_kind_weight: Weight
    """Of which object is held."""
    object_position_weight: Weight
    """Of where the object is."""
    object_rotation_weight: Weight
    """Of how it is turned: the angle, symmetries left out."""
    contact_weight: Weight
    """Of which joints touch it."""
    penetration_weight: Weight
    """Of joints inside its surface."""
    diversity_weight: Weight
    """Of hands that are too like another in the batch: a bounded hinge against a constant answer."""
    attention_weight: Weight
    """Of attention that has collapsed onto a few places."""
    activation_weight: Weight
    """Of the size of the hand's tokens."""


class HandTrainingSection(TrainingSection):
    """The common options, and the learning rate of each part."""

    encoder_lr: Rate
    """Peak learning rate of the encoder; 0 freezes it."""
    decoder_lr: Rate
    """Peak learning rate of the decoder."""
    refinement_lr: Rate
    """Peak learning rate of the refinement."""
    heads_lr: Rate
    """Peak learning rate of the heads."""
    metric_for_best_model: Metric
    """Figure of an evaluation that chooses the best checkpoint."""


class HandRunConfig(RunConfig):
    """A run that learns hands and the objects that they hold."""

    task: Literal["manipulation"]
    """Name of the task; chooses the schema."""
    data: HandDataSection
    """Which hands are used, and how they are cut out."""
    model: HandModelSection
    """What is trained."""
    losses: HandLossSection
    """Weights of the losses."""
    training: HandTrainingSection
    """How long, how fast, and what is kept."""
