"""The whole model: a stock Qwen2.5-VL, held and not inherited from, and a detection head beside it.

Inheriting would lose transformers' conversion of official keys, which happens for its own classes only: official
weights would load as a random language model with nothing but a warning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn, ParamSpec, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel, Qwen2_5_VLForConditionalGeneration
from transformers.utils import ModelOutput

from argusvl.assets import model_folder
from argusvl.core.errors import CheckpointError, ModelError
from argusvl.core.logging import get_logger
from argusvl.detection.data.checkpoint_layout import (
    HEAD_FILE,
    HEAD_FOLDER,
    QWEN_FOLDER,
    head_folder,
    is_adapter,
    stock_folder,
)
from argusvl.detection.data.sampling.conversation import ROLE_IDS
from argusvl.detection.model.adapters import Adapter, describe_base, find_base
from argusvl.detection.model.attention import VARLEN, check_can_pack, packed_arguments
from argusvl.detection.model.captioner import CaptionDecoder
from argusvl.detection.model.configuration import ArgusDetectionConfig, SecondEyeName
from argusvl.detection.model.head import DetectionHead, HeadOutput
from argusvl.detection.model.inputs import (
    AXES,
    check_present,
    check_shapes,
    checked_images,
    cut_patches,
    pictures_of,
)
from argusvl.detection.model.label_trie import LabelTrie
from argusvl.detection.model.loading import check_head, load_config, load_head, load_qwen
from argusvl.detection.model.losses import LossSettings, WrittenAnswers, terms_of
from argusvl.detection.model.matching import Targets
from argusvl.detection.model.vision import make_fast, raster_rows

logger = get_logger(__name__)

_STUDENT_IMAGES = ("student_image_sample", "student_image_start", "student_prompt_span", "vocabulary_ids")
_TARGETS = ("object_image", "object_label", "object_caption_ids", "vocabulary_ids")


@dataclass
class DetectionOutput(ModelOutput):
    """What a forward pass gives; ``M`` student images, ``Q`` queries, ``V`` labels, ``D`` the head's width.

    Attributes:
        memory: What captions are written from. (The first field must be neither a dictionary, whose entries a
            ``ModelOutput`` would take for its own fields, nor narrowly typed: accelerate gives it a dictionary.)
        boxes_cxcywh_norm: ``[M, Q, 4]`` in 0–1 of the image.
        boxes_raw: ``[M, Q, 4]``, before the sigmoid.
        objectness_logits: ``[M, Q]``.
        type_logits: ``[M, Q, V]``; class probabilities are their softmax.
        query_states: ``[M, Q, D]``.
        loss_terms: Sums by name; empty without targets.
    """

    memory: Any = None
    boxes_cxcywh_norm: Tensor | None = None
    boxes_raw: Tensor | None = None
    objectness_logits: Tensor | None = None
    type_logits: Tensor | None = None
    query_states: Tensor | None = None
    loss_terms: dict[str, Tensor] | None = None


P = ParamSpec("P")
R = TypeVar("R")


def _in_one_precision(method: Callable[P, R]) -> Callable[P, R]:
    """Beside a head in float32, a frozen stock part may be held in bfloat16: products are then computed in that."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        model = args[0]
        assert isinstance(model, ArgusForDetection)
        head = model.detection_head
        stock = next(model.qwen.parameters())
        if head is None or stock.dtype == next(head.parameters()).dtype:
            return method(*args, **kwargs)
        with torch.autocast(stock.device.type, torch.bfloat16):
            return method(*args, **kwargs)

    return wrapped


