"""Dense-caption mAP against cases computed by hand from densecap's definition."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from argusvl.core.errors import DataError
from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.dense_captions import claim_merged, dense_caption_map
from argusvl.detection.measure.evaluation import Truth

SIZE = (200, 200)
BOX = [0.0, 0.0, 10.0, 10.0]
FAR = [100.0, 100.0, 110.0, 110.0]


def truth(*objects: tuple[list[float], str]) -> Truth:
    return Truth(np.array([box for box, _ in objects]), tuple(text for _, text in objects))


def found(*entries: tuple[list[float], float, str | None]) -> Detections:
    scores = np.array([score for _, score, _ in entries], np.float32)
    return Detections(
        np.array([box for box, _, _ in entries], np.float32),
        scores,
        ("x",) * len(entries),
        scores,
        SIZE,
        captions=tuple(text for _, _, text in entries),
    )


def by_number(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """A candidate names its score after a colon; it counts where one of the references begins like it."""
    return [
        max(float(said.split(":")[1]) if said[0] == meant[0] else 0.0 for meant in several)
        for said, several in zip(candidates, references, strict=True)
    ]


def score(prediction: Detections, annotated: Truth) -> float:
    return dense_caption_map([prediction], [annotated], by_number)


def test_a_description_counts_up_to_the_thresholds_that_it_is_above() -> None:
    # 0.12 is above 0, 0.05 and 0.1: three of the six columns; a score of 0 is above none, and 0.25 not above 0.25.
    assert score(found((BOX, 0.9, "a:0.12")), truth((BOX, "a"))) == pytest.approx(3 / 6)
    assert score(found((BOX, 0.9, "a:0")), truth((BOX, "a"))) == 0
    assert score(found((BOX, 0.9, "a:0.25")), truth((BOX, "a"))) == pytest.approx(5 / 6)


def test_a_box_counts_up_to_the_overlaps_that_it_reaches() -> None:
    half = [0.0, 0.0, 10.0, 5.0]  # IoU 0.5: three of the five rows
    assert score(found((half, 0.9, "a:1")), truth((BOX, "a"))) == pytest.approx(3 / 5)


def test_of_two_claims_the_first_has_the_object_even_if_it_fails() -> None:
    two_objects = truth((BOX, "a"), (FAR, "b"))
    # The second detection is perfect, but comes too late; the third finds the other object.
    late = found((BOX, 0.9, "z:1"), (BOX, 0.8, "a:1"), (FAR, 0.7, "b:1"))
    # One hit at rank 3 of 3: precision 1/3 up to recall 1/2, which are 51 of the 101 points.
    assert score(late, two_objects) == pytest.approx(51 / 101 / 3)
    # A first claim that overlaps by a hair uses the box as well.
    hair = found(([9.0, 9.0, 19.0, 19.0], 0.9, None), (BOX, 0.8, "a:1"))
    assert score(hair, truth((BOX, "a"))) == 0
    # In the other order the object is found, and the double is one wrong detection after it.
    assert score(found((BOX, 0.9, "a:1"), (BOX, 0.8, "a:1")), truth((BOX, "a"))) == pytest.approx(1)


def test_a_detection_goes_to_the_object_that_it_overlaps_most() -> None:
    beside = [5.0, 0.0, 15.0, 10.0]
    claims = claim_merged(truth((BOX, "a"), (beside, "b")), found(([4.0, 0.0, 14.0, 10.0], 0.9, "b:1")))
    assert claims.group.tolist() == [1]
    assert claims.overlaps.tolist() == pytest.approx([9 / 11])
    assert claims.described == [0]


def test_truth_that_overlaps_is_one_object_with_the_mean_box_and_all_descriptions() -> None:
    other = [0.0, 0.0, 10.0, 12.0]  # IoU 10/12 with BOX
    merged = truth((BOX, "a"), (other, "b"), (FAR, "c"))
    claims = claim_merged(merged, found(([0.0, 0.0, 10.0, 11.0], 0.9, "b:1"), (FAR, 0.8, "c:1")))
    assert [group.tolist() for group in claims.groups] == [[0, 1], [2]]
    assert claims.overlaps.tolist() == [1, 1]
    # Either description is right; two objects are found, not three.
    for text in ("a:1", "b:1"):
        assert score(found((BOX, 0.9, text), (FAR, 0.8, "c:1")), merged) == pytest.approx(1)


def test_merging_begins_with_the_box_that_has_most_others_near() -> None:
    # The middle one overlaps both others by more than 0.7, they each other by less.
    boxes = [[0.0, 0.0, 10.0, 100.0], [0.0, 8.0, 10.0, 108.0], [0.0, 16.0, 10.0, 116.0]]
    claims = claim_merged(truth(*((box, "a") for box in [*boxes, FAR])), found())
    assert [group.tolist() for group in claims.groups] == [[0, 1, 2], [3]]
    ends = claim_merged(truth((boxes[0], "a"), (boxes[2], "b")), found())
    assert [group.tolist() for group in ends.groups] == [[0, 1]]  # 84/116: still above 0.7
    apart = claim_merged(truth((boxes[0], "a"), ([0.0, 20.0, 10.0, 120.0], "b")), found())
    assert len(apart.groups) == 2


def test_images_are_ranked_together() -> None:
    wrong = found((FAR, 0.95, "z:1"))
    right = found((BOX, 0.9, "a:1"))
    annotated = truth((BOX, "a"))
    # Two objects, the hit comes second: precision 1/2 up to recall 1/2.
    assert dense_caption_map([wrong, right], [annotated] * 2, by_number) == pytest.approx(51 / 101 / 2)
    low = found((FAR, 0.1, "z:1"))
    assert dense_caption_map([low, right], [annotated] * 2, by_number) == pytest.approx(51 / 101)


def test_recall_is_compared_without_rounding() -> None:
    # 3 of 10 objects found is a recall of exactly 0.3: 31 of the 101 points.
    boxes = [[20.0 * k, 0.0, 20.0 * k + 10, 10.0] for k in range(10)]
    some = found(*((box, 0.9, "a:1") for box in boxes[:3]))
    assert score(some, truth(*((box, "a") for box in boxes))) == pytest.approx(31 / 101)


def test_nothing_predicted_is_zero_and_nothing_annotated_is_no_figure() -> None:
    assert score(found(), truth((BOX, "a"))) == 0
    assert math.isnan(score(found((BOX, 0.9, "a:1")), truth()))
    assert math.isnan(score(found(), truth()))
    assert (
        dense_caption_map([found(), found((BOX, 0.9, "a:1"))], [truth(), truth((BOX, "a"))], by_number) == 1
    )


def test_a_description_that_is_needed_and_missing_is_an_error() -> None:
    with pytest.raises(DataError, match="has no caption"):
        score(found((BOX, 0.9, None)), truth((BOX, "a")))
