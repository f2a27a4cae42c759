"""Folders that agents may read, and the paths that they name: nothing else on the machine exists for them.

A path is followed to its end, through all links, before it is judged, and what is judged is what is opened. What lies
outside is refused with the same words whether or not it is there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from argusvl.core.errors import ArgusError, ImageError
from argusvl.core.files import is_inside, real_path, require_folder
from argusvl.core.images import image_size
from argusvl.core.wording import printable

MOST_IMAGE_BYTES = 64 << 20
MOST_MEGAPIXELS = 64
MOST_ENTRIES = 100_000
"""Of a folder that is looked through."""

_LONGEST_NAME = 4096


class Folders:
    """The folders that were allowed.

    Raises:
        ArgusError: There is none, or one is missing.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        if not folders:
            raise ArgusError("no folder is allowed", remedy="name one or more: --folder DIR")
        for folder in folders:
            require_folder(folder, remedy="name an existing folder", error=ArgusError)
        self.roots = [real_path(folder) for folder in folders]

    def image(self, name: str) -> Path:
        """An image within the limits.

        Raises:
            ArgusError: It is outside, missing, no image, or has too many bytes or pixels.
        """
        file = self._file(name, self._existing(name), MOST_IMAGE_BYTES)
        try:
            width, height = image_size(file)
        except ImageError as error:
            what = error.what.partition(": it begins")[0]  # what else a file holds is no agent's business
            raise ImageError(what, where=self.shown(file), remedy="name an image") from None
        if width * height > MOST_MEGAPIXELS * 1_000_000:
            raise ImageError(
                f"has {width} × {height} pixels, more than {MOST_MEGAPIXELS} million",
                where=self.shown(file),
                remedy="name a smaller one",
            )
        return file

    def folder(self, name: str) -> Path:
        """A folder that nothing in it leads out of.

        Raises:
            ArgusError: It is outside, missing or no folder; a link in it leads out, a pipe or device is in it, or
                too much.
        """
        found = self._existing(name)
        if not found.is_dir():
            raise ArgusError("is no folder", where=self.shown(found), remedy="name a folder")
        for count, entry in enumerate(_entries(found)):
            if count >= MOST_ENTRIES:
                raise ArgusError(
                    f"holds more than {MOST_ENTRIES} files",
                    where=self.shown(found),
                    remedy="name a folder in it",
                )
            self._require_harmless(entry)
        return found

    def file_or_folder(self, name: str, *, most_bytes: int) -> Path:
        """An ordinary file of at most so many bytes, or a folder as :meth:`folder` takes it.

        Raises:
            ArgusError: It is neither.
        """
        found = self._existing(name)
        return self.folder(name) if found.is_dir() else self._file(name, found, most_bytes)

    def shown(self, path: Path) -> str:
        """How a path is named: below its folder, with the folder's own name where several are allowed."""
        for root in self.roots:
            if path == root or root in path.parents:
                relative = path.relative_to(root)
                several = len(self.roots) > 1
                return printable(str(root.name / relative if several else relative))
        return printable(path.name)

    def shortened(self, text: str) -> str:
        """A text of ours without the places of the folders on this machine."""
        for root in self.roots:
            own = f"{root.name}/" if len(self.roots) > 1 else ""
            text = text.replace(f"{root}/", own).replace(str(root), root.name)
        return text

    def _existing(self, name: str) -> Path:
        """The end of a path: what it means when all links are followed, inside one of the folders."""
        path = Path(name)
        if not name or "\0" in name or len(name) > _LONGEST_NAME:
            raise ArgusError(
                "the path is empty, too long, or no path", remedy=f"name a path in {self._named()}"
            )
        if ".." in path.parts:
            raise self._outside(name)
        candidates = [path] if path.is_absolute() else [root / path for root in self.roots]
        if not path.is_absolute():  # the folder's own name may stand before, as it is shown
            candidates += [
                root.joinpath(*path.parts[1:]) for root in self.roots if path.parts[:1] == (root.name,)
            ]
        inside = [
            end for one in candidates if any(is_inside(root, end := real_path(one)) for root in self.roots)
        ]
        if not inside:
            raise self._outside(name)
        for end in inside:
            try:
                end.stat()
            except (OSError, ValueError):
                continue
            return end
        raise ArgusError(
            f"there is no {printable(name)!r}", remedy=f"list_places shows what is in {self._named()}"
        )

    def _file(self, name: str, found: Path, most_bytes: int) -> Path:
        about = found.stat()
        if not stat.S_ISREG(about.st_mode):
            what = "is a folder" if stat.S_ISDIR(about.st_mode) else "is a pipe or a device"
            raise ArgusError(what, where=printable(name), remedy="name an ordinary file")
        if about.st_size > most_bytes:
            raise ArgusError(
                f"has {about.st_size} bytes, more than {most_bytes}",
                where=printable(name),
                remedy="name a smaller file",
            )
        return found

    def _require_harmless(self, entry: os.DirEntry[str]) -> None:
        place = self.shown(Path(entry.path))
        if entry.is_symlink() and not any(is_inside(root, Path(entry.path)) for root in self.roots):
            raise ArgusError(
                "is a link that leads out of the folder", where=place, remedy="name another place"
            )
        mode = entry.stat(follow_symlinks=False).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            raise ArgusError("is a pipe or a device", where=place, remedy="name a folder without it")

    def _outside(self, name: str) -> ArgusError:
        return ArgusError(
            f"{printable(name)!r} is not in a folder that may be read",
            remedy=f"name a path in {self._named()}",
        )

    def _named(self) -> str:
        return ", ".join(root.name or str(root) for root in self.roots)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything in a folder and in folders of it; links are not followed."""
    level = [str(folder)]
    while level:
        with os.scandir(level.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    level.append(entry.path)
