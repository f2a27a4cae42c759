"""Several models over the same pictures, in strict sequence: caption, then detect, then segment.

    for each stage:  pictures of the stage before → batches → model under its lease → file of the stage

At most one model is resident at any time. Nothing is handed on in memory: a stage reads what the stages before it have
written, so a run that was interrupted goes on at the batch where it stopped, without loading the models that are done.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from PIL import Image

from argusvl.core.appending import Appender
from argusvl.core.errors import ArgusError, DataError, ImageError, ModelError
from argusvl.core.files import cannot_write, read_json, write_text_atomically
from argusvl.core.images import open_image
from argusvl.core.progress import track
from argusvl.core.wording import first_line
from argusvl.core.workers import map_in_order
from argusvl.recognition.extraction.fingerprint import require_same
from argusvl.recognition.extraction.sources import Listing, Problem, find_images
from argusvl.recognition.ledger import Entry, read_entry, read_ledger
from argusvl.recognition.output_folder import only_writer, refuse_other_files
from argusvl.recognition.pipeline.lease import Lease, LeaseReport, lease

M = TypeVar("M")

PLAN = "pipeline.json"
FORMAT = 2

_MAX_INITIAL_FAILURES = 8
"""When a model has failed on its first pictures, so many and each of them, the model or the stage is wrong."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a stage is given.

    Attributes:
        path: Name in the list of pictures, relative to its root.
        image: RGB, upright.
        earlier: Name of a stage before → its result for this picture: a mapping.
    """

    path: str
    image: Image.Image
    earlier: Mapping[str, Any]


@dataclass(frozen=True)
class Stage(Generic[M]):
    """One model and what it does with pictures.

    Attributes:
        name: Names its files and its results; letters, digits, ``_`` and ``-``.
        load: Makes the model on a device and keeps it nowhere.
        run: Gives a result for each picture of a batch, a JSON-ready mapping. It is called with one picture alone where
            a batch has failed, so that the others are done.
        settings: What decides the results beside the pictures, JSON-ready: the model and its weights, the prompt, …
            A run is gone on with only where they are the same.
        batch_size: Pictures of a call.
    """

    name: str
    load: Callable[[torch.device], M]
    run: Callable[[M, list[Picture]], Sequence[Any]]
    settings: Mapping[str, Any]
    batch_size: int = 8

    def __post_init__(self) -> None:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", self.name), self.name
        assert self.batch_size >= 1

    def plan(self) -> dict[str, Any]:
        """What must be the same for a run to be gone on with."""
        plan = {"name": self.name, "batch_size": self.batch_size, "settings": dict(self.settings)}
        normalised: dict[str, Any] = json.loads(json.dumps(plan))  # as it comes back from the file
        return normalised


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A picture that a stage could not use, and why; the stages after it have not seen it."""

    path: str
    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage did. ``inputs`` is the sum of ``done`` and ``quarantined``.

    ``resumed`` of both were there from an earlier run; there is no lease where nothing was left to do, so that no model
    was loaded.
    """

    name: str
    inputs: int
    done: int
    quarantined: int
    resumed: int
    lease: LeaseReport | None

    def __post_init__(self) -> None:
        assert self.inputs == self.done + self.quarantined


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """What a pipeline did. ``inputs`` is the sum of ``finished`` and the pictures in quarantine.

    ``finished`` pictures have a result of every stage, ``quarantined`` have not, in the order of the stages.
    """

    out: Path
    inputs: int
    finished: int
    stages: tuple[StageReport, ...]
    quarantined: tuple[Quarantined, ...]
    problems: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        assert self.inputs == self.finished + len(self.quarantined)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"out": str(self.out)}


def run_stages(
    images: Path | Sequence[Path],
    out: Path,
    stages: Sequence[Stage[Any]],
    *,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    progress: bool = True,
) -> PipelineReport:
    """Runs models over pictures one after the other, or goes on with a run that was interrupted.

    A picture that cannot be read, or on which a model fails, is left out from there on and named with its reason; the
    others are done. A run that is over can be given again with more stages at the end: only these are run.

    ``images`` are as for :func:`~argusvl.recognition.extraction.sources.find_images`. Stages have names of their own;
    ``workers`` threads read and decode, as many as there are cores when ``None``.

    Raises:
        DataError: There is no picture; ``out`` holds a run of other pictures or other stages, or is damaged, or another
            process is writing into it.
        ModelError: A stage fails on every picture, or does not give what it says; a model's memory did not come back.
        ArgusError: The results cannot be written; what was written is whole.
    """
    names = [stage.name for stage in stages]
    assert names and len(set(names)) == len(names), names
    listing = find_images(images, exclude=out if out.is_dir() else None)
    reports: list[StageReport] = []
    quarantined: list[Quarantined] = []
    with _opened(out, listing, stages):
        for number, stage in enumerate(stages):
            run = _StageRun(listing, out, stages[: number + 1], workers, progress)
            inputs = reports[-1].done if reports else len(listing.paths)
            reports.append(run.run(inputs, device))
            failed = (entry for entry in run.file.read() if entry.reason is not None)
            quarantined += [Quarantined(e.path, stage.name, str(e.reason)) for e in failed]
    return PipelineReport(
        out, len(listing.paths), reports[-1].done, tuple(reports), tuple(quarantined), listing.problems
    )


class _StageFile:
    """What one stage has written: a ledger with its results, ``1-caption.jsonl``.

    Until the stage is finished the name ends in ``.part``. A batch is on the disk before the next begins; so whatever
    cuts a run off, the whole batches are there and the rest can be cut away. What cannot be written is an
    ``ArgusError``, a damaged line a ``DataError``.
    """

    def __init__(self, folder: Path, number: int, name: str) -> None:
        self.name = name
        self.lines = folder / f"{number}-{name}.jsonl"
        self._part = self.lines.with_name(f"{self.lines.name}.part")
        self._files: Appender | None = None

    @property
    def complete(self) -> bool:
        """Whether the stage is finished."""
        return self.lines.is_file()

    def read(self) -> Iterator[Entry]:
        """The entries of a finished stage, in the order of the pictures."""
        return (entry for entry, _ in read_ledger(self.lines))

    def resume(self, batch_size: int, total: int) -> int:
        """Opens the unfinished file for writing, cut back to whole batches; returns how many entries it holds."""
        kept = end = 0
        with self._writing():
            self._files = Appender(self._part)
            for number, (_, position) in enumerate(read_ledger(self._part), start=1):
                if number % batch_size == 0 or number == total:
                    kept, end = number, position
            self._files.cut(end)
        return kept

    def append(self, entries: Sequence[Entry]) -> None:
        """Writes a batch; when this returns it is on the disk."""
        assert self._files is not None
        with self._writing():
            self._files.append(b"".join(entry.line() for entry in entries))

    def finish(self) -> None:
        """Gives the file its name."""
        with self._writing():
            self.close()
            self._part.replace(self.lines)

    def close(self) -> None:
        """Closes the file; it can be resumed."""
        if self._files is not None:
            self._files.close()
            self._files = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self.lines, error, kept="the batches written before are whole") from error


_Read = tuple[Entry, Picture | None]
"""A picture that was read, or its entry with the reason why it was not."""


class _StageRun:
    """The last of some stages, the others of which are finished."""

    def __init__(
        self, listing: Listing, out: Path, stages: Sequence[Stage[Any]], workers: int | None, progress: bool
    ) -> None:
        self.stage = stages[-1]
        self._listing = listing
        self._workers = workers
        self._progress = progress
        self._succeeded = self._failed = 0  # pictures that this run's model was given
        files = [_StageFile(out, number, stage.name) for number, stage in enumerate(stages, start=1)]
        *self._earlier, self.file = files

    def run(self, inputs: int, device: torch.device | str) -> StageReport:
        resumed, leased = inputs, None
        if not self.file.complete:
            try:
                resumed = self.file.resume(self.stage.batch_size, inputs)
                leased = self._compute(resumed, inputs - resumed, device) if resumed < inputs else None
                self.file.finish()
            finally:
                self.file.close()
        done = sum(entry.reason is None for entry in self.file.read())
        report = None if leased is None else leased.report
        return StageReport(self.stage.name, inputs, done, inputs - done, resumed, report)

    def _compute(self, done: int, todo: int, device: torch.device | str) -> Lease[Any]:
        pictures = map_in_order(self._read, itertools.islice(self._inputs(), done, None), self._workers)
        shown = track(pictures, todo, self.stage.name.capitalize(), enabled=self._progress)
        # Batches are held back until the model has had a success, or no failure: see _MAX_INITIAL_FAILURES.
        waiting: list[Entry] = []
        with (
            contextlib.closing(pictures),
            contextlib.closing(shown),
            lease(self.stage.load, device, name=self.stage.name) as leased,
        ):
            while batch := list(itertools.islice(shown, self.stage.batch_size)):
                waiting += self._entries(leased, batch)
                if not self._succeeded and self._failed >= _MAX_INITIAL_FAILURES:
                    raise ModelError(
                        f"the first {self._failed} pictures have all failed, the last with: {waiting[-1].reason}",
                        where=f"stage {self.stage.name!r}",
                        remedy="mend the stage, and give the same command again",
                    )
                if self._succeeded or not self._failed:
                    self.file.append(waiting)
                    waiting.clear()
        self.file.append(waiting)
        return leased

    def _inputs(self) -> Iterator[tuple[Entry, dict[str, Any]]]:
        if not self._earlier:
            return ((Entry(path, None), {}) for path in self._listing.paths)
        return _passed(self._earlier)

    def _read(self, given: tuple[Entry, dict[str, Any]]) -> _Read:
        """Reads and decodes a picture, and sees that it is the one that the stages before have seen. For threads."""
        before, earlier = given
        entry, data = read_entry(self._listing.root, before.path)
        if entry.reason is not None:
            return entry, None
        if before.sha256 not in (None, entry.sha256):
            reason = f"the file has changed since stage {self._earlier[-1].name!r}"
            return replace(entry, reason=reason), None
        try:
            image = open_image(entry.path, exif="upright", data=data)
        except ImageError as error:
            return replace(entry, reason=error.what), None
        return entry, Picture(entry.path, image, earlier)

    def _entries(self, leased: Lease[Any], batch: Sequence[_Read]) -> Iterator[Entry]:
        pictures = [picture for _, picture in batch if picture is not None]
        results = iter(self._results(leased, pictures) if pictures else [])
        for entry, picture in batch:
            if picture is None:
                yield entry
            elif isinstance(found := next(results), str):
                yield replace(entry, reason=found)
            else:
                yield replace(entry, result=found)

    def _results(self, leased: Lease[Any], pictures: list[Picture]) -> list[dict[str, Any] | str]:
        """A result for each picture, or the reason why there is none."""
        try:
            given = leased.run(self.stage.run, pictures)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise ArgusError(
                f"a batch of {len(pictures)} pictures does not fit into memory: {first_line(error)}",
                where=f"stage {self.stage.name!r}",
                remedy="use a smaller batch, in another folder",
            ) from error
        except OSError:
            raise  # a disk or a network that fails, not a picture
        except Exception as error:  # noqa: BLE001 - which errors a user's model raises for a picture nobody knows
            if len(pictures) == 1:
                self._failed += 1
                return [f"{type(error).__name__}: {error}"]
        else:
            if len(given) != len(pictures):
                raise self._wrong(f"gave {len(given)} results for {len(pictures)} pictures")
            self._succeeded += len(pictures)
            return [self._checked(result, picture) for result, picture in zip(given, pictures, strict=True)]
        return [result for picture in pictures for result in self._results(leased, [picture])]

    def _checked(self, result: Any, picture: Picture) -> dict[str, Any]:
        try:
            if not isinstance(result, Mapping):
                raise TypeError(f"got {type(result).__qualname__}")
            json.dumps(dict(result), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise self._wrong(f"gave no JSON-ready mapping for {picture.path}: {error}") from error
        return dict(result)

    def _wrong(self, what: str) -> ModelError:
        return ModelError(what, where=f"stage {self.stage.name!r}", remedy="mend the stage's run()")


def _passed(files: Sequence[_StageFile]) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Pictures with a result of every one of these stages, and the results; read from their files in step."""
    *before, (last, entries) = [(file, (e for e in file.read() if e.reason is None)) for file in files]
    for entry in entries:
        results: dict[str, Any] = {}
        for file, reader in before:
            # A stage has lines for all that the next one has, in the same order, and for those that failed there.
            found = next((e for e in reader if e.path == entry.path), None)
            if found is None:
                raise DataError(
                    f"has no result for {entry.path}, but a later stage has",
                    where=file.lines,
                    remedy="run the pipeline into another folder",
                )
            results[file.name] = found.result
        yield entry, {**results, last.name: entry.result}


