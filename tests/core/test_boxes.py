"""Boxes: overlaps agree with pictures drawn by hand."""

from __future__ import annotations

import pytest
import torch

from argusvl.core import boxes


def some_boxes(n: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(n, 2, 2, generator=generator) * 100
    return torch.cat([corners.amin(1), corners.amax(1) + 1], dim=-1)


def test_centres_and_sizes_become_corners() -> None:
    assert boxes.cxcywh_to_xyxy(torch.tensor([5.0, 5.0, 2.0, 4.0])).tolist() == [4, 3, 6, 7]


@pytest.mark.parametrize(
    ("other", "iou", "giou"),
    [
        ([0, 0, 2, 2], 1.0, 1.0),
        ([1, 0, 3, 2], 1 / 3, 1 / 3),
        ([1, 1, 3, 3], 1 / 7, 1 / 7 - 2 / 9),
        ([4, 0, 6, 2], 0.0, -4 / 12),
    ],
)
def test_overlaps_agree_with_pictures_drawn_by_hand(other: list[int], iou: float, giou: float) -> None:
    a, b = torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor(other, dtype=torch.float32)
    assert boxes.iou_xyxy(a, b).item() == pytest.approx(iou)
    assert boxes.giou_xyxy(a, b).item() == pytest.approx(giou)


def test_overlaps_broadcast_and_stay_in_their_range() -> None:
    a, b = some_boxes(20), some_boxes(30)
    iou, giou = boxes.iou_xyxy(a[:, None], b), boxes.giou_xyxy(a[:, None], b)
    assert iou.shape == giou.shape == (20, 30)
    assert iou.min() >= 0 and iou.max() <= 1
    assert (giou <= iou + 1e-6).all() and giou.min() >= -1


def test_an_inverted_or_empty_box_has_no_area_and_no_nan() -> None:
    inverted, empty = torch.tensor([5.0, 5.0, 1.0, 1.0]), torch.tensor([1.0, 1.0, 1.0, 1.0])
    assert boxes.area_xyxy(inverted) == 0 and boxes.area_xyxy(empty) == 0
    assert torch.isfinite(boxes.giou_xyxy(empty, empty))


def test_a_wrong_shape_is_found_in_the_tests() -> None:
    with pytest.raises(Exception, match="cxcywh_to_xyxy"):
        boxes.cxcywh_to_xyxy(torch.zeros(3, 5))


def test_boxes_of_one_thing_vote_on_where_it_is_and_those_of_others_have_no_part_in_it() -> None:
    generator = torch.Generator().manual_seed(0)
    things = torch.tensor([[10.0, 10, 60, 50], [200, 20, 260, 120], [70, 10, 120, 50]], dtype=torch.float64)
    told = things.repeat_interleave(8, dim=0)
    told = told + torch.randn(told.shape, generator=generator, dtype=torch.float64)
    scores = torch.rand(len(told), generator=generator, dtype=torch.float64) + 0.1
    voted = boxes.vote(told, scores)
    truth = things.repeat_interleave(8, dim=0)
    assert (voted - truth).abs().mean() < (told - truth).abs().mean() / 2
    torch.testing.assert_close(boxes.vote(told, 0.3 * scores), voted)
    order = torch.randperm(len(told), generator=generator)
    torch.testing.assert_close(boxes.vote(told[order], scores[order]), voted[order])
    apart = boxes.vote(told[::2], scores[::2], (told[1::2], scores[1::2]))
    torch.testing.assert_close(apart, voted[::2])
    sure = torch.tensor([1.0, 1e-6], dtype=torch.float64)
    torch.testing.assert_close(boxes.vote(told[:2], sure)[1], told[0], atol=1e-3, rtol=0)


def test_a_box_alone_stays_where_it_is() -> None:
    alone = torch.tensor([[[0.0, 0, 10, 10], [50, 50, 60, 60], [5, 5, 5, 5]]], dtype=torch.float64)
    torch.testing.assert_close(boxes.vote(alone, torch.tensor([[0.9, 0.0, 0.5]], dtype=torch.float64)), alone)
    assert boxes.vote(torch.zeros(2, 0, 4), torch.zeros(2, 0)).shape == (2, 0, 4)


def test_suppression_keeps_the_best_of_each_group_in_order() -> None:
    corners = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [2, 0, 12, 10]])
    ranking, one_group = torch.tensor([1, 0, 2, 3]), torch.zeros(4, dtype=torch.long)
    assert boxes.non_maximum_suppression(corners, ranking, one_group, 0.5).tolist() == [0, 2]
    # Box 3 overlaps the suppressed box 0 too, but only what stays can suppress.
    chain = torch.tensor([0, 1, 3, 2])
    assert boxes.non_maximum_suppression(corners, chain, one_group, 0.7).tolist() == [0, 2, 3]
    groups = torch.tensor([0, 1, 0, 1])
    assert boxes.non_maximum_suppression(corners, ranking, groups, 0.5).tolist() == [0, 1, 2]
    assert boxes.non_maximum_suppression(corners, ranking, groups, 0.5, limit=2).tolist() == [0, 1]
    nothing = torch.zeros(0, dtype=torch.long)
    assert boxes.non_maximum_suppression(torch.zeros(0, 4), nothing, nothing, 0.5).tolist() == []
