"""``argus init``: a complete configuration for a data set, each value that the data decided with the reason why.

What the data do not decide stands in ``init.yaml``. The conversations are counted by the tokenizer that the run will
have, so that no limit is a guess.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from argusvl.assets import MODELS, model_folder
from argusvl.config.commented_yaml import write_commented_yaml
from argusvl.config.loading import config_from_mapping
from argusvl.config.yaml_text import read_entries
from argusvl.core.errors import CheckpointError, ConfigError
from argusvl.core.files import read_json_object, read_text, real_path
from argusvl.core.wording import counted, listed
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.checkpoint_layout import has_head, stock_folder
from argusvl.detection.data.labels import Vocabulary, label_of, labels_of
from argusvl.detection.data.measuring.conversation_lengths import Lengths, open_processor
from argusvl.detection.data.measuring.pixel_limits import choose_pixel_limits
from argusvl.detection.data.measuring.survey import Survey, record_files, refuse_bad, small_side, survey_data
from argusvl.detection.data.patches import TOKEN_AREA
from argusvl.detection.data.prompts import prompt_language
from argusvl.detection.data.resize import plan_resize
from argusvl.detection.data.scan import scan
from argusvl.run.checkpoints import checkpoint_at

if TYPE_CHECKING:
    from argusvl.detection.model.configuration import ArgusDetectionConfig

_TEMPLATE = Path(__file__).with_name("init.yaml")
_EMBEDDED = "argus-tiny"
"""The shipped model that finds boxes."""

_CLOSED_MOST, _REPEATED = 200, 5
"""Descriptions are a vocabulary when there are at most so many, each used so often on the mean."""

_KNOWN_MIRRORED, _KNOWN_TURNED = 0.85, 0.75
"""Shares of pictures known as mirrored, or as turned by half, from which on none is shown so: mirrored, chess pieces on
one board 0.97, cards and blood cells 0.5; turned 1.0, 0.57 and 0.66. Chess in 406 steps without flips had 0.009 more
AP, held out (test 0.806 for 0.793; one seed); all three in one set, 0.82 known as turned, 0.049 more without turns."""

_EVALUATIONS = 7
"""In a run; each also saves a checkpoint."""

_PATIENCE = 3
"""Of them without a better figure, after which a run ends."""

_FEW_HELD_OUT = 20
"""Pictures; a figure of fewer goes up and down by chance."""

_FEW_TRAINED = 10
"""Photographs, which made a useful detector of chess pieces; see docs/few-photographs.md."""

_LENGTHS = {
    "random": (80, 3, 0, 16_800),
    "argus": (36, 2, 2_000, 9_600),
    "argus with a second eye": (24, 2, 2_000, 6_400),
    "stock": (10, 2, 0, 16_000),
}
"""Passes over the records and the fewest of them, and the fewest and most samples, by what a run starts from.

