from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

import pytest

import argusvl.detection.data.preparing.label_check as module
from argusvl.detection.data.preparing.label_check import near_duplicates


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


@pytest.mark.parametrize(
    "labels",
    [
        [f"{'the quick brown fox ' * 40}{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(400)],
        ["a/" * 5000, "b/" * 5000 + "c"],
        [f"{'-' * i}cell" for i in range(1200)],
        [f"{i} of {name} things" for name in ("red", "rad", "rod") for i in range(400)],
    ],
    ids=["sentences", "levels", "spellings", "numbers"],
)
def test_the_work_is_bounded(labels: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    class Counted(SequenceMatcher[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            nonlocal compared
            compared += 1
            super().__init__(*arguments, **options)

    monkeypatch.setattr(module, "SequenceMatcher", Counted)
    monkeypatch.setattr(module, "_MOST_PAIRS", 1000)
    pairs = near_duplicates(labels)
    assert compared <= 1000
    assert len(pairs) <= len(labels)


def test_free_text_is_compared_by_spelling_only() -> None:
    labels = [
        f"a red cell in the {word} corner, number {i}" for i, word in enumerate(["upper", "lower"] * 400)
    ]
    labels += ["A red cell", "a red  cell"]
    assert near_duplicates(labels) == [("A red cell", "a red  cell")]
