from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from interruptions import content, full_after, in_child, lines_run

from argusvl.core import appending, files
from argusvl.core.errors import ArgusError, DataError
from argusvl.recognition.backbones.protocol import BackboneFingerprint
from argusvl.recognition.extraction import writer as writer_module
from argusvl.recognition.extraction.fingerprint import Plan, StoreFingerprint
from argusvl.recognition.extraction.shards import shard_file
from argusvl.recognition.extraction.store import EmbeddingStore, Header
from argusvl.recognition.extraction.writer import EmbeddedBatch, StoreWriter, inputs_sha256
from argusvl.recognition.ledger import Entry

DIMENSION = 3
PATHS = tuple(f"{number:02d} \n螺丝.jpg" for number in range(11))
CORRUPT = {1, 4, 5, 10}
BACKBONE = BackboneFingerprint("tiny", "0" * 64, {"side": 8}, "mean", "float32", {"torch": "1"})


def header(**plan: Any) -> Header:
    usual = Plan(batch_size=2, shard_rows=4, device="cpu", threads=1, processor="p", writer="w")
    fingerprint = StoreFingerprint(BACKBONE, "exact", {"pillow": "1"})
    return Header(fingerprint, replace(usual, **plan), DIMENSION, len(PATHS), inputs_sha256(PATHS))


def batch(numbers: range) -> EmbeddedBatch:
    good = [n for n in numbers if n not in CORRUPT]
    entries = [
        Entry(PATHS[n], f"{n:064x}", row=good.index(n))
        if n in good
        else Entry(PATHS[n], f"{n:064x}", reason="damaged or truncated")
        for n in numbers
    ]
    vectors = np.array([[n, n / 3, -n] for n in good], dtype=np.float32).reshape(len(good), DIMENSION)
    return EmbeddedBatch(entries, vectors)


def make(folder: Path, stop_at: int = len(PATHS), wanted: Header | None = None) -> None:
    with StoreWriter(folder, wanted or header(), PATHS) as writer:
        for start in range(writer.position, stop_at, 2):
            writer.append(batch(range(start, min(start + 2, len(PATHS)))))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The store that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    make(folder)
    return content(folder)


@pytest.fixture(params=[0.0, 1e9], ids=["each-batch", "each-shard"])
def rhythm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """When batches are brought to the disk."""
    monkeypatch.setattr(writer_module, "_SYNC_SECONDS", request.param)


in_both_rhythms = pytest.mark.usefixtures("rhythm")


def test_what_is_read_is_what_was_written(tmp_path: Path, whole: dict[str, bytes]) -> None:
    make(tmp_path)
    store = EmbeddingStore.open(tmp_path)
    paths, vectors = store.vectors()
    good = [n for n in range(len(PATHS)) if n not in CORRUPT]
    assert paths == store.paths() == [PATHS[n] for n in good]
    assert store.digests() == [f"{n:064x}" for n in good]
    assert np.array_equal(vectors, np.array([[n, n / 3, -n] for n in good], dtype=np.float32))
    assert len(store) == 7
    assert [(e.path, e.reason) for e in store.quarantined] == [
        (PATHS[n], "damaged or truncated") for n in sorted(CORRUPT)
    ]
    assert [len(rows.paths) for rows in store.iter_batches()] == [3, 2, 2]
    assert sorted(whole) == [
        "inputs.jsonl", "ledger.jsonl", "shards/part-000000.parquet", "shards/part-000001.parquet",
        "shards/part-000002.parquet", "store.json",
    ]  # fmt: skip
    assert whole["ledger.jsonl"].count(b"\n") == len(PATHS)


@in_both_rhythms
@pytest.mark.parametrize("stop_at", range(0, 12, 2))
def test_a_stopped_run_goes_on(tmp_path: Path, whole: dict[str, bytes], stop_at: int) -> None:
    make(tmp_path, stop_at)
    if stop_at < len(PATHS):
        with pytest.raises(DataError, match=f"not finished: {min(stop_at, 11)} of 11"):
            EmbeddingStore.open(tmp_path)
    make(tmp_path)
    assert content(tmp_path) == whole


