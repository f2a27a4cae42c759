"""Florence-2 (Xiao et al. 2023, arXiv 2311.06242): captions, detection and region text, by transformers' own class.

One encoder-decoder does all tasks; a sentence in its input says which, and what it writes is text with location tokens.
Prompts and pixels come from the library's processor, whose image part is named here, not guessed: with and without
torchvision the pixels are the same. The code that some hub repositories carry is never run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from argusvl.core.devices import usable_device
from argusvl.core.errors import ConfigError, DataError, ModelError
from argusvl.recognition.florence.answers import Caption, Regions, parse_regions, to_numbers
from argusvl.recognition.florence.loading import answer_tokens, check_image_tokens, load_florence

MAX_NEW_TOKENS = 1024


class Task(StrEnum):
    """The token that stands for a task; the processor writes the sentence that the model was trained with for it."""

    CAPTION = "<CAPTION>"
    DETAILED_CAPTION = "<DETAILED_CAPTION>"
    MORE_DETAILED_CAPTION = "<MORE_DETAILED_CAPTION>"
    DETECT = "<OD>"
    DENSE_REGIONS = "<DENSE_REGION_CAPTION>"
    FIND = "<OPEN_VOCABULARY_DETECTION>"
    DESCRIBE_REGION = "<REGION_TO_DESCRIPTION>"


_CAPTIONS = (Task.CAPTION, Task.DETAILED_CAPTION, Task.MORE_DETAILED_CAPTION)


class Florence2:
    """Florence-2 with weights in float32, in evaluation mode; nothing of a call is kept.

    Pictures are RGB and upright, of any size; boxes are in their pixels. Each method takes a batch and gives a result
    for each picture, in their order.

    Args:
        source: A folder in hub layout, or the id of a model such as ``florence-community/Florence-2-base``.
        device: Where it computes.
        max_new_tokens: The longest answer, in tokens; as long as the decoder allows, but at most 1024, when ``None``.
        num_beams: Width of the beam search; the checkpoint's own when ``None``.

    Raises:
        CheckpointError: It is missing, damaged, of another model, or in the layout of the hub's remote code; its parts
            do not belong together.
        ConfigError: The device cannot be used, or ``max_new_tokens`` is more than the decoder allows.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        device: str | torch.device = "cpu",
        max_new_tokens: int | None = None,
        num_beams: int | None = None,
    ) -> None:
        self.device = usable_device(device)
        model: Any
        model, self._processor = load_florence(source)
        self._model = model.to(self.device)
        self._tokens = answer_tokens(self._processor.tokenizer, source)
        check_image_tokens(model, self._processor, source)
        self._positions = int(model.config.text_config.max_position_embeddings)
        limit = min(MAX_NEW_TOKENS, self._positions - 1) if max_new_tokens is None else max_new_tokens
        if not 1 <= limit < self._positions:
            raise ConfigError(
                f"max_new_tokens is {limit}, the decoder has {self._positions} positions",
                where=source,
                remedy=f"write a number from 1 to {self._positions - 1}",
            )
        self._generation: dict[str, Any] = {"max_new_tokens": limit, "do_sample": False}
        if num_beams is not None:
            self._generation["num_beams"] = num_beams

    def ask(self, task: Task, images: Sequence[Image.Image]) -> Sequence[Caption | Regions]:
        """The same of each picture: a text by the three tasks of captions, else the regions with their labels.

        Raises:
            ModelError: A picture is not RGB.
        """
        prompts = [task.value] * len(images)
        return self._captions(images, prompts) if task in _CAPTIONS else self._regions(images, prompts)

    def find(self, images: Sequence[Image.Image], words: str) -> list[Regions]:
        """Looks for something named in words: open-vocabulary detection.

        Raises:
            ModelError: A picture is not RGB.
            DataError: There are no words, too many, or a token among them that commands the model.
        """
        return self._regions(images, [f"{Task.FIND.value}{self._plain(words)}"] * len(images))

    def describe_region(
        self, images: Sequence[Image.Image], boxes_xyxy_px: Sequence[Sequence[float]]
    ) -> list[Caption]:
        """A text about one region of each picture: a box in its pixels.

        Raises:
            ModelError: A picture is not RGB.
            DataError: Not as many boxes as pictures, or a box that does not lie in its picture.
        """
        if len(boxes_xyxy_px) != len(images):
            raise DataError(
                f"{len(boxes_xyxy_px)} boxes for {len(images)} pictures",
                remedy="give one for each picture; a picture may be given several times",
            )
        prompts = []
        for image, box in zip(images, boxes_xyxy_px, strict=True):
            x1, y1, x2, y2 = box
            if not (0 <= x1 < x2 <= image.width and 0 <= y1 < y2 <= image.height):
                raise DataError(
                    f"the box {tuple(box)} does not lie in a picture of {image.width}×{image.height}",
                    remedy="give xyxy in pixels of the picture",
                )
            numbers = to_numbers(box, image.size)
            prompts.append(Task.DESCRIBE_REGION.value + "".join(f"<loc_{number}>" for number in numbers))
        return self._captions(images, prompts)

    def _captions(self, images: Sequence[Image.Image], prompts: list[str]) -> list[Caption]:
        return [
            Caption(self._decode(ids).strip(), truncated) for ids, truncated in self._answers(images, prompts)
        ]

    def _regions(self, images: Sequence[Image.Image], prompts: list[str]) -> list[Regions]:
        answers = self._answers(images, prompts)
        return [
            parse_regions(self._decode(ids), image.size, truncated=truncated)
            for image, (ids, truncated) in zip(images, answers, strict=True)
        ]

    def _answers(self, images: Sequence[Image.Image], prompts: list[str]) -> list[tuple[list[int], bool]]:
        """The ids of each answer that mean something, and whether it reached the limit."""
        for image in images:
            if image.mode != "RGB":
                raise ModelError(
                    f"Florence-2 takes RGB pictures, this one has the mode {image.mode}",
                    remedy="open the file with argusvl.core.images.open_image, which converts any mode",
                )
        if not images:
            return []
        inputs = self._processor(images=list(images), text=prompts, padding=True, return_tensors="pt")
        length = inputs["input_ids"].shape[1]
        if length > self._positions:
            raise DataError(
                f"the longest text is {length - self._positions} tokens too long for the model's "
                f"{self._positions} positions",
                remedy="say it in fewer words",
            )
        with torch.inference_mode():
            sequences: Tensor = self._model.generate(**inputs.to(self.device), **self._generation)
        limit = self._generation["max_new_tokens"]
        # The first token is the decoder's start, which is the end token again.
        answers = [
            list(itertools.takewhile(self._tokens.end.__ne__, ids)) for ids in sequences[:, 1:].tolist()
        ]
        # At the limit an end is forced, so that it says nothing.
        return [
            ([i for i in answer if i not in self._tokens.silent], len(answer) + 1 >= limit)
            for answer in answers
        ]

    def _decode(self, ids: list[int]) -> str:
        return str(self._processor.tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    def _plain(self, text: str) -> str:
        """A user's words: a token of the model's own in them would be obeyed, and none at all would mean anything."""
        ids = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        own = [self._decode([i]) for i in ids if i in self._tokens.silent or i in self._tokens.locations]
        prompts = (self._processor.task_prompts_without_inputs, self._processor.task_prompts_with_input)
        own += [task for known in prompts for task in known if task in text]
        if not text.strip() or own:
            why = f", and {own[0]} has a meaning of its own" if own else ""
            raise DataError(
                f"the words to look for are {text!r}{why}", remedy="say in plain words what to look for"
            )
        return text.strip()
