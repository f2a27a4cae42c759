"""How well classes are recognised from a few examples: draws of examples by seed, accuracy, open-set measures.

A seed draws so many examples from each class's; the queries are always all. The draw of a class depends on the seed,
the category and the class alone, and the draw of fewer shots is part of the draw of more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from argusvl.core.errors import ConfigError, DataError
from argusvl.core.wording import listed_below, printable
from argusvl.recognition.few_shot.classifiers import find_classifier
from argusvl.recognition.few_shot.embeddings import Embedded
from argusvl.recognition.few_shot.features import Description, FeatureMap, Features, NameMap
from argusvl.recognition.few_shot.layout import Category, LayoutError
from argusvl.recognition.few_shot.measures import auroc, fpr95, oscr
from argusvl.recognition.few_shot.unknown import KnownScore

MEASURES = ("accuracy", "auroc", "fpr95", "oscr")
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is measured.

    Attributes:
        shots: Examples of each class; 0: none, by the classes' names alone.
        seeds: Draws; the seeds are 0, 1, ….
        classifier: A key of the table.
        unknown: Classes of which no example is given.
    """

    shots: tuple[int, ...]
    seeds: int
    classifier: str
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.shots or min(self.shots) < 0:
            raise ConfigError(
                f"the shots are {list(self.shots)}",
                remedy="give numbers from 1 on, or 0 for classes by their names: --shots 1,5,10",
            )
        if self.seeds < 1:
            raise ConfigError(f"the seeds are {self.seeds}", remedy="give at least one: --seeds 10")


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the seeds: mean and sample standard deviation, which one seed has not."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        backbone: Its name.
        category: Its name; ``None`` in the total.
        shots: Examples of each class.
        queries: Pictures classified, of known classes (mean over the seeds, which may draw other classes).
        figures: Measure → its mean and spread; the open-set measures only where something is unknown.
        per_class: Class → accuracy, the mean over the seeds in which it was known.
    """

    backbone: str
    category: str | None
    shots: int
    queries: float
    figures: Mapping[str, Spread]
    per_class: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CategoryFeatures:
    """A category whose pictures have features.

    Attributes:
        name: Of the category.
        support: Class → its examples.
        queries: ``M`` pictures, those whose class is known to the data.
        truths: ``[M]`` names of their classes.
        by_name: ``[M, classes]``, logits of the queries by the names of the sorted classes, where they are needed.
    """

    name: str
    support: Mapping[str, Description]
    queries: Description
    truths: tuple[str, ...]
    by_name: Features | None = None


def merged(categories: Sequence[Category]) -> list[Category]:
    """Categories that are one class each, put together as the classes of one; the others as they are.

    Where ``2.support-set`` holds shots and no classes, the category itself is the class.
    """
    single = [c for c in categories if set(c.classes) == {c.name}]
    if len(single) < 2:
        return list(categories)
    joint = Category(
        name="+".join(c.name for c in single),
        classes={c.name: c.classes[c.name] for c in single},
        queries=tuple(
            replace(query, true_class=query.true_class or c.name) for c in single for query in c.queries
        ),
        notes=tuple(f"{printable(c.name)}: {note}" for c in single for note in c.notes),
    )
    return sorted([joint, *(c for c in categories if c not in single)], key=lambda c: c.name)


def refuse_known_queries(category: Category, embedded: Embedded) -> None:
    """Refuses queries that are examples as well, and examples of two classes.

    Raises:
        LayoutError: There are some; each pair of files is named.
    """
    example_of: dict[str, tuple[str, Path]] = {}  # content → class and file
    pairs = []
    for label, examples in category.classes.items():
        for file in examples:
            if (digest := embedded.digests.get(file)) is not None:
                other, example = example_of.setdefault(digest, (label, file))
                if other != label:
                    pairs.append(f"{printable(file)} is also {printable(example)}, of another class")
    for query in category.queries:
        if (digest := embedded.digests.get(query.path)) in example_of:
            pairs.append(f"{printable(query.path)} is the example {printable(example_of[digest][1])}")
    if pairs:
        raise LayoutError(
            f"the same picture stands in two places:{listed_below(pairs, _SHOWN)}",
            where=printable(category.name),
            remedy="remove one of each pair (contents are compared, not names): figures would be too good",
        )


def make_features(
    category: Category, embedded: Embedded, feature_map: FeatureMap, name_map: NameMap | None = None
) -> CategoryFeatures:
    """Features of a category's pictures; those without a vector are left out, as ``embedded.quarantined`` says.

    With a ``name_map`` come logits by the classes' names.

    Raises:
        LayoutError: No example of a class, or no query of a class can be used.
    """

    def usable(files: Sequence[Path]) -> list[Path]:
        return [file for file in files if file in embedded.rows]

    support = {}
    for label, examples in category.classes.items():
        files = usable(examples)
        if not files:
            raise LayoutError(
                f"no example of class {printable(label)} can be used: "
                f"{embedded.quarantined.get(examples[0], 'there is none')}",
                where=printable(examples[0]) if examples else printable(category.name),
                remedy="replace the pictures, or remove the class",
            )
        support[label] = feature_map(embedded.of(files))
    labelled = [q for q in category.queries if q.path in embedded.rows and q.true_class is not None]
    if not any(q.true_class in support for q in labelled):
        raise LayoutError(
            "no query is of a class that has examples: nothing can be measured",
            where=printable(category.name),
            remedy="sort the queries into folders named as the classes, or use argus recognize classify",
        )
    vectors = embedded.of([q.path for q in labelled])
    return CategoryFeatures(
        name=category.name,
        support=support,
        queries=feature_map(vectors),
        truths=tuple(q.true_class or "" for q in labelled),
        by_name=name_map(vectors, sorted(support)) if name_map is not None else None,
    )


def evaluate(backbone: str, categories: Sequence[CategoryFeatures], protocol: Protocol) -> list[Row]:
    """Measures all categories: a row for each and each number of shots, then the totals.

    The total's accuracy is that over all queries; its AUROC, FPR95 and OSCR are means over the categories, since
    scores of different categories are not comparable.

    Raises:
        ConfigError: A class to be unknown is in no category, or fewer than two would be known.
        DataError: A class has fewer examples than shots; each is named.
    """
    _check(categories, protocol)
    rows = []
    totals = []
    for shots in protocol.shots:
        trials = {
            c.name: [_trial(c, shots, seed, protocol) for seed in range(protocol.seeds)] for c in categories
        }
        rows += [_row(backbone, name, shots, found) for name, found in trials.items()]
        totals.append(_total(backbone, shots, list(trials.values())))
    rows.sort(key=lambda row: (row.category or "", protocol.shots.index(row.shots)))
    return [*rows, *totals]


def draw(seed: int, category: str, label: str, available: int, shots: int) -> NDArray[np.int64]:
    """Which of a class's examples a seed draws: it depends on these numbers and names alone, on every machine."""
    text = repr((seed, category, label)).encode("utf-8", "surrogatepass")
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))
    return generator.permutation(available)[:shots]