@in_both_rhythms
@pytest.mark.parametrize("stop_at", [2, 6, 8])
def test_any_cut_of_the_last_lines_is_mended(tmp_path: Path, whole: dict[str, bytes], stop_at: int) -> None:
    """The ledger was torn inside the last batch, whose vectors may be there in full, too much or in part."""
    before, after = tmp_path / "before", tmp_path / "after"
    make(before, stop_at - 2)
    make(after, stop_at)
    start, end = ((f / "ledger.jsonl").stat().st_size for f in (before, after))
    raw = {name: data for name, data in content(before).items() if name.endswith(".rows")}
    for cut in range(start, end, 19):
        folder = tmp_path / f"cut-{cut}"
        shutil.copytree(before, folder)
        torn = (after / "ledger.jsonl").read_bytes()[:cut]
        (folder / "ledger.jsonl").write_bytes(torn)
        for name, data in raw.items():
            (folder / name).write_bytes(data + b"\1" * (cut % 20))
        make(folder)
        assert content(folder) == whole


WRITING = (writer_module, appending, files)


@in_both_rhythms
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_line_the_store_is_the_same(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """No handler runs and no buffer is written: as with SIGKILL."""
    total = lines_run(lambda: make(tmp_path / "counted"), WRITING)
    assert content(tmp_path / "counted") == whole
    rng = random.Random(0)
    for trial in range(8):
        folder = tmp_path / f"store-{trial}"
        killed = 0
        while True:  # until one gets through
            at = rng.randrange(1, total) if killed < 2 else None
            code = in_child(lambda at=at, folder=folder: lines_run(lambda: make(folder), WRITING, at))  # type: ignore[misc]
            if code == 0:
                break
            assert code == 9
            killed += 1
        make(folder)
        assert content(folder) == whole, f"trial {trial}, {killed} kills"


@in_both_rhythms
@pytest.mark.parametrize("calls", range(1, 16, 2))
def test_a_disk_that_fails_at_any_time_loses_nothing(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full_after(calls))
        with pytest.raises(ArgusError, match=r"No space left on device; \d+ of 11 images are done") as caught:
            make(tmp_path / "store")
        assert "goes on" in str(caught.value)
    make(tmp_path / "store")
    assert content(tmp_path / "store") == whole


@in_both_rhythms
@pytest.mark.parametrize("calls", range(0, 12, 2))
def test_a_write_that_is_broken_off_in_the_middle_loses_nothing(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """A part of the vectors or of the lines is on the disk; nothing may be appended behind it."""
    with monkeypatch.context() as patched:
        patched.setattr(appending, "write_all", full_after(calls, appending.write_all))
        with contextlib.suppress(ArgusError):
            make(tmp_path / "store")
    make(tmp_path / "store")
    assert content(tmp_path / "store") == whole


@in_both_rhythms
def test_a_full_disk_loses_nothing(small_disk: Callable[[str], Path], whole: dict[str, bytes]) -> None:
    disk = small_disk("48k")
    ballast = disk / "ballast"
    for pages in range(11, 0, -1):
        ballast.write_bytes(b"x" * 4096 * pages)
        with contextlib.suppress(ArgusError):
            make(disk / "store")
            break
        with pytest.raises(ArgusError, match=r"No space left on device; \d+ of 11 images are done"):
            make(disk / "store")
        ballast.unlink()
    assert 1 < pages < 11
    assert content(disk / "store") == whole


def refused(folder: Path, wanted: Header, message: str) -> None:
    with pytest.raises(DataError, match=message), StoreWriter(folder, wanted, PATHS):
        pass


def test_another_extraction_into_the_same_store_is_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, header(), PATHS):
        refused(tmp_path, header(), "another process")
    make(tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    for name in ("inputs.jsonl", "shards/part-000000.parquet", "notes.txt"):
        folder = tmp_path / name.replace("/", "-")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"mine")
        refused(folder, header(), "holds other files")
        assert content(folder) == {name: b"mine"}
    with pytest.raises(ArgusError, match="cannot be written"):
        make(tmp_path / "notes.txt" / "notes.txt")


def test_other_plans_are_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path, 4)
    refused(tmp_path, header(batch_size=4), r"batch_size: the store has 2, now it is 4")
    refused(tmp_path, header(writer="v"), r"writer: the store has 'w', now it is 'v'")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "shards/part-000000.parquet").unlink(), "part-000000.parquet"),
        (lambda f: (f / "shards/part-000000.parquet").write_bytes(b"PAR1"), "part-000000.parquet"),
        (lambda f: swap_lines(f / "ledger.jsonl"), "line 1"),
        (lambda f: (f / "ledger.jsonl").write_bytes(b"{}\n" + (f / "ledger.jsonl").read_bytes()), "line 1"),
        (lambda f: (f / "store.json").write_text("{"), "store.json"),
        (lambda f: (f / "store.json").write_text('{"format": 9}'), "is 9, this Argus reads 1"),
        (lambda f: (f / "inputs.jsonl").unlink(), "inputs.jsonl"),
    ],
)
def test_damage_names_the_file(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    make(tmp_path, 10)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        make(tmp_path)


def swap_lines(file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))


