"""`argus recognize table`, `enroll`, `classify`: from folders to tables and classes, and what is said of mistakes."""

from __future__ import annotations

import errno
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image

from argusvl.core import files as files_module
from argusvl.recognition.backbones.views import VIEWS
from argusvl.recognition.extraction import sources
from argusvl.recognition.few_shot.classifiers import CLASSIFIERS
from argusvl.recognition.few_shot.features import FEATURES
from argusvl.recognition.few_shot.layout import LAYOUTS

SUPPORT = "fruit/2.support-set"
QUERIES = "fruit/6.preprocessed"
TINY = ["--backbone", "tiny", "--workers", "1"]
FULL = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
"""A disk that takes nothing, in place of ``os.fsync``."""

pytestmark = pytest.mark.usefixtures("tiny_backbone")


@pytest.fixture
def recognize(argus: Any) -> Any:
    return partial(argus, "recognize")


@pytest.fixture
def data(tmp_path: Path, few_shot: Any) -> Path:
    """One category of three classes with four shots and six queries each."""
    made: Path = few_shot.make_category(tmp_path / "data")
    return made


@pytest.fixture
def examples(tmp_path: Path, few_shot: Any) -> Path:
    """A folder for each of three classes, with five pictures each."""
    return class_folders(tmp_path / "examples", few_shot, ("apple", "pear", "plum"), range(5))


def class_folders(root: Path, few_shot: Any, labels: tuple[str, ...], numbers: range) -> Path:
    for label in labels:
        for n in numbers:
            few_shot.write(root / label / f"{n}.png", few_shot.picture(label, n))
    return root


class TestTable:
    @pytest.fixture
    def table(self, recognize: Any) -> Any:
        return partial(recognize, "table", *TINY, "--shots", "1,3", "--seeds", 2)

    def test_json_has_what_the_figures_are_of(self, table: Any, data: Path) -> None:
        said = table(data, "--json", "--unknown", "plum")
        found = said.json
        assert said.err.count("note") == 0
        assert [(row["category"], row["shots"]) for row in found["rows"]] == [("fruit", 1), ("fruit", 3)]
        for row in (*found["rows"], *found["total"]):
            assert 0 <= row["oscr"] <= row["accuracy"] <= 1 and row["std"] >= 0
            assert {"auroc", "fpr95", "auroc_std"} <= row.keys() and row["queries"] == 12
        assert (found["seeds"], found["shots"], found["unknown"]) == (2, [1, 3], ["plum"])
        assert found["categories"] == [
            {"name": "fruit", "classes": {"apple": 4, "pear": 4, "plum": 4}, "queries": 18}
        ]

    def test_tables_go_to_a_file_that_is_replaced_at_the_end(
        self, table: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = tmp_path / "new folder" / "table.md"
        assert table(data, "--out", place).out == ""
        text = place.read_text(encoding="utf-8")
        assert text == table(data).out and "| fruit | tiny |" in text
        found = table(data, "--out", place, "--overwrite", "--format", "csv", "--json").json
        assert found["rows"] and place.read_text().startswith("backbone,category,shots")

        before = place.read_bytes()
        monkeypatch.setattr(files_module.os, "fsync", FULL)
        assert "is there already" in table(data, "--out", place, code=2).err
        err = table(data, "--out", place, "--overwrite", code=2).err
        assert "No space left on device" in err and str(place) in err
        assert place.read_bytes() == before and list(place.parent.iterdir()) == [place]
        # … and the cache, before anything can be measured
        said = table(data, "--cache", tmp_path / "other", code=2)
        assert said.out == "" and "No space left on device" in said.err

    def test_backbones_side_by_side(
        self, table: Any, tmp_path: Path, few_shot: Any, small_resnet: Path
    ) -> None:
        data = few_shot.make_category(tmp_path / "data", classes={"apple": 3, "plum": 3}, queries=3)
        named = f"resnet50:{small_resnet}"
        words = (data, "--backbone", f"efficientnet-lite0,{named}")
        found = table(*words, "--json").json
        assert [row["backbone"] for row in found["total"]] == ["efficientnet-lite0"] * 2 + [named] * 2
        assert [b["features"] for b in found["backbones"]] == [["vector", "logits"], ["vector"]]
        assert found["total"][1]["accuracy"] > 0.7  # real weights; those of the other are random
        assert table(*words).out.count("| fruit |") == 2

    def test_what_cannot_be_used_is_named_and_the_exit_code_is_1(
        self, table: Any, data: Path, few_shot: Any
    ) -> None:
        few_shot.write(data / QUERIES / "apple" / "ze\nro.jpg", b"")
        few_shot.write(data / SUPPORT / "Class_pear" / "shot5" / "cut.png", few_shot.picture("pear", 5)[:99])
        for _ in range(2):
            said = table(data, "--json", code=1)
            assert rf"quarantined {QUERIES}/apple/ze\nro.jpg: the file is empty (0 bytes)" in said.err
            assert f"quarantined {SUPPORT}/Class_pear/shot5/cut.png: damaged or truncated" in said.err
            assert "note fruit: unequal shots: apple 4, pear 5, plum 4" in said.err
            assert len(said.json["quarantined"]) == 2

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--backbone", "tinny"], "unknown backbone 'tinny'"),
            (["--backbone", ","], "--backbone names nothing"),
            (["--classifier", "rigde"], "did you mean 'ridge'"),
            (["--layout", "imagefolders"], "did you mean 'imagefolder'"),
            (["--views", "three"], "unknown views 'three'"),
            (["--features", "poor"], "unknown features 'poor'"),
            (["--shots", "1,five"], "--shots is '1,five'"),
            (["--shots", "1,,5"], "--shots is '1,,5'"),
            (["--shots", "-1"], "the shots are [-1]"),
            (["--shots", "5"], "class apple has 4"),
            (["--unknown", "lemon"], "no class is called lemon"),
            (["--category", "fruits"], "fruits: no such category"),
            (["--seeds", "0"], "--seeds"),
            (["--format", "html"], "--format"),
        ],
    )
    def test_mistakes_are_named(self, recognize: Any, data: Path, words: list[str], said: str) -> None:
        found = recognize("table", data, *TINY, "--shots", 1, "--seeds", 1, *words, code=2)
        assert found.out == "" and said in found.err


