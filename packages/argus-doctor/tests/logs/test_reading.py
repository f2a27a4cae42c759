"""Every kind of log is told by its content, whatever it is called; what is damaged is said, and nothing crashes."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import socket
import sqlite3
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from argus_doctor.errors import ArgusError
from argus_doctor.logs import reading
from argus_doctor.logs.diagnosis import Diagnosis, diagnose
from argus_doctor.logs.reading import _read_stream, read_log
from argus_doctor.logs.signs import CAUSES

Diagnosed = Callable[..., Diagnosis]

LOG = "step 1 loss 2\nMemoryError: x\n"
HISTORY = [{"loss": 2.0 / step, "step": step, "epoch": step / 10} for step in range(1, 6)]


def steps(source: Path) -> list[float]:
    curve = read_log(str(source)).curves.main_loss()
    assert curve is not None
    return curve.steps


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_json_lines_with_a_half_line_and_words_between(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(entry) for entry in HISTORY)
    path = write(tmp_path / "x.txt", f'{lines}\nMemoryError: no\n{{"loss": 0.')
    assert steps(path) == [1, 2, 3, 4, 5]
    assert diagnose(str(path)).cause == "host_oom"


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ["epoch", "step", "train_loss"],
        *([str(k), str(k * 10), f"{1 / k}"] for k in range(1, 5)),
        ["9", "", "x"],
    ]
    path = write(tmp_path / "metrics.log", "\n".join(delimiter.join(row) for row in rows))
    assert steps(path) == [10, 20, 30, 40]


def test_mlflow_files_and_database(tmp_path: Path) -> None:
    lines = "".join(f"17000000000{k:02d} {1 / k} {k * 10}\n" for k in range(1, 5))
    write(tmp_path / "mlruns/0/ab/metrics/loss", lines)
    write(tmp_path / "mlruns/0/ab/params/lr", "0.1")
    assert steps(tmp_path / "mlruns") == [10, 20, 30, 40]
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan)")
        connection.executemany(
            "INSERT INTO metrics VALUES ('loss', ?, ?, 'r', ?, ?)", [(1.0, k, k, k > 3) for k in range(1, 9)]
        )
    connection.close()
    assert diagnose(str(tmp_path / "mlflow.db")).cause == "nan_loss"


def test_tensorboard_events(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(1, 6):
            writer.add_scalar("train/loss", 1 / step, step)
    (file,) = tmp_path.iterdir()
    assert steps(tmp_path) == [1, 2, 3, 4, 5]
    content = file.read_bytes()
    assert steps(write(tmp_path / "elsewhere" / "cut", content[:-9])) == [1, 2, 3, 4]
    damaged = diagnose(str(write(tmp_path / "damaged", content + b"\xff" * 40)))
    assert [one.slug for one in damaged.findings] == ["log-not-whole"]


def varint(value: int) -> bytes:
    more = []
    while value > 0x7F:
        more.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*more, value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def wandb_file(records: list[bytes]) -> bytes:
    """As W&B's own writer frames it: blocks of 32 KiB, a piece's header of 7 bytes."""
    data = b":W&B\xe1\xbe\x00"
    for record in records:
        first = True
        while record or first:
            left = 32768 - len(data) % 32768
            if left < 7:
                data += b"\0" * left
                left = 32768
            piece, record = record[: left - 7], record[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not record]
            data += b"\0\0\0\0" + struct.pack("<HB", len(piece), kind) + piece
            first = False
    return data


def wandb_history(step: int, values: dict[str, Any]) -> bytes:
    items = [
        message(1, message(2, k.encode()) + message(16, json.dumps(v).encode())) for k, v in values.items()
    ]
    return message(2, b"".join(items) + message(1, message(2, b"_step") + message(16, str(step).encode())))


def test_wandb_offline_runs(tmp_path: Path) -> None:
    records = [wandb_history(k, {"loss": 1 / (k + 1), "text": "x" * 9000}) for k in range(20)]
    path = write(tmp_path / "offline-run" / "run-ab.wandb", wandb_file(records))
    assert steps(path) == list(range(20))
    assert diagnose(str(path.parent)).cause == "none"
    said = [
        message(13, message(3, b"Traceback (most recent call last):\nMemoryError\n")),
        message(18, b"\x08\x01"),
    ]
    assert diagnose(str(write(path, wandb_file([*records, *said])))).cause == "host_oom"
    only_code = write(path, wandb_file([*records, message(18, b"\x08\x89\x01")]))
    assert diagnose(str(only_code)).cause == "oom_killer"
    well = write(path, wandb_file([*records, said[0], message(18, b"")]))
    assert diagnose(str(well)).cause == "none"
    assert steps(write(path, wandb_file(records)[:-100])) == list(range(19))


def test_our_own_run_folder(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint-5/trainer_state.json", json.dumps({"log_history": HISTORY}))
    write(tmp_path / "train.log", "2026-01-01 10:00:00 ERROR KeyboardInterrupt\nMemoryError: x\n")
    write(tmp_path / "model.safetensors", b"\0\1" * 100)
    events = [
        {"time": "t", "step": 0, "event": "started"},
        {"time": "t", "step": 5, "event": "stopped", "why": "finished"},
    ]
    write(tmp_path / "events.jsonl", "".join(json.dumps(event) + "\n" for event in events))
    assert diagnose(str(tmp_path)).cause == "none"
    assert steps(tmp_path) == [1, 2, 3, 4, 5]
    events[1]["why"] = "CUDA out of memory. Tried to allocate 2 GiB"
    write(tmp_path / "events.jsonl", "".join(json.dumps(event) + "\n" for event in events))
    (tmp_path / "train.log").unlink()
    found = diagnose(str(tmp_path))
    assert (found.cause, found.where) == ("cuda_oom", "events.jsonl:2")


def test_gzip_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert diagnose(str(write(tmp_path / "a.gz", gzip.compress(LOG.encode())))).cause == "host_oom"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LOG.encode())))
    assert diagnose("-").where == "stdin:2"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (bytes(range(256)) * 20, "binary file"),
        (b"\x1f\x8b broken", "unpacked"),
        (b"SQLite format 3\0" + b"x" * 200, "not MLflow's"),
        (b'{\n "a": 1\n}', "log_history"),
        (b'{\n "log_history": [', "ends or breaks at line 2"),
    ],
)
def test_what_is_no_log_is_an_error_that_says_so(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(ArgusError, match=what) as caught:
        diagnose(str(write(tmp_path / "x", content)))
    assert caught.value.remedy and caught.value.where


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgusError, match="no such file"):
        diagnose(str(tmp_path / "none"))
    with pytest.raises(ArgusError, match="holds no log"):
        diagnose(str(tmp_path))


def test_any_bytes_are_read_or_refused(tmp_path: Path) -> None:
    draw = random.Random(0)
    starts = [
        b"",
        b":W&B\xe1\xbe\x00",
        b'{"loss": 1}\n',
        b"a,b\n1,2\n",
        b"\x1f\x8b",
        b"[",
        b"Traceback (most recent call last):\n",
    ]
    for k in range(150):
        path = write(
            tmp_path / "x",
            draw.choice(starts) + draw.randbytes(draw.randrange(300)).replace(b"\0", b"0" * (k % 2)),
        )
        try:
            found = diagnose(str(path))
        except ArgusError as error:
            assert error.what and error.remedy
        else:
            assert found.cause in CAUSES


class Endless(io.RawIOBase):
    """A log of so many bytes that is nowhere."""

    def __init__(self, size: int) -> None:
        self.left, self.step = size, 0

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.left)
        lines = []
        written = 0
        while written < size:
            self.step += 1
            pad = "x" * 900 if self.step % 50 else "ValueError: caught, skipping"
            lines.append(f"2026-01-01 10:00:00 INFO step {self.step} loss {2 / self.step:.5f} {pad}\n")
            written += len(lines[-1])
        self.left -= size
        return "".join(lines).encode()[:size]


def test_a_long_log_takes_no_more_memory_than_a_short_one() -> None:
    peaks = []
    for megabytes in (2, 8):
        tracemalloc.start()
        contents = _read_stream(Endless(megabytes << 20), "stdin", None)  # type: ignore[arg-type]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert contents.curves.main_loss() is not None
    assert peaks[1] < 12 << 20 and peaks[1] < 1.3 * peaks[0]


def test_a_line_without_end_is_read_in_pieces() -> None:
    stream = io.BytesIO(b"x" * (3 << 20) + b"\nMemoryError: y\n")
    assert _read_stream(stream, "x", None).incidents[0].where == "x:2"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_log_is_read_in_any_encoding_with_or_without_its_mark(tmp_path: Path, encoding: str) -> None:
    assert diagnose(str(write(tmp_path / "x", LOG.encode(encoding)))).where == "x:2"
    rows = "step,loss\n" + "".join(f"{k},{1 / k}\n" for k in range(1, 5))
    assert steps(write(tmp_path / "x", rows.encode(encoding))) == [1, 2, 3, 4]
    records = "\n".join(json.dumps(entry) for entry in HISTORY)
    assert steps(write(tmp_path / "x", records.encode(encoding))) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("hole", ["before", "between", "after", "nothing else"])
def test_a_hole_in_a_log_is_nothing_that_was_said(tmp_path: Path, hole: str) -> None:
    """A log that is emptied while it is written begins with one; a machine that crashes leaves one at the end."""
    path, size = tmp_path / "x", 32 << 20
    parts = {
        "before": ("", LOG),
        "between": (LOG[:14] * 500, LOG),
        "after": (LOG, ""),
        "nothing else": ("", ""),
    }
    with path.open("wb") as file:
        file.write(parts[hole][0].encode())
        file.truncate(size)
        file.seek(size)
        file.write(parts[hole][1].encode())
    tracemalloc.start()
    try:
        if hole == "nothing else":
            with pytest.raises(ArgusError, match="is empty"):
                diagnose(str(path))
        else:
            assert diagnose(str(path)).cause == "host_oom"
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_packed_log_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    lines = "".join(f"step {k} loss {1 / k} {random.Random(k).random()}\n" for k in range(1, 6_000))
    packed = gzip.compress(f"{LOG[14:]}{lines}".encode())
    path = write(tmp_path / "x.gz", packed[: len(packed) // 2])
    (note,) = diagnose(str(path)).findings
    assert note.slug == "log-not-whole" and "unpacked" in note.what and len(steps(path)) > 1000
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0xFF
    assert "log-not-whole" in {one.slug for one in diagnose(str(write(path, bytes(damaged)))).findings}
    with pytest.raises(ArgusError, match="cannot be unpacked"):
        diagnose(str(write(path, packed[:12])))


def test_a_pipe_is_read_and_one_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ArgusError, match="nobody writes to"):
        diagnose(str(pipe))
    with pytest.raises(ArgusError, match="holds no log"):
        diagnose(str(tmp_path))
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb") as file:
        file.write(LOG.encode())
        file.close()
        assert diagnose(f"/dev/fd/{reading}").cause == "host_oom"


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("x")
        with pytest.raises(ArgusError, match="cannot be read"):
            diagnose("x")


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("of_a_trainer", [True, False])
def test_a_list_of_records_is_read_entry_by_entry(
    of_a_trainer: bool, indent: int | None, tmp_path: Path
) -> None:
    """However long it is; what comes after the list is not its own."""
    entries = [{"loss": 1 / step, "step": step, "text": "x" * 400} for step in range(1, 2001)]
    state = {"global_step": 5, "log_history": entries, "z": {"loss": 9.0, "step": 9}}
    text = json.dumps(state if of_a_trainer else entries, indent=indent)
    assert steps(write(tmp_path / "x", text)) == list(range(1, 2001))
    (found,) = diagnose(str(write(tmp_path / "x", text[:-700]))).findings
    assert found.slug == "log-not-whole" and ("line 9" in found.what) == (indent is not None)


def test_text_in_brackets_is_no_list_of_records(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x", "[    0.000000] Linux version 6\n[   99.1] Out of memory: Killed process 7\n"
    )
    assert diagnose(str(path)).cause == "oom_killer"


def test_of_a_log_that_is_very_long_both_ends_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_READ_AT_AN_END", 1 << 19)
    lines = [f"step {k} loss {1 / k:.5f} {'x' * 200}" for k in range(1, 12_001)]
    path = write(tmp_path / "x", "\n".join([*lines, "MemoryError: x\n"]))
    found = diagnose(str(path))
    assert (found.cause, found.where) == ("host_oom", "x:12001")
    assert [one.slug for one in found.findings] == ["died-host-oom", "log-not-whole"]
    seen = set(steps(path))
    assert min(seen) < 100 and max(seen) > 11_900 and not seen & set(range(4_500, 7_500))
