"""How many tokens and patches the scenes of records have, known before an image is decoded."""

from __future__ import annotations

from array import array
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.pixels import num_patches
from argusvl.detection.data.sampling.samples import VisionLimits, measure_scene
from argusvl.detection.data.scan import Measurement, RecordLine
from argusvl.detection.data.scan_cache import digest_of


class SceneSizes(Measurement[list[tuple[int, int]]]):
    """Tokens and patches that each scene of a records file adds to a conversation, by its images' headers."""

    name = "sizes"
    keeps = ("_tokens", "_patches", "_scenes")
    reads_images = True

    def __init__(self, processor: ChatProcessor, limits: VisionLimits) -> None:
        super().__init__(digest_of(processor.fingerprint, limits))
        self._processor, self._limits = processor, limits
        self._tokens, self._patches, self._scenes = array("q"), array("q"), array("q")

    @cached_property
    def _all(self) -> NDArray[np.int64]:
        return np.stack([np.asarray(self._tokens), np.asarray(self._patches)], axis=1).astype(np.int64)

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        """Where each record's scenes begin, and where the last one's end."""
        return np.cumsum([0, *self._scenes])

    @property
    def conversations(self) -> NDArray[np.int64]:
        """``[N]``: tokens of each record, from the system prompt to the answer's end, its own teachers included."""
        return self._processor.system_length + np.add.reduceat(self._all[:, 0], self._first[:-1])

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
