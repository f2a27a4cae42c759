"""What the detection head's shape is; saved as ``config.json`` of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from transformers import AutoConfig, PreTrainedConfig, Qwen2_5_VLConfig

from argusvl.core.errors import CheckpointError
from argusvl.core.schemas import Count, Layers, ModelShape, Positive, Share, Size, Tokens, checked

SecondEyeName = Literal["none", "efficientnet-lite0"]
"""Encoders beside the vision tower."""


class HeadShape(ModelShape):
    """The fields of :class:`ArgusDetectionConfig`; ``config.json`` may leave out what has a default."""

    detection_enabled: bool = True
    queries: Literal["learned", "proposals"] = "proposals"
    num_queries: Size = 100
    hidden_size: Size = 256
    num_heads: Size = 8
    ffn_size: Size = 1024
    decoder_num_layers: Layers = 2
    caption_decoder_num_layers: Layers = 4
    caption_max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 32
    adapter_bottleneck_ratio: Size = 8
    sampling_points: Annotated[int, Field(ge=1, le=1000)] = 4
    second_eye: SecondEyeName = "none"
    labels_in_order: bool = False
    nms_iou: Annotated[float, Field(gt=0, le=1)] | None = None
    dropout: Share = 0.0
    adapter_base: dict[str, str] | None = None


HEAD_KEYS = {
    name: name if name.startswith("detection_") else f"detection_{name}"
    for name in HeadShape.model_fields
    if name not in ("labels_in_order", "adapter_base")
}
"""Field of a head's shape → the configuration's key for it, for those that a configuration settles."""


class _RopeShape(ModelShape):
    rope_theta: Positive = 1e6
    mrope_section: tuple[Size, ...] | list[Size] | None = None


class TextShape(ModelShape):
    """Schema of what the language model of a ``Qwen2_5_VLConfig`` is built by."""

    vocab_size: Annotated[int, Field(ge=1, le=10_000_000)]
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Layers
    num_attention_heads: Size
    num_key_value_heads: Size
    max_position_embeddings: Annotated[int, Field(ge=1, le=100_000_000)]
    rms_norm_eps: Positive
    attention_dropout: Share = 0.0
    tie_word_embeddings: bool | None = None
    rope_parameters: _RopeShape | None = None


class VisionShape(ModelShape):
    """Schema of what the vision tower of a ``Qwen2_5_VLConfig`` is built by."""

    depth: Layers
    hidden_size: Size
    intermediate_size: Size
    num_heads: Size
    in_channels: Literal[3]
    patch_size: Annotated[int, Field(ge=1, le=1024)]
    spatial_merge_size: Annotated[int, Field(ge=1, le=64)]
    temporal_patch_size: Annotated[int, Field(ge=1, le=64)]
    window_size: Size
    out_hidden_size: Size
    fullatt_block_indexes: list[Count]


class GenerationShape(ModelShape):
    """Schema of what ``generation_config.json`` says of tokens."""

    bos_token_id: Tokens | None = None
    eos_token_id: Tokens | list[Tokens] | None = None
    pad_token_id: Tokens | None = None


def check_qwen(config: Qwen2_5_VLConfig, where: Path) -> None:
    """Compares a stock configuration with what a Qwen2.5-VL can be.

    Raises:
        CheckpointError: A size is beyond its bounds, or two of them contradict each other.
    """
    text, vision = _part(config.text_config), _part(config.vision_config)
    checked(text.to_dict(), TextShape, where)
    checked(vision.to_dict(), VisionShape, where)
    sections = (getattr(text, "rope_parameters", None) or {}).get("mrope_section")
    side = text.hidden_size // text.num_attention_heads
    contradictions = {
        "text_config.hidden_size is no multiple of num_attention_heads": text.hidden_size
        % text.num_attention_heads,
        "text_config.num_attention_heads is no multiple of num_key_value_heads": text.num_attention_heads
        % text.num_key_value_heads,
        f"mrope_section does not have the sum {side // 2}": sections is not None
        and (len(sections) != 3 or 2 * sum(sections) != side),
        "vision_config.hidden_size is no multiple of num_heads": vision.hidden_size % vision.num_heads,
        "vision_config.out_hidden_size is not text_config.hidden_size": vision.out_hidden_size
        != text.hidden_size,
        "vision_config.window_size is smaller than a merged patch": vision.window_size
        < vision.patch_size * vision.spatial_merge_size,
    }
    if wrong := [what for what, is_so in contradictions.items() if is_so]:
        raise CheckpointError(
            wrong[0], where=where, remedy="it was changed by hand, or is damaged: copy the checkpoint again"
        )


class ArgusDetectionConfig(PreTrainedConfig):
    """Shape of an :class:`~argusvl.detection.model.modeling.ArgusForDetection`.

    Sizes of the language model and the vision tower are read from ``qwen_config``, the stock configuration or its
    dictionary; none is repeated here. The other fields are those of :class:`HeadShape`. Most are keys of a
    configuration's ``detection`` section, which says what they mean (:data:`HEAD_KEYS`); these are not:

    Attributes:
        labels_in_order: Whether the order of a label's tokens counts for its type score; where no two labels have the
            same tokens it need not.
        adapter_base: Of a stock part that is an adapter, which base it is for: its ``path`` and its ``fingerprint``.
    """

    model_type = "argus_detection"

    def __init__(self, qwen_config: Qwen2_5_VLConfig | dict[str, Any] | None = None, **kwargs: Any) -> None:
        if not isinstance(qwen_config, Qwen2_5_VLConfig):
            qwen_config = Qwen2_5_VLConfig(**qwen_config or {})
        self.qwen_config = qwen_config
        for name, field in HeadShape.model_fields.items():
            setattr(self, name, kwargs.pop(name, field.default))
        super().__init__(**kwargs)

    @property
    def text_sizes(self) -> PreTrainedConfig:
        """Configuration of the language model."""
        return _part(self.qwen_config.text_config)

    @property
    def vision_sizes(self) -> PreTrainedConfig:
        """Configuration of the vision tower."""
        return _part(self.qwen_config.vision_config)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the stock part's configuration stands in its own folder too."""
        output = super().to_dict()
        output["qwen_config"] = self.qwen_config.to_dict()
        return output


def _part(config: dict[str, Any] | PreTrainedConfig | None) -> PreTrainedConfig:
    assert isinstance(config, PreTrainedConfig)  # the stock configuration builds its parts when it is built
    return config


AutoConfig.register(ArgusDetectionConfig.model_type, ArgusDetectionConfig, exist_ok=True)
