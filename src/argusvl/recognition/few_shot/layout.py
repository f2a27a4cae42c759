"""Where the examples and the queries are: the folder schema, and other layouts by a pattern each.

    data/<category>/2.support-set/Class_<class>/shot<N>/<picture>     a category of several classes
    data/<category>/2.support-set/shot<N>/<picture>                   a category that is one class itself
    data/<category>/6.preprocessed/<class>/…/<picture>                queries whose class is known
    data/<category>/6.preprocessed/<picture>                          queries whose class is not

Another layout is two patterns of names with ``{category}``, ``{class}``, ``{shot}``, ``*`` (one name) and ``**`` (any
number of names, also none). Whatever lies in the folders that a pattern speaks of must fit it: a picture that is left
out in silence would change every figure.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from argus_doctor.wording import did_you_mean
from argusvl.core.errors import DataError
from argusvl.core.files import require_folder
from argusvl.core.wording import listed, listed_below, printable
from argusvl.recognition.extraction.sources import Listing, find_images

_SHOWN_PROBLEMS = 20
_ANY_FOLDERS = r"(?:[^/]+/)*"
_PLACEHOLDERS = {"category": r"[^/]+", "class": r"[^/]+", "shot": r"[0-9]+"}


class LayoutError(DataError):
    """A data folder is not laid out as it should be; every offending path is named."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Patterns of examples and queries, relative to the data folder; the first that fits a name counts."""

    support: tuple[str, ...]
    queries: tuple[str, ...]

    def expected(self) -> str:
        """The form that names should have, for messages."""
        parts = [("examples", self.support), ("queries", self.queries)]
        return ", ".join(f"{what} as {' or '.join(patterns)}" for what, patterns in parts if patterns)


LAYOUTS: Mapping[str, Layout] = {
    "argus": Layout(
        support=(
            "{category}/2.support-set/Class_{class}/shot{shot}/*",
            "{category}/2.support-set/shot{shot}/*",
        ),
        queries=("{category}/6.preprocessed/{class}/**/*", "{category}/6.preprocessed/*"),
    ),
    "imagefolder": Layout(support=("train/{class}/**/*",), queries=("val/{class}/**/*",)),
    "classes": Layout(support=("{class}/**/*",), queries=()),
}
"""Layouts by name. ``classes`` has examples only."""


@dataclass(frozen=True, slots=True)
class Query:
    """A picture to classify, and its class where the layout tells."""

    path: Path
    true_class: str | None


@dataclass(frozen=True)
class Category:
    """A set of classes to tell apart, and the queries.

    Attributes:
        name: Of its folder; of the data folder where the layout has no categories.
        classes: Class → its examples by shot number; sorted by name.
        queries: Sorted by their paths.
        notes: What is odd and no error: unequal shots, classes of queries without an example, other files.
    """

    name: str
    classes: Mapping[str, tuple[Path, ...]]
    queries: tuple[Query, ...]
    notes: tuple[str, ...] = ()


def parse_layout(text: str) -> Layout:
    """A layout as a user writes it: a name, or ``support=PATTERN queries=PATTERN``, apart from each other by spaces.

    Each may be given several times.

    Raises:
        LayoutError: No layout has this name, or a pattern is not usable.
    """
    if text in LAYOUTS:
        return LAYOUTS[text]
    found: dict[str, list[str]] = {"support": [], "queries": []}
    for part in text.split():
        key, equals, pattern = part.partition("=")
        if not equals or key not in found:
            raise LayoutError(
                f"unknown layout {text!r}{did_you_mean(text, LAYOUTS)}",
                remedy=f"use one of {', '.join(LAYOUTS)}, or 'support=PATTERN queries=PATTERN'",
            )
        found[key].append(pattern)
    layout = Layout(tuple(found["support"]), tuple(found["queries"]))
    if not layout.support or not layout.queries:
        raise LayoutError(
            f"the layout {text!r} names no {'examples' if not layout.support else 'queries'}",
            remedy="write 'support=PATTERN queries=PATTERN', e.g. 'support=known/{class}/* queries=new/**/*'",
        )
    for pattern in layout.support:
        if "{class}" not in _Pattern(pattern).text:
            raise LayoutError(
                f"the pattern {pattern!r} does not say where the class is", remedy="put {class} into it"
            )
    for pattern in layout.queries:
        _Pattern(pattern)
    return layout


def read_layout(data: Path, category: str | None = None, layout: Layout = LAYOUTS["argus"]) -> list[Category]:
    """The categories of a data folder, sorted by name; nothing is decoded.

    Names are compared in Unicode's composed form (NFC), since file systems differ in how they store an accent.

    Raises:
        LayoutError: A picture stands where the layout has no place for it, a class is empty, a folder cannot be read,
            two folders are one class, there are no examples or no queries. All are named, with the expected form.
        DataError: There is no such folder, or no picture in it.
    """
    require_folder(data, remedy=f"name a folder that holds {layout.expected()}", error=LayoutError)
    listing = find_images(data)
    found, problems = _read(data, layout, category, listing)
    fitting = "" if any(one.classes for one in found) else _fitting_layouts(data, layout, listing)
    _refuse_problems(data, problems, layout.expected(), fitting)
    return found