class ArgusForDetection(PreTrainedModel):
    """Qwen2.5-VL with a detection head; see :mod:`argusvl.detection.model.head`.

    Saved as a folder: ``qwen/`` is a plain Qwen2.5-VL checkpoint that any tool loads, or an adapter that PEFT loads
    onto its base; ``config.json`` and ``model.safetensors`` hold the head.

    Attributes:
        loss_settings: What the head's losses are made of; needed where there are targets.
        checkpointed_parts: Of ``vision``, ``language`` and ``head`` those whose activations are computed again in the
            backward pass once gradient checkpointing is enabled.
        adapter: In the stock part's layers; ``None`` where its weights are its own.
    """

    config_class = ArgusDetectionConfig
    base_model_prefix = "qwen"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _no_split_modules: ClassVar[list[str]] = [  # type: ignore[misc]
        "Qwen2_5_VLDecoderLayer",
        "Qwen2_5_VLVisionBlock",
    ]

    def __init__(
        self, config: ArgusDetectionConfig, qwen: Qwen2_5_VLForConditionalGeneration | None = None
    ) -> None:
        super().__init__(config)
        self.qwen = qwen if qwen is not None else Qwen2_5_VLForConditionalGeneration(config.qwen_config)
        self.detection_head = DetectionHead(config) if config.detection_enabled else None
        self.loss_settings: LossSettings | None = None
        self.checkpointed_parts: frozenset[str] = frozenset({"vision", "language", "head"})
        self.adapter: Adapter | None = None
        tower = self.qwen.model.visual
        if "flash" not in str(tower.config._attn_implementation):
            make_fast(tower)
        text: PreTrainedConfig = self.qwen.model.language_model.config
        if text._attn_implementation == "sdpa":
            text._attn_implementation = VARLEN

    def _set_gradient_checkpointing(self, enable: bool = True, *args: Any, **kwargs: Any) -> None:
        """As the stock method, for the parts in :attr:`checkpointed_parts` alone."""
        super()._set_gradient_checkpointing(enable, *args, **kwargs)
        language, vision = self.qwen.model.language_model, self.qwen.model.visual
        for name, part in (("language", language), ("vision", vision), ("head", self.detection_head)):
            if name not in self.checkpointed_parts and part is not None:
                for module in part.modules():
                    if hasattr(module, "gradient_checkpointing"):
                        module.gradient_checkpointing = False

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Modules of the head start as they were built; the stock part initialises its own."""

    def tie_weights(self, *args: Any, **kwargs: Any) -> None:
        """Tied weights belong to the stock part, which ties its own."""

    def get_input_embeddings(self) -> torch.nn.Module:
        """The language model's token embedding."""
        return self.qwen.get_input_embeddings()

    def get_output_embeddings(self) -> torch.nn.Module:
        """The language model's output layer. Whoever shards the model must know where it is tied to the embedding."""
        return self.qwen.get_output_embeddings()

    @_in_one_precision
    def forward(
        self,
        input_ids: Tensor,
        mm_token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        labels: Tensor | None = None,
        label_roles: Tensor | None = None,
        student_image_index: Tensor | None = None,
        student_image_sample: Tensor | None = None,
        student_image_start: Tensor | None = None,
        student_prompt_span: Tensor | None = None,
        object_boxes_cxcywh_norm: Tensor | None = None,
        object_image: Tensor | None = None,
        object_label: Tensor | None = None,
        object_caption_ids: Tensor | None = None,
        vocabulary_ids: Tensor | None = None,
    ) -> DetectionOutput:
        """One pass: the image is encoded once, read by the language model and by the head.

        Args:
            input_ids: ``[B, L]``, padded or packed, see :class:`~argusvl.detection.data.sampling.collation.Collator`;
                image placeholders already expanded.
            mm_token_type_ids: ``[B, L]``, 1 at image placeholders.
            position_ids: ``[4, B, L]``: place in the sample's text, 0 at its first token alone; time, height, width.
            attention_mask: ``[B, L]``, 0 at padding; without it nothing is padded.
            pixel_values: ``[patches, patch width]`` of all images in order of appearance, or ``[N, 3, H, W]``.
            image_grid_thw: ``[N, 3]``.
            labels: ``[B, L]``, -100 where nothing is taught.
            label_roles: ``[B, L]``, 1 in teachers' answers, 2 in the student's.
            student_image_index: ``[M]``, row of ``image_grid_thw`` of each student image.
            student_image_sample: ``[M]``, row of ``student_prompt_span``.
            student_image_start: ``[M]``, place of its first placeholder in the rows laid end to end.
            student_prompt_span: ``[S, 2]``, the places of each student's turn up to its answer.
            object_boxes_cxcywh_norm: ``[T, 4]``.
            object_image: ``[T]``, index of the student image.
            object_label: ``[T]``, index into the vocabulary; -1 where unknown.
            object_caption_ids: ``[T, C]``, padded with -100.
            vocabulary_ids: ``[V, C]``, tokens of the label strings, padded with -100.

        Raises:
            ModelError: Entries of the batch contradict each other, or one is missing that another one needs.
        """
        batch = {name: value for name, value in locals().items() if name in AXES}
        check_shapes(batch)
        pixel_values, image_grid_thw = checked_images(
            pixel_values, image_grid_thw, input_ids, mm_token_type_ids, self.qwen.config
        )
        vision = idle = None
        if pixel_values is not None:
            vision = self.qwen.model.get_image_features(pixel_values, image_grid_thw, return_dict=True)
        elif labels is not None:
            idle = self._encode_blank()
        packing = packed_arguments(position_ids[0])
        if packing:
            check_can_pack(self.qwen.model.language_model.config._attn_implementation)
            attention_mask = None
        hidden_states = self.qwen.model(
            input_ids=input_ids,
            attention_mask=_needed_mask(attention_mask),
            position_ids=position_ids[1:],
            mm_encoder_outputs=None if vision is None else {"image": vision},
            use_cache=False,
            **packing,
        ).last_hidden_state
        terms = {} if labels is None else self._language_terms(hidden_states, labels, label_roles)
        if object_boxes_cxcywh_norm is not None:
            check_present(batch, _TARGETS, "object_boxes_cxcywh_norm")
        if vision is None or student_image_index is None or len(student_image_index) == 0:
            if labels is not None:
                self._add_idle_terms(terms, hidden_states, vision or idle, batch)
            return DetectionOutput(loss_terms=terms)
        if self.detection_head is None:
            return DetectionOutput(loss_terms=terms)

        check_present(batch, _STUDENT_IMAGES, "student_image_index")
        assert image_grid_thw is not None
        head = self._detect(
            vision.last_hidden_state, hidden_states, image_grid_thw, batch | {"pixel_values": pixel_values}
        )
        if object_boxes_cxcywh_norm is not None:
            terms |= self._head_terms(head, batch)
        last = head.layers[-1]
        return DetectionOutput(
            loss_terms=terms,
            boxes_cxcywh_norm=last.boxes_cxcywh_norm,
            boxes_raw=last.boxes_raw,
            objectness_logits=last.objectness_logits,
            type_logits=head.type_logits[-1],
            query_states=last.states,
            memory=head.memory,
        )

    @torch.no_grad()
    @_in_one_precision
    def describe(
        self, output: DetectionOutput, image: Tensor, query: Tensor, max_tokens: int | None = None
    ) -> Tensor:
        """Writes descriptions of chosen queries, greedily: token ids ``[K, C]``, -100 after the end.

        Args:
            output: Of a forward pass.
            image: ``[K]``, index of the student image.
            query: ``[K]``, index of the query.
            max_tokens: Longest description; the trained limit when ``None``.
        """
        prefix, captioner = self._caption_prefix(output, image, query)
        return captioner.generate(
            prefix,
            self.get_input_embeddings(),
            self.qwen.lm_head,
            max_tokens or self.config.caption_max_tokens,
            self._end_token_ids(),
        )

    @torch.no_grad()
    @_in_one_precision
    def choose_description(
        self,
        output: DetectionOutput,
        image: Tensor,
        query: Tensor,
        trie: LabelTrie,
        group: Tensor | None = None,
    ) -> Tensor:
        """Describes chosen queries, as :meth:`describe`, by descriptions of a closed vocabulary: numbers ``[K]`` in the
        trie.

        Its token ids of the descriptions are as in training, each with its end token. ``group`` ``[K]`` is the group
        of descriptions that each is chosen from; the first one where there is none.
        """
        prefix, captioner = self._caption_prefix(output, image, query)
        trie = trie.to(prefix.device)
        return captioner.choose(prefix, self.get_input_embeddings(), self.qwen.lm_head, trie, group)

    def _caption_prefix(
        self, output: DetectionOutput, image: Tensor, query: Tensor
    ) -> tuple[Tensor, CaptionDecoder]:
        assert self.detection_head is not None
        assert output.query_states is not None and output.boxes_cxcywh_norm is not None
        captioner = self.detection_head.captioner
        states, boxes = output.query_states[image, query], output.boxes_cxcywh_norm[image, query]
        return captioner.prefix(states, boxes, image, output.memory), captioner

    def generate(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Points to what gives boxes: the stock part generates text, and the head takes no part in that (G-002).

        Raises:
            ModelError: Always.
        """
        raise ModelError(
            "generate() writes text and gives no boxes",
            remedy="use Predictor.predict_detection for boxes, and Predictor.predict_text for the written answer",
        )

    def _end_token_ids(self) -> list[int]:
        """What ends a description: whatever ends an answer of the stock model (it may know several)."""
        config = self.qwen.config
        for owner in (config.text_config, config):
            end = getattr(owner, "eos_token_id", None)
            if end is not None:
                return list(end) if isinstance(end, list | tuple) else [end]
        raise ModelError(
            "the stock model's configuration has no eos_token_id",
            remedy="write the id of <|im_end|> as eos_token_id into its config.json",
        )

    def _language_terms(
        self, hidden_states: Tensor, labels: Tensor, roles: Tensor | None
    ) -> dict[str, Tensor]:
        """Cross-entropy of the teachers' and the student's answers; logits at labelled positions only.

        Full logits would be the largest tensor of the step: ``L × 151,936`` for a 3B model.
        """
        # The state at t predicts the token at t + 1.
        target = labels[:, 1:]
        role = roles[:, 1:] if roles is not None else torch.where(target != -100, ROLE_IDS["student"], 0)
        chosen = target != -100
        logits = self.qwen.lm_head(hidden_states[:, :-1][chosen]).float()
        return terms_of(WrittenAnswers(logits, target[chosen], role[chosen]))

    def _head_terms(self, head: HeadOutput, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        assert self.detection_head is not None
        if self.loss_settings is None:
            raise ModelError("loss_settings is not set", remedy="set model.loss_settings before training")
        boxes = batch["object_boxes_cxcywh_norm"]
        return self.detection_head.loss_terms(
            head,
            Targets(boxes.float(), batch["object_image"], batch["object_label"]),
            batch["object_caption_ids"],
            self.get_input_embeddings(),
            self.qwen.lm_head,
            self.loss_settings,
        )

    def _encode_blank(self) -> Any:
        """A blank image of one merged token through the tower, where the batch shows no image.

        A rank that left the tower or the head out while others use them would leave those waiting for its gradients,
        or for its part of the weights, for ever; and so would one that came through them in another order.
        """
        vision = self.config.vision_sizes
        side = vision.spatial_merge_size * vision.patch_size
        pixels = torch.zeros((1, vision.in_channels, side, side), device=self.device)
        blank, grid = cut_patches(pixels, vision)
        return self.qwen.model.get_image_features(blank, grid, return_dict=True)

    def _add_idle_terms(
        self, terms: dict[str, Tensor], hidden_states: Tensor, encoded: Any, batch: Mapping[str, Any]
    ) -> None:
        """Adds zeros that come through the tower and the head, where the batch shows no student image.

        The head sees one merged token of what the tower has encoded, whatever that is; it counts for nothing.
        """
        merge = self.config.vision_sizes.spatial_merge_size
        image_states = torch.cat(encoded.pooler_output)[:1]
        any_name = next(iter(terms))
        terms[any_name] = terms[any_name] + 0.0 * image_states.float().sum()
        if self.detection_head is not None and batch["object_boxes_cxcywh_norm"] is not None:
            raster = encoded.last_hidden_state[: merge**2].view(merge, merge, -1)
            head = self.detection_head(
                [raster],
                [image_states],
                [hidden_states[0, :1]],
                [image_states.new_zeros((3, *(self.config.vision_sizes.patch_size * merge,) * 2))],
                batch["vocabulary_ids"],
                self.get_input_embeddings(),
            )
            terms.update((name, 0.0 * value) for name, value in self._head_terms(head, batch).items())

    def _detect(
        self, vision_states: Tensor, hidden_states: Tensor, grid: Tensor, batch: Mapping[str, Any]
    ) -> HeadOutput:
        assert self.detection_head is not None
        rows = raster_rows(grid, self.qwen.model.visual)
        merge = self.qwen.model.visual.spatial_merge_size
        rasters, image_states, prompt_states = [], [], []
        states, types = hidden_states.flatten(0, 1), batch["mm_token_type_ids"].flatten()
        spans = batch["student_prompt_span"].tolist()
        places = [batch[f"student_image_{name}"].tolist() for name in ("index", "sample", "start")]
        for index, sample, start in zip(*places, strict=True):
            raster = vision_states[rows[index]]
            first, end = spans[sample]
            rasters.append(raster)
            length = raster.shape[0] * raster.shape[1] // merge**2
            image_states.append(states[start : start + length])
            # Nothing at or after the student's answer is read: it would leak the answer in training, and at
            # inference there is none.
            prompt_states.append(states[first:end][types[first:end] == 0])
        pictures = []
        if self.config.second_eye != "none":
            shown = batch["student_image_index"]
            pictures = pictures_of(batch["pixel_values"], grid, shown, self.config.vision_sizes)
        head: HeadOutput = self.detection_head(
            rasters,
            image_states,
            prompt_states,
            pictures,
            batch["vocabulary_ids"],
            self.get_input_embeddings(),
        )
        return head

    def set_second_eye(self, name: SecondEyeName) -> None:
        """Gives the head an eye, with the weights that its package brings, or takes it away; the rest stays."""
        old = self.detection_head
        config = self.config
        assert old is not None and isinstance(config, ArgusDetectionConfig)
        config.second_eye = name
        head = DetectionHead(config)
        head.load_packaged()
        weights = head.state_dict()
        head.load_state_dict(weights | {n: one for n, one in old.state_dict().items() if n in weights})
        self.detection_head = head.to(next(old.parameters()))

    def attach_adapter(
        self, method: str, parts: Sequence[str], options: Mapping[str, Any], model_path: str | Path
    ) -> None:
        """Puts a new adapter into the stock part, whose own weights are frozen; see :meth:`Adapter.add`.

        ``model_path`` is what the stock part was loaded from, as configured.

        Raises:
            ConfigError: It cannot be put into these layers.
        """
        stock = stock_folder(model_folder(model_path))
        self.adapter = Adapter.add(self.qwen, method, parts, options, stock)
        self.config.adapter_base = describe_base(Path(model_path), stock)

    def merge_adapter(self) -> None:
        """Makes the adapter part of the stock part's own weights, which can then train as such.

        Raises:
            ModelError: Its method cannot be merged.
        """
        if self.adapter is not None:
            self.adapter.merge()
            self.adapter = self.config.adapter_base = None

    def checkpoint_weights(self, folder: Path) -> dict[str, Tensor]:
        """See :class:`argusvl.training.protocol.ReadsCheckpoints`. An adapter is loaded in place: its base is here.

        Raises:
            CheckpointError: The adapter in the checkpoint is for another base, or does not fit.
        """
        saved = load_config(folder).adapter_base or {}
        if saved.get("fingerprint") != (self.config.adapter_base or {}).get("fingerprint"):
            raise CheckpointError(
                f"it was trained on the base {saved.get('path', 'of its own weights')}, this run has "
                f"{(self.config.adapter_base or {}).get('path', 'weights of its own')}",
                where=folder,
                remedy="resume with the model_path and the peft section of the run that wrote it",
            )
        if self.adapter is None:
            return dict(type(self).from_pretrained(folder).state_dict())
        self.adapter.load_weights(stock_folder(folder))
        if self.detection_head is not None:
            load_head(self.detection_head, head_folder(folder) / HEAD_FILE)
        return {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}

    def save_pretrained(  # type: ignore[override]  # the remaining arguments are the stock part's
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the stock part, or its adapter, into ``qwen/`` and the head beside it.

        Args:
            save_directory: A folder; made when it is missing.
            is_main_process: Whether this process writes, of those that train together.
            state_dict: Weights to write instead of the model's own (of a wrapped model, or an average).
            **kwargs: Passed to the stock part's ``save_pretrained``, e.g. ``max_shard_size``.

        Raises:
            CheckpointError: ``state_dict`` holds a name that is no weight of ours.
        """
        if not is_main_process:
            return
        folder = Path(save_directory)
        self._save(folder / QWEN_FOLDER, folder, state_dict, **kwargs)

    def export(self, folder: Path, **kwargs: Any) -> None:
        """Writes the other layout: the stock part, or its adapter, at the top, and the head in ``head/``."""
        self._save(folder, folder / HEAD_FOLDER, None, **kwargs)

    def _save(
        self, stock_at: Path, folder: Path, state_dict: dict[str, Tensor] | None, **kwargs: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = self.state_dict() if state_dict is None else state_dict
        parts: dict[str, dict[str, Tensor]] = {"qwen.": {}, "detection_head.": {}}
        for name, tensor in state.items():
            prefix = next((p for p in parts if name.startswith(p)), None)
            if prefix is None:
                raise CheckpointError(
                    f"{name} belongs neither to the stock part nor to the head",
                    where=folder,
                    remedy="unwrap the model before its weights are collected",
                )
            parts[prefix][name.removeprefix(prefix)] = tensor
        if self.adapter is None:
            self.qwen.save_pretrained(stock_at, state_dict=parts["qwen."], **kwargs)
        else:
            self.adapter.save(stock_at, parts["qwen."])
        head = {n: t.detach().contiguous().cpu() for n, t in parts["detection_head."].items()}
        save_file(head, str(folder / HEAD_FILE), metadata={"format": "pt"})
        self.config.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> ArgusForDetection:  # type: ignore[override]
        """Loads a folder that :meth:`save_pretrained` or :meth:`export` wrote.

        Args:
            pretrained_model_name_or_path: The folder.
            **kwargs: ``config``: an :class:`ArgusDetectionConfig` to use in place of the folder's; ``base``: where the
                base of an adapter is now, if not where it was; ``head_dtype``: of the head, by default that of the
                stock part, but float32 beside a base of another type; the rest is passed to the stock part, e.g.
                ``dtype`` or ``attn_implementation``.

        Raises:
            CheckpointError: A file is missing or does not fit.
        """
        folder = Path(pretrained_model_name_or_path)
        config = kwargs.pop("config", None) or load_config(folder)
        base, head_dtype = kwargs.pop("base", None), kwargs.pop("head_dtype", None)
        stock = stock_folder(folder)
        adapted = is_adapter(stock)
        own = find_base(config.adapter_base, folder, base) if adapted else stock
        qwen = load_qwen(own, **kwargs)
        if head_dtype is None:
            asked = isinstance(kwargs.get("dtype"), torch.dtype)
            head_dtype = torch.float32 if adapted and not asked else qwen.dtype
        config.qwen_config = qwen.config
        if config.detection_enabled:
            with torch.device("meta"):
                shapes = DetectionHead(config).state_dict()  # before memory is taken for what does not fit
            check_head(shapes, head_folder(folder) / HEAD_FILE)
        model = cls(config, qwen)
        if adapted:
            model.adapter = Adapter.load(qwen, stock)
        if model.detection_head is not None:
            load_head(model.detection_head, head_folder(folder) / HEAD_FILE)
            model.detection_head.to(device=qwen.device, dtype=head_dtype)
        model.eval()
        return model


def _needed_mask(attention_mask: Tensor | None) -> Tensor | None:
    """The mask, or ``None`` where causal attention alone keeps padding out of sight.

    With all padding on the right no real token can look at any; without a mask attention takes its causal form,
    at half the cost. What is computed at the padding is read by nobody.
    """
    if attention_mask is None:
        return None
    on_the_right = bool((attention_mask.diff(dim=-1) <= 0).all())
    return None if on_the_right else attention_mask


def with_new_head(qwen: Qwen2_5_VLForConditionalGeneration, head: dict[str, Any]) -> ArgusForDetection:
    """A stock model and a new head, of these fields of :class:`ArgusDetectionConfig`."""
    model = ArgusForDetection(ArgusDetectionConfig(qwen_config=qwen.config, **head), qwen)
    if model.detection_head is not None:
        model.detection_head.load_packaged()
    return model


def add_detection_head(folder: str | Path, head: dict[str, Any], **kwargs: Any) -> ArgusForDetection:
    """Loads a plain Qwen2.5-VL folder, in hub layout, and puts a new head beside it; logs which parameters are new.

    ``head``: fields of :class:`ArgusDetectionConfig` except ``qwen_config``; the rest is passed to the stock class.
    """
    model = with_new_head(load_qwen(folder, **kwargs), head)
    new = 0 if model.detection_head is None else len(list(model.detection_head.parameters()))
    told = f"detection_head, {new} weights" if new else "nothing"
    logger.info("loaded %s; new, starting at random: %s", folder, told)
    return model


AutoModel.register(ArgusDetectionConfig, ArgusForDetection, exist_ok=True)
