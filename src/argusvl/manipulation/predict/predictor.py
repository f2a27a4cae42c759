"""Checkpoint + picture of a hand → its joints in the picture's pixels and in the camera's frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from PIL import Image

from argusvl.assets import model_folder
from argusvl.core.allocator import keep_freed_memory
from argusvl.core.devices import usable_device
from argusvl.core.errors import ArgusError, DataError
from argusvl.core.images import open_upright
from argusvl.core.precision import compute_in, decide
from argusvl.core.workers import map_in_order
from argusvl.manipulation.data.augmentation import NO_CHANGE
from argusvl.manipulation.data.checking import Floats, Side, box_problem, camera_problem
from argusvl.manipulation.data.dataset import pixel_values
from argusvl.manipulation.data.joints import JOINTS
from argusvl.manipulation.data.records import record_error
from argusvl.manipulation.measure.predictions import HandPrediction, predict_crops
from argusvl.manipulation.model.loading import load_model
from argusvl.manipulation.model.modeling import ArgusForHands
from argusvl.manipulation.predict.checkpoint import HandAssets
from argusvl.manipulation.predict.finding import HandBox, LooksForHands
from argusvl.run.checkpoints import checkpoint_at
from argusvl.synthetic.hands.camera import PictureMap, camera_matrix, project

ASSUMED_FOCAL = 1.2
"""Focal length over the picture's longer side where no K is given: that of a telephone's main camera, about 45°."""

_READERS = 2
"""Threads that read pictures while the model computes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class HandQuery:
    """A hand to look at.

    Attributes:
        box_xyxy_px: ``[4]``, about the hand, in the picture's pixels; ``None``: the whole picture shows it.
        side: Which hand; ``None``: it is looked at as either, and taken for the one of which the model is surer.
        camera: ``[3, 3]`` K of the picture; ``None``: an ordinary telephone's is assumed.

    Raises:
        DataError: The side is none, or box or K hold something that is no number.
    """

    box_xyxy_px: Floats | None = None
    side: Side | None = None
    camera: Floats | None = None

    def __post_init__(self) -> None:
        if self.side not in ("left", "right", None):
            raise DataError(f"side is {self.side!r}", where="a query", remedy="write left or right")
        for name, value in (("box_xyxy_px", self.box_xyxy_px), ("camera", self.camera)):
            try:
                object.__setattr__(self, name, None if value is None else np.asarray(value, float))
            except (TypeError, ValueError):
                raise DataError(f"{name} is {value!r}", where="a query", remedy="give numbers") from None


@dataclass(frozen=True, slots=True, eq=False)
class Hand:
    """A hand as it was found.

    Attributes:
        joints_m: ``[21, 3]`` in the camera's frame, refined.
        joints_px: ``[21, 2]`` in the picture.
        coarse_m: ``[21, 3]`` before refinement.
        confidence: ``[21]`` from 0 to 1.
        side: As asked, as the finder says, or that of which the model is surer.
        box_xyxy_px: ``[4]``: where it was looked for.
        score: How sure it is that there is a hand, 0 to 1; ``None`` where the box was given.
        camera: ``[3, 3]``: the K that was used.
        object_name: What it holds; ``None`` where it is not likely to touch anything, or the model knows no objects.
        object_pose_m: ``[3, 4]`` rotation and translation, object's frame → camera's.
        contact: ``[21]`` probabilities.
        sampling_px: ``[steps, 21, 2]`` in the picture: where refinement looked.
        note: What the caller should know.
    """

    joints_m: Floats
    joints_px: Floats
    coarse_m: Floats
    confidence: Floats
    side: Side
    box_xyxy_px: Floats
    camera: Floats
    object_name: str | None
    object_pose_m: Floats | None
    contact: Floats
    sampling_px: Floats
    note: str = ""
    score: float | None = None

    def __len__(self) -> int:
        """One hand."""
        return 1

    def to_jsonl(self, image: str) -> dict[str, Any]:
        """The line of ``argus predict``: pixels and millimetres."""
        line: dict[str, Any] = {
            "image": image,
            "side": self.side,
            "joints_px": self.joints_px.round(2).tolist(),
            "joints_mm": (self.joints_m * 1000).round(2).tolist(),
            "confidence": dict(zip(JOINTS, self.confidence.round(3).tolist(), strict=True)),
            "K": self.camera.round(3).tolist(),
        }
        if self.object_name is not None and self.object_pose_m is not None:
            pose = self.object_pose_m.copy()
            pose[:, 3] *= 1000
            line["object"] = {"name": self.object_name, "pose_mm": pose.round(4).tolist()}
            line["contact"] = dict(zip(JOINTS, self.contact.round(3).tolist(), strict=True))
        return line | ({"note": self.note} if self.note else {})