def _read(
    data: Path, layout: Layout, category: str | None, listing: Listing
) -> tuple[list[Category], list[str]]:
    """The categories that a layout finds in a folder, and what does not fit."""
    reader = _Reader(data, layout, category)
    reader.read(listing)
    reader.look_for_empty_folders(listing)
    return reader.categories(), reader.problems


def _fitting_layouts(data: Path, layout: Layout, listing: Listing) -> str:
    """What to tell of a folder in which a layout finds no class: the layouts that fit it, and the classes by them."""
    told = []
    for name, other in LAYOUTS.items():
        if layout.queries and not other.queries:
            continue
        found, problems = _read(data, other if layout.queries else replace(other, queries=()), None, listing)
        if not problems:
            classes = listed([printable(label) for one in found for label in one.classes])
            told.append(f"; by --layout {name} the folder holds the classes {classes}")
    return "".join(told)


def _refuse_problems(data: Path, problems: Sequence[str], expected: str, fitting: str = "") -> None:
    if problems:
        raise LayoutError(
            f"not laid out as expected:{listed_below(problems, _SHOWN_PROBLEMS)}",
            where=data,
            remedy=f"expected are {expected}{fitting or '; --layout names other forms'}",
        )


def read_examples(
    source: Path, label: str | None = None, layout: str = "classes", category: str | None = None
) -> dict[str, tuple[Path, ...]]:
    """Examples alone: class → its pictures.

    Args:
        source: A folder; with ``label`` also a list of files, or a file.
        label: All of it is of this class; the layout does not matter then.
        layout: As :func:`parse_layout` takes it; its queries are not looked at.
        category: The one to take.

    Raises:
        LayoutError: As for :func:`read_layout`; there are several categories and none is named.
        DataError: There is no picture.
    """
    if label is not None:
        listing = find_images(source)
        _refuse_problems(source, [f"{printable(p.path)}: {p.reason}" for p in listing.problems], "pictures")
        return {_composed(label): tuple(listing.root / path for path in listing.paths)}
    categories = read_layout(source, category, replace(parse_layout(layout), queries=()))
    if len(categories) > 1:
        raise LayoutError(
            f"there are several categories: {', '.join(printable(c.name) for c in categories)}",
            where=source,
            remedy="name one with --category, and enrol each into a store of its own",
        )
    return dict(categories[0].classes)


class _Pattern:
    """A pattern of names and what it finds; an unknown placeholder or an absolute one is a ``LayoutError``."""

    def __init__(self, text: str) -> None:
        self.text = text
        unknown = sorted(set(re.findall(r"\{([^}]*)\}", text)) - _PLACEHOLDERS.keys())
        if unknown or text.startswith("/") or ".." in text.split("/"):
            problem = f"has the unknown placeholder {{{unknown[0]}}}" if unknown else "leaves the data folder"
            raise LayoutError(
                f"the pattern {text!r} {problem}",
                remedy=f"use {', '.join(f'{{{name}}}' for name in _PLACEHOLDERS)}, * and **, relative to DATA",
            )
        *folders, last = text.split("/")
        seen: set[str] = set()
        pieces = [_ANY_FOLDERS if part == "**" else _expression(part, seen) + "/" for part in folders]
        end = f"{_ANY_FOLDERS}[^/]+" if last == "**" else _expression(last, seen)
        self._whole = re.compile("".join(pieces) + end, re.DOTALL)
        plain = next((n for n, part in enumerate(folders, 1) if not re.search(r"[{*]", part)), 0)
        self._beginning = re.compile("".join(pieces[:plain]).replace(_ANY_FOLDERS, "[^/]+/"), re.DOTALL)
        depth = next((n for n, part in enumerate(folders, 1) if "{class}" in part), 0)
        whole = depth > 0 and "**" not in folders[:depth]
        self._class_folder = re.compile("".join(pieces[:depth]), re.DOTALL) if whole else None

    def match(self, name: str) -> dict[str, str] | None:
        """What stands at the placeholders, or ``None`` where the name does not fit."""
        found = self._whole.fullmatch(name)
        return None if found is None else found.groupdict()

    def speaks_of(self, name: str) -> bool:
        """Whether a name lies in a folder that the pattern names in plain words, so that it should fit.

        For ``{category}/2.support-set/Class_{class}/shot{shot}/*`` this is all that lies in ``*/2.support-set``.
        """
        return self._beginning.match(name) is not None

    def class_folder(self, name: str) -> dict[str, str] | None:
        """What a folder is, where it is one that the pattern's ``{class}`` names."""
        found = None if self._class_folder is None else self._class_folder.fullmatch(f"{name}/")
        return None if found is None else found.groupdict()


def _expression(part: str, seen: set[str]) -> str:
    """Of one name of a pattern; a placeholder that was seen before must stand for the same."""
    pieces = []
    for piece in re.split(r"(\{[a-z]+\}|\*)", part):
        if piece == "*":
            pieces.append("[^/]*" if len(part) > 1 else "[^/]+")
        elif piece.startswith("{"):
            name = piece[1:-1]
            pieces.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_PLACEHOLDERS[name]})")
            seen.add(name)
        else:
            pieces.append(re.escape(piece))
    return "".join(pieces)


