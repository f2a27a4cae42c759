"""Draws, accuracy and the open-set figures; what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import TinyNetwork, make_category, picture, write

from argusvl.core.errors import ConfigError, DataError
from argusvl.recognition.few_shot.classifiers import find_classifier
from argusvl.recognition.few_shot.embeddings import embed_pictures
from argusvl.recognition.few_shot.evaluation import (
    CategoryFeatures,
    Protocol,
    draw,
    evaluate,
    make_features,
    merged,
    refuse_known_queries,
)
from argusvl.recognition.few_shot.features import Description, FeatureMap, unit
from argusvl.recognition.few_shot.layout import Category, LayoutError, read_layout
from argusvl.recognition.few_shot.measures import auroc


def category(
    name: str = "c", *, classes: int = 5, shots: int = 8, strangers: int = 0, spread: float = 0.5
) -> Any:
    rng = np.random.default_rng(len(name) + classes)
    centres = rng.normal(size=(classes + strangers, 10))

    def around(*numbers: int, each: int) -> Description:
        rows = [unit(centres[k] + spread * rng.normal(size=(each, 10))) for k in numbers]
        return Description(*[np.concatenate(rows)] * 3)

    labels = [f"class {k}" for k in range(classes + strangers)]
    return CategoryFeatures(
        name=name,
        support={labels[k]: around(k, each=shots) for k in range(classes)},
        queries=around(*range(classes + strangers), each=20),
        truths=tuple(label for label in labels for _ in range(20)),
    )


def protocol(**changes: Any) -> Protocol:
    return Protocol(**{"shots": (1, 5), "seeds": 4, "classifier": "centroid", **changes})


class TestDraw:
    def test_fewer_shots_are_the_first_of_more(self) -> None:
        assert list(draw(3, "c", "a", 20, 5)) == list(draw(3, "c", "a", 20, 20)[:5])

    def test_each_seed_category_and_class_draws_apart(self) -> None:
        draws = {
            tuple(draw(seed, name, label, 20, 5))
            for seed in (0, 1)
            for name in ("c", "d")
            for label in ("a", "b")
        }
        assert len(draws) == 8

    def test_every_example_is_drawn_as_often(self) -> None:
        counts = np.bincount(np.concatenate([draw(s, "c", "a", 6, 2) for s in range(600)]), minlength=6)
        assert (abs(counts - 200) < 60).all()

    def test_the_draw_is_fixed_for_all_time(self) -> None:
        # Published figures depend on it.
        assert list(draw(0, "cifar10", "cat", 20, 5)) == [5, 2, 17, 18, 13]


def test_accuracy_is_what_the_draws_give() -> None:
    data = category()
    rows = evaluate("b", [data], protocol(shots=(3,)))
    expected = []
    for seed in range(4):
        support = np.concatenate(
            [data.support[label].features[draw(seed, "c", label, 8, 3)] for label in sorted(data.support)]
        )
        fitted = find_classifier("centroid").fit(support, np.repeat(np.arange(5), 3), 5)
        scores = fitted(data.queries.features)
        expected.append((scores.argmax(axis=1) == np.repeat(np.arange(5), 20)).mean())
    assert [r.category for r in rows] == ["c", None]
    for row in rows:
        assert row.figures["accuracy"].mean == pytest.approx(np.mean(expected))
        assert row.figures["accuracy"].std == pytest.approx(np.std(expected, ddof=1))
        assert set(row.figures) == {"accuracy"}
    assert np.mean(list(rows[0].per_class.values())) == pytest.approx(np.mean(expected))


def test_more_shots_are_better_and_one_seed_has_no_spread() -> None:
    rows = evaluate("b", [category(spread=1.0)], protocol(shots=(1, 8), seeds=1))
    assert rows[0].figures["accuracy"].mean < rows[1].figures["accuracy"].mean
    assert rows[0].figures["accuracy"].std is None


def test_the_total_weighs_categories_by_their_queries() -> None:
    rows = evaluate("b", [category("c"), category("dd", classes=2, spread=1.5)], protocol(shots=(2,)))
    per = {row.category: row.figures["accuracy"].mean for row in rows}
    assert per[None] == pytest.approx((per["c"] * 100 + per["dd"] * 40) / 140)
    assert per["c"] != pytest.approx(per["dd"])


def test_unknown_classes_are_told_from_known_ones() -> None:
    found = evaluate("b", [category(spread=0.3)], protocol(shots=(5,), unknown=("class 1", "class 3")))[0]
    assert found.queries == 60
    assert set(found.per_class) == {"class 0", "class 2", "class 4"}
    assert found.figures["auroc"].mean > 0.9
    assert found.figures["fpr95"].mean < 0.5
    assert 0.85 < found.figures["oscr"].mean <= found.figures["accuracy"].mean


def test_queries_of_classes_without_examples_are_unknown_where_anything_is() -> None:
    data = category(strangers=1)
    assert evaluate("b", [data], protocol(shots=(5,)))[0].queries == 100
    with_strangers = evaluate("b", [data], protocol(shots=(5,), unknown=("class 5",)))[0]
    assert with_strangers.queries == 100
    assert with_strangers.figures["auroc"].mean > 0.7


def test_zero_shots_are_classified_by_the_logits_of_the_names() -> None:
    data = category(strangers=1)
    rng = np.random.default_rng(0)
    truths = np.array([int(truth.removeprefix("class ")) for truth in data.truths])
    logits = rng.normal(size=(len(truths), 5))
    logits[truths < 5] += 3 * np.eye(5)[truths[truths < 5]]
    named = replace(data, by_name=logits)
    (row,) = (r for r in evaluate("b", [named], protocol(shots=(0,))) if r.category)
    expected = (logits.argmax(axis=1) == truths)[truths < 5].mean()
    assert row.figures["accuracy"].mean == pytest.approx(expected)
    assert row.figures["accuracy"].std == 0
    # Only the known classes' names are compared, and probable pictures are known ones.
    rows = evaluate("b", [named], protocol(shots=(0, 5), unknown=("class 0", "class 5")))
    row = next(r for r in rows if r.category and r.shots == 0)
    known = (truths > 0) & (truths < 5)
    assert row.figures["accuracy"].mean == pytest.approx(
        (logits[:, 1:].argmax(axis=1) + 1 == truths)[known].mean()
    )
    shares = np.exp(logits[:, 1:]) / np.exp(logits[:, 1:]).sum(axis=1, keepdims=True)
    expected = auroc(shares.max(axis=1)[known], shares.max(axis=1)[~known])
    assert row.figures["auroc"].mean == pytest.approx(expected)


def test_another_seed_range_and_another_order_of_classes_do_not_change_a_draw() -> None:
    data = category()
    turned = replace(data, support=dict(reversed(data.support.items())))
    assert evaluate("b", [data], protocol()) == evaluate("b", [turned], protocol())


def test_classes_with_too_few_examples_are_named() -> None:
    data = category(shots=3)
    with pytest.raises(DataError, match="5 shots are asked for.*\n.*c: class class 0 has 3"):
        evaluate("b", [data], protocol())
    # … but not those that are unknown.
    mixed = category(shots=8)
    mixed = replace(mixed, support={**mixed.support, "class 1": data.support["class 1"]})
    assert evaluate("b", [mixed], protocol(unknown=("class 1",)))
    with pytest.raises(DataError, match="class class 1 has 3"):
        evaluate("b", [mixed], protocol(unknown=("class 2",)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shots": ()}, "give numbers from 1 on"),
        ({"shots": (-1,)}, "give numbers from 1 on"),
        ({"seeds": 0}, "at least one"),
        ({"unknown": ("class 9", "x\ny")}, r"no class is called class 9, x\\ny"),
        ({"unknown": tuple(f"class {k}" for k in range(4))}, "1 known class of 5"),
        ({"unknown": tuple(f"class {k}" for k in range(5))}, "0 known classes of 5"),
    ],
)
def test_an_impossible_protocol_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        evaluate("b", [category()], protocol(**changes))


def test_unknown_classes_without_queries_are_refused() -> None:
    data = category()
    known_only = replace(data, queries=data.queries[np.arange(60)], truths=data.truths[:60])
    with pytest.raises(ConfigError, match="no query is of an unknown class"):
        evaluate("b", [known_only], protocol(unknown=("class 4",)))


def embedded_category(data: Path, tmp_path: Path) -> tuple[Category, Any]:
    (found,) = read_layout(data)
    files = [f for examples in found.classes.values() for f in examples] + [q.path for q in found.queries]
    return found, embed_pictures(files, TinyNetwork(), tmp_path / "cache", progress=False)


def test_an_example_of_two_classes_is_refused_by_name(data: Path, tmp_path: Path) -> None:
    source = data / "fruit/2.support-set/Class_apple/shot2/a.png"
    write(data / "fruit/2.support-set/Class_plum/shot9/b.png", source.read_bytes())
    with pytest.raises(
        LayoutError, match=r"Class_plum/shot9/b\.png is also .*Class_apple/shot2/a\.png, of another"
    ):
        refuse_known_queries(*embedded_category(data, tmp_path))


def test_a_class_of_damaged_pictures_is_refused(data: Path, tmp_path: Path) -> None:
    for shot in (1, 2, 3, 4):
        (data / f"fruit/2.support-set/Class_apple/shot{shot}/a.png").write_bytes(b"")
    found, embedded = embedded_category(data, tmp_path)
    with pytest.raises(LayoutError, match="no example of class apple can be used: .*0 bytes"):
        make_features(found, embedded, FeatureMap("plain", TinyNetwork()))


def test_queries_of_no_class_cannot_be_measured(data: Path, tmp_path: Path) -> None:
    for folder in (data / "fruit/6.preprocessed").iterdir():
        folder.rename(folder.with_name(f"other {folder.name}"))
    found, embedded = embedded_category(data, tmp_path)
    with pytest.raises(LayoutError, match="no query is of a class that has examples"):
        make_features(found, embedded, FeatureMap("plain", TinyNetwork()))


def test_categories_of_one_class_each_are_told_from_each_other(tmp_path: Path) -> None:
    for name in ("cup", "dish"):
        for shot in (1, 2):
            write(tmp_path / f"{name}/2.support-set/shot{shot}/a.png", picture(name, shot))
        write(tmp_path / f"{name}/6.preprocessed/q.png", picture(name, 9))
    make_category(tmp_path)
    joint, fruit = sorted(merged(read_layout(tmp_path)), key=lambda c: c.name != "cup+dish")
    assert joint.name == "cup+dish" and fruit.name == "fruit"
    assert list(joint.classes) == ["cup", "dish"]
    assert [len(examples) for examples in joint.classes.values()] == [2, 2]
    assert [q.true_class for q in joint.queries] == ["cup", "dish"]
