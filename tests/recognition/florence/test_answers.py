"""From known tokens to regions in pixels: against a computation of its own, and against the library's."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from transformers import Florence2Processor

from argusvl.recognition.florence.answers import Regions, parse_regions, to_numbers, to_pixels
from argusvl.recognition.florence.model import Florence2


def locations(*numbers: int) -> str:
    return "".join(f"<loc_{number}>" for number in numbers)


def labels(found: Regions) -> tuple[str, ...]:
    return tuple(region.label for region in found.regions)


def boxes(found: Regions) -> list[tuple[float, ...]]:
    return [region.box_xyxy_px for region in found.regions]


CAR = locations(100, 250, 899, 999)
DOOR = locations(0, 0, 499, 500)
TRIANGLE = locations(10, 10, 20, 10, 15, 30)
SQUARE = locations(100, 100, 200, 100, 200, 200, 100, 200)


@pytest.fixture
def parse(tiny_florence: Florence2) -> Any:
    """Text with tokens → regions of a picture of 640×200, by way of the tokenizer."""
    tokenizer = tiny_florence._processor.tokenizer

    def parse_text(text: str, size: tuple[int, int] = (640, 200)) -> Regions:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return parse_regions(tokenizer.decode(ids), size, truncated=False)

    return parse_text


def test_boxes_are_in_the_pixels_of_a_picture_that_is_not_square(parse: Any) -> None:
    found = parse(f"car{CAR}green door{DOOR}")
    assert labels(found) == ("car", "green door")
    # By hand: 640 px in 1000 parts are 0.64 px each, 200 px are 0.2 px each; the middle of a part is half one further.
    assert boxes(found)[0] == pytest.approx((64.32, 50.1, 575.68, 199.9))
    assert boxes(found)[1] == pytest.approx((0.32, 0.1, 319.68, 100.1))
    assert found.malformed == 0


def test_a_label_may_have_several_boxes(parse: Any) -> None:
    found = parse(f"car{CAR}{DOOR}cat{DOOR}")
    assert labels(found) == ("car", "car", "cat")


@pytest.mark.parametrize("size", [(640, 200), (33, 1999), (1000, 1000)])
def test_boxes_equal_the_librarys_before_it_cuts_them_to_whole_pixels(
    parse: Any, library_processor: Florence2Processor, size: tuple[int, int]
) -> None:
    text = f"car{CAR}{DOOR}a green door{DOOR}"
    library = library_processor.post_process_generation(text=text, task="<OD>", image_size=size)["<OD>"]
    found = parse(text, size)
    assert list(labels(found)) == library["labels"]
    assert [[math.floor(value) for value in box] for box in boxes(found)] == library["bboxes"]


def test_polygons_equal_the_librarys(parse: Any, library_processor: Florence2Processor) -> None:
    task = "<OPEN_VOCABULARY_DETECTION>"
    text = f"leaf<poly>{TRIANGLE}<sep>{SQUARE}</poly>"
    library = library_processor.post_process_generation(text=text, task=task, image_size=(640, 200))[task]
    found = parse(text)
    assert labels(found) == tuple(library["polygons_labels"]) == ("leaf",)
    whole = [
        [math.floor(v) for corner in polygon for v in corner] for polygon in found.regions[0].polygons_px
    ]
    assert whole == library["polygons"][0]
    assert boxes(found)[0] == pytest.approx((6.72, 2.1, 128.32, 40.1))
    assert found.to_dict()["polygons_px"][0][0][0] == [6.72, 2.1]


def test_letters_that_are_not_ascii_are_kept(parse: Any) -> None:
    assert labels(parse(f"café 标签{CAR}")) == ("café 标签",)


@pytest.mark.parametrize(
    ("text", "wanted", "malformed"),
    [
        ("", (), 0),
        ("car", (), 1),  # a label without a box
        (CAR, (), 1),  # a box without a label
        (f"car{CAR}door", ("car",), 1),
        (f"car{CAR}<loc_1><loc_2>", ("car",), 1),  # half a box, as when an answer is cut off
        (f"car<loc_1><loc_2>door{DOOR}", ("door",), 1),
        (f"car{locations(500, 10, 400, 20)}", (), 1),  # right before left
        (f"car{locations(5, 30, 40, 20)}door{DOOR}", ("door",), 1),
        (f"leaf<poly>{locations(1, 2, 3)}</poly>", (), 2),  # no polygon, so that its label has nothing
        (f"leaf<poly>{TRIANGLE}", ("leaf",), 0),  # not closed
        (f"leaf<poly>{TRIANGLE}</poly>car{CAR}", ("leaf", "car"), 0),
        ("</poly><sep>", (), 0),
    ],
)
def test_what_is_no_region_is_counted(parse: Any, text: str, wanted: tuple[str, ...], malformed: int) -> None:
    found = parse(text)
    assert (labels(found), found.malformed) == (wanted, malformed)
    assert found.raw == text


def test_a_box_that_lies_in_one_part_is_kept(parse: Any) -> None:
    assert boxes(parse(f"dot{locations(7, 7, 7, 7)}"))[0] == pytest.approx((4.8, 1.5, 4.8, 1.5))


def test_numbers_and_pixels_are_inverse_to_half_a_part() -> None:
    for size in ((640, 200), (17, 4000)):
        for number in (0, 1, 499, 500, 998, 999):
            assert to_numbers(to_pixels([number] * 4, size), size) == (number,) * 4
    assert to_numbers((0, 0, 640, 200), (640, 200)) == (0, 0, 999, 999)


def test_numbers_equal_the_librarys(library_processor: Florence2Processor) -> None:
    box, size = (12.3, 45.67, 600.1, 199.99), (640, 200)
    library = library_processor.post_processor.quantize(torch.tensor([box]), size)
    assert list(to_numbers(box, size)) == library[0].tolist()


def test_json_has_rounded_pixels_and_no_polygons_where_there_are_none(parse: Any) -> None:
    values = parse(f"car{locations(1, 1, 3, 3)}", (333, 333)).to_dict()
    assert values == {
        "labels": ["car"],
        "boxes_xyxy_px": [[0.5, 0.5, 1.17, 1.17]],
        "malformed": 0,
        "truncated": False,
    }
    assert not re.search("polygon", str(values))
