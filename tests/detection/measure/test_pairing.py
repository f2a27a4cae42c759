from __future__ import annotations

import unicodedata

from argusvl.detection.measure.pairing import LabelledBox, above, count_kinds, num_errors, pair_up

BOX = (0.0, 0.0, 10.0, 10.0)
NEAR = (0.0, 0.0, 10.0, 8.0)
FAR = (20.0, 20.0, 30.0, 30.0)
BESIDE = (6.0, 0.0, 16.0, 10.0)  # IoU 0.25 with BOX


def test_every_kind_is_told_apart() -> None:
    truth = [
        LabelledBox(BOX, "a"),
        LabelledBox(FAR, "b"),
        LabelledBox((40, 40, 50, 50), "c"),
        LabelledBox((70, 70, 80, 80), "d/x"),
    ]
    predicted = [
        LabelledBox(NEAR, "a", 0.9),
        LabelledBox(FAR, "x", 0.8),
        LabelledBox((76, 70, 86, 80), "d/y", 0.75),
        LabelledBox((60, 0, 70, 9), "d", 0.7),
    ]
    pairs = pair_up(truth, predicted)
    assert [p.kind for p in pairs] == ["right", "misdescribed", "missed", "shifted", "false"]
    assert [p.class_name for p in pairs] == ["a", "b", "c", "d", "d"]
    assert num_errors(pairs) == 4
    assert count_kinds(pairs)["right"] == 1


def test_a_truth_takes_the_highest_score_and_the_other_one_is_false() -> None:
    pairs = pair_up([LabelledBox(BOX, "a")], [LabelledBox(BOX, "b", 0.3), LabelledBox(NEAR, "a", 0.6)])
    assert [(p.kind, p.predicted.score if p.predicted else None) for p in pairs] == [
        ("right", 0.6),
        ("false", 0.3),
    ]


def test_a_shifted_box_is_of_the_same_class_and_no_other_truth_s() -> None:
    truth = [LabelledBox(BOX, "a")]
    assert [p.kind for p in pair_up(truth, [LabelledBox(BESIDE, "b", 0.9)])] == ["missed", "false"]
    assert [p.kind for p in pair_up(truth, [LabelledBox(BESIDE, "a/any", 0.9)])] == ["shifted"]
    named = LabelledBox(BESIDE, "whatever/x", 0.9, class_name="a")
    assert [p.kind for p in pair_up(truth, [named])] == ["shifted"]
    two = [*truth, LabelledBox(BESIDE, "a")]
    assert [p.kind for p in pair_up(two, [LabelledBox(BESIDE, "a", 0.9)])] == ["missed", "right"]


def test_of_several_shifted_boxes_the_nearest_is_taken() -> None:
    nearer, farther = LabelledBox((5.0, 0, 15, 10), "a", 0.2), LabelledBox((8.0, 0, 18, 10), "a", 0.9)
    pairs = pair_up([LabelledBox(BOX, "a")], [farther, nearer])
    assert [(p.kind, p.predicted) for p in pairs] == [("shifted", nearer), ("false", farther)]


def test_equal_boxes_of_two_truths_are_claimed_once_each() -> None:
    same = LabelledBox(BOX, "a", 0.5)
    pairs = pair_up([LabelledBox(BOX, "a"), LabelledBox(BOX, "a")], [same, LabelledBox(BOX, "a", 0.5)])
    assert [p.kind for p in pairs] == ["right", "right"]


def test_texts_are_compared_after_normalisation() -> None:
    composed, apart = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    assert composed != apart
    assert pair_up([LabelledBox(BOX, composed)], [LabelledBox(BOX, apart, 1.0)])[0].kind == "right"
    assert pair_up([LabelledBox(BOX, composed)], [LabelledBox(BESIDE, apart, 1.0)])[0].kind == "shifted"


def test_nothing_found_where_nothing_is_is_no_error() -> None:
    assert num_errors(pair_up([], [])) == 0


def test_a_prediction_counts_from_its_score_on() -> None:
    boxes = [LabelledBox(BOX, "a", 0.3), LabelledBox(BOX, "b", 0.9), LabelledBox(BOX, "c", 0.2)]
    assert [b.label for b in above(boxes, 0.3)] == ["a", "b"]
