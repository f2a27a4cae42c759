from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argusvl.detection.measure.pairing import LabelledBox
from argusvl.detection.report import pictures as pictures_module
from argusvl.detection.report.pictures import GalleryItem, gallery_data, make_pictures

BOX = (10.0, 10.0, 60.0, 40.0)


def item(name: str, found: str | None, score: float = 0.75, size: tuple[int, int] = (80, 60)) -> GalleryItem:
    predicted = [] if found is None else [LabelledBox(BOX, found, score)]
    return GalleryItem(Image.new("RGB", size, (90, 20, 20)), [LabelledBox(BOX, "a")], predicted, caption=name)


def test_the_worst_come_first_and_equals_keep_their_order() -> None:
    gallery = [item("right", "a"), item("missed", None), item("other", "b"), item("low", "a", 0.1)]
    pictures, _ = make_pictures(gallery, 0.3)
    assert [p.name for p in pictures] == ["missed", "other", "low", "right"]
    assert [p.tally for p in pictures] == ["1 missed", "1 misdescribed", "1 missed", "1 right"]


def test_pictures_are_reduced_and_keep_their_size_for_the_boxes() -> None:
    ((picture,), _) = make_pictures([item("big", "a", size=(3000, 2000))], 0.3)
    assert (picture.width, picture.height) == (3000, 2000)
    with Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1]))) as inside:
        assert max(inside.size) <= 800
        assert inside.size[0] / inside.size[1] == pytest.approx(1.5, abs=0.01)


def test_the_orientation_tag_does_not_travel_with_the_picture(tmp_path: object) -> None:
    # The boxes are in stored pixels; a browser would turn the picture under them.
    image = Image.new("RGB", (80, 60))
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    ((picture,), _) = make_pictures([GalleryItem(Image.open(buffer), [], [])], 0.3)
    with Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1]))) as inside:
        assert inside.size == (80, 60)
        assert not inside.getexif()


def test_number_and_bytes_are_bounded_and_the_worst_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = [item(f"right {k}", "a") for k in range(70)] + [item("missed", None)]
    pictures, _ = make_pictures(gallery, 0.3)
    assert len(pictures) == pictures_module.MAX_PICTURES
    assert pictures[0].name == "missed"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8))
    monkeypatch.setattr(pictures_module, "MAX_BYTES", 400_000)
    heavy, _ = make_pictures([GalleryItem(noise, [], [])] * 20, 0.3)
    assert 1 <= len(heavy) < 20
    assert sum(len(p.uri) for p in heavy) <= 400_000 * 4 / 3 + 1000


def test_the_script_gets_every_prediction_and_every_text_once() -> None:
    gallery = [item("one", "b", 0.05), item("two", "b", 0.5)]
    data = gallery_data(make_pictures(gallery, 0.3)[0], 0.3)
    assert data["texts"] == ["a", "b"]
    assert (data["threshold"], data["lowest"]) == (0.3, 0.05)
    by_name = {p["name"]: p for p in data["pictures"]}
    assert by_name["one"]["truth"] == [[10, 10, 60, 40, 0, 0]]
    assert by_name["one"]["found"] == [[10, 10, 60, 40, 1, 1, 0.05]]
    assert by_name["two"]["found"][0][6] == 0.5


def test_pictures_that_are_gone_or_were_replaced_are_left_out_by_name(tmp_path: Path) -> None:
    Image.new("RGB", (80, 60)).save(tmp_path / "here.jpg")
    Image.new("RGB", (40, 30)).save(tmp_path / "smaller.jpg")
    (tmp_path / "damaged.jpg").write_bytes((tmp_path / "here.jpg").read_bytes()[:200])
    names = ("gone.jpg", "here.jpg", "damaged.jpg", "smaller.jpg")
    gallery = [GalleryItem(tmp_path / name, [], [], caption=name, size=(80, 60)) for name in names]
    pictures, unusable = make_pictures(gallery, 0.3)
    assert [p.name for p in pictures] == ["here.jpg"]
    for name, reason in zip(("gone", "damaged", "smaller"), unusable, strict=True):
        assert f"{name}.jpg" in reason
    assert "40×30" in unusable[2] and "80×60" in unusable[2]
