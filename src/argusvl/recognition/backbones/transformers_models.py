"""CLIP, ResNet, DINOv2 and SigLIP 2 as ``transformers`` has them, from a folder in hub layout or a model id.

Every size comes from the model's own ``config.json`` and ``preprocessor_config.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

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
from argusvl.recognition.backbones.frozen import FrozenBackbone, weights_sha256
from argusvl.recognition.backbones.hub import (
    CONFIG,
    PREPROCESSOR,
    fixed_size,
    image_processor,
    load_network,
    model_folder,
    read_config,
    resized_side,
    weight_files,
)


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        model_id: On the hub, where its published weights are.
        model_types: What ``config.json`` may say.
        network: The part of the model that gives the vectors.
        pooling: How a vector comes from the last feature map or the tokens.
        elsewhere: How the names of weights begin that belong to other parts of the model.
    """

    model_id: str
    model_types: tuple[str, ...]
    network: type[PreTrainedModel]
    pooling: str
    elsewhere: str


FAMILIES: Mapping[str, Family] = {
    "clip-vit-b32": Family(
        model_id="openai/clip-vit-base-patch32",
        model_types=("clip", "clip_vision_model"),
        network=CLIPVisionModelWithProjection,
        pooling="class token, projected to the space that pictures and texts share",
        elsewhere=r"text_model\.|text_projection\.|logit_scale$|vision_model\.embeddings\.position_ids$",
    ),
    "resnet50": Family(
        model_id="microsoft/resnet-50",
        model_types=("resnet",),
        network=ResNetModel,
        pooling="mean over the places of the last feature map",
        elsewhere=r"classifier\.",
    ),
    "dinov2-base": Family(
        model_id="facebook/dinov2-base",
        model_types=("dinov2",),
        network=Dinov2Model,
        pooling="class token after the last norm",
        elsewhere=r"classifier\.",
    ),
    "siglip2-base": Family(
        model_id="google/siglip2-base-patch16-224",
        model_types=("siglip", "siglip_vision_model"),
        network=SiglipVisionModel,
        pooling="attention over the last tokens",
        elsewhere=r"text_model\.|logit_scale$|logit_bias$|vision_model\.embeddings\.position_ids$",
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
        config = read_config(self.folder, family.model_types, like=family.model_id)
        self._processor = image_processor(self.folder)
        height, width = fixed_size(self._processor, self.folder)
        files = weight_files(self.folder)
        self._network = load_network(family.network, self.folder, _tower(config), family.elsewhere)
        try:
            with torch.inference_mode():
                dimension = self._vectors(torch.zeros(1, 3, height, width)).shape[1]
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"makes pictures of {height}×{width}, which the network of {CONFIG} does not take: {error}",
                where=self.folder / PREPROCESSOR[0],
                remedy="both files must come from the same model",
            ) from None
        self._network = self._network.to(device)
        super().__init__(
            name=name,
            dimension=dimension,
            size_hw=(height, width),
            decode_side_px=resized_side(self._processor),
            device=device,
            weights_sha256=weights_sha256(files),
            preprocessing=json.loads(self._processor.to_json_string()),
            pooling=family.pooling,
            libraries=("numpy", "pillow", "torch", "transformers"),
        )

    def _pixels(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels.to(torch.float32)

    def _vectors(self, batch: Tensor) -> Tensor:
        output = self._network(pixel_values=batch)
        vectors: Tensor = output.image_embeds if "image_embeds" in output else output.pooler_output
        return vectors.flatten(1)


def _tower(config: PretrainedConfig) -> PretrainedConfig:
    """The configuration of the part that sees, of a model that reads as well."""
    tower = getattr(config, "vision_config", config)
    if hasattr(config, "projection_dim"):  # of CLIP as a whole; its tower's own may be another
        tower.projection_dim = config.projection_dim
    return tower
