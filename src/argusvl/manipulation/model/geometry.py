"""Hands in 2.5 dimensions: where each joint is in the crop, and how deep beside the wrist (Iqbal et al., 2018).

What a network sees is where a joint is in the crop; where it is in space follows by the crop's own K. All of it is
float32, also under autocast: in bfloat16 a joint at 0.6 m would be known to 4 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from argusvl.synthetic.hands.camera import project, unproject

LENGTH_M = 0.1
"""Unit in which networks give lengths: about half a hand, so that their outputs are of the order of one."""

HAND_M = 0.2
"""About as much as a crop shows at the hand's depth."""

_NEAREST_M = 0.05
_DEPTH_RANGE = 2.0


def in_float32(device: torch.device) -> Any:
    """Context in which autocast changes nothing."""
    return torch.autocast(device.type, enabled=False)


@dataclass(frozen=True)
class Hands25D:
    """B hands, float32.

    Attributes:
        points_px: ``[B, 21, 2]`` crop pixels.
        depths: ``[B, 21]`` beside the wrist's, in :data:`LENGTH_M`; 0 for the wrist.
        closeness: ``[B]``: logarithm of the wrist's depth over that at which a hand fills the crop.
    """

    points_px: Tensor
    depths: Tensor
    closeness: Tensor

    def detached(self) -> Hands25D:
        """The same without a graph."""
        return Hands25D(self.points_px.detach(), self.depths.detach(), self.closeness.detach())

    def root_depth_m(self, cameras: Tensor, image_size: int) -> Tensor:
        """``[B]``: the wrist's z in metres. It grows with the focal length in crops: those of a far hand are enlarged.

        Bounded to 0.14 to 7.4 times the depth at which a hand fills the crop, so always positive and finite.
        """
        focal = (cameras[:, 0, 0] * cameras[:, 1, 1]).sqrt()
        return HAND_M * focal / image_size * (_DEPTH_RANGE * torch.tanh(self.closeness / _DEPTH_RANGE)).exp()

    def joints_m(self, cameras: Tensor, image_size: int) -> Tensor:
        """``[B, 21, 3]`` metres in the camera's frame."""
        depths = self.root_depth_m(cameras, image_size)[:, None] + LENGTH_M * self.depths
        return unproject(self.points_px, depths, cameras)


def project_predicted(joints_m: Tensor, cameras: Tensor) -> Tensor:
    """As :func:`~argusvl.synthetic.hands.camera.project`, for predictions, which may lie behind the camera at first.

    What is nearer than 5 cm is seen as if it were there: its pixel is far off and wrong, but finite.
    """
    depth = joints_m[..., 2:].clamp(min=_NEAREST_M)
    return project(torch.cat([joints_m[..., :2], depth], dim=-1), cameras)


def camera_features(cameras: Tensor, image_size: int) -> Tensor:
    """K as a network reads it: ``[B, 3, 3]`` → ``[B, 5]``: how far the crop's sides and centre are off the axis."""
    fx, fy = cameras[:, 0, 0], cameras[:, 1, 1]
    lengths = [(fx / image_size).log(), (fy / image_size).log()]
    off = [(image_size / 2 - cameras[:, 0, 2]) / fx, (image_size / 2 - cameras[:, 1, 2]) / fy]
    return torch.stack([*lengths, cameras[:, 0, 1] / fx, *off], dim=-1)


def rotation_from_6d(values: Tensor) -> Tensor:
    """Two columns of a rotation, made orthonormal (Zhou et al., 2019): ``[..., 6]`` → ``[..., 3, 3]``."""
    first, second = values.float().unflatten(-1, (2, 3)).unbind(-2)
    x = torch.nn.functional.normalize(first, dim=-1)
    y = torch.nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)
