"""Pictures that stand in a data set twice: the same file, encoded again, resized, brightened, mirrored, taken again.

A picture that is learned from and tested on makes the test worthless, and no figure shows it. Three steps, from cheap
to sure: equal files have equal digests; the rest are candidates when their perceptual hashes (the signs of a small
cosine transform) are close and their thumbnails agree; candidates are opened again and compared at a finer scale. All
this for a picture as it is, mirrored, and turned by quarters: sets are often augmented before they are split.

What all pictures of a set share (a fixed camera, the rim of a microscope's field) is taken out of the thumbnails
first: it makes different pictures look alike, and says nothing about whether one is a copy of the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from scipy.fft import dctn

from argusvl.core.progress import track

Likeness = Literal["file", "copy", "turned", "view"]
"""``file``: byte for byte; ``copy``: encoded again, resized or brightened; ``turned``: that, and mirrored or turned by
quarters; ``view``: the same thing, taken again."""

_TURNS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda a: a,
    np.fliplr,
    np.flipud,
    lambda a: np.rot90(a, 2),
    np.rot90,
    lambda a: np.rot90(a, 3),
    np.transpose,
    lambda a: np.rot90(a, 2).T,
)
"""The ways to lay a square on itself; the first leaves it as it is."""

THUMBNAIL_SIDE = 16
_CLOSE_SIDE = 64
_BLOCKS = 8

_HASH_SIDE = 8
_MAX_HASH_DISTANCE = 12
"""Of 63 bits. Copies of BCCD and BBU-room pictures differ in 0 to 8, other pictures in 16 and more."""

_MIN_AGREEMENT = 0.9
"""Correlation of two thumbnails, after what all pictures share is taken out."""

_MIN_CLOSE_AGREEMENT = 0.9
"""Correlation at 64×64. Another encoding or brightness leaves 0.95 and more, other pictures of one scene reach 0.85."""

_MAX_LOCAL_CHANGE = 0.15
"""Of a copy: what is left of a block after brightness and contrast are matched, over the picture's own contrast."""

_PLAIN = 2.0
"""Grey levels. A thumbnail that varies by less is a plain picture, of which all copies look alike."""

_SHARED_FROM = 20
"""With fewer pictures their mean says more about each of them than about what they share."""

_LEAST_OWN = 0.02
"""Share of a thumbnail's variance that must be the picture's own; below, noise decides about likeness."""

_TRIES = 8
"""Candidates of one picture that are opened, the likeliest first: a static camera would make all pairs candidates."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a picture is recognised by: a digest of the file's bytes, and a grey thumbnail ``uint8 [16 · 16]``."""

    digest: bytes
    thumbnail: bytes


def fingerprint(digest: bytes, picture: Image.Image) -> Fingerprint:
    """The fingerprint of an upright picture, which may be reduced already."""
    small = picture.convert("L").resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return Fingerprint(digest, small.tobytes())


