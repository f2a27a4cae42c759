"""A support store and vectors of pictures → a class for each, or Unknown, with what there is to say about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from argusvl.core.errors import ConfigError
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.backbones.views import load_with_views
from argusvl.recognition.extraction.shards import Rows
from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.few_shot.classifiers import find_classifier
from argusvl.recognition.few_shot.conformal import held_out_scores, prediction_sets, strangeness_limit
from argusvl.recognition.few_shot.enrolment import SupportStore
from argusvl.recognition.few_shot.features import FeatureMap
from argusvl.recognition.few_shot.unknown import THRESHOLD, UNKNOWN, KnownScore

DIGITS = 6
"""Of the figures in a line: what follows is rounding."""


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """How pictures are classified.

    Attributes:
        classifier: A key of the table, none that is transductive.
        features: One of :data:`~argusvl.recognition.few_shot.features.FEATURES`.
        threshold: Probability of being known below which a picture is Unknown.
        coverage: How often the true class of a known picture shall be in its set.

    Raises:
        ConfigError: There is no such classifier, it is transductive, or a number is out of its range.
    """

    classifier: str = "ridge"
    features: str = "rich"
    threshold: float = THRESHOLD
    coverage: float = 0.9

    def __post_init__(self) -> None:
        find_classifier(self.classifier, transductive=False)
        if not 0 <= self.threshold <= 1:
            raise ConfigError(
                f"the threshold is {self.threshold:g}",
                remedy="choose a probability between 0 (nothing is unknown) and 1",
            )
        if not 0 < self.coverage < 1:
            raise ConfigError(
                f"the coverage is {self.coverage:g}", remedy="choose one between 0 and 1, e.g. 0.9"
            )


class FewShotClassifier:
    """Learned from a support store by a backbone with the store's views.

    Attributes:
        labels: The classes.
        single: Those that have one example only.

    Raises:
        DataError: The backbone would give other vectors than the store's.
        ConfigError: Fewer than two classes are enrolled, or there are no such features.
    """

    def __init__(self, store: SupportStore, backbone: Backbone, options: ClassifyOptions) -> None:
        store.require(backbone)
        if len(store.classes) < 2:
            raise ConfigError(
                f"{len(store.classes)} class is enrolled",
                where=store.folder,
                remedy="enrol another class; with one there is nothing to tell it from",
            )
        self.store, self.backbone = store, backbone
        self._options = options
        self._features = FeatureMap(options.features, backbone)
        vectors, numbers, self.labels = store.vectors()
        self._class_of = store.class_of_content()
        seen, classes = self._features(vectors), len(self.labels)
        examples = np.bincount(numbers, minlength=classes)
        self.single = [label for label, count in zip(self.labels, examples, strict=True) if count == 1]
        fit = find_classifier(options.classifier).fit
        self._scores = fit(seen.features, numbers, classes)
        self._known = KnownScore(seen, numbers, classes)
        held_out = held_out_scores(fit, seen.features, numbers, classes)
        self._limit = strangeness_limit(*held_out, options.coverage)

    @classmethod
    def load(
        cls, store: Path, options: ClassifyOptions, *, backbone: str | None = None, device: str = "auto"
    ) -> FewShotClassifier:
        """Opens a support store and its backbone, and learns from the examples.

        Args:
            store: As ``argus recognize enroll`` made it.
            options: How pictures are classified.
            backbone: ``NAME:FOLDER``; where enrolment found it when ``None``.
            device: Where vectors are computed.

        Raises:
            ArgusError: It is no such store, or its backbone cannot be loaded.
        """
        support = SupportStore.open(store)
        network = load_with_views(backbone or support.backbone, support.views, device=device)
        return cls(support, network, options)

    def lines(self, rows: Rows) -> Iterator[dict[str, Any]]:
        """A JSON-ready line for each picture of some rows of a store.

        ``class`` is a class or Unknown, ``nearest`` the best class in any case; ``score`` is the probability that the
        picture is known, ``margin`` how far the best class's score lies above the second's (small: ambiguous), ``set``
        the classes that hold the true one with the given coverage, if the picture is known. ``example_of`` stands
        where the picture is an example itself.
        """
        seen = self._features(rows.vectors)
        scores, known = self._scores(seen.features), self._known.probability(seen)
        members = prediction_sets(scores, self._limit)
        ranked = np.sort(scores, axis=1)
        for n, (path, digest) in enumerate(zip(rows.paths, rows.digests, strict=True)):
            nearest = self.labels[int(scores[n].argmax())]
            line: dict[str, Any] = {
                "image": path,
                "class": nearest if known[n] >= self._options.threshold else UNKNOWN,
                "nearest": nearest,
                "score": round(float(known[n]), DIGITS),
                "margin": round(float(ranked[n, -1] - ranked[n, -2]), DIGITS),
                "set": [label for label, inside in zip(self.labels, members[n], strict=True) if inside],
            }
            if digest in self._class_of:
                line["example_of"] = self._class_of[digest]
            yield line


def classify(classifier: FewShotClassifier, store: EmbeddingStore) -> Iterator[dict[str, Any]]:
    """A line for each picture in the order of the store; one without a vector has ``image`` and ``error``."""
    return store.lines(classifier.lines)
