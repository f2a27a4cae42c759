"""What the doctor has found in a run, read from its folder: while it trains, or afterwards."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from argus_doctor.findings import Finding
from argus_doctor.logs.diagnosis import diagnose
from argusvl.core.errors import ArgusError, DataError
from argusvl.core.files import require_folder
from argusvl.run import checkpoints
from argusvl.run.events import last_turn, read_events
from argusvl.run.layout import EVENTS_FILE, TRAINER_STATE

_SECONDS_BETWEEN_LOOKS = 2.0


def findings_of(run: Path) -> list[Finding]:
    """Those that were told while it trained, then those that its curves show as well.

    Raises:
        DataError: There is no run in that folder, or nothing of it can be read.
    """
    require_folder(run, remedy="name the folder of a run: its output_dir")
    events = read_events(run)
    told = []
    for event in events:
        if event.get("event") == "found":
            with contextlib.suppress(ValueError):  # a line that somebody has changed
                told.append(Finding.from_json(event.get("finding")))
    saved = [folder for _, folder in checkpoints.list_checkpoints(run)]
    logs = (folder / TRAINER_STATE for folder in (run, *reversed(saved)))  # the newest first
    log = next((path for path in logs if path.is_file()), None)
    if not events and log is None:
        raise DataError(
            f"there is neither {EVENTS_FILE} nor {TRAINER_STATE} in it",
            where=run,
            remedy="name the folder of a run: its output_dir",
        )
    curves: list[Finding] = []
    if log is not None:
        with contextlib.suppress(ArgusError, ValueError):  # half written: the next look sees it whole
            curves = diagnose(str(log)).findings
    known = {one.slug for one in told}
    return told + [one for one in curves if one.slug not in known]


def follow(run: Path) -> Iterator[list[Finding]]:
    """What is new in a run, again and again until it ends; at first all that is there."""
    seen: set[tuple[str, str]] = set()
    while True:
        last = last_turn(run)  # before it is read, so that nothing is missed
        found = findings_of(run)
        new = [one for one in found if (one.slug, one.where) not in seen]
        seen |= {(one.slug, one.where) for one in new}
        yield new
        if last is not None and last["event"] == "stopped":
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)
