"""Checkpoint folders: written whole or not at all, verified before use, rotated, and the best one remembered.

RUN/
  checkpoint-200/        weights and assets (what a predictor needs), then the state that resuming needs
    checkpoint.json      names and sizes of all files, written last
  best-300/              the best one, where training was rolled back to a step before it
  best_checkpoint.json   which checkpoint is best, by which figure
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from safetensors import SafetensorError

from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.files import (
    REMEDIES,
    atomic_folder,
    copy_file,
    is_file,
    path_inside,
    read_bytes,
    read_json_object,
    require_folder,
    write_text_atomically,
)
from argusvl.core.logging import get_logger
from argusvl.core.schemas import Count, checked
from argusvl.core.weight_files import safetensors_names, weights_fingerprint
from argusvl.run.layout import TRAINER_STATE

logger = get_logger(__name__)

MANIFEST = "checkpoint.json"
BEST_POINTER = "best_checkpoint.json"
BEST_LINK = "best"
STATE_FOLDER = "training_state"

OPTIMIZER, SCHEDULER = "optimizer.pt", "scheduler.pt"
_STATE_FILES = {OPTIMIZER, SCHEDULER, TRAINER_STATE}
_BINARY_SUFFIXES = {".safetensors", ".pt", ".pth", ".bin", ".distcp"}
_COPY = "copy it again, or use another checkpoint"
_NAME = re.compile(r"checkpoint-(\d+)")
_KEPT_BEST = re.compile(r"best-\d+")
_LEFTOVER = re.compile(r"\.(checkpoint|best)-\d+\..*\.(part|old)|\.deleted-(checkpoint|best)-\d+")


@contextlib.contextmanager
def writing_checkpoint(folder: Path) -> Iterator[Path]:
    """A temporary sibling to write a checkpoint into; at the end it gets its manifest and its name.

    Raises:
        CheckpointError: It could not be written, e.g. because the disk is full. What was there is unchanged.
    """
    try:
        with atomic_folder(folder) as temporary:
            try:
                yield temporary
                _write_manifest(temporary)
            except (OSError, SafetensorError, RuntimeError) as error:
                # safetensors and torch.save report a failed write by errors of their own, without a reason; how full
                # the disk is must be seen before the temporary folder is removed.
                if isinstance(error, OSError | SafetensorError) or _torch_could_not_write(error):
                    raise _not_written(folder, error) from error
                raise
    except CheckpointError:
        raise
    except ArgusError as error:
        # From bringing the files to the disk or renaming; an error of the body that is ours has no such cause.
        if isinstance(error.__cause__, OSError):
            raise _not_written(folder, error.__cause__) from error
        raise


def _torch_could_not_write(error: RuntimeError) -> bool:
    text = str(error).lower()
    return any(
        sign in text
        for sign in ("writer failed", "iostream error", "write failed", "file write", "enforce fail")
    )


def _not_written(folder: Path, error: BaseException) -> CheckpointError:
    def is_one_of(*numbers: int) -> bool:
        # safetensors has the number in its text.
        return getattr(error, "errno", None) in numbers or any(
            f"(os error {n})" in str(error) for n in numbers
        )

    free = shutil.disk_usage(folder.parent).free
    # safetensors reserves the room before it writes, so the disk need not look full.
    full = is_one_of(errno.ENOSPC, errno.EDQUOT) or free < 2**20
    what = "the disk is full" if full else str(getattr(error, "strerror", None) or error)
    return CheckpointError(
        f"the checkpoint was not written: {what} ({free / 2**20:.0f} MiB were free)",
        where=folder,
        remedy=(
            f"{REMEDIES[errno.EFBIG]}, or raise the limit"
            if is_one_of(errno.EFBIG)
            else "free space, keep fewer checkpoints (save_total_limit) or choose another output_dir"
        )
        + (
            ", then continue with --resume; all earlier checkpoints are unchanged"
            if list_checkpoints(folder.parent)
            else ", then train again"
        ),
    )


def _write_manifest(folder: Path) -> None:
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps({"version": 1, "files": files}, indent=2), encoding="utf-8")


def verify_checkpoint(folder: str | Path, *, for_resume: bool = False) -> None:
    """Checks that a checkpoint is whole, reading only headers.

    Also fits folders in hub layout that have no manifest. A checkpoint from which the training state was removed is
    whole for prediction, and not for resuming.

    Raises:
        CheckpointError: A file is missing, truncated or unreadable; the message names it.
    """
    folder = Path(folder)
    require_folder(folder, remedy="give the path of a checkpoint folder", error=CheckpointError)
    manifest = folder / MANIFEST
    if manifest.is_file():
        files = _read_json(manifest).get("files")
        if not isinstance(files, dict) or not files:
            raise _damaged(manifest, "lists no files")
        if not all(type(size) is int for size in files.values()):
            raise _damaged(manifest, "lists a file without its size")
        for name, size in files.items():
            if for_resume or not _is_training_state(name):
                _check_file(path_inside(folder, name, stated_in=manifest), size)
    elif for_resume:
        raise _damaged(
            manifest, "is missing", "continue from another checkpoint; this one was not written by a run"
        )
    for index in sorted(folder.rglob("*.safetensors.index.json")):
        _check_index(index)
    weights = sorted(folder.rglob("*.safetensors"))
    for path in weights:
        if for_resume or not _is_training_state(path.relative_to(folder).as_posix()):
            safetensors_names(path)
    if not weights:
        raise CheckpointError(
            "holds no weights (*.safetensors)", where=folder, remedy="copy the whole folder again"
        )


def content_fingerprint(folder: Path) -> str:
    """Tells a checkpoint from every other: its weights, and what prediction is told by its files of text.

    Raises:
        CheckpointError: A file is damaged.
    """
    digest = hashlib.blake2b(digest_size=16)
    for place in sorted({file.parent for file in folder.rglob("*.safetensors")} | {folder}):
        name = place.relative_to(folder).as_posix()
        if name == STATE_FOLDER:
            continue
        digest.update(name.encode())
        if any(place.glob("*.safetensors")):
            digest.update(weights_fingerprint(place).encode())
        for file in sorted(place.glob("*.json")):
            if not _is_training_state(file.name) and file.name != MANIFEST:
                digest.update(read_bytes(file))
    return digest.hexdigest()


def _check_index(index: Path) -> None:
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise _damaged(index, "has no weight_map")
    shards: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str):
            raise _damaged(index, f"names no file for the tensor {tensor}")
        path = path_inside(index.parent, shard, stated_in=index)
        if shard not in shards:
            if not is_file(path):
                raise _damaged(path, f"is missing; {index.name} lists it")
            shards[shard] = safetensors_names(path)
        if tensor not in shards[shard]:
            raise _damaged(path, f"lacks the tensor {tensor} that {index.name} lists")


def _check_file(path: Path, size: int) -> None:
    if not is_file(path):
        raise _damaged(path, "is missing")
    # Text may be edited by hand (a path, a label); weights and states may not.
    if path.suffix in _BINARY_SUFFIXES and path.stat().st_size != size:
        found = path.stat().st_size
        state = "truncated" if found < size else "too long"
        raise _damaged(path, f"is {state}: {found} bytes, it was written with {size}")
    if path.suffix == ".json":
        _read_json(path)


def _is_training_state(name: str) -> bool:
    return name in _STATE_FILES or name.startswith(f"{STATE_FOLDER}/")


def _read_json(path: Path) -> dict[str, Any]:
    return read_json_object(path, remedy=_COPY)


def _damaged(path: Path, what: str, remedy: str = _COPY) -> CheckpointError:
    return CheckpointError(what, where=path, remedy=remedy)


def list_checkpoints(run: Path) -> list[tuple[int, Path]]:
    """Steps and folders of a run's checkpoints, oldest first."""
    if not run.is_dir():
        return []
    named = ((_NAME.fullmatch(path.name), path) for path in run.iterdir() if path.is_dir())
    return sorted((int(match[1]), path) for match, path in named if match)


