from __future__ import annotations

import pytest

from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.report.classes import MAX_CONFUSION_CLASSES, class_rows, confusion_matrix

KINDS = {
    "screw": {"right": 6, "misdescribed": 2, "missed": 1, "shifted": 1, "false": 5},
    "label": {"right": 4},
}


def test_a_class_has_its_figures_its_best_threshold_and_its_outcome() -> None:
    per_class = {"screw": {"AP": 0.5, "count": 10}, "label": {"AP": None, "count": 4}}
    curve = PrecisionCurve([1.0] * 3, [1.0] * 3, [0.5, 0.75, 0.5])
    columns, (screw, label) = class_rows(per_class, KINDS, {"screw": curve})
    assert columns == ["objects", "AP", "best F1", "from score"]
    assert list(screw.figures) == [10, 0.5, 0.75, "0.50"]
    assert list(label.figures) == [4, None, None, None]
    assert dict(screw.outcome) == {"right": 60.0, "misdescribed": 20.0, "shifted": 10.0, "missed": 10.0}
    assert screw.outcome[0][0] == "right"
    assert screw.kinds["false"] == 5 and label.kinds["false"] == 0


def test_a_class_that_is_only_predicted_has_a_row() -> None:
    columns, rows = class_rows({"a": {"AP": 1.0}}, {"b": {"false": 3}}, {})
    assert columns == ["AP"]
    assert [(row.name, list(row.figures), list(row.outcome)) for row in rows] == [
        ("a", [1.0], []),
        ("b", [None], []),
    ]
    assert class_rows({"a": {"AP": 1.0}}, {}, {})[1][0].kinds == {}


def test_a_row_of_the_matrix_is_what_became_of_a_class() -> None:
    matrix = confusion_matrix({"screw": {"screw": 6, "label": 2}, "label": {"label": 4}}, KINDS)
    assert matrix is not None
    assert list(matrix.said) == ["screw", "label"]
    rows = dict(matrix.rows)
    assert [(c.count, c.share, c.kind) for c in rows["screw"]] == [
        (6, 60.0, "right"),
        (2, 20.0, "misdescribed"),
        (2, 20.0, "missed"),
    ]
    assert sum(c.share for c in rows["label"]) == pytest.approx(100)
    assert [(c.count, c.kind) for c in rows[""]] == [(5, "false"), (0, "false")]
    assert rows[""][0].share == pytest.approx(100 * 5 / 11)  # of what was said to be a screw


def test_no_matrix_where_it_would_say_nothing_or_cannot_be_read() -> None:
    many = {str(k): {str(k): 1} for k in range(MAX_CONFUSION_CLASSES + 1)}
    assert confusion_matrix({}, KINDS) is None
    assert confusion_matrix({"a": {"a": 3}}, {}) is None
    assert confusion_matrix(many, {}) is None
    assert confusion_matrix(dict(list(many.items())[1:]), {}) is not None
