"""A JSONL file of predictions that grows image by image, appears complete or not at all, and can be resumed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from argusvl.core.errors import ArgusError, DataError


class PredictionsFile:
    """Lines go to a ``.part`` file beside the target, which takes the target's name when all are written.

    After an interruption the ``.part`` file stays. Its name holds a digest of the request, so that a resumed run
    never mixes the results of two requests.

    Args:
        path: The JSONL file to make or replace; until the end it is as it was.
        request: What decides the results (checkpoint, labels, threshold, …); JSON-ready.
        resume: Go on with what an interrupted run of the same request has written.

    Attributes:
        done: Images that are in the file already.

    Raises:
        DataError: There is an unfinished file and ``resume`` is not set, or the other way round.
        ArgusError: The file cannot be written.
    """

    def __init__(self, path: str | Path, request: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = Path(path)
        text = json.dumps(request, sort_keys=True, ensure_ascii=False)
        digest = hashlib.blake2s(text.encode("utf-8"), digest_size=4).hexdigest()
        self.part = self.path.with_name(f"{self.path.name}.{digest}.part")
        self.done: set[str] = set()
        if self.path.is_dir():
            raise DataError("is a folder", where=self.path, remedy="name a file for the predictions")
        others = sorted(self.path.parent.glob(f"{self.path.name}.????????.part"))
        if resume and not self.part.is_file():
            found = f"; {others[0]} is of another request" if others else ""
            raise DataError(
                f"there is nothing to resume{found}",
                where=self.path,
                remedy="it is complete; --overwrite makes it anew"
                if self.path.is_file()
                else "leave --resume out",
            )
        if not resume and others:
            raise DataError(
                f"an interrupted run has left its results in {others[0].name}",
                where=self.path,
                remedy=f"add --resume to go on with the same request, or delete {others[0]}",
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = self._read_done() if resume else 0
            self._stream: BinaryIO = self.part.open("r+b" if resume else "wb")
            self._stream.truncate(kept)  # a line that was cut by the interruption
            self._stream.seek(kept)
        except OSError as error:
            raise self._cannot_write(error) from error

    def __enter__(self) -> Self:
        return self

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends one image's predictions; ``line["image"]`` names it."""
        try:
            self._stream.write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8"))
        except OSError as error:
            raise self._cannot_write(error) from error
        self.done.add(line["image"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            if kind is None:
                self.part.replace(self.path)
        except OSError as failure:
            if kind is None:
                raise self._cannot_write(failure) from failure
        if kind is not None and not self.done:
            self.part.unlink(missing_ok=True)

    def _read_done(self) -> int:
        """Notes the images of the complete lines; returns where these end."""
        end = 0
        with self.part.open("rb") as stream:
            for line in stream:
                try:
                    self.done.add(json.loads(line)["image"])
                except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
                    break
                if not line.endswith(b"\n"):
                    break
                end += len(line)
        return end

    def _cannot_write(self, error: OSError) -> ArgusError:
        return ArgusError(
            f"cannot be written: {error.strerror or error}",
            where=self.path,
            remedy="free space on the disk or write elsewhere; what was there before is unchanged",
        )
