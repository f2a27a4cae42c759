from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from argusvl.core.schemas import plain
from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.evaluation import Evaluation, Truth, evaluate_detections
from argusvl.detection.report.evaluation_files import (
    Misdescribed,
    TruthBox,
    load_gallery,
    load_precision_recall,
)
from argusvl.detection.report.gallery import make_gallery, precision_recall_file

BOX = [10.0, 10.0, 50.0, 50.0]
BESIDE = [35.0, 10.0, 75.0, 50.0]
AWAY = [100.0, 100.0, 140.0, 140.0]


def found(*entries: tuple[list[float], float, str, str | None]) -> Detections:
    boxes, scores, labels, captions = zip(*entries, strict=True) if entries else ((), (), (), ())
    return Detections(boxes, scores, labels, scores, (200, 200), captions=captions or None)  # type: ignore[arg-type]


def evaluation(*images: tuple[Detections, list[tuple[list[float], str]]]) -> Evaluation:
    predictions = tuple(p for p, _ in images)
    truth = tuple(Truth(np.array([b for b, _ in t]), tuple(d for _, d in t)) for _, t in images)
    figures = evaluate_detections(predictions, truth, labels=["screw", "label"], vocabulary="open")
    names = tuple(f"{k}.jpg" for k in range(len(images)))
    # What a gallery is made of; how the scores came about is no concern of it.
    return cast(
        Evaluation, SimpleNamespace(figures=figures, images=names, predictions=predictions, truth=truth)
    )


RIGHT = (found((BOX, 0.9, "screw", "screw/tight")), [(BOX, "screw/tight")])
MISSED = (found((BOX, 0.2, "screw", "screw/tight")), [(BOX, "screw/tight")])


def test_the_worst_are_there_and_the_rest_is_spread_over_the_others() -> None:
    wrong = {3, 40, 41, 77}
    gallery = make_gallery(
        evaluation(*(MISSED if k in wrong else RIGHT for k in range(100))), "x", vocabulary="open", count=12
    )
    kept = [(int(Path(i.image).stem), i.chosen) for i in gallery.images]
    assert [k for k, _ in kept] == sorted(k for k, _ in kept)
    assert {k for k, why in kept if why == "errors"} == wrong
    spread = [k for k, why in kept if why == "spread"]
    assert len(spread) == 8
    assert spread[0] == 0 and spread[-1] == 99
    assert max(b - a for a, b in pairwise(spread)) <= 16
    assert gallery.images_total == 100


def test_errors_alone_never_fill_the_gallery() -> None:
    gallery = make_gallery(evaluation(*[MISSED] * 50), "x", vocabulary="open", count=12)
    why = [i.chosen for i in gallery.images]
    assert (why.count("errors"), why.count("spread")) == (8, 4)


def test_predictions_below_the_threshold_are_kept_for_the_slider_and_not_counted() -> None:
    faint = found((BOX, 0.2, "screw", "screw/tight"), (AWAY, 0.01, "screw", None))
    gallery = make_gallery(evaluation((faint, [(BOX, "screw/tight")])), "x", vocabulary="open")
    assert [p.score for p in gallery.images[0].predictions] == [0.2]
    assert gallery.kinds == {"screw": {"missed": 1}}


def test_kinds_are_counted_over_all_images_by_class() -> None:
    image = (
        found(
            (BOX, 0.9, "screw", "screw/loose"),
            ([120.0, 100.0, 160.0, 140.0], 0.8, "label", "label"),
            ([0.0, 150.0, 20.0, 170.0], 0.7, "label", None),
        ),
        [(BOX, "screw/tight"), (AWAY, "label")],
    )
    gallery = make_gallery(evaluation(*[image] * 3), "x", vocabulary="open", count=1)
    assert len(gallery.images) == 1
    assert gallery.kinds == {"label": {"shifted": 3, "false": 3}, "screw": {"misdescribed": 3}}


def test_which_class_and_which_text_was_given_instead_is_counted_over_all_images() -> None:
    image = (
        found(
            (BOX, 0.9, "label", "screw/loose"), (AWAY, 0.8, "label", "label"), (BESIDE, 0.7, "screw", None)
        ),
        [(BOX, "screw/tight"), (AWAY, "label"), ([0.0, 150.0, 20.0, 170.0], "screw/tight")],
    )
    other = (found((BOX, 0.9, "screw", "screw/far")), [(BOX, "screw/tight")])
    gallery = make_gallery(evaluation(*[image] * 3, other, RIGHT), "x", vocabulary="open", count=1)
    assert gallery.confusion == {"label": {"label": 3}, "screw": {"label": 3, "screw": 2}}
    assert gallery.misdescribed == [
        Misdescribed("screw/tight", "screw/loose", 3),
        Misdescribed("screw/tight", "screw/far", 1),
    ]


