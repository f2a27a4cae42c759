from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import argusvl
from argusvl.core.errors import DataError
from argusvl.detection.data.findings import finding
from argusvl.detection.data.manifest import (
    Manifest,
    ManifestImage,
    ManifestSource,
    PixelLimits,
    SplitOrigin,
    build_manifest,
    read_manifest,
    token_statistics,
    write_manifest,
)
from argusvl.detection.data.records import ObjectAnnotation, Record, Scene


def record(name: str, *labels: str) -> Record:
    return Record(Scene((name,), tuple(ObjectAnnotation((0, 0, 9, 9), label) for label in labels)))


@pytest.fixture
def manifest() -> Manifest:
    splits = {"train": [record("a.jpg", "x", "x", "谷/y"), record("b.jpg")], "val": [record("c.jpg", "x")]}
    images = [
        ManifestImage(
            image=r.student.images[0],
            source=None,
            split=name,
            original_size=(80, 60),
            size=(56, 56),
            vision_tokens=4,
            objects=len(r.student.objects),
        )
        for name, records in splits.items()
        for r in records
    ]
    return build_manifest(
        source=ManifestSource(path="photos", format="voc", options={"pixel_offset": 0.0}),
        limits=PixelLimits(min_pixels=784, max_pixels=3136, factor=28),
        split_origin=SplitOrigin(made_by="source"),
        splits=splits,
        images=images,
        findings=[
            finding("box-not-a-number", "a.xml:3", "odd", box=(float("nan"), 1, "x", 4.5), object_index=0)
        ],
    )


def test_counts_and_version_are_filled_in(manifest: Manifest) -> None:
    assert manifest.argus_version == argusvl.__version__
    assert manifest.splits["train"].model_dump() == {"images": 2, "objects": 3, "labels": {"x": 2, "谷/y": 1}}
    assert manifest.vision_tokens is not None
    assert (manifest.vision_tokens.total, manifest.vision_tokens.mean) == (12, 4)


def test_what_is_written_is_read(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert read_manifest(tmp_path / "manifest.json") == manifest
    # Plain JSON for everybody else: values that JSON has no number for are text.
    plain = json.loads((tmp_path / "manifest.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert plain["findings"][0]["box"] == ["nan", 1, "x", 4.5]
    assert plain["splits"]["train"]["labels"]["谷/y"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": None}, ""),
        ({"kind": 3}, "it needs kind"),
        ({"box": 3}, "is a list"),
        ({"odd": 1}, "is no finding"),
    ],
)
def test_findings_of_older_manifests_are_read_and_damaged_ones_refused(
    manifest: Manifest, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    write_manifest(tmp_path, manifest)
    file = tmp_path / "manifest.json"
    plain = json.loads(file.read_text("utf-8"))
    assert plain["findings"][0]["id"] == "N-141" and plain["findings"][0]["label"] is None
    plain["findings"][0] |= change
    plain["findings"][0] = {k: v for k, v in plain["findings"][0].items() if k != "id" or v}
    file.write_text(json.dumps(plain), "utf-8")
    if not said:
        assert read_manifest(tmp_path) == manifest
        return
    with pytest.raises(DataError, match=said):
        read_manifest(tmp_path)


def test_moving_images_between_splits_brings_it_up_to_date(manifest: Manifest) -> None:
    splits = {"train": [record("b.jpg")], "val": [record("c.jpg", "x"), record("a.jpg", "x")]}
    moved = manifest.with_splits(splits)
    assert {i.image: i.split for i in moved.images} == {"a.jpg": "val", "b.jpg": "train", "c.jpg": "val"}
    assert moved.splits["val"].objects == 2
    assert moved.split_origin == manifest.split_origin


def test_no_tokens_no_statistics() -> None:
    assert token_statistics([]) is None
    statistics = token_statistics([1, 2, 3, 10])
    assert statistics is not None
    assert (statistics.min, statistics.max, statistics.median, statistics.total) == (1, 10, 2.5, 16)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"limits": {"min_pixels": "many", "max_pixels": 1, "factor": 28}}, "limits.min_pixels"),
        ({"surprise": 1}, "surprise"),
        ({"manifest_version": 2}, "manifest_version"),
        ({"splits": None}, "splits"),
    ],
)
def test_a_field_that_is_wrong_is_named(
    manifest: Manifest, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    content = {**manifest.model_dump(mode="json"), **change}
    (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=rf"manifest\.json: field '{named}'"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such manifest"), (b"{", r"manifest\.json"), (b"\xff", "cannot be read")]
)
def test_absent_and_broken_manifests_are_errors(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_manifest(tmp_path)
