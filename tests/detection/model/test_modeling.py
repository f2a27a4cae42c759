"""The whole model: what the head may see, batches of every kind, several images, precision, checkpointed layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argusvl.core.errors import ModelError
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.sampling.samples import LoadedScene, join
from argusvl.detection.model.modeling import DetectionOutput

HEAD_OUTPUTS = ("boxes_raw", "boxes_cxcywh_norm", "objectness_logits", "type_logits", "query_states")
FORMS = ("proposals", "learned")


def head_outputs(model: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
    with torch.no_grad():
        output = model(**batch)
    return {name: output[name] for name in HEAD_OUTPUTS}


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max(float((a[name] - b[name]).abs().max()) for name in HEAD_OUTPUTS)


def answered_otherwise(scene: LoadedScene) -> LoadedScene:
    """The same pictures with other objects: fewer, elsewhere, otherwise described."""
    return LoadedScene(scene.images, (ObjectAnnotation((1.0, 2.0, 20.0, 30.0), "螺丝"),))


@pytest.mark.parametrize("queries", FORMS)
def test_the_head_does_not_see_the_answer(kit: Any, queries: str) -> None:
    model = kit.model(queries)
    student = kit.scene(0, (84, 56), objects=3)
    other, teacher = kit.scene(1, (56, 56)), kit.scene(2, (56, 84))
    usual = kit.collate(kit.sample(student, teacher), kit.sample(other))
    changed = kit.collate(kit.sample(answered_otherwise(student), teacher), kit.sample(other))
    assert usual["input_ids"].shape != changed["input_ids"].shape
    before = head_outputs(model, usual)
    assert largest_difference(before, head_outputs(model, changed)) <= 1e-5
    # Without any answer, as in inference, it sees the same again.
    asked = kit.collate(kit.sample(student, teacher), kit.sample(other), for_inference=True)
    assert "labels" not in asked
    assert largest_difference(before, head_outputs(model, asked)) <= 1e-5


@pytest.mark.parametrize("queries", FORMS)
def test_the_head_sees_prompt_teachers_and_picture(kit: Any, queries: str) -> None:
    model = kit.model(queries)
    student, teacher = kit.scene(0, (84, 56)), kit.scene(2, (56, 84))

    def batch(
        question: str | None = None, *teachers: LoadedScene, scene: LoadedScene = student
    ) -> dict[str, Any]:
        turns = [t.turn for t in teachers]
        conversation = kit.processor.inference(scene.turn, turns, question=question)
        return kit.collate(join(conversation, scene, teachers, "test"), for_inference=True)

    usual = head_outputs(model, batch())
    assert largest_difference(usual, head_outputs(model, batch())) == 0
    described_otherwise = answered_otherwise(teacher)
    for changed in (batch("找出螺丝"), batch(None, teacher), batch(scene=kit.scene(9, (84, 56)))):
        assert largest_difference(usual, head_outputs(model, changed)) > 1e-3
    with_teacher = head_outputs(model, batch(None, teacher))
    assert largest_difference(with_teacher, head_outputs(model, batch(None, described_otherwise))) > 1e-3


IDLE = ("teachers' images only", "text alone")


@pytest.mark.parametrize("queries", FORMS)
def test_whatever_a_batch_holds_it_has_the_same_terms_and_every_parameter_a_gradient(
    kit: Any, queries: str, mixture: Any
) -> None:
    """Ranks add terms up in one order and wait for each other's gradients: none may be left out (zero will do)."""
    name, samples = mixture
    model, batch = kit.model(queries, tied=False), kit.batch(*samples)
    output = model(**batch.inputs)
    terms = output.loss_terms
    expected = {"teacher_lm", "student_lm", "caption"}
    for term in ("bbox_l1", "bbox_giou", "objectness", "type"):
        expected |= {term, f"{term}_aux"} | ({f"{term}_proposal"} if queries == "proposals" else set())
    assert terms.keys() == expected
    counted_by = {"teacher_lm": "teacher_tokens", "bbox_l1": "objects", "caption": "objects"}
    for term, count in {**counted_by, "objectness": "student_images", "student_lm": "student_tokens"}.items():
        assert (terms[term] > 0) == (batch.counts[count] > 0), term
    assert (output.boxes_raw is None) == (name in IDLE)
    assert all(torch.isfinite(value) and value.requires_grad for value in terms.values())
    sum(terms.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None]
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    moved = {n.split(".")[0] for n, p in model.named_parameters() if p.grad.abs().sum() > 0}
    assert moved == ({"qwen"} if name in IDLE else {"qwen", "detection_head"})
    if name == "text alone":
        assert all((p.grad == 0).all() for p in model.qwen.model.visual.parameters())


