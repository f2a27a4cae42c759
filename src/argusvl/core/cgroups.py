"""What a container or a scheduler allows this process: files of its control groups (Linux)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def limit_files(controller: str, name: str) -> Iterator[Path]:
    """The files of a name in this process's group and in the groups around it; a limit in any of them holds.

    Of the controller ``cpu`` it is e.g. ``cpu.max`` (version 2) or ``cpu.cfs_quota_us`` (version 1).
    """
    if not _MEMBERSHIP.is_file():
        return
    for line in _MEMBERSHIP.read_text(encoding="utf-8").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _MOUNT / controllers  # of version 2, which names none: the mount itself
        # Inside a container the group may be named as the host sees it; then only the root is there.
        own = root / group.lstrip("/")
        for folder in (own, *own.parents):
            if (folder / name).is_file():
                yield folder / name
            if folder == root:
                break
