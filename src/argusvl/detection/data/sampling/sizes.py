"""How much room samples take in a packed row, known before one of them is opened."""

from __future__ import annotations

from array import array
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.pixels import num_patches
from argusvl.detection.data.sampling.samples import VisionLimits, measure_scene
from argusvl.detection.data.scan import Measurement, RecordLine, scan
from argusvl.detection.data.scan_cache import digest_of


class SceneSizes(Measurement[list[tuple[int, int]]]):
    """Tokens and patches that each scene of a records file adds to a conversation.

    Raises:
        DataError: A record, an image's header or a conversation's length is not what it should be.
    """

    name: ClassVar[str] = "sizes"
    keeps: ClassVar[tuple[str, ...]] = ("_tokens", "_patches", "_scenes")
    reads_images: ClassVar[bool] = True

    def __init__(self, records: RecordFile, processor: ChatProcessor, limits: VisionLimits) -> None:
        super().__init__(digest_of(processor.fingerprint, limits))
        self._processor, self._limits = processor, limits
        self._tokens, self._patches, self._scenes = array("q"), array("q"), array("q")
        scan(records, [self], strict=True, doing="measuring")
        self._all = np.stack([np.asarray(self._tokens), np.asarray(self._patches)], axis=1).astype(np.int64)
        self._first = np.cumsum([0, *self._scenes])

    @property
    def students(self) -> NDArray[np.int64]:
        """``[N, 2]``: of each record's student."""
        return self._all[self._first[:-1]]

    def teachers(self, index: int) -> NDArray[np.int64]:
        """``[T, 2]``: of the teachers that a record brings along."""
        return self._all[self._first[index] + 1 : self._first[index + 1]]

    def measure(self, line: RecordLine) -> list[tuple[int, int]]:  # noqa: D102
        record, sizes = line.record, []
        for scene in record.scenes:
            turn = measure_scene(scene, line.file.root, self._limits, record.source)
            conversation = self._processor.training(turn, source=record.source)
            sizes.append((conversation.tokens_as_teacher, sum(map(num_patches, turn.grids))))
        return sizes

    def add(self, line: RecordLine, found: list[tuple[int, int]]) -> None:  # noqa: D102
        self._scenes.append(len(found))
        for tokens, patches in found:
            self._tokens.append(tokens)
            self._patches.append(patches)
