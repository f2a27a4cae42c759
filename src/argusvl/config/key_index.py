"""Where a key belongs: a schema's names, and the one path that a key as written stands for.

Every name belongs to one place, so ``data.train``, ``train`` inside ``data``, and a bare ``train`` are the same key;
so are ``data.augmentation.hue``, ``augmentation.hue`` and ``hue``.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic.fields import FieldInfo

from argusvl.config import trainer_arguments
from argusvl.config.schema import RunConfig, Section

KeyPath = tuple[str, ...]

FREE: KeyPath = ("trainer_arguments",)
"""The mapping that a bare name of transformers' belongs to."""


class UnknownKeyError(Exception):
    """A key as written stands for nothing; the text says what may have been meant.

    Attributes:
        written: The key as far as it was read: ``("trainin",)`` of ``trainin.seed``.
    """

    def __init__(self, what: str, written: KeyPath) -> None:
        self.written = written
        super().__init__(what)


GONE = {"mosaic": "it paid on none of three sets of photographs"}
"""Keys that configurations of earlier versions have, and why they went."""


@dataclass(frozen=True, slots=True)
class KeyIndex:
    """A schema's keys.

    Attributes:
        sections: Path → schema of every section; ``()`` is the whole configuration.
        optional: Paths of sections that may be null.
        free: Paths of mappings whose keys are another library's and not the schema's.
        by_name: Name → path of every key and section.
        descriptions: Path → docstring of every key.
    """

    sections: dict[KeyPath, type[Section]]
    optional: frozenset[KeyPath]
    free: frozenset[KeyPath]
    by_name: dict[str, KeyPath]
    descriptions: dict[KeyPath, str]

    @classmethod
    def of(cls, schema: type[RunConfig]) -> KeyIndex:
        """Reads a schema. That a name stands twice in it is a mistake of ours, hence an assertion."""
        sections: dict[KeyPath, type[Section]] = {(): schema}
        optional: set[KeyPath] = set()
        free: set[KeyPath] = set()
        by_name: dict[str, KeyPath] = {}
        descriptions: dict[KeyPath, str] = {}
        for path, field in _walk(schema, ()):
            assert path[-1] not in by_name, f"{path[-1]} belongs to {by_name[path[-1]]} and to {path}"
            by_name[path[-1]] = path
            descriptions[path] = field.description or ""
            section, may_be_null = _section_in(field.annotation)
            if section is not None:
                sections[path] = section
                if may_be_null:
                    optional.add(path)
            elif typing.get_origin(field.annotation) is dict:
                free.add(path)
        return cls(sections, frozenset(optional), frozenset(free), by_name, descriptions)

    def is_free(self, path: KeyPath) -> bool:
        """Whether a path lies in a mapping whose keys are another library's."""
        return any(path[: len(free)] == free for free in self.free)

    def resolve(self, written: KeyPath) -> KeyPath:
        """The path that a key as written stands for.

        Raises:
            UnknownKeyError: It stands for none.
        """
        current: KeyPath = ()
        for position, name in enumerate(written):
            if self.is_free(current):
                return (*current, *written[position:])
            if current not in self.sections:
                raise UnknownKeyError(f"{'.'.join(current)!r} is a value and has no keys", written)
            place = self.by_name.get(name)
            if place is not None and place[: len(current)] == current:
                current = place
            elif current == () and name in trainer_arguments.field_types():
                current = (*FREE, name)
            else:
                raise UnknownKeyError(self._what_is_wrong(name, current), written[: position + 1])
        return current

    def canonical(self, key: str) -> KeyPath:
        """The path of a key that a message names: a bare unique name or a dotted path."""
        return self.by_name.get(key, tuple(key.split(".")))

    def _what_is_wrong(self, name: str, section: KeyPath) -> str:
        if name in GONE:
            return f"unknown key, which an earlier version had; {GONE[name]}: delete the line"
        place = self.by_name.get(name)
        if place is not None:
            owner = ".".join(place[:-1])
            belongs = f"it belongs to section {owner!r}" if owner else "it is a section of its own"
            return f"unknown key in section {'.'.join(section)!r}; {belongs}"
        inside = [n for n, p in self.by_name.items() if p[: len(section)] == section]
        anywhere = [*self.by_name, *sorted(trainer_arguments.passable())]
        for names in (inside if section else [], anywhere):
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            if close:
                meant = self.by_name.get(close[0], (*FREE, close[0]))
                return f"unknown key; did you mean {'.'.join(meant)!r}?"
        return "unknown key"


def _walk(schema: type[Section], prefix: KeyPath) -> Iterator[tuple[KeyPath, FieldInfo]]:
    for name, field in schema.model_fields.items():
        yield (*prefix, name), field
        section, _ = _section_in(field.annotation)
        if section is not None:
            yield from _walk(section, (*prefix, name))


def _section_in(annotation: object) -> tuple[type[Section] | None, bool]:
    """The section that a field's type is, or is apart from ``None``."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        arguments = typing.get_args(annotation)
        sections = [a for a in arguments if isinstance(a, type) and issubclass(a, Section)]
        return (sections[0] if sections else None), type(None) in arguments
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, False
    return None, False
