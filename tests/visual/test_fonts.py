from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest

from argusvl.core.errors import ArgusError
from argusvl.visual import fonts

TERMS = "螺丝连接点/BBU安装螺丝/连接正确 bbu基带处理单元 挡风板 标签贴纸 机柜空间 非满载 未拧紧 中兴 爱立信"


def test_the_font_of_the_installation_has_the_terms_of_the_domain() -> None:
    assert fonts.missing_glyphs([TERMS]) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (None, r"is not installed[\s\S]*pip install cvttf-notosanscjk-regular[\s\S]*--font-path"),
        ([], "holds no font file"),
    ],
)
def test_a_missing_font_package_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, files: list[Any] | None, said: str
) -> None:
    def found(name: str) -> list[Any]:
        if files is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return files

    monkeypatch.setattr(importlib.metadata, "files", found)
    with pytest.raises(ArgusError, match=said):
        fonts.default_font_path()


def test_a_font_path_that_is_no_font_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ArgusError, match="no such font file"):
        fonts.load_font(tmp_path / "none.ttf", 20)
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"this is not a font")
    with pytest.raises(ArgusError, match=r"broken\.ttf: cannot be read as a font"):
        fonts.load_font(broken, 20)
    with pytest.raises(ArgusError, match=r"broken\.ttf: cannot be read as a font"):
        fonts.missing_glyphs(["a"], broken)


def test_missing_glyphs_are_named_once_each_in_their_order(latin_font: Path) -> None:
    assert fonts.missing_glyphs(["screw/螺丝", "丝/a"], latin_font) == ["螺", "丝"]


def test_escaped_text_shows_the_code_and_can_be_drawn(latin_font: Path) -> None:
    shown = fonts.drawable_text("a螺\tb\n", latin_font, "escape")
    assert shown == "a<U+87BA> b"
    assert fonts.missing_glyphs([shown], latin_font) == []
