"""What a task adds to a run's report: sections of its own, made of what its evaluations have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report that only the task understands.

    Attributes:
        id: Of the element, for links; not one of the report's own (``overview``, ``health``, ``training``, ``set-up``).
        title: Its heading and its link; without one it continues the overview.
        html: What stands below the heading. What users wrote must be escaped in it: use ``page_environment``.
        style: CSS that it needs beside ``report.css``.
        script: JavaScript that it needs; the page's security policy allows it.
    """

    id: str
    title: str
    html: Markup
    style: Markup = field(default_factory=Markup)
    script: Markup = field(default_factory=Markup)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder as the report has found it.

    Attributes:
        evaluated: Where the evaluation is that is shown: a folder inside, or the run's own.
        figures: What ``figures.json`` holds there, or else the figures of ``summary.json``.
    """

    folder: Path
    evaluated: Path
    figures: Mapping[str, Any]
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What a task adds.

    Attributes:
        beside: Name of a second measurement of the same figures (``with 2 teachers``); empty where there is none.
    """

    sections: Sequence[Section] = ()
    beside: str = ""
    figures_beside: Mapping[str, Any] | None = None
