"""Dense detection and captioning as the engine sees it: what ``argus train`` must know, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pydantic import TypeAdapter
from transformers import BitsAndBytesConfig, PreTrainedModel, Qwen2_5_VLConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from argus_doctor.findings import Finding
from argusvl.assets import model_folder
from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError, ConfigError
from argusvl.core.figures import FigureSpec
from argusvl.core.files import copy_file, real_path
from argusvl.core.images import open_image
from argusvl.core.logging import get_logger
from argusvl.core.wording import counted
from argusvl.detection.config import DetectionRunConfig, PeftSection
from argusvl.detection.data.checkpoint_layout import QWEN_FOLDER, has_head, stock_folder
from argusvl.detection.data.descriptions import Descriptions
from argusvl.detection.data.labels import checked_labels, labels_of
from argusvl.detection.data.preparing.pool import refuse_shared_pictures
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.augmentation import Augmentation
from argusvl.detection.data.sampling.collation import Collator
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.dataset import DetectionDataset, TeacherSettings
from argusvl.detection.data.sampling.packing import PackingSettings
from argusvl.detection.data.sampling.samples import Sample, VisionLimits
from argusvl.detection.data.sampling.tokenizer import (
    check_special_tokens,
    learned_tokenizer,
    load_tokenizer,
    vocabulary_digest,
)
from argusvl.detection.data.scan import scan
from argusvl.detection.measure.calibration import Fit, fit_calibration
from argusvl.detection.measure.caption_scores import Meteor
from argusvl.detection.measure.evaluation import Evaluation
from argusvl.detection.measure.figures import FIGURES
from argusvl.detection.measure.pairing import SCORE_THRESHOLD
from argusvl.detection.measure.reliability import CALIBRATION, write_reliability
from argusvl.detection.measure.run_check import RunCheck, query_limit
from argusvl.detection.model.architecture import qwen_config, random_qwen
from argusvl.detection.model.configuration import HEAD_KEYS, ArgusDetectionConfig
from argusvl.detection.model.loading import load_config, load_qwen_config
from argusvl.detection.model.losses import LOSSES, LossSettings, WrittenAnswers
from argusvl.detection.model.modeling import ArgusForDetection, add_detection_head, with_new_head
from argusvl.detection.model.vocabulary_transfer import transfer_vocabulary
from argusvl.detection.predict.captions import CaptionChoice, possible_descriptions
from argusvl.detection.predict.checkpoint import DetectionAssets, limits_in, save_teacher_pool
from argusvl.detection.predict.inference import RecordQuestions, evaluate_records
from argusvl.run.checkpoints import checkpoint_at, verify_checkpoint
from argusvl.task_parts import ASSETS_FILE
from argusvl.training.parallel import Parallel
from argusvl.training.protocol import LossTerm, ParameterGroup
from argusvl.visual.drawing import draw_comparison

logger = get_logger(__name__)

# Pictures of an evaluation that trackers get.
PICTURES_SHOWN = 4

# Patterns are tried in this order: an adapter of the head is an adapter although its name begins with detection_head,
# and the merger is the merger although it stands inside the vision tower. What PEFT puts into a layer is of its part.
GROUP_PATTERNS = {
    "adapter": r"^detection_head\.(.*adapter|memory_builder\.eye\.)",
    "detection": r"^detection_head\.",
    "merger": r"\.visual\.merger\.",
    "vision": r"\.visual\.",
    "llm": r"\.language_model\.|lm_head|embed_tokens",
}

EYE_PATTERN, EYE_RATE = r"^detection_head\.memory_builder\.eye\.network\.", 0.2
"""What the second eye's network learns by, as a share of the adapters' rate: ImageNet taught it already."""


def parameter_groups(
    rates: Mapping[str, float],
    *,
    detection_enabled: bool,
    second_eye: bool = False,
    head_frozen_epochs: float = 0.0,
) -> list[ParameterGroup]:
    """The five groups, and the network of a second eye where there is one.

    ``rates`` are the peak learning rates of the five; for ``head_frozen_epochs`` from the start head and adapters do
    not train.
    """
    head = {"detection", "adapter", "eye"}
    patterns = GROUP_PATTERNS
    if second_eye:
        rates = {**rates, "eye": EYE_RATE * rates["adapter"]}
        patterns = {"eye": EYE_PATTERN, **patterns}
    return [
        ParameterGroup(
            name,
            pattern,
            rates[name],
            optional=name in head and not detection_enabled,
            frozen_epochs=head_frozen_epochs if name in head else 0.0,
        )
        for name, pattern in patterns.items()
    ]


class DetectionTask:
    """Meets :class:`argusvl.training.protocol.Task` for a :class:`DetectionRunConfig`."""

    def __init__(self, config: DetectionRunConfig) -> None:
        self.config = config
        self._last_evaluation: Evaluation | None = None
        self._fit: Fit | None = None
        self._steps_since_evaluation = 0
        self._learned: DetectionAssets | None = None
        self._learned_tokenizer: Any = None

    def load_assets(self, checkpoint: Path) -> None:
        """Labels, descriptions and tokenizer are those of the run that goes on, whatever the records say now.

        Raises:
            CheckpointError: They are missing or damaged, or the tokenizer is another one than that of the run.
        """
        self._learned = DetectionAssets.load(checkpoint)
        self._learned_tokenizer = self._learned.tokenizer(checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """The calibration of the last evaluation."""
        return {} if self._fit is None else {"fit": asdict(self._fit)}

    def steps_since_evaluation(self, steps: int) -> None:
        """How many steps the weights have moved on since the calibration was fitted."""
        self._steps_since_evaluation = steps

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes the calibration of an evaluation before the checkpoint."""
        self._fit = TypeAdapter(Fit).validate_python(state["fit"]) if "fit" in state else None

    # What is read from the data and the configuration, once and on demand.

    @cached_property
    def train_records(self) -> RecordFile:
        """The training records."""
        data = self.config.data
        return self._not_empty(RecordFile(data.train, data.root, data.max_examples), "train")

    @cached_property
    def val_records(self) -> RecordFile | None:
        """The held-out records, where there are any."""
        data = self.config.data
        if data.val is None:
            return None
        if real_path(data.val) == real_path(data.train):  # a few pictures may be learned by heart on purpose
            logger.warning(
                "data.val is data.train, %s: figures will be of what was learned (N-119); `argus data split` holds "
                "records out",
                data.val,
            )
        return self._not_empty(RecordFile(data.val, data.root, data.max_examples), "val")

    @cached_property
    def teacher_pool(self) -> RecordFile | None:
        """The demonstrations, where there are any."""
        data = self.config.data
        return None if data.teacher_pool is None else RecordFile(data.teacher_pool, data.root)

    @cached_property
    def _described(self) -> Descriptions:
        """What the training records call their objects: labels, captions and a learned tokenizer come from it."""
        found = Descriptions()
        scan(self.train_records, [found], strict=True)
        return found

    @cached_property
    def labels(self) -> list[str]:
        """The vocabulary of the type score."""
        data = self.config.data
        if self._learned is not None:
            return list(self._learned.labels)
        if data.labels is not None:
            return checked_labels(data.labels)
        labels = labels_of(self._described.counts, data.vocabulary)
        if not labels and self.config.detection.detection_enabled:
            raise ConfigError(
                "no training record has an object, so there are no labels",
                where=data.train,
                remedy="check the training records, or list data.labels",
                slug="no-labels",
            )
        return labels

    @cached_property
    def descriptions(self) -> tuple[str, ...] | None:
        """What captions are chosen from; ``None``: any text."""
        data = self.config.data
        if self._learned is not None:
            return self._learned.descriptions
        if (data.caption_vocabulary or data.vocabulary) == "open" or not self.labels:
            return None
        if data.vocabulary == "closed":
            return tuple(self.labels)
        return possible_descriptions(
            self.labels, data.vocabulary, labels_of(self._described.counts, "closed")
        )

    @cached_property
    def _meteor(self) -> Meteor | None:
        """Only where it chooses the best checkpoint: it takes seconds."""
        chooses = self.config.training.metric_for_best_model == "dense_caption_mAP_meteor"
        return Meteor() if chooses else None

    @cached_property
    def limits(self) -> VisionLimits:
        """How large an image may be when it reaches the model."""
        return limits_in(self.config.data)

    @cached_property
    def processor(self) -> ChatProcessor:
        """Writes conversations; its tokenizer is the model's, or one learned from the records."""
        data = self.config.data
        return ChatProcessor(
            self._tokenizer(),
            prompt_language=data.prompt_language,
            model_max_length=self.config.model.model_max_length,
            over_length_policy=data.over_length_policy,
        )

    def check(self) -> Sequence[Finding]:
        """Reads every record and the header of every image: seconds, and no weights."""
        processor = setup_error = None
        try:
            processor = self.processor
        except ArgusError as error:
            setup_error = error
        check = RunCheck(self.config, self.limits, processor)
        with check.noting():
            _ = self._meteor  # what it needs is missing now or after the first evaluation
        with check.noting():
            if self.teacher_pool is not None:
                check.pool(self.teacher_pool)
        with check.noting():
            # Descriptions come with the same scan, unless a tokenizer had to be learned from them.
            described = Descriptions()
            check.train(self.train_records, described)
            if not described.bad:
                self.__dict__.setdefault("_described", described)
        with check.noting():
            if self.val_records is not None:
                check.val(self.val_records)
        with check.noting():
            self._refuse_shared_pictures()
        with check.noting():
            # Where the tokenizer is learned from the records, it is often one of the records found above.
            if setup_error is not None:
                raise setup_error
            self.model_config()  # what model_path names is a model of this task
            if self._model_folder is not None and self._model_folder.is_dir():
                verify_checkpoint(self._model_folder)
            collator = self._collator
            # Descriptions of records are checked with the records.
            if (
                processor is not None
                and self.config.data.labels is not None
                and self.descriptions is not None
            ):
                longest = collator.caption_max_tokens
                CaptionChoice.of(
                    self.descriptions, self.labels, self.config.data.vocabulary, processor, longest
                )
        for label, objects in check.unlisted.most_common():
            logger.warning(
                "label %r of %d training objects is not in data.labels: it is found, but its type is never learned",
                label,
                objects,
            )
        section = self.config.detection
        if section.detection_enabled and check.queries_for_crowds > section.detection_num_queries:
            logger.warning(
                "detection_num_queries is %d; about %d would reach every object of crowded images: where a query finds "
                "an object that others have found, it is missing elsewhere",
                section.detection_num_queries,
                check.queries_for_crowds,
            )
        if not check.findings:
            logger.info(
                "%d training records, %d labels, at most %d of %d tokens before augmentation",
                len(self.train_records),
                len(self.labels),
                check.longest,
                self.config.model.model_max_length,
            )
        return check.findings

    def model(self) -> PreTrainedModel:
        """Loads the weights that the configuration names, or makes random ones of its architecture."""
        section, head, folder = self.config.model, self._head_config(), self._model_folder
        if folder is not None and not has_head(folder):
            load_qwen_config(folder)  # before weights are loaded it is told that it is another model, and
        tokenizer = self.processor.tokenizer  # that the tokenizer is missing
        if folder is None:
            model = with_new_head(random_qwen(self._new_qwen_config(), section.attn_implementation), head)
        elif has_head(folder):
            model = ArgusForDetection.from_pretrained(
                folder,
                config=self._checkpoint_config(folder, head),
                head_dtype=torch.float32,
                **self.stock_options(),
            )
            if model.config.second_eye != (eye := head["second_eye"]):
                model.set_second_eye(eye)
                if eye == "none":
                    logger.info("the head of %s goes on without its second eye", folder)
                else:
                    logger.info("the head of %s gets a second eye, %s, with ImageNet's weights", folder, eye)
        else:
            model = add_detection_head(folder, head, **self.stock_options())
        if section.peft is not None:
            self._add_adapter(model, section.peft)
        elif model.adapter is not None:
            model.merge_adapter()
            logger.info("the adapter of %s is merged into its base, to train whole", folder)
        if folder is not None and section.transfer_vocab_size is not None:
            transfer_vocabulary(model.qwen, load_tokenizer(stock_folder(folder)), tokenizer)
        check_special_tokens(tokenizer, model.qwen.config)
        if model.detection_head is not None:
            model.config.labels_in_order = self._labels_share_tokens()
            model.detection_head.type_scorer.in_order = model.config.labels_in_order
        model.loss_settings = self.loss_settings()
        if self.config.training.gradient_checkpointing_parts is not None:
            model.checkpointed_parts = frozenset(self.config.training.gradient_checkpointing_parts)
        return model

    def _labels_share_tokens(self) -> bool:
        """Whether two labels are written with the same tokens, in another order."""
        encode = self.processor.tokenizer.encode
        bags = {tuple(sorted(encode(label, add_special_tokens=False))) for label in self.labels}
        return len(bags) < len(self.labels)

    def stock_options(self) -> dict[str, Any]:
        """How the stock part is loaded: float32 where it trains, what is configured where it is frozen."""
        section = self.config.model
        held = "float32" if section.peft is None else section.peft.base_dtype
        options: dict[str, Any] = {
            "attn_implementation": section.attn_implementation,
            "dtype": torch.float32 if held == "float32" else torch.bfloat16,
        }
        if held == "int8":
            options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
        elif held in ("nf4", "fp4"):
            options["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type=held,
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
            )
        return options

    def _add_adapter(self, model: ArgusForDetection, section: PeftSection) -> None:
        path, folder = self.config.model.model_path, self._model_folder
        assert path is not None and folder is not None
        if model.adapter is not None:
            raise ConfigError(
                f"{path} is a checkpoint with an adapter of its own",
                where="peft",
                remedy=f"merge it first (`argus export {path} OUT --merge`) and set model_path to OUT; or go on with "
                "the run that wrote it by --resume",
            )
        base = path if folder == model_folder(path) else folder  # what ships is found by its name again
        model.attach_adapter(section.peft_method, section.peft_parts, section.peft_options, base)
        trains = sum(p.numel() for p in model.qwen.parameters() if p.requires_grad)
        logger.info(
            "%s in %s: %d values train beside the head; the base is held in %s",
            section.peft_method,
            ", ".join(section.peft_parts),
            trains,
            section.base_dtype,
        )

    def model_config(self) -> ArgusDetectionConfig:
        """The shape of :meth:`model`, without reading weights; of a published model without its folder, too.

        Raises:
            CheckpointError: The folder of weights is none.
        """
        head, folder = self._head_config(), self._model_folder
        if folder is None:
            return ArgusDetectionConfig(qwen_config=self._new_qwen_config(), **head)
        if has_head(folder):
            config = self._checkpoint_config(folder, head)
            config.second_eye = head["second_eye"]
        else:
            config = ArgusDetectionConfig(qwen_config=load_qwen_config(folder), **head)
        if self.config.model.transfer_vocab_size is not None:
            config.text_sizes.vocab_size = len(self.processor.tokenizer)
            config.text_sizes.pad_token_id = self.processor.tokenizer.pad_token_id
        return config

    def _new_qwen_config(self) -> Qwen2_5_VLConfig:
        section = self.config.model
        assert section.architecture is not None
        sizes = section.architecture.model_dump(exclude={"vocab_size"})
        return qwen_config(
            self.processor.tokenizer, max_position_embeddings=section.model_max_length, **sizes
        )

    def train_dataset(self) -> DetectionDataset:
        """Training samples, with teachers and augmentation."""
        data = self.config.data
        self._refuse_shared_pictures()
        dataset = DetectionDataset(
            self.train_records,
            self.processor,
            limits=self.limits,
            teachers=TeacherSettings(self.teacher_pool, data.teacher_ratio, data.num_teachers),
            augmentation=Augmentation(**data.augmentation.model_dump()),
            seed=self.config.training.seed,
            query_limit=query_limit(self.config.detection),
            packing=None
            if data.collator_type == "standard"
            else PackingSettings(data.packed_max_tokens, self.config.training.per_device_train_batch_size),
        )
        self._log_sample("training", dataset[0])
        return dataset

    def eval_dataset(self) -> RecordQuestions | None:
        """Held-out questions, without teachers."""
        if self.val_records is None:
            return None
        dataset = RecordQuestions(self.val_records, self.processor, self.limits)
        self._log_sample("evaluation", dataset[0][0])
        return dataset

    @cached_property
    def _collator(self) -> Collator:
        return Collator(
            self.processor,
            labels=self.labels,
            vocabulary=self.config.data.vocabulary,
            caption_max_tokens=self.config.detection.detection_caption_max_tokens,
            kind=self.config.data.collator_type,
        )

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Joins samples to a batch."""
        return self._collator(samples)

    def loss_terms(self) -> Sequence[LossTerm]:
        """The table's losses in each of their stages; without a head those of the written answers alone."""
        section = self.config.detection
        return [
            LossTerm(
                loss + stage,
                spec.count_in(section),
                spec.weight_in(section, stage),
                spec.logged_as(loss + stage),
                objective=loss,
            )
            for loss, spec in LOSSES.items()
            if section.detection_enabled or spec.reads is WrittenAnswers
            for stage in spec.stages
        ]

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """The five groups and their rates, and that of a second eye."""
        training = self.config.training
        return parameter_groups(
            {name: getattr(training, f"{name}_lr") for name in GROUP_PATTERNS},
            detection_enabled=self.config.detection.detection_enabled,
            second_eye=self.config.detection.detection_second_eye != "none",
            head_frozen_epochs=training.detection_freeze_epochs,
        )

    def evaluate(self, model: PreTrainedModel, dataset: Any, parallel: Parallel) -> dict[str, float]:
        """Detection figures on held-out questions, without teachers."""
        if not self.config.detection.detection_enabled:
            return {}
        assert isinstance(model, ArgusForDetection)
        evaluation = evaluate_records(
            model,
            dataset,
            labels=self.labels,
            vocabulary=self.config.data.vocabulary,
            batch_size=self.config.training.per_device_eval_batch_size,
            descriptions=self.descriptions,
            describe_above=SCORE_THRESHOLD,
            meteor=self._meteor,
            parallel=parallel,
        )
        self._last_evaluation = evaluation
        self._fit = fit_calibration(evaluation.matched)
        if self._fit.calibration is None:
            logger.info("scores stay as the model gives them: %s", self._fit.note)
        ece = self._fit.report.ece
        return evaluation.figures.scalars() | ({} if ece is None else {"ece": ece})

    def chance_losses(self) -> Mapping[str, float]:
        """What words that are all equally likely would cost."""
        words = math.log(len(self.processor.tokenizer))
        names = {term.name for term in self.loss_terms()}
        return {name: words for name in ("teacher_lm", "student_lm", "caption") if name in names}

    def memory_needed(self) -> int:
        """As ``argus inspect memory`` counts it: of the largest batch, with the configured strategy."""
        from argusvl.detection.measure.footprint import BatchShape
        from argusvl.detection.measure.strategies import Strategy, counting, need

        on_gpu = self.config.infrastructure.device != "cpu" and torch.cuda.is_available()
        strategy = Strategy.of(self.config, on_gpu=on_gpu)
        count = counting(self.model_config(), BatchShape.largest(self.config), self.loss_settings())
        averaged = self.config.training.ema_decay is not None
        return int(need(strategy, count(strategy), averaged=averaged).peak)

    def figures(self) -> Mapping[str, FigureSpec]:
        """What the figures mean."""
        return FIGURES

    def pictures(self) -> Mapping[str, Image.Image]:
        """Truth above prediction for the first images of the last evaluation."""
        if self._last_evaluation is None or self.val_records is None:
            return {}
        shown = self._last_evaluation
        pictures = {}
        for number, name in enumerate(shown.images[:PICTURES_SHOWN]):
            truth, found = shown.truth[number], shown.predictions[number].above(SCORE_THRESHOLD)
            pictures[f"{number}: {Path(name).name}"] = draw_comparison(
                open_image(self.val_records.resolve(name), exif="refuse"),
                (truth.boxes_xyxy_px.tolist(), truth.descriptions),
                (found.boxes_xyxy_px.tolist(), found.texts, found.scores.tolist()),
            )
        return pictures

    def save_assets(self, folder: Path) -> None:
        """Writes tokenizer, image processor, labels, limits and teachers: the checkpoint stands on its own.

        Scores get the calibration of the last evaluation, which is of the same weights where one precedes a save, as
        it does for the best checkpoint; elsewhere its note says how many steps they have moved on.
        """
        measured = "no held-out records were evaluated" if self._fit is None else self._fit.note
        if self._fit is not None and self._steps_since_evaluation:
            measured += f", {counted(self._steps_since_evaluation, 'step')} before these weights"
        data, qwen = self.config.data, folder / QWEN_FOLDER
        self.processor.tokenizer.save_pretrained(qwen)
        size = {"shortest_edge": data.min_pixels, "longest_edge": data.max_pixels}
        Qwen2VLImageProcessorPil(size=size).save_pretrained(qwen)
        DetectionAssets(
            labels=tuple(self.labels),
            vocabulary=data.vocabulary,
            prompt_language=data.prompt_language,
            model_max_length=self.config.model.model_max_length,
            over_length_policy=data.over_length_policy,
            **asdict(self.limits),
            descriptions=self.descriptions,
            calibration=None if self._fit is None else self._fit.calibration,
            vocabulary_digest=vocabulary_digest(self.processor.tokenizer),
            calibration_note=measured,
            config=self.config.model_dump(mode="json"),
        ).save(folder)
        if self._fit is not None:
            write_reliability(folder, self._fit.report, "held-out records, a fifth at a time")
        if self.teacher_pool is not None:
            scenes = [record.student for record in self.teacher_pool]
            save_teacher_pool(folder, scenes, self.teacher_pool.root)

    def finish(self, output_dir: Path, checkpoint: Path) -> None:
        """Puts the reliability of the checkpoint's scores where the run's report looks for it."""
        measured = checkpoint / CALIBRATION
        if measured.is_file():
            copy_file(measured, output_dir / CALIBRATION)

    def _log_sample(self, purpose: str, sample: Sample) -> None:
        """The first sample as the model gets it; a run of image placeholders is written as its number."""
        pieces = []
        for part in sample.conversation.parts:
            ids = sample.conversation.input_ids[part.start : part.stop].tolist()
            image = f"[{len(ids)} image tokens]"
            pieces.append(image if part.kind == "image" else str(self.processor.tokenizer.decode(ids)))
        logger.info(
            "first %s sample, %s, %d tokens:\n%s",
            purpose,
            sample.source,
            len(sample.conversation),
            "".join(pieces),
        )

    def _refuse_shared_pictures(self) -> None:
        if (
            self.teacher_pool is not None
            and self.val_records is not None
            and self.config.data.teacher_ratio > 0
        ):
            refuse_shared_pictures(self.teacher_pool, self.val_records)

    @cached_property
    def _model_folder(self) -> Path | None:
        """Of a run it is that of its best checkpoint, as in prediction."""
        path = self.config.model.model_path
        return None if path is None else checkpoint_at(model_folder(path))

    def _tokenizer(self) -> Any:
        if self._learned_tokenizer is not None:
            return self._learned_tokenizer
        section, data = self.config.model, self.config.data
        vocab_size = section.transfer_vocab_size
        if section.architecture is not None:
            if section.tokenizer_path is not None:
                return load_tokenizer(section.tokenizer_path)
            vocab_size = section.architecture.vocab_size
        if vocab_size is None:
            folder = self._model_folder
            assert folder is not None
            if (folder / ASSETS_FILE).is_file():
                return DetectionAssets.load(folder).tokenizer(folder)
            return load_tokenizer(stock_folder(folder))
        return learned_tokenizer(
            self._described.scenes(),
            prompt_language=data.prompt_language,
            max_pixels=data.max_pixels,
            seed=self.config.training.seed,
            vocab_size=vocab_size,
            learned_for=self.train_records,
        )

    def _head_config(self) -> dict[str, Any]:
        return {name: getattr(self.config.detection, key) for name, key in HEAD_KEYS.items()}

    def _checkpoint_config(self, folder: Path, wanted: dict[str, Any]) -> ArgusDetectionConfig:
        """The configuration of a checkpoint that training goes on from; what shapes no weight is as configured."""
        saved = load_config(folder)
        shapeless = {"dropout", "nms_iou"}
        if saved.queries == "proposals":
            shapeless.add("num_queries")  # the best so many vision tokens; learned queries are weights
        for name, value in wanted.items():
            if name == "second_eye":
                continue  # added or taken away once the head is loaded
            if name in shapeless:
                setattr(saved, name, value)
            elif getattr(saved, name) != value:
                key = HEAD_KEYS[name]
                raise ConfigError(
                    f"{key} is {value!r}, the head of the checkpoint {folder} has {getattr(saved, name)!r}",
                    where=key,
                    remedy=f"write {key}: {getattr(saved, name)!r}; or set model_path to {stock_folder(folder)}, "
                    "to put a new head beside its language model and vision tower",
                )
        return saved

    def loss_settings(self) -> LossSettings:
        """What matching and losses need to know."""
        section = self.config.detection
        return LossSettings(**{f.name: getattr(section, f"detection_{f.name}") for f in fields(LossSettings)})

    def _not_empty(self, records: RecordFile, key: str) -> RecordFile:
        if len(records) == 0:
            raise ConfigError(
                "the file holds no record",
                where=records.path,
                remedy=f"name another file for data.{key}",
                slug="no-records",
            )
        return records
