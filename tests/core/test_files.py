"""Writing atomically: the old content or the new, never a part, whatever goes wrong."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from argusvl.core import files
from argusvl.core.appending import Appender, read_lines, read_objects
from argusvl.core.errors import ArgusError, CheckpointError, DataError
from argusvl.core.files import (
    atomic_folder,
    atomic_text_file,
    copy_file,
    lock_file,
    open_file,
    open_to_append,
    path_inside,
    read_bytes,
    read_json,
    real_path,
    write_bytes_atomically,
    write_text_atomically,
)
from argusvl.core.strict_json import decode_json


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_text_is_written_as_utf8_and_parents_are_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    write_text_atomically(target, "挡风板\n")
    assert target.read_bytes() == "挡风板\n".encode()
    assert names(target.parent) == ["b.txt"]


def test_a_written_file_has_the_mode_of_an_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("")
    write_bytes_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_full_disk_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "state.json"
    target.write_text("old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ArgusError, match=r"state\.json: cannot be written: No space left") as raised:
        write_text_atomically(target, "new")
    assert "free space" in str(raised.value)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["state.json"]


def test_a_folder_in_place_of_a_parent_file_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgusError, match="file/x.txt"):
        write_text_atomically(tmp_path / "file" / "x.txt", "")


def test_a_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint-10"
    with atomic_folder(target) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "weights").write_bytes(b"123")
        assert not target.exists()
        assert temporary.parent == tmp_path
    assert (target / "sub" / "weights").read_bytes() == b"123"
    assert names(tmp_path) == ["checkpoint-10"]


@pytest.fixture
def best(tmp_path: Path) -> Path:
    """A folder that is there already, with a file in it."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "old").write_text("old")
    return tmp_path / "best"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_existing_folder_is_replaced_as_a_whole(
    tmp_path: Path, best: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    with atomic_folder(best) as temporary:
        (temporary / "new").write_text("new")
        assert names(best) == ["old"]
    assert names(best) == ["new"]
    assert names(tmp_path) == ["best"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_the_old_folder(
    tmp_path: Path, best: Path, interruption: type[BaseException]
) -> None:
    with pytest.raises(interruption), atomic_folder(best) as temporary:
        (temporary / "half").write_text("half")
        raise interruption
    assert names(best) == ["old"]
    assert names(tmp_path) == ["best"]


def test_a_full_disk_while_a_folder_is_written_leaves_the_old_one(
    tmp_path: Path, best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ArgusError, match="best: cannot be written"), atomic_folder(best) as temporary:
        (temporary / "new").write_text("new")
    assert names(best) == ["old"]
    assert names(tmp_path) == ["best"]


def test_the_old_folder_comes_back_when_the_last_rename_fails(
    tmp_path: Path, best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    rename = Path.rename

    def fails_for_the_new_folder(self: Path, to: Path) -> Path:
        if self.suffix == ".part":
            full_disk()
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_folder)
    with pytest.raises(ArgusError), atomic_folder(best) as temporary:
        (temporary / "new").write_text("new")
    assert names(best) == ["old"]
    assert names(tmp_path) == ["best"]


# ---------------------------------------------------------------- reading


def test_what_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "pipe", "a pipe, not a file"),
        (Path("/dev/zero"), "a device, not a file"),
        (tmp_path, "a folder, not a file"),
        (tmp_path / "a\0b", "no file can have this name"),
    ):
        with pytest.raises(OSError) as raised:
            read_bytes(path)
        assert (raised.value.strerror, raised.value.filename) == (reason, str(path))
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "nowhere")


def test_files_that_grow_are_ordinary_ones(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    os.mkfifo(ledger)
    for opening in (
        lambda: open_to_append(ledger),
        lambda: Appender(ledger),
        lambda: copy_file(ledger, tmp_path / "copy"),
    ):
        with pytest.raises(OSError, match="a pipe"):
            opening()
    with pytest.raises(DataError, match="a pipe"):
        list(read_lines(ledger, decode_json, remedy="start anew"))  # type: ignore[arg-type]


def test_lines_that_are_nested_without_end_are_no_entries(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"step": 1}\n' + "[" * 100_000 + "]" * 100_000 + "\n" + '{"step": 2}\n')
    assert [entry["step"] for entry in read_objects(events)] == [1, 2]
    with pytest.raises(DataError, match="line 2"):
        list(read_lines(events, lambda line: decode_json(line.decode()), remedy="start anew"))


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", most_bytes=5) == b"12345"
    with pytest.raises(OSError, match="the file has 5 bytes, more than 4"):
        read_bytes(tmp_path / "a", most_bytes=4)


@pytest.mark.parametrize("content", [b"{", "\u4e2d".encode("utf-16"), b"[" * 100_000, b""])
def test_json_that_cannot_be_read_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError):
        read_json(tmp_path / "a.json")


def test_a_name_that_is_not_utf8_comes_back_from_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xe6\x9d\xbf.png")
    write_text_atomically(tmp_path / "a.json", json.dumps([name, "\u677f"], ensure_ascii=False))
    assert read_json(tmp_path / "a.json") == [name, "\u677f"]
    assert "\u677f".encode() in read_bytes(tmp_path / "a.json")
    with atomic_text_file(tmp_path / "b.json") as stream:
        stream.write(json.dumps(name, ensure_ascii=False))
    assert os.fsencode(read_json(tmp_path / "b.json")) == b"caf\xe9 \xe6\x9d\xbf.png"


def test_a_locked_file_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "a").open("ab") as first, (tmp_path / "a").open("ab") as second:
        assert lock_file(first)
        assert not lock_file(second)
        first.close()
        assert lock_file(second)


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "", ".."])
def test_a_name_that_leads_out_of_its_folder_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="run/best.json: names .*, which is not in the folder"):
        path_inside(Path("run"), name, stated_in=Path("run/best.json"))
    assert path_inside(Path("run"), "a/b", stated_in=Path("run/best.json")) == Path("run/a/b")


def test_the_real_path_of_a_link_that_leads_back_is_the_link(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert real_path(tmp_path / "a").parent == tmp_path.resolve()
