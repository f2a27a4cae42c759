"""YAML and ``key=value`` overrides → a frozen, validated configuration; and back to YAML.

The way through this file: entries are read with the place where each was written, each key finds its one path in
the schema, overrides replace, the result is validated, and every problem is told by key, place and remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from argusvl.config.key_index import KeyIndex, KeyPath, UnknownKeyError
from argusvl.config.messages import describe
from argusvl.config.schema import CrossFieldError, RunConfig, Section
from argusvl.config.yaml_text import Entry, read_entries, read_override, write_yaml
from argusvl.core.errors import ConfigError
from argusvl.core.files import read_text
from argusvl.core.logging import get_logger
from argusvl.core.wording import listed_below

C = TypeVar("C", bound=RunConfig)

logger = get_logger(__name__)

_MOST_BYTES = 1 << 20
"""A configuration has some five thousand; what is larger is something else."""

_MOST_PROBLEMS = 20
"""Problems told at once; a screen holds no more."""


@dataclass(frozen=True, slots=True)
class RawConfig:
    """A configuration as written, before a schema has been chosen.

    Attributes:
        source: File (or what else) it comes from, for messages.
    """

    source: str
    entries: tuple[Entry, ...]
    overrides: tuple[Entry, ...] = ()

    @property
    def task(self) -> Entry | None:
        """The entry of the key ``task``, which chooses the schema; ``None`` where there is none."""
        named = [e for e in (*self.entries, *self.overrides) if e.path == ("task",)]
        return named[-1] if named else None


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> RawConfig:
    """Reads a YAML file and ``key=value`` overrides; validates nothing yet but their form.

    Raises:
        ConfigError: The file is missing, empty or no YAML mapping, or an override is not of the form ``key=value``.
    """
    file = Path(path)
    try:
        text = read_text(file, most_bytes=_MOST_BYTES)
    except FileNotFoundError:
        raise ConfigError("no such configuration file", where=file, remedy="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the configuration cannot be read: {getattr(error, 'strerror', None) or error}",
            where=file,
            remedy="give a YAML file saved as UTF-8",
        ) from None
    if not text.strip():  # e.g. what a command that failed was to write there
        raise ConfigError("the file is empty", where=file, remedy="write one with `argus init DATA > FILE`")
    written = tuple(entry for override in overrides for entry in read_override(override))
    return RawConfig(str(file), tuple(read_entries(text, str(file))), written)


def load_config(path: str | Path, schema: type[C], overrides: Sequence[str] = ()) -> C:
    """Loads a configuration whose task is known: a file with sections, flat, or mixed.

    Overrides are ``key=value`` texts; the value is YAML, the key bare or with its sections.

    Raises:
        ConfigError: A key is missing, unknown, ill-typed, given twice, or contradicts another.
    """
    return build(read_config(path, overrides), schema)


def config_from_mapping(value: Mapping[str, Any], schema: type[C], source: str | Path) -> C:
    """Validates a configuration that comes as a mapping, e.g. out of a checkpoint.

    Raises:
        ConfigError: As :func:`load_config`.
    """
    return build(RawConfig(str(source), tuple(_entries_of(value, (), str(source)))), schema)


def build(raw: RawConfig, schema: type[C]) -> C:
    """Validates a configuration as written.

    Raises:
        ConfigError: As :func:`load_config`.
    """
    index = KeyIndex.of(schema)
    in_file = _by_path([e for e in raw.entries if not _empty_section(e, index)], index, raw.source)
    on_command_line = _by_path(raw.overrides, index, raw.source)
    # An override replaces the key, all keys below it, and a null section above it.
    kept = {p: e for p, e in in_file.items() if not any(_overlap(p, other) for other in on_command_line)}
    entries = kept | on_command_line
    try:
        config = schema.model_validate(_nest(entries, index))
    except ValidationError as error:
        raise _config_error(_problems(error, index, entries), raw.source) from None
    for section in _sections(config):
        for warning in section.cross_field_warnings():
            logger.warning("%s: %s; %s", ".".join(index.canonical(warning.key)), warning.what, warning.remedy)
    epochs, steps = on_command_line.get(("training", "num_train_epochs")), config.training.max_steps
    if epochs is not None and steps > 0:  # in a file, `argus init` says that max_steps decides
        logger.warning("%s has no effect: max_steps is %d; add max_steps=-1", epochs.where, steps)
    return config


def to_yaml(config: RunConfig) -> str:
    """The whole configuration with its sections; loads to an equal configuration."""
    return write_yaml(config.model_dump(mode="json"))


@dataclass(frozen=True, slots=True)
class _Problem:
    key: str
    where: str | None
    what: str


def _by_path(entries: Sequence[Entry], index: KeyIndex, source: str) -> dict[KeyPath, Entry]:
    """Entries by the path that each key stands for; the same key in two forms is an error."""
    found: dict[KeyPath, Entry] = {}
    problems: list[_Problem] = []
    for entry in entries:
        try:
            path = index.resolve(entry.path)
        except UnknownKeyError as error:
            key = ".".join(error.written)
            # A misspelt section is one problem, not one a key.
            if all(key != problem.key for problem in problems):
                problems.append(_Problem(key, entry.where, str(error)))
            continue
        for other_path, other in found.items():
            if _overlap(path, other_path):
                also = (
                    other.where if other.path == entry.path else f"{'.'.join(other.path)!r} ({other.where})"
                )
                what = f"given twice, also as {also}; write it once"
                problems.append(_Problem(".".join(entry.path), entry.where, what))
        found[path] = entry
    if problems:
        raise _config_error(problems, source)
    return found


def _empty_section(entry: Entry, index: KeyIndex) -> bool:
    """Whether a line such as ``training:`` holds nothing: its keys may stand elsewhere, flat."""
    return entry.value in (None, {}) and entry.path in index.sections and entry.path not in index.optional


def _overlap(one: KeyPath, other: KeyPath) -> bool:
    """Whether they are the same key, or one is a section around the other."""
    return one[: len(other)] == other or other[: len(one)] == one


def _nest(entries: dict[KeyPath, Entry], index: KeyIndex) -> dict[str, Any]:
    # Sections that must be there are, even if nothing is in them: then each of their keys is told as missing.
    nested: dict[str, Any] = {}
    for path in index.sections:
        if path and not any(path[: len(o)] == o for o in index.optional):
            _put(nested, path, {})
    for path, entry in entries.items():
        _put(nested, path, entry.value)
    return nested


def _put(nested: dict[str, Any], path: KeyPath, value: Any) -> None:
    for name in path[:-1]:
        nested = nested.setdefault(name, {})
    nested[path[-1]] = value


def _problems(error: ValidationError, index: KeyIndex, entries: dict[KeyPath, Entry]) -> Iterator[_Problem]:
    for details in error.errors():
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, CrossFieldError):
            for problem in cause.problems:
                path = index.canonical(problem.key)
                yield _Problem(".".join(path), _place(path, entries), f"{problem.what}; {problem.remedy}")
        else:
            yield _plain_problem(details, index, entries)


def _plain_problem(details: ErrorDetails, index: KeyIndex, entries: dict[KeyPath, Entry]) -> _Problem:
    path = tuple(part for part in details["loc"] if isinstance(part, str))
    key = ".".join(path) + "".join(f"[{part}]" for part in details["loc"] if isinstance(part, int))
    if details["type"] == "missing":
        return _Problem(key, _place(path, entries), f"missing. It is: {index.descriptions[path]}")
    if path in index.sections and details["type"] != "value_error":
        return _Problem(key, _place(path, entries), f"is a section of keys, found {details['input']!r}")
    return _Problem(key, _place(path, entries), describe(details))


def _place(path: KeyPath, entries: dict[KeyPath, Entry]) -> str | None:
    """Where a key was written, or the nearest section around it that was written as such."""
    for length in range(len(path), 0, -1):
        if path[:length] in entries:
            return entries[path[:length]].where
    return None


def _config_error(problems: Sequence[_Problem] | Iterator[_Problem], source: str) -> ConfigError:
    problems = list(problems)
    remedy = "correct the key; `argus train CONFIG --print-config` shows a whole configuration that is valid"
    if len(problems) == 1:
        only = problems[0]
        return ConfigError(f"{only.key}: {only.what}", where=only.where or source, remedy=remedy)
    lines = [f"{p.key}{f' ({p.where})' if p.where else ''}: {p.what}" for p in problems]
    what = f"{len(problems)} keys are wrong:{listed_below(lines, _MOST_PROBLEMS)}"
    return ConfigError(what, where=source, remedy=remedy.replace("the key", "the keys"))


def _sections(section: Section) -> Iterator[Section]:
    yield section
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _sections(value)


def _entries_of(value: Mapping[str, Any], prefix: KeyPath, source: str) -> Iterator[Entry]:
    for key, item in value.items():
        path = (*prefix, *str(key).split("."))
        if isinstance(item, Mapping) and item:
            yield from _entries_of(item, path, source)
        else:
            yield Entry(path, item, source)