@pytest.mark.parametrize(("vocabulary", "label"), [("open", "screw"), ("closed", "screw/tight")])
def test_a_truth_has_its_class(vocabulary: str, label: str) -> None:
    gallery = make_gallery(evaluation(RIGHT), "x", vocabulary=vocabulary)  # type: ignore[arg-type]
    assert gallery.images[0].truth == [TruthBox(tuple(BOX), "screw/tight", label)]


def test_images_below_the_folder_move_with_it(tmp_path: Path) -> None:
    inside = make_gallery(
        evaluation(RIGHT), tmp_path / "run" / "data", vocabulary="open", folder=tmp_path / "run"
    )
    assert inside.images[0].image == "data/0.jpg"
    outside = make_gallery(evaluation(RIGHT), tmp_path / "data", vocabulary="open", folder=tmp_path / "run")
    assert outside.images[0].image == str(tmp_path / "data" / "0.jpg")


def test_the_mean_of_a_curve_is_its_ap50() -> None:
    rng = np.random.default_rng(0)
    images = []
    for _ in range(20):
        truth = [
            ([x, y, x + 30, y + 30], str(rng.choice(["screw", "label"])))
            for x, y in rng.uniform(0, 150, (4, 2))
        ]
        hits = [([v + rng.normal(0, 4) for v in b], float(rng.uniform()), c, c) for b, c in truth]
        images.append((found(*hits), truth))
    measured = evaluation(*images)
    curves = precision_recall_file(measured, "open").classes
    assert set(curves) == {"screw", "label"}
    for name, curve in curves.items():
        assert len(curve.precision) == len(curve.scores) == 101
        ap50 = measured.figures.per_class[name].AP50
        assert 0 < ap50 < 1
        assert np.mean(curve.precision) == pytest.approx(ap50, abs=1e-4)
        reached = [s for p, s in zip(curve.precision, curve.scores, strict=True) if p > 0]
        assert reached == sorted(reached, reverse=True)


def test_a_class_that_the_truth_does_not_hold_has_no_curve_and_figures_stay_short() -> None:
    measured = evaluation(RIGHT).figures
    assert set(measured.precision_recall) == {"screw"}
    assert "precision_recall" not in measured.to_dict()
    assert not [name for name in measured.scalars() if name.startswith("precision_recall")]


def test_f1_is_that_of_the_predictions_from_a_score_on() -> None:
    image = (
        found((BOX, 0.905, "screw", "a"), (AWAY, 0.605, "screw", "a"), (BESIDE, 0.3, "label", "a")),
        [(BOX, "screw/tight"), ([60.0, 150.0, 90.0, 180.0], "screw/tight"), (AWAY, "label")],
    )
    curves = precision_recall_file(evaluation(image, image), "open").classes
    # Two screws an image: one right; one wrong up to a score of 0.6. The label was not found where it is.
    screw = curves["screw"].f1
    assert len(screw) == 101
    assert screw[0] == screw[60] == pytest.approx(2 * 2 / (2 * 2 + 2 + 2), abs=1e-4)
    assert screw[61] == screw[90] == pytest.approx(2 * 2 / (2 * 2 + 2), abs=1e-4)
    assert set(screw[91:]) == {0.0}
    assert set(curves["label"].f1) == {0.0}


def test_the_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    measured = evaluation(RIGHT, MISSED, (found((AWAY, 0.5, "label", None)), []))
    gallery = make_gallery(measured, tmp_path / "data", vocabulary="open", folder=tmp_path)
    written = plain(gallery)
    assert written["images"][0] == {
        "image": "data/0.jpg",
        "width": 200,
        "height": 200,
        "chosen": "spread",
        "truth": [{"bbox_2d": (*BOX,), "desc": "screw/tight", "label": "screw"}],
        "predictions": [
            {"bbox_2d": BOX, "label": "screw", "score": 0.9, "label_score": 0.9, "desc": "screw/tight"}
        ],
    }
    assert "desc" not in written["images"][2]["predictions"][0]
    assert list(written) == [
        "score_threshold",
        "images_total",
        "kinds",
        "confusion",
        "misdescribed",
        "images",
    ]
    (tmp_path / "gallery.json").write_text(json.dumps(written))
    read, items = load_gallery(tmp_path)
    assert plain(read) == json.loads(json.dumps(written))
    assert [item.image for item in items] == [tmp_path / "data" / f"{k}.jpg" for k in range(3)]
    assert [len(item.truth) for item in items] == [1, 1, 0]
    curves = precision_recall_file(measured, "open")
    (tmp_path / "precision_recall.json").write_text(json.dumps(plain(curves)))
    assert load_precision_recall(tmp_path) == curves.classes
