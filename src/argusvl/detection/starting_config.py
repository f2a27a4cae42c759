"""``argus init``: a complete configuration for a data set, each value that the data decided with the reason why.

What the data do not decide has the value that the shipped configurations of small models measured best with. The
conversations are counted by the tokenizer that the run will have, so that no limit is a guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argusvl.config.commented_yaml import write_commented_yaml
from argusvl.config.loading import config_from_mapping
from argusvl.core.errors import CheckpointError, ConfigError
from argusvl.core.files import real_path
from argusvl.core.wording import listed
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.checkpoint_layout import stock_folder
from argusvl.detection.data.measuring.conversation_lengths import Lengths, open_processor
from argusvl.detection.data.measuring.language import prompt_language
from argusvl.detection.data.measuring.pixel_limits import PixelChoice, choose_pixel_limits
from argusvl.detection.data.measuring.survey import Survey, record_files, refuse_bad, survey_data
from argusvl.detection.data.patches import TOKEN_AREA
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.resize import plan_resize
from argusvl.detection.data.scan import scan
from argusvl.detection.starting_point import StartingPoint, starting_point
from argusvl.detection.starting_values import ARCHITECTURE, HEAD, LARGE_HEAD, LEARNING_RATES, LORA, LOSSES

_CLOSED_MOST, _REPEATED = 200, 5
"""Descriptions are a vocabulary when there are at most so many, each used so often on the mean."""

EVALUATIONS = 7
"""In a run; each also saves a checkpoint."""

POSITIVES = 6
"""Proposals that answer for an object."""

_DIRECTION = re.compile(
    r"\b(left|right|leftmost|rightmost|clockwise|counter-?clockwise|anticlockwise)\b|[左右]|[顺逆]时针", re.I
)
_COLOUR = re.compile(
    r"\b(red|green|blue|yellow|black|white|gr[ae]y|orange|purple|violet|pink|brown|cyan|magenta|golden|silver)\b"
    r"|[红绿蓝黄黑白灰橙紫粉棕]",
    re.I,
)
_MANY = 20  # descriptions; to tell so many apart takes longer
_NAMED = 8


@dataclass(frozen=True, slots=True)
class StartingConfig:
    """A configuration as text.

    Attributes:
        yaml: The text.
        config: What it loads to.
        notes: What a person should know that no key shows.
    """

    yaml: str
    config: DetectionRunConfig
    notes: tuple[str, ...]


def make_starting_config(
    data: str | Path,
    *,
    model: str | None = None,
    root: str | Path | None = None,
    lora: bool = False,
    progress: bool = False,
) -> StartingConfig:
    """Writes a configuration for a data set.

    Args:
        data: A data folder, or a JSONL file of training records.
        model: What to start from; see :func:`~argusvl.detection.starting_point.starting_point`.
        root: Folder that image paths are relative to; each file's own when ``None``.
        lora: Whether adapters train in place of a Qwen2.5-VL's own weights.
        progress: Whether to show progress bars.

    Raises:
        ConfigError: ``lora`` is asked for, and the model is no Qwen2.5-VL in hub layout.
        DataError: There is nothing to train on, or a record cannot be used.
        CheckpointError: The model is none, or the data do not fit it.
    """
    record_files(data)  # a mistake in the path is told before a model is looked into, which takes seconds
    start = starting_point(model)
    if lora and start.kind != "stock":
        raise ConfigError(
            f"adapters train on a Qwen2.5-VL in hub layout, not on {start.model_path or 'random weights'}",
            where="--lora",
            remedy="name its folder by --model, or leave --lora out: small models train whole",
        )
    survey = survey_data(data, root=root, progress=progress)
    draft = _Draft(survey, start, data, None if root is None else Path(root), lora)
    draft.write(progress)
    config = config_from_mapping(draft.values, DetectionRunConfig, "the configuration for these data")
    return StartingConfig(
        write_commented_yaml(draft.values, draft.reasons, draft.head()), config, tuple(draft.notes)
    )


@dataclass(frozen=True, slots=True)
class _Lengths:
    """What was counted, in tokens."""

    longest: int
    caption: int
    teachers: tuple[int, ...]  # what each scene of the pool adds, the longest first
    vision: int


class _Draft:
    """A configuration in the making: values by section, and reasons."""

    def __init__(
        self, survey: Survey, start: StartingPoint, data: str | Path, root: Path | None, lora: bool
    ) -> None:
        self.values: dict[str, Any] = {"task": "detection"}
        self.reasons: dict[tuple[str, ...], str] = {}
        self.notes: list[str] = []
        self._survey = survey
        self._start = start
        self._data = data
        self._root = root
        self._lora = lora
        self._name = _run_name(survey.train.path)

    def write(self, progress: bool) -> None:
        """Decides every key, section by section; later ones rest on earlier ones."""
        pixels = choose_pixel_limits(self._survey)
        language = prompt_language(self._survey.descriptions)
        vocab_size, why_vocab = _vocab_size(self._survey)
        lengths = self._count(pixels.limits, language, vocab_size, progress)
        teachers = self._teachers()
        self._model(lengths, teachers[1], pixels.max_pixels, (vocab_size, why_vocab))
        self._data_section(pixels, language, lengths, teachers)
        self._training()
        self._detection(lengths)
        self._section(
            "infrastructure",
            device="auto",
            report_to=["tensorboard"],
            dataloader_num_workers=0,
            log_level="info",
        )
        self._why("infrastructure", "device", "CUDA where there is one")

    def head(self) -> str:
        """What stands above everything."""
        survey = self._survey
        held_out = f"{len(survey.val)} records held out" if survey.val is not None else "none held out"
        origin = {
            "random": "random weights",
            "stock": f"the Qwen2.5-VL in {self._start.model_path}, with a new detection head",
            "argus": f"{self._start.model_path}, a trained detector",
        }[self._start.kind]
        return (
            f"By `argus init` for {self._data}: {survey.train_images} training images, {survey.objects} objects, "
            f"{held_out}.\nStarts from {origin}. Values with a comment were decided by the data; paths are relative to "
            "the folder that the command is run in.\nCheck it with `argus train THIS_FILE --validate-only`."
        )

    # --- what is decided ---------------------------------------------------------------------------------------------

    def _count(self, limits: tuple[int, int], language: str, vocab_size: int, progress: bool) -> _Lengths:
        survey = self._survey
        processor = open_processor(
            survey.described.scenes(),
            model=self._start.model_path if self._start.kind == "stock" else None,
            language=language,
            max_pixels=limits[1],
            vocab_size=vocab_size,
            learned_for=survey.train,
        )
        files = survey.files()
        counted = [Lengths(processor, limits) for _ in files]
        for file, lengths in zip(files, counted, strict=True):
            scan(file, [lengths], doing="counting tokens of", progress=progress)
        refuse_bad([error for one in counted for _, error in one.bad], sum(map(len, files)), self._data)
        pool = counted.pop().as_teacher if survey.pool is not None else []
        return _Lengths(
            longest=max(length for one in counted for length in one.conversations),
            caption=max(counted[0].captions),
            teachers=tuple(sorted(pool, reverse=True)),
            vision=max(plan_resize(one.width, one.height, *limits).vision_tokens for one in survey.images),
        )

    def _teachers(self) -> tuple[float, int, str]:
        """Ratio, number, and why."""
        survey = self._survey
        ratio = 0.7 if self._start.kind == "stock" else 0.1
        if survey.pool is not None:
            return ratio, 1, f"a pool of {len(survey.pool)} scenes to show"
        if survey.trained_on.with_teachers:
            return ratio, 1, f"{survey.trained_on.with_teachers} records bring demonstrations of their own"
        return 0.0, 0, "there is no teacher pool; `argus data pool` makes one"

    def _model(
        self, lengths: _Lengths, num_teachers: int, max_pixels: int, vocabulary: tuple[int, str]
    ) -> None:
        shown = sum(lengths.teachers[:num_teachers])
        longest = lengths.longest + shown
        image = max(lengths.vision, max_pixels // TOKEN_AREA)
        most = _rounded(max(1.05 * longest, image + 256), 64)
        with_teachers = f", with the longest teacher {longest}" if shown else ""
        why = f"the longest conversation has {lengths.longest} tokens{with_teachers}, images included"
        if image + 256 > 1.05 * longest:
            why += f"; max_pixels allows images of {image}"
        known = self._start.longest
        if known is not None and most > known:
            why += f"; more than the {known} that the model was made for"
            self.notes.append(
                f"conversations are longer ({longest} tokens) than the model was made for ({known}): lower max_pixels, "
                "or split crowded images"
            )
        sizes: dict[str, Any] = {}
        if self._start.kind == "random":
            sizes["architecture"] = {**ARCHITECTURE, "vocab_size": vocabulary[0]}
            self._why("model", "architecture", "random weights: sizes that two cores can train")
            self.reasons["model", "architecture", "vocab_size"] = vocabulary[1]
        else:
            sizes["model_path"] = self._start.model_path
        if self._start.kind == "argus":
            sizes["transfer_vocab_size"] = vocabulary[0]
            self._why("model", "transfer_vocab_size", vocabulary[1])
        adapters = {"peft": dict(LORA)} if self._lora else {}
        self._section("model", **sizes, model_max_length=most, attn_implementation="sdpa", **adapters)
        if self._lora:
            self._why("model", "peft", "small weights that train beside the frozen ones")
        self._why("model", "model_max_length", why)

    def _data_section(
        self,
        pixels: PixelChoice,
        language: str,
        lengths: _Lengths,
        teachers: tuple[float, int, str],
    ) -> None:
        survey = self._survey
        vocabulary, captions, why_vocabulary, why_captions = self._vocabulary()
        files = {"val": survey.val, "teacher_pool": survey.pool}
        self._section(
            "data",
            train=_path(survey.train),
            **{key: None if file is None else _path(file) for key, file in files.items()},
            root=None if self._root is None else self._root.as_posix(),
            max_examples=None,
            teacher_ratio=teachers[0],
            num_teachers=teachers[1],
            collator_type="standard",
            min_pixels=pixels.min_pixels,
            max_pixels=pixels.max_pixels,
            vision_tokens_warn=lengths.vision,
            vision_tokens_max=max(lengths.vision, pixels.max_pixels // TOKEN_AREA),
            vision_tokens_policy="refuse",
            over_length_policy="refuse",
            prompt_language=language,
            vocabulary=vocabulary,
            labels=None,
            caption_vocabulary=captions,
            augmentation=self._augmentation(),
        )
        why = {
            "train": f"{len(survey.train)} records, {survey.train_images} images, {survey.objects} objects",
            "val": f"{len(survey.val)} records" if survey.val else _NO_VAL,
            "teacher_ratio": teachers[2],
            "min_pixels": pixels.why_min,
            "max_pixels": pixels.why_max,
            "vision_tokens_warn": "the largest image of these data has as many",
            "vision_tokens_max": "what max_pixels allows",
            "prompt_language": f"most descriptions are written in {_SCRIPTS[language]}",
            "vocabulary": why_vocabulary,
            "labels": f"those found in the training records: {self._labels(vocabulary)}",
            "caption_vocabulary": why_captions,
        }
        for key, text in why.items():
            self._why("data", key, text)
        if survey.val is None:
            self.notes.append("there are no held-out records, so no figure will be measured: " + _NO_VAL)

    def _vocabulary(self) -> tuple[str, str, str, str]:
        """Vocabulary of labels, of captions, and why."""
        descriptions = self._survey.descriptions
        count, objects = len(descriptions), self._survey.objects
        repeated = count <= _CLOSED_MOST and objects >= _REPEATED * count
        few = count <= _NAMED  # a handful of names is a vocabulary, however few their objects
        types = {text.split("/", 1)[0] for text in descriptions}
        captions = "closed" if repeated or few else "open"
        why_captions = (
            f"{count} different descriptions of {objects} objects: always one of them, never misspelt"
            if captions == "closed"
            else f"{count} different descriptions of {objects} objects: any text"
        )
        if len(types) < count:
            return (
                "open",
                captions,
                f"descriptions have levels: the first names one of {len(types)} types",
                why_captions,
            )
        if captions == "closed":
            return "closed", captions, "each description is a class of its own", why_captions
        if len(types) > _CLOSED_MOST:
            self.notes.append(
                f"the descriptions begin with {len(types)} different types (what stands before the first '/'): figures "
                "by class mean little; write a type first, e.g. screw/rusty, long"
            )
        return "open", captions, f"free text: {len(types)} types before the first '/'", why_captions

    def _labels(self, vocabulary: str) -> str:
        counts: dict[str, int] = {}
        for text, count in self._survey.descriptions.items():
            label = text if vocabulary == "closed" else text.split("/", 1)[0]
            counts[label] = counts.get(label, 0) + count
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return listed([f"{label[:40]} {count}" for label, count in ordered], _NAMED)

    def _augmentation(self) -> dict[str, Any]:
        directed = _first(_DIRECTION, self._survey.descriptions)
        coloured = _first(_COLOUR, self._survey.descriptions)
        mosaic = 0.3 if self._start.kind != "stock" and self._survey.train_images >= 4 else 0.0
        why = {
            "horizontal_flip": f"off: {directed!r} tells left from right"
            if directed
            else "no description names a side",
            "vertical_flip": "0.5 if your pictures have no up and down, as under a microscope",
            "saturation": f"little: {coloured!r} names a colour"
            if coloured
            else "no description names a colour",
            "hue": f"off: {coloured!r} names a colour" if coloured else "no description names a colour",
        }
        for key, text in why.items():
            self.reasons["data", "augmentation", key] = text
        return {
            "horizontal_flip": 0.0 if directed else 0.5,
            "vertical_flip": 0.0,
            "rotate90": 0.0,
            "scale_min": 0.75,
            "scale_max": 1.35,
            "brightness": 0.2,
            "contrast": 0.2,
            "saturation": 0.1 if coloured else 0.3,
            "hue": 0.0 if coloured else 0.02,
            "mosaic": mosaic,
            "min_visible": 0.3,
        }

    def _training(self) -> None:
        survey, kind = self._survey, self._start.kind
        records = len(survey.train)
        batch = 1 << min(3, records.bit_length() - 1) if kind != "stock" else min(2, records)
        accumulation = 1 if kind != "stock" else max(1, min(8, records // batch))
        at_once = batch * accumulation
        epochs, least, most = {"random": (80, 3, 16_800), "argus": (36, 2, 9_600), "stock": (10, 2, 16_000)}[
            kind
        ]
        harder = 1.0 + 0.5 * (self.values["data"]["caption_vocabulary"] == "open")
        harder += 0.5 * (len(survey.descriptions) > _MANY)
        samples = max(min(epochs * records, most), least * records) * harder
        every = max(2, round(samples / at_once / EVALUATIONS))
        steps = every * EVALUATIONS
        passes = steps * at_once / records
        self._section(
            "training",
            output_dir=f"runs/{self._name}",
            run_name=self._name,
            seed=0,
            num_train_epochs=1,
            max_steps=steps,
            per_device_train_batch_size=batch,
            per_device_eval_batch_size=8 if kind != "stock" else 4,
            gradient_accumulation_steps=accumulation,
            **LEARNING_RATES["lora" if self._lora else kind],
            weight_decay=0.05 if kind != "stock" else 0.01,
            adam_beta2=0.98 if kind != "stock" else 0.999,
            lr_scheduler_type="cosine",
            warmup_ratio=0.03,
            max_grad_norm=5.0,
            ema_decay=None if kind == "stock" else 0.999,
            bf16="auto",
            gradient_checkpointing=kind == "stock",
            detection_freeze_epochs=0.0,
            eval_steps=every,
            save_steps=every,
            save_total_limit=2,
            logging_steps=max(1, min(20, steps // 10)),
            metric_for_best_model="AP50",
        )
        because = self._why_longer(harder)
        why = {
            "num_train_epochs": "max_steps decides",
            "max_steps": f"{passes:.3g} passes over {records} records, {at_once} at a time{because}",
            "per_device_train_batch_size": f"{records} records in all" if batch < 8 and kind != "stock" else "",
            "gradient_accumulation_steps": f"with the batch size {at_once} samples a step" if accumulation > 1 else "",
            "vision_lr": "trained weights move less than the new head" if kind == "stock" and not self._lora else "",
            "eval_steps": f"{EVALUATIONS} times, the last one at the end",
        }  # fmt: skip
        for key, text in why.items():
            self._why("training", key, text)

    def _why_longer(self, factor: float) -> str:
        descriptions = len(self._survey.descriptions)
        reasons = ["any text is to be written"] if self.values["data"]["caption_vocabulary"] == "open" else []
        reasons += [f"there are {descriptions} descriptions"] if descriptions > _MANY else []
        return f", {factor:g} times the usual, since {' and '.join(reasons)}" if reasons else ""

    def _detection(self, lengths: _Lengths) -> None:
        head, most = self._start.head, self._survey.most_objects
        crowded = self._survey.crowded
        queries = max(60, _rounded(max(POSITIVES * crowded, most.objects), 10))
        caption = max(8, _rounded(lengths.caption + 2, 4))
        shape = {
            "detection_enabled": True,
            "detection_queries": "proposals",
            "detection_num_queries": queries,
            **(LARGE_HEAD if (self._start.width or 0) >= 1024 else HEAD),
            "detection_caption_max_tokens": caption,
            "detection_adapter_bottleneck_ratio": 8,
            "detection_sampling_points": 4,
            "detection_positives_per_object": POSITIVES,
            "detection_assignment": "several_to_one",
            "detection_nms_iou": 0.6,
            "detection_dropout": 0.0,
        }
        why = {
            "detection_num_queries": f"{POSITIVES} proposals may share an object: 19 in 20 images have at most "
            f"{crowded}",
            "detection_caption_max_tokens": f"the longest description has {lengths.caption} tokens, end included",
        }
        if head is not None:
            self._refuse_what_the_head_cannot(head, lengths, most.objects)
            fixed = _head_values(head)
            if head.queries == "proposals":
                fixed["detection_num_queries"] = queries
            shape |= fixed
            if head.nms_iou is None:
                shape["detection_assignment"] = "one_to_one"
            of_head = dict.fromkeys(fixed, "of the checkpoint, whose weights have this shape")
            of_head["detection_nms_iou"] = "as the checkpoint has it"
            why = of_head | {
                "detection_num_queries": why["detection_num_queries"]
                if head.queries == "proposals"
                else of_head["detection_queries"],
                "detection_caption_max_tokens": f"of the checkpoint; {why['detection_caption_max_tokens']}",
            }
            shape["detection_positives_per_object"] = min(POSITIVES, shape["detection_num_queries"])
        self._section("detection", **shape, **LOSSES)
        if self.values["data"]["caption_vocabulary"] == "open" or len(self._survey.descriptions) > 10:
            # Few steps from a trained detector leave little time to learn words.
            self.values["detection"]["detection_caption_weight"] = 5.0 if self._start.kind == "argus" else 2.5
            why["detection_caption_weight"] = (
                f"{len(self._survey.descriptions)} descriptions are to be told apart; 0.5 for a handful"
            )
        for key, text in why.items():
            self._why("detection", key, text)

    def _refuse_what_the_head_cannot(self, head: Any, lengths: _Lengths, objects: int) -> None:
        assert self._start.folder is not None
        inside = stock_folder(self._start.folder)
        new_head = f"--model {inside} puts a new head beside its language model and vision tower"
        if lengths.caption > head.caption_max_tokens:
            raise CheckpointError(
                f"its head writes descriptions of at most {head.caption_max_tokens} tokens, the longest of these data "
                f"has {lengths.caption}",
                where=self._start.model_path,
                remedy=f"shorten the descriptions, or start otherwise: {new_head}",
            )
        if head.queries == "learned" and objects > head.num_queries:
            raise CheckpointError(
                f"its head finds at most {head.num_queries} objects in an image, {self._survey.most_objects.name} "
                f"shows {objects}",
                where=self._start.model_path,
                remedy=f"split crowded images, or start otherwise: {new_head}",
            )

    def _section(self, name: str, /, **values: Any) -> None:
        self.values[name] = values

    def _why(self, section: str, key: str, reason: str) -> None:
        if reason:
            self.reasons[section, key] = reason


_NO_VAL = "`argus data split` divides train.jsonl"
_SCRIPTS = {"zh": "Chinese", "en": "another script than Chinese"}


def _head_values(head: Any) -> dict[str, Any]:
    """The keys that a checkpoint's head settles."""
    return {
        "detection_enabled": head.detection_enabled,
        "detection_queries": head.queries,
        "detection_num_queries": head.num_queries,
        "detection_hidden_size": head.hidden_size,
        "detection_num_heads": head.num_heads,
        "detection_ffn_size": head.ffn_size,
        "detection_decoder_num_layers": head.decoder_num_layers,
        "detection_caption_decoder_num_layers": head.caption_decoder_num_layers,
        "detection_caption_max_tokens": head.caption_max_tokens,
        "detection_adapter_bottleneck_ratio": head.adapter_bottleneck_ratio,
        "detection_sampling_points": head.sampling_points,
        "detection_nms_iou": head.nms_iou,
    }


