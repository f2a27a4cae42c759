from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from argusvl.core.errors import DataError
from argusvl.recognition.extraction.sources import find_images


def touch(folder: Path, *names: str | bytes) -> None:
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))  # noqa: PTH118 - bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(path, "wb"):  # noqa: PTH123
            pass


def test_names_are_relative_and_sorted_by_their_bytes(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.jpg", "b.jpg", "B.PNG", "a/z.webp", "a/b/c/d.tiff", "é.jpg", "e\u0301.jpg", "zz.jpg")
    found = find_images(tmp_path).paths
    assert set(found) == {
        "b/1.jpg", "b.jpg", "B.PNG", "a/z.webp", "a/b/c/d.tiff", "é.jpg", "e\u0301.jpg", "zz.jpg",
    }  # fmt: skip
    assert list(found) == sorted(found, key=lambda name: name.encode("utf-8"))


def test_odd_names_are_names(tmp_path: Path) -> None:
    names = ["line\nbreak.jpg", "Räume/螺丝 1.jpg", " leading.jpg", "tab\t.jpg", "a\u2028b.jpg"]
    names += ["-rf.jpg", "c\\d.jpg"]
    touch(tmp_path, *names, b"latin-\xe9.jpg")
    found = find_images(tmp_path)
    assert sorted(found.paths) == sorted([*names, "latin-\udce9.jpg"])
    assert all((found.root / name).is_file() for name in found.paths)


def test_other_files_are_counted_by_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.xml", "b/c.xml", "README", "d.XML")
    assert dict(find_images(tmp_path).other_files) == {"": 1, ".xml": 3}


@pytest.mark.parametrize(
    ("files", "links", "paths", "problems"),
    [
        (["a/x.jpg"], {"b": "a"}, ("a/x.jpg", "b/x.jpg"), {}),
        (["a/b/x.jpg"], {"a/b/back": "."}, ("a/b/x.jpg",), {"a/b/back": "leads back"}),
        (["a/b/x.jpg"], {"a/b/back": ".."}, ("a/b/x.jpg",), {"a/b/back": "leads back"}),
        (["a/b/x.jpg"], {"a/b/back": "../.."}, ("a/b/x.jpg",), {"a/b/back": "leads back"}),
        (  # two folders that link to each other
            ["a/1.jpg", "b/2.jpg"],
            {"a/to-b": "../b", "b/to-a": "../a"},
            ("a/1.jpg", "a/to-b/2.jpg", "b/2.jpg", "b/to-a/1.jpg"),
            {"a/to-b/to-a": "leads back", "b/to-a/to-b": "leads back"},
        ),
        (  # links that lead nowhere are inputs if they are named as images
            ["a.jpg"],
            {"gone.jpg": "nowhere.jpg", "self.jpg": "self.jpg", "self": "self"},
            ("a.jpg", "gone.jpg", "self.jpg"),
            {"self": "cannot be looked at"},
        ),
    ],
)
def test_links_are_followed_unless_they_lead_back(
    tmp_path: Path, files: list[str], links: dict[str, str], paths: tuple[str, ...], problems: dict[str, str]
) -> None:
    touch(tmp_path, *files)
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    found = find_images(tmp_path)
    assert found.paths == paths
    assert [problem.path for problem in found.problems] == list(problems)
    assert all(problems[problem.path] in problem.reason for problem in found.problems)


def test_an_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg", "closed/b.jpg", "open/c.jpg")
    real = os.scandir

    def refuse(path: str) -> object:  # mode 000 would not stop the super-user
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_images(tmp_path)
    assert found.paths == ("a.jpg", "open/c.jpg")
    assert [(p.path, p.reason) for p in found.problems] == [
        ("closed", "the folder cannot be read: Permission denied")
    ]
    with pytest.raises(DataError, match="closed: the folder cannot be read: Permission denied"):
        find_images(tmp_path / "closed")


def test_deep_folders(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "x.jpg").touch()
    assert find_images(tmp_path).paths == ("d/" * 300 + "x.jpg",)


def test_a_folder_with_the_name_of_an_image_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, "album.jpg/x.png")
    assert find_images(tmp_path).paths == ("album.jpg/x.png",)


def test_the_store_is_not_searched(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "store/shards/part-000000.parquet", "store/b.jpg")
    found = find_images(tmp_path, exclude=tmp_path / "store")
    assert found.paths == ("a.jpg",) and not found.other_files and not found.problems


def test_files_and_folders_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg", "photos/b.jpg", "photos/c.png", "odd-suffix.dat")
    monkeypatch.chdir(tmp_path)
    found = find_images([Path("photos"), Path("a.jpg"), Path("odd-suffix.dat"), Path("photos/b.jpg")])
    assert found.paths == ("a.jpg", "odd-suffix.dat", "photos/b.jpg", "photos/c.png")
    assert found.repeated == 1
    assert find_images(Path("a.jpg")).paths == ("a.jpg",)


def test_a_list_of_lines(tmp_path: Path) -> None:
    lines = "b.jpg\r\n./a.jpg\n\nsub/c.dat\na.jpg\n/absolute/d.jpg\nmissing.jpg"
    (tmp_path / "list.txt").write_bytes(lines.encode())
    found = find_images(tmp_path / "list.txt")
    assert found.paths == ("/absolute/d.jpg", "a.jpg", "b.jpg", "missing.jpg", "sub/c.dat")
    assert found.root == tmp_path and found.repeated == 1


def test_a_list_of_json_lines_holds_any_name(tmp_path: Path) -> None:
    names = ["line\nbreak.jpg", "a\u2028b.jpg", "ü.jpg", "as classify writes it.jpg"]
    entries = [names[0], {"path": names[1]}, names[2], {"image": names[3], "class": "a"}]
    text = "\n".join(json.dumps(entry, ensure_ascii=entry != entries[1]) for entry in entries)
    (tmp_path / "list.jsonl").write_text(text, encoding="utf-8")
    assert sorted(find_images(tmp_path / "list.jsonl").paths) == sorted(names)


def test_an_empty_list_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n  \n")
    with pytest.raises(DataError, match="the list is empty"):
        find_images(tmp_path / "list.txt")


@pytest.mark.parametrize("line", ["{", "3", "null", '{"picture": "a.jpg"}', '""', '"a\\u0000.jpg"'])
def test_a_damaged_list_names_the_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.jsonl").write_text(f'"a.jpg"\n{line}\n')
    with pytest.raises(DataError, match="line 2"):
        find_images(tmp_path / "list.jsonl")


def test_nothing_to_do_is_an_error_that_says_what_there_is(tmp_path: Path) -> None:
    touch(tmp_path, "a.xml", "b.xml")
    with pytest.raises(DataError, match=r"no image is there \(2 \.xml\)"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        find_images(tmp_path / "gone")
