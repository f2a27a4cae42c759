"""Scenes on their way to the model: on the grid, boxes along, limits kept, bad input named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argusvl.core.errors import DataError, ImageError
from argusvl.detection.data.records import ObjectAnnotation, RecordFile, Scene
from argusvl.detection.data.sampling.samples import VisionLimits, load_scene, measure_scene

LIMITS = VisionLimits(28 * 28, 112 * 112, 16, 16, "refuse")


@pytest.fixture(params=[load_scene, measure_scene])
def read(request: pytest.FixtureRequest) -> Callable[..., object]:
    reader: Callable[..., object] = request.param
    return reader


def scene_of(records: RecordFile) -> tuple[Scene, Path, str]:
    return records[0].student, records.root, records[0].source


@pytest.mark.parametrize("size", [(112, 84), (300, 200), (20, 30)])
def test_images_reach_the_grid(write_scene: Callable[..., RecordFile], size: tuple[int, int]) -> None:
    width, height = size
    whole = ObjectAnnotation((0, 0, width, height), "all")
    quarter = ObjectAnnotation((width / 2, height / 2, width, height), "quarter")
    scene, root, source = scene_of(write_scene(whole, quarter, size=size))
    loaded = load_scene(scene, root, LIMITS, source)
    new_height, new_width = loaded.images[0].shape[:2]
    assert new_width % 28 == new_height % 28 == 0
    assert 28 * 28 <= new_width * new_height <= 112 * 112
    assert loaded.objects[0].bbox_2d == (0, 0, new_width, new_height)
    assert loaded.objects[1].bbox_2d == (new_width / 2, new_height / 2, new_width, new_height)
    assert tuple(loaded.plans[0].boxes_to_original([loaded.objects[1].bbox_2d])[0]) == quarter.bbox_2d
    assert measure_scene(scene, root, LIMITS, source) == loaded.turn


def test_an_image_on_the_grid_is_not_touched(write_scene: Callable[..., RecordFile]) -> None:
    records = write_scene()
    loaded = load_scene(*scene_of(records)[:2], LIMITS, "")
    np.testing.assert_array_equal(loaded.images[0], np.asarray(Image.open(records.root / "picture0.png")))


@pytest.mark.parametrize("box", [(5, 5, 113, 50), (5, 5, 50, 84.5)])
def test_a_box_beyond_its_image_names_record_image_and_size(
    write_scene: Callable[..., RecordFile],
    read: Callable[..., object],
    box: tuple[float, float, float, float],
) -> None:
    scene, root, source = scene_of(write_scene(ObjectAnnotation(box, "screw")))
    with pytest.raises(DataError) as error:
        read(scene, root, LIMITS, source)
    for part in ("scene.jsonl:1", "picture0.png", "112×84", "screw", str([float(v) for v in box])):
        assert part in str(error.value)


def test_an_object_of_an_absent_image_is_refused(tmp_path: Path, read: Callable[..., object]) -> None:
    with pytest.raises(DataError, match=r"a.jsonl:4.*image 0, the scene has 0"):
        read(Scene((), (ObjectAnnotation((1, 1, 2, 2), "a"),)), tmp_path, LIMITS, "a.jsonl:4")


def test_missing_empty_and_turned_images_are_errors(source: Any, read: Callable[..., object]) -> None:
    source.text("empty.jpg", "")
    source.image("turned.jpg", (56, 28), orientation=6)
    for name in ("missing.jpg", "empty.jpg", "turned.jpg"):
        with pytest.raises(ImageError, match=name):
            read(Scene((name,), ()), source.root, LIMITS, "a.jsonl:1")


def test_a_turned_image_is_refused_in_the_same_words_with_and_without_its_pixels(source: Any) -> None:
    source.image("turned.jpg", (56, 28), orientation=6)
    said = []
    for read in (load_scene, measure_scene):
        with pytest.raises(ImageError) as error:
            read(Scene(("turned.jpg",), ()), source.root, LIMITS, "a.jsonl:1")
        said.append((str(error.value), error.value.slug))
    assert said[0] == said[1]


def test_too_many_vision_tokens(write_scene: Callable[..., RecordFile], read: Callable[..., object]) -> None:
    scene, root, source = scene_of(write_scene())
    with pytest.raises(DataError) as error:
        read(scene, root, replace(LIMITS, vision_tokens_max=11), source)
    for part in ("scene.jsonl:1", "picture0.png", "12 vision tokens", "vision_tokens_max is 11"):
        assert part in str(error.value)


def test_too_many_vision_tokens_are_resized_where_configured(write_scene: Callable[..., RecordFile]) -> None:
    scene, root, source = scene_of(write_scene(ObjectAnnotation((56, 42, 112, 84), "a")))
    limits = replace(LIMITS, vision_tokens_max=6, vision_tokens_policy="resize", min_pixels=112 * 84)
    loaded = load_scene(scene, root, limits, source)
    height, width = loaded.images[0].shape[:2]
    assert height * width <= 6 * 28 * 28
    assert loaded.objects[0].bbox_2d == (width / 2, height / 2, width, height)


def test_a_large_image_is_warned_of_once(
    write_scene: Callable[..., RecordFile], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("argusvl"), "propagate", True)
    scene, root, source = scene_of(write_scene())
    for _ in range(3):
        load_scene(scene, root, replace(LIMITS, vision_tokens_warn=11), source)
    messages = [r.getMessage() for r in caplog.records if "vision tokens" in r.getMessage()]
    assert len(messages) == 1
    assert "picture0.png" in messages[0]
