"""CLIP (Radford et al., 2021, arXiv 2103.00020): pictures and texts in one space, so that a name alone is a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from argusvl.core.errors import CheckpointError, ModelError
from argusvl.core.precision import full_precision
from argusvl.recognition.backbones.frozen import loading
from argusvl.recognition.backbones.hub import AGAIN, load_network, quiet_transformers, read_config
from argusvl.recognition.backbones.transformers_models import FAMILIES, TransformersBackbone

NAME = "clip-vit-b32"


class ClipBackbone(TransformersBackbone):
    """CLIP as a backbone, which can also make classes of texts."""

    def __init__(self, place: str | None = None, *, device: torch.device) -> None:
        super().__init__(NAME, place, device=device)

    def zero_shot_classifier(
        self, class_names: Sequence[str], template: str = "a photo of a {}."
    ) -> Callable[[Tensor], Tensor]:
        """Classes by their names alone; in the template, ``{}`` stands where the name is to stand.

        The text tower is loaded for it and dropped again.

        Returns:
            Vectors of pictures ``[N, D]``, of any length → logits ``[N, classes]``: cosines with the texts' vectors,
            times the scale that the model learned. Their softmax are probabilities.

        Raises:
            ModelError: There is no class, one occurs twice, the template has no place for it; a sentence is too long.
            CheckpointError: The folder holds no text tower or no tokenizer.
        """
        names = list(class_names)
        if not names or len(set(names)) < len(names):
            raise ModelError(
                f"zero-shot classes are {names!r:.80}", remedy="give one name or more, each only once"
            )
        if template.count("{}") != 1:
            raise ModelError(
                f"the template is {template!r:.80}",
                remedy="write {} once where the name of the class is to stand",
            )
        vectors, scale = self._text_vectors([template.replace("{}", name) for name in names])
        texts = F.normalize(vectors, dim=1)
        return lambda pictures: scale * F.normalize(pictures, dim=1) @ texts.T

    def _text_vectors(self, sentences: list[str]) -> tuple[Tensor, float]:
        """``[len(sentences), D]``, not normalised, and the model's scale of cosines."""
        config = read_config(self.folder, ("clip",), like=FAMILIES[NAME].model_id)
        tokenizer = _clip_tokenizer(self.folder)
        tokens = tokenizer(sentences, padding=True, return_tensors="pt")
        limit = config.text_config.max_position_embeddings
        if tokens["input_ids"].shape[1] > limit:
            longest = max(sentences, key=lambda s: len(tokenizer(s)["input_ids"]))
            raise ModelError(
                f"{longest!r:.80} has {tokens['input_ids'].shape[1]} tokens, the text tower takes {limit}",
                remedy="shorten the class's name or the template",
            )
        model = load_network(CLIPModel, self.folder, config, r".*\.position_ids$").to(self.device)
        with torch.inference_mode(), full_precision():
            pooled = model.text_model(**tokens.to(self.device)).pooler_output
            vectors = model.text_projection(pooled).to("cpu", torch.float32)
            scale = float(model.logit_scale.exp())
        return vectors.clone(), scale


def _clip_tokenizer(folder: Path) -> Any:
    if not (folder / "tokenizer.json").is_file() and not (folder / "merges.txt").is_file():
        raise CheckpointError(
            "no tokenizer (tokenizer.json, or vocab.json with merges.txt)",
            where=folder,
            remedy="copy the whole model folder: texts need its tokenizer",
        )
    with loading("the tokenizer cannot be loaded", folder, AGAIN), quiet_transformers():
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
