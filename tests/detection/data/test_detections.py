from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from argusvl.core.errors import ArgusError, DataError
from argusvl.detection.data.detections import Detections


def make(**changes: Any) -> Detections:
    values: dict[str, Any] = {
        "boxes_xyxy_px": [[0, 0, 10, 10], [5, 5, 20, 25], [1, 2, 3, 4], [0, 0, 9, 9]],
        "scores": [0.5, 0.9, 0.1, 0.5],
        "labels": ["screw", "label", "screw", "label"],
        "label_scores": [0.8, 0.95, 0.4, 0.6],
        "image_size": (64, 48),
        "captions": ["screw/tight", "label", "screw/loose", "label/torn"],
        "queries": [7, 3, 3, 7],
    }
    return Detections(**(values | changes))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("boxes_xyxy_px", [[0, 0, 1]], r"boxes_xyxy_px: expected shape \[N, 4\], got shape \[1, 3\]"),
        ("boxes_xyxy_px", [[0, 0, 1, 1]], r"scores: expected shape \[1\].* got shape \[4\]"),
        ("scores", [0.5], r"scores: expected shape \[4\]"),
        ("scores", [0.5, float("nan"), 0.1, 0.2], "scores: expected finite numbers, got 1 that are not"),
        ("label_scores", [[0.5]], "label_scores: expected shape"),
        ("labels", ["screw"], "labels: expected 4 texts"),
        ("labels", "abcd", "labels: expected 4 texts"),
        ("captions", ["one"], "captions: expected 4 texts"),
        ("queries", [1], "queries: expected shape"),
        ("image_size", (0, 10), "image_size: expected"),
        ("boxes_xyxy_px", [["a", 0, 1, 1]], "boxes_xyxy_px: expected an array of float32"),
    ],
)
def test_fields_that_do_not_fit_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(**{field: value})


def test_types_are_normalised_and_cannot_be_changed_in_place() -> None:
    detections = make()
    assert detections.boxes_xyxy_px.dtype == np.float32
    assert detections.labels == ("screw", "label", "screw", "label")
    with pytest.raises(ValueError, match="read-only"):
        detections.boxes_xyxy_px[0, 0] = 1


def test_subsets_keep_every_field_together() -> None:
    detections = make(note="turned upright (EXIF 6)")
    assert detections.above(0.5).scores.tolist() == [0.5, np.float32(0.9), 0.5]
    best = detections.top(2)
    assert best.labels == ("label", "screw")  # equal scores keep their order
    assert best.captions == ("label", "screw/tight")
    assert best.queries is not None and best.queries.tolist() == [3, 7]
    assert best.note == "turned upright (EXIF 6)"
    assert len(detections[1:3]) == 2
    assert len(detections[[]]) == 0
    assert detections[2].captions == ("screw/loose",)


def test_best_per_query_lets_each_query_speak_once() -> None:
    best = make().best_per_query()
    assert best.queries is not None
    assert best.queries.tolist() == [3, 7]
    assert best.labels == ("label", "screw")
    assert len(make(queries=None).best_per_query()) == 4


def test_a_line_of_jsonl_names_image_size_note_and_objects() -> None:
    line = make(note="turned upright (EXIF 6)", captions=["a", None, "c", "d"]).to_jsonl("dir/photo.jpg")
    assert (line["image"], line["width"], line["height"]) == ("dir/photo.jpg", 64, 48)
    assert line["note"] == "turned upright (EXIF 6)"
    scores = {"score": 0.5, "label_score": 0.8}
    assert line["objects"][0] == {"bbox_2d": [0, 0, 10, 10], "label": "screw", **scores, "desc": "a"}
    assert "desc" not in line["objects"][1]


def test_nothing_found_is_a_value_too() -> None:
    nothing = Detections.empty((10, 20))
    assert len(nothing) == 0
    assert nothing.boxes_xyxy_px.shape == (0, 4)
    assert nothing.top(5).to_jsonl("x")["objects"] == []


def test_supervision_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ArgusError, match=r"argusvl\[supervision\]"):
        make().to_supervision()


def test_supervision_gets_boxes_scores_and_class_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("supervision")
    module.Detections = lambda **fields: types.SimpleNamespace(**fields)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", module)
    converted = make().to_supervision(["screw", "label"])
    assert converted.class_id.tolist() == [0, 1, 0, 1]
    assert converted.xyxy.shape == (4, 4)
    assert converted.data["class_name"].tolist() == ["screw", "label", "screw", "label"]
    assert converted.data["caption"][3] == "label/torn"
    with pytest.raises(DataError, match="label"):
        make().to_supervision(["screw"])
