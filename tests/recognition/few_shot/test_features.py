"""Features: of length one, by the formula, and refused where they cannot be made; likewise logits of classes' names."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from samples import TinyNetwork
from torch import Tensor

from argusvl.core.errors import ConfigError, ModelError
from argusvl.recognition.backbones.views import with_views
from argusvl.recognition.few_shot.features import FeatureMap, NameMap


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).gamma(0.5, 1.0, (7, 4 * 24)).astype(np.float32)


def without_logits(backbone: Any) -> Any:
    """The same backbone, and nothing of its network's classes."""
    if hasattr(backbone, "parts"):
        same = copy.copy(backbone)
        same.parts = [without_logits(part) for part in backbone.parts]
        return same
    plain = type("NoLogits", (), dict(vars(backbone)))()
    plain.preprocess, plain.embed = backbone.preprocess, backbone.embed
    return plain


def test_plain_features_are_the_vectors_direction() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 24)).astype(np.float32)
    found = FeatureMap("plain", TinyNetwork())(vectors).features
    assert np.allclose(found, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert found.dtype == np.float64


def test_rich_features_by_the_formula(vectors: np.ndarray) -> None:
    backbone = with_views(TinyNetwork(side=14), "four")
    feature_map = FeatureMap("rich", backbone)
    found = feature_map(vectors).features
    assert feature_map.parts == ["vector", "logits"]
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    expected = np.zeros_like(found[0])
    for view in vectors[3].reshape(4, 24).astype(np.float64):
        roots = np.sqrt(view) / np.linalg.norm(np.sqrt(view))
        logits = view @ TinyNetwork().classifier.double().numpy()
        above = np.clip(logits - logits.mean() - logits.std(), 0, None)
        both = np.concatenate([roots, above / np.linalg.norm(above)])
        expected += both / np.linalg.norm(both)
    assert np.allclose(found[3], expected / np.linalg.norm(expected), atol=1e-6)


def test_kinds_by_the_formula(vectors: np.ndarray) -> None:
    network = TinyNetwork(side=14)
    # Classes 0 to 5 are nearly the same, as are 6 to 11: two kinds.
    pair = torch.randn(24, 2, generator=torch.Generator().manual_seed(1))
    network.classifier = pair.repeat_interleave(6, dim=1) + 0.01 * network.classifier
    few_shot_views = with_views(network, "two")
    found = FeatureMap("rich", few_shot_views)(vectors[:, :48])
    alone = FeatureMap("rich", without_logits(few_shot_views))(vectors[3:4, :48])
    assert np.allclose(found.vectors[3], alone.features[0])
    expected = np.zeros(2)
    for view in vectors[3, :48].reshape(2, 24).astype(np.float64):
        logits = view @ network.classifier.double().numpy()
        above = np.clip(logits - logits.mean() - logits.std(), 0, None)
        kinds = above.reshape(2, 6).sum(axis=1)
        expected += kinds / np.linalg.norm(kinds)
    assert np.allclose(np.sort(found.kinds[3]), np.sort(expected / np.linalg.norm(expected)), atol=1e-6)


@pytest.mark.parametrize("kind", ["plain", "rich"])
def test_of_a_network_without_classes_there_are_its_vectors(kind: str) -> None:
    vectors = np.random.default_rng(2).normal(size=(3, 24)).astype(np.float32)
    found = FeatureMap(kind, without_logits(TinyNetwork()))(vectors)
    assert np.array_equal(found.kinds, found.vectors) and np.array_equal(found.vectors, found.features)


def test_a_row_does_not_depend_on_the_others(vectors: np.ndarray) -> None:
    feature_map = FeatureMap("rich", with_views(TinyNetwork(side=14), "four"))
    assert np.allclose(feature_map(vectors).features[2:5], feature_map(vectors[2:5]).features, atol=1e-12)


def test_no_rows_give_no_rows() -> None:
    feature_map = FeatureMap("rich", TinyNetwork())
    assert feature_map(np.empty((0, 24), np.float32)).features.shape == (0, 36)


@pytest.mark.parametrize("kind", ["plain", "rich"])
def test_vectors_without_a_direction_or_of_another_length_are_refused(kind: str) -> None:
    feature_map = FeatureMap(kind, TinyNetwork())
    with pytest.raises(ModelError, match="zero throughout"):
        feature_map(np.zeros((1, 24), np.float32))
    with pytest.raises(ModelError, match=r"\[N, 24\], got \[1, 25\]"):
        feature_map(np.ones((1, 25), np.float32))


def test_logits_of_equal_size_leave_nothing_above_the_rest() -> None:
    network = TinyNetwork()
    network.logits_of = lambda vectors: torch.ones(len(vectors), 5)
    with pytest.raises(ModelError, match="no direction"):
        FeatureMap("rich", network)(np.ones((1, 24), np.float32))


# Classes by their names.


def naming(asked: list[tuple[list[str], str]]) -> Any:
    """A backbone whose classes are the first values of its vectors."""
    backbone = TinyNetwork()

    def zero_shot_classifier(names: list[str], template: str) -> Any:
        asked.append((names, template))

        def classify(vectors: Tensor) -> Tensor:
            assert vectors.shape[1] == 24
            return vectors[:, : len(names)]

        return classify

    backbone.zero_shot_classifier = zero_shot_classifier
    return backbone


@pytest.mark.parametrize("views", ["one", "two"])
def test_logits_are_those_of_the_backbone_s_own_view(views: str) -> None:
    asked: list[tuple[list[str], str]] = []
    name_map = NameMap(with_views(naming(asked), views), "a {}!")
    vectors = np.random.default_rng(0).normal(size=(5, 24 * (2 if views == "two" else 1))).astype(np.float32)
    assert np.array_equal(name_map(vectors, ["red_fox", "owl"]), vectors[:, :2])
    assert asked == [(["red fox", "owl"], "a {}!")]


def test_a_backbone_without_texts_is_refused() -> None:
    for backbone in (TinyNetwork(), with_views(TinyNetwork(), "two")):
        with pytest.raises(ConfigError, match="by their names alone") as error:
            NameMap(backbone, "a {}")
        assert "clip-vit-b32:FOLDER" in str(error.value)


def test_no_pictures_give_no_logits() -> None:
    name_map = NameMap(naming([]), "a {}")
    assert name_map(np.empty((0, 24), np.float32), ["a", "b", "c"]).shape == (0, 3)