def test_a_raw_file_that_is_gone_costs_only_its_shard(tmp_path: Path, whole: dict[str, bytes]) -> None:
    make(tmp_path, 6)
    (tmp_path / "shards" / "part-000001.rows").unlink()
    with StoreWriter(tmp_path, header(), PATHS) as writer:
        assert writer.position == 4
    make(tmp_path)
    assert content(tmp_path) == whole


def test_a_shard_of_another_store_is_noticed(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(
        tmp_path / "b",
        wanted=replace(header(), fingerprint=StoreFingerprint(BACKBONE, "scaled", {"pillow": "1"})),
    )
    name = "shards/part-000001.parquet"
    shutil.copyfile(tmp_path / "a" / name, tmp_path / "b" / name)
    with pytest.raises(DataError, match="of another store"):
        EmbeddingStore.open(tmp_path / "b").vectors()


def bent(file: Path, position: int) -> None:
    """Changes one byte."""
    data = bytearray(file.read_bytes())
    data[position] ^= 0x10
    file.write_bytes(data)


@pytest.mark.parametrize("column", ["path", "sha256", "embedding"])
def test_damage_inside_a_shard_is_noticed(tmp_path: Path, column: str) -> None:
    make(tmp_path)
    shard = shard_file(tmp_path, 1)
    pages = pq.read_metadata(shard).row_group(0)
    number = [pages.column(n).path_in_schema.partition(".")[0] for n in range(3)].index(column)
    bent(shard, pages.column(number).data_page_offset + pages.column(number).total_compressed_size - 1)
    message = r"part-000001\.parquet: the shard cannot be read: .*checksum.*\n.*bring it back from a copy"
    with pytest.raises(DataError, match=message):
        EmbeddingStore.open(tmp_path).vectors()
    with pytest.raises(DataError, match=message):
        make(tmp_path)


def test_a_store_without_checksums_is_read_and_gone_on_with(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """As they were made before."""
    make(tmp_path / "store")
    for number in range(3):
        shard = shard_file(tmp_path / "store", number)
        table = pq.read_table(shard)
        pq.write_table(table, shard, use_dictionary=False, compression="NONE")
    assert content(tmp_path / "store") != whole
    make(tmp_path / "store")
    make(tmp_path / "new")
    there, new = (EmbeddingStore.open(tmp_path / name).vectors() for name in ("store", "new"))
    assert there[0] == new[0] and np.array_equal(there[1], new[1])
