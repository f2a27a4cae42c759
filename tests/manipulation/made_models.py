"""Random hands before random cameras as a batch, and a narrow model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from argusvl.manipulation.model.configuration import HandConfig
from argusvl.manipulation.model.modeling import ArgusForHands
from argusvl.synthetic.hands.camera import project

Batch = dict[str, Tensor]

OBJECTS = ["box", "cylinder", "sphere", "capsule", "cone", "003_cracker_box"]


def make_batch(size: int = 8, seed: int = 0, side: int = 64, points: int = 50) -> Batch:
    """Every label, valid or not at random; what is not valid is NaN where floats can be."""
    g = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=g)

    cameras = torch.zeros(size, 3, 3)
    cameras[:, 0, 0] = cameras[:, 1, 1] = uniform(1, 3, size) * side
    cameras[:, :2, 2] = side / 2 + uniform(-0.1, 0.1, size, 2) * side
    cameras[:, 2, 2] = 1
    # So far that the hand fills half of the crop.
    depth = 0.3 * cameras[:, 0, 0] / side
    joints = 0.04 * torch.randn(size, 21, 3, generator=g)
    joints[..., 2] += depth[:, None]
    joint_valid = torch.rand(size, 21, generator=g) < 0.9
    joint_valid[:-1, 0] = True
    joint_valid[-1] = False
    joints_px, px_valid = project(joints, cameras), torch.rand(size, 21, generator=g) < 0.8
    kind = torch.randint(-1, len(OBJECTS), (size,), generator=g)
    rotation = torch.linalg.qr(torch.randn(size, 3, 3, generator=g))[0]
    rotation = rotation * torch.linalg.det(rotation)[:, None, None]
    origin = joints[:, :1].transpose(1, 2) + 0.05
    normals = F.normalize(torch.randn(size, points, 3, generator=g), dim=-1)
    surface_valid = kind >= 0
    pose = torch.cat([rotation, origin], dim=-1)
    surface = origin.transpose(1, 2) + 0.05 * normals
    nan = float("nan")
    return {
        "pixel_values": torch.randn(size, 3, side, side, generator=g),
        "cameras": cameras,
        "joints_m": joints.masked_fill(~joint_valid[..., None], nan),
        "joint_valid": joint_valid,
        "joints_px": joints_px.masked_fill(~px_valid[..., None], nan),
        "joints_px_valid": px_valid,
        "object_kind": kind,
        "object_pose_m": pose.masked_fill((kind < 0)[:, None, None], nan),
        "contact": (torch.rand(size, 21, generator=g) < 0.3).float(),
        "contact_valid": torch.rand(size, generator=g) < 0.7,
        "object_points_m": surface.masked_fill(~surface_valid[:, None, None], nan),
        "object_normals": normals.masked_fill(~surface_valid[:, None, None], nan),
        "surface_valid": surface_valid,
    }


def make_model(seed: int = 0, **fields: Any) -> ArgusForHands:
    """A narrow one."""
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "image_size": 64,
        "encoder_channels": (8, 16, 24, 32, 32),
        "encoder_layers": 1,
        "hidden_size": 32,
        "num_heads": 2,
        "ffn_size": 64,
        "objects": OBJECTS,
    }
    return ArgusForHands(HandConfig(**(shape | fields)))
