"""The font for labels: one that has the glyphs, or an error that says which are missing (D-004).

A font without a glyph draws an empty box in its place, and nobody is told. So every text is checked against the
font's own table of characters before it is drawn, and the glyphs that a page needs travel inside it.
"""

from __future__ import annotations

import importlib.metadata
import io
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import ImageFont

from argusvl.core.errors import ArgusError
from argusvl.core.wording import listed
from argusvl.visual.pictures import data_uri

FONT_PACKAGE = "cvttf-notosanscjk-regular"
"""The PyPI package whose font is used when no other is named: Noto Sans CJK, SIL Open Font License."""

FAMILY = "Argus glyphs"
"""What pages call the font; it stands before the reader's own fonts in their style."""

_FIRST_CJK = 0x2E80  # where the radicals begin; what is before has glyphs everywhere

_CHECK = "check --font-path: a .ttf, .otf or .ttc file"

OnMissing = Literal["refuse", "escape"]
"""What to do with a character that the font lacks: an error, or its code point, e.g. ``<U+1F600>``."""


def default_font_path() -> Path:
    """The font file of :data:`FONT_PACKAGE`.

    Raises:
        ArgusError: The package is not installed, or holds no font.
    """
    lacking = f"no font for labels: the package {FONT_PACKAGE}"
    remedy = f"pip install {FONT_PACKAGE}, or name a font that has Chinese glyphs with --font-path"
    try:
        files = importlib.metadata.files(FONT_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise ArgusError(f"{lacking} is not installed", remedy=remedy) from None
    candidates = [Path(str(f.locate())) for f in files if f.suffix.lower() in (".otf", ".ttf", ".ttc")]
    # The wheel brings the same font twice; the one in the package's own folder is the one that belongs to it.
    present = sorted((path for path in candidates if path.is_file()), key=lambda path: -len(path.parts))
    if not present:
        raise ArgusError(f"{lacking} holds no font file", remedy=remedy)
    return present[0]


def resolve_font(font_path: str | Path | None) -> Path:
    """The font file to use: the one named, or the default one.

    Raises:
        ArgusError: There is no such file, or no default font.
    """
    if font_path is None:
        return default_font_path()
    path = Path(font_path)
    if not path.is_file():
        raise ArgusError("no such font file", where=path, remedy=_CHECK)
    return path


def load_font(font_path: str | Path | None, size_px: int) -> ImageFont.FreeTypeFont:
    """The font at a size.

    Raises:
        ArgusError: There is no such file, or it is not a font.
    """
    path = resolve_font(font_path)
    try:
        # The basic layout is the same on every machine; the other one is there or not by how Pillow was built.
        return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise _not_a_font(path, error) from None


@lru_cache(maxsize=8)
def covered_characters(path: Path) -> frozenset[int]:
    """Code points that a font file has glyphs for.

    Raises:
        ArgusError: The file is not a font.
    """
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, lazy=True, fontNumber=0) as font:
            return frozenset(font.getBestCmap() or ())
    except (TTLibError, OSError, ValueError, KeyError) as error:
        raise _not_a_font(path, error) from None


def missing_glyphs(texts: Iterable[str], font_path: str | Path | None = None) -> list[str]:
    """Characters of the texts that the font lacks, each once, in order of appearance."""
    covered = covered_characters(resolve_font(font_path))
    seen = dict.fromkeys(character for text in texts for character in clean_text(text))
    return [character for character in seen if ord(character) not in covered]


def drawable_text(text: str, font_path: str | Path | None, on_missing: OnMissing) -> str:
    """The text as it can be drawn: one line, without a character that the font lacks.

    Raises:
        ArgusError: The font lacks a character and ``on_missing`` is ``"refuse"``.
    """
    missing = set(missing_glyphs([text], font_path))
    if missing and on_missing == "refuse":
        names = listed([f"{_shown(c)} (U+{ord(c):04X})" for c in sorted(missing)], 8)
        raise ArgusError(
            f"the font has no glyph for {names}, in the label {text!r}",
            where=resolve_font(font_path),
            remedy=f"name a font that has them with --font-path, or install {FONT_PACKAGE} and name none",
        )
    return "".join(f"<U+{ord(c):04X}>" if c in missing else c for c in clean_text(text))


def clean_text(text: str) -> str:
    """The text on one line: every run of white space becomes one blank."""
    return " ".join(text.split())


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


def _shown(character: str) -> str:
    """The character, where it can be shown at all; its name otherwise."""
    if unicodedata.category(character)[0] in "CZ":
        return unicodedata.name(character, "a control character")
    return character


def _not_a_font(path: Path, error: Exception) -> ArgusError:
    return ArgusError(f"cannot be read as a font: {error}", where=path, remedy=_CHECK)
