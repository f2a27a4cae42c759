"""Free text → descriptions: a token map (synonym → term) and a label hierarchy (type → the terms allowed below it).

Both are files of the user's, JSON or YAML; those of the home domain ship with the package under the name ``bbu-room``::

    {"screw joint": "螺丝连接点", "fastened": "连接正确"}                                          a token map
    {"螺丝连接点": [["BBU安装螺丝", "地排处螺丝"], ["连接正确", "未拧紧"]], "标签贴纸": []}          a label hierarchy

Each list of a type is one level of the description, in order. What is allowed at no level is left out, and that is
said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argusvl.core.errors import DataError
from argusvl.core.files import user_path
from argusvl.core.strict_json import finite_number, shown
from argusvl.detection.data.findings import show_number
from argusvl.detection.data.formats.text import read_mapping

SHIPPED = Path(__file__).parent / "shipped"
"""Token maps and hierarchies that come with the package: ``<name>.tokens.json``, ``<name>.hierarchy.json``."""

Hierarchy = Mapping[str, Sequence[Sequence[str]]]

_SEPARATORS = re.compile(r"[/,;|，、；｜\n]+")


@dataclass(frozen=True, slots=True)
class Described:
    """A description, and the terms that have no place in it."""

    label: str
    left_out: tuple[str, ...] = ()


class Vocabulary:
    """Which words mean what.

    Args:
        token_map: Synonym → canonical term. Compared without case, width forms and outer spaces.
        hierarchy: Type → levels below it; ``None``: every value is kept as it is, in order.
    """

    def __init__(self, token_map: Mapping[str, str], hierarchy: Hierarchy | None) -> None:
        self.hierarchy = hierarchy
        below = (term for levels in (hierarchy or {}).values() for level in levels for term in level)
        terms = [*(hierarchy or {}), *below]
        self._terms = frozenset(terms)
        self._canonical = {_folded(term): term for term in terms}
        self._canonical |= {_folded(synonym): term for synonym, term in token_map.items()}

    def describe(self, properties: Any) -> Described | str:
        """The description of an object, or ``kind: why`` it has none.

        Args:
            properties: The vendor's properties: texts, however nested. A key counts where it is a term itself
                (``{"BBU安装螺丝": "连接正确"}``); otherwise it names a field.
        """
        if (odd := next(_odd_numbers(properties), None)) is not None:
            return f"malformed-annotation: the properties hold {shown(odd)}, which is no finite number"
        if self.hierarchy is None:
            texts = [self._canonical.get(_folded(text), text) for text in _texts(properties)]
            label = "/".join(dict.fromkeys(text for text in texts if text.strip()))
            return Described(label) if label else "empty-label: the properties hold no text"
        tokens = list(dict.fromkeys(self._tokens(properties)))
        if not tokens:
            return "empty-label: the properties hold no text"
        kind = next((token for token in tokens if token in self.hierarchy), None)
        if kind is None:
            return (
                f"unknown-label: none of {', '.join(map(repr, tokens[:8]))} is a type of the label hierarchy"
            )
        chosen = [kind]
        for level in self.hierarchy[kind]:
            chosen += [token for token in tokens if token in level and token not in chosen][:1]
        return Described("/".join(chosen), tuple(token for token in tokens if token not in chosen))

    def _tokens(self, properties: Any) -> Iterator[str]:
        for text in _texts(properties, keys=self._is_term):
            # A term may hold a separator itself: what is known as a whole is not taken apart.
            for part in [text] if _folded(text) in self._canonical else _SEPARATORS.split(text):
                if part.strip():
                    yield self._canonical.get(_folded(part), part.strip())

    def _is_term(self, key: str) -> bool:
        return self._canonical.get(_folded(key)) in self._terms


def load_token_map(file: str) -> dict[str, str]:
    """Reads a token map: a file, or the name of one that ships with the package.

    Raises:
        DataError: There is no such file, or it is not synonym → term.
    """
    path = _path_of(file, "tokens")
    value, _ = read_mapping(path)
    for synonym, term in value.items():
        if not isinstance(synonym, str) or not isinstance(term, str) or not term.strip():
            raise DataError(
                f"{synonym!r}: {term!r} is no pair of texts", where=path, remedy="write synonym: term"
            )
    return value


def load_hierarchy(file: str) -> dict[str, list[list[str]]]:
    """Reads a label hierarchy: a file, or the name of one that ships with the package.

    A type may be given one level without the inner brackets: ``挡风板: [已安装, 未安装]``.

    Raises:
        DataError: There is no such file, or it is not type → levels.
    """
    path = _path_of(file, "hierarchy")
    result: dict[str, list[list[str]]] = {}
    for kind, stated in read_mapping(path)[0].items():
        levels = [stated] if isinstance(stated, list) and stated and _is_texts(stated) else stated or []
        if not isinstance(kind, str) or not isinstance(levels, list) or not all(map(_is_texts, levels)):
            raise DataError(
                f"{kind!r}: {stated!r} is no list of levels",
                where=path,
                remedy="write type: [[terms of the first level], [terms of the second]]",
            )
        result[kind] = levels
    if not result:
        raise DataError("names no type", where=path, remedy="write type: [[terms of the first level], …]")
    return result


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(term, str) and term.strip() for term in value)


def _path_of(file: str, kind: str) -> Path:
    shipped = SHIPPED / f"{file}.{kind}.json"
    path = user_path(file)
    if not path.exists() and shipped.is_file():
        return shipped
    if not path.exists():
        names = ", ".join(sorted(p.name.split(".")[0] for p in SHIPPED.glob(f"*.{kind}.json")))
        raise DataError(
            "no such file", where=path, remedy=f"give a JSON or YAML file, or one that ships: {names}"
        )
    return path


def _texts(value: Any, keys: Any = None) -> Iterator[str]:
    """The texts of nested properties, in order; numbers count, ``true``, ``false`` and ``null`` do not."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield show_number(value)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, keys)
    elif isinstance(value, dict):
        for key, one in value.items():
            if keys is not None and keys(key):
                yield key
            yield from _texts(one, keys)


def _odd_numbers(value: Any) -> Iterator[float]:
    if isinstance(value, float) and finite_number(value) is None:
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _odd_numbers(one)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()