class TestEnroll:
    def test_a_store_is_made_and_grows(
        self, recognize: Any, examples: Path, tmp_path: Path, few_shot: Any, tiny_backbone: list[Any]
    ) -> None:
        enroll = partial(recognize, "enroll", tmp_path / "store")
        said = enroll(examples, *TINY, "--json")
        assert said.json["new_classes"] == ["apple", "pear", "plum"]
        assert "15 images = 15 enrolled + 0 enrolled before or given twice + 0 quarantined" in said.err
        new = class_folders(tmp_path / "new", few_shot, ("fig",), range(4))
        tiny_backbone.clear()
        # Neither the backbone nor the views have to be named again.
        said = enroll(new / "fig", "--class", "fi\ng", "--json")
        assert said.json["classes"] == {"apple": 5, "fi\ng": 4, "pear": 5, "plum": 5}
        assert r"apple 5, fi\ng 4, pear 5, plum 5" in said.err
        assert tiny_backbone[0].pictures == 8  # with their mirror images
        said = enroll(examples)
        assert said.out == "" and "0 enrolled + 15 enrolled before" in said.err

    def test_what_cannot_be_used_is_named_and_the_exit_code_is_1(
        self, recognize: Any, examples: Path, tmp_path: Path, few_shot: Any
    ) -> None:
        few_shot.write(examples / "apple" / "ze\nro.jpg", b"")
        few_shot.write(examples / "pear" / "png.jpg", few_shot.picture("pear", 77))
        Image.open(examples / "plum" / "0.png").convert("CMYK").save(examples / "plum" / "print.jpg")
        (examples / "plum" / "loop.png").symlink_to("loop.png")
        for _ in range(2):
            err = recognize("enroll", tmp_path / "store", examples, *TINY, code=1).err
            assert r"ze\nro.jpg: the file is empty (0 bytes)" in err
            assert "loop.png: cannot be read: Too many levels of symbolic links" in err
            assert "apple 5, pear 6, plum 6" in err

    def test_mistakes_are_named_and_change_nothing(
        self, recognize: Any, examples: Path, tmp_path: Path, few_shot: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = tmp_path / "store"
        recognize("enroll", store, examples, *TINY)
        before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
        new = class_folders(tmp_path / "new", few_shot, ("fig",), range(3))
        copied = class_folders(tmp_path / "copied", few_shot, ("apple",), range(1)) / "apple"
        looped = class_folders(tmp_path / "looped", few_shot, ("fig",), range(3))
        (looped / "fig" / "back").symlink_to(looped)
        closed = class_folders(tmp_path / "unreadable", few_shot, ("closed", "fig"), range(3))
        (class_folders(tmp_path / "hollow", few_shot, ("fig",), range(2)) / "nothing").mkdir()
        real = sources.os.scandir

        def refuse(path: str) -> object:  # mode 000 would not stop the super-user
            if Path(path).name == "closed":
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(sources.os, "scandir", refuse)
        for words, said in (
            ([new, "--backbone", "tiny:b"], "weights_sha256"),
            ([new, "--backbone", "tinny"], "unknown backbone 'tinny'"),
            ([new, "--views", "one"], "views: the store has 'four', now it is 'one'"),
            ([new, "--views", "three"], "unknown views 'three'"),
            ([new, "--lane", "scaled"], "lane: the store has 'exact', now it is 'scaled'"),
            ([new, "--layout", "classs"], "did you mean 'classes'"),
            ([new / "fig", "--class", "Unknown"], "a class cannot be called 'Unknown'"),
            ([copied, "--class", "pear"], "apple/0.png of pear is"),
            ([tmp_path / "absent"], "absent: no such folder"),
            ([tmp_path / "absent", "--class", "a"], "absent: no such file or folder"),
            ([new / "fig"], "0.png: does not fit"),
            ([looped], "back: a link that leads back"),
            ([closed], "closed: the folder cannot be read: Permission denied"),
            ([tmp_path / "hollow"], "nothing: an empty class"),
        ):
            found = recognize("enroll", store, *words, code=2)
            assert found.out == "" and said in found.err, words
            assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before, words
        assert "holds other files" in recognize("enroll", tmp_path, new, *TINY, code=2).err


class TestClassify:
    @pytest.fixture
    def store(self, recognize: Any, examples: Path, tmp_path: Path) -> Path:
        recognize("enroll", tmp_path / "store", examples, *TINY)
        return tmp_path / "store"

    @pytest.fixture
    def classify(self, recognize: Any, store: Path) -> Any:
        return partial(recognize, "classify", store)

    @pytest.fixture
    def photos(self, tmp_path: Path, few_shot: Any) -> Path:
        return class_folders(tmp_path / "photos", few_shot, ("pear", "plum", "brick"), range(50, 53))

    def test_where_most_are_unknown_it_says_how_to_name_them_all_the_same(
        self, classify: Any, photos: Path
    ) -> None:
        for threshold, told in ((1, True), (0, False)):
            err = classify(photos, "--threshold", threshold).err
            assert ("--threshold 0 names the nearest" in err) == told

    def test_a_line_for_each_picture(self, classify: Any, photos: Path, tmp_path: Path) -> None:
        said = classify(photos)
        lines = said.lines
        assert "9 images classified: " in said.err
        assert [line["image"] for line in lines] == sorted(
            f"{label}/{n}.png" for label in ("pear", "plum", "brick") for n in range(50, 53)
        )
        assert [line["class"] for line in lines[:3]] == ["Unknown"] * 3
        assert {line["nearest"] for line in lines[3:6]} == {"pear"}
        assert classify(photos, "--out", tmp_path / "new" / "lines.jsonl").out == ""
        assert (tmp_path / "new" / "lines.jsonl").read_text(encoding="utf-8") == said.out
        assert '"Unknown"' not in classify(photos, "--threshold", 0, "--coverage", 0.99).out

    def test_an_extracted_store_of_the_same_views_gives_the_same_lines(
        self, recognize: Any, classify: Any, photos: Path, tmp_path: Path, tiny_backbone: list[Any]
    ) -> None:
        vectors = tmp_path / "vectors"
        recognize("extract", photos, "--out", vectors, "--views", "four", *TINY)
        tiny_backbone.clear()
        out = classify(vectors).out
        assert sum(network.pictures for network in tiny_backbone) == 0
        assert out == classify(photos).out
        recognize("extract", photos, "--out", tmp_path / "one", *TINY)
        err = classify(tmp_path / "one", code=2).err
        assert "views: the store has 'one', now it is 'four'" in err and "extract --views four" in err
        assert "named beside other places" in classify(photos, vectors, code=2).err

    def test_an_example_is_marked(self, classify: Any, examples: Path) -> None:
        assert classify(examples / "plum" / "0.png").json["example_of"] == "plum"

    def test_what_cannot_be_used_has_an_error_and_the_exit_code_is_1(
        self, classify: Any, photos: Path, few_shot: Any
    ) -> None:
        few_shot.write(photos / "ze\nro.png", b"")
        (photos / "back").symlink_to(photos)
        for _ in range(2):
            said = classify(photos, code=1)
            assert len(said.lines) == 10
            assert [line["image"] for line in said.lines if "error" in line] == ["ze\nro.png"]
            assert r"quarantined ze\nro.png: the file is empty (0 bytes)" in said.err
            assert "not searched back: a link that leads back" in said.err
            assert "9 images classified, 1 quarantined" in said.err

    def test_mistakes_are_named_and_what_was_written_before_stays(
        self, recognize: Any, store: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "lines.jsonl"
        out.write_text("before")
        for words, said in (
            ([tmp_path / "absent", photos], "not a support store"),
            ([photos, photos], "not a support store"),
            ([store, tmp_path / "absent"], "absent: no such file or folder"),
            ([store, photos, "--classifier", "soft-k-means"], "is transductive"),
            ([store, photos, "--classifier", "rigde"], "did you mean 'ridge'"),
            ([store, photos, "--features", "plain"], "plain features are of one view"),
            ([store, photos, "--threshold", "2"], "the threshold is 2"),
            ([store, photos, "--threshold", "nan"], "the threshold is nan"),
            ([store, photos, "--coverage", "nan"], "the coverage is nan"),
            ([store, photos, "--out", photos], "is what the command reads"),
            ([store, photos, "--out", tmp_path], "is a folder"),
            ([store, photos, "--out", photos / "a.jpg"], "is the name of an image"),
            ([store, photos, "--out", store / "support.json"], "which the command reads"),
        ):
            found = recognize("classify", *words[:2], "--out", out, "--overwrite", *words[2:], code=2)
            assert found.out == "" and said in found.err, words
            assert out.read_text() == "before"

        classify = partial(recognize, "classify", store, photos)
        classify()  # so that the vectors are there
        monkeypatch.setattr(files_module, "_sync_folder", lambda folder: None)
        monkeypatch.setattr(files_module.os, "fsync", FULL)
        assert "is there already" in classify("--out", out, code=2).err
        assert "No space left on device" in classify("--out", out, "--overwrite", code=2).err
        assert out.read_text() == "before" and not list(tmp_path.glob(".*"))


def test_weights_that_were_named_from_another_folder_are_found_and_may_be_moved(
    recognize: Any, examples: Path, tmp_path: Path, small_resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shutil.copytree(small_resnet, tmp_path / "here/weights")
    monkeypatch.chdir(tmp_path / "here")
    store = tmp_path / "support"
    recognize("enroll", store, examples, "--backbone", "resnet50:weights", "--views", "one")
    monkeypatch.chdir(tmp_path)
    classify = partial(recognize, "classify", store, examples / "apple")
    before = classify().out
    weights.rename(tmp_path / "moved")
    assert "here/weights" in classify(code=2).err
    assert classify("--backbone", "resnet50:moved").out == before


def test_the_help_names_all_that_may_be_chosen(recognize: Any) -> None:
    """The tables of the names bring torch along, for which a help does not wait; so it has them written out."""
    shown = set(re.findall(r"[\w-]+", recognize("table", "--help").out))
    assert {*CLASSIFIERS, *FEATURES, *VIEWS, *LAYOUTS} <= shown
