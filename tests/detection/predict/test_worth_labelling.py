from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argusvl.detection.data.detections import Detections
from argusvl.detection.data.preparing.copies import fingerprint
from argusvl.detection.predict.worth_labelling import Seen, choose, copies_of, expected_corrections


def found(*scores: float) -> Detections:
    count = len(scores)
    boxes = np.tile([0, 0, 10, 10], (count, 1))
    return Detections(boxes, np.array(scores), ("a",) * count, np.ones(count), (64, 48))


def test_expected_corrections_are_those_of_boxes_kept_and_boxes_left_away() -> None:
    def counted(*scores: float) -> float:
        (zero, all_of_them) = expected_corrections(found(*scores), ["b", "a"])
        assert zero == 0
        return float(all_of_them)

    assert counted(0.9, 0.3) == pytest.approx(0.1 + 0.3)
    assert counted(0.5, 0.5) > counted(0.99, 0.98, 0.1)
    assert counted(*[0.01] * 200) == 0.0
    assert counted() == 0.0


def test_the_second_of_two_alike_pictures_is_worth_little_although_it_is_uncertain() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], np.float32)
    none = np.zeros((0, 2), np.float32)
    chosen = choose(np.array([[5], [5], [1], [0.1]]), np.array([4]), vectors, none, 3)
    assert [one.index for one in chosen] == [0, 2, 3]
    assert chosen[0].distance is None and chosen[1].distance == pytest.approx(1.0)
    assert "5.0 corrections expected" in chosen[0].why


def test_what_is_like_the_labelled_comes_last() -> None:
    vectors = np.array([[1, 0], [0, 1]], np.float32)
    chosen = choose(np.array([[3.0], [1.0]]), np.array([0]), vectors, np.array([[1, 0]], np.float32), 5)
    assert [one.index for one in chosen] == [1, 0]


def test_a_few_of_a_rare_label_are_worth_more_than_many_of_one_that_is_labelled_often() -> None:
    vectors = np.eye(3, dtype=np.float32)
    corrections = np.array([[6.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    none = np.zeros((0, 3), np.float32)
    assert [one.index for one in choose(corrections, np.array([900, 2]), vectors, none, 2)] == [2, 1]
    assert [one.index for one in choose(corrections, np.array([2, 900]), vectors, none, 1)] == [0]


def test_a_labelled_picture_is_known_by_its_smaller_copy(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = [
        Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize((256, 192)) for _ in range(2)
    ]
    files = [tmp_path / name for name in ("a.png", "b.png", "small.jpg")]
    pictures[0].save(files[0])
    pictures[1].save(files[1])
    pictures[0].resize((128, 96)).save(files[2])

    def seen(*numbers: int) -> Seen:
        marks = [fingerprint(bytes([k]), Image.open(files[k]).convert("RGB")) for k in numbers]
        return Seen([files[k] for k in numbers], np.zeros((len(numbers), 1), np.float32), marks)

    assert copies_of(seen(0, 1), seen(2)) == {0}


def test_what_shows_nearly_the_same_under_its_name_is_the_labelled_picture(tmp_path: Path) -> None:
    """As a picture full of texture does after it was resized to another shape."""
    threads = np.random.default_rng(0).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    picture = Image.fromarray(threads).resize((256, 192))

    def of(*names: str, changed: bool = False) -> Seen:
        shown = picture.copy()
        if changed:
            shown.paste((128, 128, 128), (96, 72, 128, 96))
        for name in names:
            shown.save(tmp_path / name)
        marks = [fingerprint(name.encode(), shown) for name in names]
        return Seen([tmp_path / name for name in names], np.zeros((len(names), 1), np.float32), marks)

    candidates = of("one.png", "other.png", changed=True)
    assert copies_of(candidates, of("one.bmp")) == {0}
    assert copies_of(candidates, of("third.bmp")) == set()
