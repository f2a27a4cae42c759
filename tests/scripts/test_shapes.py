from __future__ import annotations

import colorsys
import dataclasses
import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import shapes
from argusvl.assets import MODELS
from argusvl.synthetic.bbu_room.terms import TERMS as ROOM_TERMS
from shapes.composition import MIN_RADIUS_PX, compose
from shapes.palette import random_colour
from shapes.scene import KINDS, Item, Plan, Shown, draw_item, paint_plan
from shapes.terms import COLOURS, STATES, TERMS, Label, allowed_colours

SPLITS = ("train", "val", "test")
LABELS: list[Label] = [
    (kind, colour) if state is None else (kind, colour, state)
    for kind, states in STATES.items()
    for state in (states or (None,))
    for colour in allowed_colours(kind, state)
]


def draw(out: Path, images: int = 4, seed: int = 3, **options: Any) -> Path:
    """A set of small pictures, fast to draw."""
    shapes.generate(out, images=images, seed=seed, **{"width": 168, "height": 140, **options})
    return out


def plans(count: int, width: int = 448, height: int = 336) -> list[Plan]:
    return [compose(Random(f"plans/{i}"), width, height) for i in range(count)]


def laid(*items: Item) -> list[Shown]:
    """What is annotated when things are laid on an even, pale ground."""
    bare = dataclasses.replace(
        plans(1)[0], items=items, ground=lambda: np.full((3, 336, 448), 228, dtype=np.float32)
    )
    return paint_plan(bare)[1]


def item(label: Label, radius: float, seed: int, **change: Any) -> Item:
    """A thing by itself, in the middle of nothing."""
    rng = Random(f"{label}/{seed}")
    plain = Item(
        label=label,
        x=60 + rng.random(),
        y=60 + rng.random(),
        radius=radius,
        degrees=rng.uniform(0, 360),
        colour=random_colour(rng, label[1]),
        opacity=1.0,
        stain=False,
        light=(0.0, 0.0, 0.0),
        shadow=0.0,
        seed=seed,
    )
    return dataclasses.replace(plain, **change)


def test_the_pictures_that_the_shipped_base_has_learned_from_can_still_be_drawn(tmp_path: Path) -> None:
    """At the size and with the seed of ``scripts/make_argus_tiny.py``; what the base names are its kinds."""
    folder = draw(tmp_path / "set", seed=0, width=336, height=252)
    digest = hashlib.sha256((folder / "train.jsonl").read_bytes()).hexdigest()
    assert digest == "e05bdd8dc871dfae6144e9f5a3ee56d3d04f6b55e41609f638c3510dd579b1e2"
    known = json.loads((MODELS["argus-tiny"] / "argus.json").read_text("utf-8"))["labels"]
    assert sorted(known) == sorted(TERMS[kind]["zh"] for kind in STATES)


def test_words_are_few_and_none_is_the_demo_s() -> None:
    used = {key for label in LABELS for key in label}
    assert used == set(TERMS)
    assert set(STATES) == set(KINDS)
    assert len({character for words in TERMS.values() for character in words["zh"]}) <= 120
    for language in ("zh", "en"):
        assert not {w[language] for w in TERMS.values()} & {w[language] for w in ROOM_TERMS.values()}
        assert not any("/" in words[language] for words in TERMS.values())


def test_pictures_hold_none_and_many_tiny_and_huge_things_of_every_kind() -> None:
    counts, sides, kinds = [], [], set()
    for plan in plans(60):
        shown = paint_plan(plan)[1]
        counts.append(len(shown))
        kinds |= {thing.item.label[0] for thing in shown}
        sides += [max(thing.box.width, thing.box.height) for thing in shown]
    assert len(kinds) >= 0.9 * len(KINDS)
    assert min(counts) == 0
    assert max(counts) >= 40
    assert 10 <= np.mean(counts) <= 26
    assert min(sides) < 8
    assert max(sides) > 200


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_boxes_are_the_extent_of_what_is_painted(kind: str) -> None:
    """Against the mask itself: rows and columns that are covered by more than a trace."""
    for seed, label in enumerate(label for label in LABELS if label[0] == kind and label[1] == "red"):
        for radius in (MIN_RADIUS_PX.get(kind, 15.0), 41.3, 120.6):
            sheet = draw_item(item(label, radius, seed))
            ys, xs = np.nonzero(sheet.coverage > 0.3)
            found = np.array((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), dtype=float)
            found += (sheet.left, sheet.top, sheet.left, sheet.top)
            box = sheet.extent()
            assert np.abs(found - np.array(box)).max() <= 1.3, (label, radius, found, box)
            assert 1.1 * radius <= max(box.width, box.height) <= 2.24 * radius + 4, (label, box)
            # Nothing is cut off by the sheet's edge.
            assert not sheet.coverage[[0, -1]].any()
            assert not sheet.coverage[:, [0, -1]].any()


