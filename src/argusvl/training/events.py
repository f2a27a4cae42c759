"""What happened in a run, line by line: ``events.jsonl``.

Each line is an object with ``time`` (ISO 8601), ``step`` and ``event``, and what belongs to that event:

    started     processes, samples, max_steps       resumed     checkpoint, changes
    saved       checkpoint                          evaluated   figures
    scaled      why, factor, steps                  skipped     why, samples
    rolled_back why, to                             stopped     why: finished, interrupted, an error
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from argusvl.core.files import cannot_write

EVENTS_FILE = "events.jsonl"


def append_event(run: Path, step: int, event: str, **details: Any) -> dict[str, Any]:
    """Writes a line, and returns what it says.

    Raises:
        ArgusError: It cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    entry = {"time": now, "step": step, "event": event, **details}
    path = run / EVENTS_FILE
    try:
        run.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as stream:
            # A process that was killed while it wrote may have left half a line.
            if stream.tell() > 0:
                stream.seek(-1, 2)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")
            stream.write(json.dumps(entry, ensure_ascii=False, default=str).encode() + b"\n")
    except OSError as error:
        raise cannot_write(path, error) from error
    return entry


def read_events(run: Path) -> Iterator[dict[str, Any]]:
    """The run's events, oldest first; lines that a killed process left half written are passed over."""
    path = run / EVENTS_FILE
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry
