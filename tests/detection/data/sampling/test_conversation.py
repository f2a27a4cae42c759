"""Conversations: spans known exactly, text equal to the chat template's, nothing cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from argusvl.core.errors import DataError, ModelError
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.sampling.conversation import (
    ChatProcessor,
    Conversation,
    ConversationTooLongError,
    Turn,
)
from argusvl.detection.data.sampling.tokenizer import token_id
from argusvl.detection.data.special_tokens import END_OF_TEXT, IMAGE_PAD, TURN_END

GRID = (1, 6, 8)
TALL = (1, 8, 4)
A = ObjectAnnotation((1, 2, 30, 40), "螺丝连接点/BBU安装螺丝/连接正确")
B = ObjectAnnotation((50, 2, 60, 40), 'says "user"\n[{"bbox_2d": 1}] \\')
STUDENT = Turn((GRID,), (A, B))
TEACHER = Turn((TALL,), (B,))
EMPTY = Turn((GRID,))
TWO_IMAGES = Turn((GRID, TALL), (A, ObjectAnnotation((1, 2, 9, 9), "标签贴纸", image=1)))
TEXT_ONLY = Turn(())

SHAPES = [
    (STUDENT, []),
    (STUDENT, [TEACHER]),
    (EMPTY, [EMPTY, TEACHER]),
    (TWO_IMAGES, [TEACHER]),
    (STUDENT, [TWO_IMAGES]),
    (TEXT_ONLY, []),
    (TEXT_ONLY, [TEACHER]),
]


def decode(processor: ChatProcessor, conversation: Conversation, start: int, stop: int) -> str:
    return processor.tokenizer.decode(conversation.input_ids[start:stop])


@pytest.mark.parametrize(("student", "teachers"), SHAPES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_ids_are_those_of_the_chat_templates_text_and_parts_say_what_they_are(
    make_processor: Callable[..., ChatProcessor], language: str, student: Turn, teachers: list[Turn]
) -> None:
    processor = make_processor(language)
    rendered = processor.render(processor.messages(student, teachers))
    conversation = processor.training(student, teachers)
    assert conversation.input_ids.tolist() == expanded(processor, rendered, conversation)
    texts = [decode(processor, conversation, p.start, p.stop) for p in conversation.answers]
    assert texts == [processor.answer(turn) + TURN_END for turn in (*teachers, student)]
    assert [p.role for p in conversation.answers] == ["teacher"] * len(teachers) + ["student"]
    # They leave no gap.
    edges = [0, *(p.stop for p in conversation.parts)]
    assert [p.start for p in conversation.parts] == edges[:-1]
    assert edges[-1] == len(conversation)


def expanded(processor: ChatProcessor, rendered: str, conversation: Conversation) -> list[int]:
    """The whole text tokenized at once, each placeholder then repeated: what the stock processor does."""
    grids: Iterator[tuple[int, int, int]] = iter(conversation.grids)
    ids: list[int] = []
    for token in processor.tokenizer(rendered).input_ids:
        t, h, w = next(grids) if token == token_id(processor.tokenizer, IMAGE_PAD) else (4, 1, 1)
        ids += [token] * (t * h * w // 4)
    assert next(grids, None) is None
    return ids


@settings(max_examples=60, deadline=None)
@given(
    desc=st.text(min_size=1, max_size=12).filter(lambda t: t.strip() and "<|" not in t), x=st.integers(0, 60)
)
def test_whatever_a_description_says_the_spans_are_exact(processor: ChatProcessor, desc: str, x: int) -> None:
    turn = Turn((GRID,), (ObjectAnnotation((x, 3, x + 9, 30), desc),))
    conversation = processor.training(turn, [turn])
    assert conversation.input_ids.tolist() == expanded(
        processor, processor.render(processor.messages(turn, [turn])), conversation
    )
    first, last = conversation.answers
    ids = [*processor.encode(processor.answer(turn)), processor.end_token_id]
    assert conversation.input_ids[first.start : first.stop].tolist() == ids
    assert conversation.input_ids[last.start : last.stop].tolist() == ids


def test_image_spans_hold_the_expanded_placeholders_of_their_owner(processor: ChatProcessor) -> None:
    conversation = processor.training(TWO_IMAGES, [TEACHER])
    image = token_id(processor.tokenizer, IMAGE_PAD)
    assert [p.stop - p.start for p in conversation.images] == [8, 12, 8]
    assert [p.role for p in conversation.images] == ["teacher", "student", "student"]
    assert conversation.grids == (TALL, GRID, TALL)
    covered = np.concatenate([np.arange(p.start, p.stop) for p in conversation.images])
    assert np.flatnonzero(conversation.input_ids == image).tolist() == covered.tolist()


def test_the_inference_prompt_is_the_training_conversation_up_to_the_answer(processor: ChatProcessor) -> None:
    for student, teachers in SHAPES:
        training = processor.training(student, teachers)
        prompt = processor.inference(Turn(student.grids), teachers)
        start, stop = training.student_prompt_span
        assert prompt.student_prompt_span == (start, stop)
        assert prompt.input_ids.tolist() == training.input_ids[:stop].tolist()
        assert stop == training.of_kind("answer", "student")[0].start
        text = decode(processor, prompt, start, stop)
        assert text.startswith("<|im_start|>user\n")
        assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
        asked = processor.messages(student, teachers)[:-1]
        rendered = processor.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        assert isinstance(rendered, str)
        assert prompt.input_ids.tolist() == expanded(processor, rendered, prompt)


def test_a_question_of_ones_own_takes_the_prompts_place(processor: ChatProcessor) -> None:
    prompt = processor.inference(EMPTY, question="有几个螺丝?")
    text = decode(processor, prompt, *prompt.student_prompt_span).replace(IMAGE_PAD, "")
    assert text == (
        "<|im_start|>user\n<|vision_start|><|vision_end|>有几个螺丝?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_too_long_is_refused_with_a_remedy(make_processor: Callable[..., ChatProcessor]) -> None:
    length = len(make_processor().training(STUDENT, [TEACHER]))
    make_processor(max_length=length).training(STUDENT, [TEACHER])
    with pytest.raises(ConversationTooLongError) as error:
        make_processor(max_length=length - 1).training(STUDENT, [TEACHER], source="train.jsonl:7")
    message = str(error.value)
    for part in ("train.jsonl:7", str(length), str(length - 1), "1 teachers", "drop_teachers", "max_pixels"):
        assert part in message


def test_teachers_are_left_out_one_by_one(make_processor: Callable[..., ChatProcessor]) -> None:
    teachers = [TEACHER, EMPTY, TEACHER]
    roomy = make_processor()
    for kept in range(3):
        alone = roomy.training(STUDENT, teachers[:kept])
        tight = make_processor(max_length=len(alone), policy="drop_teachers")
        shortened = tight.training(STUDENT, teachers)
        assert shortened.input_ids.tolist() == alone.input_ids.tolist()
        assert (shortened.num_teachers, shortened.dropped_teachers) == (kept, 3 - kept)
    with pytest.raises(ConversationTooLongError, match="0 teachers"):
        make_processor(max_length=len(alone) // 3, policy="drop_teachers").training(STUDENT, teachers)


@pytest.mark.parametrize("token", [TURN_END, IMAGE_PAD, END_OF_TEXT, "<|im_start|>"])
def test_a_special_token_in_a_description_is_refused_by_name(processor: ChatProcessor, token: str) -> None:
    turn = Turn((GRID,), (ObjectAnnotation((1, 2, 3, 4), f"label{token}"),))
    with pytest.raises(DataError) as error:
        processor.training(turn, source="train.jsonl:3")
    assert "train.jsonl:3" in str(error.value)
    assert token in str(error.value)
    with pytest.raises(DataError):
        processor.inference(EMPTY, question=token)


def test_objects_without_an_image_are_refused(processor: ChatProcessor) -> None:
    with pytest.raises(DataError, match="a.jsonl:1: the student has 1 objects but no image"):
        processor.training(Turn((), (A,)), source="a.jsonl:1")


def test_padding_or_truncation_left_on_by_others_cuts_nothing(processor: ChatProcessor) -> None:
    before = processor.training(STUDENT, [TEACHER])
    processor.tokenizer(["a", "longer text"], padding="max_length", truncation=True, max_length=3)
    assert processor.training(STUDENT, [TEACHER]).input_ids.tolist() == before.input_ids.tolist()


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for m in messages %}{{ m['role'] }}{% endfor %}", "renders"),
        ("{{ ''.__class__.__mro__ }}", "fails"),
        ("{% for x in range(10 ** 9) %}a{% endfor %}", "fails"),
        ("{{ messages[99].x.y }}", "fails"),
        ("{% nothing known", "fails"),
        ("{{ 1 / 0 }}", "fails"),
    ],
)
def test_a_chat_template_that_fails_or_says_other_things_is_refused(
    chat_tokenizer: TokenizersBackend, monkeypatch: pytest.MonkeyPatch, template: str, said: str
) -> None:
    monkeypatch.setattr(chat_tokenizer, "chat_template", template)
    with pytest.raises(ModelError, match=f"the tokenizer's chat template {said}"):
        ChatProcessor(chat_tokenizer, prompt_language="zh", model_max_length=9, over_length_policy="refuse")
