"""The whole model: crops and their cameras → a hand in space, the object that it holds, and contact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.utils import ModelOutput

from argusvl.core.errors import ModelError
from argusvl.manipulation.data.joints import NUM_JOINTS, WRIST
from argusvl.manipulation.model.configuration import ENCODERS, HUB, HandConfig
from argusvl.manipulation.model.decoder import HandDecoder
from argusvl.manipulation.model.encoder import (
    EfficientNetEncoder,
    HubEncoder,
    build_encoder,
    hub_config,
    load_hub_weights,
)
from argusvl.manipulation.model.geometry import LENGTH_M, in_float32, rotation_from_6d
from argusvl.manipulation.model.layers import head, output_layer
from argusvl.manipulation.model.losses import LABELS, Predicted, terms_of
from argusvl.manipulation.model.refinement import Refinement
from argusvl.synthetic.hands.camera import unproject


@dataclass
class HandOutput(ModelOutput):
    """What a forward pass gives of B crops; metres in the frame of each crop's camera, float32.

    Attributes:
        sampling_px: ``[steps, B, 21, 2]``: where in the crop each refinement step sampled features. (The first field
            must be neither a dictionary nor narrowly typed.)
        hand: ``joints_3d`` and ``joints_3d_refined`` ``[B, 21, 3]``, ``root`` ``[B, 3]`` (the refined wrist) and
            ``confidence`` ``[B, 21]`` in 0–1: e⁻¹ where an error of 2 cm is expected.
        object: ``rotation`` ``[B, 3, 3]`` and ``position`` ``[B, 3]`` (object's frame → camera's frame), and
            ``kind_logits`` ``[B, kinds]``.
        contact: Logits ``[B, 21]``.
        attentions: Where they are asked for: of each decoder layer, ``[B, heads, 22, places]``, the joints' and the
            object's attention to the places of stride 16, then of stride 32, row by row.
        loss_terms: Sums by name; empty without labels.
    """

    sampling_px: Any = None
    hand: dict[str, Tensor] | None = None
    object: dict[str, Tensor] | None = None
    contact: Tensor | None = None
    attentions: Any = None
    loss_terms: dict[str, Tensor] | None = None


class Heads(nn.Module):
    """What is read off the last tokens beside the joints: confidence, contact, and the object's pose."""

    def __init__(self, config: HandConfig) -> None:
        super().__init__()
        width, wide = config.hidden_size, config.wide_initialisation
        self.norm = nn.LayerNorm(width)
        self.confidence, self.contact = (output_layer(width, 1, wide) for _ in range(2))
        self.object = head(width, 9, wide)
        self.kind = output_layer(width, len(config.objects), wide) if config.objects else None

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``[B, 22, width]`` → confidence and contact ``[B, 21]``, the pose ``[B, 9]`` and kinds, all float32."""
        with in_float32(tokens.device):
            tokens = self.norm(tokens.float())
            joints, held = tokens[:, :NUM_JOINTS], tokens[:, NUM_JOINTS]
            return (
                self.confidence(joints)[..., 0],
                self.contact(joints)[..., 0],
                self.object(held),
                held[:, :0] if self.kind is None else self.kind(held),
            )


class ArgusForHands(PreTrainedModel):
    """Hand and object pose from a crop and its camera; see :mod:`argusvl.manipulation.model`.

    Parameters begin with ``encoder.``, ``decoder.``, ``refinement.`` or ``heads.``.
    """

    config_class = HandConfig
    base_model_prefix = "hand"
    main_input_name = "pixel_values"

    def __init__(self, config: HandConfig) -> None:
        super().__init__(config)
        self.encoder = build_encoder(config)
        self.decoder = HandDecoder(config, self.encoder.widths)
        self.refinement = Refinement(config, self.decoder.neck.widths)
        self.heads = Heads(config)
        self.symmetries = tuple(config.symmetry_of(name) for name in config.objects)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Modules start as they were built; a hub's encoder initialises its own."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As the stock method, which makes every parameter trainable: what is frozen by the configuration stays so."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.encoder.freeze()
        return loaded

    def forward(
        self, pixel_values: Tensor, cameras: Tensor, output_attentions: bool = False, **batch: Any
    ) -> HandOutput:
        """One pass over crops of right hands.

        Args:
            pixel_values: ``[B, 3, S, S]``, normalised by ImageNet's mean and deviation.
            cameras: ``[B, 3, 3]`` float32: K of the crop, in its pixels.
            output_attentions: Whether the decoder's attention is returned.
            **batch: Labels by the names of :data:`~argusvl.manipulation.model.losses.LABELS`; other entries of the
                batch are not for the model.

        Raises:
            ModelError: A shape or a type does not fit, or labels come without what says which are valid.
        """
        labels = {name: batch[name] for name in LABELS if batch.get(name) is not None}
        self._check(pixel_values, cameras, labels)
        size = self.config.image_size
        maps = self.decoder.neck(self.encoder(pixel_values))
        decoded = self.decoder(maps, cameras)
        tokens, steps, sampling_px, heat_logits = self.refinement(decoded, maps, cameras)
        confidence, contact_logits, pose, kinds = self.heads(tokens)
        with in_float32(pixel_values.device):
            last = steps[-1] if steps else decoded.hands
            depth = last.root_depth_m(cameras, size).detach() + LENGTH_M * pose[:, 2]
            position = unproject((0.5 + pose[:, None, :2]) * size, depth[:, None], cameras)[:, 0]
            predicted = Predicted(
                coarse_m=decoded.hands.joints_m(cameras, size),
                steps_m=[step.joints_m(cameras, size) for step in steps],
                confidence_logits=confidence,
                object_rotation=rotation_from_6d(pose[:, 3:] + pose.new_tensor([1.0, 0, 0, 0, 1, 0])),
                object_position_m=position,
                kind_logits=kinds,
                contact_logits=contact_logits,
                heat_logits=heat_logits,
                attentions=decoded.attentions,
                tokens=tokens,
                image_size=size,
                symmetries=self.symmetries,
                cameras=cameras,
                labels=labels,
            )
            terms = terms_of(predicted) if labels else {}
        return HandOutput(
            sampling_px=sampling_px,
            hand={
                "joints_3d": predicted.coarse_m,
                "joints_3d_refined": predicted.last_m,
                "root": predicted.last_m[:, WRIST],
                "confidence": confidence.sigmoid(),
            },
            object={"rotation": predicted.object_rotation, "position": position, "kind_logits": kinds},
            contact=contact_logits,
            attentions=tuple(decoded.attentions) if output_attentions else None,
            loss_terms=terms,
        )

    def _check(self, pixel_values: Tensor, cameras: Tensor, labels: dict[str, Tensor]) -> None:
        size, batch = self.config.image_size, len(pixel_values)
        if pixel_values.shape[1:] != (3, size, size):
            raise ModelError(
                f"pixel_values has shape {list(pixel_values.shape)}, expected [B, 3, {size}, {size}]",
                remedy="crop to the model's image_size, and K with it",
            )
        for name, value in {"cameras": cameras, **labels}.items():
            wanted = (batch, *((3, 3) if name == "cameras" else LABELS[name]))
            if value.ndim != len(wanted) or any(
                w not in (None, s) for w, s in zip(wanted, value.shape, strict=True)
            ):
                expected = ", ".join("P" if w is None else str(w) for w in wanted)
                raise ModelError(
                    f"{name} has shape {list(value.shape)}, expected [{expected}]",
                    remedy="give one for each crop",
                )
            if value.is_floating_point() and value.dtype.itemsize < 4:
                raise ModelError(
                    f"{name} is {value.dtype}, which knows a joint at 0.6 m to 4 mm and a pixel to 4",
                    remedy="keep K and labels in float32; autocast alone chooses where half precision is used",
                )
        for name, mask in (
            ("joints_m", "joint_valid"),
            ("joints_px", "joints_px_valid"),
            ("object_pose_m", "object_kind"),
            ("contact", "contact_valid"),
            ("object_points_m", "surface_valid"),
        ):
            if name in labels and mask not in labels:
                raise ModelError(f"{name} comes without {mask}", remedy="say which of them are valid")
        kinds = labels.get("object_kind")
        if kinds is not None and len(kinds) and int(kinds.max()) >= max(1, len(self.symmetries)):
            raise ModelError(
                f"object_kind holds {int(kinds.max())}, the model knows {len(self.symmetries)} objects",
                remedy="name the objects of the data in the configuration's objects, in their order",
            )


def new_config(encoder: str | Path, **fields: Any) -> HandConfig:
    """The shape of a model; its encoder: ``small``, ``efficientnet-lite0``, or the folder of a ViT in the hub's layout.

    Raises:
        CheckpointError: The folder holds no model of the hub.
        ConfigError: A field has a value that cannot be.
    """
    if str(encoder) in ENCODERS:
        return HandConfig(encoder=str(encoder), **fields)
    return HandConfig(encoder=HUB, encoder_config=hub_config(Path(encoder)), **fields)


def new_model(encoder: str | Path, **fields: Any) -> ArgusForHands:
    """A model as :func:`new_config` has it, its encoder with the weights that it was pre-trained with, if it was.

    Raises:
        CheckpointError: The weights are missing or do not fit.
        ConfigError: A field has a value that cannot be.
    """
    model = ArgusForHands(new_config(encoder, **fields))
    if isinstance(model.encoder, EfficientNetEncoder):
        model.encoder.load_packaged()
    elif isinstance(model.encoder, HubEncoder):
        load_hub_weights(model.encoder, Path(encoder))
    return model


AutoModel.register(HandConfig, ArgusForHands, exist_ok=True)
