"""What is said of pictures by the examples of a support store; the same whichever way their vectors are found."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argusvl.core.errors import ConfigError, DataError
from argusvl.recognition.backbones.views import with_views
from argusvl.recognition.few_shot.classification import ClassifyOptions, FewShotClassifier, classify
from argusvl.recognition.few_shot.classifiers import CLASSIFIERS
from argusvl.recognition.few_shot.embeddings import Queries, query_vectors
from argusvl.recognition.few_shot.enrolment import SupportStore, enroll

KNOWN = ("apple", "pear", "plum", "fig")
STRANGE = ("stone", "brick")


def network(few_shot: Any, weights: str = "a" * 64) -> Any:
    return with_views(few_shot.TinyNetwork(side=14, weights=weights), "four")


def support(folder: Path, few_shot: Any, classes: Mapping[str, range]) -> SupportStore:
    pictures = {
        label: [
            few_shot.write(folder.parent / "ex" / label / f"{n}.png", few_shot.picture(label, n))
            for n in numbers
        ]
        for label, numbers in classes.items()
    }
    enroll(folder, pictures, network(few_shot), spec="tiny", views="four", workers=1, progress=False)
    return SupportStore.open(folder)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, few_shot: Any) -> SupportStore:
    """Eight examples of each class; not to be written to."""
    folder = tmp_path_factory.mktemp("known") / "store"
    return support(folder, few_shot, dict.fromkeys(KNOWN, range(8)))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, few_shot: Any) -> Path:
    """Ten new pictures of each known class and of two others; not to be written to."""
    folder = tmp_path_factory.mktemp("photos")
    for label in (*KNOWN, *STRANGE):
        for n in range(100, 110):
            few_shot.write(folder / label / f"{n}.png", few_shot.picture(label, n))
    return folder


@pytest.fixture(scope="module")
def queries(photos: Path, few_shot: Any, tmp_path_factory: pytest.TempPathFactory) -> Queries:
    return found(photos, few_shot, tmp_path_factory.mktemp("cache"))


def found(images: Path | list[Path], few_shot: Any, cache: Path, backbone: Any = None) -> Queries:
    given = [images] if isinstance(images, Path) else images
    return query_vectors(given, backbone or network(few_shot), "exact", cache, workers=1, progress=False)


def answers(store: SupportStore, few_shot: Any, queries: Queries, **options: Any) -> list[dict[str, Any]]:
    learned = FewShotClassifier(store, network(few_shot), ClassifyOptions(**options))
    return list(classify(learned, queries.store))


def label_of(line: dict[str, Any]) -> str:
    return str(line["image"].split("/")[-2])


@pytest.mark.parametrize("classifier", [name for name, kind in CLASSIFIERS.items() if not kind.transductive])
def test_pictures_are_of_the_class_that_they_are_like(
    known: SupportStore, few_shot: Any, queries: Queries, classifier: str
) -> None:
    lines = answers(known, few_shot, queries, classifier=classifier)
    assert [line["image"] for line in lines] == queries.store.paths()
    right = [line["nearest"] == label_of(line) for line in lines if label_of(line) in KNOWN]
    assert np.mean(right) > 0.85
    for line in lines:
        assert line["class"] in ("Unknown", line["nearest"])
        assert (line["class"] == "Unknown") == (line["score"] < 0.5)
        assert 0 <= line["score"] <= 1 and line["margin"] >= 0
        assert line["nearest"] in line["set"] and set(line["set"]) <= set(KNOWN)
        assert "example_of" not in line
        assert json.loads(json.dumps(line)) == line


def test_pictures_of_no_class_are_unknown(known: SupportStore, few_shot: Any, queries: Queries) -> None:
    lines = answers(known, few_shot, queries)
    called = {
        name: np.mean([line["class"] == "Unknown" for line in lines if label_of(line) in group])
        for name, group in (("known", KNOWN), ("strange", STRANGE))
    }
    assert called["strange"] > 0.9
    assert called["known"] < 0.2
    assert all(line["class"] == line["nearest"] for line in answers(known, few_shot, queries, threshold=0))
    assert all(line["class"] == "Unknown" for line in answers(known, few_shot, queries, threshold=1))


def test_sets_cover_as_asked(few_shot: Any, tmp_path: Path) -> None:
    # Classes that are hard to tell apart: pictures that are half of one and half of another.
    mixed = {label: blends(few_shot, label, range(20)) for label in KNOWN}
    files = {
        label: [few_shot.write(tmp_path / "ex" / label / f"{n}.png", data) for n, data in enumerate(pictures)]
        for label, pictures in mixed.items()
    }
    store = tmp_path / "store"
    enroll(store, files, network(few_shot), spec="tiny", views="four", workers=1, progress=False)
    for label in KNOWN:
        for n, data in enumerate(blends(few_shot, label, range(100, 125))):
            few_shot.write(tmp_path / "new" / label / f"{n}.png", data)
    asked = found(tmp_path / "new", few_shot, tmp_path / "cache")
    for coverage, largest in ((0.6, 1.6), (0.9, 2.5)):
        lines = answers(SupportStore.open(store), few_shot, asked, coverage=coverage)
        assert np.mean([line["nearest"] == label_of(line) for line in lines]) < 0.97
        assert np.mean([label_of(line) in line["set"] for line in lines]) > coverage - 0.08
        assert np.mean([len(line["set"]) for line in lines]) < largest


def blends(few_shot: Any, label: str, numbers: range) -> list[bytes]:
    """Pictures of a class with a share of the next one's."""
    other = KNOWN[(KNOWN.index(label) + 1) % len(KNOWN)]
    made = []
    for n in numbers:
        one, two = (few_shot.opened(few_shot.picture(name, n)) for name in (label, other))
        stream = io.BytesIO()
        share = float(np.random.default_rng(n).uniform(0, 0.55))
        Image.blend(one, two, share).save(stream, "PNG")
        made.append(stream.getvalue())
    return made


