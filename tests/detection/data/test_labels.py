from __future__ import annotations

import pytest

from argusvl.detection.data.labels import near_duplicates


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Platelets", "Platelet"),
        ("Platelets", "Plateletts"),
        ("Platelets", "PLATELETS"),
        ("BBU", "ＢＢＵ"),
        ("fire hydrant", "fire_hydrant"),
        ("螺丝连接点/BBU安装螺丝/连接正确", "螺丝连接点/BBU安裝螺丝/连接正确"),
        ("挡风板/已安装", "挡风板/已安装 "),
    ],
)
def test_slips_are_found(first: str, second: str) -> None:
    assert len(near_duplicates([first, second, "something else"])) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("RBC", "WBC"),
        ("机柜空间/满载", "机柜空间/非满载"),
        ("挡风板/已安装", "挡风板/未安装"),
        ("螺丝连接点/BBU安装螺丝/连接正确", "螺丝连接点/BBU安装螺丝/连接错误"),
        ("slot 1", "slot 2"),
        ("connector_11", "connector_12"),
        ("a/same", "b/same"),
        ("car", "cat"),
    ],
)
def test_labels_that_differ_on_purpose_are_left_alone(first: str, second: str) -> None:
    assert near_duplicates([first, second]) == []


def test_a_segment_is_told_once_however_many_labels_stand_below_it() -> None:
    labels = [
        f"{parent}/{leaf}" for parent in ("connector", "conector") for leaf in ("loose", "tight", "missing")
    ]
    assert near_duplicates(labels) == [("conector", "connector")]


def test_free_text_is_compared_by_spelling_only() -> None:
    labels = [
        f"a red cell in the {word} corner, number {i}" for i, word in enumerate(["upper", "lower"] * 400)
    ]
    labels += ["A red cell", "a red  cell"]
    assert near_duplicates(labels) == [("A red cell", "a red  cell")]
