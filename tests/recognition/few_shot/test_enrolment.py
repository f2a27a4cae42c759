"""A support store grows without computing anew what it has, and is as it was until all of an enrolment is there."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interruptions import StoppedError, content, full_after, in_child, interrupted_by, lines_run, stop
from samples import TinyNetwork, picture, write, write_classes

from argusvl.core import appending
from argusvl.core import files as files_module
from argusvl.core.errors import ArgusError, ConfigError, DataError
from argusvl.recognition.backbones.views import with_views
from argusvl.recognition.extraction import fingerprint as fingerprint_module
from argusvl.recognition.extraction import writer as writer_module
from argusvl.recognition.extraction.writer import StoreBusyError
from argusvl.recognition.few_shot import embeddings as embeddings_module
from argusvl.recognition.few_shot import enrolment as enrolment_module
from argusvl.recognition.few_shot.enrolment import (
    HEADER,
    PARTS,
    EnrolmentReport,
    SupportStore,
    enroll,
)
from argusvl.recognition.few_shot.layout import LayoutError

Pictures = dict[str, list[Path]]


@pytest.fixture
def examples(tmp_path: Path) -> Callable[[Mapping[str, range]], Pictures]:
    """Writes pictures: class → numbers."""
    return partial(write_classes, tmp_path / "ex")


def add(
    folder: Path, pictures: Mapping[str, list[Path]], network: Any = None, **changes: Any
) -> EnrolmentReport:
    options = {"spec": "tiny", "views": "one", "workers": 1, "progress": False, **changes}
    return enroll(folder, pictures, network or TinyNetwork(), **options)


def before_next(patched: pytest.MonkeyPatch, function: str, action: Callable[[], object]) -> None:
    """Before enrolment calls one of its functions the next time, something else happens."""
    real = getattr(enrolment_module, function)

    def call(*args: Any, **options: Any) -> Any:
        patched.setattr(enrolment_module, function, real)
        action()
        return real(*args, **options)

    patched.setattr(enrolment_module, function, call)


def same_examples(one: SupportStore, other: SupportStore) -> None:
    (vectors, numbers, labels), (others, other_numbers, other_labels) = one.vectors(), other.vectors()
    assert labels == other_labels
    assert np.array_equal(numbers, other_numbers)
    assert np.array_equal(vectors, others)


def test_in_two_steps_it_is_what_it_is_in_one(tmp_path: Path, examples: Any) -> None:
    first = examples({"apple": range(3), "plum": range(2)})
    second = examples({"apple": range(5), "pear": range(3), "plum": range(2)})
    network = TinyNetwork(side=14)
    viewed = with_views(network, "two")
    add(tmp_path / "steps", first, viewed, views="two")
    assert network.pictures == 2 * 5
    network.pictures = 0
    report = add(tmp_path / "steps", second, viewed, views="two")
    assert network.pictures == 2 * 5  # of apple two, of pear three
    assert (report.inputs, report.enrolled, report.known) == (10, 5, 5)
    assert report.classes == {"apple": 5, "pear": 3, "plum": 2}
    assert report.new_classes == ("pear",)
    add(tmp_path / "whole", second, with_views(TinyNetwork(side=14), "two"), views="two")
    one, other = SupportStore.open(tmp_path / "steps"), SupportStore.open(tmp_path / "whole")
    same_examples(one, other)
    assert (one.backbone, one.views, one.lane) == ("tiny", "two", "exact")
    assert len(list((tmp_path / "steps" / PARTS).iterdir())) == 2


def test_what_is_there_is_not_computed_again(tmp_path: Path, examples: Any) -> None:
    pictures = examples({"apple": range(3), "plum": range(3)})
    add(tmp_path / "store", pictures)
    before = content(tmp_path / "store")
    copies = [write(tmp_path / f"copy {n}.png", pictures["plum"][0].read_bytes()) for n in (1, 2)]
    network = TinyNetwork()
    report = add(tmp_path / "store", {"apple": pictures["apple"], "plum": copies}, network)
    assert network.pictures == 0
    assert (report.inputs, report.enrolled, report.known) == (5, 0, 5)
    assert content(tmp_path / "store") == before


def test_of_two_copies_one_is_an_example(tmp_path: Path, examples: Any) -> None:
    pictures = examples({"apple": range(2), "plum": range(1)})
    copy = write(tmp_path / "copy.png", pictures["apple"][1].read_bytes())
    report = add(tmp_path / "store", {**pictures, "apple": [*pictures["apple"], copy]})
    assert (report.enrolled, report.known) == (3, 1)
    assert report.classes == {"apple": 2, "plum": 1}
    assert json.loads(json.dumps(report.to_dict()))["classes"] == {"apple": 2, "plum": 1}


def test_a_picture_of_two_classes_is_refused(tmp_path: Path, examples: Any) -> None:
    pictures = examples({"apple": range(2), "pl\num": range(2)})
    shutil.copy(pictures["apple"][1], pictures["pl\num"][0])
    network = TinyNetwork()
    with pytest.raises(LayoutError, match=r"pl\\num/00\.png of pl\\num is .*apple/01\.png of apple"):
        add(tmp_path / "store", pictures, network)
    assert network.pictures == 0 and not (tmp_path / "store").exists()
    add(tmp_path / "store", {"apple": pictures["apple"]}, network)
    before = content(tmp_path / "store")
    with pytest.raises(LayoutError, match=r"00\.png of pear is .*apple/01\.png of apple") as error:
        add(tmp_path / "store", {"pear": pictures["pl\num"]}, network)
    assert "nothing was enrolled" in str(error.value)
    assert content(tmp_path / "store") == before


def test_nothing_usable_makes_no_store(tmp_path: Path, examples: Any) -> None:
    bad = write(tmp_path / "bad.png", b"no picture")
    report = add(tmp_path / "store", {"apple": [bad]})
    assert (report.enrolled, list(report.quarantined), report.classes) == (0, [str(bad)], {})
    with pytest.raises(DataError, match="not a support store"):
        SupportStore.open(tmp_path / "store")
    assert add(tmp_path / "store", examples({"apple": range(2)})).enrolled == 2
    assert len(list((tmp_path / "store" / PARTS).iterdir())) == 1


def test_a_renamed_picture_is_enrolled(tmp_path: Path, examples: Any) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin-\xe9.png"))
    try:
        write(odd, picture("apple", 1))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    report = add(tmp_path / "store", {"apple": [odd]})
    assert report.quarantined == {str(odd): "its name is not UTF-8: rename the file"}
    new = odd.rename(tmp_path / "latin.png")
    assert add(tmp_path / "store", {"apple": [new]}).enrolled == 1


def test_a_picture_that_changes_meanwhile_is_named(tmp_path: Path, examples: Any) -> None:
    pictures = examples({"apple": range(8)})
    last = pictures["apple"][-1]
    old, new = last.read_bytes(), picture("apple", 99)
    network = interrupted_by(lambda: last.write_bytes(new), TinyNetwork())
    report = add(tmp_path / "store", pictures, network)
    assert report.enrolled == 7 and "changed" in report.quarantined[str(last)]
    last.write_bytes(old)
    assert add(tmp_path / "store", pictures).classes == {"apple": 8}
    assert len(SupportStore.open(tmp_path / "store").vectors()[0]) == 8


def test_an_error_leaves_the_store_as_it_was(tmp_path: Path, examples: Any) -> None:
    store = tmp_path / "store"
    add(store, examples({"apple": range(3), "plum": range(3)}))
    before = content(store)
    more = examples({"apple": range(6), "pear": range(6)})
    with pytest.raises(StoppedError):
        add(store, more, interrupted_by(stop, TinyNetwork(), batch=1))
    assert {name: content(store)[name] for name in before} == before
    assert SupportStore.open(store).vectors()[2] == ["apple", "plum"]
    network = TinyNetwork()
    assert add(store, more, network).classes == {"apple": 6, "pear": 6, "plum": 3}
    assert network.pictures == 5  # it went on with the batches that were done


def test_a_full_disk_at_any_time_leaves_the_store_as_it_was(
    tmp_path: Path, examples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, more = examples({"apple": range(3)}), examples({"apple": range(6), "pear": range(6)})
    whole = tmp_path / "whole"
    add(whole, first)
    add(whole, more)
    for calls in range(60):
        store = tmp_path / f"store {calls}"
        add(store, first)
        before = content(store)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full_after(calls))
            try:
                add(store, more)
                break
            except ArgusError as error:
                assert "No space left on device" in str(error) and "free space" in str(error)
        after = {name: content(store)[name] for name in before}
        # The last call of all brings the folder to the disk, after the new header is in place.
        assert after == before or after[HEADER] == (whole / HEADER).read_bytes()
        add(store, more)
        same_examples(SupportStore.open(store), SupportStore.open(whole))
    assert 5 < calls < 59


WRITING = (enrolment_module, embeddings_module, writer_module, appending, files_module)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("begun", [False, True], ids=["a new store", "a store that is there"])
def test_a_kill_at_any_line_is_harmless(tmp_path: Path, examples: Any, begun: bool) -> None:
    """No handler runs and no buffer is written: as with SIGKILL."""
    first, more = examples({"apple": range(3)}), examples({"apple": range(5), "pear": range(4)})

    def prepared(name: str) -> Path:
        if begun:
            add(tmp_path / name, first)
        return tmp_path / name

    def header(folder: Path) -> bytes | None:
        return (folder / HEADER).read_bytes() if (folder / HEADER).exists() else None

    store = prepared("counted")
    before = header(store)
    total = lines_run(lambda: add(store, more), WRITING)
    after = header(store)
    # Most lines are those of the vectors, whose store has such a test of its own: here, those at the end count more.
    rng = random.Random(int(begun))
    moments = [rng.randrange(1, total) for _ in range(2)] + [total - rng.randrange(45) for _ in range(5)]
    for trial, at in enumerate(moments):
        folder = prepared(f"store-{trial}")
        action = lambda folder=folder: add(folder, more)  # noqa: E731
        assert in_child(lambda at=at, action=action: lines_run(action, WRITING, at)) == 9  # type: ignore[misc]
        assert header(folder) in (before, after), at
        if header(folder):
            SupportStore.open(folder).vectors()
        action()
        assert header(folder) == after, at
        same_examples(SupportStore.open(folder), SupportStore.open(store))
        assert not list(folder.glob(".*")), at


def refused(folder: Path, pictures: Pictures, message: str) -> None:
    before = content(folder)
    with pytest.raises(DataError, match=message):
        add(folder, pictures)
    assert content(folder) == before


def test_another_decoder_is_refused_by_name(
    tmp_path: Path, examples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, pictures = tmp_path / "store", examples({"apple": range(3)})
    add(store, pictures)
    monkeypatch.setattr(fingerprint_module, "decoder_versions", lambda lane: {"pillow": "0.1"})
    refused(store, pictures, "decoder.pillow: the store has .* now it is '0.1'")


@pytest.mark.parametrize("grown", [False, True], ids=["the same pictures", "more pictures"])
@pytest.mark.parametrize("lane", ["exact", "scaled"])
def test_what_another_backbone_or_lane_had_begun_is_not_taken_for_ones_own(
    tmp_path: Path, examples: Any, monkeypatch: pytest.MonkeyPatch, grown: bool, lane: Any
) -> None:
    pictures = examples({"apple": range(3), "plum": range(3)})
    with monkeypatch.context() as patched:
        before_next(patched, "write_text_atomically", stop)
        with pytest.raises(StoppedError):
            add(tmp_path / "store", pictures)
    wanted = examples({"apple": range(4 + grown), "plum": range(3)}) if grown else pictures
    weights = ("a" if lane == "scaled" else "b") * 64
    for name in ("store", "fresh"):
        add(tmp_path / name, wanted, TinyNetwork(weights=weights), lane=lane)
    same_examples(SupportStore.open(tmp_path / "store"), SupportStore.open(tmp_path / "fresh"))
    assert len(list((tmp_path / "store" / PARTS).iterdir())) == 1


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path, examples: Any) -> None:
    pictures = examples({"apple": range(2)})
    write(tmp_path / "mine" / "letter.txt", b"dear")
    refused(tmp_path / "mine", pictures, r"holds other files \(letter\.txt\)")
    write(tmp_path / "stock" / "parts" / "screws" / "1.png", picture("screw", 1))
    refused(tmp_path / "stock", pictures, r"holds other files \(parts\)")
    write(tmp_path / "file", b"")
    with pytest.raises(ArgusError, match="cannot be written: File exists"):
        add(tmp_path / "file", pictures)


def test_what_a_user_puts_beside_the_parts_stays(tmp_path: Path, examples: Any) -> None:
    add(tmp_path / "store", examples({"apple": range(2)}))
    note = write(tmp_path / "store" / PARTS / "notes" / "read me.txt", b"mine")
    add(tmp_path / "store", examples({"pear": range(2)}))
    assert note.read_bytes() == b"mine"


@pytest.mark.parametrize("moment", ["while vectors are computed", "just before the header is replaced"])
def test_of_two_commands_at_a_time_the_second_is_refused_and_nothing_is_lost(
    tmp_path: Path, examples: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    store = tmp_path / "store"
    add(store, examples({"apple": range(3)}))
    pears, plums = examples({"pear": range(6)}), examples({"plum": range(3)})

    def second() -> None:
        with pytest.raises(StoreBusyError, match="another process is writing into this store"):
            add(store, plums)

    network = TinyNetwork()
    if moment.startswith("while"):
        interrupted_by(second, network)
    else:
        before_next(monkeypatch, "write_text_atomically", second)
    assert add(store, pears, network).classes == {"apple": 3, "pear": 6}
    assert add(store, plums).classes == {"apple": 3, "pear": 6, "plum": 3}
    assert len(SupportStore.open(store).vectors()[0]) == 12


def test_a_store_that_another_command_has_changed_since_it_was_read_is_left_alone(
    tmp_path: Path, examples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    pears, plums = examples({"pear": range(3)}), examples({"plum": range(3)})
    before_next(monkeypatch, "read_contents", lambda: add(store, plums))
    with pytest.raises(DataError, match="another command has changed the store meanwhile") as error:
        add(store, pears)
    assert "give the command again" in str(error.value)
    assert add(store, pears).classes == {"pear": 3, "plum": 3}


def test_damage_is_named(tmp_path: Path, examples: Any) -> None:
    store = tmp_path / "store"
    add(store, examples({"apple": range(3), "plum": range(2)}))
    whole, pears = content(store), examples({"pear": range(2)})

    def found(message: str) -> None:
        there = content(store)
        for use in (lambda: SupportStore.open(store).vectors(), lambda: add(store, pears)):
            with pytest.raises(DataError, match=message) as error:
                use()
            assert str(store) in str(error.value)
        assert content(store) == there

    with pytest.raises(DataError, match="not a support store: there is no support.json"):
        SupportStore.open(tmp_path)
    header = json.loads(whole[HEADER])
    for text in ("", "[]", "{}", '{"format": 1}', json.dumps({**header, "classes": {"a": [["p", "s"]]}})):
        (store / HEADER).write_text(text)
        found(r"support\.json: (is damaged|field '.*'|the format of the folder is None)")
    (store / HEADER).write_text(json.dumps({**header, "format": 2}))
    found("the format of the folder is 2, this Argus reads 1")
    header["classes"]["apple"][1][3], header["classes"]["apple"][2][3] = 9, 9
    (store / HEADER).write_text(json.dumps(header))
    found(r"row 9 is not the vector of .*apple/01\.png")
    (store / HEADER).write_text(json.dumps({**header, "classes": {}}))
    with pytest.raises(DataError, match="the support store has no example"):
        SupportStore.open(store).vectors()
    (store / HEADER).write_bytes(whole[HEADER])
    (shard,) = store.rglob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:-9])
    found("a part of the support store: .*\n.*enrol the pictures that support.json names into another folder")
    shutil.rmtree(store / PARTS)
    found("a part of the support store: ")


@pytest.mark.parametrize("label", ["Unknown", "", " "])
def test_a_name_that_says_no_class(tmp_path: Path, examples: Any, label: str) -> None:
    pictures = examples({"apple": range(2)})
    with pytest.raises(ConfigError, match=f"a class cannot be called '{label}'"):
        add(tmp_path / "store", {label: pictures["apple"]})
    assert not (tmp_path / "store").exists()