def _vocab_size(survey: Survey) -> tuple[int, str]:
    """Of a tokenizer that is learned: bytes and special tokens, and two tokens for each character beyond Latin."""
    characters = {c for text in survey.descriptions for c in text if ord(c) > 0x7F}
    size = min(4096, _rounded(512 + 2 * len(characters), 64))
    if not characters:
        return size, "the descriptions are plain ASCII"
    return size, f"{len(characters)} characters beyond ASCII in the descriptions"


def _first(pattern: re.Pattern[str], texts: Mapping[str, int]) -> str | None:
    """The most frequent text in which the pattern occurs, shortened."""
    found: Iterator[str] = (
        text for text in sorted(texts, key=lambda t: (-texts[t], t)) if pattern.search(text)
    )
    text = next(found, None)
    return None if text is None else text if len(text) <= 40 else f"{text[:39]}…"


def _rounded(value: float, step: int) -> int:
    """Up to a multiple."""
    return math.ceil(value / step) * step


def _path(records: RecordFile) -> str:
    return records.path.as_posix()


def _run_name(train: Path) -> str:
    """After the data folder, or the file where it is no ``train.jsonl``; what a file name can bear."""
    path = real_path(train)
    name = path.parent.name if path.name == "train.jsonl" else path.stem
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "run"
