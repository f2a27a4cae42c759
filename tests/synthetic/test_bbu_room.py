from __future__ import annotations

import dataclasses
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from argusvl.detection.data.records import RecordFile
from argusvl.synthetic import generator_of
from argusvl.synthetic.bbu_room.composition import compose
from argusvl.synthetic.bbu_room.plan import Plan, paint_plan
from argusvl.synthetic.bbu_room.stamp import apply_stamp, random_stamp
from argusvl.synthetic.bbu_room.terms import LABELS, describe


def test_sixty_pictures_show_every_label_and_sizes_that_can_be_learned(tmp_path: Path) -> None:
    generator_of("bbu-room")(tmp_path / "set", images=60, seed=3)
    splits = (tmp_path / "set" / f"{split}.jsonl" for split in ("train", "val", "test"))
    of_splits = [record for split in splits for record in RecordFile(split)]
    found = [o for record in of_splits for o in record.student.objects]
    assert {o.desc for o in found} == {describe(label, "zh") for label in LABELS}
    assert min(min(o.bbox_2d[2] - o.bbox_2d[0], o.bbox_2d[3] - o.bbox_2d[1]) for o in found) > 18
    counts = [len(record.student.objects) for record in of_splits]
    assert 0 in counts
    assert 6 <= np.mean(counts) <= 14
    assert max(counts) <= 20


def plans(count: int, width: int = 448, height: int = 336) -> list[Plan]:
    return [compose(Random(f"plans/{i}"), width, height) for i in range(count)]


def pixels(plan: Plan) -> np.ndarray[Any, Any]:
    return np.asarray(paint_plan(plan)[0].finished()).astype(int)


def test_boxes_fit_the_pixels_that_an_object_changes() -> None:
    """Each object is left out in turn: what changes must fill its box, and but for a shadow lie inside it."""
    every, off_centre = [], []
    for plan in plans(8):
        whole = pixels(plan)
        objects = iter(paint_plan(plan)[1])
        for i, part in enumerate(plan.parts):
            if part.label is None:
                continue
            box = next(objects).box
            if part.label[0] == "space":  # the inside of a cabinet: nothing is painted for it
                continue
            without = dataclasses.replace(plan, parts=(*plan.parts[:i], *plan.parts[i + 1 :]))
            changed = np.abs(whole - pixels(without)).max(axis=2) > 24
            ys, xs = np.nonzero(changed)
            # A shadow is no part of the object; it is at most an eighth of the object's size to one side.
            margin = 2 + max(box.width, box.height) / 8
            assert xs.min() >= box.x0 - margin
            assert xs.max() + 1 <= box.x1 + margin
            assert ys.min() >= box.y0 - margin
            assert ys.max() + 1 <= box.y1 + margin
            inside = changed[max(0, round(box.y0)) : round(box.y1), max(0, round(box.x0)) : round(box.x1)]
            filled_x, filled_y = np.nonzero(inside.any(0))[0], np.nonzero(inside.any(1))[0]
            share = (np.ptp(filled_x) + 1) * (np.ptp(filled_y) + 1) / inside.size
            every.append(share)
            off_centre.append((xs.min() + xs.max() + 1) / 2 - (box.x0 + box.x1) / 2)
    assert len(every) > 50
    # Where an object's edge has its ground's colour the change begins further in, and a plug's port is there without
    # the plug, too: hence quantiles, not a minimum.
    assert np.quantile(every, 0.1) > 0.65
    assert np.median(every) > 0.93
    assert abs(np.median(off_centre)) < 0.6


def test_a_cabinets_space_holds_its_units_and_is_full_where_no_place_is_open() -> None:
    seen = set()
    for plan in plans(40):
        painted = {"/".join(o.label): o.box for o in paint_plan(plan)[1]}
        space = next((box for label, box in painted.items() if label.startswith("space/")), None)
        if space is None:
            continue
        state = "vacant" if "baffle/missing" in painted else "full"
        assert f"space/{state}" in painted
        seen.add(state)
        for label, box in painted.items():
            if label.startswith(("bbu/", "baffle/")):
                assert box.clipped(space.grown(1.0)) == box
    assert seen == {"full", "vacant"}


@pytest.mark.parametrize(("width", "height"), [(336, 448), (640, 480), (200, 500)])
def test_other_sizes_and_shapes_can_be_drawn(width: int, height: int) -> None:
    count = 0
    for plan in plans(6, width, height):
        canvas, objects = paint_plan(plan)
        assert canvas.finished().size == (width, height)
        count += len(objects)
        assert all(o.box.x0 >= 0 and o.box.x1 <= width and o.box.y1 <= height for o in objects)
    assert count >= 12


def test_some_pictures_have_a_stamp_that_stays_in_its_corner() -> None:
    rng = Random(4)
    stamps = [random_stamp(rng, 1.0) for _ in range(400)]
    written = [stamp for stamp in stamps if stamp is not None]
    assert 0.25 < len(written) / len(stamps) < 0.45
    plain = Image.new("RGB", (448, 336), (90, 120, 90))
    for stamp in written[:20]:
        changed = ImageChops.difference(apply_stamp(plain, stamp), plain).getbbox()
        assert changed is not None
        x0, y0, x1, y1 = changed
        assert (x1 - x0) > 5 * (y1 - y0) and (y1 - y0) < 2 * stamp.size_px
        assert (x0 > 100) if stamp.corner[0] else (x1 < 348)
        assert (y0 > 300) if stamp.corner[1] else (y1 < 36)
    assert plain.getcolors() == [(448 * 336, (90, 120, 90))]
