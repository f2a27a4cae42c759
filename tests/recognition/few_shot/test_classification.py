"""What is said of pictures by the examples of a support store; the same whichever way their vectors are found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import TinyNetwork, encoded, opened, picture, write, write_classes

from argusvl.core.errors import ConfigError, DataError
from argusvl.recognition.backbones.views import with_views
from argusvl.recognition.few_shot.classification import ClassifyOptions, FewShotClassifier, classify
from argusvl.recognition.few_shot.classifiers import CLASSIFIERS
from argusvl.recognition.few_shot.embeddings import Queries, query_vectors
from argusvl.recognition.few_shot.enrolment import SupportStore, enroll

KNOWN = ("apple", "pear", "plum", "fig")
STRANGE = ("stone", "brick")


def network(weights: str = "a" * 64) -> Any:
    return with_views(TinyNetwork(side=14, weights=weights), "four")


def support(folder: Path, classes: Mapping[str, range]) -> SupportStore:
    return enrolled(folder, write_classes(folder.parent / "ex", classes))


def enrolled(folder: Path, pictures: Mapping[str, list[Path]]) -> SupportStore:
    enroll(folder, pictures, network(), spec="tiny", views="four", workers=1, progress=False)
    return SupportStore.open(folder)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> SupportStore:
    """Eight examples of each class; not to be written to."""
    folder = tmp_path_factory.mktemp("known") / "store"
    return support(folder, dict.fromkeys(KNOWN, range(8)))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten new pictures of each known class and of two others; not to be written to."""
    folder = tmp_path_factory.mktemp("photos")
    write_classes(folder, dict.fromkeys((*KNOWN, *STRANGE), range(100, 110)))
    return folder


@pytest.fixture(scope="module")
def queries(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Queries:
    return found(photos, tmp_path_factory.mktemp("cache"))


def found(images: Path, cache: Path, backbone: Any = None) -> Queries:
    return query_vectors([images], backbone or network(), "exact", cache, workers=1, progress=False)


def answers(store: SupportStore, queries: Queries, **options: Any) -> list[dict[str, Any]]:
    learned = FewShotClassifier(store, network(), ClassifyOptions(**options))
    return list(classify(learned, queries.store))


def label_of(line: dict[str, Any]) -> str:
    return str(line["image"].split("/")[-2])


@pytest.mark.parametrize("classifier", [name for name, kind in CLASSIFIERS.items() if not kind.transductive])
def test_pictures_are_of_the_class_that_they_are_like(
    known: SupportStore, queries: Queries, classifier: str
) -> None:
    lines = answers(known, queries, classifier=classifier)
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


def test_pictures_of_no_class_are_unknown(known: SupportStore, queries: Queries) -> None:
    lines = answers(known, queries)
    called = {
        name: np.mean([line["class"] == "Unknown" for line in lines if label_of(line) in group])
        for name, group in (("known", KNOWN), ("strange", STRANGE))
    }
    assert called["strange"] > 0.9
    assert called["known"] < 0.2
    assert all(line["class"] == line["nearest"] for line in answers(known, queries, threshold=0))
    assert all(line["class"] == "Unknown" for line in answers(known, queries, threshold=1))


def test_sets_cover_as_asked(tmp_path: Path) -> None:
    # Classes that are hard to tell apart: pictures that are half of one and half of another.
    store = enrolled(
        tmp_path / "store", {label: blends(tmp_path / "ex", label, range(20)) for label in KNOWN}
    )
    for label in KNOWN:
        blends(tmp_path / "new", label, range(100, 125))
    asked = found(tmp_path / "new", tmp_path / "cache")
    for coverage, largest in ((0.6, 1.6), (0.9, 2.5)):
        lines = answers(store, asked, coverage=coverage)
        assert np.mean([line["nearest"] == label_of(line) for line in lines]) < 0.97
        assert np.mean([label_of(line) in line["set"] for line in lines]) > coverage - 0.08
        assert np.mean([len(line["set"]) for line in lines]) < largest


def blends(folder: Path, label: str, numbers: range) -> list[Path]:
    """Pictures of a class with a share of the next one's."""
    other = KNOWN[(KNOWN.index(label) + 1) % len(KNOWN)]
    files = []
    for n in numbers:
        one, two = (opened(picture(name, n)) for name in (label, other))
        share = float(np.random.default_rng(n).uniform(0, 0.55))
        blend = np.asarray(Image.blend(one, two, share))
        files.append(write(folder / label / f"{n}.png", encoded(blend)))
    return files


def test_a_support_store_of_another_backbone_is_refused(known: SupportStore) -> None:
    with pytest.raises(DataError, match="weights_sha256: the store has 'aaa.* now it is 'ccc") as error:
        FewShotClassifier(known, network("c" * 64), ClassifyOptions())
    assert str(known.folder) in str(error.value) and "enrol into another folder" in str(error.value)
    with pytest.raises(DataError, match="views: the store has 'four', now it is 'one'"):
        FewShotClassifier(known, TinyNetwork(side=14), ClassifyOptions())


def test_pictures_asked_about_again_are_not_computed_again(tmp_path: Path) -> None:
    files = write_classes(tmp_path / "p", {"fig": range(9)})["fig"]
    for changed in (9, 0, 2):  # pictures that are new to the cache
        for file in files[9 - changed :] if changed < 9 else ():
            file.write_bytes(picture("fig", 50 + changed))
        backbone = network()
        result = found(tmp_path / "p", tmp_path / "cache", backbone)
        assert backbone.parts[0].pictures == 2 * changed
        assert len(result.store) == 9
    assert len(list((tmp_path / "cache" / "queries").iterdir())) == 1


@pytest.mark.parametrize("name", ["foo", "soft-k-mean", "soft-k-means"])
def test_only_what_is_accepted_is_offered(name: str) -> None:
    with pytest.raises(
        ConfigError, match="use one of ridge, centroid, nearest, linear-probe, cache"
    ) as error:
        ClassifyOptions(classifier=name)
    assert "soft-k-means" not in str(error.value).replace("soft-k-means is transductive", "")


@pytest.mark.parametrize("coverage", [0.0, 1.0, 1.5])
def test_an_impossible_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ClassifyOptions(coverage=coverage)


def test_one_example_a_class_is_enough(queries: Queries, tmp_path: Path) -> None:
    one = support(tmp_path / "a" / "store", {"fig": range(3)})
    with pytest.raises(ConfigError, match="1 class is enrolled"):
        answers(one, queries)
    two = support(tmp_path / "b" / "store", {"fig": range(1), "plum": range(1)})
    lines = answers(two, queries)
    # Nothing tells how sure the scores are: only both classes together cover.
    assert all(line["set"] == ["fig", "plum"] for line in lines)
    assert {line["nearest"] for line in lines if label_of(line) == "plum"} == {"plum"}


def test_unequal_numbers_of_examples_are_fine(queries: Queries, tmp_path: Path) -> None:
    store = support(
        tmp_path / "store", {"apple": range(1), "fig": range(9), "plum": range(2), "pear": range(4)}
    )
    for name, kind in CLASSIFIERS.items():
        if not kind.transductive:
            lines = [line for line in answers(store, queries, classifier=name) if label_of(line) in KNOWN]
            assert np.mean([line["nearest"] == label_of(line) for line in lines]) > 0.8, name