@dataclass(frozen=True, slots=True, eq=False)
class Hands:
    """The hands that were found in a picture, the surest first, and what the caller should know of it."""

    hands: Sequence[Hand]
    note: str = ""

    def __len__(self) -> int:
        """How many."""
        return len(self.hands)

    def to_jsonl(self, image: str) -> dict[str, Any]:
        """The line of ``argus predict``: each hand as :meth:`Hand.to_jsonl` has it, with its box and score."""
        found = []
        for hand in self.hands:
            known = {"side": hand.side, "box_xyxy_px": hand.box_xyxy_px.round(2).tolist()}
            if hand.score is not None:
                known["score"] = round(hand.score, 5)
            line = hand.to_jsonl(image)
            found.append(known | {k: v for k, v in line.items() if k not in ("image", "note")})
        return {"image": image, "hands": found} | ({"note": self.note} if self.note else {})


class HandPredictor:
    """Finds the joints of hands with a trained checkpoint; made by :meth:`from_pretrained`.

    ``model`` is in evaluation mode, on its device; ``assets`` are the conditions of training.
    """

    def __init__(self, model: ArgusForHands, assets: HandAssets) -> None:
        self.model, self.assets = model.eval(), assets

    @classmethod
    def from_pretrained(cls, path: str | Path, *, device: str | torch.device = "auto") -> Self:
        """Loads a checkpoint.

        Args:
            path: A checkpoint or a run's folder, or the name of a model that ships with Argus (``argus-hand``).
            device: ``auto`` takes a GPU where there is one.

        Raises:
            CheckpointError: The folder is no checkpoint of a hand model, or damaged.
            ConfigError: There is no such device.
        """
        folder = checkpoint_at(model_folder(path))
        assets, on = HandAssets.load(folder), usable_device(device)
        keep_freed_memory()
        model = load_model(folder)
        model.to(on)  # type: ignore[arg-type]  # transformers wraps `to` with a signature of its own
        compute_in(decide("auto", on), model)
        return cls(model, assets)

    def predict(self, images: Sequence[str | Path | Image.Image], queries: Sequence[HandQuery]) -> list[Hand]:
        """Finds a hand in each picture, in one forward pass.

        A picture that its EXIF tag says to turn is turned upright first, and the query is about the upright one.

        Args:
            images: Paths or Pillow images.
            queries: One for each.

        Raises:
            ImageError: A picture cannot be read.
            DataError: A box lies outside its picture, K is no camera, or there are not as many queries as pictures.
        """
        if len(images) != len(queries):
            told = f"{len(images)} images and {len(queries)} queries"
            raise DataError(told, where="predict", remedy="give a query for each image")
        if not images:
            return []
        return self.predict_cuts([self.cut(*pair) for pair in zip(images, queries, strict=True)])

    def stream(
        self,
        images: Sequence[Path],
        query: HandQuery,
        *,
        batch_size: int,
        on_error: Callable[[Path, ArgusError], None],
    ) -> Iterator[tuple[Path, Hand]]:
        """As :meth:`predict`, one query for all pictures, which are read as they are needed, ``batch_size`` at a time.

        ``on_error`` is called with a picture that cannot be used, which is then left out.

        Yields:
            The pictures in their order, and their hands.
        """
        for batch in _read_ahead(images, lambda image: self.cut(image, query), batch_size, on_error):
            hands = self.predict_cuts([cuts for _, cuts in batch])
            yield from ((image, hand) for (image, _), hand in zip(batch, hands, strict=True))

    def find(
        self,
        images: Sequence[Path],
        finder: LooksForHands,
        *,
        side: Side | None = None,
        camera: Floats | None = None,
        batch_size: int,
        on_error: Callable[[Path, ArgusError], None],
    ) -> Iterator[tuple[Path, Hands]]:
        """As :meth:`stream`, with all hands that a finder says a picture has.

        ``side`` is what every hand is taken for, by default what the finder says, else that of which the model is
        surer; ``camera`` is the K ``[3, 3]`` of every picture.
        """

        def look(image: Path) -> tuple[Image.Image, str, Any]:
            picture, note = open_upright(image)
            return picture, note, finder.look(image, picture)

        for batch in _read_ahead(images, look, batch_size, on_error):
            boxes = finder.found([looked for _, (_, _, looked) in batch])
            for (image, (picture, note, _)), own in zip(batch, boxes, strict=True):
                try:
                    yield image, self.at(picture, own, side, camera, batch_size=batch_size, note=note)
                except ArgusError as error:
                    on_error(image, error)

    def at(
        self,
        picture: Image.Image,
        boxes: Sequence[HandBox],
        side: Side | None = None,
        camera: Floats | None = None,
        *,
        batch_size: int = 8,
        note: str = "",
    ) -> Hands:
        """The hands in some boxes of one upright picture; ``note``: what is known of it.

        Raises:
            DataError: A box lies outside of it, or K is no camera.
        """
        cuts = [self.cut(picture, HandQuery(box.box_xyxy_px, side or box.side, camera)) for box in boxes]
        found: list[Hand] = []
        for start in range(0, len(cuts), batch_size):
            found += self.predict_cuts(cuts[start : start + batch_size])
        hands = [replace(hand, score=box.score) for hand, box in zip(found, boxes, strict=True)]
        notes = [note, hands[0].note if hands else "no hand was found"]
        return Hands(hands, "; ".join(filter(None, notes)))

    def predict_cuts(self, cuts: Sequence[Sequence[CutHand]]) -> list[Hand]:
        """The hands of some cuts, in one forward pass: the second half of :meth:`predict`.

        Each hand is given as either side that it may be; that of which the model is surer is taken.
        """
        every = [cut for own in cuts for cut in own]
        pixels = pixel_values([np.asarray(cut.picture) for cut in every])
        found = predict_crops(self.model, pixels, [cut.camera for cut in every], self.assets.turns)
        hands = map(self._hand, found, every)
        return [max(islice(hands, len(own)), key=lambda hand: float(hand.confidence.mean())) for own in cuts]

    def cut(self, image: str | Path | Image.Image, query: HandQuery) -> tuple[CutHand, ...]:
        """A hand cut out as either side that it may be: the first half of :meth:`predict`, which needs no model.

        Raises:
            ImageError: The picture cannot be read.
            DataError: The box lies outside the picture, or K is no camera.
        """
        where = "an image" if isinstance(image, Image.Image) else str(image)
        picture, turned = open_upright(image)
        width, height = picture.size
        notes = [turned] if turned else []
        box = query.box_xyxy_px
        if box is None:
            box, margin = np.array([0.0, 0.0, width, height]), 1.0
            notes.append("the whole picture is taken for the hand")
        else:
            margin = self.assets.box_margin
            if (problem := box_problem(box, picture.size)) is not None:
                raise record_error(problem, where)
        if query.camera is None:
            focal = ASSUMED_FOCAL * max(width, height)
            camera = camera_matrix(focal, focal, width / 2, height / 2)
            assumed = f"a focal length of {focal:.0f} px is assumed, distances are as good as that"
            notes.append(f"no K was given: {assumed}")
        else:
            camera = query.camera
            if (problem := camera_problem(camera)) is not None:
                raise record_error(problem, where)
        sides: tuple[Side, ...] = (query.side,) if query.side else ("right", "left")
        cuts = []
        for side in sides:
            change = NO_CHANGE.crop(box, margin, self.assets.image_size, None)
            if side == "left":
                change = change.then(PictureMap.mirror(change.size))
            seen = change.picture(picture), change, *change.camera(camera)
            cuts.append(CutHand(*seen, side, box, camera, "; ".join(notes)))
        return tuple(cuts)

    def _hand(self, found: HandPrediction, cut: CutHand) -> Hand:
        joints = found.joints_m @ cut.turn
        names = self.model.config.objects
        holds = found.object_kind >= 0 and bool(found.contact.max() >= 0.5)
        named = names[found.object_kind] if holds else None
        back = PictureMap(np.asarray(np.linalg.inv(cut.change.matrix)), cut.change.size)
        pose = cut.turn.T @ found.object_pose_m
        if cut.change.mirrors:
            pose[:, 0] *= -1  # of the mirrored model, as its labels are
        return Hand(
            joints_m=joints,
            joints_px=project(joints, cut.source_camera),
            coarse_m=found.coarse_m @ cut.turn,
            confidence=found.confidence,
            side=cut.side,
            box_xyxy_px=cut.box_xyxy_px,
            camera=cut.source_camera,
            object_name=named,
            object_pose_m=pose if named is not None else None,
            contact=found.contact,
            sampling_px=back.points_px(found.sampling_px),
            note=cut.note,
        )


