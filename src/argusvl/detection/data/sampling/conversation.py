"""ChatProcessor: scenes → the token ids of a conversation, with every span known because it was written there.

The conversation is: system prompt; a turn for each teacher (its images, the question, its answer); the student's turn.
Ids are made piece by piece and each piece says what it is, so that the spans of answers and images are exact by
construction: searching tokens afterwards finds the wrong ones as soon as a description looks like the template.
Pieces meet only at special tokens, or where Qwen2's pre-tokenizer splits anyway (before the ``[`` of an answer), so
the ids equal those of the whole text, which is what ``apply_chat_template`` renders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from argusvl.core.errors import DataError, ModelError
from argusvl.detection.data.prompts import prompts_for
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.sampling.answers import answer_entries, answer_text
from argusvl.detection.data.sampling.pixels import Grid, num_placeholders
from argusvl.detection.data.sampling.template_limits import exceeds_limits
from argusvl.detection.data.sampling.tokenizer import CHAT_TEMPLATE, token_id
from argusvl.detection.data.scan_cache import digest_of
from argusvl.detection.data.special_tokens import IMAGE_PAD, TURN_END, TURN_START, VISION_END, VISION_START

if TYPE_CHECKING:
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

Role = Literal["system", "teacher", "student"]
ROLE_IDS: dict[Role, int] = {"teacher": 1, "student": 2}
"""Who wrote a token that is taught, as a batch's ``label_roles`` says it; 0 is nobody."""
Kind = Literal["prompt", "image", "answer"]
OverLengthPolicy = Literal["refuse", "drop_teachers"]


