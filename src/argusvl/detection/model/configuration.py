"""What the detection head's shape is; saved as ``config.json`` of a checkpoint."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig, Qwen2_5_VLConfig


class ArgusDetectionConfig(PreTrainedConfig):
    """Shape of an :class:`~argusvl.detection.model.modeling.ArgusForDetection`.

    Sizes of the language model and the vision tower are read from ``qwen_config``; none is repeated here.

    Args:
        qwen_config: Configuration of the stock Qwen2.5-VL, or its dictionary.
        detection_enabled: Without it there is no head, and only the language path is trained.
        queries: ``learned`` (embeddings that attend to all memory) or ``proposals`` (the best vision tokens as
            box-anchored queries that sample memory near their box and are refined layer by layer).
        num_queries: Boxes predicted for an image.
        hidden_size: Width of the head.
        num_heads: Attention heads of the head.
        ffn_size: Width of the head's feed-forward layers.
        decoder_num_layers: Layers that refine the queries.
        caption_decoder_num_layers: Layers of the caption decoder.
        caption_max_tokens: Longest description written, in tokens.
        adapter_bottleneck_ratio: Width of an adapter's input divided by the width of its bottleneck.
        sampling_points: Points that a query samples around its box, per attention head (``proposals``).
        nms_iou: Overlap at which the lower-scored of two boxes with one label is dropped; ``None``: never.
        dropout: Probability, in the head.
        adapter_base: Of a stock part that is an adapter, which base it is for: its ``path`` and its ``fingerprint``.
    """

    model_type = "argus_detection"

    def __init__(
        self,
        qwen_config: Qwen2_5_VLConfig | dict[str, Any] | None = None,
        detection_enabled: bool = True,
        queries: str = "proposals",
        num_queries: int = 100,
        hidden_size: int = 256,
        num_heads: int = 8,
        ffn_size: int = 1024,
        decoder_num_layers: int = 2,
        caption_decoder_num_layers: int = 4,
        caption_max_tokens: int = 32,
        adapter_bottleneck_ratio: int = 8,
        sampling_points: int = 4,
        nms_iou: float | None = None,
        dropout: float = 0.0,
        adapter_base: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(qwen_config, dict):
            qwen_config = Qwen2_5_VLConfig(**qwen_config)
        self.qwen_config = qwen_config if qwen_config is not None else Qwen2_5_VLConfig()
        self.detection_enabled = detection_enabled
        self.queries = queries
        self.num_queries = num_queries
        self.hidden_size = hidden_size
        self.num_heads = num_heads
        self.ffn_size = ffn_size
        self.decoder_num_layers = decoder_num_layers
        self.caption_decoder_num_layers = caption_decoder_num_layers
        self.caption_max_tokens = caption_max_tokens
        self.adapter_bottleneck_ratio = adapter_bottleneck_ratio
        self.sampling_points = sampling_points
        self.nms_iou = nms_iou
        self.dropout = dropout
        self.adapter_base = adapter_base
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
