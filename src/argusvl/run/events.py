"""What happened in a run, line by line: ``events.jsonl``.

Each line is an object with ``time`` (ISO 8601), ``step`` and ``event``, and what belongs to that event:

    started      max_steps, processes      resumed    checkpoint, max_steps, processes
    changed      changes, with --resume    stopped    why: finished, interrupted, an error
    saved        checkpoint                evaluated  figures
    scaled       why, factor, steps        skipped    why, samples
    rolled_back  why, to                   found      finding: as its JSON
    remedy       kind, change, steps, without, with, kept
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from argusvl.core.appending import read_objects
from argusvl.core.errors import DataError
from argusvl.core.files import open_to_append, read_bytes
from argusvl.core.logging import get_logger
from argusvl.run.layout import EVENTS_FILE
from argusvl.run.lock import is_moved

logger = get_logger(__name__)


def append_event(run: Path, step: int, event: str, **details: Any) -> dict[str, Any]:
    """Writes a line, and returns what it says. Where it cannot be written, a warning takes its place."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    entry = {"time": now, "step": step, "event": event, **details}
    path = run / EVENTS_FILE
    if is_moved(run):  # nothing is written where it was
        return entry
    try:
        run.mkdir(parents=True, exist_ok=True)
        with open_to_append(path) as stream:
            # A process that was killed while it wrote may have left half a line.
            if stream.tell() > 0:
                stream.seek(-1, 2)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")
            stream.write(json.dumps(entry, ensure_ascii=False, default=str).encode() + b"\n")
    except OSError as error:  # of a full disk the next checkpoint will speak
        logger.warning("%s is not written: %s", path, error.strerror or error)
    return entry


def last_turn(run: Path) -> dict[str, Any] | None:
    """The last event by which a run began, went on or stopped; ``None`` where it has kept none.

    Raises:
        DataError: As :func:`read_events`.
    """
    turns = [e for e in read_events(run) if e.get("event") in ("started", "resumed", "stopped")]
    return turns[-1] if turns else None


def read_events(run: Path) -> list[dict[str, Any]]:
    """The run's events, oldest first; lines that a killed process left half written are passed over.

    Raises:
        DataError: There are lines, and none of them can be read.
    """
    file = run / EVENTS_FILE
    events = list(read_objects(file))
    if not events and file.is_file() and b"\n" in read_bytes(file):  # half a first line has no end
        raise DataError(
            "no line of it can be read", where=file, remedy="copy it again from where the run trained"
        )
    return events
