"""A data folder and backbones → the measured rows, with what was noticed on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from argusvl.core.errors import ConfigError
from argusvl.core.wording import printable
from argusvl.recognition.backbones.views import load_with_views
from argusvl.recognition.decoding import Lane
from argusvl.recognition.few_shot import tables
from argusvl.recognition.few_shot.classifiers import find_classifier
from argusvl.recognition.few_shot.embeddings import Embedded, embed_pictures
from argusvl.recognition.few_shot.evaluation import (
    Protocol,
    Row,
    evaluate,
    make_features,
    merged,
    refuse_known_queries,
)
from argusvl.recognition.few_shot.features import FeatureMap, NameMap
from argusvl.recognition.few_shot.layout import Category, Layout, read_layout


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pictures become features; for zero shots, ``{}`` in the template stands for the name of a class."""

    features: str = "rich"
    views: str = "four"
    lane: Lane = "exact"
    template: str = "a photo of a {}."


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        rows: Of the categories and the totals, backbone by backbone.
        protocol: The settings of the measurement.
        recipe: How pictures became features.
        backbones: What each is, JSON-ready.
        categories: What each category holds, JSON-ready.
        notes: What is odd about the data and no error.
        quarantined: Pictures that cannot be used, relative to the data folder, with the reason; they were left out.
    """

    rows: list[Row]
    protocol: Protocol
    recipe: Recipe
    backbones: list[dict[str, Any]] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; it names no folder and no time, so that the same inputs give the same bytes."""
        return {
            "classifier": self.protocol.classifier,
            "transductive": find_classifier(self.protocol.classifier).transductive,
            "features": self.recipe.features,
            "views": self.recipe.views,
            "lane": self.recipe.lane,
            "template": self.recipe.template if 0 in self.protocol.shots else None,
            "seeds": self.protocol.seeds,
            "shots": list(self.protocol.shots),
            "unknown": list(self.protocol.unknown),
            "backbones": self.backbones,
            "categories": self.categories,
            **tables.to_json(self.rows),
            "notes": self.notes,
            "quarantined": [{"path": p, "reason": r} for p, r in self.quarantined.items()],
        }


def measure(
    data: Path,
    backbones: Sequence[str],
    protocol: Protocol,
    recipe: Recipe,
    *,
    layout: Layout,
    cache: Path,
    category: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: bool = True,
) -> Measured:
    """Measures how well the classes of a data folder are recognised.

    The backbones are named as for :func:`~argusvl.recognition.backbones.table.load_backbone` and loaded one at a time;
    vectors that were computed before come from ``cache``.

    Raises:
        LayoutError: The folder is not laid out as it should be, or a query is an example as well.
        ConfigError: A name or a number of the protocol or the recipe is wrong.
        DataError: A class has too few examples.
        ArgusError: A backbone cannot be loaded, or the cache cannot be written.
    """
    if not backbones:
        raise ConfigError("no backbone is named", remedy="name one, e.g. --backbone efficientnet-lite0")
    find_classifier(protocol.classifier)  # a wrong name is said before anything is computed
    categories = merged(read_layout(data, category, layout))
    examples = [file for one in categories for files in one.classes.values() for file in files]
    files = list(dict.fromkeys([*examples, *(query.path for one in categories for query in one.queries)]))
    found = Measured([], protocol, recipe)
    for one in categories:
        found.notes.extend(f"{printable(one.name)}: {note}" for note in one.notes)
    for spec in backbones:
        backbone = load_with_views(spec, recipe.views, device=device)
        feature_map = FeatureMap(recipe.features, backbone)
        name_map = NameMap(backbone, recipe.template) if 0 in protocol.shots else None
        embedded = embed_pictures(
            files, backbone, cache, lane=recipe.lane, workers=workers, progress=progress
        )
        if not found.backbones:
            for one in categories:
                refuse_known_queries(one, embedded)
            _note(found, data, categories, embedded)
        found.backbones.append(
            {"name": spec, "features": feature_map.parts, "fingerprint": asdict(backbone.fingerprint)}
        )
        features = [make_features(one, embedded, feature_map, name_map) for one in categories]
        found.rows.extend(evaluate(spec, features, protocol))
    return found


def _note(found: Measured, data: Path, categories: Sequence[Category], embedded: Embedded) -> None:
    """Writes down what the data holds and what of it cannot be used."""
    for category in categories:
        unlabelled = sum(query.true_class is None for query in category.queries)
        if unlabelled:
            found.notes.append(
                f"{printable(category.name)}: {unlabelled} queries are in no class's folder and are not measured"
            )
        found.categories.append(
            {
                "name": category.name,
                "classes": {label: len(examples) for label, examples in category.classes.items()},
                "queries": len(category.queries),
            }
        )
    found.quarantined.update(
        {file.relative_to(data).as_posix(): reason for file, reason in sorted(embedded.quarantined.items())}
    )
