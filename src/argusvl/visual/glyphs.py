"""The glyphs that a page needs, to travel inside it: a machine without Chinese fonts would show empty boxes (D-004)."""

from __future__ import annotations

import io
import re

from argusvl.core.errors import ArgusError
from argusvl.visual.fonts import covered_characters, default_font_path
from argusvl.visual.pictures import data_uri

_FIRST_CJK = 0x2E80  # where the radicals begin; what is before has glyphs everywhere

FAMILY = "Argus glyphs"
"""What pages call the font; it stands before the reader's own fonts in their style."""


def embedded_font(text: str) -> str:
    """A ``@font-face`` named :data:`FAMILY` with just the Chinese (and Japanese, Korean) glyphs of a text.

    Without the font's package the reader's own fonts must do; the page is no less complete.
    """
    font = glyph_font(text)
    if not font:
        return ""
    source = f'url({data_uri("font/woff", font)}) format("woff")'
    scope = f"unicode-range:U+{_FIRST_CJK:X}-10FFFF"
    return f'@font-face{{font-family:"{FAMILY}";font-display:block;src:{source};{scope}}}'


def glyph_font(text: str) -> bytes:
    """A WOFF file with the Chinese, Japanese and Korean glyphs of a text.

    Empty where the text has no such character, the font none of them, or the font's package is not installed.
    """
    wanted = set(re.findall(f"[{chr(_FIRST_CJK)}-\U0010ffff]", text))
    try:
        path = default_font_path()
    except ArgusError:
        return b""
    wanted = {character for character in wanted if ord(character) in covered_characters(path)}
    if not wanted:
        return b""
    from fontTools import subset

    options = subset.Options(layout_features=[], hinting=False, desubroutinize=False, notdef_outline=True)
    options.flavor = "woff"
    font = subset.load_font(str(path), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(sorted(wanted)))
    subsetter.subset(font)
    packed = io.BytesIO()
    subset.save_font(font, packed, options)
    return packed.getvalue()