@dataclass(frozen=True)
class _Trial:
    """What one draw of examples gave."""

    correct: dict[str, tuple[int, int]]
    open_set: dict[str, float]

    @property
    def counts(self) -> tuple[int, int]:
        """Right answers, and queries of known classes."""
        right, all_ = zip(*self.correct.values(), strict=True)
        return sum(right), sum(all_)

    @property
    def figures(self) -> dict[str, float]:
        right, number = self.counts
        return {"accuracy": right / number, **self.open_set}


def _trial(category: CategoryFeatures, shots: int, seed: int, protocol: Protocol) -> _Trial:
    labels = sorted(category.support)
    known = [label for label in labels if label not in protocol.unknown]
    number_of = {label: number for number, label in enumerate(known)}
    truths = np.array([number_of.get(truth, -1) for truth in category.truths])
    if shots:
        answers, scores = _by_examples(category, known, shots, seed, protocol)
    else:
        answers, scores = _by_names(category, [labels.index(label) for label in known])
    correct = {
        label: (int((answers[truths == number] == number).sum()), int((truths == number).sum()))
        for label, number in number_of.items()
        if (truths == number).any()
    }
    open_set = {}
    if scores is not None and protocol.unknown:
        # Queries of classes that never had an example are unknown as well, where anything is.
        is_known = truths >= 0
        seen, strange = scores[is_known], scores[~is_known]
        open_set = {
            "auroc": auroc(seen, strange),
            "fpr95": fpr95(seen, strange),
            "oscr": oscr(seen, (answers == truths)[is_known], strange),
        }
    return _Trial(correct, open_set)


