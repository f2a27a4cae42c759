"""Vectors of a backbone → the features that classifiers compare.

``plain``: the vector itself, of length one; cosine similarity is its inner product.

``rich``: the mean over the views of what follows, of length one. The signed square root of the vector keeps a few large
channels from deciding alone; beside it stand the logits of the network's own classifier, where it has one, less what
is common: only what rises above their mean by one standard deviation, i.e. the classes that the picture is like. Each
half has length one. Both are of the same weights, and nothing is learned from other pictures.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argusvl.core.errors import ConfigError, ModelError
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.extraction.embedding import computing_threads
from argusvl.recognition.few_shot.views import ViewedBackbone

FEATURES = {
    "plain": "the vector of the picture, of length one",
    "rich": "square roots, and the network's own class scores where it has some; the mean over the views",
}
"""What may be asked for, and what it is."""

RECTIFIED_ABOVE = 1.0
"""Standard deviations above the mean of a picture's logits; 0.5 to 1.5 give the same accuracy to half a point."""

_BLOCK_ROWS = 1024

Vectors = NDArray[np.float32]
Features = NDArray[np.float64]


@runtime_checkable
class Classifying(Protocol):
    """A backbone whose network has a classifier of its own, on its vectors."""

    def logits_of(self, vectors: Tensor) -> Tensor:
        """``[N, D]`` → ``[N, classes]``."""
        ...


class FeatureMap:
    """Makes features of vectors.

    Args:
        kind: A key of :data:`FEATURES`.
        backbone: What made the vectors, with its views.

    Raises:
        ConfigError: There are no such features, or the backbone gives several views and they take one.
    """

    def __init__(self, kind: str, backbone: Backbone) -> None:
        if kind not in FEATURES:
            raise ConfigError(f"unknown features {kind!r}", remedy=f"use one of {', '.join(FEATURES)}")
        viewed = isinstance(backbone, ViewedBackbone)
        self._first: Backbone = backbone.parts[0] if isinstance(backbone, ViewedBackbone) else backbone
        self._views = backbone.views if isinstance(backbone, ViewedBackbone) else 1
        if kind == "plain" and viewed:
            raise ConfigError("plain features are of one view", remedy="use --features rich, or --views one")
        self._kind = kind

    @property
    def parts(self) -> list[str]:
        """What the features are made of, for reports."""
        if self._kind == "plain":
            return ["vector"]
        return ["vector", "logits"] if isinstance(self._first, Classifying) else ["vector"]

    def __call__(self, vectors: Vectors) -> Features:
        """``[N, views · D]`` → ``[N, F]`` in float64, of length one.

        Raises:
            ModelError: The vectors are of another length, or one is zero throughout.
        """
        wanted = self._views * self._first.dimension
        if vectors.ndim != 2 or vectors.shape[1] != wanted:
            raise ModelError(
                f"features are made of vectors [N, {wanted}], got {list(vectors.shape)}",
                remedy="use the backbone and the views that made the vectors",
            )
        # In blocks, which begin at the same rows always: logits of a million pictures are not held at once.
        blocks = [self._block(vectors[i : i + _BLOCK_ROWS]) for i in range(0, len(vectors), _BLOCK_ROWS)]
        return np.concatenate(blocks) if blocks else self._block(vectors)

    def _block(self, vectors: Vectors) -> Features:
        if self._kind == "plain":
            return unit(vectors.astype(np.float64))
        views = vectors.reshape(len(vectors) * self._views, self._first.dimension)
        halves = [unit(np.sign(views) * np.sqrt(np.abs(views.astype(np.float64))))]
        if isinstance(self._first, Classifying):
            with computing_threads(1):
                logits = self._first.logits_of(torch.from_numpy(np.ascontiguousarray(views))).numpy()
            halves.append(_above_the_rest(logits.astype(np.float64)))
        each = unit(np.concatenate(halves, axis=1))
        return unit(each.reshape(len(vectors), self._views, each.shape[1]).mean(axis=1))


def unit(rows: Features) -> Features:
    """Rows scaled to length one.

    Raises:
        ModelError: A row is zero throughout, and has no direction.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if rows.size and not lengths.all():
        raise ModelError(
            "a vector is zero throughout: it has no direction", remedy="check the backbone's weights"
        )
    found: Features = rows / lengths
    return found


def _above_the_rest(logits: Features) -> Features:
    """What rises above a row's mean by some standard deviations, of length one."""
    centred = logits - logits.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return unit(np.maximum(centred - RECTIFIED_ABOVE * spread, 0.0))
