"""Which photographs are worth labelling next: those that the model is unsure of, unlike each other and the labelled.

Uncertainty alone takes twenty pictures of the same scene, diversity alone (k-centre greedy, Sener and Savarese, 2018,
arXiv 1708.00489) the odd ones that show nothing. Their product is chosen greedily: each choice lowers what the pictures
like it are worth. The hundredth object of a label teaches less than the third: uncertain objects count as much as they
add to the square root of how many of their label there are by then, which is submodular, as the coverage functions of
Wei et al. (2015) are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from argusvl.core.errors import DataError
from argusvl.core.images import ReducedImage, open_reduced
from argusvl.core.workers import map_in_order
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.preparing.copies import Copies, Fingerprint, fingerprint

if TYPE_CHECKING:
    from argusvl.networks.picture_vectors import PictureVectors

LEAST_SCORE = 0.05
"""What scores less is no candidate for an object: most of two hundred queries, they would outweigh the rest."""

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Choice:
    """A picture that was chosen.

    Attributes:
        index: Among the candidates.
        corrections: See :func:`expected_corrections`.
        distance: One minus the cosine to the nearest picture that was labelled or chosen before; ``None``: the first.
    """

    index: int
    corrections: float
    distance: float | None

    @property
    def why(self) -> str:
        """The reason, in words."""
        unlike = "the first" if self.distance is None else f"distance {self.distance:.3f} from the nearest"
        return f"{self.corrections:.1f} corrections expected, {unlike}"


def expected_corrections(detections: Detections, labels: Sequence[str]) -> NDArray[np.float64]:
    """How many boxes of each label a person would change who keeps those of score 0.5 and more: Σ ``min(p, 1 - p)``.

    The detections are every query once, with probabilities for scores (of a calibrated checkpoint).
    """
    found = detections.above(LEAST_SCORE)
    number = {label: k for k, label in enumerate(labels)}
    changed = np.zeros(len(labels))
    np.add.at(changed, [number[one] for one in found.labels], np.minimum(found.scores, 1 - found.scores))
    return changed


def choose(
    corrections: NDArray[np.float64],
    had: NDArray[np.int64],
    vectors: NDArray[np.float32],
    labelled: NDArray[np.float32],
    count: int,
) -> list[Choice]:
    """Chooses pictures one after the other, the one first whose expected corrections and distance are worth most.

    Args:
        corrections: ``[N, V]``, of ``N`` pictures by label.
        had: ``[V]``: objects of each label that are labelled already.
        vectors: ``[N, D]``, of length 1.
        labelled: ``[M, D]``, of the pictures that have labels already; ``M`` may be 0.
        count: How many to choose, at most.
    """
    objects = had.astype(np.float64)
    nearest = np.full(len(corrections), np.inf)
    for block in np.array_split(labelled, max(1, len(labelled) // 1024)):
        if len(block):
            nearest = np.minimum(nearest, 1 - (vectors @ block.T).max(axis=1))
    left = np.ones(len(corrections), bool)
    chosen: list[Choice] = []
    for _ in range(min(count, len(corrections))):
        worth = (np.sqrt(objects + corrections) - np.sqrt(objects)).sum(axis=1)
        # Without any picture to be unlike, uncertainty alone decides; and distance alone where nothing is uncertain.
        unlike = np.where(np.isinf(nearest), 1.0, np.maximum(nearest, 0.0))
        value = np.where(left, (worth + 1e-6) * (unlike + 1e-6), -1.0)
        best = int(value.argmax())
        distance = None if np.isinf(nearest[best]) else float(max(nearest[best], 0.0))
        chosen.append(Choice(best, float(corrections[best].sum()), distance))
        left[best] = False
        objects += corrections[best]
        nearest = np.minimum(nearest, 1 - vectors @ vectors[best])
    return chosen


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures as they are compared: those that could be read, vectors ``[N, D]``, and what they are recognised by."""

    paths: list[Path]
    vectors: NDArray[np.float32]
    fingerprints: list[Fingerprint]


def see(paths: Iterable[Path], network: PictureVectors, on_error: Callable[[Path, DataError], None]) -> Seen:
    """Reads pictures small; one that cannot be read is told and left out."""

    def read(path: Path) -> tuple[Path, ReducedImage | DataError]:
        try:
            return path, open_reduced(path, 256)
        except DataError as error:
            return path, error

    read_paths, fingerprints = list[Path](), list[Fingerprint]()
    vectors, waiting = [], []
    for path, found in map_in_order(read, paths):
        if isinstance(found, DataError):
            on_error(path, found)
            continue
        read_paths.append(path)
        fingerprints.append(fingerprint(found.digest, found.picture))
        waiting.append(found.picture)
        if len(waiting) == _BATCH:
            vectors.append(network(waiting))
            waiting = []
    vectors.append(network(waiting))
    return Seen(read_paths, np.concatenate(vectors), fingerprints)


def copies_of(candidates: Seen, labelled: Seen) -> set[int]:
    """The candidates that are a labelled picture: the same file, or encoded again or resized.

    Conversion gives pictures another shape, after which one full of texture is no longer sure to be a copy; where it
    shows nearly the same and has kept its name, it is taken for one.
    """
    paths = [*labelled.paths, *candidates.paths]
    copies = Copies(
        [*labelled.fingerprints, *candidates.fingerprints], lambda k: open_reduced(paths[k], 64).picture
    )
    known = len(labelled.paths)

    def is_same(one: int, other: int) -> bool:
        likeness = copies.likeness(one, other)
        return likeness in ("file", "copy") or (likeness == "view" and paths[one].stem == paths[other].stem)

    return {
        k - known
        for group in copies.groups
        for k in group
        if k >= known and any(j < known and is_same(j, k) for j in group)
    }
