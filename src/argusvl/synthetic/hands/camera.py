"""The pinhole camera, and what becomes of it when its picture is cropped, resized, mirrored or turned.

Pixels are continuous: (0, 0) is the *corner* of the picture, and the centre of its first pixel is (0.5, 0.5), as for
the boxes in :mod:`~argusvl.core.boxes`. Resizing is then a plain multiplication, and a box as wide as the picture ends
at its width. OpenCV, and most calibrations, put (0, 0) into the *centre* of the first pixel:
:func:`camera_from_pixel_centres` brings such a K here.

The camera looks along +z, x points right and y down. ``K`` is ``[[fx, s, cx], [0, fy, cy], [0, 0, 1]]`` in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from argusvl.core.errors import DataError
from argusvl.synthetic.hands.arrays import Floats

Array = TypeVar("Array", Tensor, Floats)

HALF_PIXEL = 0.5


def project(points: Array, cameras: Array) -> Array:
    """Where points are seen.

    Half precision is left for float32: at 0.6 m bfloat16 knows a joint to 4 mm and a pixel to 4.

    Args:
        points: ``[..., N, 3]`` in the camera's frame, any unit. Behind the camera (z ≤ 0) the result means nothing:
            nothing is clamped, and the caller looks at z.
        cameras: ``[..., 3, 3]`` in pixels, one for the N points.

    Returns:
        ``[..., N, 2]`` pixels.
    """
    points, cameras = _precise(points), _precise(cameras)
    seen = points @ cameras.swapaxes(-1, -2)
    return seen[..., :2] / seen[..., 2:]


def unproject(points_px: Array, depths: Array, cameras: Array) -> Array:
    """Inverse of :func:`project` by pixels ``[..., N, 2]`` and their z ``[..., N]``: ``[..., N, 3]``, in its unit."""
    points_px, depths, cameras = _precise(points_px), _precise(depths), _precise(cameras)
    fx, skew, cx = (cameras[..., 0, k][..., None] for k in range(3))
    fy, cy = (cameras[..., 1, k][..., None] for k in (1, 2))
    y = (points_px[..., 1] - cy) / fy
    x = (points_px[..., 0] - cx - skew * y) / fx
    points = points_px[..., [0, 1, 1]] * 0  # the shape and the kind of array
    points[..., 0], points[..., 1], points[..., 2] = x * depths, y * depths, depths
    return points


def _precise(values: Array) -> Array:
    if isinstance(values, Tensor) and values.dtype.itemsize < 4:
        return values.float()
    return values


def camera_matrix(fx: float, fy: float, cx: float, cy: float) -> Floats:
    """K from focal lengths and principal point, in pixels."""
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)


def camera_from_pixel_centres(camera: Floats) -> Floats:
    """A K for which (0, 0) is the centre of the first pixel (OpenCV) → the same camera in our pixels."""
    moved = np.array(camera, dtype=np.float64)
    moved[:2] += HALF_PIXEL * moved[2]
    return moved


@dataclass(frozen=True, slots=True, eq=False)
class PictureMap:
    """A change of a picture's geometry, and with it of all that is known in the picture or in its camera's frame.

    Every such change is an affine map of pixels A. As ``A @ K`` is in general no camera any more (its focal length is
    negative after a mirror, its axes are turned after a rotation), it is taken apart into a camera K' and an
    orthogonal Q about the optical axis, ``A @ K = K' @ Q``: points in space go by Q, and K' sees them where A brings
    the pixels. After a mirror Q mirrors too: a right hand has become a left one, in the picture and in space alike.

    Attributes:
        matrix: ``[3, 3]``: pixels of the old picture → pixels of the new.
        size: ``(width, height)`` of the new picture.
    """

    matrix: Floats
    size: tuple[int, int]

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        regular = matrix.shape == (3, 3) and np.isfinite(matrix).all() and np.linalg.det(matrix[:2, :2]) != 0
        if not regular or min(self.size) < 1:
            raise DataError(
                f"no map of pictures: {matrix.tolist()} to {self.size[0]}×{self.size[1]} pixels",
                where="PictureMap",
                remedy="give a crop that has an area, and a picture of at least one pixel",
            )
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def crop(cls, box_xyxy_px: tuple[float, float, float, float], size: tuple[int, int]) -> PictureMap:
        """A box, which may reach out of the picture, stretched to a size."""
        x1, y1, x2, y2 = box_xyxy_px
        if not (x2 > x1 and y2 > y1):
            what, remedy = f"the crop {list(box_xyxy_px)} has no area", "give left, top, right, bottom"
            raise DataError(what, where="PictureMap", remedy=remedy)
        scale_x, scale_y = size[0] / (x2 - x1), size[1] / (y2 - y1)
        return cls(np.array([[scale_x, 0, -x1 * scale_x], [0, scale_y, -y1 * scale_y], [0, 0, 1]]), size)

    @classmethod
    def resize(cls, old: tuple[int, int], new: tuple[int, int]) -> PictureMap:
        """The whole picture, stretched to another size."""
        return cls.crop((0, 0, *old), new)

    @classmethod
    def mirror(cls, size: tuple[int, int]) -> PictureMap:
        """Left and right exchanged."""
        return cls(np.array([[-1.0, 0, size[0]], [0, 1, 0], [0, 0, 1]]), size)

    @classmethod
    def rotation(cls, size: tuple[int, int], degrees: float) -> PictureMap:
        """The picture turned clockwise about its centre; its size stays, so corners are lost."""
        angle, centre = np.deg2rad(degrees), np.array(size) / 2
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = turn, centre - turn @ centre
        return cls(matrix, size)

    def then(self, following: PictureMap) -> PictureMap:
        """Both changes as one."""
        return PictureMap(following.matrix @ self.matrix, following.size)

    @property
    def mirrors(self) -> bool:
        """Whether hands change their side."""
        return bool(np.linalg.det(self.matrix[:2, :2]) < 0)

    def points_px(self, points: Floats) -> Floats:
        """``[..., 2]`` pixels of the old picture → pixels of the new."""
        return np.asarray(points @ self.matrix[:2, :2].T + self.matrix[:2, 2])

    def camera(self, camera: Floats) -> tuple[Floats, Floats]:
        """What sees the changed scene in the changed picture.

        Args:
            camera: ``[3, 3]``: K of the old picture.

        Returns:
            K of the new picture, its focal lengths positive, and ``[3, 3]`` orthogonal Q: points in the old camera's
            frame ``p`` are ``Q @ p`` in the new one's. Distances, also along z, stay as they are.
        """
        moved = self.matrix @ camera
        upper, turn = _upper_times_orthogonal(moved[:2, :2])
        new, orthogonal = np.eye(3), np.eye(3)
        new[:2, :2], new[:2, 2], orthogonal[:2, :2] = upper, moved[:2, 2], turn
        return new, orthogonal

    def picture(self, image: Image.Image) -> Image.Image:
        """The picture, bilinear; black where the old one had nothing. Shrinking averages first, against aliasing."""
        scale_x, scale_y = np.linalg.norm(self.matrix[:2, :2], axis=0)
        scales = zip(image.size, (scale_x, scale_y), strict=True)
        width, height = (max(1, round(side * min(1.0, scale))) for side, scale in scales)
        smaller = (width, height)
        rest = self.matrix
        if smaller != image.size:
            rest = rest @ np.linalg.inv(PictureMap.resize(image.size, smaller).matrix)
            image = image.resize(smaller, Image.Resampling.BILINEAR)
        # Pillow asks where each new pixel comes from, and counts from the picture's corner as we do.
        back = tuple(np.linalg.inv(rest)[:2].ravel())
        return image.transform(self.size, Image.Transform.AFFINE, back, resample=Image.Resampling.BILINEAR)


def _upper_times_orthogonal(matrix: Floats) -> tuple[Floats, Floats]:
    """``[2, 2]`` regular → upper triangular with a positive diagonal, times orthogonal."""
    # QR of the rows in reverse order gives the triangle on the left-hand side.
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    q, r = np.linalg.qr((swap @ matrix).T)
    upper, turn = swap @ r.T @ swap, swap @ q.T
    signs = np.diag(np.sign(np.diag(upper)))
    return upper @ signs, signs @ turn