def test_without_a_head_the_language_path_is_trained_alone(kit: Any, mixture: Any) -> None:
    model, with_head = kit.model(detection_enabled=False, tied=False), kit.model(tied=False)
    assert model.detection_head is None
    assert all(name.startswith("qwen.") for name, _ in model.named_parameters())
    with_head.qwen.load_state_dict(model.qwen.state_dict())
    batch = kit.collate(*mixture[1])
    output = model(**batch)
    assert output.loss_terms.keys() == {"teacher_lm", "student_lm"} and output.boxes_raw is None
    with torch.no_grad():
        expected = with_head(**batch).loss_terms
    for term, value in output.loss_terms.items():
        torch.testing.assert_close(value, expected[term])
    sum(output.loss_terms.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_an_output_of_loss_terms_alone_keeps_them() -> None:
    terms = {"student_lm": torch.tensor(1.0)}
    output = DetectionOutput(loss_terms=terms)
    assert output.loss_terms == terms and list(output) == ["loss_terms"]
    assert DetectionOutput(dict(output)).loss_terms == terms  # as accelerate builds it anew


def test_several_student_images_have_their_own_boxes_and_objects(kit: Any) -> None:
    model = kit.model().eval()
    first, both = kit.scene(0, (84, 56)), kit.scene(4, (56, 56), (84, 84), objects=3)
    batch = kit.collate(kit.sample(first, kit.scene(5, (56, 56))), kit.sample(both))
    assert batch["student_image_index"].tolist() == [1, 2, 3]
    assert batch["student_image_sample"].tolist() == [0, 1, 1]
    with torch.no_grad():
        output = model(**batch)
    assert output.boxes_raw.shape == (3, 8, 4) and output.type_logits.shape == (3, 8, 3)
    assert output.memory.raster_mask.flatten(1).sum(1).tolist() == [24, 16, 36]
    # Another picture in the last place changes what is remembered of that one only.
    other = LoadedScene((both.images[0], kit.scene(6, (84, 84)).images[0]), both.objects)
    with torch.no_grad():
        changed = model(**kit.collate(kit.sample(first, kit.scene(5, (56, 56))), kit.sample(other)))
    same = [
        torch.allclose(a, b, atol=1e-5)
        for a, b in zip(output.memory.raster, changed.memory.raster, strict=True)
    ]
    assert same == [True, True, False]


LAYERS = {
    "language": {"Qwen2_5_VLDecoderLayer"},
    "vision": {"Qwen2_5_VLVisionBlock"},
    "head": {"DecoderLayer", "CausalLayer"},
}


@pytest.mark.parametrize(
    ("queries", "kind", "parts"),
    [
        *((queries, "standard", tuple(LAYERS)) for queries in FORMS),
        *(("proposals", "standard", (part,)) for part in LAYERS),
        ("proposals", "packed", tuple(LAYERS)),  # they know where samples begin
    ],
)
def test_checkpointed_layers_change_nothing(
    kit: Any, queries: str, kind: str, parts: tuple[str, ...]
) -> None:
    batch = kit.collate(*kit.mixture("teachers"), kind=kind)
    results = []
    for checkpointed in (False, True):
        model = kit.model(queries)
        if checkpointed:
            model.checkpointed_parts = frozenset(parts)
            model.activation_checkpointing_enable({"use_reentrant": False})
            layers = [m for m in model.modules() if getattr(m, "gradient_checkpointing", False)]
            names = {type(layer).__name__ for layer in layers}
            assert all((LAYERS[part] <= names) == (part in parts) for part in LAYERS)
        total = sum(model(**batch).loss_terms.values())
        total.backward()
        results.append((total.detach(), {name: p.grad for name, p in model.named_parameters()}))
    torch.testing.assert_close(results[0][0], results[1][0])
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(
            results[1][1][name], gradient, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("queries", FORMS)
def test_half_precision_trains_and_describes(kit: Any, queries: str) -> None:
    model = kit.model(queries)
    batch = kit.collate(*kit.mixture("teachers"))
    with torch.no_grad():
        exact = model(**batch).loss_terms
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**batch)
    sum(output.loss_terms.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    for name in ("teacher_lm", "student_lm"):
        torch.testing.assert_close(output.loss_terms[name].float(), exact[name], rtol=0.05, atol=0.05)
    assert (
        output.boxes_raw.dtype == output.objectness_logits.dtype == output.type_logits.dtype == torch.float32
    )
    # The output of a forward under autocast is described outside of it, as after accelerate's forward.
    ids = model.eval().describe(output, torch.tensor([0, 1]), torch.tensor([0, 3]))
    assert ids.shape[0] == 2


@pytest.mark.parametrize("queries", FORMS)
def test_a_model_of_half_precision_weights_predicts(kit: Any, queries: str) -> None:
    model = kit.model(queries).eval().to(torch.bfloat16)
    batch = kit.collate(*kit.mixture("several images"), for_inference=True)
    with torch.no_grad():
        output = model(**batch)
        ids = model.describe(output, torch.tensor([0, 1]), torch.tensor([0, 3]))
    boxes = output.boxes_cxcywh_norm
    assert boxes.dtype == torch.float32 and torch.isfinite(boxes).all()
    assert boxes.shape == (5, 8, 4) and ids.shape[0] == 2


def test_training_without_loss_settings_is_an_error(kit: Any) -> None:
    model = kit.model()
    model.loss_settings = None
    with pytest.raises(ModelError, match="loss_settings"):
        model(**kit.collate(kit.sample(kit.scene(1, (56, 56)))))


def test_labels_without_roles_are_the_students(kit: Any) -> None:
    model, batch = kit.model(), kit.collate(kit.sample(kit.scene(1, (56, 56)), kit.scene(2, (56, 56))))
    with torch.no_grad():
        roles, none = model(**batch).loss_terms, model(**{**batch, "label_roles": None}).loss_terms
    assert none["teacher_lm"] == 0
    torch.testing.assert_close(none["student_lm"], roles["teacher_lm"] + roles["student_lm"])


@pytest.mark.parametrize("queries", FORMS)
def test_a_batch_is_learned_by_heart(kit: Any, queries: str) -> None:
    model = kit.model(queries)
    batch = kit.collate(kit.sample(kit.scene(0, (56, 56), objects=1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    totals = []
    for _ in range(20):
        terms = model(**batch).loss_terms
        total = sum(terms.values())
        totals.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < 0.6 * totals[0]
