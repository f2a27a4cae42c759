"""How well a description says what its references say, from 0 to 1: chrF for every language, METEOR for English.

Where an object has several references the best one counts.
"""

from __future__ import annotations

import shutil
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from argusvl.core.errors import ArgusError
from argusvl.core.extras import import_extra

TextScore = Callable[[Sequence[str], Sequence[Sequence[str]]], list[float]]
"""Scores candidates, each against its own references."""

_ORDER = 6
_BETA_SQUARED = 4.0


def chrf(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """chrF2 (Popović 2015): F-score, with recall counting twice, of n-grams of 1 to 6 characters without the spaces.

    It needs no words, so it serves Chinese as well. The figures are sacrebleu's ``CHRF()``, divided by 100.
    """
    return [
        max((_chrf(candidate, one) for one in several), default=0.0)
        for candidate, several in zip(candidates, references, strict=True)
    ]


def _chrf(candidate: str, reference: str) -> float:
    precisions, recalls = [], []
    for said, meant in zip(_ngrams(candidate), _ngrams(reference), strict=True):
        if not (said and meant):
            continue  # an order that one of the texts is too short for
        common = (said & meant).total()
        precisions.append(common / said.total())
        recalls.append(common / meant.total())
    if not any(precisions):
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return (1 + _BETA_SQUARED) * precision * recall / (_BETA_SQUARED * precision + recall)


@lru_cache(maxsize=4096)  # descriptions of a vocabulary come again and again
def _ngrams(text: str) -> tuple[Counter[str], ...]:
    text = "".join(unicodedata.normalize("NFC", text).split())
    return tuple(Counter(text[i : i + n] for i in range(len(text) - n + 1)) for n in range(1, _ORDER + 1))


def require_meteor() -> None:
    """Says early what METEOR needs.

    Raises:
        ArgusError: The extra or Java is missing.
    """
    import_extra("pycocoevalcap", "meteor.meteor")
    if shutil.which("java") is None:
        raise ArgusError(
            "METEOR runs in Java, and there is no command java",
            remedy="install a Java runtime (8 or later), or do without METEOR: chrF is always measured",
        )


class Meteor:
    """METEOR 1.5 (Denkowski and Lavie 2014) for English: the Java program that densecap uses, kept running.

    It starts at the first call, which takes seconds: the program reads a table of paraphrases.

    Raises:
        ArgusError: The extra or Java is missing, or the program fails.
    """

    def __init__(self) -> None:
        require_meteor()
        self._program: _Program | None = None

    def __call__(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """Scores candidates, each against its own references."""
        said = {k: [_one_line(text)] for k, text in enumerate(candidates)}
        meant = {k: [_one_line(text) for text in several] for k, several in enumerate(references)}
        if not said:
            return []
        try:
            if self._program is None:
                self._program = import_extra("pycocoevalcap", "meteor.meteor").meteor.meteor.Meteor()
            return self._program.compute_score(meant, said)[1]
        except (OSError, ValueError) as error:  # it ended: what is read back then is no number
            if self._program is not None:
                self._program.lock.release()  # left locked, which it would wait for when it is deleted
                self._program = None
            raise ArgusError(
                f"METEOR's Java program failed: {error}",
                remedy="it needs 2 GB of memory; do without METEOR where there is less",
            ) from error


class _Program(Protocol):
    """What is used of ``pycocoevalcap.meteor.meteor.Meteor``."""

    lock: threading.Lock

    def compute_score(
        self, gts: Mapping[int, Sequence[str]], res: Mapping[int, Sequence[str]]
    ) -> tuple[float, list[float]]: ...


def _one_line(text: str) -> str:
    """The program takes one line for each text, with ``|||`` between the texts."""
    return " ".join(text.replace("|||", " ").split())
