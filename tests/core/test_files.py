"""Writing atomically: the old content or the new, never a part, whatever goes wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from argusvl.core import files
from argusvl.core.errors import ArgusError
from argusvl.core.files import atomic_folder, write_bytes_atomically, write_text_atomically


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


@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_existing_folder_is_replaced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    target = tmp_path / "best"
    target.mkdir()
    (target / "old").write_text("old")
    with atomic_folder(target) as temporary:
        (temporary / "new").write_text("new")
        assert names(target) == ["old"]
    assert names(target) == ["new"]
    assert names(tmp_path) == ["best"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_the_old_folder(tmp_path: Path, interruption: type[BaseException]) -> None:
    target = tmp_path / "best"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(interruption), atomic_folder(target) as temporary:
        (temporary / "half").write_text("half")
        raise interruption
    assert names(target) == ["old"]
    assert names(tmp_path) == ["best"]


def test_a_full_disk_while_a_folder_is_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "best"
    target.mkdir()
    (target / "old").write_text("old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ArgusError, match="best: cannot be written"), atomic_folder(target) as temporary:
        (temporary / "new").write_text("new")
    assert names(target) == ["old"]
    assert names(tmp_path) == ["best"]


def test_the_old_folder_comes_back_when_the_last_rename_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "best"
    target.mkdir()
    (target / "old").write_text("old")
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    rename = Path.rename

    def fails_for_the_new_folder(self: Path, to: Path) -> Path:
        if self.suffix == ".part":
            full_disk()
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_folder)
    with pytest.raises(ArgusError), atomic_folder(target) as temporary:
        (temporary / "new").write_text("new")
    assert names(target) == ["old"]
    assert names(tmp_path) == ["best"]