def _read_ahead(
    images: Sequence[Path],
    read: Callable[[Path], T],
    batch_size: int,
    on_error: Callable[[Path, ArgusError], None],
) -> Iterator[list[tuple[Path, T]]]:
    """Pictures in batches, read and decoded beside the forward pass, a few ahead; none that cannot be used."""

    def attempt(image: Path) -> T | ArgusError:
        try:
            return read(image)
        except ArgusError as error:
            return error

    with closing(map_in_order(attempt, images, _READERS)) as attempts:
        for start in range(0, len(images), batch_size):
            batch: list[tuple[Path, T]] = []
            for image in images[start : start + batch_size]:
                one = next(attempts)
                if isinstance(one, ArgusError):
                    on_error(image, one)
                else:
                    batch.append((image, one))
            if batch:
                yield batch


@dataclass(frozen=True, slots=True, eq=False)
class CutHand:
    """A hand as the model sees it, and the way back to the picture.

    Attributes:
        picture: The crop; that of a left hand is mirrored.
        change: Picture → crop.
        camera: ``[3, 3]`` K of the crop.
        turn: ``[3, 3]``: rotation from the picture's camera to the crop's.
        box_xyxy_px: ``[4]`` in the picture: what was cut out, without its margin.
        source_camera: ``[3, 3]`` K of the picture.
    """

    picture: Image.Image
    change: PictureMap
    camera: Floats
    turn: Floats
    side: Side
    box_xyxy_px: Floats
    source_camera: Floats
    note: str


def parse_camera_option(text: str) -> Floats:
    """``fx,fy,cx,cy`` in pixels → K.

    Raises:
        DataError: It is not four numbers.
    """
    return camera_matrix(*four_numbers(text, "--camera", "write fx,fy,cx,cy in pixels"))


def four_numbers(text: str, option: str, remedy: str) -> Floats:
    """``[4]``: the numbers between commas of an option.

    Raises:
        DataError: It is not four numbers.
    """
    try:
        first, second, third, fourth = (float(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"{text!r} is not four numbers", where=option, remedy=remedy) from None
    return np.array([first, second, third, fourth])
