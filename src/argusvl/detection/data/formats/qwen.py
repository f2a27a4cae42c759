"""The conversations that QwenLM's own fine-tuning reads, one JSON object a line (or a JSON list of them).

``{"image": path or paths, "conversations": [{"from": "human", "value": "<image>…"}, {"from": "gpt", "value": …}]}``,
where the answer is the JSON list that Qwen2.5-VL writes: ``[{"bbox_2d": [x1, y1, x2, y2], "label": "…"}]``, in pixels
of the stored image. Of several images each object names its own (``"image": index``), as in the answers of Argus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.strict_json import MalformedJsonError, decode_json, shown
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import Files, Format, PlacedRecord, lines_by_split
from argusvl.detection.data.formats.lines import LineScene, image_paths, line_reader, without
from argusvl.detection.data.prompts import prompts_for
from argusvl.detection.data.records import plain_box

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n?(.*?)\n?\s*```\s*\Z", re.DOTALL)


def parse_qwen(value: Any, where: str) -> list[LineScene] | Finding:
    """Reads one decoded line."""
    bad = partial(finding, "malformed-annotation", where)
    if not isinstance(value, dict):
        return bad(f"the line is {shown(value)}, not an object")
    images = image_paths(value.get("image", value.get("images")))
    if not images:
        return bad(f"image is {shown(value.get('image'))}, not a path or paths")
    turns = value.get("conversations", value.get("messages"))
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return bad(f"conversations, or messages, is {shown(turns)}, not a list of turns")
    said = [(turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))) for turn in turns]
    answers = [text for speaker, text in said if speaker in ("gpt", "assistant")]
    try:
        lists = [one for answer in answers if (one := _object_list(answer)) is not None]
    except MalformedJsonError as error:
        return bad(f"an answer is no JSON list of bbox_2d and label: {error}")
    if not lists:
        first = shown(answers[0]) if answers else "there is none"
        return bad(f"no answer is a JSON list of bbox_2d and label: {first}")
    scene = LineScene(images)
    scene.read_objects([entry for one in lists for entry in one], where, "label", "answer")
    return [scene]


def write_qwen(records: Sequence[PlacedRecord], language: str) -> Files:
    """``<split>.jsonl`` for each split; image paths are relative to it (QwenLM's ``data_path`` is its folder)."""
    prompts = prompts_for(language)

    def line(record: PlacedRecord) -> dict[str, Any]:
        paths = record.record.student.images
        answer = []
        for one in record.objects:
            image = {"image": one.image} if len(paths) > 1 else {}
            answer.append({**image, "bbox_2d": plain_box(one.bbox_2d), "label": one.desc})
        conversation = [
            {"from": "human", "value": "<image>\n" * len(paths) + prompts.user(len(paths))},
            {"from": "gpt", "value": json.dumps(answer, ensure_ascii=False)},
        ]
        return {"image": paths[0] if len(paths) == 1 else list(paths), "conversations": conversation}

    return lines_by_split(records, line)


QWEN = Format(
    read=line_reader(parse_qwen, "name a JSONL or JSON file of conversations, or a folder with train.jsonl"),
    write=write_qwen,
    image_folder="images",
    several_images=True,
    label_problem=without("<image>", "<video>"),  # the trainer would look for one picture more
)


def _object_list(answer: Any) -> list[Any] | None:
    """The list in an answer, in a Markdown fence or not; ``None`` for other talk.

    Raises:
        MalformedJsonError: It is no JSON, although it speaks of boxes.
    """
    if not isinstance(answer, str):
        return None
    fenced = _FENCE.match(answer)
    try:
        value = decode_json(fenced.group(1) if fenced else answer)
    except MalformedJsonError:
        if '"bbox_2d"' in answer:
            raise
        return None
    is_objects = isinstance(value, list) and all(isinstance(one, dict) and "bbox_2d" in one for one in value)
    return value if is_objects else None
