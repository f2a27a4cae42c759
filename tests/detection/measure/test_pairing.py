from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    ("truth", "predicted", "kinds"),
    [
        # A shifted box is of the same class, and no other truth's.
        ([LabelledBox(BOX, "a")], [LabelledBox(BESIDE, "b", 0.9)], ["missed", "false"]),
        ([LabelledBox(BOX, "a")], [LabelledBox(BESIDE, "a/any", 0.9)], ["shifted"]),
        ([LabelledBox(BOX, "a")], [LabelledBox(BESIDE, "whatever/x", 0.9, class_name="a")], ["shifted"]),
        (
            [LabelledBox(BOX, "a"), LabelledBox(BESIDE, "a")],
            [LabelledBox(BESIDE, "a", 0.9)],
            ["missed", "right"],
        ),
        # Equal boxes of two truths are claimed once each.
        (
            [LabelledBox(BOX, "a")] * 2,
            [LabelledBox(BOX, "a", 0.5), LabelledBox(BOX, "a", 0.5)],
            ["right"] * 2,
        ),
        # Texts are compared in NFC.
        ([LabelledBox(BOX, "caf\u00e9")], [LabelledBox(BOX, "cafe\u0301", 1.0)], ["right"]),
        ([LabelledBox(BOX, "caf\u00e9")], [LabelledBox(BESIDE, "cafe\u0301", 1.0)], ["shifted"]),
        ([], [], []),
    ],
)
def test_what_becomes_of_each(
    truth: list[LabelledBox], predicted: list[LabelledBox], kinds: list[str]
) -> None:
    assert [pair.kind for pair in pair_up(truth, predicted)] == kinds


def test_of_several_shifted_boxes_the_nearest_is_taken() -> None:
    nearer, farther = LabelledBox((5.0, 0, 15, 10), "a", 0.2), LabelledBox((8.0, 0, 18, 10), "a", 0.9)
    pairs = pair_up([LabelledBox(BOX, "a")], [farther, nearer])
    assert [(p.kind, p.predicted) for p in pairs] == [("shifted", nearer), ("false", farther)]


def test_a_prediction_counts_from_its_score_on() -> None:
    boxes = [LabelledBox(BOX, "a", 0.3), LabelledBox(BOX, "b", 0.9), LabelledBox(BOX, "c", 0.2)]
    assert [b.label for b in above(boxes, 0.3)] == ["a", "b"]
