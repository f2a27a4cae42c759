# ruff: noqa: SIM300 (`figures.AP50 == x` is no Yoda condition: AP50 is a field, not a constant)
from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from argusvl.core.errors import DataError
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.records import ObjectAnnotation, Scene
from argusvl.detection.measure.evaluation import Truth, claim, class_of, evaluate_detections

SIZE = (200, 200)
RandomScenes = Callable[..., tuple[list[Detections], list[Truth]]]


def found(*entries: tuple[list[float], float, str], captions: list[str] | None = None) -> Detections:
    boxes, scores, labels = zip(*entries, strict=True) if entries else ((), (), ())
    return Detections(boxes, scores, labels, scores, SIZE, captions=captions)  # type: ignore[arg-type]


def truth(*objects: tuple[list[float], str]) -> Truth:
    return Truth(np.array([box for box, _ in objects]), tuple(text for _, text in objects))


def pycocotools_figures(
    predictions: list[Detections], truths: list[Truth], labels: list[str], limit: int
) -> dict[str, float]:
    """The reference implementation on the same data, as its own users call it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ids = {name: k for k, name in enumerate(labels, start=1)}
    annotations = []
    for image, one in enumerate(truths, start=1):
        for box, name in zip(one.boxes_xyxy_px, one.descriptions, strict=True):
            x1, y1, x2, y2 = box.tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": ids[name],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    results = []
    for image, found in enumerate(predictions, start=1):
        best = found.top(limit)
        for (x1, y1, x2, y2), score, name in zip(
            best.boxes_xyxy_px.astype(float).tolist(), best.scores.tolist(), best.labels, strict=True
        ):
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": image, "category_id": ids[name], "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            "info": {},
            "images": [{"id": k} for k in range(1, len(truths) + 1)],
            "categories": [{"id": k, "name": n} for n, k in ids.items()],
            "annotations": annotations,
        }
        reference.createIndex()
        evaluator = COCOeval(reference, reference.loadRes(results), "bbox")
        evaluator.params.maxDets = [1, 10, limit]
        evaluator.evaluate()
        evaluator.accumulate()
    precision, recall = evaluator.eval["precision"][:, :, :, 0, -1], evaluator.eval["recall"][:, :, 0, -1]
    figures = {"AP": precision, "AP50": precision[0], "AP75": precision[5], "AR100": recall}
    figures |= {f"AP50/{name}": precision[0, :, k] for k, name in enumerate(labels)}
    return {name: float(values[values > -1].mean()) for name, values in figures.items()}


@pytest.mark.parametrize(("seed", "most"), [(0, 20), (1, 20), (2, 160)])
def test_figures_equal_pycocotools(random_scenes: RandomScenes, seed: int, most: int) -> None:
    labels = ["RBC", "WBC", "Platelets"]
    predictions, truths = random_scenes(seed, 25, labels, most=most)
    ours = evaluate_detections(predictions, truths, labels=labels, vocabulary="open").scalars()
    theirs = pycocotools_figures(predictions, truths, labels, limit=100)
    assert 0.05 < theirs["AP"] < 0.95
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-6)


def test_more_than_100_entries_count_where_the_model_has_more_queries(random_scenes: RandomScenes) -> None:
    labels = ["RBC", "WBC"]
    predictions, truths = random_scenes(5, 10, labels, most=250)
    ours = evaluate_detections(predictions, truths, labels=labels, vocabulary="open", max_detections=300)
    theirs = pycocotools_figures(predictions, truths, labels, limit=300)
    assert ours.AP == pytest.approx(theirs["AP"], abs=1e-6)
    fewer = evaluate_detections(predictions, truths, labels=labels, vocabulary="open")
    assert fewer.AP != pytest.approx(ours.AP, abs=1e-4)


def test_the_best_of_an_image_are_taken_over_all_classes() -> None:
    # 100 confident wrong boxes of another class leave no place for the right one.
    noise = [([100.0, 100.0, 120.0, 120.0], 0.9, "other")] * 100
    prediction = found(*noise, ([0, 0, 10, 10], 0.5, "screw"))
    figures = evaluate_detections(
        [prediction], [truth(([0, 0, 10, 10], "screw"))], labels=["screw", "other"], vocabulary="open"
    )
    assert figures.AP == 0


def test_a_class_is_the_first_segment_when_open_and_the_whole_description_when_closed() -> None:
    assert class_of("screw/tight", "open") == "screw"
    assert class_of("screw/tight", "closed") == "screw/tight"
    one = [truth(([0, 0, 10, 10], "screw/tight"), ([50, 50, 60, 60], "screw/loose"))]
    right_type = [found(([0, 0, 10, 10], 0.9, "screw"), ([50, 50, 60, 60], 0.9, "screw"))]
    assert evaluate_detections(right_type, one, labels=["screw"], vocabulary="open").AP50 == pytest.approx(1)
    closed = ["screw/tight", "screw/loose"]
    half = [found(([0, 0, 10, 10], 0.9, "screw/tight"), ([50, 50, 60, 60], 0.9, "screw/tight"))]
    figures = evaluate_detections(half, one, labels=closed, vocabulary="closed")
    assert figures.AP50 == pytest.approx(0.5)
    assert figures.AP50_agnostic == pytest.approx(1)
    assert set(figures.per_class) == set(closed)


def test_the_mean_is_over_classes_that_the_truth_holds_and_a_class_unknown_to_the_model_counts() -> None:
    hit = [found(([0, 0, 10, 10], 0.9, "screw"))]
    one = [truth(([0, 0, 10, 10], "screw"))]
    figures = evaluate_detections(hit, one, labels=["screw", "label"], vocabulary="open")
    assert figures.AP50 == pytest.approx(1)
    assert math.isnan(figures.per_class["label"].AP) and figures.per_class["label"].count == 0
    two = [truth(([0, 0, 10, 10], "screw"), ([50, 50, 60, 60], "fan"))]
    figures = evaluate_detections(hit, two, labels=["screw", "label"], vocabulary="open")
    assert figures.AP50 == pytest.approx(0.5)
    assert figures.per_class["fan"].AP50 == 0


def test_a_query_that_ranks_twice_for_ap_speaks_once_for_recall_and_agnostic_ap() -> None:
    box = [0.0, 0.0, 10.0, 10.0]
    ranked = Detections([box, box], [0.5, 0.4], ("screw", "label"), [0.5, 0.4], SIZE, queries=[3, 3])  # type: ignore[arg-type]
    one = [truth((box, "label"), ([100, 100, 110, 110], "label"))]
    figures = evaluate_detections([ranked], one, labels=["screw", "label"], vocabulary="open")
    assert figures.per_class["label"].AP50 == pytest.approx(51 / 101)
    assert figures.recall == 0.5
    assert figures.AP50_agnostic == pytest.approx(51 / 101)


@pytest.mark.parametrize("predictions", [[Detections.empty(SIZE)] * 2, [found(), found()]])
def test_no_predictions_score_zero(predictions: list[Detections]) -> None:
    truths = [truth(([0, 0, 10, 10], "screw")), truth()]
    figures = evaluate_detections(predictions, truths, labels=["screw"], vocabulary="open")
    assert (figures.AP, figures.AP50, figures.AR100, figures.AP50_agnostic, figures.recall) == (0, 0, 0, 0, 0)


def test_no_truth_gives_null_not_a_number() -> None:
    figures = evaluate_detections(
        [found(([0, 0, 10, 10], 0.9, "screw"), captions=["screw"])],
        [truth()],
        labels=["screw"],
        vocabulary="open",
    )
    assert figures.scalars() == {}
    written = json.loads(json.dumps(figures.to_dict(), allow_nan=False))
    assert written["AP"] is None and written["per_class"]["screw"] == {"AP": None, "AP50": None, "count": 0}


def test_each_truth_claims_its_highest_scoring_unclaimed_prediction() -> None:
    box = [0.0, 0.0, 10.0, 10.0]
    near = [1.0, 0.0, 11.0, 10.0]
    prediction = found((box, 0.3, "a"), (near, 0.9, "a"), ([100, 100, 110, 110], 0.95, "a"))
    assert claim(truth((box, "x"), (near, "y"), (box, "z")), prediction).tolist() == [1, 0, -1]
    assert claim(truth(), prediction).tolist() == []
    assert claim(truth((box, "x")), found()).tolist() == [-1]


def test_captions_are_equal_after_nfc_and_counted_over_recalled_objects() -> None:
    boxes = [[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0], [100.0, 100.0, 110.0, 110.0]]
    prediction = found(
        (boxes[0], 0.9, "café"), (boxes[1], 0.8, "screw"), captions=["cafe\u0301/open", "screw/loose"]
    )
    one = truth((boxes[0], "caf\u00e9/open"), (boxes[1], "screw/tight"), (boxes[2], "screw/tight"))
    figures = evaluate_detections([prediction], [one], labels=["caf\u00e9", "screw"], vocabulary="open")
    assert figures.caption_exact == 0.5
    assert figures.recall == pytest.approx(2 / 3)
    assert figures.per_class["caf\u00e9"].AP50 == pytest.approx(1)


def test_captions_that_nobody_asked_for_are_nan_and_a_missing_one_is_an_error() -> None:
    box = [0.0, 0.0, 10.0, 10.0]
    silent = found((box, 0.9, "a"))
    figures = evaluate_detections([silent], [truth((box, "a"))], labels=["a"], vocabulary="open")
    assert math.isnan(figures.caption_exact) and figures.recall == 1
    partly = Detections([box, box], [0.9, 0.1], ("a", "a"), [1, 1], SIZE, captions=(None, "a"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="has no caption"):
        evaluate_detections([partly], [truth((box, "a"))], labels=["a"], vocabulary="open")


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="got 1, 1 and 2"):
        evaluate_detections([found()], [truth(), truth()], labels=["a"], vocabulary="open")
    with pytest.raises(DataError, match="a description for each of the 1 boxes, got 0"):
        Truth(np.zeros((1, 4)), ())


def test_truth_of_a_scene_with_several_images_takes_the_objects_of_one() -> None:
    scene = Scene(
        images=("a.jpg", "b.jpg"),
        objects=(ObjectAnnotation((0, 0, 1, 1), "a"), ObjectAnnotation((2, 2, 5, 5), "b", image=1)),
    )
    assert Truth.of_scene(scene, 1).descriptions == ("b",)
    assert Truth.of_scene(scene).boxes_xyxy_px.tolist() == [[0, 0, 1, 1]]