def newest_complete(run: Path, *, quiet: bool = False) -> Path:
    """The checkpoint to continue from. Damaged newer ones are named in a warning, unless ``quiet``.

    Raises:
        CheckpointError: There is none.
    """
    checkpoints = list_checkpoints(run)
    if not checkpoints:
        raise CheckpointError("there is no checkpoint to resume", where=run, remedy="start without --resume")
    problems = []
    for _, folder in reversed(checkpoints):
        try:
            verify_checkpoint(folder, for_resume=True)
        except CheckpointError as error:
            problems.append(error)
            continue
        for problem in [] if quiet else problems:
            logger.warning(
                "passed over: %s, which %s; resuming from %s", problem.where, problem.what, folder.name
            )
        return folder
    found = "; ".join(f"{problem.where} {problem.what}" for problem in problems)
    raise CheckpointError(
        f"no checkpoint is complete: {found}", where=run, remedy="start anew in another output_dir"
    )


def rotate(run: Path, limit: int, newest: Path, best: Path | None) -> None:
    """Deletes the oldest checkpoints down to ``limit``, never the newest nor the best."""
    kept = {path.resolve() for path in (newest, best) if path is not None}
    checkpoints = list_checkpoints(run)
    surplus = len(checkpoints) - max(limit, len(kept))
    for _, folder in checkpoints:
        if surplus <= 0:
            return
        if folder.resolve() not in kept:
            _delete(folder)
            surplus -= 1


