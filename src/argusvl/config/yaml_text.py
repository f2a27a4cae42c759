"""YAML 1.2 scalars for PyYAML, with the place where each key was written.

PyYAML reads YAML 1.1, in which ``1e-4`` is text, ``no`` is false, ``010`` is eight and ``2026-11-21`` is a date: each a
silent surprise in a configuration. Here the core schema of YAML 1.2 decides. Writing uses the same rules, so
that text which looks like a number is put in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import ComposerError

from argusvl.core.errors import ConfigError
from argusvl.core.wording import first_line

_SCALARS = [
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
]


_DEEPEST = 50
"""Levels of nesting; no configuration has more than a handful, and Python's stack has room for some hundreds."""


class BoundedLoader(yaml.SafeLoader):
    """Refuses a document that contains itself, is nested too deeply, or stands for too many values.

    Attributes:
        most_nodes: Keys and values, each counted as often as a name (``*name``) stands for it: names that stand for
            names make billions of a few lines.
    """

    most_nodes = 1_000_000

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0
        self._nodes = 0
        # A name (&name) whose value is complete → how many nodes it stands for.
        self._nodes_of: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Reads the next value, as PyYAML does, but counts."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._nodes
        self._depth += 1
        self._nodes += self._stands_for(event)
        if self._depth > _DEEPEST:
            raise _refused(event, f"more than {_DEEPEST} levels of nesting")
        if self._nodes > self.most_nodes:
            raise _refused(event, f"stands for more than {self.most_nodes:,} values")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent) and event.anchor is not None:
            self._nodes_of[event.anchor] = self._nodes - before
        return node

    def _stands_for(self, event: Any) -> int:
        if not isinstance(event, yaml.AliasEvent) or event.anchor not in self.anchors:
            return 1
        if event.anchor not in self._nodes_of:
            raise _refused(event, f"*{event.anchor} stands for what it is in")
        return self._nodes_of[event.anchor]


def _refused(event: Any, problem: str) -> ComposerError:
    return ComposerError(None, None, problem, event.start_mark)


class _Loader(BoundedLoader):
    most_nodes = 10_000  # a whole configuration has some two hundred
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own way; filled below


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012


# Line breaks to YAML that are none to people: a reader folds them into spaces unless they are escaped.
_HIDDEN_BREAKS = frozenset("\x85\u2028\u2029")


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Text as PyYAML writes it, but in quotes where a plain scalar would lose a line break."""
    style = '"' if _HIDDEN_BREAKS & set(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, represent_text)


for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))  # PyYAML's own reads 010 as eight


_Loader.add_constructor("tag:yaml.org,2002:int", _int)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as written: its path (``("data", "train")``), its value, and where it stands.

    A value that is a mapping comes as one entry for each of its keys; an empty mapping is an entry itself.
    """

    path: tuple[str, ...]
    value: Any
    where: str


def read_entries(text: str, source: str) -> list[Entry]:
    """The keys of a YAML mapping in the order written; dots in a key separate sections.

    Raises:
        ConfigError: The text is no YAML, no mapping, or holds a key twice in one mapping.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return []
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(
                "not a mapping of keys to values", where=source, remedy="write key: value lines"
            )
        return list(_walk(loader, node, (), source))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a tag such as !!int before what is none
        what, where = yaml_problem(error, source)
        remedy = "save it as plain text" if where == source else "correct the line"
        raise ConfigError(what, where=where, remedy=remedy) from None


def read_override(text: str) -> list[Entry]:
    """``key=value`` as entries: one, or one for each key where the value is a mapping.

    Raises:
        ConfigError: There is no ``=``, or the value is no YAML.
    """
    source = f"override {text!r:.80}"
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError("not of the form key=value", where=source, remedy="write for example seed=1")
    path = tuple(key.strip().removeprefix("--").split("."))
    try:
        loader = _Loader(value)
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode) and node.value:
            return [Entry(e.path, e.value, source) for e in _walk(loader, node, path, source)]
        return [Entry(path, None if node is None else loader.construct_object(node, deep=True), source)]
    except (yaml.YAMLError, ValueError) as error:
        what, _ = yaml_problem(error, source)
        raise ConfigError(what, where=source, remedy="put the value in quotes") from None


def yaml_problem(error: Exception, source: object) -> tuple[str, str]:
    """What is wrong with a text that is no YAML, and where: its source, with the line where that is known."""
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or first_line(error)
    mark = getattr(error, "problem_mark", None)
    return f"not valid YAML: {reason}", f"{source}:{mark.line + 1}" if mark else str(source)


def write_yaml(value: dict[str, Any]) -> str:
    """Text that :func:`read_entries` reads back to the same values."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _walk(loader: _Loader, node: yaml.MappingNode, prefix: tuple[str, ...], source: str) -> Iterator[Entry]:
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        where = f"{source}:{line}"
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise ConfigError(f"the key {key!r} is not text", where=where, remedy="write a key's name")
        if key in lines:
            raise ConfigError(
                f"the key {key!r} stands here and in line {lines[key]}",
                where=where,
                remedy="keep one of them",
            )
        lines[key] = line
        path = (*prefix, *key.split("."))
        if isinstance(value_node, yaml.MappingNode) and value_node.value:
            yield from _walk(loader, value_node, path, source)
        else:
            yield Entry(path, loader.construct_object(value_node, deep=True), where)
