"""The configuration of a detection run: the common sections, extended, and the task's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from argusvl.config.schema import (
    Count,
    DataSection,
    FilePath,
    KeyProblem,
    Probability,
    Rate,
    RunConfig,
    Section,
    TrainingSection,
)
from argusvl.detection.data.patches import TOKEN_AREA, TOKEN_SIDE
from argusvl.detection.model import peft_methods

Metric = Literal[
    "AP",
    "AP50",
    "AP75",
    "AR100",
    "AP50_agnostic",
    "caption_exact",
    "dense_caption_mAP_chrf",
    "dense_caption_mAP_meteor",
    "recall",
]
"""Figures of an evaluation that may choose the best checkpoint; each is higher when better. METEOR is measured only
where it chooses: it needs Java and the extra ``pycocoevalcap``."""

Weight = Annotated[float, Field(ge=0)]
Change = Annotated[float, Field(ge=0, le=1)]
VocabularySize = Annotated[int, Field(ge=300)]


class ArchitectureSection(Section):
    """Sizes of a Qwen2.5-VL with random weights."""

    hidden_size: Count
    """Width of the language model, in features."""
    num_hidden_layers: Count
    """Number of layers of the language model."""
    num_attention_heads: Count
    """Number of query heads in each layer of the language model."""
    num_key_value_heads: Count
    """Number of key and value heads in each layer of the language model."""
    intermediate_size: Count
    """Width of the language model's feed-forward layers, in features."""
    vision_hidden_size: Count
    """Width of the vision tower, in features."""
    vision_depth: Count
    """Number of layers of the vision tower."""
    vision_num_heads: Count
    """Number of heads in each layer of the vision tower."""
    vision_intermediate_size: Count
    """Width of the vision tower's feed-forward layers, in features."""
    vision_window_size: Count
    """Side of a window of the vision tower's local attention, in pixels; a multiple of 28."""
    vision_fullatt_block_indexes: list[Annotated[int, Field(ge=0)]]
    """Indexes of the vision layers that attend to the whole image; the others attend within windows."""
    vocab_size: VocabularySize
    """Largest number of tokens of the tokenizer that is trained on the records (256 bytes, special tokens, merges)."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        yield from _indivisible(self, "hidden_size", 2, "num_attention_heads")
        heads, shared = self.num_attention_heads, self.num_key_value_heads
        if heads % shared:
            what = f"{heads} attention heads cannot share {shared} evenly"
            yield KeyProblem("num_key_value_heads", what, "choose a divisor of num_attention_heads")
        yield from _indivisible(self, "vision_hidden_size", 4, "vision_num_heads")
        if self.vision_window_size % TOKEN_SIDE:
            what = f"{self.vision_window_size} is no multiple of {TOKEN_SIDE}"
            remedy = f"write {max(TOKEN_SIDE, round(self.vision_window_size / TOKEN_SIDE) * TOKEN_SIDE)}"
            yield KeyProblem("vision_window_size", what, remedy)
        beyond = [i for i in self.vision_fullatt_block_indexes if i >= self.vision_depth]
        if beyond:
            what = f"{beyond} is beyond the last of {self.vision_depth} layers"
            remedy = f"write indexes from 0 to {self.vision_depth - 1}, or raise vision_depth"
            yield KeyProblem("vision_fullatt_block_indexes", what, remedy)


class PeftSection(Section):
    """Training of adapters in the layers of a frozen stock model, by PEFT; the head is trained whole beside them."""

    peft_method: str
    """PEFT's name of the method, in small letters: lora (use_dora and use_rslora are options of it), ia3, vera, oft."""
    peft_parts: Annotated[list[Literal["llm", "vision", "merger"]], Field(min_length=1)]
    """Parts whose linear layers get adapters, which train at the part's rate: the language model (llm), the vision
    tower, its merger. The other parts stay as they are."""
    peft_options: dict[str, Any]
    """Options of the method, by PEFT's names, such as r, lora_alpha, lora_dropout; target_modules chooses among the
    layers by the last parts of their names, such as q_proj."""
    base_dtype: Literal["float32", "bfloat16", "int8", "nf4", "fp4"]
    """What the frozen weights are held in: 4, 2, 1 or half a byte each; the last three need bitsandbytes (QLoRA).
    But for float32 the model computes in bfloat16."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        if len(set(self.peft_parts)) != len(self.peft_parts):
            yield KeyProblem("peft_parts", f"names a part twice: {self.peft_parts}", "name each once")
        if self.base_dtype in ("int8", "nf4", "fp4") and not peft_methods.has_bitsandbytes():
            what = f"{self.base_dtype} needs bitsandbytes, which is not installed"
            yield KeyProblem("base_dtype", what, "pip install 'argusvl[qlora]', or write bfloat16")
        problem = peft_methods.method_problem(self.peft_method)
        if problem is not None:
            yield KeyProblem("peft_method", problem, f"write one of: {', '.join(peft_methods.methods())}")
            return
        for option, what, remedy in peft_methods.option_problems(self.peft_method, self.peft_options):
            yield KeyProblem(".".join(filter(None, ("model.peft.peft_options", option))), what, remedy)


class ModelSection(Section):
    """The stock model: from a folder, or new with random weights."""

    model_path: FilePath | None = None
    """Folder of weights: a Qwen2.5-VL in hub layout, or a checkpoint of ours; or argus-tiny, which ships with Argus.
    Excludes architecture."""
    architecture: ArchitectureSection | None = None
    """Sizes of a model with random weights. Excludes model_path."""
    tokenizer_path: FilePath | None = None
    """Folder of the tokenizer of a model with random weights; null to learn one from the training records."""
    transfer_vocab_size: VocabularySize | None = None
    """Largest number of tokens of a tokenizer that is learned from the training records and replaces that of
    model_path; each new token starts as the mean of those that it was written with. null keeps the tokenizer."""
    model_max_length: Count
    """Longest conversation, in tokens, images included."""
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"]
    """Attention of the stock model, by transformers' name; flash_attention_2 needs a GPU and its package."""
    peft: PeftSection | None = None
    """Training of adapters (LoRA and others) in place of the stock model's own weights; null: the weights."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        if self.model_path is None and self.architecture is None:
            what = "neither a folder of weights nor an architecture is given"
            yield KeyProblem("model_path", what, "give model_path, or the sizes under architecture")
        if self.model_path is not None and self.architecture is not None:
            what = "is given together with architecture, which is for random weights"
            remedy = "remove one of them (on the command line: architecture=null or model_path=null)"
            yield KeyProblem("model_path", what, remedy)
        if self.model_path is not None and self.tokenizer_path is not None:
            what = "is given together with model_path, which has a tokenizer of its own"
            yield KeyProblem("tokenizer_path", what, "set tokenizer_path to null")
        if self.model_path is None and self.transfer_vocab_size is not None:
            what = "is given without model_path: there is no vocabulary to transfer from"
            remedy = "set it to null; architecture.vocab_size sizes the tokenizer of random weights"
            yield KeyProblem("transfer_vocab_size", what, remedy)
        if self.peft is not None and self.model_path is None:
            what = "is given without model_path: random weights that stay as they are would be the base"
            yield KeyProblem("peft", what, "give model_path, or set peft to null")
        if self.peft is not None and self.transfer_vocab_size is not None:
            what = "is given together with peft: the embeddings of new tokens would not be in the base"
            yield KeyProblem("transfer_vocab_size", what, "set one of them to null")


class AugmentationSection(Section):
    """Random changes of the student's images in training."""

    horizontal_flip: Probability
    """Probability that an image is mirrored left to right."""
    vertical_flip: Probability
    """Probability that an image is mirrored top to bottom."""
    rotate90: Probability
    """Probability that an image is turned by 90 degrees, to either side."""
    scale_min: Annotated[float, Field(gt=0)]
    """Smallest factor of a random zoom about a random point; 1.0 for both limits to turn it off."""
    scale_max: Annotated[float, Field(gt=0)]
    """Largest factor of a random zoom about a random point."""
    brightness: Change
    """Largest relative change of brightness."""
    contrast: Change
    """Largest relative change of contrast."""
    saturation: Change
    """Largest relative change of saturation."""
    hue: Annotated[float, Field(ge=0, le=0.5)]
    """Largest shift of hue, as a fraction of the colour circle."""
    min_visible: Probability
    """Smallest part of an object's box that must stay in the image for the object to stay."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        yield from _beyond(self, "scale_min", "scale_max")


class DetectionDataSection(DataSection):
    """Which records are used, and how they become batches."""

    teacher_pool: FilePath | None = None
    """JSONL file of scenes that demonstrations are drawn from; without it, only those in the records."""
    teacher_ratio: Probability
    """Fraction of training samples that get demonstrations."""
    num_teachers: Annotated[int, Field(ge=0)]
    """Number of demonstrations of a sample that gets any."""
    collator_type: Literal["standard", "packed"]
    """How samples become a batch: standard pads to the longest; packed puts them into one row without padding."""
    packed_max_tokens: Count | None = None
    """Most tokens of a packed row, before augmentation; null: as many as per_device_train_batch_size samples have on
    average."""
    min_pixels: Annotated[int, Field(ge=TOKEN_AREA)]
    """Smallest area of an image after resizing, in pixels."""
    max_pixels: Annotated[int, Field(ge=TOKEN_AREA)]
    """Largest area of an image after resizing, in pixels."""
    vision_tokens_warn: Count
    """Number of merged vision tokens of an image above which a warning is given."""
    vision_tokens_max: Count
    """Number of merged vision tokens of an image above which vision_tokens_policy applies."""
    vision_tokens_policy: Literal["refuse", "resize"]
    """What happens to an image above vision_tokens_max."""
    over_length_policy: Literal["refuse", "drop_teachers"]
    """What happens to a sample longer than model_max_length."""
    prompt_language: Literal["zh", "en"]
    """Language of the prompts: Chinese or English."""
    vocabulary: Literal["open", "closed"]
    """Whether a class is a description's first segment (open) or the whole description (closed)."""
    labels: list[Annotated[str, Field(min_length=1)]] | None = None
    """Labels that queries are compared with; without them, those found in the training records."""
    caption_vocabulary: Literal["open", "closed"] | None = None
    """Whether a caption is any text (open) or always one of the training descriptions (closed); null: as vocabulary."""
    augmentation: AugmentationSection
    """Random changes of the student's images in training."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        yield from _beyond(self, "min_pixels", "max_pixels")
        yield from _beyond(self, "vision_tokens_warn", "vision_tokens_max")
        if self.teacher_ratio > 0 and self.num_teachers == 0:
            what = f"is 0 while teacher_ratio is {self.teacher_ratio}"
            yield KeyProblem("num_teachers", what, "write 1 or more, or teacher_ratio: 0")
        if self.labels is not None:
            twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
            if twice or not self.labels:
                what = f"holds {twice} more than once" if twice else "is an empty list"
                yield KeyProblem("labels", what, "name each label once, or leave labels out")

    def cross_field_warnings(self) -> Iterator[KeyProblem]:  # noqa: D102
        if self.teacher_ratio > 0 and self.teacher_pool is None:
            what = f"is not given while teacher_ratio is {self.teacher_ratio}: only records with teachers get any"
            remedy = "give one, or write teacher_ratio: 0"
            yield KeyProblem("teacher_pool", what, remedy)


class DetectionTrainingSection(TrainingSection):
    """How long, how fast, and what is kept."""

    vision_lr: Rate
    """Peak learning rate of the vision tower without its merger; 0 freezes it."""
    merger_lr: Rate
    """Peak learning rate of the merger of vision tokens; 0 freezes it."""
    llm_lr: Rate
    """Peak learning rate of the language model, its embeddings and output layer; 0 freezes them."""
    detection_lr: Rate
    """Peak learning rate of the detection head without its adapters; 0 freezes it."""
    adapter_lr: Rate
    """Peak learning rate of the adapters between the stock model and the head; 0 freezes them."""
    detection_freeze_epochs: Annotated[float, Field(ge=0)]
    """Epochs at the beginning in which the detection head and its adapters do not train."""
    gradient_checkpointing_parts: list[Literal["vision", "language", "head"]] | None = None
    """Parts of the model that gradient_checkpointing is for; null for all."""
    metric_for_best_model: Metric
    """Figure of an evaluation that chooses the best checkpoint; higher is better."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        yield from super().cross_field_problems()
        if self.gradient_checkpointing_parts is not None and not self.gradient_checkpointing:
            what = "is given while gradient_checkpointing is false"
            remedy = "write null, or gradient_checkpointing: true"
            yield KeyProblem("gradient_checkpointing_parts", what, remedy)
        if not any((self.vision_lr, self.merger_lr, self.llm_lr, self.detection_lr, self.adapter_lr)):
            yield KeyProblem(
                "detection_lr", "is 0 like all other rates: nothing would train", "raise one of the rates"
            )


