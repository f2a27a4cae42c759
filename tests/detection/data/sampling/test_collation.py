"""The padded batch: what the contract between data and model says, for every mixture of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from argusvl.core.errors import DataError, ModelError
from argusvl.detection.data.labels import type_of
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.sampling.collation import COUNTS, IGNORED, Collator, CollatorType
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.samples import LoadedScene, Sample, join
from argusvl.detection.data.sampling.tokenizer import token_id
from argusvl.detection.data.special_tokens import IMAGE_PAD

SCREW, BAFFLE, LABEL = "螺丝连接点/BBU安装螺丝/连接正确", "挡风板/已安装", "标签贴纸"
LABELS = ["挡风板", "螺丝连接点"]

A = ObjectAnnotation((28, 21, 84, 63), SCREW)
B = ObjectAnnotation((0, 0, 56, 42), BAFFLE)
C = ObjectAnnotation((14, 7, 28, 14), LABEL)


def picture(seed: int, width: int = 112, height: int = 84) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(
    seed: int, *objects: ObjectAnnotation, sizes: Sequence[tuple[int, int]] = ((112, 84),)
) -> LoadedScene:
    return LoadedScene(tuple(picture(seed + i, *size) for i, size in enumerate(sizes)), objects)


ONE = scene(0, A, B)
EMPTY = scene(10)
SMALL = scene(20, C, sizes=[(56, 28)])
TWO_IMAGES = scene(30, replace(B, image=1, bbox_2d=(0, 0, 28, 14)), A, sizes=[(112, 84), (56, 28)])
TEXT_ONLY = LoadedScene((), ())

Mixture = list[tuple[LoadedScene, list[LoadedScene]]]
"""Students with their teachers."""

MIXTURES: dict[str, Mixture] = {
    "one": [(ONE, [])],
    "with teacher": [(ONE, [SMALL])],
    "mixed teachers": [(ONE, []), (SMALL, [ONE, TWO_IMAGES]), (EMPTY, [SMALL])],
    "several images": [(TWO_IMAGES, [SMALL]), (ONE, [])],
    "without objects": [(EMPTY, []), (ONE, [EMPTY])],
    "no objects at all": [(EMPTY, [])],
    "text among images": [(TEXT_ONLY, []), (ONE, []), (TEXT_ONLY, [SMALL])],
    "text only": [(TEXT_ONLY, []), (TEXT_ONLY, [])],
}


def samples_of(processor: ChatProcessor, mixture: Mixture) -> list[Sample]:
    return [
        join(
            processor.training(student.turn, [t.turn for t in teachers]),
            student,
            teachers,
            f"record {number}",
        )
        for number, (student, teachers) in enumerate(mixture)
    ]


@pytest.fixture
def collator(processor: ChatProcessor) -> Collator:
    return Collator(processor, labels=LABELS, vocabulary="open", caption_max_tokens=16)


@pytest.fixture(params=list(MIXTURES))
def mixture(request: pytest.FixtureRequest) -> Mixture:
    return MIXTURES[request.param]


def test_text_is_padded_and_masked(processor: ChatProcessor, collator: Collator, mixture: Mixture) -> None:
    samples = samples_of(processor, mixture)
    batch = collator(samples)
    lengths = [len(sample.conversation) for sample in samples]
    assert batch.inputs["input_ids"].shape == (len(samples), max(lengths))
    assert batch.inputs["attention_mask"].sum(1).tolist() == lengths
    for row, sample in enumerate(samples):
        assert (
            batch.inputs["input_ids"][row, : lengths[row]].tolist() == sample.conversation.input_ids.tolist()
        )
        assert (batch.inputs["input_ids"][row, lengths[row] :] == processor.tokenizer.pad_token_id).all()
        assert (batch.inputs["attention_mask"][row, : lengths[row]] == 1).all()
    for name in ("input_ids", "attention_mask", "mm_token_type_ids", "labels", "label_roles"):
        assert batch.inputs[name].dtype == torch.int64
    is_image = batch.inputs["input_ids"] == token_id(processor.tokenizer, IMAGE_PAD)
    assert torch.equal(batch.inputs["mm_token_type_ids"], is_image.long())


def test_labels_stand_on_the_answers(processor: ChatProcessor, collator: Collator, mixture: Mixture) -> None:
    samples = samples_of(processor, mixture)
    batch = collator(samples)
    labels, roles = batch.inputs["labels"], batch.inputs["label_roles"]
    assert torch.equal(labels != IGNORED, roles > 0)
    assert torch.equal(labels[roles > 0], batch.inputs["input_ids"][roles > 0])
    for row, (student, teachers) in enumerate(mixture):
        written = "".join(processor.answer(t.turn) + "<|im_end|>" for t in teachers)
        assert processor.tokenizer.decode(labels[row][roles[row] == 1]) == written
        answer = processor.answer(student.turn) + "<|im_end|>"
        assert processor.tokenizer.decode(labels[row][roles[row] == 2]) == answer
    assert batch.counts["teacher_tokens"] == int((roles == 1).sum())
    assert batch.counts["student_tokens"] == int((roles == 2).sum())


def test_pixels_are_the_stock_ones(processor: ChatProcessor, collator: Collator, mixture: Mixture) -> None:
    batch = collator(samples_of(processor, mixture))
    images = [image for student, teachers in mixture for s in (*teachers, student) for image in s.images]
    if not images:
        assert batch.inputs["pixel_values"] is None
        assert batch.inputs["image_grid_thw"] is None
        return
    stock = Qwen2VLImageProcessorPil()(images, do_resize=False, return_tensors="pt")
    assert torch.equal(batch.inputs["pixel_values"], stock["pixel_values"])
    assert torch.equal(batch.inputs["image_grid_thw"], stock["image_grid_thw"])
    placeholders = int(batch.inputs["mm_token_type_ids"].sum())
    assert placeholders == int(batch.inputs["image_grid_thw"].prod(1).sum()) // 4


@pytest.mark.parametrize("kind", ["standard", "packed"])
def test_student_images_are_found(processor: ChatProcessor, kind: CollatorType, mixture: Mixture) -> None:
    collator = Collator(processor, labels=LABELS, vocabulary="open", caption_max_tokens=16, kind=kind)
    batch = collator(samples_of(processor, mixture))
    shown = [
        (number, s is student)
        for number, (student, teachers) in enumerate(mixture)
        for s in (*teachers, student)
        for _ in s.images
    ]
    rows = [index for index, (_, is_student) in enumerate(shown) if is_student]
    assert batch.inputs["student_image_index"].tolist() == rows
    assert batch.inputs["student_image_sample"].tolist() == [shown[index][0] for index in rows]
    types, roles = batch.inputs["mm_token_type_ids"].flatten(), batch.inputs["label_roles"].flatten()
    for index, number, start in zip(
        batch.inputs["student_image_index"],
        batch.inputs["student_image_sample"],
        batch.inputs["student_image_start"],
        strict=True,
    ):
        tokens = int(batch.inputs["image_grid_thw"][index].prod()) // 4
        assert types[start - 1] == 0
        assert (types[start : start + tokens] == 1).all()
        assert types[start + tokens] == 0
        first, last = batch.inputs["student_prompt_span"][number].tolist()
        assert first < start
        assert start + tokens < last
    begins = (batch.inputs["position_ids"][0].flatten() == 0).nonzero().flatten().tolist()
    assert len(begins) == len(mixture)
    for begin, (first, last) in zip(begins, batch.inputs["student_prompt_span"].tolist(), strict=True):
        assert begin < first
        assert (roles[first:last] == 0).all()
        assert roles[last] == 2
        assert (roles[begin:first] != 2).all()


def test_packed_is_the_padded_batch(processor: ChatProcessor, collator: Collator, mixture: Mixture) -> None:
    packing = Collator(processor, labels=LABELS, vocabulary="open", caption_max_tokens=16, kind="packed")
    padded, packed = collator(samples_of(processor, mixture)), packing(samples_of(processor, mixture))
    real = padded.inputs["attention_mask"].bool()
    for name in ("input_ids", "mm_token_type_ids", "labels", "label_roles"):
        assert torch.equal(packed.inputs[name], padded.inputs[name][real][None])
    assert torch.equal(packed.inputs["position_ids"][:, 0], padded.inputs["position_ids"][:, real])
    same = [name for name in padded.inputs if name.startswith(("object", "pixel", "image", "vocabulary"))]
    for name in same:
        values = packed.inputs[name], padded.inputs[name]
        assert torch.equal(*values) if isinstance(values[0], torch.Tensor) else values[0] == values[1]
    assert packed.sizes == replace(padded.sizes, tokens=int(real.sum()))
    assert "attention_mask" not in packed.inputs
    assert packed.counts == padded.counts


def test_objects_are_normalised(processor: ChatProcessor, collator: Collator, mixture: Mixture) -> None:
    batch = collator(samples_of(processor, mixture))
    expected = []
    images_before = 0
    for student, _ in mixture:
        for annotation in sorted(student.objects, key=lambda a: a.image):
            height, width = student.images[annotation.image].shape[:2]
            x1, y1, x2, y2 = np.array(annotation.bbox_2d) / [width, height, width, height]
            box = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
            kind = type_of(annotation.desc)
            expected.append((box, images_before + annotation.image, kind, annotation.desc))
        images_before += len(student.images)
    assert batch.inputs["object_boxes_cxcywh_norm"].shape == (len(expected), 4)
    assert batch.inputs["object_boxes_cxcywh_norm"].dtype == torch.float32
    images = batch.inputs["object_image"].tolist()
    assert images == sorted(images)
    for row, (box, image, kind, desc) in enumerate(expected):
        assert batch.inputs["object_boxes_cxcywh_norm"][row].tolist() == pytest.approx(box)
        assert images[row] == image
        assert batch.inputs["object_label"][row] == (LABELS.index(kind) if kind in LABELS else -1)
        ids = batch.inputs["object_caption_ids"][row]
        assert processor.tokenizer.decode(ids[ids != IGNORED]) == desc + "<|im_end|>"


def test_counts_add_up(processor: ChatProcessor, collator: Collator, mixture: Mixture) -> None:
    batch = collator(samples_of(processor, mixture))
    counts = batch.counts
    assert tuple(counts) == COUNTS
    assert all(type(value) is int for value in counts.values())
    assert counts["student_samples"] == len(mixture)
    assert counts["student_images"] == sum(len(student.images) for student, _ in mixture)
    assert counts["objects"] == sum(len(student.objects) for student, _ in mixture)
    assert counts["caption_tokens"] == int((batch.inputs["object_caption_ids"] != IGNORED).sum())
    assert counts["objects_labelled"] == int((batch.inputs["object_label"] >= 0).sum())
    parts = [collator([sample]).counts for sample in samples_of(processor, mixture)]
    assert counts == {name: sum(part[name] for part in parts) for name in COUNTS}


def test_inference_lacks_the_answers(processor: ChatProcessor, collator: Collator, mixture: Mixture) -> None:
    asking = Collator(processor, labels=LABELS, vocabulary="open", caption_max_tokens=16, for_inference=True)
    samples = samples_of(processor, mixture)
    training, batch = collator(samples).inputs, asking(samples).inputs
    prompts = [
        join(processor.inference(s.turn, [t.turn for t in teachers]), s, teachers, "")
        for s, teachers in mixture
    ]
    from_prompts = asking(prompts).inputs
    targets = ("label", "object")
    assert set(batch) == {name for name in training if not name.startswith(targets)}
    for name, value in batch.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, from_prompts[name])
    width = batch["input_ids"].shape[1]
    for row, (_, place) in enumerate(batch["student_prompt_span"].tolist()):
        stop = place - row * width
        assert int(batch["attention_mask"][row].sum()) == stop
        assert torch.equal(batch["input_ids"][row, :stop], training["input_ids"][row, :stop])
        end = processor.tokenizer.decode(batch["input_ids"][row, :stop])
        assert end.endswith("<|im_start|>assistant\n")
    for name in ("pixel_values", "image_grid_thw", "student_image_index", "student_image_sample"):
        assert (batch[name] is training[name] is None) or torch.equal(batch[name], training[name])
    counts = asking(samples).counts
    assert counts["objects"] == counts["student_tokens"] == 0


def test_the_vocabulary_is_the_label_strings(processor: ChatProcessor, collator: Collator) -> None:
    ids = collator(samples_of(processor, [(ONE, [])])).inputs["vocabulary_ids"]
    assert [processor.tokenizer.decode(row[row != IGNORED]) for row in ids] == LABELS
    none = Collator(processor, labels=[], vocabulary="open", caption_max_tokens=16)
    batch = none(samples_of(processor, [(ONE, [])]))
    assert len(batch.inputs["vocabulary_ids"]) == 0
    assert batch.inputs["object_label"].tolist() == [-1, -1]


def test_in_a_closed_vocabulary_a_label_is_the_whole_description(processor: ChatProcessor) -> None:
    closed = Collator(processor, labels=[SCREW, LABEL], vocabulary="closed", caption_max_tokens=16)
    assert closed(samples_of(processor, [(ONE, [])])).inputs["object_label"].tolist() == [0, -1]


def test_a_description_too_long_for_the_caption_decoder_is_refused_by_name(processor: ChatProcessor) -> None:
    text = "x1" * 20
    long = scene(0, replace(A, desc=text))
    tight = Collator(processor, labels=LABELS, vocabulary="open", caption_max_tokens=16)
    with pytest.raises(DataError) as error:
        tight(samples_of(processor, [(ONE, []), (long, [])]))
    for part in ("record 1", text, "detection_caption_max_tokens is 16"):
        assert part in str(error.value)


def test_pixels_must_fit_their_placeholders(processor: ChatProcessor, collator: Collator) -> None:
    [sample] = samples_of(processor, [(ONE, [])])
    with pytest.raises(ModelError, match=r"record 0: image 0 has 12 placeholders.*\(1, 4, 8\).*takes 8"):
        collator([replace(sample, images=(picture(0, 112, 56),))])
    with pytest.raises(ModelError, match=r"the conversation has 1 images.*the sample 2 images"):
        collator([replace(sample, images=(picture(0), picture(1)))])


def test_no_samples_are_refused(collator: Collator) -> None:
    with pytest.raises(ModelError, match="at least one sample"):
        collator([])


def test_a_label_with_a_special_token_is_refused(processor: ChatProcessor) -> None:
    with pytest.raises(DataError, match=r"labels.*<\|im_end\|>"):
        Collator(processor, labels=["a<|im_end|>"], vocabulary="open", caption_max_tokens=16)