def _delete(folder: Path) -> None:
    # Renamed first: a deletion that is cut short must not leave half a checkpoint under a valid name.
    doomed = folder.with_name(f".deleted-{folder.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def delete_after(run: Path, step: int) -> None:
    """Deletes the checkpoints of later steps, and the record of the best one where it names a folder that is gone."""
    for number, folder in list_checkpoints(run):
        if number > step:
            _delete(folder)
    try:
        best = read_best(run)
    except CheckpointError:
        return
    if best is not None and not (run / best.checkpoint).is_dir():
        (run / BEST_POINTER).unlink(missing_ok=True)
        (run / BEST_LINK).unlink(missing_ok=True)


def remove_leftovers(run: Path) -> None:
    """Removes temporary folders that a killed process left behind (by name: only ours).

    Where it was killed in the moment of replacing a checkpoint, the old one is put back.
    """
    for path in list(run.iterdir()):
        if _LEFTOVER.fullmatch(path.name):
            for _, set_aside in list_checkpoints(path):
                if not (run / set_aside.name).exists():
                    set_aside.rename(run / set_aside.name)
            shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class BestCheckpoint:
    """The best checkpoint of a run.

    Attributes:
        checkpoint: Name of its folder in the run's folder.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    checkpoint: str
    step: Count
    metric: str
    value: Annotated[float, Field(strict=True)]


def record_best(run: Path, best: BestCheckpoint) -> Path:
    """Records a run's best checkpoint where it is another than before, and returns its folder."""
    folder, before = run / best.checkpoint, read_best(run)
    if best != before and folder.is_dir():
        write_best(run, best)
        replaced = before.checkpoint if before is not None else best.checkpoint
        if replaced != best.checkpoint and _KEPT_BEST.fullmatch(replaced) and (run / replaced).is_dir():
            _delete(run / replaced)
    return folder


def keep_best_after(run: Path, step: int) -> BestCheckpoint | None:
    """Before training goes on from a step: the best checkpoint, where it is of a later one, is kept under another name.

    So it stays what it is when training comes to its step once more. It is returned where it is of a later step.
    """
    try:
        best = read_best(run)
    except CheckpointError:
        return None
    if best is None or best.step <= step or not (run / best.checkpoint).is_dir():
        return None
    kept = replace(best, checkpoint=f"best-{best.step}")
    if kept != best:
        with atomic_folder(run / kept.checkpoint) as temporary:
            shutil.copytree(run / best.checkpoint, temporary, copy_function=_linked, dirs_exist_ok=True)
        write_best(run, kept)
    return kept


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        copy_file(source, target)


def write_best(run: Path, best: BestCheckpoint) -> None:
    """Records the best checkpoint in ``best_checkpoint.json``, and as the link ``best`` for people."""
    write_text_atomically(run / BEST_POINTER, json.dumps(asdict(best), indent=2) + "\n")
    temporary = run / f".{BEST_LINK}.part"
    # A file system without links has the record still.
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(best.checkpoint, target_is_directory=True)
        temporary.replace(run / BEST_LINK)


def checkpoint_at(path: str | Path) -> Path:
    """The checkpoint that a path means: a run's best one, its newest where no figure chose one, else the path itself.

    A folder that is a model is meant itself, whatever is beside it: other trainers leave their checkpoints there.

    Raises:
        CheckpointError: The record of the best one is damaged.
    """
    folder = Path(path)
    if (folder / "config.json").is_file():
        return folder
    best = read_best(folder)
    if best is not None:
        logger.info(
            "%s: the best checkpoint is %s (%s %.4g)", folder, best.checkpoint, best.metric, best.value
        )
        return folder / best.checkpoint
    saved = list_checkpoints(folder)
    if saved:
        logger.info("%s: no figure chose a best checkpoint; the newest is %s", folder, saved[-1][1].name)
        return saved[-1][1]
    return folder


def read_best(run: str | Path) -> BestCheckpoint | None:
    """The recorded best checkpoint of a run, or ``None``.

    Raises:
        CheckpointError: The record is damaged, or names something outside of the run's folder.
    """
    path = Path(run) / BEST_POINTER
    if not path.is_file():
        return None
    best = checked(_read_json(path), BestCheckpoint, path, remedy="delete it")
    path_inside(Path(run), best.checkpoint, stated_in=path)
    return best
