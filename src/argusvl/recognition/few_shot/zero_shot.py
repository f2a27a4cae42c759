"""Classes by their names alone, where the backbone knows texts as well (Radford et al., 2021, arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from argusvl.core.errors import ConfigError
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.backbones.views import ViewedBackbone
from argusvl.recognition.few_shot.features import Features, Vectors


@runtime_checkable
class Naming(Protocol):
    """A backbone that makes classes of texts."""

    dimension: int

    def zero_shot_classifier(self, class_names: Sequence[str], template: str) -> Callable[[Tensor], Tensor]:
        """Vectors ``[N, D]`` → logits ``[N, classes]``."""
        ...


class NameMap:
    """Makes logits of a backbone's vectors, for classes of which only the names are known; in the template, ``{}``
    stands where the name is to stand.

    Raises:
        ConfigError: The backbone knows no texts.
    """

    def __init__(self, backbone: Backbone, template: str) -> None:
        first = backbone.parts[0] if isinstance(backbone, ViewedBackbone) else backbone
        if not isinstance(first, Naming):
            raise ConfigError(
                f"{backbone.name} cannot recognise classes by their names alone",
                remedy="leave 0 out of --shots, or use --backbone clip-vit-b32:FOLDER",
            )
        self._naming: Naming = first
        self._dimension = first.dimension
        self._template = template

    def __call__(self, vectors: Vectors, names: Sequence[str]) -> Features:
        """``[N, views · D]`` → ``[N, classes]``, of the backbone's own view, as the weights' authors measure it.

        In the names of classes ``_`` stands for a space.

        Raises:
            ModelError: A name or the template cannot be used.
            CheckpointError: The folder holds no text tower or no tokenizer.
        """
        classify = self._naming.zero_shot_classifier(
            [name.replace("_", " ") for name in names], self._template
        )
        own = np.ascontiguousarray(vectors[:, : self._dimension])
        return classify(torch.from_numpy(own)).numpy().astype(np.float64)
