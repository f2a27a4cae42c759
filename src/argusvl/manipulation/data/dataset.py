"""Hands as the model gets them: crops in which every hand is a right one, with K and labels of the crop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from argusvl.core.batch import Batch, BatchSizes
from argusvl.core.errors import DataError
from argusvl.core.images import open_image
from argusvl.manipulation.data.augmentation import NO_CHANGE, HandAugmentation
from argusvl.manipulation.data.joints import NUM_JOINTS
from argusvl.manipulation.data.records import HandRecord, HandView, view_of
from argusvl.synthetic.hands.camera import PictureMap

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet, by which pretrained encoders were trained."""
SURFACE_POINTS = 256
"""Of a held object's surface, by which penetration is measured."""


@dataclass(frozen=True, slots=True)
class CropSettings:
    """How a hand is cut out of its picture."""

    size: int
    """Side of the crop, pixels."""
    margin: float
    """Factor of the longer side of the hand's box."""


@dataclass(frozen=True, slots=True, eq=False)
class HandCrop:
    """One sample.

    Attributes:
        pixels: ``uint8 [S, S, 3]``.
        view: The labels, of the crop; its ``turn`` brings predictions back to the picture's camera.
    """

    pixels: NDArray[np.uint8]
    view: HandView


def usable(records: Sequence[HandRecord]) -> list[HandRecord]:
    """Those that show a hand; what shows none has nothing to be cut out.

    Raises:
        DataError: None does.
    """
    kept = [one for one in records if one.shows_hand and one.box_xyxy_px is not None]
    if not kept:
        where = records[0].source if records else "the data"
        raise DataError("no picture shows a hand", where=where, remedy="name data with hands in it")
    return kept


def cut_out(
    record: HandRecord,
    settings: CropSettings,
    augmentation: HandAugmentation | None = None,
    rng: np.random.Generator | None = None,
) -> HandCrop:
    """The crop of a hand that has a box, mirrored where it is a left one; with ``rng``, changed at random.

    Raises:
        ImageError: The picture cannot be read, or its EXIF tag turns it.
        DataError: It has not the record's size.
    """
    assert record.box_xyxy_px is not None
    picture = open_image(record.image, exif="refuse")
    if picture.size != record.size:
        stated, found = (f"{width}×{height}" for width, height in (record.size, picture.size))
        raise DataError(
            f"a picture of {found} for a record of {stated}",
            where=record.source,
            remedy="give the picture as it is stored: the change scales it",
        )
    changes = augmentation or NO_CHANGE
    change = changes.crop(record.box_xyxy_px, settings.margin, settings.size, rng)
    if record.side == "left":
        change = change.then(PictureMap.mirror(change.size))
    crop = change.picture(picture)
    pixels = np.asarray(crop) if rng is None else changes.recolour(crop, rng)
    return HandCrop(pixels, view_of(record, change))


class HandDataset(Dataset[HandCrop]):
    """Crops of records with hands, by index; seed, epoch and index decide their random changes.

    ``noise`` is the deviation of noise on the normalised input at the start, and the epochs over which it falls to 0.
    """

    def __init__(
        self,
        records: Sequence[HandRecord],
        settings: CropSettings,
        augmentation: HandAugmentation | None = None,
        seed: int = 0,
        noise: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.records, self.settings, self.augmentation, self.seed = records, settings, augmentation, seed
        self.noise, self.epoch = noise, 0

    def set_epoch(self, epoch: int) -> None:
        """Other random changes in each epoch."""
        self.epoch = epoch

    def sample_name(self, index: int) -> str:
        """File and entry, for messages."""
        return self.records[index].source

    def fingerprint(self) -> str:
        """Changes with the pictures' names and the labels."""
        digest = hashlib.sha256()
        for one in self.records:
            held, pose = ("", None) if one.held is None else (one.held.name, one.held.camera_from_object)
            digest.update(f"{one.image.name} {one.side} {held}".encode())
            for label in (one.joints_m, one.camera, one.box_xyxy_px, one.joints_px, one.contact, pose):
                digest.update(b"none" if label is None else label.tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> HandCrop:
        rng = None
        if self.augmentation is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
        crop = cut_out(self.records[index], self.settings, self.augmentation, rng)
        deviation, epochs = self.noise
        left = deviation * (1 - self.epoch / epochs) if self.epoch < epochs else 0.0
        if rng is None or left == 0:
            return crop
        noise = rng.standard_normal(crop.pixels.shape) * (left * 255 * np.array(STD))
        return replace(crop, pixels=np.clip(crop.pixels + noise, 0, 255).astype(np.uint8))


def pixel_values(pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """``uint8 [S, S, 3]`` each → ``float32 [B, 3, S, S]``, normalised as encoders expect it."""
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (MEAN, STD))
    return stacked.sub_(mean).div_(std)


def collate(crops: Sequence[HandCrop], objects: Sequence[str] = ()) -> Batch:
    """Crops → batch: the model's arguments, and what its losses are divided by.

    ``objects`` names those that the model knows, in its order.
    """
    views = [crop.view for crop in crops]
    valid = np.stack([view.joint_valid for view in views])
    marks = np.stack([view.joints_px for view in views])
    marked = valid & np.isfinite(marks).all(-1)
    inputs: dict[str, Any] = {
        "pixel_values": pixel_values([crop.pixels for crop in crops]),
        "cameras": _floats([view.camera for view in views]),
        "joints_m": _floats(np.where(valid[..., None], [view.joints_m for view in views], 0.0)),
        "joint_valid": torch.from_numpy(valid),
        "joints_px": _floats(np.where(marked[..., None], marks, 0.0)),
        "joints_px_valid": torch.from_numpy(marked),
    }
    held, held_counts = _held_objects(views, objects)
    counts = {"hands": int(valid.any(1).sum()), "joints": int(valid.sum()), "joints_px": int(marked.sum())}
    return Batch(inputs | held, counts | held_counts, BatchSizes(images=len(crops)))


def _held_objects(
    views: Sequence[HandView], objects: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Kind, pose, surface and contact, as far as they are known, and how often they are."""
    number, width = len(views), SURFACE_POINTS
    kinds, surfaces, contacts = [-1] * number, [False] * number, [False] * number
    poses, contact = np.tile(np.eye(3, 4), (number, 1, 1)), np.zeros((number, NUM_JOINTS))
    points, normals = np.zeros((number, width, 3)), np.zeros((number, width, 3))
    for k, view in enumerate(views):
        if view.contact is not None:
            contacts[k], contact[k] = True, view.contact
        if view.held is None:
            continue
        kinds[k] = objects.index(view.held.name) if view.held.name in objects else -1
        pose = poses[k] = view.held.camera_from_object
        if view.held.shape is not None:
            surfaces[k] = True
            # Anew in each batch would cost more than it teaches: the same points of each shape.
            inside, outward = view.held.shape.surface(width, np.random.default_rng(0))
            points[k], normals[k] = inside @ pose[:, :3].T + pose[:, 3], outward @ pose[:, :3].T
    counts = {"objects": sum(k >= 0 for k in kinds), "contacts": sum(contacts), "surfaces": sum(surfaces)}
    held = {
        "object_kind": torch.tensor(kinds),
        "object_pose_m": _floats(poses),
        "contact": _floats(contact),
        "contact_valid": torch.tensor(contacts),
        "object_points_m": _floats(points),
        "object_normals": _floats(normals),
        "surface_valid": torch.tensor(surfaces),
    }
    return held, counts


def _floats(values: Any) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