With a second eye 24 passes in place of 16 gave held-out chess 0.018 more AP and blood cells 0.005 less; 16 in place of
8 cards 0.047 and blood cells 0.008 more. A few photographs are gone over more often: 200 steps are what 20 of BCCD
needed.
"""

_DIRECTION = re.compile(
    r"\b(left|right|leftmost|rightmost|clockwise|counter-?clockwise|anticlockwise)\b|[左右]|[顺逆]时针", re.I
)
_UPRIGHT = re.compile(
    r"\b(up|down|upper|lower|top|bottom|upside|above|below|upright|vertical|horizontal)\b|[上下横竖立]", re.I
)
_COLOUR = re.compile(
    r"\b(red|green|blue|yellow|black|white|gr[ae]y|orange|purple|violet|pink|brown|cyan|magenta|golden|silver)\b"
    r"|[红绿蓝黄黑白灰橙紫粉棕]",
    re.I,
)
_MANY = 20  # descriptions; to tell so many apart takes longer
_QUERIES = 300
"""Of a head whose queries are proposals. Held-out AP of blood cells 0.53 with 300 after 29 steps, 0.35 with 120."""
_PLENTY = 100
"""Objects of a kind, on the mean, from which boxes are what is left to learn: held-out AP rose by 0.01 with twice their
weight where there were 160 and 930, and fell by as much as 0.04 where there were 70 (docs/figures.md)."""
_NAMED = 8
_NO_VAL = "`argus data split` divides train.jsonl"
_SCRIPTS = {"zh": "Chinese", "en": "another script than Chinese"}


@dataclass(frozen=True, slots=True)
class StartingConfig:
    """A configuration as text, what it loads to, and what a person should know that no key shows.

    ``is_small``: it trains a model of the shipped size, not a Qwen2.5-VL as it is published.
    """

    yaml: str
    config: DetectionRunConfig
    notes: tuple[str, ...]
    is_small: bool


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
        model: What to start from: a Qwen2.5-VL folder in hub layout, a checkpoint of ours, the name of a model that
            ships with us, or ``random``. ``None``: the first model that ships with this installation, else random
            weights.
        root: Folder that image paths are relative to; each file's own when ``None``.
        lora: Whether adapters train in place of a Qwen2.5-VL's own weights.
        progress: Whether to show progress bars.

    Raises:
        ConfigError: ``lora`` is asked for, and the model is no Qwen2.5-VL in hub layout.
        DataError: There is nothing to train on, or a record cannot be used.
        CheckpointError: The model is none, or the data do not fit it.
    """
    record_files(data)  # a mistake in the path is told before a model is looked into, which takes seconds
    start = _starting_point(model)
    if lora and start.kind != "stock":
        raise ConfigError(
            f"adapters train on a Qwen2.5-VL in hub layout, not on {start.model_path or 'random weights'}",
            where="--lora",
            remedy="name its folder by --model, or leave --lora out: small models train whole",
        )
    survey = survey_data(data, root=root, progress=progress)
    draft = _Draft.of(start, lora)
    tokens = _decide_data(draft, survey, start, data, progress)
    if lora:
        draft.why("model.peft", "small weights that train beside the frozen ones")
    _decide_files(draft, survey, root)
    _decide_teachers(draft, survey, start)
    _decide_lengths(draft, tokens, start)
    _decide_vocabulary(draft, survey)
    _decide_augmentation(draft, survey)
    _decide_training(draft, survey, start, lora)
    _decide_head(draft, survey, start, tokens)
    draft.why("infrastructure.device", "CUDA where there is one")
    values = draft.nested()
    config = config_from_mapping(values, DetectionRunConfig, "the configuration for these data")
    text = write_commented_yaml(values, draft.reasons, _head(data, survey, start))
    return StartingConfig(text, config, tuple(draft.notes), start.kind != "stock")


# --- what a run starts from -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _StartingPoint:
    """What a run starts from, and what that settles.

    Attributes:
        kind: ``random``: new weights; ``stock``: a Qwen2.5-VL, with a new head; ``argus``: a checkpoint of ours.
        model_path: As it stands in the configuration; ``None`` for new weights.
        folder: Where that is.
        head: Shape of the head of a checkpoint of ours.
        longest: Tokens of the longest conversation that the model has been made for, where that is known.
        width: Of the language model, in features, where that is known.
    """

    kind: Literal["random", "stock", "argus"]
    model_path: str | None = None
    folder: Path | None = None
    head: ArgusDetectionConfig | None = None
    longest: int | None = None
    width: int | None = None

    @property
    def sees(self) -> bool:
        """Whether the head has a second eye, or gets one."""
        return self.kind == "argus" and self.head is not None and self.head.queries == "proposals"