class ConversationTooLongError(DataError):
    """A conversation has more tokens than the model reads, and nothing may be left out of it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A scene as the conversation needs it: resized images in patches ``(t, h, w)``, and objects in pixels of these."""

    grids: tuple[Grid, ...]
    objects: tuple[ObjectAnnotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A half-open range of tokens and what it is.

    An ``answer`` ends with its ``<|im_end|>``; an ``image`` holds nothing but its placeholders; the rest is ``prompt``.
    """

    kind: Kind
    role: Role
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Conversation:
    """Token ids and what each of them is.

    Attributes:
        input_ids: ``int64 [L]``.
        parts: Cover the ids without gap or overlap, in order.
        grids: All images in order of appearance, in patches.
        num_teachers: Teacher turns that are in it.
        dropped_teachers: Teacher turns that were left out because it was too long.
        student_prompt_span: Tokens from the student's ``<|im_start|>user`` up to, and without, the answer's first.
    """

    input_ids: np.ndarray
    parts: tuple[Part, ...]
    grids: tuple[Grid, ...]
    num_teachers: int
    dropped_teachers: int
    student_prompt_span: tuple[int, int]

    def __len__(self) -> int:
        return len(self.input_ids)

    def of_kind(self, kind: Kind, role: Role | None = None) -> tuple[Part, ...]:
        """The parts of a kind, in order, optionally of one role."""
        return tuple(p for p in self.parts if p.kind == kind and role in (None, p.role))

    @property
    def tokens_as_teacher(self) -> int:
        """What its student's scene adds to a conversation in which it is a teacher: all but what stands before it."""
        return len(self) - self.student_prompt_span[0]

    @property
    def answers(self) -> tuple[Part, ...]:
        """Every assistant answer, each with its ``<|im_end|>``: the labelled tokens."""
        return self.of_kind("answer")

    @property
    def images(self) -> tuple[Part, ...]:
        """Placeholder ranges, in the order of ``grids``."""
        return self.of_kind("image")


class ChatProcessor:
    """Writes conversations for training and for inference; both are the same up to the student's answer.

    Args:
        tokenizer: With Qwen2.5-VL's special tokens and chat template.
        prompt_language: ``zh`` or ``en``; English for a language without prompts.
        model_max_length: Most tokens of a conversation.
        over_length_policy: What to do with a longer one: refuse it by name, or leave teachers out, the last first.
            No answer and no image is ever cut.

    Raises:
        ModelError: A special token is missing, or the tokenizer's chat template renders another text.
    """

    def __init__(
        self,
        tokenizer: TokenizersBackend,
        *,
        prompt_language: str,
        model_max_length: int,
        over_length_policy: OverLengthPolicy,
    ) -> None:
        self.tokenizer = tokenizer
        self.prompts = prompts_for(prompt_language)
        self.model_max_length = model_max_length
        self.over_length_policy = over_length_policy
        names = (TURN_START, TURN_END, VISION_START, VISION_END, IMAGE_PAD)
        self._id = {name: token_id(tokenizer, name) for name in names}
        self._reserved = re.compile("|".join(map(re.escape, sorted(tokenizer.get_added_vocab()))))
        self._constants: dict[str, list[int]] = {}
        self._check_template()

    @property
    def fingerprint(self) -> str:
        """Another one as soon as the same scenes could have other tokens."""
        policy = f"{self.model_max_length} {self.over_length_policy}"
        return digest_of(self.tokenizer.backend_tokenizer.to_str(), self.prompts, policy)

    @property
    def end_token_id(self) -> int:
        """Id of ``<|im_end|>``, which ends answers and captions."""
        return self._id[TURN_END]

    @property
    def system_length(self) -> int:
        """Tokens of the system prompt's turn: what stands before the first scene."""
        return len(self._system())

    def training(self, student: Turn, teachers: Sequence[Turn] = (), *, source: str = "") -> Conversation:
        """A conversation with all its answers: teachers are shown before the student, errors name the ``source``.

        Raises:
            ConversationTooLongError: It is longer than ``model_max_length``.
            DataError: A description holds a special token, or an object has no image.
        """
        return self._fit(student, teachers, source, with_answer=True, question=None)

    def inference(
        self, student: Turn, teachers: Sequence[Turn] = (), *, source: str = "", question: str | None = None
    ) -> Conversation:
        """The same conversation, ending where the student's answer would begin; the student's objects are not read.

        A ``question`` is asked of the student in place of the standard prompt. Raises as :meth:`training` does.
        """
        return self._fit(student, teachers, source, with_answer=False, question=question)

    def encode(self, text: str, *, source: str = "") -> list[int]:
        """Ids of ordinary text.

        Raises:
            DataError: The text holds a special token, which would end a turn or pass for an image.
        """
        if found := self._reserved.search(text):
            around = text[max(found.start() - 30, 0) : found.end() + 30]
            raise DataError(
                f"the text {around!r} holds the special token {found.group()}",
                where=source or None,
                remedy="remove it from the description or the prompt",
                slug="special-token",
            )
        backend = self.tokenizer.backend_tokenizer
        # Whoever called the tokenizer with padding or truncation left both switched on in here: answers would be cut.
        if backend.truncation is not None:
            backend.no_truncation()
        if backend.padding is not None:
            backend.no_padding()
        return list(backend.encode(text, add_special_tokens=False).ids)

    def messages(self, student: Turn, teachers: Sequence[Turn] = ()) -> list[dict[str, Any]]:
        """The conversation in the form that ``apply_chat_template`` takes; for other tools, and as the reference."""
        messages: list[dict[str, Any]] = [{"role": "system", "content": self.prompts.system}]
        for turn in (*teachers, student):
            images: list[dict[str, str]] = [{"type": "image"} for _ in turn.grids]
            text = {"type": "text", "text": self.prompts.user(len(turn.grids))}
            messages.append({"role": "user", "content": [*images, text]})
            messages.append({"role": "assistant", "content": self.answer(turn)})
        return messages

    def render(self, messages: Sequence[dict[str, Any]]) -> str:
        """The text of messages by the tokenizer's own template; one placeholder an image.

        Raises:
            ModelError: The template fails; it is a program that may do so in any way.
        """
        try:
            text = self.tokenizer.apply_chat_template(list(messages), tokenize=False)
        except Exception as error:
            raise self._bad_template(f"fails: {error}") from error
        return str(text)

    def answer(self, turn: Turn) -> str:
        """The text of a turn's answer."""
        return answer_text(answer_entries(turn.objects, turn.grids))

    def _fit(
        self, student: Turn, teachers: Sequence[Turn], source: str, *, with_answer: bool, question: str | None
    ) -> Conversation:
        kept = len(teachers)
        while True:
            conversation = self._write(
                student, teachers[:kept], source, with_answer, question, len(teachers) - kept
            )
            if len(conversation) <= self.model_max_length:
                return conversation
            if kept == 0 or self.over_length_policy == "refuse":
                raise self._too_long(conversation, source)
            kept -= 1

    def _write(
        self,
        student: Turn,
        teachers: Sequence[Turn],
        source: str,
        with_answer: bool,
        question: str | None,
        dropped: int,
    ) -> Conversation:
        writer = _Writer()
        writer.add("prompt", "system", self._system())
        for turn in teachers:
            self._add_question(writer, "teacher", turn, self.prompts.user(len(turn.grids)), source)
            self._add_answer(writer, "teacher", turn, source)
        begin = len(writer.ids)
        text = self.prompts.user(len(student.grids)) if question is None else question
        self._add_question(writer, "student", student, text, source)
        span = (begin, len(writer.ids))
        if with_answer:
            self._add_answer(writer, "student", student, source)
        return Conversation(
            input_ids=np.array(writer.ids, dtype=np.int64),
            parts=tuple(writer.parts),
            grids=tuple(grid for turn in (*teachers, student) for grid in turn.grids),
            num_teachers=len(teachers),
            dropped_teachers=dropped,
            student_prompt_span=span,
        )

    def _add_question(self, writer: _Writer, role: Role, turn: Turn, text: str, source: str) -> None:
        """The user's turn and the header of the assistant's."""
        header = self._constant("user\n") if turn.grids else self.encode("user\n" + text, source=source)
        writer.add("prompt", role, [self._id[TURN_START], *header])
        for grid in turn.grids:
            writer.add("prompt", role, [self._id[VISION_START]])
            writer.add("image", role, [self._id[IMAGE_PAD]] * num_placeholders(grid), merge=False)
            writer.add("prompt", role, [self._id[VISION_END]])
        if turn.grids:
            writer.add("prompt", role, self.encode(text, source=source))
        writer.add("prompt", role, [self._id[TURN_END], *self._constant("\n")])
        writer.add("prompt", role, [self._id[TURN_START], *self._constant("assistant\n")])

    def _add_answer(self, writer: _Writer, role: Role, turn: Turn, source: str) -> None:
        if turn.objects and not turn.grids:
            raise DataError(
                f"the {role} has {len(turn.objects)} objects but no image",
                where=source or None,
                remedy="name the image, or remove the objects",
                slug="malformed-record",
            )
        ids = [*self.encode(self.answer(turn), source=source), self._id[TURN_END]]
        writer.add("answer", role, ids, merge=False)
        writer.add("prompt", role, self._constant("\n"))

    def _system(self) -> list[int]:
        text = self._constant("system\n" + self.prompts.system)
        return [self._id[TURN_START], *text, self._id[TURN_END], *self._constant("\n")]

    def _constant(self, text: str) -> list[int]:
        if text not in self._constants:
            self._constants[text] = self.encode(text)
        return self._constants[text]

    def _too_long(self, conversation: Conversation, source: str) -> ConversationTooLongError:
        images, answers = (sum(map(len, parts)) for parts in (conversation.images, conversation.answers))
        drop = conversation.num_teachers and self.over_length_policy == "refuse"
        return ConversationTooLongError(
            f"the conversation has {len(conversation)} tokens ({images} of images, {answers} of answers, "
            f"{conversation.num_teachers} teachers), model_max_length is {self.model_max_length}",
            where=source or None,
            remedy="raise model_max_length, lower max_pixels, "
            + ("set over_length_policy to drop_teachers, " if drop else "")
            + "or take the record out",
            slug="conversation-too-long",
        )

    def _check_template(self) -> None:
        """A tokenizer with another template would be trained on one text and prompted, by other tools, with another."""
        turn = Turn(grids=((1, 2, 2),), objects=(ObjectAnnotation(bbox_2d=(1, 2, 3, 4), desc="a"),))
        messages = self.messages(turn, [turn])
        template = self.tokenizer.chat_template
        if template != CHAT_TEMPLATE and isinstance(template, str) and exceeds_limits(template, messages):
            raise self._bad_template("takes more time or memory than a conversation can need")
        rendered = self.render(messages)
        ours = self._write(turn, [turn], "", True, None, 0)
        expected = self.tokenizer.backend_tokenizer.encode(rendered, add_special_tokens=False).ids
        if list(ours.input_ids) != list(expected):
            raise self._bad_template(f"renders {rendered!r:.500}, not the form of Qwen2.5-VL")

    def _bad_template(self, what: str) -> ModelError:
        return ModelError(
            f"the tokenizer's chat template {what}",
            where=self.tokenizer.name_or_path or None,
            remedy="use the chat template of Qwen2.5-VL (chat_template.jinja beside the tokenizer)",
            slug="wrong-chat-template",
        )


class _Writer:
    """Token ids being written, and the parts that they form."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.parts: list[Part] = []

    def add(self, kind: Kind, role: Role, ids: Sequence[int], *, merge: bool = True) -> None:
        """Appends ids; prompt pieces of one role that follow each other are one part."""
        start = len(self.ids)
        self.ids.extend(ids)
        if merge and self.parts and (self.parts[-1].kind, self.parts[-1].role) == (kind, role):
            start = self.parts.pop().start
        self.parts.append(Part(kind, role, start, len(self.ids)))
