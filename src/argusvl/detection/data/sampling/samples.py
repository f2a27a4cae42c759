"""One sample on its way from a record to a batch: images on the network's grid, objects, conversation.

Everything that must happen to a scene's images before the model sees them happens in :func:`load_scene`, for students
and teachers, in training, evaluation and prediction alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from argus_doctor.wording import show_name
from argusvl.core.errors import DataError, ImageError
from argusvl.core.images import image_size, open_image
from argusvl.core.logging import get_logger
from argusvl.detection.data.patches import TOKEN_AREA
from argusvl.detection.data.records import ObjectAnnotation, Scene
from argusvl.detection.data.resize import ResizePlan, plan_resize, resize_image
from argusvl.detection.data.sampling.conversation import Conversation, Turn
from argusvl.detection.data.sampling.pixels import Grid, patch_grid

VisionTokensPolicy = Literal["refuse", "resize"]

_log = get_logger(__name__)
_MOST_WARNINGS = 100
_warned: dict[str, set[str]] = {}


@dataclass(frozen=True, slots=True)
class VisionLimits:
    """How large an image may be when it reaches the model.

    Attributes:
        min_pixels: A smaller image is enlarged.
        max_pixels: A larger image is reduced.
        vision_tokens_warn: Merged vision tokens of an image from which a warning names it.
        vision_tokens_max: Most merged vision tokens of an image.
        vision_tokens_policy: What to do above: refuse the image by name, or reduce it further.
    """

    min_pixels: int
    max_pixels: int
    vision_tokens_warn: int
    vision_tokens_max: int
    vision_tokens_policy: VisionTokensPolicy

    def plan(self, width: int, height: int, where: object) -> ResizePlan:
        """How an image of this size reaches the grid.

        Raises:
            DataError: It would have more tokens than allowed, and the policy is to refuse.
        """
        plan = plan_resize(width, height, self.min_pixels, self.max_pixels, where=where)
        if plan.vision_tokens > self.vision_tokens_max:
            if self.vision_tokens_policy == "refuse":
                raise DataError(
                    f"{plan.resized_width}×{plan.resized_height} pixels are {plan.vision_tokens} vision tokens, "
                    f"vision_tokens_max is {self.vision_tokens_max}",
                    where=where,
                    remedy="lower max_pixels, raise vision_tokens_max, or set vision_tokens_policy to resize",
                    slug="vision-tokens-over-max",
                )
            most = min(self.max_pixels, self.vision_tokens_max * TOKEN_AREA)
            # The image is being reduced: a lower limit near the upper one must not leave it without a size.
            plan = plan_resize(width, height, TOKEN_AREA, most, where=where)
        if plan.vision_tokens > self.vision_tokens_warn:
            limit = self.vision_tokens_warn
            warn_once(where, "%s: %d vision tokens, vision_tokens_warn is %d", plan.vision_tokens, limit)
        return plan


@dataclass(frozen=True, slots=True)
class QueryLimit:
    """How many objects of an image a model can find at most.

    Attributes:
        queries: Boxes that it predicts for an image.
        proposed: Whether they are proposals, of which each patch makes one.
    """

    queries: int
    proposed: bool

    def of(self, grid: Grid) -> tuple[int, str]:
        """The number for an image of so many patches, and what it is the number of."""
        _, rows, columns = grid
        if self.proposed and rows * columns < self.queries:
            return rows * columns, "patches in it that can propose one are"
        return self.queries, "detection_num_queries is"


@dataclass(frozen=True, slots=True)
class LoadedScene:
    """A scene whose images are decoded and on the grid.

    Attributes:
        images: ``uint8 [height, width, 3]`` each, sides multiples of 28.
        objects: Boxes in pixels of these images.
        plans: How each image was resized; its inverse brings predictions back to the stored pixels.
    """

    images: tuple[np.ndarray, ...]
    objects: tuple[ObjectAnnotation, ...]
    plans: tuple[ResizePlan, ...] = ()

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The images in patches."""
        return tuple(patch_grid(image.shape[1], image.shape[0]) for image in self.images)

    @property
    def turn(self) -> Turn:
        """The scene as the conversation needs it."""
        return Turn(grids=self.grids, objects=self.objects)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the collator joins to a batch.

    Attributes:
        conversation: Token ids and their spans.
        images: Pixels of every image of the conversation, teachers' first, in order of appearance.
        objects: The student's objects; boxes in pixels of the student's resized images.
        source: ``file:line`` of the record, or the caller's name for it.
    """

    conversation: Conversation
    images: tuple[np.ndarray, ...]
    objects: tuple[ObjectAnnotation, ...]
    source: str


def join(
    conversation: Conversation, student: LoadedScene, teachers: Sequence[LoadedScene], source: str
) -> Sample:
    """The sample of a conversation; images of teachers that it left out are left out too."""
    shown = (*teachers[: conversation.num_teachers], student)
    return Sample(
        conversation=conversation,
        images=tuple(image for scene in shown for image in scene.images),
        objects=student.objects,
        source=source,
    )


def prepare_image(image: Image.Image, limits: VisionLimits, where: object) -> tuple[np.ndarray, ResizePlan]:
    """Brings an RGB image onto the grid.

    Returns:
        The pixels ``uint8 [height, width, 3]`` and the plan by which they were resized.

    Raises:
        DataError: The image has more vision tokens than allowed, or cannot be resized.
    """
    plan = limits.plan(image.width, image.height, where)
    return np.asarray(resize_image(image, plan)), plan


def load_scene(scene: Scene, root: Path, limits: VisionLimits, source: str) -> LoadedScene:
    """Opens and resizes a scene's images, which lie below ``root``, and moves its boxes along; errors name ``source``.

    Raises:
        ImageError: An image is missing, damaged or turned by its EXIF tag.
        DataError: A box is not inside its image, or an image has too many vision tokens.
    """
    prepared = []
    for name in scene.images:
        with _named_by(source):
            image = open_image(root / name, exif="refuse")
        prepared.append(prepare_image(image, limits, f"{source} ({name})"))
    plans = tuple(plan for _, plan in prepared)
    return LoadedScene(tuple(pixels for pixels, _ in prepared), _move_objects(scene, plans, source), plans)


def measure_scene(scene: Scene, root: Path, limits: VisionLimits, source: str) -> Turn:
    """The turn of a scene from its images' headers: what :func:`load_scene` gives, without decoding a pixel.

    Raises:
        ImageError: An image is missing, is none, or is turned by its EXIF tag.
        DataError: A box is not inside its image, or an image has too many vision tokens.
    """
    plans: list[ResizePlan] = []
    for name in scene.images:
        with _named_by(source):
            size = image_size(root / name, exif="refuse")
        plans.append(limits.plan(*size, f"{source} ({name})"))
    grids = tuple(patch_grid(*plan.resized_size) for plan in plans)
    return Turn(grids=grids, objects=_move_objects(scene, plans, source))


@contextmanager
def _named_by(source: str) -> Iterator[None]:
    """Errors of an image say which record names it."""
    try:
        yield
    except ImageError as error:
        where = f"{source} ({show_name(error.where)})" if source else error.where
        slug = error.slug or "unreadable-image"
        raise ImageError(error.what, where=where, remedy=error.remedy, slug=slug) from error


def _move_objects(scene: Scene, plans: Sequence[ResizePlan], source: str) -> tuple[ObjectAnnotation, ...]:
    """The objects with their boxes in pixels of the resized images."""
    moved = []
    for annotation in scene.objects:
        if annotation.image >= len(plans):
            raise DataError(
                f"object {annotation.desc!r} belongs to image {annotation.image}, the scene has {len(plans)}",
                where=source,
                remedy="name the image, or remove the object",
                slug="malformed-record",
            )
        plan = plans[annotation.image]
        if annotation.bbox_2d[2] > plan.width or annotation.bbox_2d[3] > plan.height:
            raise DataError(
                f"box {list(annotation.bbox_2d)} of {annotation.desc!r} reaches outside its image "
                f"{scene.images[annotation.image]} of {plan.width}×{plan.height} pixels (width × height)",
                where=source,
                remedy="correct the box; `argus data check` lists every such box",
                slug="box-out-of-bounds",
            )
        moved.append(replace(annotation, bbox_2d=plan.box_to_resized(annotation.bbox_2d)))
    return tuple(moved)


def warn_once(where: object, message: str, *args: object) -> None:
    """Warns of an image the first time that it is met, not in every epoch; of a hundred images at most.

    The message begins with ``%s``, which ``where``, the image, is put in for.
    """
    warned = _warned.setdefault(message, set())
    if str(where) not in warned and len(warned) < _MOST_WARNINGS:
        warned.add(str(where))
        _log.warning(message, where, *args)
