"""Scores of descriptions, against the programs that define them."""

from __future__ import annotations

import shutil
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argusvl.core.errors import ArgusError
from argusvl.detection.measure.caption_scores import Meteor, chrf, require_meteor

TEXT = st.text(alphabet="abc 螺丝连接点/é\u0301", max_size=14)


@settings(max_examples=150)
@given(TEXT, st.lists(TEXT, min_size=1, max_size=3))
def test_chrf_is_sacrebleus(candidate: str, references: list[str]) -> None:
    import unicodedata

    from sacrebleu.metrics import CHRF

    said, *meant = (unicodedata.normalize("NFC", text) for text in (candidate, *references))
    expected = CHRF().sentence_score(said, meant).score / 100
    assert chrf([candidate], [references]) == [pytest.approx(expected, abs=1e-9)]


def test_chrf_tells_descriptions_apart_in_chinese() -> None:
    right, near, other = chrf(
        ["螺丝连接点/连接正确", "螺丝连接点/连接正确", "标签贴纸"],
        [["螺丝连接点/连接正确"], ["螺丝连接点/连接错误"], ["螺丝连接点/连接错误"]],
    )
    assert right == 1
    assert 0.5 < near < 0.9
    assert other == 0
    assert chrf(["", "a", ""], [["a"], [""], []]) == [0, 0, 0]


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of the program that is killed
@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR runs in Java")
def test_meteor_is_the_java_programs_and_takes_any_text() -> None:
    pytest.importorskip("pycocoevalcap")
    meteor = Meteor()
    scores = meteor(
        ["a small cat", "red car", "a small\ncat ||| x", ""],
        [["a dog", "a small cat"], ["the automobile"], ["a small cat x"], ["a"]],
    )
    assert scores == pytest.approx([1.0, 0.2331, 1.0, 0.0], abs=1e-3)
    assert meteor([], []) == []
    assert meteor._program is not None
    meteor._program.meteor_p.kill()  # type: ignore[attr-defined]
    meteor._program.meteor_p.wait()  # type: ignore[attr-defined]
    with pytest.raises(ArgusError, match="Java program failed"):
        meteor(["a"], [["a"]])


def test_what_meteor_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocoevalcap")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ArgusError, match="no command java"):
        require_meteor()
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    with pytest.raises(ArgusError, match=r"argusvl\[pycocoevalcap\]"):
        require_meteor()
