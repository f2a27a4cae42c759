"""The stage behind `argus recognize describe`: Florence-2's texts and regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from argusvl.core.errors import ConfigError
from argusvl.recognition.florence.loading import model_settings
from argusvl.recognition.florence.model import Florence2, Task
from argusvl.recognition.pipeline.stages import Picture, Stage

TASKS: dict[str, Task] = {
    "caption": Task.CAPTION,
    "detailed-caption": Task.DETAILED_CAPTION,
    "more-detailed-caption": Task.MORE_DETAILED_CAPTION,
    "detect": Task.DETECT,
    "dense-regions": Task.DENSE_REGIONS,
}
"""What can be computed for every picture; words to find are given apart."""


def describe_stage(
    place: str,
    tasks: Sequence[str],
    find: str | None = None,
    *,
    batch_size: int,
    max_new_tokens: int | None = None,
    num_beams: int | None = None,
) -> Stage[Florence2]:
    """Runs several tasks of Florence-2 on each picture, with one load of the model.

    A result has one entry for each task, and ``find`` where words are given.

    Args:
        place: A folder in hub layout, or the id of a model.
        tasks: Names in :data:`TASKS`.
        find: Words to find in every picture.
        batch_size: Pictures of a forward pass.
        max_new_tokens: The longest answer, in tokens.
        num_beams: Width of the beam search; the model's own when ``None``.

    Raises:
        ConfigError: A task is unknown, or none is given.
        CheckpointError: The model is missing.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not (tasks or find):
        raise ConfigError(
            f"unknown task {unknown[0]!r}" if unknown else "nothing is asked for",
            where="--tasks",
            remedy=f"use one or more of {', '.join(TASKS)}, or --find WORDS",
        )
    generation = {"max_new_tokens": max_new_tokens, "num_beams": num_beams}

    def load(device: torch.device) -> Florence2:
        return Florence2(place, device=device, **generation)

    def describe(florence: Florence2, pictures: list[Picture]) -> list[dict[str, Any]]:
        images = [picture.image for picture in pictures]
        found = {name: florence.ask(TASKS[name], images) for name in tasks}
        if find is not None:
            found["find"] = florence.find(images, find)
        return [{name: answers[n].to_dict() for name, answers in found.items()} for n in range(len(images))]

    return Stage(
        name="describe",
        load=load,
        run=describe,
        settings={**model_settings(place), "tasks": list(tasks), "find": find, **generation},
        batch_size=batch_size,
    )