@contextlib.contextmanager
def _opened(out: Path, listing: Listing, stages: Sequence[Stage[Any]]) -> Iterator[None]:
    """The folder with its plan, for one process at a time."""
    names = "".join(f"{path}\n" for path in listing.paths).encode("utf-8", "surrogateescape")
    plan: dict[str, Any] = {
        "format": FORMAT,
        "pictures": {"count": len(listing.paths), "sha256": hashlib.sha256(names).hexdigest()},
        "stages": [stage.plan() for stage in stages],
    }
    refuse_other_files(out, PLAN, lambda entry: entry.name.startswith("."))
    with only_writer(out, ".lock"):
        for unfinished in out.glob(f".{PLAN}.*.part"):  # a plan that a kill has left half-written
            unfinished.unlink(missing_ok=True)
        if (out / PLAN).is_file():
            stored = _stored_plan(out)
            _require_same_run(out, stored, plan)
            # A run of fewer stages leaves the others as they are.
            plan["stages"] += stored["stages"][len(stages) :]
        write_text_atomically(out / PLAN, json.dumps(plan, ensure_ascii=False, indent=2) + "\n")
        yield


def _stored_plan(out: Path) -> dict[str, Any]:
    file = out / PLAN
    try:
        plan: dict[str, Any] = read_json(file)
        if plan["format"] != FORMAT or not isinstance(plan["stages"], list) or not plan["pictures"]["count"]:
            raise ValueError(f"another format: {plan['format']}")
        if not all(isinstance(stage, dict) and "name" in stage for stage in plan["stages"]):
            raise ValueError("a stage is damaged")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"cannot be read: {error}", where=file, remedy="use another folder") from error
    return plan


def _require_same_run(out: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    remedy = "use another folder, or what the first run was given"
    if stored["pictures"] != wanted["pictures"]:
        before, now = stored["pictures"]["count"], wanted["pictures"]["count"]
        raise DataError(
            f"was run on other pictures ({before} then, {now} now; their names differ)",
            where=out,
            remedy=remedy,
        )
    for number, (old, new) in enumerate(zip(stored["stages"], wanted["stages"], strict=False), start=1):
        require_same({f"stage {number}": old}, {f"stage {number}": new}, out, remedy=remedy)
