"""CLIP, ResNet, DINOv2 and SigLIP 2 as ``transformers`` has them, from a folder in hub layout or a model id.

Every size comes from the model's own ``config.json`` and ``preprocessor_config.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import (
    CLIPVisionModelWithProjection,
    Dinov2Model,
    PretrainedConfig,
    PreTrainedModel,
    ResNetModel,
    SiglipVisionModel,
)

from argusvl.core.errors import CheckpointError
from argusvl.recognition.backbones.frozen import FrozenBackbone, library_versions, weights_sha256
from argusvl.recognition.backbones.hub import CONFIG, PREPROCESSOR, model_folder, weight_files
from argusvl.recognition.backbones.hub_loading import (
    AGAIN,
    fixed_size,
    image_processor,
    load_network,
    read_config,
    resized_side,
)
from argusvl.recognition.backbones.protocol import BackboneFingerprint


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        model_id: On the hub, where its published weights are.
        model_types: What ``config.json`` may say.
        network: The part of the model that gives the vectors.
        tower: The configuration of that part, from the whole model's.
        vectors: From the network's output, ``[N, dimension]``.
        dimension: From the tower's configuration.
        pooling: How a vector comes from the last feature map or the tokens.
        elsewhere: How the names of weights begin that belong to other parts of the model.
        processor: The image processor, where ``preprocessor_config.json`` names none.
        fixed_size: Whether the network takes pictures of one size only.
    """

    model_id: str
    model_types: tuple[str, ...]
    network: type[PreTrainedModel]
    tower: Callable[[PretrainedConfig], PretrainedConfig]
    vectors: Callable[[Any], Tensor]
    dimension: Callable[[PretrainedConfig], int]
    pooling: str
    elsewhere: str
    processor: str
    fixed_size: bool


def _clip_tower(config: PretrainedConfig) -> PretrainedConfig:
    vision = getattr(config, "vision_config", config)
    vision.projection_dim = config.projection_dim
    return vision


FAMILIES: Mapping[str, Family] = {
    "clip-vit-b32": Family(
        model_id="openai/clip-vit-base-patch32",
        model_types=("clip", "clip_vision_model"),
        network=CLIPVisionModelWithProjection,
        tower=_clip_tower,
        vectors=lambda output: output.image_embeds,
        dimension=lambda tower: tower.projection_dim,
        pooling="class token, projected to the space that pictures and texts share",
        elsewhere=r"text_model\.|text_projection\.|logit_scale$|vision_model\.embeddings\.position_ids$",
        processor="CLIPImageProcessor",
        fixed_size=True,
    ),
    "resnet50": Family(
        model_id="microsoft/resnet-50",
        model_types=("resnet",),
        network=ResNetModel,
        tower=lambda config: config,
        vectors=lambda output: output.pooler_output.flatten(1),
        dimension=lambda tower: tower.hidden_sizes[-1],
        pooling="mean over the places of the last feature map",
        elsewhere=r"classifier\.",
        processor="ConvNextImageProcessor",
        fixed_size=False,
    ),
    "dinov2-base": Family(
        model_id="facebook/dinov2-base",
        model_types=("dinov2",),
        network=Dinov2Model,
        tower=lambda config: config,
        vectors=lambda output: output.pooler_output,
        dimension=lambda tower: tower.hidden_size,
        pooling="class token after the last norm",
        elsewhere=r"classifier\.",
        processor="BitImageProcessor",
        fixed_size=False,
    ),
    "siglip2-base": Family(
        model_id="google/siglip2-base-patch16-224",
        model_types=("siglip", "siglip_vision_model"),
        network=SiglipVisionModel,
        tower=lambda config: getattr(config, "vision_config", config),
        vectors=lambda output: output.pooler_output,
        dimension=lambda tower: tower.hidden_size,
        pooling="attention over the last tokens",
        elsewhere=r"text_model\.|logit_scale$|logit_bias$|vision_model\.embeddings\.position_ids$",
        processor="SiglipImageProcessor",
        fixed_size=True,
    ),
}


class TransformersBackbone(FrozenBackbone):
    """One of :data:`FAMILIES` as a backbone.

    Args:
        name: Of the family; a larger or smaller model of the same kind fits too.
        place: A folder in hub layout or a model id; the family's own id when ``None``.
        device: Where it computes.

    Raises:
        CheckpointError: The model is missing, damaged, of another kind, or would be partly random.
    """

    def __init__(self, name: str, place: str | None = None, *, device: torch.device) -> None:
        family = FAMILIES[name]
        self.folder = model_folder(place or family.model_id)
        self._vectors_of = family.vectors
        config = read_config(self.folder, family.model_types, like=family.model_id)
        self._processor = image_processor(self.folder, family.processor)
        size_hw = fixed_size(self._processor, self.folder)
        try:
            tower = family.tower(config)
            wanted, dimension = getattr(tower, "image_size", None), family.dimension(tower)
        except (AttributeError, IndexError, TypeError) as error:
            raise CheckpointError(
                f"lacks what {name} needs: {error}", where=self.folder / CONFIG, remedy=AGAIN
            ) from None
        if family.fixed_size and size_hw != (wanted, wanted):
            raise CheckpointError(
                f"makes pictures of {size_hw[0]}×{size_hw[1]}, the network of {CONFIG} takes {wanted}×{wanted}",
                where=self.folder / PREPROCESSOR[0],
                remedy="both files must come from the same model",
            )
        files = weight_files(self.folder)
        super().__init__(
            name=name,
            dimension=dimension,
            size_hw=size_hw,
            decode_side_px=resized_side(self._processor),
            device=device,
            fingerprint=BackboneFingerprint(
                backbone=name,
                weights_sha256=weights_sha256(files),
                preprocessing=json.loads(self._processor.to_json_string()),
                pooling=family.pooling,
                dtype="float32",
                libraries=library_versions("numpy", "pillow", "torch", "transformers"),
            ),
        )
        self._network = load_network(family.network, self.folder, tower, family.elsewhere).to(device)

    def _pixels(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels.to(torch.float32)

    def _vectors(self, batch: Tensor) -> Tensor:
        return self._vectors_of(self._network(pixel_values=batch))
