"""The languages in which drawn things are described."""

from __future__ import annotations

from typing import Literal

from argusvl.core.errors import DataError

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


def known_language(name: str) -> Language:
    """The language of a name.

    Raises:
        DataError: It is not known.
    """
    for language in LANGUAGES:
        if language == name:
            return language
    raise DataError(f"{name!r} is not known", where="language", remedy=f"use one of {', '.join(LANGUAGES)}")
