"""Each term is a sum by its formula; an object weighs one however many predictions answer for it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from argusvl.core.boxes import cxcywh_to_xyxy, giou_xyxy
from argusvl.detection.model.losses import (
    AssignedPairs,
    Descriptions,
    LossSettings,
    decoder_terms,
    focal_sum,
    terms_of,
    varifocal_sum,
)
from argusvl.detection.model.matching import Assignment, Targets
from argusvl.detection.model.queries import QueryPredictions

MakeSettings = Callable[..., LossSettings]


def test_focal_loss_is_lins_formula() -> None:
    logits, targets = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, 1.0])
    p = [1 / (1 + math.exp(-x)) for x in logits.tolist()]
    expected = (
        0.25 * (1 - p[0]) ** 2 * -math.log(p[0])
        + 0.75 * p[1] ** 2 * -math.log(1 - p[1])
        + 0.25 * (1 - p[2]) ** 2 * -math.log(p[2])
    )
    assert focal_sum(logits, targets, 0.25, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_varifocal_loss_teaches_a_positive_its_quality() -> None:
    logits = torch.tensor([0.3, -0.7], requires_grad=True)
    quality, positive = torch.tensor([0.6, 0.0]), torch.tensor([True, False])
    p = [1 / (1 + math.exp(-x)) for x in logits.tolist()]
    expected = 0.6 * -(0.6 * math.log(p[0]) + 0.4 * math.log(1 - p[0])) + 0.75 * p[1] ** 2 * -math.log(
        1 - p[1]
    )
    loss = varifocal_sum(logits, quality, positive, 0.75, 2.0)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    at_target = torch.logit(torch.tensor([0.6])).requires_grad_()
    varifocal_sum(at_target, quality[:1], positive[:1], 0.75, 2.0).backward()
    assert at_target.grad is not None and at_target.grad.abs().item() < 1e-6


@pytest.mark.parametrize("logit", [-1e4, -200.0, 200.0, 1e4])
def test_extreme_logits_give_finite_losses_and_gradients(logit: float) -> None:
    for target in (0.0, 1.0):
        logits = torch.full((3,), logit, requires_grad=True)
        targets = torch.full((3,), target)
        (
            focal_sum(logits, targets, 0.25, 2.0)
            + varifocal_sum(logits, targets * 0.5, targets > 0, 0.75, 2.0)
        ).backward()
        assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_caption_loss_is_the_sum_over_known_tokens() -> None:
    torch.manual_seed(0)
    ids = torch.tensor([[3, 1, -100], [2, -100, -100], [0, 4, 4]])
    logits = torch.randn(6, 5)
    expected = sum(-logits[row].log_softmax(-1)[token] for row, token in enumerate((3, 1, 2, 0, 4, 4)))
    torch.testing.assert_close(terms_of(Descriptions(logits, ids)), {"caption": expected})


def prediction(images: int, queries: int, seed: int = 0) -> QueryPredictions:
    torch.manual_seed(seed)
    return QueryPredictions(
        torch.randn(images, queries, 8),
        torch.randn(images, queries, 4).requires_grad_(),
        torch.randn(images, queries).requires_grad_(),
    )


def targets(count: int, images: int = 1) -> Targets:
    torch.manual_seed(count)
    boxes = torch.rand(count, 4) * 0.4 + 0.2
    return Targets(boxes, torch.arange(count) % images, torch.arange(count) % 3)


def pairs(query: list[int], target: list[int], quality: float = 0.5) -> Assignment:
    q = torch.tensor(query, dtype=torch.long)
    return Assignment(
        torch.zeros_like(q), q, torch.tensor(target, dtype=torch.long), torch.full((len(query),), quality)
    )


def test_terms_are_the_formulas_of_the_pairs(settings: MakeSettings) -> None:
    found, truth, assignment = prediction(1, 5), targets(2), pairs([1, 4], [0, 1])
    types = torch.randn(2, 3)
    terms = terms_of(AssignedPairs(found, types, assignment, truth, settings()))
    boxes = found.boxes_cxcywh_norm[0, [1, 4]]
    overlap = giou_xyxy(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth.boxes_cxcywh_norm))
    torch.testing.assert_close(terms["bbox_l1"], (boxes - truth.boxes_cxcywh_norm).abs().sum())
    torch.testing.assert_close(terms["bbox_giou"], (1 - overlap).sum())
    torch.testing.assert_close(
        terms["type"], torch.nn.functional.cross_entropy(types, truth.label, reduction="sum")
    )
    positive = torch.tensor([False, True, False, False, True])
    expected = varifocal_sum(found.objectness_logits[0], 0.5 * positive, positive, 0.75, 2.0)
    torch.testing.assert_close(terms["objectness"], expected)
    focal = terms_of(AssignedPairs(found, types, assignment, truth, settings(objectness="focal")))
    expected = focal_sum(found.objectness_logits[0], positive.float(), 0.75, 2.0)
    torch.testing.assert_close(focal["objectness"], expected)


def test_an_object_weighs_one_however_many_queries_answer(settings: MakeSettings) -> None:
    found, truth = prediction(1, 5), targets(2)
    with torch.no_grad():
        found.boxes_raw[0, 2] = found.boxes_raw[0, 1]
    types = torch.randn(1, 3).repeat(2, 1)
    other = torch.randn(1, 3)
    one = terms_of(
        AssignedPairs(found, torch.cat([types[:1], other]), pairs([1, 4], [0, 1]), truth, settings())
    )
    two = terms_of(
        AssignedPairs(found, torch.cat([types, other]), pairs([1, 2, 4], [0, 0, 1]), truth, settings())
    )
    for name in ("bbox_l1", "bbox_giou", "type"):
        torch.testing.assert_close(two[name], one[name])


def test_an_unknown_label_and_an_empty_vocabulary_teach_no_type(settings: MakeSettings) -> None:
    found, truth = prediction(1, 4), targets(2)
    unknown = Targets(truth.boxes_cxcywh_norm, truth.image, torch.tensor([-1, 2]))
    types = torch.randn(2, 3, requires_grad=True)
    terms_of(AssignedPairs(found, types, pairs([0, 1], [0, 1]), unknown, settings()))["type"].backward()
    assert types.grad is not None and (types.grad[0] == 0).all() and (types.grad[1] != 0).all()
    none = terms_of(AssignedPairs(found, torch.randn(2, 0), pairs([0, 1], [0, 1]), unknown, settings()))
    assert none["type"] == 0 and none["bbox_l1"] > 0


def test_without_objects_the_box_terms_are_zero_and_have_gradients(settings: MakeSettings) -> None:
    found = prediction(2, 4)
    terms, assignment = decoder_terms([found], [torch.randn(2, 4, 3)], targets(0), settings())
    assert len(assignment.target) == 0
    assert terms["bbox_l1"] == terms["bbox_giou"] == terms["type"] == 0 and terms["objectness"] > 0
    (terms["bbox_l1"] + terms["bbox_giou"]).backward()
    assert found.boxes_raw.grad is not None and (found.boxes_raw.grad == 0).all()


@pytest.mark.parametrize("assignment", ["one_to_one", "several_to_one"])
def test_earlier_layers_are_added_up_apart_from_the_last(settings: MakeSettings, assignment: str) -> None:
    layers = [prediction(2, 6, seed) for seed in range(3)]
    types = [torch.randn(2, 6, 3) for _ in layers]
    truth, chosen = targets(3, images=2), settings(assignment=assignment)
    terms, _ = decoder_terms(layers, types, truth, chosen)
    alone = [
        decoder_terms([layer], [logits], truth, chosen)[0]
        for layer, logits in zip(layers, types, strict=True)
    ]
    for name in ("bbox_l1", "bbox_giou", "objectness", "type"):
        torch.testing.assert_close(terms[name], alone[2][name])
        torch.testing.assert_close(terms[f"{name}_aux"], alone[0][name] + alone[1][name])
    assert len(terms) == 8


@pytest.mark.parametrize("assignment", ["one_to_one", "several_to_one"])
@pytest.mark.parametrize("objectness", ["iou_aware", "focal"])
def test_what_is_no_number_shows_in_a_term(settings: MakeSettings, assignment: str, objectness: str) -> None:
    """The matcher says nothing; the engine then finds the term by its name."""
    for name, term in (("objectness_logits", "objectness"), ("boxes_raw", "bbox_l1")):
        found = prediction(1, 4)
        with torch.no_grad():
            getattr(found, name).fill_(float("nan"))
        chosen = settings(assignment=assignment, objectness=objectness)
        terms, _ = decoder_terms([found], [torch.randn(1, 4, 3)], targets(2), chosen)
        assert not torch.isfinite(terms[term])
    # A single query that broke down shows too, although it is matched with nothing.
    found = prediction(1, 4)
    with torch.no_grad():
        found.boxes_raw[0, 1], found.objectness_logits[0, 1] = float("nan"), float("nan")
    terms, _ = decoder_terms([found], [torch.randn(1, 4, 3)], targets(2), settings(assignment=assignment))
    assert not torch.isfinite(terms["objectness"])


def test_wrong_shapes_are_found_in_the_tests(settings: MakeSettings) -> None:
    with pytest.raises(Exception, match="Descriptions"):
        Descriptions(torch.randn(2, 5), torch.zeros(2, dtype=torch.long))
    with pytest.raises(Exception, match="QueryPredictions"):
        QueryPredictions(torch.randn(1, 2, 8), torch.randn(1, 2, 3), torch.randn(1, 2))