@dataclass
class _Found:
    """A category while it is read."""

    examples: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    queries: list[Query] = field(default_factory=list)


class _Reader:
    """Sorts names into categories and notes what does not fit."""

    def __init__(self, data: Path, layout: Layout, category: str | None) -> None:
        self._data = data
        self._support = [_Pattern(text) for text in layout.support]
        self._queries = [_Pattern(text) for text in layout.queries]
        self._layout = layout
        self._wanted = None if category is None else _composed(category)
        self._own_name = _composed(data.resolve().name)
        self._found: dict[str, _Found] = defaultdict(_Found)
        self._spellings: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.problems: list[str] = []

    def read(self, listing: Listing) -> None:
        """Sorts the pictures."""
        for problem in listing.problems:
            self.problems.append(f"{printable(problem.path)}: {problem.reason}")
        for name in listing.paths:
            if (parts := self._first(self._support, name)) is not None:
                category, label = self._names(parts)
                if category is not None:
                    own, spelling = label or category, parts.get("class", parts.get("category", ""))
                    # Without a number, the order of the names is that of the shots.
                    self._found[category].examples[own].append((int(parts.get("shot", 0)), name))
                    self._spellings[category, own].add(spelling)
            elif (parts := self._first(self._queries, name)) is not None:
                category, label = self._names(parts)
                if category is not None:
                    self._found[category].queries.append(Query(listing.root / name, label))
            elif any(pattern.speaks_of(name) for pattern in (*self._support, *self._queries)):
                self.problems.append(f"{printable(name)}: does not fit")

    def look_for_empty_folders(self, listing: Listing) -> None:
        """A class's folder without a picture, and a category's without the folders that it needs."""
        for name in listing.folders:
            for pattern in self._support:
                parts = pattern.class_folder(name)
                if parts is None:
                    continue
                category, label = self._names(parts)
                if category is not None and label not in self._found[category].examples:
                    self.problems.append(f"{printable(name)}: an empty class, it holds no picture")
                    self._found[category].examples[label or category] = []
        if any("{category}" in text for text in self._layout.support):
            for child in self._data.iterdir():
                category, _ = self._names({"category": child.name})
                if child.is_dir() and not child.name.startswith(".") and category is not None:
                    self._found.setdefault(category, _Found())  # what it lacks is named below

    def categories(self) -> list[Category]:
        """What was found."""
        if self._wanted is not None and not self._found:
            self.problems.append(f"{printable(self._wanted)}: no such category")
        elif not self._found and not self.problems:
            self.problems.append("no picture stands where examples or queries are expected")
        return [self._category(name, self._found[name]) for name in sorted(self._found)]

    def _category(self, name: str, found: _Found) -> Category:
        notes = []
        for what, there, patterns in (
            ("examples", found.examples, self._layout.support),
            ("queries", found.queries, self._layout.queries),
        ):
            if patterns and not there:
                form = " or ".join(patterns).replace("{category}", printable(name))
                self.problems.append(f"{printable(name)}: no {what}; expected {form}")
        for label, examples in sorted(found.examples.items()):
            numbers = [number for number, _ in examples if number]
            for number in sorted({n for n in numbers if numbers.count(n) > 1}):
                names = ", ".join(printable(path) for n, path in examples if n == number)
                self.problems.append(f"{names}: shot {number} of class {printable(label)} is there twice")
            if len(self._spellings[name, label]) > 1:
                self.problems.append(
                    f"{printable(name)}: class {printable(label)} has two folders, whose names differ only in how "
                    "an accent is stored"
                )
        counts = {label: len(examples) for label, examples in sorted(found.examples.items())}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{printable(label)} {count}" for label, count in counts.items())
            notes.append(f"unequal shots: {listed}")
        own = [
            path
            for _, path in found.examples.get(name, [])
            if "class" not in (self._first(self._support, path) or {})
        ]
        if own and len(found.examples) > 1:
            self.problems.append(
                f"{printable(own[0])}: the category has shots of its own and classes; give one"
            )
        strangers = {q.true_class for q in found.queries if q.true_class is not None} - counts.keys()
        if strangers:
            listed = ", ".join(printable(label) for label in sorted(strangers))
            notes.append(f"queries of classes without an example, which can only be unknown: {listed}")
        classes = {
            label: tuple(
                self._data / path for _, path in sorted(examples, key=lambda e: (e[0], os.fsencode(e[1])))
            )
            for label, examples in sorted(found.examples.items())
        }
        return Category(name, classes, tuple(found.queries), tuple(notes))

    def _names(self, parts: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Category and class; no category where another is wanted."""
        category = _composed(parts.get("category", self._own_name))
        label = parts.get("class")
        wanted = self._wanted is None or self._wanted == category
        return (category if wanted else None), (None if label is None else _composed(label))

    @staticmethod
    def _first(patterns: Iterable[_Pattern], name: str) -> dict[str, str] | None:
        return next((parts for pattern in patterns if (parts := pattern.match(name)) is not None), None)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
