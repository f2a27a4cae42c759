"""Vectors of a backbone → the features that classifiers compare.

``plain``: the vector itself, of length one; cosine similarity is its inner product.

``rich``: the mean over the views of what follows, of length one. The signed square root of the vector keeps a few large
channels from deciding alone; beside it stand the logits of the network's own classifier, where it has one, less what
is common: only what rises above their mean by one standard deviation, i.e. the classes that the picture is like. Each
half has length one. Both are of the same weights, and nothing is learned from other pictures.

Whether a picture is of a known class at all is decided from two other things: the vector apart, and what kind of thing
it shows. A kind is a group of the network's own classes that are alike: another breed of dog is still a dog.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argusvl.core.errors import ConfigError, ModelError
from argusvl.core.threads import computing_threads
from argusvl.recognition.backbones.protocol import Backbone, Classifying
from argusvl.recognition.backbones.views import ViewedBackbone, own_view

FEATURES = ("plain", "rich")

RECTIFIED_ABOVE = 1.0
"""Standard deviations above the mean of a picture's logits; 0.5 to 1.5 give the same accuracy to half a point."""

CLASSES_OF_A_KIND = 5
"""On average; 3 to 10 give the same AUROC to a point."""

_BLOCK_ROWS = 1024

Vectors = NDArray[np.float32]
Features = NDArray[np.float64]


@dataclass(frozen=True)
class Description:
    """What pictures are recognised by; all three have rows of length one.

    Attributes:
        features: ``[N, F]``, by which classes are told apart.
        vectors: ``[N, D]``, by which, with the kinds, what is known is told from what is not.
        kinds: ``[N, G]``, how much of each kind of thing; the vectors once more where the network has no classes.
    """

    features: Features
    vectors: Features
    kinds: Features

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: NDArray[np.bool_ | np.int64]) -> Self:
        return type(self)(self.features[rows], self.vectors[rows], self.kinds[rows])

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All rows, one part after the other."""
        return cls(
            features=np.concatenate([part.features for part in parts]),
            vectors=np.concatenate([part.vectors for part in parts]),
            kinds=np.concatenate([part.kinds for part in parts]),
        )


class FeatureMap:
    """Describes pictures by their vectors.

    Args:
        kind: One of :data:`FEATURES`.
        backbone: What made the vectors, with its views.

    Raises:
        ConfigError: There are no such features, or the backbone gives several views and they take one.
    """

    def __init__(self, kind: str, backbone: Backbone) -> None:
        if kind not in FEATURES:
            raise ConfigError(f"unknown features {kind!r}", remedy=f"use one of {', '.join(FEATURES)}")
        if kind == "plain" and isinstance(backbone, ViewedBackbone):
            raise ConfigError("plain features are of one view", remedy="use --features rich, or --views one")
        self._first = own_view(backbone)
        self._views = backbone.views if isinstance(backbone, ViewedBackbone) else 1
        self._kind = kind

    @property
    def parts(self) -> list[str]:
        """What the features are made of, for reports."""
        has_classes = self._kind == "rich" and isinstance(self._first, Classifying)
        return ["vector", "logits"] if has_classes else ["vector"]

    def __call__(self, vectors: Vectors) -> Description:
        """``[N, views · D]`` → what they are recognised by, in float64.

        Raises:
            ModelError: The vectors are of another length, or one is zero throughout.
        """
        wanted = self._views * self._first.dimension
        if vectors.ndim != 2 or vectors.shape[1] != wanted:
            raise ModelError(
                f"features are made of vectors [N, {wanted}], got {list(vectors.shape)}",
                remedy="use the backbone and the views that made the vectors",
            )
        # Parts that begin at the same rows always: logits of a million pictures are not held at once.
        starts = range(0, max(1, len(vectors)), _BLOCK_ROWS)
        return Description.joined([self._block(vectors[i : i + _BLOCK_ROWS]) for i in starts])

    def _block(self, vectors: Vectors) -> Description:
        if self._kind == "plain":
            alone = unit(vectors.astype(np.float64))
            return Description(alone, alone, alone)
        views = vectors.reshape(len(vectors) * self._views, self._first.dimension)
        roots = _roots(views)
        alone = self._mean_over_views(roots)
        if not isinstance(self._first, Classifying):
            return Description(alone, alone, alone)
        above = self._above_the_rest(views)
        return Description(
            features=self._mean_over_views(np.concatenate([roots, unit(above)], axis=1)),
            vectors=alone,
            kinds=self._mean_over_views(above @ self._kinds),
        )

    def _mean_over_views(self, rows: Features) -> Features:
        """``[N · views, F]`` → ``[N, F]``, of length one; no view counts more than another."""
        return unit(unit(rows).reshape(-1, self._views, rows.shape[1]).mean(axis=1))

    def _above_the_rest(self, views: Vectors) -> Features:
        """What of the logits rises above a row's mean by some standard deviations."""
        assert isinstance(self._first, Classifying)
        with computing_threads(1):
            logits = self._first.logits_of(torch.from_numpy(np.ascontiguousarray(views))).numpy()
        centred = logits.astype(np.float64) - logits.mean(axis=1, keepdims=True, dtype=np.float64)
        found: Features = np.maximum(centred - RECTIFIED_ABOVE * centred.std(axis=1, keepdims=True), 0.0)
        return found

    @cached_property
    def _kinds(self) -> Features:
        """``[classes, kinds]``, one where a class of the network's own is of a kind.

        Classes are alike whose weights point the same way; they are put together by Ward's method.
        """
        from sklearn.cluster import AgglomerativeClustering

        assert isinstance(self._first, Classifying)
        weights = self._first.class_weights.double().numpy()
        number = max(1, len(weights) // CLASSES_OF_A_KIND)
        labels = AgglomerativeClustering(number).fit_predict(unit(weights - weights.mean(axis=0)))
        found: Features = np.eye(number)[labels]
        return found


@runtime_checkable
class Naming(Protocol):
    """A backbone that makes classes of texts."""

    dimension: int

    def zero_shot_classifier(self, class_names: Sequence[str], template: str) -> Callable[[Tensor], Tensor]:
        """Vectors ``[N, D]`` → logits ``[N, classes]``."""
        ...


class NameMap:
    """Classes by their names alone (Radford et al., 2021, arXiv 2103.00020): logits of a backbone's vectors.

    Args:
        backbone: What made the vectors, with its views.
        template: Sentence with ``{}`` where the name is to stand.

    Raises:
        ConfigError: The backbone knows no texts.
    """

    def __init__(self, backbone: Backbone, template: str) -> None:
        first = own_view(backbone)
        if not isinstance(first, Naming):
            raise ConfigError(
                f"{backbone.name} cannot recognise classes by their names alone",
                remedy="leave 0 out of --shots, or use --backbone clip-vit-b32:FOLDER",
            )
        self._naming: Naming = first
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
        own = np.ascontiguousarray(vectors[:, : self._naming.dimension])
        return classify(torch.from_numpy(own)).numpy().astype(np.float64)


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


def _roots(vectors: Vectors) -> Features:
    """Signed square roots, of length one."""
    return unit(np.sign(vectors) * np.sqrt(np.abs(vectors.astype(np.float64))))
