"""Labels that are probably one: typing errors show as two labels that differ by next to nothing."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import combinations

_SIMILAR = 0.85
"""Least similarity (matching characters twice over both lengths): one letter more in four, one other in seven."""

_SHORTEST = 3
"""Shorter segments are compared by spelling only: `满载` and `空载` share half their characters and are opposites."""

_MOST_SEGMENTS = 500
"""Siblings beyond this are free text, not a vocabulary; they are compared by spelling only."""


def near_duplicates(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of labels that differ by spelling, or by so little that one is likely a slip of the other.

    Descriptions are compared segment by segment below the same parent, so that `…/连接正确` and `…/连接错误` are not
    taken for one because of what stands before. Segments that differ in a digit are different on purpose.
    """
    siblings: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        segments = label.split("/")
        for depth, segment in enumerate(segments):
            siblings["/".join(segments[:depth])].add(segment)
    pairs: list[tuple[str, str]] = []
    for parent, segments_here in sorted(siblings.items()):
        prefix = f"{parent}/" if parent else ""
        ordered = sorted(segments_here)
        by_text = len(ordered) <= _MOST_SEGMENTS
        pairs += [
            (prefix + first, prefix + second)
            for first, second in (combinations(ordered, 2) if by_text else _same_spelling(ordered))
            if _spelling(first) == _spelling(second) or (by_text and _is_slip(first, second))
        ]
    return pairs


def _spelling(text: str) -> str:
    """Without what typing varies: width forms, case, spaces, hyphens and underscores."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if not c.isspace() and c not in "-_")


def _same_spelling(ordered: list[str]) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for text in ordered:
        groups[_spelling(text)].append(text)
    return [pair for group in groups.values() for pair in combinations(group, 2)]


def _is_slip(first: str, second: str) -> bool:
    a, b = _spelling(first), _spelling(second)
    if min(len(a), len(b)) < _SHORTEST or _digits(a) != _digits(b):
        return False
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return (
        matcher.real_quick_ratio() >= _SIMILAR
        and matcher.quick_ratio() >= _SIMILAR
        and matcher.ratio() >= _SIMILAR
    )


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())
