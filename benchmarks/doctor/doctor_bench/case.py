"""What a case is: a script, the edits that make its fault, and the truth about it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from argus_doctor.wording import did_you_mean
from argusvl.core.errors import ArgusError

Suite = Literal["dev", "held-out", "reported", "other-loops", "healthy"]
SUITES: tuple[Suite, ...] = get_args(Suite)

FOLDER = Path(__file__).parents[1] / "suites"
"""A table of cases for each suite, and the scripts that they edit."""

Harm = Literal["quality", "inflated", "memory", "weights", "stated"]
"""How a fault shows in measurement: ``quality`` falls below the twin's; ``inflated``: the reported quality is
better than the twin's and not true; ``memory``: graphs of past steps are alive; ``weights``: other weights moved than
in the twin; ``stated``: the edit itself is the proof."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the script's text; ``old`` must be in it exactly once."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What is wrong with a faulty script.

    Attributes:
        slug: The cause, as the catalogue names it.
        alternatives: Slugs that say the same of this script.
        lines: Lines of the faulty script, without indentation: from the first to the last of them is the place.
        modules: Names of modules, parameters or of parts of a batch that are the place as well.
        repairable: Whether an edit of the source mends it.
        reach: The share of the twin's quality that a repaired run must reach.
        harm: How the fault was shown to do harm.
        drop: By how much quality differs at least between the two, where it does.
    """

    slug: str
    alternatives: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    repairable: bool = True
    reach: float = 0.95
    harm: Harm = "quality"
    drop: float = 0.05

    def accepts(self, slug: str) -> bool:
        """Whether a finding of this slug names the cause."""
        return slug == self.slug or slug in self.alternatives


@dataclass(frozen=True, slots=True)
class Case:
    """A script with or without a fault.

    Attributes:
        script: Name of the base script, without ``.py``.
        seed: Of the data, of the weights and of the order.
        truth: What is wrong; ``None`` of a healthy case.
        fault: The edits that make the fault.
        variant: Edits that come first and that the twin has as well.
        at_least: Quality that a healthy run, or the twin, reaches.
        name: The case's key in its suite's table.
        suite: Which half it belongs to.
    """

    script: str
    seed: int
    truth: Truth | None = None
    fault: tuple[Edit, ...] = ()
    variant: tuple[Edit, ...] = ()
    at_least: float = 0.5
    name: str = ""
    suite: Suite = "dev"

    def __post_init__(self) -> None:
        if (self.truth is None) != (not self.fault):
            raise ArgusError("a case has a truth exactly when it has a fault", where=self.name or self.script)

    @property
    def title(self) -> str:
        """Name and seed."""
        return f"{self.name}/{self.seed}"

    def twin_source(self) -> str:
        """The script without the fault."""
        return edited(script_text(self.suite, self.script), self.variant, where=self.title)

    def source(self) -> str:
        """The script with the fault, if there is one."""
        return edited(self.twin_source(), self.fault, where=self.title)


def edited(text: str, edits: Sequence[Edit], *, where: str) -> str:
    """The text after all edits, one after the other.

    Raises:
        ArgusError: An edit's old text is not there exactly once.
    """
    for edit in edits:
        found = text.count(edit.old)
        if found != 1:
            raise ArgusError(
                f"an edit's old text is in the script {found} times and must be there once: {edit.old!r}",
                where=where,
                remedy="take more of the lines around it into the edit, or correct it",
            )
        text = text.replace(edit.old, edit.new)
    return text


def script_text(suite: Suite, script: str) -> str:
    """A base script as it stands."""
    # Faults that were reported are put into the healthy recipes.
    folder = "healthy" if suite == "reported" else _file_name(suite)
    file = FOLDER / "scripts" / folder / f"{script}.py"
    if not file.is_file():
        raise ArgusError(f"there is no script {script!r} in the suite {suite}")
    return file.read_text(encoding="utf-8")


def cases_of(suite: Suite, names: Sequence[str] = ()) -> list[Case]:
    """The cases of a suite, all or those of these names, in the order of names and seeds.

    Raises:
        ArgusError: There is no case of a name.
    """
    known = _all_cases(suite)
    for name in names:
        if name not in known:
            raise ArgusError(
                f"the suite {suite} has no case {name!r}{did_you_mean(name, known)}",
                remedy=f"take one of: {', '.join(known)}",
            )
    return [case for name, cases in known.items() if not names or name in names for case in cases]


@cache
def _all_cases(suite: Suite) -> dict[str, tuple[Case, ...]]:
    return dict(_read_cases(suite))


def _read_cases(suite: Suite) -> Iterator[tuple[str, tuple[Case, ...]]]:
    file = FOLDER / f"{_file_name(suite)}.toml"
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    for name in sorted(tables, key=_file_name):
        keys = tables[name]
        try:
            seeds = keys.pop("seeds")
            cases = tuple(_case(name, suite, seed, **keys) for seed in seeds)
        except (KeyError, TypeError) as error:
            raise ArgusError(
                f"the case {name!r} cannot be read: {error}",
                where=file,
                remedy="give script, seeds and the keys of Case, Edit and Truth",
            ) from error
        yield name, cases


def _case(
    name: str,
    suite: Suite,
    seed: int,
    *,
    truth: Mapping[str, Any] | None = None,
    fault: Sequence[Mapping[str, str]] = (),
    variant: Sequence[Mapping[str, str]] = (),
    **keys: Any,
) -> Case:
    return Case(
        **keys,
        seed=seed,
        truth=None if truth is None else _truth(truth),
        fault=tuple(Edit(**one) for one in fault),
        variant=tuple(Edit(**one) for one in variant),
        name=name,
        suite=suite,
    )


def _truth(keys: Mapping[str, Any]) -> Truth:
    values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in keys.items()}
    return Truth(**values)


def _file_name(suite_or_case: str) -> str:
    return suite_or_case.replace("-", "_")
