"""What a model says of crops: one forward pass, or one more for each quarter turn of them, and the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from argusvl.manipulation.data.checking import Floats
from argusvl.synthetic.hands.camera import PictureMap

AS_IT_IS = (0,)
TURNED = (0, 1, -1)
"""Quarter turns, clockwise. The errors of a model that learned from turned hands differ from turn to turn: the mean of
three is better than either."""


@dataclass(frozen=True, slots=True, eq=False)
class HandPrediction:
    """What a model says of one crop, in the crop's camera frame.

    Attributes:
        joints_m: ``[21, 3]``, refined.
        coarse_m: ``[21, 3]``, before refinement.
        confidence: ``[21]`` from 0 to 1.
        sampling_px: ``[steps, 21, 2]``: where each step of refinement looked, crop pixels.
        contact: ``[21]`` probability that a joint touches the object.
        object_kind: Index of the likeliest object; -1 where the model knows none.
        object_pose_m: ``[3, 4]``, camera's frame of the crop.
    """

    joints_m: Floats
    coarse_m: Floats
    confidence: Floats
    sampling_px: Floats
    contact: Floats
    object_kind: int
    object_pose_m: Floats


def predict_crops(
    model: nn.Module, pixels: Tensor, cameras: Sequence[Floats], turns: Sequence[int] = AS_IT_IS
) -> list[HandPrediction]:
    """The hands of crops ``[B, 3, S, S]`` with their K, by a model in evaluation mode.

    Each is seen in some quarter turns. Joints, confidence and contact are the means over them, the rest is that of the
    first.
    """
    device = next(model.parameters()).device
    looks = []
    for turn in turns:
        change = PictureMap.rotation((pixels.shape[3], pixels.shape[2]), 90.0 * turn)
        moved = [change.camera(camera) for camera in cameras]
        turned = torch.rot90(pixels, -turn, (2, 3))
        matrices = torch.from_numpy(np.stack([camera for camera, _ in moved]).astype(np.float32))
        with torch.inference_mode():
            output = model(pixel_values=turned.to(device), cameras=matrices.to(device))
        look = []
        for one, (_, back) in zip(predictions_of(output), moved, strict=True):
            look.append(replace(one, joints_m=one.joints_m @ back, coarse_m=one.coarse_m @ back))
        looks.append(look)
    return [_mean(of_one) for of_one in zip(*looks, strict=True)]


def predictions_of(output: Any) -> list[HandPrediction]:
    """A model's output, hand by hand."""

    def array(tensor: Tensor) -> Floats:
        return tensor.detach().double().cpu().numpy()

    hand = output.hand
    refined, coarse = array(hand["joints_3d_refined"]), array(hand["joints_3d"])
    confidence, contact = array(hand["confidence"]), array(output.contact.sigmoid())
    sampling = array(output.sampling_px).swapaxes(0, 1)
    held = output.object
    knows = held["kind_logits"].shape[-1] > 0
    kinds = held["kind_logits"].argmax(-1).tolist() if knows else [-1] * len(refined)
    poses = np.concatenate([array(held["rotation"]), array(held["position"])[..., None]], axis=-1)
    fields = zip(refined, coarse, confidence, sampling, contact, kinds, poses, strict=True)
    return [HandPrediction(*one) for one in fields]


def _mean(looks: Sequence[HandPrediction]) -> HandPrediction:
    names = ("joints_m", "coarse_m", "confidence", "contact")
    means = {name: np.mean([getattr(one, name) for one in looks], axis=0) for name in names}
    return replace(looks[0], **means)