def _starting_point(model: str | None) -> _StartingPoint:
    """What ``--model`` means.

    Raises:
        CheckpointError: There is no such model, or the folder is none.
    """
    if model is None:
        model = _EMBEDDED if MODELS[_EMBEDDED].is_dir() else "random"
    if model == "random":
        return _StartingPoint("random")
    folder = model_folder(model)
    if not folder.is_dir():
        if model == _EMBEDDED:
            raise CheckpointError(
                "does not ship with this installation", where=model, remedy="give a folder, or --model random"
            )
        raise CheckpointError(
            "no such folder, and no model of that name",
            where=model,
            remedy=f"give a Qwen2.5-VL folder in hub layout, a checkpoint of ours, {_EMBEDDED}, or random",
        )
    if (saved := checkpoint_at(folder)) != folder:
        model, folder = saved.as_posix(), saved
    if has_head(folder):
        from argusvl.detection.model.loading import load_config

        head = load_config(folder)
        text = head.text_sizes
        return _StartingPoint("argus", model, folder, head, text.max_position_embeddings, text.hidden_size)
    file = folder / "config.json"
    remedy = (
        "give a Qwen2.5-VL folder in hub layout, or a checkpoint that `argus train` wrote; one of another task "
        "needs its --task"
    )
    if not file.is_file():
        raise CheckpointError("no config.json", where=folder, remedy=remedy)
    values = read_json_object(file, remedy="copy the folder again")
    found = values.get("model_type")
    if found != "qwen2_5_vl":
        what = f"no detector and no Qwen2.5-VL: its config.json has the model_type {found!r}"
        raise CheckpointError(what, where=folder, remedy=remedy)
    stated = values.get("text_config") or values
    sizes = (stated.get(name) for name in ("max_position_embeddings", "hidden_size"))
    longest, width = (size if isinstance(size, int) else None for size in sizes)
    return _StartingPoint("stock", model, folder, None, longest, width)


# --- the text in the making -----------------------------------------------------------------------------------------

Key = tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    """The template, with what has been decided so far: values in its order, reasons, and notes that no key shows."""

    values: dict[Key, Any]
    reasons: dict[Key, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, start: _StartingPoint, lora: bool) -> _Draft:
        """The parts of the template that are for this starting point."""
        parts: dict[str, dict[Key, Any]] = {}
        for entry in read_entries(read_text(_TEMPLATE), _TEMPLATE.name):
            parts.setdefault(entry.path[0], {})[entry.path[1:]] = entry.value
        values = dict(parts["small"])
        if start.kind == "stock":
            values |= parts["released"]
        if lora:
            values |= parts["lora"]
        if (start.width or 0) >= 1024:
            values |= parts["wide_head"]
        absent = {
            "random": ("model_path", "transfer_vocab_size"),
            "argus": ("architecture",),
            "stock": ("architecture", "transfer_vocab_size"),
        }[start.kind]
        return cls(
            {key: value for key, value in values.items() if key[:2] not in {("model", k) for k in absent}}
        )

    def put(self, key: str, value: Any, why: str = "") -> None:
        """Decides a key (``section.key``)."""
        self.values[tuple(key.split("."))] = value
        self.why(key, why)

    def why(self, key: str, reason: str) -> None:
        """Gives a key its reason."""
        if reason:
            self.reasons[tuple(key.split("."))] = reason

    def nested(self) -> dict[str, Any]:
        """The values by section."""
        nested: dict[str, Any] = {}
        for (*sections, key), value in self.values.items():
            inner = nested
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[key] = value
        return nested


def _head(data: str | Path, survey: Survey, start: _StartingPoint) -> str:
    """What stands above everything."""
    held_out = f"{len(survey.val)} records held out" if survey.val is not None else "none held out"
    origin = {
        "random": "random weights",
        "stock": f"the Qwen2.5-VL in {start.model_path}, with a new detection head",
        "argus": f"{start.model_path}, a trained detector",
    }[start.kind]
    return (
        f"By `argus init` for {data}: {survey.train_images} training images, {survey.objects} objects, "
        f"{held_out}.\nStarts from {origin}. Values with a comment were decided by the data; paths are relative to "
        "the folder that the command is run in.\nCheck it with `argus train THIS_FILE --validate-only`."
    )