def test_a_support_store_of_another_backbone_is_refused(known: SupportStore, few_shot: Any) -> None:
    with pytest.raises(DataError, match="weights_sha256: the store has 'aaa.* now it is 'ccc") as error:
        FewShotClassifier(known, network(few_shot, "c" * 64), ClassifyOptions())
    assert str(known.folder) in str(error.value) and "enrol into another folder" in str(error.value)
    with pytest.raises(DataError, match="views: the store has 'four', now it is 'one'"):
        FewShotClassifier(known, few_shot.TinyNetwork(side=14), ClassifyOptions())


def test_pictures_asked_about_again_are_not_computed_again(few_shot: Any, tmp_path: Path) -> None:
    files = [few_shot.write(tmp_path / "p" / f"{n}.png", few_shot.picture("fig", n)) for n in range(9)]
    for changed in (9, 0, 2):  # pictures that are new to the cache
        for file in files[9 - changed :] if changed < 9 else ():
            file.write_bytes(few_shot.picture("fig", 50 + changed))
        backbone = network(few_shot)
        result = found(tmp_path / "p", few_shot, tmp_path / "cache", backbone)
        assert backbone.parts[0].pictures == 2 * changed
        assert len(result.store) == 9
    assert len(list((tmp_path / "cache" / "queries").iterdir())) == 1


def test_two_commands_at_a_time_do_not_disturb_each_other(few_shot: Any, tmp_path: Path) -> None:
    for n in range(6):
        few_shot.write(tmp_path / "p" / f"{n}.png", few_shot.picture("fig", n))
    backbone = network(few_shot)
    real, refusals = backbone.embed, []

    def embed(batch: Any) -> Any:
        with pytest.raises(DataError, match="another process is writing into this store") as error:
            found(tmp_path / "p", few_shot, tmp_path / "cache")
        refusals.append(error)
        return real(batch)

    backbone.embed = embed
    assert len(found(tmp_path / "p", few_shot, tmp_path / "cache", backbone).store) == 6
    assert refusals


@pytest.mark.parametrize("coverage", [0.0, 1.0, 1.5])
def test_an_impossible_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ClassifyOptions(coverage=coverage)


def test_one_example_a_class_is_enough(few_shot: Any, queries: Queries, tmp_path: Path) -> None:
    one = support(tmp_path / "a" / "store", few_shot, {"fig": range(3)})
    with pytest.raises(ConfigError, match="1 class is enrolled"):
        answers(one, few_shot, queries)
    two = support(tmp_path / "b" / "store", few_shot, {"fig": range(1), "plum": range(1)})
    lines = answers(two, few_shot, queries)
    # Nothing tells how sure the scores are: only both classes together cover.
    assert all(line["set"] == ["fig", "plum"] for line in lines)
    assert {line["nearest"] for line in lines if label_of(line) == "plum"} == {"plum"}


def test_unequal_numbers_of_examples_are_fine(few_shot: Any, queries: Queries, tmp_path: Path) -> None:
    store = support(
        tmp_path / "store", few_shot, {"apple": range(1), "fig": range(9), "plum": range(2), "pear": range(4)}
    )
    for name, kind in CLASSIFIERS.items():
        if not kind.transductive:
            lines = [
                line for line in answers(store, few_shot, queries, classifier=name) if label_of(line) in KNOWN
            ]
            assert np.mean([line["nearest"] == label_of(line) for line in lines]) > 0.8, name
