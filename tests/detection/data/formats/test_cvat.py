from __future__ import annotations

from typing import Any

import pytest

BOX = '<box label="other" xtl="1" ytl="2" xbr="30" ybr="40" occluded="0"/>'


def document(*shapes: str, image: str = 'name="a.jpg" width="64" height="48"', before: str = "") -> str:
    return f"<annotations>{before}\n<image id='0' {image}>{''.join(shapes)}</image></annotations>"


def read(source: Any, text: str) -> Any:
    source.image("a.jpg")
    source.text("annotations.xml", text)
    return source.read("cvat")


def test_boxes_and_the_subset_come_out(source: Any) -> None:
    polygon = '<polygon label="p" points="1,2;30,5.5;7,40"/>'
    image = 'name="a.jpg" subset="Validation" width="64" height="48"'
    listed = read(source, document(BOX, polygon, image=image))
    assert source.found(listed) == []
    assert listed.images[0].split == "val"
    annotation = listed.images[0].annotate()
    assert annotation.size == (64, 48)
    assert source.objects(annotation) == [("other", (1, 2, 30, 40)), ("p", (1, 2, 30, 40))]


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ('<box label="x" xtl="1" ytl="2" xbr="30" ybr="40" rotation="12.5"/>', "not-a-box"),
        ('<ellipse label="x" cx="1" cy="2" rx="3" ry="4"/>', "not-a-box"),
        ('<polyline label="x" points="1,2;3,4"/>', "not-a-box"),
        ('<mask label="x" rle="1, 2" left="0" top="0" width="2" height="2"/>', "not-a-box"),
        ('<polygon label="x" points="1,2;3,4"/>', "polygon-too-short"),
        ('<polygon label="x" points="1;3,4"/>', "box-not-a-number"),
        ('<box label="x" xtl="1" ytl="2" xbr="30"/>', "box-not-a-number"),
        ('<box label="x" xtl="1" ytl="nan" xbr="30" ybr="40"/>', "box-not-a-number"),
        ('<box label=" " xtl="1" ytl="2" xbr="30" ybr="40"/>', "empty-label"),
        ('<tag label="blurred"/>', "left-out"),
    ],
)
def test_what_is_no_box_is_refused_by_name(shape: str, kind: str, source: Any) -> None:
    listed = read(source, document(shape, BOX))
    assert source.found(listed) == [(kind, "annotations.xml:2")]
    assert [o.label for o in listed.images[0].annotate().objects] == ["other"]


def test_the_boxes_of_one_picture_in_two_tasks_are_joined(source: Any) -> None:
    own = '<box label="own" xtl="1" ytl="2" xbr="30" ybr="40"/>'
    source.text("second/annotations.xml", document(BOX, own))
    listed = read(source, document(BOX))
    assert source.found(listed) == [("listed-twice", "second/annotations.xml:2")]
    assert [one.label for one in listed.images[0].annotate().objects] == ["other", "own"]


def test_the_tracks_of_a_video_are_refused(source: Any) -> None:
    listed = read(source, document(BOX, before='<track label="car"/>'))
    assert source.found(listed) == [("not-a-box", "annotations.xml:1")]


@pytest.mark.parametrize("name", ["../secret.jpg", "", "absent.jpg"])
def test_an_image_that_is_not_in_the_folder_is_refused(name: str, source: Any) -> None:
    source.image("../secret.jpg")
    listed = read(source, document(BOX, image=f'name="{name}"'))
    assert listed.images == []
    kind = "missing-image" if name else "malformed-annotation"
    assert source.found(listed) == [(kind, "annotations.xml:2")]
