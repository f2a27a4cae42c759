"""The label of a description: what an object counts as, wherever objects are counted, split, learned or measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from argusvl.core.errors import ConfigError

Vocabulary = Literal["open", "closed"]
"""What is a label: the first segments of descriptions (``open``), or whole descriptions (``closed``)."""


def type_of(description: str) -> str:
    """The object type: what stands before the first ``/``."""
    return description.split("/", 1)[0]


def label_of(description: str, vocabulary: Vocabulary) -> str:
    """The label that an object of this description counts as."""
    return description if vocabulary == "closed" else type_of(description)


def labels_of(descriptions: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    """The labels that descriptions come to, sorted."""
    return sorted({label_of(text, vocabulary) for text in descriptions})


def checked_labels(labels: Sequence[str]) -> list[str]:
    """Labels as a person has listed them.

    Raises:
        ConfigError: A label is empty or given twice.
    """
    for number, label in enumerate(labels):
        if not label.strip() or label in labels[:number]:
            raise ConfigError(
                f"label {label!r} is " + ("empty" if not label.strip() else "given twice"),
                where="labels",
                remedy="list every label once",
                slug="bad-label-list",
            )
    return list(labels)
