"""The folder schema: what is read, and what is refused by name with the expected form."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from samples import make_category, picture, write

from argusvl.recognition.few_shot.layout import (
    LAYOUTS,
    LayoutError,
    parse_layout,
    printable,
    read_examples,
    read_layout,
)

SUPPORT = "fruit/2.support-set"
QUERIES = "fruit/6.preprocessed"


def test_classes_shots_and_queries_are_read_in_order(data: Path) -> None:
    write(data / SUPPORT / "Class_pear" / "shot10" / "z.png", picture("pear", 10))
    (category,) = read_layout(data)
    assert category.name == "fruit"
    assert list(category.classes) == ["apple", "pear", "plum"]
    # By number, not by name: shot10 comes after shot4.
    assert [p.parent.name for p in category.classes["pear"]] == ["shot1", "shot2", "shot3", "shot4", "shot10"]
    assert {q.true_class for q in category.queries} == {"apple", "pear", "plum"}
    assert len(category.queries) == 18


def test_other_stages_of_the_pipeline_are_not_looked_at(data: Path) -> None:
    write(data / "fruit" / "1.raw" / "a.png", picture("x", 1))
    write(data / ".hidden" / "readme.txt", b"")
    assert len(read_layout(data)) == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"{SUPPORT}/apple/shot1/b.png", "does not fit"),
        (f"{SUPPORT}/Class_apple/b.png", "does not fit"),
        (f"{SUPPORT}/Class_apple/shotX/b.png", "does not fit"),
        (f"{SUPPORT}/Class_apple/shot1/more/b.png", "does not fit"),
        (f"{SUPPORT}/b.png", "does not fit"),
        (f"{SUPPORT}/Class_apple/shot2/b.png", "shot 2 of class apple is there twice"),
        (f"{SUPPORT}/shot1/a.png", "the category has shots of its own and classes"),
    ],
)
def test_a_picture_out_of_place_is_named(data: Path, path: str, said: str) -> None:
    write(data / path, picture("apple", 50))
    with pytest.raises(LayoutError) as error:
        read_layout(data)
    assert f"{path}: {said}" in str(error.value)
    assert "{category}/2.support-set/Class_{class}/shot{shot}/*" in str(error.value)


@pytest.mark.parametrize("folder", [SUPPORT, QUERIES])
def test_a_category_without_examples_or_queries_is_an_error(data: Path, folder: str) -> None:
    make_category(data, "tools", {"saw": 1})
    for file in sorted((data / folder).rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    (data / folder).rmdir()
    with pytest.raises(LayoutError, match="fruit: no (examples|queries); expected fruit/"):
        read_layout(data)


@pytest.mark.parametrize("held", ["Class_lemon", "Class_lemon/shot1", "Class_lemon/shot1/notes.txt"])
def test_an_empty_class_is_an_error_by_name(data: Path, held: str) -> None:
    if held.endswith(".txt"):
        write(data / SUPPORT / held, b"later")
    else:
        (data / SUPPORT / held).mkdir(parents=True)
    with pytest.raises(LayoutError, match=r"2\.support-set/Class_lemon: an empty class"):
        read_layout(data)


def test_an_empty_class_behind_a_link_is_an_error_by_name(data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (data / SUPPORT).rename(elsewhere)
    (data / SUPPORT).symlink_to(elsewhere, target_is_directory=True)
    assert len(read_layout(data)) == 1
    (elsewhere / "Class_lemon").mkdir()
    with pytest.raises(LayoutError, match=r"2\.support-set/Class_lemon: an empty class"):
        read_layout(data)


def test_all_problems_are_named_at_once_and_long_lists_are_counted(data: Path) -> None:
    for number in range(30):
        write(data / SUPPORT / f"{number}.png", picture("apple", number))
    (data / SUPPORT / "Class_lemon").mkdir()
    with pytest.raises(LayoutError) as error:
        read_layout(data)
    assert str(error.value).count("does not fit") == 20
    assert "and 11 more" in str(error.value)


def test_odd_names_are_read_and_shown_on_one_line(tmp_path: Path) -> None:
    names = ["rot\nund", "梨 |&_", "naïve"]
    data = make_category(tmp_path / "da\nta", "ob\nst", dict.fromkeys(names, 2))
    (category,) = read_layout(data)
    assert set(category.classes) == set(names)
    assert category.name == "ob\nst"
    write(data / "ob\nst" / "2.support-set" / "we\nird.png", picture("a", 1))
    with pytest.raises(LayoutError) as error:
        read_layout(data)
    assert "ob\\nst/2.support-set/we\\nird.png: does not fit" in str(error.value)
    assert printable("é|\u2028") == "é|\\u2028"


def test_an_accent_is_the_same_however_it_is_stored(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "pêche") for form in ("NFC", "NFD"))
    assert composed != apart
    data = make_category(tmp_path, "fruit", {composed: 1, "plum": 1}, queries=0)
    write(data / QUERIES / apart / "q.png", picture("p", 1))
    (category,) = read_layout(data)
    assert [q.true_class for q in category.queries] == [composed]
    write(data / SUPPORT / f"Class_{apart}" / "shot7" / "a.png", picture("p", 2))
    with pytest.raises(LayoutError, match="two folders"):
        read_layout(data)


def test_imagefolder_and_patterns(tmp_path: Path) -> None:
    for label in ("a", "b"):
        write(tmp_path / "set/train" / label / "1.png", picture(label, 1))
        write(tmp_path / "set/train" / label / "sub/2.png", picture(label, 2))
        write(tmp_path / "set/val" / label / "3.png", picture(label, 3))
    (found,) = read_layout(tmp_path / "set", layout=LAYOUTS["imagefolder"])
    assert found.name == "set"
    assert {label: len(examples) for label, examples in found.classes.items()} == {"a": 2, "b": 2}
    assert [q.true_class for q in found.queries] == ["a", "b"]
    same = parse_layout("support=train/{class}/**/* queries=val/{class}/*")
    assert read_layout(tmp_path / "set", layout=same) == [found]
    with pytest.raises(LayoutError, match=r"train/4\.png: does not fit"):
        write(tmp_path / "set/train/4.png", picture("a", 4))
        read_layout(tmp_path / "set", layout=same)


def test_the_class_may_stand_inside_a_name(tmp_path: Path) -> None:
    for label in ("a", "b"):
        write(tmp_path / f"ex/{label}_1.png", picture(label, 1))
        write(tmp_path / f"new/{label}-5.png", picture(label, 5))
    layout = parse_layout("support=ex/{class}_{shot}.png queries=new/{class}-*.png")
    (found,) = read_layout(tmp_path, layout=layout)
    assert set(found.classes) == {"a", "b"}
    assert [q.true_class for q in found.queries] == ["a", "b"]


def test_a_placeholder_may_stand_twice_before_the_class(tmp_path: Path) -> None:
    for label in ("red", "blue"):
        write(tmp_path / f"fruit/fruit_{label}/a.png", picture(label, 1))
    write(tmp_path / "fruit/new/a.png", picture("red", 2))
    layout = "support={category}/{category}_{class}/* queries={category}/new/*"
    (category,) = read_layout(tmp_path, layout=parse_layout(layout))
    assert list(category.classes) == ["blue", "red"] and len(category.queries) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("imagefolders", "did you mean 'imagefolder'"),
        ("support=a/{class}/*", "names no queries"),
        ("queries=a/*", "names no examples"),
        ("support=a/* queries=b/*", "does not say where the class is"),
        ("support=a/{klass}/* queries=b/*", "unknown placeholder {klass}"),
        ("support=/a/{class}/* queries=b/*", "leaves the data folder"),
        ("support={class}/* queries=../b/*", "leaves the data folder"),
    ],
)
def test_an_unusable_layout_is_named(text: str, said: str) -> None:
    with pytest.raises(LayoutError, match=said.replace("{", r"\{").replace("}", r"\}")):
        parse_layout(text)


def test_examples_alone(data: Path, tmp_path: Path) -> None:
    assert {k: len(v) for k, v in read_examples(data, layout="argus").items()} == {
        "apple": 4,
        "pear": 4,
        "plum": 4,
    }
    folder = tmp_path / "plain"
    write(folder / "x" / "1.png", picture("x", 1))
    assert set(read_examples(folder)) == {"x"}
    assert set(read_examples(folder / "x", label="pêche")) == {"pêche"}
    make_category(data, "tools", {"saw": 1})
    with pytest.raises(LayoutError, match="several categories: fruit, tools"):
        read_examples(data, layout="argus")
    assert set(read_examples(data, layout="argus", category="tools")) == {"saw"}


@pytest.mark.parametrize("layout", ["argus", "imagefolder"])
def test_a_folder_that_fits_another_layout_says_which(data: Path, tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "plain"
    for name in ("cats/a", "dogs/a", "dogs/b"):
        write(folder / f"{name}.png", picture(name, 1))
    with pytest.raises(LayoutError, match="by --layout classes the folder holds the classes cats, dogs"):
        read_examples(folder, layout=layout)
    with pytest.raises(LayoutError, match="--layout names other forms"):  # a table needs queries
        read_layout(folder, None, parse_layout(layout))
    with pytest.raises(LayoutError, match="by --layout argus the folder holds the classes apple, pear, plum"):
        read_layout(data, None, parse_layout("imagefolder"))


def test_a_folder_that_does_not_fit_the_layout_is_named(tmp_path: Path) -> None:
    write(tmp_path / "cats/a.png", picture("cat", 1))
    for read in (
        lambda: read_layout(tmp_path, None, parse_layout("imagefolder")),
        lambda: read_examples(tmp_path, layout="imagefolder"),
    ):
        with pytest.raises(LayoutError, match="no picture stands where") as error:
            read()
        assert "train/" in str(error.value) and str(tmp_path) in str(error.value)
