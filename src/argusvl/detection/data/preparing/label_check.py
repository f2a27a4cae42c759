"""What is odd about the labels of a data set: one is rare, one is never trained on, two are probably one."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import combinations

from argus_doctor.findings import Finding
from argusvl.core.wording import counted, listed
from argusvl.detection.data.findings import finding
from argusvl.detection.data.labels import type_of

FEW_OBJECTS = 10
"""With fewer, a label is hardly learned, and its average precision is a matter of luck."""

GREAT_IMBALANCE = 100
"""From so many times as many objects the common label drowns the rare one in every batch."""

MOST_DESCRIPTIONS = 200
"""More different descriptions are free text; what is counted then is what stands before the first '/'."""

_NAMED = 8


@dataclass(slots=True)
class LabelCount:
    """Of one label: how many objects, in how many images, and by split; where the first stands, and in which image."""

    objects: int = 0
    images: int = 0
    where: str = ""
    image: str = ""
    splits: Counter[str] = field(default_factory=Counter)

    def add(self, other: LabelCount) -> None:
        """Adds what comes after it in the data."""
        self.objects += other.objects
        self.images += other.images
        self.where, self.image = self.where or other.where, self.image or other.image
        self.splits.update(other.splits)


def label_findings(data: str, labels: Mapping[str, LabelCount], *, has_train: bool) -> list[Finding]:
    """What is odd about labels (description → counts); findings name the first place of one, or else the data.

    Only where the data have a train split can a label be missing in it.
    """
    untrained = _not_in_train(data, labels) if has_train else []
    return [*_typing_slips(labels), *_empty_segments(labels), *untrained, *_balance_findings(data, labels)]


def _types_of(labels: Mapping[str, LabelCount]) -> dict[str, LabelCount]:
    """The labels by their first segment. An image that shows two labels of a type counts for each of them."""
    types: dict[str, LabelCount] = {}
    for label, count in labels.items():
        types.setdefault(type_of(label), LabelCount()).add(count)
    return types


def _balance_findings(data: str, labels: Mapping[str, LabelCount]) -> list[Finding]:
    """Labels with few objects, and a few labels that have nearly all of them."""
    judged = labels if len(labels) <= MOST_DESCRIPTIONS else _types_of(labels)
    ordered = sorted(judged.items(), key=lambda item: (item[1].objects, item[0]))
    if len(ordered) < 2 and sum(c.objects for c in judged.values()) >= FEW_OBJECTS:
        return []
    findings = []
    rare = [(label, count.objects) for label, count in ordered if count.objects < FEW_OBJECTS]
    if rare:
        have = "has" if len(rare) == 1 else "have"
        named = listed([f"{label!r} {count}" for label, count in rare], _NAMED)
        all_labels = counted(len(ordered), "label")
        text = f"{len(rare)} of {all_labels} {have} fewer than {FEW_OBJECTS} objects: {named}"
        label = rare[0][0]
        if judged[label].image:
            text += f"; {label!r} stands in {judged[label].image}"
        findings.append(finding("rare-labels", judged[label].where or data, text, label=label))
    others = [(label, count.objects) for label, count in ordered if count.objects >= FEW_OBJECTS]
    if len(others) > 1 and others[-1][1] >= GREAT_IMBALANCE * others[0][1]:
        (label, least), (common, most) = others[0], others[-1]
        text = f"{common!r} has {most} objects, {label!r} {least}: {most / least:.0f} to 1"
        findings.append(finding("imbalanced-labels", judged[label].where or data, text, label=label))
    return findings


def _not_in_train(data: str, labels: Mapping[str, LabelCount]) -> list[Finding]:
    """Types of object that are measured and never learned."""
    findings = []
    for name, count in sorted(_types_of(labels).items()):
        held_out = {split: n for split, n in count.splits.items() if split in ("val", "test")}
        if held_out and not count.splits["train"]:
            shown = " and ".join(f"{split} ({n} objects)" for split, n in held_out.items())
            text = f"{name!r} stands in {shown} but never in train"
            findings.append(finding("label-not-in-train", count.where or data, text, label=name))
    return findings


def _typing_slips(labels: Mapping[str, LabelCount]) -> list[Finding]:
    """A finding for each label that may be a slip of another one, with the first place where it stands."""
    counts: Counter[str] = Counter()
    places: dict[str, str] = {}
    for label, count in labels.items():
        for name in _levels_of(label):
            counts[name] += count.objects
            places.setdefault(name, count.where)
    meant: dict[str, str] = {}
    for pair in near_duplicates(labels):
        other, rarer = sorted(pair, key=lambda name: (-counts[name], name))
        # Of several that look alike each is held against the most frequent one.
        if rarer not in meant or counts[other] > counts[meant[rarer]]:
            meant[rarer] = other
    findings = []
    for rarer, other in sorted(meant.items()):
        first, second = (f"{name!r} ({counted(counts[name], 'object')})" for name in (rarer, other))
        text = f"{first} and {second} may be one label"
        findings.append(finding("near-duplicate-labels", places[rarer], text, label=rarer))
    return findings


def _empty_segments(labels: Mapping[str, LabelCount]) -> list[Finding]:
    """A finding for each label with a level that has no name. Without the first one, its type, none is read."""
    findings = []
    for label, count in labels.items():
        if not all(segment.strip() for segment in label.split("/")):
            text = f"nothing stands beside a '/' of {label!r} ({counted(count.objects, 'object')})"
            findings.append(finding("empty-segment", count.where, text, label=label))
    return findings


# --- labels that are probably one -----------------------------------------------------------------------------------

_SIMILAR = 0.85
"""Least similarity (matching characters twice over both lengths): one letter more in four, one other in seven."""

_SHORTEST = 3
"""Shorter segments are compared by spelling only: `满载` and `空载` share half their characters and are opposites."""

_LONGEST = 64
"""Longer segments are sentences, not names; they are compared by spelling only."""

_MOST_SEGMENTS = 500
"""Siblings beyond this are free text, not a vocabulary; they are compared by spelling only."""

_MOST_PAIRS = 300_000
"""Comparisons by text in all: half a minute at worst. The smallest sets of siblings come first."""

_MOST_LEVELS = 8
"""What stands deeper than this in a description is no hierarchy of names."""


def _levels_of(label: str) -> list[str]:
    """The label down to each of its first levels: ``a/b`` is ``a`` and ``a/b``."""
    segments = label.split("/", _MOST_LEVELS)[:_MOST_LEVELS]
    return ["/".join(segments[: depth + 1]) for depth in range(len(segments))]


def near_duplicates(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of labels that differ by spelling, or by so little that one is likely a slip of the other.

    Descriptions are compared segment by segment below the same parent, so that `…/连接正确` and `…/连接错误` are not
    taken for one because of what stands before. Segments that differ in a digit are different on purpose.
    """
    siblings: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        for name in _levels_of(label):
            siblings[name.rpartition("/")[0]].add(name)
    pairs: list[tuple[str, str]] = []
    left = _MOST_PAIRS
    for names in sorted(siblings.values(), key=len):
        spelt = {name: _spelling(name.rpartition("/")[2]) for name in sorted(names)}
        left -= len(spelt) * (len(spelt) - 1) // 2
        by_text = len(spelt) <= _MOST_SEGMENTS and left >= 0
        pairs += [
            (first, second)
            for first, second in (combinations(spelt, 2) if by_text else _same_spelling(spelt))
            if spelt[first] == spelt[second] or (by_text and _is_slip(spelt[first], spelt[second]))
        ]
    return sorted(pairs)


def _spelling(text: str) -> str:
    """Without what typing varies: width forms, case, spaces, hyphens and underscores."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if not c.isspace() and c not in "-_")


def _same_spelling(spelt: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each name with the first of its spelling."""
    first: dict[str, str] = {}
    return [(first[text], name) for name, text in spelt.items() if first.setdefault(text, name) != name]


def _is_slip(a: str, b: str) -> bool:
    shorter, longer = sorted((len(a), len(b)))
    if shorter < _SHORTEST or longer > _LONGEST or 2 * shorter < _SIMILAR * (shorter + longer):
        return False
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return _digits(a) == _digits(b) and matcher.quick_ratio() >= _SIMILAR and matcher.ratio() >= _SIMILAR


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())