class DetectionSection(Section):
    """The detection head and its losses."""

    detection_enabled: bool
    """Whether there is a detection head; without it the language path alone is trained."""
    detection_queries: Literal["learned", "proposals"]
    """Form of the queries: embeddings that are learned, or the most promising places of the image."""
    detection_num_queries: Count
    """Number of queries of an image: the most objects that can be found in it."""
    detection_hidden_size: Count
    """Width of the head, in features."""
    detection_num_heads: Count
    """Number of attention heads in each layer of the head."""
    detection_ffn_size: Count
    """Width of the head's feed-forward layers, in features."""
    detection_decoder_num_layers: Count
    """Number of layers that refine the boxes."""
    detection_caption_decoder_num_layers: Count
    """Number of layers of the decoder that writes descriptions."""
    detection_caption_max_tokens: Count
    """Longest description, in tokens, its end token included."""
    detection_adapter_bottleneck_ratio: Count
    """Width of the stock model divided by the width inside an adapter."""
    detection_sampling_points: Count
    """Number of places in the image that a query looks at, for each head of a layer."""
    detection_second_eye: Literal["none", "efficientnet-lite0"] = "none"
    """Encoder beside the vision tower, whose maps of 8 to 32 pixels the head reads too; trains at 0.2 of adapter_lr."""
    detection_positives_per_object: Count
    """Number of proposals that each object is assigned to where proposals are chosen."""
    detection_assignment: Literal["one_to_one", "several_to_one"]
    """Queries that answer for an object: exactly one, or several of which detection_nms_iou keeps the best."""
    detection_nms_iou: Annotated[float, Field(gt=0, le=1)] | None
    """Overlap (IoU) at which the lower-scored of two boxes with one label is dropped from the answer; null: never."""
    detection_dropout: Annotated[float, Field(ge=0, lt=1)]
    """Probability that a feature inside the head is dropped in training."""
    detection_bbox_weight: Weight
    """Weight of the L1 loss of boxes, in fractions of the image's sides."""
    detection_giou_weight: Weight
    """Weight of the generalised-IoU loss of boxes."""
    detection_objectness_weight: Weight
    """Weight of the loss of objectness."""
    detection_type_weight: Weight
    """Weight of the loss of type scores."""
    detection_caption_weight: Weight
    """Weight of the cross-entropy of descriptions."""
    detection_proposal_weight: Weight
    """Weight of the losses where proposals are chosen, relative to the same losses of the last layer."""
    detection_focal_alpha: Probability
    """Weight of positives in the focal loss of objectness, negatives having the rest up to 1."""
    detection_focal_gamma: Annotated[float, Field(ge=0)]
    """Exponent by which the focal loss weakens what is already right."""
    detection_objectness: Literal["focal", "iou_aware"]
    """What objectness learns: whether a query is an object, or how well its box fits one."""
    detection_caption_normalization: Literal["samples", "tokens"]
    """What the loss of descriptions is divided by: student samples, or description tokens."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        yield from _indivisible(self, "detection_hidden_size", 1, "detection_num_heads")
        eye, queries = self.detection_second_eye, self.detection_queries
        if eye != "none" and queries != "proposals":
            what = f"{eye} reads boxes, and {queries} queries begin without"
            yield KeyProblem("detection_second_eye", what, "write none, or detection_queries: proposals")
        if self.detection_assignment == "several_to_one" and self.detection_nms_iou is None:
            yield KeyProblem(
                "detection_nms_iou",
                "is null while detection_assignment is several_to_one: every object would be found several times",
                "write an overlap such as 0.6, or detection_assignment: one_to_one",
            )
        positives, most = self.detection_positives_per_object, self.detection_num_queries
        if positives > most:
            what = f"{positives} is more than the {most} queries"
            yield KeyProblem(
                "detection_positives_per_object", what, "lower it or raise detection_num_queries"
            )


class DetectionRunConfig(RunConfig):
    """A run of the task ``detection``."""

    task: Literal["detection"]
    """Name of the task."""
    model: ModelSection
    """The stock model: from a folder, or new with random weights."""
    data: DetectionDataSection
    """Which records are used, and how they become batches."""
    training: DetectionTrainingSection
    """How long, how fast, and what is kept."""
    detection: DetectionSection
    """The detection head and its losses."""

    @property
    def precision(self) -> tuple[Literal["auto"] | bool, str]:
        """A base that is held in fewer bits is computed with in bfloat16."""
        peft = self.model.peft
        return super().precision if peft is None or peft.base_dtype == "float32" else (True, "base_dtype")

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        yield from super().cross_field_problems()
        if self.model.attn_implementation == "flash_attention_2" and self.infrastructure.device == "cpu":
            what = "flash_attention_2 does not run on device cpu"
            yield KeyProblem("attn_implementation", what, "write sdpa, or device: cuda")
        packed = self.data.collator_type == "packed"
        if packed and self.model.attn_implementation == "eager":
            what = "eager attention does not know where the samples of a packed row begin"
            remedy = "write sdpa or flash_attention_2, or collator_type: standard"
            yield KeyProblem("attn_implementation", what, remedy)
        budget, longest = self.data.packed_max_tokens, self.model.model_max_length
        if budget is not None and not packed:
            what = "is given while nothing is packed"
            yield KeyProblem("packed_max_tokens", what, "write null, or collator_type: packed")
        elif budget is not None and budget < longest:
            what = f"{budget} tokens do not hold a sample of model_max_length, {longest}"
            yield KeyProblem("packed_max_tokens", what, "raise it, or lower model_max_length")
        peft, training = self.model.peft, self.training
        if peft is not None and "modules_to_save" not in peft.peft_options:
            for part in ("vision", "merger", "llm"):
                rate = getattr(training, f"{part}_lr")
                if rate > 0 and part not in peft.peft_parts:
                    what = f"is {rate}, and peft_parts does not name {part}: it would stay as it is"
                    yield KeyProblem(f"{part}_lr", what, f"write 0, or {part} into peft_parts")
        if peft is not None and peft.base_dtype != "float32" and training.bf16 is False:
            what = f"is false while base_dtype is {peft.base_dtype}, which is computed with in bfloat16"
            yield KeyProblem("bf16", what, "write bf16: auto, or base_dtype: float32")
        if self.data.vision_tokens_max >= self.model.model_max_length:
            yield KeyProblem(
                "model_max_length",
                f"{self.model.model_max_length} tokens cannot hold an image of vision_tokens_max, "
                f"{self.data.vision_tokens_max}, and an answer",
                "raise model_max_length or lower vision_tokens_max",
            )

    def cross_field_warnings(self) -> Iterator[KeyProblem]:  # noqa: D102
        yield from super().cross_field_warnings()
        for part in self.model.peft.peft_parts if self.model.peft is not None else ():
            if getattr(self.training, f"{part}_lr") == 0:
                what = f"is 0 while peft_parts names {part}: its adapters do not train"
                yield KeyProblem(f"{part}_lr", what, "give a rate, or take the part out")
        largest = self.data.max_pixels // TOKEN_AREA
        if self.data.vision_tokens_policy == "refuse" and largest > self.data.vision_tokens_max:
            yield KeyProblem(
                "max_pixels",
                f"{self.data.max_pixels} allows images of {largest} merged tokens, of which those above "
                f"vision_tokens_max, {self.data.vision_tokens_max}, are refused",
                f"write {self.data.vision_tokens_max * TOKEN_AREA}, or vision_tokens_policy: resize",
            )


def _beyond(section: Section, low: str, high: str) -> Iterator[KeyProblem]:
    least, most = getattr(section, low), getattr(section, high)
    if least > most:
        yield KeyProblem(
            low, f"{least} is more than {high}, {most}", f"write a smaller {low} or a larger {high}"
        )


def _indivisible(section: Section, size: str, factor: int, heads: str) -> Iterator[KeyProblem]:
    value, count = getattr(section, size), getattr(section, heads)
    unit = factor * count
    if value % unit:
        times = "" if factor == 1 else f"{factor} times "
        nearest = max(unit, round(value / unit) * unit)
        what = f"{value} is not divisible by {times}{heads}, {count}"
        yield KeyProblem(size, what, f"write {nearest}, or other heads")
