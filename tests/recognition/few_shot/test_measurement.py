"""A data folder becomes rows: the same every time, with what was noticed on the way."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from samples import make_category, picture, write

from argusvl.core.errors import ArgusError, DataError
from argusvl.recognition.few_shot import layout as layout_module
from argusvl.recognition.few_shot.evaluation import Protocol
from argusvl.recognition.few_shot.layout import LAYOUTS, LayoutError
from argusvl.recognition.few_shot.measurement import Measured, Recipe, measure
from argusvl.recognition.few_shot.tables import FORMATS

SUPPORT = "fruit/2.support-set"
QUERIES = "fruit/6.preprocessed"

pytestmark = pytest.mark.usefixtures("tiny_backbone")


def measured(
    data: Path, *, backbones: Sequence[str] = ("tiny",), recipe: Recipe | None = None, **options: Any
) -> Measured:
    asked = {"shots": (1, 3), "seeds": 2, "classifier": "ridge"}
    asked |= {key: options.pop(key) for key in ("shots", "seeds", "classifier", "unknown") if key in options}
    place = {"layout": LAYOUTS["argus"], "cache": Path(os.environ["ARGUS_CACHE"]), "workers": 1, **options}
    return measure(data, backbones, Protocol(**asked), recipe or Recipe(), progress=False, **place)


def everything(found: Measured) -> list[str]:
    return [json.dumps(found.to_dict()), *(form(found.rows) for form in FORMATS.values())]


def test_the_bytes_are_the_same(data: Path, tmp_path: Path, tiny_backbone: list[Any]) -> None:
    make_category(data, "tools", {"saw": 3, "axe": 4})
    (data / QUERIES / "pear" / "q0.png").write_bytes(b"no picture")
    first = everything(measured(data))
    open_set = everything(measured(data, unknown=("pear",), category="fruit"))
    assert sum(network.pictures for network in tiny_backbone) > 0
    tiny_backbone.clear()
    assert everything(measured(data)) == first
    assert everything(measured(data, unknown=("pear",), category="fruit")) == open_set
    assert sum(network.pictures for network in tiny_backbone) == 0
    # Nothing at hand; another number of threads; half of it at hand, so that the batches are other ones.
    assert everything(measured(data, cache=tmp_path / "b", workers=3)) == first
    measured(data, cache=tmp_path / "c", category="tools")
    assert everything(measured(data, cache=tmp_path / "c")) == first
    plain: dict[str, Any] = {"recipe": Recipe("plain", "one")}
    measured(data, **plain, cache=tmp_path / "d", category="tools")
    assert everything(measured(data, **plain, cache=tmp_path / "d")) == everything(measured(data, **plain))
    # Another folder: nothing says where the pictures lay.
    assert everything(measured(data.rename(tmp_path / "moved"))) == first


def test_backbones_stand_side_by_side_and_one_does_not_change_the_other(data: Path) -> None:
    both = measured(data, backbones=("tiny", "tiny:b"))
    assert [row.backbone for row in both.rows] == ["tiny"] * 4 + ["tiny:b"] * 4
    assert [b["name"] for b in both.backbones] == ["tiny", "tiny:b"]
    assert len({b["fingerprint"]["weights_sha256"] for b in both.backbones}) == 2
    alone = measured(data, backbones=("tiny:b",))
    assert both.rows[4:] == alone.rows
    assert both.rows[:4] == measured(data).rows
    assert len(both.categories) == len(alone.categories) == 1


def test_what_is_odd_is_noted_and_what_cannot_be_used_is_named(data: Path) -> None:
    write(data / SUPPORT / "Class_pear" / "shot9" / "a.png", picture("pear", 9))
    write(data / QUERIES / "a.png", picture("lemon", 1))
    write(data / QUERIES / "lemon" / "a.png", picture("lemon", 2))
    write(data / QUERIES / "apple" / "zero\n.jpg", b"")
    write(data / QUERIES / "plum" / "cut.png", picture("plum", 200)[:80])
    (data / QUERIES / "plum" / "loop.png").symlink_to("loop.png")
    (data / SUPPORT / "Class_apple" / "shot2" / "a.png").write_bytes(b"text")
    found = measured(data).to_dict()
    assert found["notes"] == [
        "fruit: unequal shots: apple 4, pear 5, plum 4",
        "fruit: queries of classes without an example, which can only be unknown: lemon",
        "fruit: 1 queries are in no class's folder and are not measured",
    ]
    reasons = {entry["path"]: entry["reason"] for entry in found["quarantined"]}
    assert reasons.keys() == {
        f"{SUPPORT}/Class_apple/shot2/a.png",
        f"{QUERIES}/apple/zero\n.jpg",
        f"{QUERIES}/plum/cut.png",
        f"{QUERIES}/plum/loop.png",
    }
    assert "0 bytes" in reasons[f"{QUERIES}/apple/zero\n.jpg"]
    assert "symbolic links" in reasons[f"{QUERIES}/plum/loop.png"]
    assert found["rows"][0]["queries"] == 18
    with pytest.raises(DataError, match=r"fruit: class apple has 3"):
        measured(data, shots=(4,))


def test_one_category_is_measured_as_it_is_beside_others(data: Path) -> None:
    make_category(data, "tools", {"saw": 3, "axe": 4})
    both = measured(data)
    assert [row.category for row in both.rows] == ["fruit"] * 2 + ["tools"] * 2 + [None] * 2
    assert measured(data, category="tools").rows[:2] == both.rows[2:4]


def test_a_query_that_is_an_example_is_refused_by_name(data: Path) -> None:
    write(data / QUERIES / "pear" / "copy.png", picture("apple", 2))
    with pytest.raises(
        LayoutError, match=r"pear/copy\.png is the example .*Class_apple/shot2/a\.png"
    ) as error:
        measured(data, backbones=("tiny", "tiny:b"))
    assert "remove one of each pair" in str(error.value)


def test_a_wrong_name_is_said_before_anything_is_computed(
    data: Path, tiny_backbone: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for options in ({"classifier": "centroids"}, {"recipe": Recipe("poor")}, {"backbones": ("tinny-clip",)}):
        with pytest.raises(ArgusError, match="unknown"):
            measured(data, **options)
    assert sum(network.pictures for network in tiny_backbone) == 0
    monkeypatch.setattr(layout_module, "find_images", None)  # … not even looked at
    with pytest.raises(LayoutError, match="no such folder"):
        measured(data / "absent")