def test_boxes_fit_the_pixels_that_change_in_whole_pictures() -> None:
    """The topmost object of a picture is left out: what changes must fill its box and lie inside it."""
    fits = []
    for plan in plans(24):
        bare = dataclasses.replace(plan, items=tuple(dataclasses.replace(i, shadow=0.0) for i in plan.items))
        image, shown = paint_plan(bare)
        if not shown or shown[-1].item is not bare.items[-1]:
            continue
        without = paint_plan(dataclasses.replace(bare, items=bare.items[:-1]))[0]
        change = np.abs(np.asarray(image).astype(int) - np.asarray(without)).max(axis=2)
        ys, xs = np.nonzero(change > 0.2 * change.max())
        box = shown[-1].box
        found = np.array((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        outside = np.maximum(np.array((-1, -1, 1, 1)) * (found - np.array(box)), 0)
        assert outside.max() <= 1.6, (shown[-1].item, found, box)
        fits.append(np.abs(found - np.array(box)).max())
    assert len(fits) > 12
    assert np.quantile(fits, 0.8) <= 1.3


def test_what_is_annotated_can_be_seen_and_what_is_hidden_is_not_annotated() -> None:
    """A cover comes over a disc: the disc is whole, or gone, or the cover is left out; nothing in between."""
    half = 40.0 / np.sqrt(2)
    below = item(("disc", "red", "filled"), 20.0, 1, x=100.0, y=100.0)
    for offset in range(0, 60, 3):
        cover = item(("square", "blue", "filled"), 40.0, 2, x=100.0 + offset, y=100.0, degrees=0.0)
        shown = laid(below, cover)
        in_view = np.clip((offset - half + 20) / 40, 0, 1)  # of the disc's width
        labels = [thing.item.label[0] for thing in shown]
        if in_view < 0.05:
            assert labels == ["square"]
        elif 0.2 < in_view < 0.35:
            assert labels == ["disc"]
        elif in_view > 0.45:
            assert labels == ["disc", "square"]
            assert shown[0].box.x1 - shown[0].box.x0 == pytest.approx(40, abs=0.6)  # its whole extent
        assert labels in (["square"], ["disc"], ["disc", "square"])


def test_a_thing_that_shows_through_another_is_annotated() -> None:
    below = item(("star", "red", "filled"), 20.0, 1, x=100.0, y=100.0)
    for opacity, labels in ((0.5, ["star", "square"]), (0.8, ["star"]), (1.0, ["square"])):
        cover = item(("square", "blue", "filled"), 60.0, 2, x=100.0, y=100.0, opacity=opacity)
        assert [thing.item.label[0] for thing in laid(below, cover)] == labels


def test_what_is_mostly_outside_of_the_picture_is_left_out() -> None:
    for x, count in ((-12.0, 0), (2.0, 1)):
        shown = laid(item(("disc", "red", "filled"), 20.0, 1, x=x, y=100.0))
        assert len(shown) == count
    assert (shown[0].box.x0, shown[0].box.x1) == (0.0, pytest.approx(22, abs=0.5))  # clipped
    # A plate is told by its number of holes: nearly all of it must be in view.
    assert not laid(item(("plate", "red", "two_holes"), 20.0, 1, x=2.0, y=100.0))


def test_things_that_do_not_stand_out_from_their_ground_are_left_out() -> None:
    below = item(("square", "red", "filled"), 90.0, 1, x=150.0, y=150.0)
    same = item(("disc", "red", "filled"), 20.0, 1, x=150.0, y=150.0, colour=below.colour)
    other = dataclasses.replace(same, label=("disc", "blue", "filled"), colour=(20, 40, 230))
    names = [[thing.item.label[1] for thing in laid(below, top)] for top in (same, other)]
    assert names == [["red"], ["red", "blue"]]


def test_the_colour_that_is_named_is_the_colour_that_is_drawn() -> None:
    for kind in ("disc", "star", "gear", "bracket", "letter"):
        for colour in COLOURS:
            label: Label = (kind, colour, STATES[kind][0]) if STATES[kind] else (kind, colour)
            for seed in range(6):
                sheet = draw_item(item(label, 30.0, seed))
                solid = sheet.coverage > 0.99
                pixel = np.median(sheet.colour[:, solid], axis=1)
                assert named(pixel) == colour, (label, pixel)


def named(rgb: Any) -> str:
    """What a person would call a colour; written apart from the palette."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(rgb / 255))
    hue *= 360
    if value < 0.2:
        return "black"
    if saturation < 0.15:
        return "white" if value > 0.8 else "grey"
    if hue < 40 and value < 0.55:
        return "brown" if hue > 10 else "red"
    if hue > 315 and saturation < 0.6:
        return "pink"
    edges = ((12, "red"), (40, "orange"), (70, "yellow"), (160, "green"), (200, "cyan"), (250, "blue"))
    return next((name for edge, name in edges if hue < edge), "purple" if hue < 300 else "red")


@pytest.mark.parametrize(("width", "height"), [(336, 448), (640, 480), (112, 400)])
def test_other_sizes_and_shapes_can_be_drawn(width: int, height: int) -> None:
    count = 0
    for plan in plans(6, width, height):
        image, shown = paint_plan(plan)
        assert image.size == (width, height)
        count += len(shown)
        assert all(t.box.x0 >= 0 and t.box.y0 >= 0 for t in shown)
        assert all(t.box.x1 <= width and t.box.y1 <= height for t in shown)
    assert count >= 10
