"""The second eye: nothing changes by its being there, no picture sees another's padding, and it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.inputs import cut_patches, pictures_of
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.model.second_eye import LEVELS, EyeMaps, SecondEye
from argusvl.detection.task import EYE_RATE, GROUP_PATTERNS, parameter_groups
from argusvl.training.parameter_groups import assign_parameters

NAME = "efficientnet-lite0"


def said(model: Any, batch: dict[str, Any]) -> Tensor:
    """All that the head says, in one row."""
    with torch.no_grad():
        output = model(**batch)
    return torch.cat(
        [output[name].flatten().float() for name in ("boxes_raw", "objectness_logits", "type_logits")]
    )


def eye(seed: int = 0) -> SecondEye:
    torch.manual_seed(seed)
    made = SecondEye(ArgusDetectionConfig(hidden_size=16, second_eye=NAME))
    made.load_packaged()
    return made


def seeing(model: ArgusForDetection) -> ArgusForDetection:
    """With ImageNet's weights."""
    torch.manual_seed(1)
    model.set_second_eye(NAME)
    return model.train()


def batch_of(kit: Any, **options: Any) -> dict[str, Any]:
    """Pictures of several sizes, one sample with a teacher."""
    samples = (
        kit.sample(kit.scene(0, (84, 56), objects=3), kit.scene(2, (56, 84))),
        kit.sample(kit.scene(1, (112, 140))),
    )
    return dict(kit.collate(*samples, **options))


@pytest.mark.parametrize("size", [(28, 28), (84, 56), (56, 112)])
def test_pictures_come_back_from_their_patches(kit: Any, size: tuple[int, int]) -> None:
    vision = kit.qwen_config().vision_config
    torch.manual_seed(0)
    first, second = torch.randn(2, 3, *size), torch.randn(1, 3, 56, 28)
    (a, grid_a), (b, grid_b) = cut_patches(first, vision), cut_patches(second, vision)
    patches, grid = torch.cat([a, b]), torch.cat([grid_a, grid_b])
    found = pictures_of(patches, grid, torch.tensor([2, 0, 1]), vision)
    assert [torch.equal(x, y) for x, y in zip(found, (second[0], *first), strict=True)] == [True] * 3


def test_a_head_that_gets_an_eye_keeps_its_weights_and_none_has_no_weight_of_it(kit: Any) -> None:
    model = kit.model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert not any("eye" in name for name in before)
    model.set_second_eye(NAME)
    after = model.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert all("eye" in name for name in after.keys() - before.keys())
    assert after["detection_head.memory_builder.eye.network._conv_stem.weight"].std() > 0.1


def test_an_eye_changes_what_is_said_and_learns(kit: Any) -> None:
    batch = batch_of(kit)
    before = said(kit.model(), batch)
    model = seeing(kit.model())
    assert (before - said(model, batch)).abs().max() > 1e-2
    found = kit.gradients(model, model(**batch).loss_terms)
    inside = {n: g for n, g in found.items() if ".eye" in n}
    assert all(g.abs().sum() > 0 for n, g in inside.items() if not n.endswith("bias")), inside.keys()
    network = [n for n in inside if ".network." in n]
    trains = [n for n, p in model.named_parameters() if ".eye.network." in n and p.requires_grad]
    assert sorted(network) == sorted(trains) and trains


