"""Labels that are probably one: typing errors show as two labels that differ by next to nothing."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from itertools import combinations

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


def levels_of(label: str) -> list[str]:
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
        for name in levels_of(label):
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
