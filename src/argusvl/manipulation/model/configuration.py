"""What the hand model's shape is; saved as ``config.json`` of a checkpoint."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from argus_doctor.wording import did_you_mean
from argusvl.core.errors import ConfigError
from argusvl.core.schemas import Layers, ModelShape, Share, Size

SMALL, EFFICIENTNET, HUB = "small", "efficientnet-lite0", "hub"
ENCODERS = (SMALL, EFFICIENTNET, HUB)

SYMMETRIES = {
    "box": "box",
    "cylinder": "axial_flip",
    "capsule": "axial_flip",
    "cone": "axial",
    "sphere": "sphere",
}
"""Of objects that are what their name says; any other object has none."""

KINDS_OF_SYMMETRY = ("none", "box", "axial", "axial_flip", "sphere")


class HandShape(ModelShape):
    """The fields of :class:`HandConfig`; ``config.json`` may leave out what has a default.

    Attributes:
        image_size: Side of the square crops, pixels; a multiple of 32.
        encoder: ``small`` (convolutions and attention, trained here), ``efficientnet-lite0``, or ``hub``.
        encoder_config: Configuration of the ``hub`` encoder; its dictionary may be given.
        encoder_channels: Of the ``small`` encoder at strides 2, 4, 8, 16 and 32.
        encoder_stages: Of EfficientNet, 5 or 7: with five, the coarsest map is made by the decoder's neck, of dense
            convolutions, in less time and with half of the weights.
        encoder_layers: Attention layers of the ``small`` encoder, at stride 16.
        encoder_frozen_stages: Parts of the encoder, from the pixels on, that are never trained: of seven stages of
            EfficientNet, the layers of a ViT (its embeddings are frozen with the first), the five levels of ``small``.
        positions: Whether feature maps know where their places are. Without, there is no heat map either.
        hidden_size: Width of the decoder and of the feature maps that it reads.
        num_layers: Layers of the decoder.
        num_heads: Attention heads.
        ffn_size: Width of the feed-forward layers.
        num_refinement_steps: 0: refined joints are the coarse ones, and there are no heat maps.
        sigma_reparam: Whether the linear layers of our own attention are reparameterised by their spectral norm.
        dropout: Probability, in the decoder and the refinement.
        wide_initialisation: Whether output layers begin wide (0.02) and with random biases, so that no two hands are
            answered alike at first, and not near zero.
        objects: Names of the objects that may be held, in the order of a batch's ``object_kind``.
        object_symmetries: Of objects by name: one of ``none``, ``box`` (half turns about three axes), ``axial`` (any
            turn about z), ``axial_flip`` (and upside down) or ``sphere``; others as :data:`SYMMETRIES` has it.
    """

    image_size: Annotated[int, Field(ge=32, le=4096)] = 128
    encoder: str = SMALL
    encoder_config: dict[str, Any] | None = None
    encoder_channels: list[Size] = Field(
        default_factory=lambda: [24, 48, 96, 160, 192], min_length=5, max_length=5
    )
    encoder_stages: int = 7
    encoder_layers: Layers = 2
    encoder_frozen_stages: Annotated[int, Field(ge=0, le=1000)] = 0
    positions: bool = True
    hidden_size: Size = 128
    num_layers: Layers = 2
    num_heads: Size = 4
    ffn_size: Size = 256
    num_refinement_steps: Annotated[int, Field(ge=0, le=100)] = 2
    sigma_reparam: bool = True
    dropout: Share = 0.0
    wide_initialisation: bool = False
    objects: list[str] | None = None
    object_symmetries: dict[str, str] | None = None


class HandConfig(PreTrainedConfig):
    """Shape of an :class:`~argusvl.manipulation.model.modeling.ArgusForHands`: the fields of :class:`HandShape`.

    Raises:
        ConfigError: A value is none of those named, or sizes do not divide.
    """

    model_type = "argus_hand"

    def __init__(self, **kwargs: Any) -> None:
        shape = {
            name: kwargs.pop(name, field.get_default(call_default_factory=True))
            for name, field in HandShape.model_fields.items()
        }
        if isinstance(shape["encoder_config"], dict):
            values = dict(shape["encoder_config"])
            shape["encoder_config"] = CONFIG_MAPPING[values.pop("model_type")](**values)
        # Any sequence may be given, and null for nothing.
        shape["encoder_channels"] = list(shape["encoder_channels"])
        shape["objects"] = list(shape["objects"] or ())
        shape["object_symmetries"] = dict(shape["object_symmetries"] or {})
        for name, value in shape.items():
            setattr(self, name, value)
        self._check()
        super().__init__(**kwargs)

    def symmetry_of(self, name: str) -> str:
        """One of :data:`KINDS_OF_SYMMETRY`."""
        return self.object_symmetries.get(name, SYMMETRIES.get(name, "none"))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the encoder's own configuration is nested."""
        output = super().to_dict()
        if self.encoder_config is not None:
            output["encoder_config"] = self.encoder_config.to_dict()
        return output

    def _check(self) -> None:
        symmetries = {f"object_symmetries[{name!r}]": kind for name, kind in self.object_symmetries.items()}
        for key, value, known in (
            ("encoder", self.encoder, ENCODERS),
            ("encoder_stages", str(self.encoder_stages), ("5", "7")),
            *((key, kind, KINDS_OF_SYMMETRY) for key, kind in symmetries.items()),
        ):
            if value not in known:
                raise ConfigError(
                    f"{key} is {value!r}{did_you_mean(str(value), known)}",
                    where="HandConfig",
                    remedy=f"choose one of {', '.join(known)}",
                )
        for key, number, divisor in (
            ("image_size", self.image_size, 32),
            ("hidden_size", self.hidden_size, 4 * self.num_heads),
        ):
            if number < divisor or number % divisor:
                raise ConfigError(
                    f"{key} is {number}", where="HandConfig", remedy=f"choose a multiple of {divisor}"
                )
        if (self.encoder == HUB) != (self.encoder_config is not None):
            raise ConfigError(
                f"the encoder {self.encoder!r} {'needs' if self.encoder == HUB else 'has no'} encoder_config",
                where="HandConfig",
                remedy="build the model with argusvl.manipulation.model.modeling.new_model",
            )


AutoConfig.register(HandConfig.model_type, HandConfig, exist_ok=True)