class Copies:
    """Groups of pictures that are copies of each other.

    Args:
        fingerprints: Of every picture, in the data's order.
        open_picture: Number of a picture → the upright picture; asked for candidates only.
        progress: Whether to show a progress bar.

    Attributes:
        groups: Numbers of pictures that belong together, two or more in each; groups and numbers ascend.
    """

    def __init__(
        self,
        fingerprints: Sequence[Fingerprint],
        open_picture: Callable[[int], Image.Image],
        *,
        progress: bool = False,
    ) -> None:
        self._open = open_picture
        self._close: dict[int, np.ndarray] = {}
        self._digests = [one.digest for one in fingerprints]
        same: dict[bytes, set[int]] = defaultdict(set)
        for number, digest in enumerate(self._digests):
            same[digest].add(number)
        group_of = {number: group for group in same.values() for number in group}
        distinct = [min(group) for group in same.values()]
        thumbnails = [fingerprints[i].thumbnail for i in distinct]
        for number, candidates in _candidates(thumbnails, progress):
            here = distinct[number]
            tries = 0
            for there in (distinct[other] for other in candidates):
                if there in group_of[here]:
                    continue
                if self.likeness(here, there) is not None:
                    small, large = sorted((group_of[here], group_of[there]), key=len)
                    large |= small
                    group_of |= dict.fromkeys(small, large)
                elif (tries := tries + 1) == _TRIES:
                    break
        groups = {id(group): group for group in group_of.values()}
        self.groups = sorted(sorted(group) for group in groups.values() if len(group) > 1)

    def likeness(self, first: int, second: int) -> Likeness | None:
        """How two pictures are alike; ``None`` for two pictures that are not, in spite of what they have in common."""
        if self._digests[first] == self._digests[second]:
            return "file"
        one, other = self._at_close(first), self._at_close(second)
        as_it_is = compare(one, other)
        if as_it_is is not None:
            return as_it_is
        # A mirror image that is merely similar says nothing: many things are nearly symmetric.
        turned = any(compare(one, turn(other)) == "copy" for turn in _TURNS[1:])
        return "turned" if turned else None

    def _at_close(self, number: int) -> np.ndarray:
        if number not in self._close:
            grey = self._open(number).convert("L")
            small = grey.resize((_CLOSE_SIDE, _CLOSE_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
            self._close[number] = np.asarray(small)
        return self._close[number]


def compare(first: np.ndarray, second: np.ndarray) -> Likeness | None:
    """Compares two pictures, ``uint8 [64, 64]``, whatever their brightness and contrast."""
    a, b = (picture.astype(np.float64) - picture.mean() for picture in (first, second))
    if min(a.std(), b.std()) < _PLAIN:
        return None
    agreement = float((a * b).mean() / (a.std() * b.std()))
    if agreement < _MIN_CLOSE_AGREEMENT:
        return None
    rest = a / a.std() - b / b.std()
    side = _CLOSE_SIDE // _BLOCKS
    blocks = np.sqrt((rest.reshape(_BLOCKS, side, _BLOCKS, side) ** 2).mean(axis=(1, 3)))
    return "copy" if blocks.max() <= _MAX_LOCAL_CHANGE else "view"


def _candidates(thumbnails: Sequence[bytes], progress: bool) -> Iterator[tuple[int, list[int]]]:
    """For each picture the earlier ones that it may be a copy of, the likeliest first."""
    if len(thumbnails) < 2:
        return
    own, usable = _what_is_its_own(thumbnails)  # [turns, N, 256], [N]
    numbers = np.flatnonzero(usable)
    if len(numbers) < 2:
        return
    own = own[:, numbers]
    hashes = np.stack([_perceptual_hashes(turned) for turned in own])
    rows = range(1, len(numbers))
    for row in track(rows, len(rows), "comparing pictures", unit="pictures", enabled=progress):
        distance = np.bitwise_count(hashes[0, :row] ^ hashes[:, row, None])  # [turns, row]
        turn, near = np.nonzero(distance <= _MAX_HASH_DISTANCE)
        if not len(near):
            continue
        agreement = (own[0, near] * own[turn, row]).sum(-1)
        order = np.argsort(-agreement, kind="stable")
        chosen = near[order][agreement[order] >= _MIN_AGREEMENT]
        if len(chosen):
            yield int(numbers[row]), list(dict.fromkeys(numbers[chosen].tolist()))


def _what_is_its_own(thumbnails: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails in each turn without what all share, and which of them say enough.

    Returns:
        ``float32 [turns, N, 256]``, each of mean 0 and length 1; ``bool [N]``.
    """
    values = np.frombuffer(b"".join(thumbnails), dtype=np.uint8).reshape(len(thumbnails), -1)
    deviations = values.astype(np.float32)
    deviations -= deviations.mean(axis=1, keepdims=True)
    usable = deviations.std(axis=1) >= _PLAIN
    unit = deviations / np.maximum(np.linalg.norm(deviations, axis=1, keepdims=True), 1e-6)
    places = np.arange(THUMBNAIL_SIDE**2).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    turned = np.stack([unit[:, turn(places).ravel()] for turn in _TURNS])
    if usable.sum() >= _SHARED_FROM:
        shared = unit[usable].mean(axis=0)
        shared /= max(float(np.linalg.norm(shared)), 1e-6)
        turned -= (turned @ shared)[..., None] * shared
    lengths = np.linalg.norm(turned, axis=-1, keepdims=True)
    usable &= lengths[0, :, 0] ** 2 >= _LEAST_OWN
    return turned / np.maximum(lengths, 1e-6), usable


def _perceptual_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """The signs of the lowest frequencies of thumbnails ``float [N, 256]``, ``uint64 [N]``; brightness is left out."""
    pictures = thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    low = dctn(pictures, axes=(1, 2), norm="ortho")[:, :_HASH_SIDE, :_HASH_SIDE].reshape(len(pictures), -1)
    signs = low > 0
    signs[:, 0] = False
    return np.packbits(signs, axis=1).view(np.uint64).ravel()
