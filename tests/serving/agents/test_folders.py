from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from argusvl.core.errors import ArgusError
from argusvl.serving.agents import folders as module
from argusvl.serving.agents.folders import Folders


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder that is allowed, beside one that is not."""
    (tmp_path / "secret").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "secret" / "key.png")
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(folder / "a.png")
    return folder


def test_a_path_is_taken_below_its_folder_absolute_and_by_the_folders_name(photos: Path) -> None:
    folders = Folders([photos])
    for name in ("a.png", "./a.png", "photos/a.png", str(photos / "a.png")):
        assert folders.image(name) == photos / "a.png"
    assert folders.shown(photos / "a.png") == "a.png"


def test_of_several_folders_each_path_says_whose_it_is(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "train.log").write_text("step 1")
    folders = Folders([photos, tmp_path / "runs"])
    found = folders.file_or_folder("runs/train.log", most_bytes=100)
    assert folders.shown(found) == "runs/train.log"
    assert folders.shortened(f"{found}: died") == "runs/train.log: died"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "/nothing/of/the/kind",
        "../secret/key.png",
        "deeper/../../secret/key.png",
        "photos/../../secret/key.png",
        "~/key.png/../../x",
    ],
)
def test_what_lies_outside_is_refused_in_the_same_words_whether_or_not_it_is_there(
    photos: Path, name: str
) -> None:
    with pytest.raises(ArgusError, match="is not in a folder that may be read"):
        Folders([photos]).file_or_folder(name, most_bytes=1 << 20)


def test_the_absolute_path_of_a_neighbour_whose_name_begins_alike_is_refused(photos: Path) -> None:
    beside = photos.with_name("photos-private")
    beside.mkdir()
    Image.new("RGB", (8, 6)).save(beside / "a.png")
    with pytest.raises(ArgusError, match="is not in a folder"):
        Folders([photos]).image(str(beside / "a.png"))


def test_links_that_lead_out_are_refused_and_links_inside_are_followed(photos: Path) -> None:
    (photos / "out.png").symlink_to(photos.parent / "secret" / "key.png")
    (photos / "in.png").symlink_to("a.png")
    (photos / "away").symlink_to(photos.parent / "secret")
    folders = Folders([photos])
    assert folders.image("in.png") == photos / "a.png"
    for name in ("out.png", "away/key.png", "away"):
        with pytest.raises(ArgusError, match="is not in a folder"):
            folders.file_or_folder(name, most_bytes=1 << 20)


def test_a_folder_with_a_link_that_leads_out_is_refused_as_a_whole(photos: Path) -> None:
    folders = Folders([photos])
    assert folders.folder("deeper") == photos / "deeper"
    (photos / "deeper" / "log.txt").symlink_to("/etc/passwd")
    for name in ("deeper", "."):
        with pytest.raises(ArgusError, match=r"deeper/log.txt: is a link that leads out"):
            folders.folder(name)


def test_a_link_that_leads_to_itself_is_missing(photos: Path) -> None:
    (photos / "loop.png").symlink_to("loop.png")
    with pytest.raises(ArgusError, match=r"there is no 'loop.png'"):
        Folders([photos]).image("loop.png")


@pytest.mark.timeout(20)
def test_pipes_are_refused_and_never_waited_for(photos: Path) -> None:
    os.mkfifo(photos / "deeper" / "pipe.png")
    folders = Folders([photos])
    with pytest.raises(ArgusError, match="is a pipe or a device"):
        folders.image("deeper/pipe.png")
    with pytest.raises(ArgusError, match="is a pipe or a device"):
        folders.folder("deeper")


def test_huge_files_are_refused_unread(photos: Path) -> None:
    with (photos / "huge.log").open("wb") as stream:
        stream.truncate(1 << 40)
    folders = Folders([photos])
    with pytest.raises(ArgusError, match="has 1099511627776 bytes, more than 268435456"):
        folders.file_or_folder("huge.log", most_bytes=256 << 20)
    with pytest.raises(ArgusError, match="bytes, more than"):
        folders.image("huge.log")


def test_an_image_of_too_many_pixels_is_refused_by_its_header(photos: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(photos / "bomb.png")
    with pytest.raises(ArgusError, match=r"10000 × 10000 pixels, more than 64 million|megapixel"):
        Folders([photos]).image("bomb.png")


def test_what_is_no_image_and_names_that_none_can_have_are_refused(photos: Path) -> None:
    (photos / "notes.txt").write_text("password")
    folders = Folders([photos])
    for name in ("notes.txt", "deeper", "a\0.png", "", "x" * 300, "x/" * 3000, "missing.png"):
        with pytest.raises(ArgusError) as told:
            folders.image(name)
        assert "password" not in str(told.value)
        assert str(photos.parent) not in str(told.value)


def test_a_folder_of_too_many_files_is_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 1)
    with pytest.raises(ArgusError, match="holds more than 1 files"):
        Folders([photos]).folder(".")


def test_there_is_a_folder_and_it_exists(tmp_path: Path) -> None:
    with pytest.raises(ArgusError, match="no folder is allowed"):
        Folders([])
    with pytest.raises(ArgusError, match="no such folder"):
        Folders([tmp_path / "missing"])