# --- what is decided ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What was counted, in tokens: the longest conversation without teachers of the pool, the longest description, what
    each scene of the pool adds (the longest first), and the largest image.
    """

    longest: int
    caption: int
    teachers: tuple[int, ...]
    vision: int


def _decide_data(
    draft: _Draft, survey: Survey, start: _StartingPoint, data: str | Path, progress: bool
) -> _Tokens:
    """Pixels, language and vocabulary, on which everything else rests: what the conversations are counted by."""
    pixels = choose_pixel_limits(survey.images, small_side(survey.trained_on.sides), survey.limits)
    language = prompt_language(survey.descriptions)
    draft.put("data.min_pixels", pixels.min_pixels, pixels.why_min)
    draft.put("data.max_pixels", pixels.max_pixels, pixels.why_max)
    draft.put("data.prompt_language", language, f"most descriptions are written in {_SCRIPTS[language]}")
    vocab_size, why = _vocab_size(survey)
    if start.kind == "random":
        draft.why("model.architecture", "random weights: sizes that two cores can train")
        draft.put("model.architecture.vocab_size", vocab_size, why)
    else:
        draft.put("model.model_path", start.model_path)
    if start.kind == "argus":
        draft.put("model.transfer_vocab_size", vocab_size, why)
    processor = open_processor(
        survey.described.scenes(),
        model=start.model_path if start.kind == "stock" else None,
        language=language,
        max_pixels=pixels.max_pixels,
        vocab_size=vocab_size,
        learned_for=survey.train,
    )
    files = survey.files()
    counted = [Lengths(processor, pixels.limits) for _ in files]
    for file, lengths in zip(files, counted, strict=True):
        scan(file, [lengths], doing="counting tokens of", progress=progress)
    refuse_bad([error for one in counted for _, error in one.bad], sum(map(len, files)), data)
    pool = counted.pop().students[:, 0].tolist() if survey.pool is not None else []
    return _Tokens(
        longest=max(int(one.conversations.max()) for one in counted),
        caption=max(len(processor.encode(text)) + 1 for text in survey.descriptions),
        teachers=tuple(sorted(pool, reverse=True)),
        vision=max(plan_resize(one.width, one.height, *pixels.limits).vision_tokens for one in survey.images),
    )


def _vocab_size(survey: Survey) -> tuple[int, str]:
    """Of a tokenizer that is learned: bytes and special tokens, and two tokens for each character beyond Latin."""
    characters = {c for text in survey.descriptions for c in text if ord(c) > 0x7F}
    size = min(4096, _rounded(512 + 2 * len(characters), 64))
    if not characters:
        return size, "the descriptions are plain ASCII"
    return size, f"{len(characters)} characters beyond ASCII in the descriptions"


def _decide_files(draft: _Draft, survey: Survey, root: str | Path | None) -> None:
    train, name = survey.train, _run_name(survey.train.path)
    why = f"{len(train)} records, {survey.train_images} images, {survey.objects} objects"
    draft.put("data.train", train.path.as_posix(), why)
    why = f"{len(survey.val)} records" if survey.val else _NO_VAL
    draft.put("data.val", survey.val and survey.val.path.as_posix(), why)
    draft.put("data.teacher_pool", survey.pool and survey.pool.path.as_posix())
    draft.put("data.root", root if root is None else Path(root).as_posix())
    if len(train) < _FEW_TRAINED:
        draft.notes.append(
            f"{counted(len(train), 'training record')}: {_FEW_TRAINED} are the fewest that made a useful detector"
        )
    draft.put("training.output_dir", f"runs/{name}")
    draft.put("training.run_name", name)
    if survey.val is None:
        draft.notes.append("there are no held-out records, so no figure will be measured: " + _NO_VAL)
    elif len(survey.val) < _FEW_HELD_OUT:
        few = counted(len(survey.val), "held-out record")
        draft.notes.append(
            f"{few}: the figures of so few go up and down by chance, and choose the best checkpoint"
        )


def _decide_teachers(draft: _Draft, survey: Survey, start: _StartingPoint) -> None:
    ratio, count = 0.7 if start.kind == "stock" else 0.1, 1
    if survey.pool is not None:
        why = f"a pool of {len(survey.pool)} scenes to show"
    elif survey.trained_on.with_teachers:
        why = f"{survey.trained_on.with_teachers} records bring demonstrations of their own"
    else:
        ratio, count, why = 0.0, 0, "there is no teacher pool; `argus data pool` makes one"
    draft.put("data.teacher_ratio", ratio, why)
    draft.put("data.num_teachers", count)


def _decide_lengths(draft: _Draft, tokens: _Tokens, start: _StartingPoint) -> None:
    shown = sum(tokens.teachers[: draft.values["data", "num_teachers"]])
    allowed = draft.values["data", "max_pixels"] // TOKEN_AREA
    longest, image = tokens.longest + shown, max(tokens.vision, allowed)
    most = _rounded(max(1.05 * longest, image + 256), 64)
    with_teachers = f", with the longest teacher {longest}" if shown else ""
    why = f"the longest conversation has {tokens.longest} tokens{with_teachers}, images included"
    if image + 256 > 1.05 * longest:
        why += f"; max_pixels allows images of {image}"
    if start.longest is not None and most > start.longest:
        why += f"; more than the {start.longest} that the model was made for"
        draft.notes.append(
            f"conversations are longer ({longest} tokens) than the model was made for ({start.longest}): lower "
            "max_pixels, or split crowded images"
        )
    draft.put("model.model_max_length", most, why)
    draft.put("data.vision_tokens_warn", tokens.vision, "the largest image of these data has as many")
    draft.put("data.vision_tokens_max", image, "what max_pixels allows")


def _decide_vocabulary(draft: _Draft, survey: Survey) -> None:
    descriptions = survey.descriptions
    count, types = len(descriptions), len(labels_of(descriptions, "open"))
    repeated = count <= _CLOSED_MOST and survey.objects >= _REPEATED * count
    # A handful of names is a vocabulary, however few their objects.
    captions: Vocabulary = "closed" if repeated or count <= _NAMED else "open"
    vocabulary: Vocabulary = "closed" if captions == "closed" and types == count else "open"
    if types < count:
        why = f"descriptions have levels: the first names one of {types} types"
    elif vocabulary == "closed":
        why = "each description is a class of its own"
    else:
        why = f"free text: {types} types before the first '/'"
        if types > _CLOSED_MOST:
            draft.notes.append(
                f"the descriptions begin with {types} different types (what stands before the first '/'): figures "
                "by class mean little; write a type first, e.g. screw/rusty, long"
            )
    chosen = "always one of them, never misspelt" if captions == "closed" else "any text"
    draft.put("data.vocabulary", vocabulary, why)
    why = f"{count} different descriptions of {survey.objects} objects: {chosen}"
    draft.put("data.caption_vocabulary", captions, why)
    counts: Counter[str] = Counter()
    for text, objects in descriptions.items():
        counts[label_of(text, vocabulary)] += objects
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = listed([f"{label[:40]} {objects}" for label, objects in ordered], _NAMED)
    draft.why("data.labels", f"those found in the training records: {named}")


def _decide_augmentation(draft: _Draft, survey: Survey) -> None:
    # It brings torch: a mistake in a path is told without.
    from argusvl.detection.data.measuring.symmetries import told_apart

    section = "data.augmentation"
    directed, upright, coloured = (
        _first(what, survey.descriptions) for what in (_DIRECTION, _UPRIGHT, _COLOUR)
    )
    apart = None if directed else told_apart(survey.pictures())
    flips, why = 0.5, "no description names a side"
    if directed:
        flips, why = 0.0, f"off: {directed!r} tells left from right"
    elif apart is not None and apart.mirrored >= _KNOWN_MIRRORED:
        flips, why = 0.0, f"off: mirrored, these pictures are known as such, {apart.mirrored:.0%} of them"
    elif apart is not None:
        why += f", no mirrored picture looks it ({apart.mirrored:.0%} known, 50% by chance)"
    draft.put(f"{section}.horizontal_flip", flips, why)
    turns, why = 0.0, "0.5 if your pictures have no up and down, as under a microscope"
    if directed or upright:
        why = f"off: {directed or upright!r} would be wrong"
    elif apart is not None and apart.turned >= _KNOWN_TURNED:
        why = f"off: upside down, these pictures are known as such, {apart.turned:.0%} of them"
    elif apart is not None:
        turns, why = 0.5, f"no up and down: turned, {apart.turned:.0%} are known as such, 50% by chance"
    mirrors = turns > flips  # upside down is mirrored and turned by half
    draft.put(f"{section}.vertical_flip", min(turns, flips), "off: it mirrors, too" if mirrors else why)
    draft.put(f"{section}.rotate90", turns, why if mirrors else "")
    for key, little, much, word in (("saturation", 0.1, 0.3, "little"), ("hue", 0.0, 0.02, "off")):
        why = f"{word}: {coloured!r} names a colour" if coloured else "no description names a colour"
        draft.put(f"{section}.{key}", little if coloured else much, why)


def _decide_training(draft: _Draft, survey: Survey, start: _StartingPoint, lora: bool) -> None:
    records, descriptions, stock = len(survey.train), len(survey.descriptions), start.kind == "stock"
    batch = min(2, records) if stock else 1 << min(3, records.bit_length() - 1)
    accumulation = max(1, min(8, records // batch)) if stock else 1
    at_once = batch * accumulation
    harder = ["any text is to be written"] * (draft.values["data", "caption_vocabulary"] == "open")
    harder += [f"there are {descriptions} descriptions"] * (descriptions > _MANY)
    factor = 1.0 + 0.5 * len(harder)
    epochs, least, few, most = _LENGTHS[f"{start.kind} with a second eye" if start.sees else start.kind]
    samples = max(min(epochs * records, most), least * records, few) * factor
    every = max(2, round(samples / at_once / _EVALUATIONS))
    steps = every * _EVALUATIONS
    longer = f", {factor:g} times the usual, since {' and '.join(harder)}" if harder else ""
    draft.why("training.num_train_epochs", "max_steps decides")
    why = f"{steps * at_once / records:.3g} passes over {records} records, {at_once} at a time{longer}"
    draft.put("training.max_steps", steps, why)
    why = f"{records} records in all" if batch < 8 and not stock else ""
    draft.put("training.per_device_train_batch_size", batch, why)
    why = f"with the batch size {at_once} samples a step" if accumulation > 1 else ""
    draft.put("training.gradient_accumulation_steps", accumulation, why)
    if stock and not lora:
        draft.why("training.vision_lr", "trained weights move less than the new head")
    draft.put("training.eval_steps", every, f"{_EVALUATIONS} times, the last one at the end")
    draft.put("training.save_steps", every)
    if survey.val is not None and len(survey.val) >= _FEW_HELD_OUT:
        why = "training ends earlier where held-out records gain nothing"
        draft.put("training.early_stopping_patience", _PATIENCE, why)
    draft.put("training.logging_steps", max(1, min(20, steps // 10)))


def _decide_head(draft: _Draft, survey: Survey, start: _StartingPoint, tokens: _Tokens) -> None:
    positives: int = draft.values["detection", "detection_positives_per_object"]
    most = survey.most_objects.objects
    shared = _rounded(max(positives * survey.crowded, most), 10)
    queries = max(_QUERIES, shared)
    why_queries = (
        f"{positives} proposals may share an object: 19 in 20 images have at most {survey.crowded}"
        if shared > _QUERIES
        else "each cell within an object proposes it: of fewer, large objects leave none for the rest"
    )
    why_caption = f"the longest description has {tokens.caption} tokens, end included"
    if start.head is None:
        draft.put("detection.detection_num_queries", queries, why_queries)
        draft.put(
            "detection.detection_caption_max_tokens", max(8, _rounded(tokens.caption + 2, 4)), why_caption
        )
    else:
        from argusvl.detection.model.configuration import HEAD_KEYS

        _refuse_what_the_head_cannot(start, start.head, tokens, survey)
        for name, key in HEAD_KEYS.items():
            if name != "dropout":
                value = getattr(start.head, name)
                draft.put(f"detection.{key}", value, "of the checkpoint, whose weights have this shape")
        if start.sees and start.head.second_eye == "none":
            why = "features of photographs, which tell kinds apart; a step takes half as long again; none: without it"
            draft.put("detection.detection_second_eye", "efficientnet-lite0", why)
        kinds = max(1, len(survey.descriptions))
        if start.sees and survey.objects >= _PLENTY * kinds:
            why = f"twice as much as usual: {survey.objects} objects tell {kinds} kinds, so boxes are what is left"
            draft.put("detection.detection_bbox_weight", 50.0, why)
            draft.put("detection.detection_giou_weight", 20.0)
        draft.why("detection.detection_nms_iou", "as the checkpoint has it")
        draft.why("detection.detection_caption_max_tokens", f"of the checkpoint; {why_caption}")
        if start.head.queries == "proposals":
            draft.put("detection.detection_num_queries", queries, why_queries)
        if start.head.nms_iou is None:
            draft.put("detection.detection_assignment", "one_to_one")
        found = draft.values["detection", "detection_num_queries"]
        draft.put("detection.detection_positives_per_object", min(positives, found))
    descriptions = len(survey.descriptions)
    if draft.values["data", "caption_vocabulary"] == "open" or descriptions > _MANY:
        # Few steps from a trained detector leave little time to learn words.
        weight = 5.0 if start.kind == "argus" else 2.5
        why = f"{descriptions} descriptions are to be told apart; 0.5 for a handful"
        draft.put("detection.detection_caption_weight", weight, why)


def _refuse_what_the_head_cannot(
    start: _StartingPoint, head: ArgusDetectionConfig, tokens: _Tokens, survey: Survey
) -> None:
    assert start.folder is not None
    new_head = (
        f"--model {stock_folder(start.folder)} puts a new head beside its language model and vision tower"
    )
    crowd = survey.most_objects
    if tokens.caption > head.caption_max_tokens:
        raise CheckpointError(
            f"its head writes descriptions of at most {head.caption_max_tokens} tokens, the longest of these data "
            f"has {tokens.caption}",
            where=start.model_path,
            remedy=f"shorten the descriptions, or start otherwise: {new_head}",
        )
    if head.queries == "learned" and crowd.objects > head.num_queries:
        raise CheckpointError(
            f"its head finds at most {head.num_queries} objects in an image, {crowd.name} shows {crowd.objects}",
            where=start.model_path,
            remedy=f"split crowded images, or start otherwise: {new_head}",
        )


def _first(pattern: re.Pattern[str], texts: Mapping[str, int]) -> str | None:
    """The most frequent text in which the pattern occurs, shortened."""
    found = [text for text in texts if pattern.search(text)]
    if not found:
        return None
    text = min(found, key=lambda t: (-texts[t], t))
    return text if len(text) <= 40 else f"{text[:39]}…"


def _rounded(value: float, step: int) -> int:
    """Up to a multiple."""
    return math.ceil(value / step) * step


def _run_name(train: Path) -> str:
    """After the data folder, or the file where it is no ``train.jsonl``; what a file name can bear."""
    path = real_path(train)
    name = path.parent.name if path.name == "train.jsonl" else path.stem
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "run"
