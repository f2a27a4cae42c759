"""The language of descriptions, by their script: which prompts they are asked for with."""

from __future__ import annotations

from collections.abc import Mapping

_CHINESE = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x32000))
_CHINESE_FROM = 0.2
"""Share of the letters: names and codes in Chinese descriptions are often Latin, the other way round it is rare."""


def prompt_language(texts: Mapping[str, int]) -> str:
    """``zh`` for descriptions (each with how often it stands) in Chinese, ``en`` for all others."""
    letters = chinese = 0
    for text, count in texts.items():
        for character in text:
            if character.isalpha():
                letters += count
                chinese += count * any(ord(character) in block for block in _CHINESE)
    return "zh" if letters and chinese / letters >= _CHINESE_FROM else "en"
