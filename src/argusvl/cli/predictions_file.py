"""A JSONL file of predictions that grows image by image, appears complete or not at all, and can be resumed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from argusvl.core.errors import DataError
from argusvl.core.files import cannot_write, encode_text, is_locked, lock_file, open_to_append
from argusvl.core.strict_json import decode_json


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
        DataError: There is an unfinished file and ``resume`` is not set, or the other way round; another process is
            writing the file.
        ArgusError: The file cannot be written.
    """

    def __init__(self, path: str | Path, request: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = Path(path)
        text = json.dumps(request, sort_keys=True, ensure_ascii=False)
        digest = hashlib.blake2s(encode_text(text), digest_size=4).hexdigest()
        self.part = self.path.with_name(f"{self.path.name}.{digest}.part")
        self.done: set[str] = set()
        if self.path.is_dir():
            raise DataError("is a folder", where=self.path, remedy="name a file for the predictions")
        others = sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.????????.part"))
        if resume and not self.part.is_file():
            found, remedy = "", "leave --resume out"
            if others:
                found = f"; {others[0].name} was begun with other options, or by another checkpoint"
                remedy = f"repeat those to go on with it, or delete {others[0]} and leave --resume out"
            elif self.path.is_file():
                found = "; the file has its name, which an interrupted run does not give it"
                remedy = "--overwrite makes it anew"
            raise DataError(f"there is nothing to resume{found}", where=self.path, remedy=remedy)
        if not resume and others:
            if is_locked(others[0]):
                raise self._busy()
            raise DataError(
                f"an interrupted run has left its results in {others[0].name}",
                where=self.path,
                remedy=f"add --resume to go on with the same request, or delete {others[0]}",
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # To append, so that nothing of another process is touched before the lock is ours.
            self._stream: BinaryIO = open_to_append(self.part)
            if not lock_file(self._stream) or not self._is_ours():
                self._stream.close()
                raise self._busy()
            kept = self._read_done() if resume else 0
            self._stream.truncate(kept)  # a line that was cut by the interruption
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _is_ours(self) -> bool:
        """Whether the file still has its name: the process that had locked it may have ended in between."""
        try:
            return os.path.samestat(self.part.stat(), os.fstat(self._stream.fileno()))
        except FileNotFoundError:
            return False

    def _busy(self) -> DataError:
        return DataError(
            "another process is writing it",
            where=self.path,
            remedy="wait until it has ended, or name another file",
        )

    def __enter__(self) -> Self:
        return self

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends one image's predictions; ``line["image"]`` names it."""
        try:
            self._stream.write(encode_text(json.dumps(line, ensure_ascii=False) + "\n"))
        except OSError as error:
            raise cannot_write(self.path, error) from error
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
                raise cannot_write(self.path, failure) from failure
        if kind is not None and not self.done:
            self.part.unlink(missing_ok=True)

    def _read_done(self) -> int:
        """Notes the images of the complete lines; returns where these end."""
        end = 0
        self._stream.seek(0)
        for line in self._stream:
            try:
                self.done.add(decode_json(line.decode("utf-8"))["image"])
            except (ValueError, KeyError, TypeError):
                break
            if not line.endswith(b"\n"):
                break
            end += len(line)
        return end
