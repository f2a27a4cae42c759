"""What the objects of records are called: labels, the texts of captions, and what a tokenizer is learned from."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice

from argusvl.detection.data.records import Record
from argusvl.detection.data.scan import Measurement, RecordLine


def scenes_of(records: Iterable[Record]) -> Iterator[list[str]]:
    """The descriptions of each scene, those of teachers before their student's."""
    for record in records:
        for scene in (*record.teachers, record.student):
            yield [annotation.desc for annotation in scene.objects]


class Descriptions(Measurement[list[list[str]]]):
    """Collects the descriptions in their order: four bytes an object, and each different text once.

    Attributes:
        counts: Of the students' objects: text → how often.
    """

    name = "descriptions"
    keeps = ("counts", "_texts", "_ids", "_objects", "_scenes")

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self._texts: dict[str, int] = {}  # text → its number
        self._ids = array("i")  # number of the text of each object
        self._objects = array("i")  # of each scene
        self._scenes = array("i")  # of each record

    def measure(self, line: RecordLine) -> list[list[str]]:
        """The scenes, the student's last."""
        return list(scenes_of([line.record]))

    def add(self, line: RecordLine, found: list[list[str]]) -> None:
        """Adds them."""
        for text in found[-1]:
            self.counts[text] = self.counts.get(text, 0) + 1
        self._scenes.append(len(found))
        for scene in found:
            self._objects.append(len(scene))
            self._ids.extend(self._texts.setdefault(text, len(self._texts)) for text in scene)

    def scenes(self, most_records: int | None = None) -> Iterator[list[str]]:
        """The descriptions of each scene, as :func:`scenes_of` gives them for the first so many records."""
        texts, ids = list(self._texts), iter(self._ids)
        for objects in islice(self._objects, sum(self._scenes[:most_records])):
            yield [texts[number] for number in islice(ids, objects)]