def _by_examples(
    category: CategoryFeatures, known: list[str], shots: int, seed: int, protocol: Protocol
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Numbers of the known classes, ``[M]``, and, where something is unknown, how known each query looks."""
    drawn = {
        label: np.sort(draw(seed, category.name, label, len(category.support[label]), shots))
        for label in known
    }
    numbers = np.repeat(np.arange(len(known)), shots)
    support = Description.joined([category.support[label][rows] for label, rows in drawn.items()])
    scores = find_classifier(protocol.classifier).fit(support.features, numbers, len(known))
    if not protocol.unknown:
        # Of a transductive classifier, queries that are of no known class would change the answers.
        is_known = np.array([truth in drawn for truth in category.truths])
        answers = np.full(len(is_known), -1)
        answers[is_known] = scores(category.queries.features[is_known]).argmax(axis=1)
        return answers, None
    known_score = KnownScore(support, numbers, len(known))
    return scores(category.queries.features).argmax(axis=1), known_score.raw(category.queries)


def _by_names(
    category: CategoryFeatures, columns: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The same by logits of the classes' names; a query looks as known as its best class is probable."""
    assert category.by_name is not None
    logits = category.by_name[:, columns]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits.argmax(axis=1), 1 / exponents.sum(axis=1)


def _check(categories: Sequence[CategoryFeatures], protocol: Protocol) -> None:
    every = {label for c in categories for label in (*c.support, *c.truths)}
    missing = [label for label in protocol.unknown if label not in every]
    if missing:
        raise ConfigError(
            f"no class is called {', '.join(printable(m) for m in missing)}",
            remedy=f"the classes are {', '.join(printable(label) for label in sorted(every))}",
        )
    most = max(protocol.shots)
    short = []
    for category in categories:
        known = [label for label in category.support if label not in protocol.unknown]
        if len(known) < 2:
            raise ConfigError(
                f"{printable(category.name)}: {len(known)} known class{'' if len(known) == 1 else 'es'} "
                f"of {len(category.support)}; accuracy needs two",
                remedy="make fewer classes unknown, or add classes with examples",
            )
        if not set(known) & set(category.truths):
            raise ConfigError(
                f"{printable(category.name)}: no query is of a known class",
                remedy="make other classes unknown, or add queries of the known ones",
            )
        if protocol.unknown and set(category.truths) <= set(known):
            raise ConfigError(
                f"{printable(category.name)}: no query is of an unknown class",
                remedy="name classes that the queries have, or measure without --unknown",
            )
        for label, examples in sorted(category.support.items()):
            if label not in protocol.unknown and len(examples) < most:
                short.append(f"{printable(category.name)}: class {printable(label)} has {len(examples)}")
    if short:
        raise DataError(
            f"{most} shots are asked for, and some classes have fewer examples that can be used:"
            f"{listed_below(short, _SHOWN)}",
            remedy="ask for fewer --shots, or add examples",
        )


def _row(backbone: str, name: str, shots: int, trials: Sequence[_Trial]) -> Row:
    per_class: dict[str, list[float]] = {}
    for trial in trials:
        for label, (right, number) in trial.correct.items():
            per_class.setdefault(label, []).append(right / number)
    return Row(
        backbone=backbone,
        category=name,
        shots=shots,
        queries=fmean(trial.counts[1] for trial in trials),
        figures=_spreads([trial.figures for trial in trials]),
        per_class={label: fmean(values) for label, values in sorted(per_class.items())},
    )


def _total(backbone: str, shots: int, trials: Sequence[Sequence[_Trial]]) -> Row:
    figures, queries = [], []
    for of_seed in zip(*trials, strict=True):
        right, number = (sum(values) for values in zip(*(t.counts for t in of_seed), strict=True))
        means = {name: fmean(t.open_set[name] for t in of_seed) for name in of_seed[0].open_set}
        figures.append({"accuracy": right / number, **means})
        queries.append(number)
    return Row(backbone, None, shots, fmean(queries), _spreads(figures))


def _spreads(figures: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    found = {}
    for name in figures[0]:
        values = [f[name] for f in figures]
        found[name] = Spread(fmean(values), stdev(values) if len(values) > 1 else None)
    return found
