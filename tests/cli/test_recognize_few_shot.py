"""`argus recognize table`, `enroll`, `classify`: from folders to tables and classes, and what is said of mistakes."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.cli.main import run
from argusvl.core import files as files_module
from argusvl.recognition.backbones.views import VIEWS
from argusvl.recognition.extraction import sources
from argusvl.recognition.few_shot.classifiers import CLASSIFIERS
from argusvl.recognition.few_shot.features import FEATURES
from argusvl.recognition.few_shot.layout import LAYOUTS

SUPPORT = "fruit/2.support-set"
QUERIES = "fruit/6.preprocessed"
TINY = ["--backbone", "tiny", "--workers", "1"]

pytestmark = pytest.mark.usefixtures("quiet_logging", "tiny_backbone")

Said = tuple[int, str, str]


@pytest.fixture
def argus(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs `argus recognize`; exit code, stdout, stderr."""

    def recognize(*words: object) -> Said:
        capsys.readouterr()
        code = run(["recognize", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return recognize


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


def table(argus: Any, data: Path, *words: object, backbone: str = "tiny") -> Said:
    found: Said = argus(
        "table", data, "--backbone", backbone, "--workers", 1, "--shots", "1,3", "--seeds", 2, *words
    )
    return found


class TestTable:
    def test_json_has_what_the_figures_are_of(self, argus: Any, data: Path) -> None:
        code, out, err = table(argus, data, "--json", "--unknown", "plum")
        found = json.loads(out)
        assert code == 0 and err.count("note") == 0
        assert [(row["category"], row["shots"]) for row in found["rows"]] == [("fruit", 1), ("fruit", 3)]
        for row in (*found["rows"], *found["total"]):
            assert 0 <= row["oscr"] <= row["accuracy"] <= 1 and row["std"] >= 0
            assert {"auroc", "fpr95", "auroc_std"} <= row.keys() and row["queries"] == 12
        assert (found["seeds"], found["shots"], found["unknown"]) == (2, [1, 3], ["plum"])
        assert found["categories"] == [
            {"name": "fruit", "classes": {"apple": 4, "pear": 4, "plum": 4}, "queries": 18}
        ]

    def test_tables_go_to_a_file_that_is_replaced_at_the_end(
        self, argus: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = tmp_path / "new folder" / "table.md"
        code, out, _ = table(argus, data, "--out", place)
        assert (code, out) == (0, "")
        text = place.read_text(encoding="utf-8")
        assert text == table(argus, data)[1] and "| fruit | tiny |" in text
        code, out, _ = table(argus, data, "--out", place, "--overwrite", "--format", "csv", "--json")
        assert json.loads(out)["rows"] and place.read_text().startswith("backbone,category,shots")

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        before = place.read_bytes()
        monkeypatch.setattr(files_module.os, "fsync", full)
        code, _, err = table(argus, data, "--out", place)
        assert code == 2 and "is there already" in err
        code, _, err = table(argus, data, "--out", place, "--overwrite")
        assert code == 2 and "No space left on device" in err and str(place) in err
        assert place.read_bytes() == before and list(place.parent.iterdir()) == [place]
        # … and the cache, before anything can be measured
        code, out, err = table(argus, data, "--cache", tmp_path / "other")
        assert (code, out) == (2, "") and "No space left on device" in err

    def test_backbones_side_by_side(
        self, argus: Any, tmp_path: Path, few_shot: Any, small_resnet: Path
    ) -> None:
        data = few_shot.make_category(tmp_path / "data", classes={"apple": 3, "plum": 3}, queries=3)
        named = f"resnet50:{small_resnet}"
        code, out, err = table(argus, data, "--json", backbone=f"efficientnet-lite0,{named}")
        assert code == 0, err
        found = json.loads(out)
        assert [row["backbone"] for row in found["total"]] == ["efficientnet-lite0"] * 2 + [named] * 2
        assert [b["features"] for b in found["backbones"]] == [["vector", "logits"], ["vector"]]
        assert found["total"][1]["accuracy"] > 0.7  # real weights; those of the other are random
        markdown = table(argus, data, backbone=f"efficientnet-lite0,{named}")[1]
        assert markdown.count("| fruit |") == 2

    def test_what_cannot_be_used_is_named_and_the_exit_code_is_1(
        self, argus: Any, data: Path, few_shot: Any
    ) -> None:
        few_shot.write(data / QUERIES / "apple" / "ze\nro.jpg", b"")
        few_shot.write(data / SUPPORT / "Class_pear" / "shot5" / "cut.png", few_shot.picture("pear", 5)[:99])
        for _ in range(2):
            code, out, err = table(argus, data, "--json")
            assert code == 1
            assert rf"quarantined {QUERIES}/apple/ze\nro.jpg: the file is empty (0 bytes)" in err
            assert f"quarantined {SUPPORT}/Class_pear/shot5/cut.png: damaged or truncated" in err
            assert "note fruit: unequal shots: apple 4, pear 5, plum 4" in err
            assert len(json.loads(out)["quarantined"]) == 2

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
    def test_mistakes_are_named(self, argus: Any, data: Path, words: list[str], said: str) -> None:
        code, out, err = argus("table", data, *TINY, "--shots", 1, "--seeds", 1, *words)
        assert code == 2 and out == "" and said in err and "Traceback" not in err


class TestEnroll:
    def test_a_store_is_made_and_grows(
        self, argus: Any, examples: Path, tmp_path: Path, few_shot: Any, tiny_backbone: list[Any]
    ) -> None:
        store = tmp_path / "store"
        code, out, err = argus("enroll", store, examples, *TINY, "--json")
        assert code == 0 and json.loads(out)["new_classes"] == ["apple", "pear", "plum"]
        assert "15 images = 15 enrolled + 0 enrolled before or given twice + 0 quarantined" in err
        new = class_folders(tmp_path / "new", few_shot, ("fig",), range(4))
        tiny_backbone.clear()
        # Neither the backbone nor the views have to be named again.
        code, out, err = argus("enroll", store, new / "fig", "--class", "fi\ng", "--json")
        assert code == 0 and json.loads(out)["classes"] == {"apple": 5, "fi\ng": 4, "pear": 5, "plum": 5}
        assert r"apple 5, fi\ng 4, pear 5, plum 5" in err
        assert tiny_backbone[0].pictures == 8  # with their mirror images
        code, out, err = argus("enroll", store, examples)
        assert code == 0 and out == "" and "0 enrolled + 15 enrolled before" in err

    def test_what_cannot_be_used_is_named_and_the_exit_code_is_1(
        self, argus: Any, examples: Path, tmp_path: Path, few_shot: Any
    ) -> None:
        few_shot.write(examples / "apple" / "ze\nro.jpg", b"")
        few_shot.write(examples / "pear" / "png.jpg", few_shot.picture("pear", 77))
        Image.open(examples / "plum" / "0.png").convert("CMYK").save(examples / "plum" / "print.jpg")
        (examples / "plum" / "loop.png").symlink_to("loop.png")
        for _ in range(2):
            code, _, err = argus("enroll", tmp_path / "store", examples, *TINY)
            assert code == 1
            assert r"ze\nro.jpg: the file is empty (0 bytes)" in err
            assert "loop.png: cannot be read: Too many levels of symbolic links" in err
            assert "apple 5, pear 6, plum 6" in err

    def test_mistakes_are_named_and_change_nothing(
        self,
        argus: Any,
        examples: Path,
        tmp_path: Path,
        few_shot: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        store = tmp_path / "store"
        argus("enroll", store, examples, *TINY)
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
            code, out, err = argus("enroll", store, *words)
            assert code == 2 and out == "" and said in err and "Traceback" not in err, (words, err)
            assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before, words
        code, _, err = argus("enroll", tmp_path, new, *TINY)
        assert code == 2 and "holds other files" in err


class TestClassify:
    @pytest.fixture
    def store(self, argus: Any, examples: Path, tmp_path: Path) -> Path:
        assert argus("enroll", tmp_path / "store", examples, *TINY)[0] == 0
        return tmp_path / "store"

    @pytest.fixture
    def photos(self, tmp_path: Path, few_shot: Any) -> Path:
        return class_folders(tmp_path / "photos", few_shot, ("pear", "plum", "brick"), range(50, 53))

    def test_where_most_are_unknown_it_says_how_to_name_them_all_the_same(
        self, argus: Any, store: Path, photos: Path
    ) -> None:
        for threshold, told in ((1, True), (0, False)):
            _, _, err = argus("classify", store, photos, "--threshold", threshold)
            assert ("--threshold 0 names the nearest" in " ".join(err.split())) == told

    def test_a_line_for_each_picture(self, argus: Any, store: Path, photos: Path, tmp_path: Path) -> None:
        code, out, err = argus("classify", store, photos)
        lines = [json.loads(line) for line in out.splitlines()]
        assert code == 0 and "9 images classified: " in err
        assert [line["image"] for line in lines] == sorted(
            f"{label}/{n}.png" for label in ("pear", "plum", "brick") for n in range(50, 53)
        )
        assert [line["class"] for line in lines[:3]] == ["Unknown"] * 3
        assert {line["nearest"] for line in lines[3:6]} == {"pear"}
        code, written, _ = argus("classify", store, photos, "--out", tmp_path / "new" / "lines.jsonl")
        assert (code, written) == (0, "")
        assert (tmp_path / "new" / "lines.jsonl").read_text(encoding="utf-8") == out
        code, all_known, _ = argus("classify", store, photos, "--threshold", 0, "--coverage", 0.99)
        assert '"Unknown"' not in all_known

    def test_an_extracted_store_of_the_same_views_gives_the_same_lines(
        self, argus: Any, store: Path, photos: Path, tmp_path: Path, tiny_backbone: list[Any]
    ) -> None:
        vectors = tmp_path / "vectors"
        assert argus("extract", photos, "--out", vectors, "--views", "four", *TINY)[0] == 0
        tiny_backbone.clear()
        code, out, _ = argus("classify", store, vectors)
        assert code == 0 and sum(network.pictures for network in tiny_backbone) == 0
        assert out == argus("classify", store, photos)[1]
        assert argus("extract", photos, "--out", tmp_path / "one", *TINY)[0] == 0
        code, _, err = argus("classify", store, tmp_path / "one")
        assert (
            code == 2
            and "views: the store has 'one', now it is 'four'" in err
            and "extract --views four" in err
        )
        code, _, err = argus("classify", store, photos, vectors)
        assert code == 2 and "named beside other places" in err

    def test_an_example_is_marked(self, argus: Any, store: Path, examples: Path) -> None:
        code, out, _ = argus("classify", store, examples / "plum" / "0.png")
        assert code == 0 and json.loads(out)["example_of"] == "plum"

    def test_what_cannot_be_used_has_an_error_and_the_exit_code_is_1(
        self, argus: Any, store: Path, photos: Path, few_shot: Any
    ) -> None:
        few_shot.write(photos / "ze\nro.png", b"")
        (photos / "back").symlink_to(photos)
        for _ in range(2):
            code, out, err = argus("classify", store, photos)
            lines = [json.loads(line) for line in out.splitlines()]
            assert code == 1 and len(lines) == 10
            assert [line["image"] for line in lines if "error" in line] == ["ze\nro.png"]
            assert r"quarantined ze\nro.png: the file is empty (0 bytes)" in err
            assert "not searched back: a link that leads back" in err
            assert "9 images classified, 1 quarantined" in err

    def test_mistakes_are_named_and_what_was_written_before_stays(
        self, argus: Any, store: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
            code, said_out, err = argus("classify", *words[:2], "--out", out, "--overwrite", *words[2:])
            assert code == 2 and said_out == "" and said in err and "Traceback" not in err, (words, err)
            assert out.read_text() == "before"

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        assert argus("classify", store, photos)[0] == 0  # so that the vectors are there
        monkeypatch.setattr(files_module, "_sync_folder", lambda folder: None)
        monkeypatch.setattr(files_module.os, "fsync", full)
        code, _, err = argus("classify", store, photos, "--out", out)
        assert code == 2 and "is there already" in err
        code, _, err = argus("classify", store, photos, "--out", out, "--overwrite")
        assert code == 2 and "No space left on device" in err
        assert out.read_text() == "before" and not list(tmp_path.glob(".*"))


def test_weights_that_were_named_from_another_folder_are_found_and_may_be_moved(
    argus: Any, examples: Path, tmp_path: Path, small_resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shutil.copytree(small_resnet, tmp_path / "here/weights")
    monkeypatch.chdir(tmp_path / "here")
    store = tmp_path / "support"
    assert argus("enroll", store, examples, "--backbone", "resnet50:weights", "--views", "one")[0] == 0
    monkeypatch.chdir(tmp_path)
    code, before, _ = argus("classify", store, examples / "apple")
    assert code == 0
    weights.rename(tmp_path / "moved")
    code, _, said = argus("classify", store, examples / "apple")
    assert code == 2 and "here/weights" in said
    code, after, _ = argus("classify", store, examples / "apple", "--backbone", "resnet50:moved")
    assert (code, after) == (0, before)


def test_the_help_names_all_that_may_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    """The tables of the names bring torch along, for which a help does not wait; so it has them written out."""
    assert run(["recognize", "table", "--help"]) == 0
    shown = set(re.findall(r"[\w-]+", capsys.readouterr().out))
    assert {*CLASSIFIERS, *FEATURES, *VIEWS, *LAYOUTS} <= shown
