from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from argusvl.core.errors import ModelError
from argusvl.detection.predict.postprocessing import describe, num_kept, postprocess

LABELS = ["screw", "label", "fan"]


def make_output(images: int = 2, queries: int = 5, labels: int = 3, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand((images, queries, 2), generator=generator) * 0.4 + 0.3
    sides = torch.rand((images, queries, 2), generator=generator) * 0.2 + 0.05
    return SimpleNamespace(
        boxes_cxcywh_norm=torch.cat([centres, sides], dim=-1),
        objectness_logits=torch.randn((images, queries), generator=generator),
        type_logits=torch.randn((images, queries, labels), generator=generator),
    )


class WritesItsQuery:
    """Describes (image, query) by the token ids image, query, end; some garbage follows as padding does."""

    config = SimpleNamespace(caption_max_tokens=7)
    device = torch.device("cpu")

    def describe(self, output: Any, image: Tensor, query: Tensor, max_tokens: int) -> Tensor:
        assert max_tokens == 7
        end = torch.full_like(image, 999)
        return torch.stack([image, query, end, torch.full_like(image, -100)], dim=1)


class Decodes:
    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        assert -100 not in ids
        return " ".join(str(i) for i in ids if i != 999)


def test_a_second_look_in_the_mirror_halves_what_is_off() -> None:
    output, mirrored = make_output(queries=1), make_output(queries=1)
    truth = output.boxes_cxcywh_norm
    truth[..., 2:] += 0.3
    # To the right by a hundredth, in the picture and in its mirror image.
    output.boxes_cxcywh_norm = truth + torch.tensor([0.01, 0, 0, 0])
    mirrored.boxes_cxcywh_norm = torch.cat([1.01 - truth[..., :1], truth[..., 1:]], dim=-1)
    found = postprocess(output, LABELS, [(100, 100)] * 2, mirrored=mirrored)
    alone = postprocess(output, LABELS, [(100, 100)] * 2)
    for both, one, (box,) in zip(found, alone, truth.tolist(), strict=True):
        assert both.best.labels == one.best.labels
        assert both.best.scores.tolist() == one.best.scores.tolist()
        left = 100 * (box[0] - box[2] / 2)
        assert one.best.boxes_xyxy_px[0, 0] == pytest.approx(left + 1, abs=1e-3)
        assert both.best.boxes_xyxy_px[0, 0] == pytest.approx(left, abs=0.5)


def test_the_score_is_objectness_times_label_probability() -> None:
    output = make_output()
    for m, predictions in enumerate(postprocess(output, LABELS, [(100, 100), (50, 80)])):
        best = predictions.best
        assert best.queries is not None
        assert sorted(best.queries.tolist()) == [0, 1, 2, 3, 4]
        assert (best.scores[:-1] >= best.scores[1:]).all()
        for k, query in enumerate(best.queries.tolist()):
            classes = output.type_logits[m, query].softmax(-1)
            expected = output.objectness_logits[m, query].sigmoid() * classes.max()
            assert best.scores[k] == pytest.approx(float(expected), rel=1e-6)
            assert best.label_scores[k] == pytest.approx(float(classes.max()), rel=1e-6)
            assert best.labels[k] == LABELS[int(classes.argmax())]


def test_the_ranking_for_ap_holds_every_pair_of_query_and_label_up_to_the_limit() -> None:
    (predictions, _) = postprocess(make_output(), LABELS, [(100, 100)] * 2)
    ranked = predictions.ranked
    assert ranked.queries is not None
    assert {(q, label) for q, label in zip(ranked.queries.tolist(), ranked.labels, strict=True)} == {
        (q, label) for q in range(5) for label in LABELS
    }
    assert (ranked.scores[:-1] >= ranked.scores[1:]).all()
    for query in range(5):
        assert ranked.scores[ranked.queries == query].sum() == pytest.approx(
            float(make_output().objectness_logits[0, query].sigmoid()), rel=1e-5
        )


def test_suppression_is_by_label_for_ap_and_over_all_labels_for_people() -> None:
    output = make_output(images=1, queries=3)
    near = [0.5, 0.5, 0.4, 0.4]
    output.boxes_cxcywh_norm = torch.tensor([[near, [0.51, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]]])
    output.objectness_logits = torch.tensor([[3.0, 2.0, 1.0]])
    output.type_logits = torch.tensor([[[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 2.0]]])
    (predictions,) = postprocess(output, LABELS, [(100, 100)], nms_iou=0.6)
    assert predictions.best.queries is not None and predictions.ranked.queries is not None
    assert predictions.best.queries.tolist() == [0, 2]
    # Of each label the better of the two near boxes stays, and the far one always.
    ranked = set(zip(predictions.ranked.labels, predictions.ranked.queries.tolist(), strict=True))
    assert ranked == {("screw", 0), ("label", 1), ("fan", 0), ("screw", 2), ("label", 2), ("fan", 2)}
    (untouched,) = postprocess(output, LABELS, [(100, 100)])
    assert (len(untouched.best), len(untouched.ranked)) == (3, 9)


def test_suppression_of_many_pairs_keeps_the_limit_and_is_quick() -> None:
    output = make_output(images=1, queries=300, labels=60, seed=3)
    names = [f"label {k}" for k in range(60)]
    began = time.perf_counter()
    (predictions,) = postprocess(output, names, [(640, 480)], nms_iou=0.9)
    assert time.perf_counter() - began < 2
    assert len(predictions.ranked) == 300


@pytest.mark.parametrize(("queries", "kept"), [(60, 100), (150, 150)])
def test_100_pairs_count_or_as_many_as_there_are_queries(queries: int, kept: int) -> None:
    assert num_kept(queries) == kept
    (predictions,) = postprocess(make_output(images=1, queries=queries), LABELS, [(10, 10)])
    assert len(predictions.ranked) == kept
    assert len(predictions.best) == queries


def test_boxes_are_cut_at_the_border_and_notes_are_kept() -> None:
    output = make_output(images=1, queries=1)
    output.boxes_cxcywh_norm = torch.tensor([[[0.05, 0.9, 0.3, 0.4]]])
    (predictions,) = postprocess(output, LABELS, [(100, 200)], notes=["turned upright (EXIF 6)"])
    assert predictions.best.boxes_xyxy_px[0].tolist() == pytest.approx([0, 140, 20, 200])
    assert predictions.best.note == predictions.ranked.note == "turned upright (EXIF 6)"


def test_half_precision_outputs_are_read_in_full_precision() -> None:
    output = make_output(images=1)
    expected = postprocess(output, LABELS, [(100, 100)])[0].best
    for name in ("objectness_logits", "type_logits"):
        setattr(output, name, getattr(output, name).bfloat16())
    found = postprocess(output, LABELS, [(100, 100)])[0].best
    assert found.scores == pytest.approx(expected.scores, rel=2e-2)


def test_only_chosen_entries_are_described_in_order() -> None:
    output = make_output()
    best = [p.best for p in postprocess(output, LABELS, [(10, 10)] * 2)]
    described = describe(WritesItsQuery(), output, Decodes(), best, [[0, 3], [1]])
    assert best[0].queries is not None and best[1].queries is not None
    assert described[0].captions == (f"0 {best[0].queries[0]}", None, None, f"0 {best[0].queries[3]}", None)
    assert described[1].captions == (None, f"1 {best[1].queries[1]}", None, None, None)
    assert describe(WritesItsQuery(), output, Decodes(), best, [[], []])[0].captions == (None,) * 5


@pytest.mark.parametrize(
    ("change", "labels", "sizes", "message"),
    [
        ({}, ["one"], 2, r"type_logits: expected shape \[2, 5, 1\], got \[2, 5, 3\]"),
        ({}, LABELS, 1, "image_sizes: expected one for each of the 2 images, got 1"),
        ({"type_logits": torch.zeros(2, 5, 0)}, [], 2, "vocabulary is empty"),
        ({"boxes_cxcywh_norm": torch.zeros(2, 4, 4)}, LABELS, 2, r"boxes_cxcywh_norm: expected shape"),
        (
            {"objectness_logits": torch.full((2, 5), float("nan"))},
            LABELS,
            2,
            "objectness_logits holds 10 numbers that are not finite",
        ),
    ],
)
def test_outputs_that_do_not_fit_are_refused(
    change: dict[str, Tensor], labels: list[str], sizes: int, message: str
) -> None:
    output = make_output()
    for name, value in change.items():
        setattr(output, name, value)
    with pytest.raises(ModelError, match=message):
        postprocess(output, labels, [(10, 10)] * sizes)


def test_an_output_without_a_head_is_refused() -> None:
    with pytest.raises(ModelError, match="holds no boxes"):
        postprocess(
            SimpleNamespace(boxes_cxcywh_norm=None, objectness_logits=None, type_logits=None), LABELS, []
        )
