"""Whether two record files show the same picture: a demonstration that is asked about later gives the answer away."""

from __future__ import annotations

from typing import ClassVar

from argusvl.core.errors import ConfigError
from argusvl.core.files import real_path
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.scan import Measurement, RecordLine, scan


class _Pictures(Measurement[tuple[str, ...]]):
    """The names of the students' images, with the records that show them."""

    name: ClassVar[str] = "pictures"
    keeps: ClassVar[tuple[str, ...]] = ("shown",)

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[str, int]] = []

    def measure(self, line: RecordLine) -> tuple[str, ...]:
        return line.record.student.images

    def add(self, line: RecordLine, found: tuple[str, ...]) -> None:
        self.shown += [(name, line.index) for name in found]


def refuse_shared_pictures(pool: RecordFile, val: RecordFile) -> None:
    """Refuses a teacher pool that holds a held-out picture.

    Raises:
        ConfigError: It does; both records are named. (A record that cannot be read is no matter of this.)
    """
    teachers, held_out = _Pictures(), _Pictures()
    scan(pool, [teachers])
    scan(val, [held_out])
    taught = {real_path(pool.root / name): index for name, index in teachers.shown}
    shared = [(taught[path], i) for n, i in held_out.shown if (path := real_path(val.root / n)) in taught]
    if shared:
        teacher, asked = shared[0]
        raise ConfigError(
            f"{len(shared)} pictures of it are held out as well, the first in {pool.source(teacher)} and "
            f"{val.source(asked)}",
            where=pool.path,
            remedy="make a pool that is disjoint from val with `argus data pool`",
            slug="pool-in-val",
        )
