from __future__ import annotations

import pytest

from argusvl.core.errors import ConfigError
from argusvl.detection.data.prompts import PROMPTS, prompt_language, prompts_for


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


def test_the_prompt_language_is_chosen_and_english_where_there_is_none() -> None:
    assert prompts_for("zh-CN") is PROMPTS["zh"]
    assert prompts_for("fr") is PROMPTS["en"]
    assert prompts_for("EN_us") is PROMPTS["en"]
    with pytest.raises(ConfigError, match="prompt_language"):
        prompts_for(" ")
    assert "3" in PROMPTS["zh"].user(3)
    assert "3" in PROMPTS["en"].user(3)
