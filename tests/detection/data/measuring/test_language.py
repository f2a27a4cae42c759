from __future__ import annotations

import pytest

from argusvl.detection.data.measuring.language import prompt_language


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        ({"螺丝/已拧紧": 3}, "zh"),
        ({"BBU安装螺丝": 1}, "zh"),
        ({"RBC": 9, "WBC": 1}, "en"),
        ({"a screw, tightened": 50, "螺": 1}, "en"),
        ({"12/34": 5}, "en"),
        ({}, "en"),
        ({"𠀀𠀁": 1}, "zh"),
        ({"болт": 4}, "en"),
    ],
)
def test_the_script_of_the_descriptions_decides(texts: dict[str, int], language: str) -> None:
    assert prompt_language(texts) == language
