"""Terms are sums over samples: a batch's equal those of its samples alone, whatever is padded beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from argusvl.detection.model.losses import LossSettings

FORMS = ("proposals", "learned")
# In patches: 4 × 4, 6 × 2, 4 × 8 (largest width), 10 × 4 (largest height), 2 × 2 — fewer cells than queries.
SIZES = ((56, 56), (28, 84), (112, 56), (56, 140), (28, 28))


@pytest.mark.parametrize(
    ("queries", "assignment", "objectness"),
    [
        ("proposals", "one_to_one", "iou_aware"),
        ("proposals", "several_to_one", "focal"),
        ("learned", "one_to_one", "focal"),
        ("learned", "several_to_one", "iou_aware"),
    ],
)
def test_a_batch_is_the_sum_of_its_samples(
    kit: Any, settings: Callable[..., LossSettings], queries: str, assignment: str, objectness: str
) -> None:
    model = kit.model(queries)
    model.loss_settings = settings(assignment=assignment, objectness=objectness)
    counts = (2, 0, 3, 1, 2)
    scenes = [
        kit.scene(i, size, objects=count) for i, (size, count) in enumerate(zip(SIZES, counts, strict=True))
    ]
    samples = [kit.sample(s, *([kit.scene(9, (56, 56))] if i == 2 else [])) for i, s in enumerate(scenes)]
    with torch.no_grad():
        whole = model(**kit.collate(*samples)).loss_terms
        alone = [model(**kit.collate(sample)).loss_terms for sample in samples]
    for name, value in whole.items():
        assert value.dim() == 0
        expected = sum(terms[name] for terms in alone)
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("queries", FORMS)
def test_padding_beside_larger_images_changes_no_prediction(kit: Any, queries: str) -> None:
    model = kit.model(queries).eval()
    samples = [kit.sample(kit.scene(i, size)) for i, size in enumerate(SIZES)]
    with torch.no_grad():
        whole = model(**kit.collate(*samples, for_inference=True))
        for m, sample in enumerate(samples):
            alone = model(**kit.collate(sample, for_inference=True))
            found = alone.boxes_raw.shape[1]
            assert found == (min(8, SIZES[m][0] * SIZES[m][1] // 14**2) if queries == "proposals" else 8)
            for name in ("boxes_raw", "objectness_logits", "type_logits", "query_states"):
                torch.testing.assert_close(whole[name][m, :found], alone[name][0], rtol=1e-4, atol=1e-5)
            # Queries that are none come last and are never an object.
            assert (whole.objectness_logits[m, found:].sigmoid() < 1e-6).all()
            chosen = torch.arange(found)
            ours = model.describe(whole, torch.full((found,), m), chosen)
            theirs = model.describe(alone, torch.zeros(found, dtype=torch.long), chosen)
            assert torch.equal(ours, theirs)


def test_several_images_of_a_sample_are_counted_together(kit: Any) -> None:
    """Objectness is divided by samples, boxes by objects: the terms of two images simply add up."""
    model = kit.model()
    both = kit.scene(4, (56, 56), (84, 84), objects=2)
    batch = kit.collate(kit.sample(both))
    with torch.no_grad():
        all_terms = model(**batch).loss_terms
        parts = []
        for image in (0, 1):
            mine = batch["object_image"] == image
            objects = {name: value[mine] for name, value in batch.items() if name.startswith("object_")}
            parts.append(model(**{**batch, **objects}).loss_terms)
    for name in ("bbox_l1", "bbox_giou", "type", "caption", "bbox_l1_proposal"):
        torch.testing.assert_close(all_terms[name], parts[0][name] + parts[1][name])


def test_predictions_depend_on_the_vocabulary_in_their_types_only(kit: Any) -> None:
    model = kit.model().eval()
    sample = kit.sample(kit.scene(0, (84, 56)))
    with torch.no_grad():
        usual = model(**kit.collate(sample, for_inference=True))
        other = model(**kit.collate(sample, for_inference=True, labels=("标签", "a new label")))
    assert torch.equal(usual.boxes_raw, other.boxes_raw)
    assert torch.equal(usual.objectness_logits, other.objectness_logits)
    assert other.type_logits.shape == (1, 8, 2)


def test_an_image_with_more_objects_than_queries_still_trains(kit: Any) -> None:
    model = kit.model(num_queries=3)
    terms = model(**kit.collate(kit.sample(kit.scene(0, (84, 56), objects=5)))).loss_terms
    assert all(torch.isfinite(value) for value in terms.values())
    sum(terms.values()).backward()


@pytest.mark.parametrize("queries", FORMS)
def test_boxes_that_are_not_finite_are_for_the_losses_to_report(kit: Any, queries: str) -> None:
    model = kit.model(queries)
    with torch.no_grad():
        for name, parameter in model.detection_head.queries.named_parameters():
            if "box" in name:
                parameter.fill_(torch.nan)
    terms = model(**kit.collate(kit.sample(kit.scene(0, (84, 56), objects=3)))).loss_terms
    assert not torch.isfinite(terms["bbox_l1"])
