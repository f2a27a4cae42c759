"""How configuration errors are worded."""

from __future__ import annotations

from pydantic_core import ErrorDetails

from argus_doctor.wording import did_you_mean

_SHOWN_CHARACTERS = 80


def describe(error: ErrorDetails) -> str:
    """A pydantic error as the rest of a sentence that begins with the key: what is asked, what was found."""
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)
    found = error["input"]
    if isinstance(found, dict):
        return f"{message}, found a section"
    if error["type"] == "path_type":
        message = "should be a path, written as text"
    shown = repr(found)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[: _SHOWN_CHARACTERS - 1]}…"
    text = f"{message}, found {shown}"
    if error["type"] == "literal_error" and isinstance(found, str):
        return text + did_you_mean(found, _choices(error))
    if error["type"] in ("string_type", "path_type") and isinstance(found, bool | int | float):
        return f"{text}; put it in quotes to make it text"
    if error["type"] == "list_type" and isinstance(found, str) and len(found) <= _SHOWN_CHARACTERS:
        return f"{text}; write [{found}]"
    if error["type"] in ("int_type", "float_type", "bool_type") and isinstance(found, str):
        return f"{text}, which is text"
    return text


def _choices(error: ErrorDetails) -> list[str]:
    return str(error.get("ctx", {}).get("expected", "")).replace(" or ", ", ").replace("'", "").split(", ")