def test_no_picture_sees_the_padding_of_another() -> None:
    torch.manual_seed(0)
    pictures = [torch.randn(3, 56, 84), torch.randn(3, 140, 112), torch.randn(3, 56, 84)]
    made = eye()
    with torch.no_grad():
        together = made(pictures)
        points = torch.rand(3, 50, 2) * 1.2 - 0.1
        read = together.at(points, torch.arange(3))
        for i, picture in enumerate(pictures):
            alone = made([picture])
            torch.testing.assert_close(alone.at(points[i][None], torch.tensor([0]))[0], read[i])
            for level, stride in enumerate(LEVELS.values()):
                mask = together.masks[level][i]
                assert mask.sum() == -(-picture.shape[1] // stride) * -(-picture.shape[2] // stride)
                assert (together.levels[level][i][~mask] == 0).all()


def test_points_are_read_as_a_plain_loop_reads_them() -> None:
    torch.manual_seed(0)
    sizes = torch.tensor([[[5, 4], [3, 6]], [[3, 2], [2, 3]], [[1, 1], [2, 1]]])
    levels = [torch.randn(2, 6, 5, 7), torch.randn(2, 3, 3, 7), torch.randn(2, 1, 2, 7)]
    maps = EyeMaps(levels, sizes, sizes - 0.25)
    points, image = torch.rand(4, 3, 2), torch.tensor([1, 0, 1, 1])
    found = maps.at(points, image)
    for n in range(4):
        for k in range(3):
            expected = torch.zeros(7)
            for level, size, extent in zip(levels, maps.sizes, maps.extents, strict=True):
                columns, rows = size[image[n]].tolist()
                x, y = (points[n, k] * extent[image[n]] - 0.5).tolist()
                expected += bilinear(level[image[n], :rows, :columns], x, y)
            torch.testing.assert_close(found[n, k], expected)


def bilinear(cells: Tensor, x: float, y: float) -> Tensor:
    rows, columns, _ = cells.shape
    x, y = min(max(x, 0.0), columns - 1), min(max(y, 0.0), rows - 1)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
    fx, fy = x - left, y - top
    upper = cells[top, left] * (1 - fx) + cells[top, right] * fx
    lower = cells[bottom, left] * (1 - fx) + cells[bottom, right] * fx
    return upper * (1 - fy) + lower * fy


def test_a_box_is_seen_where_it_is() -> None:
    """A bright square: the box upon it differs most from what is seen of a blank picture, or its neighbour does."""
    blank = torch.zeros(3, 224, 224)
    picture = blank.clone()
    picture[:, 96:128, 160:192] = 2.5
    made = eye()
    torch.nn.init.eye_(made.to_kind.weight)
    x, y = torch.meshgrid(torch.arange(16, 224, 32), torch.arange(16, 224, 32), indexing="xy")
    boxes = torch.stack([x.flatten(), y.flatten(), *[torch.full((49,), 32)] * 2], dim=-1) / 224
    first = torch.zeros(49, dtype=torch.long)
    with torch.no_grad():
        seen, nothing = (made.of_boxes(boxes, first, made([one])) for one in (picture, blank))
    odd = (seen - nothing).norm(dim=-1).argmax()
    assert (boxes[odd, :2] - torch.tensor([176, 112]) / 224).abs().max() < 33 / 224


def test_packed_and_padded_are_equal(kit: Any) -> None:
    model = seeing(kit.model())
    padded, packed = batch_of(kit), batch_of(kit, kind="packed")
    torch.testing.assert_close(said(model, packed), said(model, padded), rtol=1e-4, atol=1e-4)
    wanted = kit.gradients(model, model(**padded).loss_terms)
    for name, gradient in kit.gradients(model, model(**packed).loss_terms).items():
        scale = float(wanted[name].abs().max()) or 1.0
        assert float((gradient - wanted[name]).abs().max()) <= 1e-3 * scale, name


def test_a_batch_without_a_picture_has_the_same_gradients_to_share(kit: Any) -> None:
    model = seeing(kit.model())
    names = set(kit.gradients(model, model(**batch_of(kit)).loss_terms))
    text = kit.collate(kit.sample(kit.scene(3)))
    assert "pixel_values" not in text or text["pixel_values"] is None
    assert set(kit.gradients(model, model(**text).loss_terms)) == names


def test_half_precision_sees_much_the_same(kit: Any) -> None:
    model, batch = seeing(kit.model()).eval(), batch_of(kit)
    full = said(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        low = said(model, batch)
    assert F.cosine_similarity(full, low, dim=0) > 0.95


def test_kinds_are_learnt_at_true_boxes(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = seeing(kit.model()), batch_of(kit)
    head = model.detection_head
    kept: dict[str, Any] = {}
    terms_of_head = head.loss_terms

    def keep(output: Any, targets: Any, *rest: Any) -> Any:
        kept.update(output=output, targets=targets)
        return terms_of_head(output, targets, *rest)

    monkeypatch.setattr(head, "loss_terms", keep)
    with torch.no_grad():
        whole = model(**batch).loss_terms["type_aux"]
        monkeypatch.setattr(head, "_kinds_at_truth", lambda output, targets: None)
        without = model(**batch).loss_terms["type_aux"]
        eye, targets, output = head.memory_builder.eye, kept["targets"], kept["output"]
        seen = eye.of_boxes(targets.boxes_cxcywh_norm, targets.image, output.memory.eye)
        scale = head.type_scorer.log_scale.exp()
        expected = sum(
            F.cross_entropy(F.cosine_similarity(one, output.labels) * scale, label, reduction="sum")
            for one, label in zip(seen, targets.label, strict=True)
            if label >= 0
        )
    assert float(expected) > 0
    torch.testing.assert_close(whole - without, torch.as_tensor(expected), rtol=1e-4, atol=1e-4)


def test_its_network_learns_more_slowly_than_what_is_new(kit: Any) -> None:
    model = seeing(kit.model())
    rates = dict.fromkeys(GROUP_PATTERNS, 1e-3)
    groups = assign_parameters(model, parameter_groups(rates, detection_enabled=True, second_eye=True))
    by_name = {name: group for group in groups for name in group.parameters}
    for name, group in by_name.items():
        if ".eye.network." in name:
            assert group.spec.learning_rate == pytest.approx(1e-3 * EYE_RATE)
            assert (name in group.trainable) == model.get_parameter(name).requires_grad
        else:
            assert group.spec.learning_rate == 1e-3 and group.name in GROUP_PATTERNS
