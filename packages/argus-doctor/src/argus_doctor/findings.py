"""Findings: what is wrong, under an ID of the catalogue, with the place, the numbers and what to do.

Every verb speaks in these. A finding is plain data, not an exception: one bad box must not hide the next. The
catalogue, ``catalogue/*.toml``, is the one list of what can be found; a finding takes its ID, its severity and, unless
it knows better, its remedy from there.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import Any, Literal, Self, get_args

from argus_doctor import CATALOGUES
from argus_doctor.errors import ArgusError
from argus_doctor.wording import did_you_mean, printable, show_name

Severity = Literal["error", "warning", "hint"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

_LONGEST_TEXT = 1000
_UNNAMED = "cannot-start"
"""What an error is found as that names no entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A failure mode: one entry of the catalogue.

    Attributes:
        id: ``G-001``; it never changes and is never used again.
        slug: Its name in code and in JSON.
        severity: ``error``: cannot be used, or must not go on, as it is; ``warning``: goes on, but look at it;
            ``hint`` (of findings alone): a likelihood, which something healthy may look like, too.
        title: What is wrong, in a line.
        symptom: What one sees of it.
        causes: Why it comes about.
        detector: What finds it today; or that it is prevented, or not detected yet.
        remedies: What to do; the first is that of a finding.
        caveat: What of health may look so: what the detector is known to get wrong.
        source: Where it is known from, other than from Argus.
    """

    id: str
    slug: str
    severity: Severity
    title: str
    symptom: str
    causes: tuple[str, ...]
    detector: str
    remedies: tuple[str, ...]
    caveat: str = ""
    source: str = ""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {name.name: getattr(self, name.name) for name in fields(self)}


def catalogue() -> Mapping[str, Entry]:
    """Slug → entry, in the order of the IDs."""
    return _entries_of(tuple(CATALOGUES))


@cache
def _entries_of(packages: tuple[str, ...]) -> Mapping[str, Entry]:
    entries = [
        Entry(**values | {key: tuple(values[key]) for key in ("causes", "remedies")})
        for package in packages
        for file in (resources.files(package) / "catalogue").iterdir()
        for values in tomllib.loads(file.read_text(encoding="utf-8"))["entry"]
    ]
    return {entry.slug: entry for entry in sorted(entries, key=lambda entry: entry.id)}


def program() -> str:
    """What is typed: ``argus doctor``, or ``argus-doctor`` where this package is alone."""
    return "argus-doctor" if len(CATALOGUES) == 1 else "argus doctor"


def entry_of(name: str) -> Entry:
    """The entry of an ID or a slug, in any case.

    Raises:
        ArgusError: There is none.
    """
    entries = catalogue().values()
    for entry in entries:
        if name.strip().lower() in (entry.id.lower(), entry.slug):
            return entry
    close = did_you_mean(name.upper(), (one.id for one in entries)) or did_you_mean(
        name.lower(), (one.slug for one in entries)
    )
    raise ArgusError(
        f"nothing is known as {name!r}{close}", remedy=f"`{program()} list` shows every ID with its name"
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        id: Of its entry in the catalogue.
        slug: The entry's name.
        severity: The entry's.
        where: ``file:line``, a key, a module, or what else is concerned.
        what: What was found, with the numbers.
        numbers: What a program needs of it, JSON-ready; of an image, ``image`` is its name.
        remedy: What to do.
        probability: That it is the cause, where that was weighed.
    """

    id: str
    slug: str
    severity: Severity
    where: str
    what: str
    numbers: Mapping[str, Any] = field(repr=False)
    remedy: str
    probability: float | None = None

    def __str__(self) -> str:
        # Annotations of one image have its name.
        annotation = PurePath(self.where.rsplit(":", 1)[0])
        image = self.numbers.get("image")
        shown = None if image is None else show_name(image)
        named = shown is None or shown in self.what or annotation.stem == PurePath(shown).stem
        where = self.where if named else f"{self.where}, {shown}"
        place = f"{where}: " if where else ""
        return f"{place}{self.slug}: {self.what}\n  What to do: {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        """For programs; what is not known is left out."""
        known = {name: value for name, value in self.numbers.items() if value is not None}
        if self.probability is not None:
            known["probability"] = self.probability
        place = {"where": self.where, "what": self.what, "remedy": self.remedy}
        return {"id": self.id, "kind": self.slug, "severity": self.severity, **place, **known}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """A finding of a file, as :meth:`to_json` gave it; its kind may be one that this version does not know.

        Raises:
            ValueError: It is no object, one of its texts is missing, or its severity is none.
        """
        stated = dict(value) if isinstance(value, Mapping) else {}
        texts = {name: stated.pop(name, None) for name in ("kind", "severity", "where", "what", "remedy")}
        if not all(isinstance(text, str) for text in texts.values()) or texts["severity"] not in SEVERITIES:
            raise ValueError(f"is no finding: it needs {', '.join(texts)}")
        entry = catalogue().get(texts["kind"])
        unknown, probability = stated.pop("id", ""), stated.pop("probability", None)
        is_share = type(probability) in (int, float) and 0 <= probability <= 1
        return cls(
            id=printable(str(unknown)) if entry is None else entry.id,
            slug=printable(texts["kind"]),
            severity=texts["severity"],
            where=printable(texts["where"]),
            what=_told(texts["what"]),
            numbers=stated,
            remedy=_told(texts["remedy"]),
            probability=probability if is_share else None,
        )


def finding(
    slug: str,
    where: object,
    what: str,
    *,
    numbers: Mapping[str, Any] | None = None,
    remedy: str | None = None,
    probability: float | None = None,
    certain: bool = True,
) -> Finding:
    """A finding of a known kind, with the kind's ID, severity and, unless given, its remedy; a hint if not certain."""
    entry = catalogue()[slug]
    return Finding(
        id=entry.id,
        slug=slug,
        severity=entry.severity if certain else "hint",
        where=printable(str(where)),
        what=_told(what),
        numbers=numbers or {},
        remedy=_told(remedy or entry.remedies[0]),
        probability=probability,
    )


def finding_of(error: ArgusError) -> Finding:
    """An error as the finding that it names."""
    return finding(error.slug or _UNNAMED, error.where or "", error.what, remedy=error.remedy)


def count_errors(findings: Iterable[Finding]) -> int:
    """How many findings are errors."""
    return sum(one.severity == "error" for one in findings)


def count_kinds(findings: Iterable[Finding]) -> dict[str, int]:
    """Slug → how often, most frequent first."""
    return dict(Counter(one.slug for one in findings).most_common())


def by_kind(findings: Iterable[Finding], *, frequent_first: bool = False) -> list[Sequence[Finding]]:
    """The findings of each kind together, in their order; kinds that are errors before warnings."""
    kinds: dict[str, list[Finding]] = {}
    for one in findings:
        kinds.setdefault(one.slug, []).append(one)
    ordered = sorted(kinds.values(), key=lambda alike: -len(alike) if frequent_first else 0)
    return sorted(ordered, key=lambda alike: alike[0].severity != "error")


def _told(text: str) -> str:
    return printable(text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…")
