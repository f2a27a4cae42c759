"""One-to-one matching equals brute force; several-to-one shares cells fairly; NaN raises in neither."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from argusvl.core.boxes import cxcywh_to_xyxy, giou_xyxy, iou_xyxy
from argusvl.detection.model.matching import Assignment, Targets, match_one_to_one, match_several_to_one

WEIGHTS = {"cost_bbox": 5.0, "cost_giou": 2.0, "cost_class": 2.0, "focal_alpha": 0.25, "focal_gamma": 2.0}


def random_boxes(*shape: int) -> Tensor:
    centres = torch.rand(*shape, 2) * 0.8 + 0.1
    return torch.cat([centres, torch.rand(*shape, 2) * 0.2 + 0.02], dim=-1)


def random_case(
    seed: int, counts: list[int], queries: int, labels: int
) -> tuple[Tensor, Tensor, Tensor, Targets]:
    torch.manual_seed(seed)
    image = torch.tensor([m for m, count in enumerate(counts) for _ in range(count)], dtype=torch.long)
    label = torch.randint(-1, max(labels, 1), (len(image),)) if labels else torch.full((len(image),), -1)
    return (
        random_boxes(len(counts), queries),
        torch.randn(len(counts), queries),
        torch.randn(len(counts), queries, labels),
        Targets(random_boxes(len(image)), image, label),
    )


def cost_by_hand(box: Tensor, objectness: Tensor, types: Tensor, truth: Tensor, label: int) -> float:
    """The formula for one pair, written out."""
    probability = objectness.sigmoid()
    if label >= 0:
        probability = probability * types.softmax(-1)[label]
    positive = 0.25 * (1 - probability) ** 2 * -probability.log()
    negative = 0.75 * probability**2 * -(1 - probability).log()
    overlap = giou_xyxy(cxcywh_to_xyxy(box), cxcywh_to_xyxy(truth))
    return float(5.0 * (box - truth).abs().sum() - 2.0 * overlap + 2.0 * (positive - negative))


@pytest.mark.parametrize(
    ("seed", "counts", "queries", "labels"),
    [
        (0, [2], 4, 3),
        (1, [3, 0, 1], 4, 2),
        (2, [4], 3, 3),
        (3, [1, 5], 3, 1),
        (4, [2, 2], 4, 0),
        (5, [0, 0], 3, 2),
    ],
)
def test_one_to_one_is_the_cheapest(seed: int, counts: list[int], queries: int, labels: int) -> None:
    boxes, objectness, types, targets = random_case(seed, counts, queries, labels)
    (found,) = match_one_to_one(boxes[None], objectness[None], types[None], targets, **WEIGHTS)
    for m, count in enumerate(counts):
        mine = (targets.image == m).nonzero()[:, 0].tolist()
        costs = {
            (q, t): cost_by_hand(
                boxes[m, q],
                objectness[m, q],
                types[m, q],
                targets.boxes_cxcywh_norm[t],
                int(targets.label[t]),
            )
            for q in range(queries)
            for t in mine
        }
        if count <= queries:
            everything = [
                list(zip(chosen, mine, strict=True)) for chosen in permutations(range(queries), count)
            ]
        else:
            everything = [
                list(zip(range(queries), chosen, strict=True)) for chosen in permutations(mine, queries)
            ]
        best = min(everything, key=lambda pairs: sum(costs[pair] for pair in pairs))
        of_image = found.image == m
        pairs = zip(found.query[of_image].tolist(), found.target[of_image].tolist(), strict=True)
        assert set(pairs) == set(best)
    expected = iou_xyxy(
        cxcywh_to_xyxy(boxes[found.image, found.query]),
        cxcywh_to_xyxy(targets.boxes_cxcywh_norm[found.target]),
    )
    torch.testing.assert_close(found.quality, expected)
    assert torch.equal(found.share, torch.ones(len(found.target)))


def test_all_layers_and_images_go_to_the_host_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [random_case(seed, [2, 0, 3, 1], 5, 2) for seed in range(3)]
    targets = cases[0][3]
    alone = [match_one_to_one(b[None], o[None], t[None], targets, **WEIGHTS)[0] for b, o, t, _ in cases]
    copies: list[Tensor] = []
    to_host = Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda tensor: copies.append(tensor) or to_host(tensor))
    boxes, objectness, types = (torch.stack([case[k] for case in cases]) for k in range(3))
    together = match_one_to_one(boxes, objectness, types, targets, **WEIGHTS)
    assert len(copies) == 1  # which image shows what is on the host since the first matching
    for one, other in zip(together, alone, strict=True):
        assert all(torch.equal(getattr(one, name), value) for name, value in vars(other).items())


def grid_centres(side: int, images: int) -> Tensor:
    at = (torch.arange(side) + 0.5) / side
    return torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1).view(1, -1, 2).expand(images, -1, -1)


def check_several(found: Assignment, targets: Targets, cells: int, positives: int) -> None:
    """What holds of every several-to-one assignment."""
    pairs = list(zip(found.image.tolist(), found.query.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs), "a cell answers for two objects"
    assert torch.equal(targets.image[found.target], found.image), (
        "a cell answers for an object of another image"
    )
    per_object = torch.bincount(found.target, minlength=len(targets.image))
    assert per_object.max() <= positives if len(pairs) else True
    for m in range(int(targets.image.max()) + 1 if len(targets.image) else 0):
        if int((targets.image == m).sum()) <= cells:
            assert (per_object[targets.image == m] >= 1).all(), "an object has no cell"
    assert (found.quality >= 0).all() and (found.quality <= 1 + 1e-6).all()
    shares = torch.zeros(len(targets.image)).index_add(0, found.target, found.share)
    torch.testing.assert_close(shares, (per_object > 0).float())
    scores = torch.rand(len(pairs))
    best = found.best_of_each(scores)
    assert best.target.tolist() == sorted(set(found.target.tolist()))
    for image, query, target, quality in zip(best.image, best.query, best.target, best.quality, strict=True):
        (index,) = ((found.image == image) & (found.query == query) & (found.target == target)).nonzero()
        assert scores[index] == scores[found.target == target].max() and quality == found.quality[index]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    counts=st.lists(st.integers(0, 7), min_size=1, max_size=3),
    positives=st.integers(1, 5),
    copies=st.booleans(),
)
def test_several_to_one_is_fair(seed: int, counts: list[int], positives: int, copies: bool) -> None:
    boxes, objectness, _, targets = random_case(seed, counts, 16, 2)
    if copies:  # objects in one place compete for the same cells, with equal overlap
        first = targets.boxes_cxcywh_norm[:1].expand_as(targets.boxes_cxcywh_norm)
        targets = Targets(first.clone(), targets.image, targets.label)
    found = match_several_to_one(boxes, objectness, grid_centres(4, len(counts)), targets, positives)
    check_several(found, targets, 16, positives)


def test_several_to_one_takes_the_best_aligned_cells_inside_the_object() -> None:
    torch.manual_seed(0)
    centres = grid_centres(4, 1)
    boxes = torch.cat([centres, torch.full((1, 16, 2), 0.25)], dim=-1)
    objectness = torch.randn(1, 16)
    truth = torch.tensor([[0.5, 0.5, 0.6, 0.6]])  # holds the four cells in the middle
    targets = Targets(truth, torch.tensor([0]), torch.tensor([0]))
    found = match_several_to_one(boxes, objectness, centres, targets, positives=3)
    middle = torch.tensor([5, 6, 9, 10])
    # All four overlap it equally, so objectness decides.
    best = middle[objectness[0, middle].topk(3).indices]
    assert set(found.query.tolist()) == set(best.tolist())
    assert found.quality.max() == pytest.approx(
        float(iou_xyxy(*map(cxcywh_to_xyxy, (boxes[0, 5], truth[0]))))
    )
    assert objectness[0, found.query].argmax() == found.quality.argmax()


def test_an_object_smaller_than_a_cell_has_the_cell_it_lies_in() -> None:
    centres = grid_centres(4, 1)
    targets = Targets(torch.tensor([[0.66, 0.1, 0.02, 0.02]]), torch.tensor([0]), torch.tensor([0]))
    found = match_several_to_one(random_boxes(1, 16), torch.zeros(1, 16), centres, targets, positives=4)
    assert found.query.tolist() == [2]


def test_small_objects_in_one_cell_find_cells_beside_it() -> None:
    centres = grid_centres(4, 1)
    truth = torch.tensor([[0.6, 0.1, 0.02, 0.02], [0.64, 0.1, 0.02, 0.02], [0.62, 0.15, 0.02, 0.02]])
    targets = Targets(truth, torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long))
    found = match_several_to_one(random_boxes(1, 16), torch.zeros(1, 16), centres, targets, positives=2)
    assert sorted(found.target.tolist()) == [0, 1, 2] and len(set(found.query.tolist())) == 3
    assert 2 in found.query.tolist() and set(found.query.tolist()) <= {1, 2, 3, 5, 6, 7}


def test_padding_answers_for_nothing() -> None:
    boxes, objectness, types, targets = random_case(7, [3, 2], 6, 2)
    padding = torch.zeros(2, 6, dtype=torch.bool)
    padding[0, 2:] = True
    boxes[0, 3] = targets.boxes_cxcywh_norm[0]  # the perfect answer, if it were one
    (one,) = match_one_to_one(boxes[None], objectness[None], types[None], targets, **WEIGHTS, padding=padding)
    several = match_several_to_one(boxes, objectness, boxes[..., :2], targets, 3, padding)
    for found in (one, several):
        assert not padding[found.image, found.query].any()
        assert (found.image == 0).sum() == 2 and set(found.target[found.image == 1].tolist()) == {3, 4}


@pytest.mark.parametrize("what", ["boxes", "objectness", "types", "one query", "everything"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_raises_in_no_matcher(what: str, value: float) -> None:
    boxes, objectness, types, targets = random_case(8, [2, 3], 5, 2)
    for tensor, name in ((boxes, "boxes"), (objectness, "objectness"), (types, "types")):
        if what in (name, "everything"):
            tensor.fill_(value)
        elif what == "one query":
            tensor[:, 1] = value
    (one,) = match_one_to_one(boxes[None], objectness[None], types[None], targets, **WEIGHTS)
    several = match_several_to_one(boxes, objectness, boxes[..., :2], targets, 2)
    assert set(one.target.tolist()) == set(several.target.tolist()) == {0, 1, 2, 3, 4}
    if what == "one query":
        assert 1 not in one.query.tolist()
