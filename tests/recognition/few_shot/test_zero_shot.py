"""Classes by their names: the backbone's own view is asked, and a backbone without texts is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import Tensor

from argusvl.core.errors import ConfigError
from argusvl.recognition.backbones.views import with_views
from argusvl.recognition.few_shot.features import NameMap


def naming(few_shot: Any, asked: list[tuple[list[str], str]]) -> Any:
    """A backbone whose classes are the first values of its vectors."""
    backbone = few_shot.TinyNetwork()

    def zero_shot_classifier(names: list[str], template: str) -> Any:
        asked.append((names, template))

        def classify(vectors: Tensor) -> Tensor:
            assert vectors.shape[1] == 24
            return vectors[:, : len(names)]

        return classify

    backbone.zero_shot_classifier = zero_shot_classifier
    return backbone


@pytest.mark.parametrize("views", ["one", "two"])
def test_logits_are_those_of_the_backbone_s_own_view(few_shot: Any, views: str) -> None:
    asked: list[tuple[list[str], str]] = []
    name_map = NameMap(with_views(naming(few_shot, asked), views), "a {}!")
    vectors = np.random.default_rng(0).normal(size=(5, 24 * (2 if views == "two" else 1))).astype(np.float32)
    assert np.array_equal(name_map(vectors, ["red_fox", "owl"]), vectors[:, :2])
    assert asked == [(["red fox", "owl"], "a {}!")]


def test_a_backbone_without_texts_is_refused(few_shot: Any) -> None:
    for backbone in (few_shot.TinyNetwork(), with_views(few_shot.TinyNetwork(), "two")):
        with pytest.raises(ConfigError, match="by their names alone") as error:
            NameMap(backbone, "a {}")
        assert "clip-vit-b32:FOLDER" in str(error.value)


def test_no_pictures_give_no_logits(few_shot: Any) -> None:
    name_map = NameMap(naming(few_shot, []), "a {}")
    assert name_map(np.empty((0, 24), np.float32), ["a", "b", "c"]).shape == (0, 3)
