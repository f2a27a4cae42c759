from __future__ import annotations

import random
from typing import Any

import pytest

from argusvl.config.commented_yaml import write_commented_yaml
from argusvl.config.yaml_text import read_entries

NASTY = [
    "#",
    ": ",
    "\x85",
    "\u2028",
    "\n",
    "\x00",
    "\ufeff",
    "\U0001f600",
    "螺丝",
    "'",
    '"',
    "- ",
    "\ud800",
    "a" * 130,
    "\t",
]
VALUES: list[Any] = [
    None,
    True,
    1,
    0.001,
    1e-5,
    1e16,
    "",
    "no",
    "1e-4",
    "2026-11-21",
    "x: y # z",
    " a ",
    "螺",
    [],
    [5],
    [1, 2],
]
VALUES += [["a", "b: c"], "word " * 60, "a\u2028b"]


def values_of(text: str) -> dict[tuple[str, ...], Any]:
    return {entry.path: entry.value for entry in read_entries(text, "text")}


@pytest.mark.parametrize("seed", range(30))
def test_it_reads_back_to_the_same_values_whatever_the_comments_hold(seed: int) -> None:
    rng = random.Random(seed)
    flat: dict[tuple[str, ...], Any] = {
        (section, f"key{k}"): rng.choice(VALUES)
        for section in ("one", "two")
        for k in range(rng.randrange(1, 8))
    }
    nested: dict[str, Any] = {"top": rng.choice(VALUES)}
    for (section, key), value in flat.items():
        nested.setdefault(section, {})[key] = value
    nested["one"]["inner"] = {"deep": rng.choice(VALUES)}
    comments: dict[tuple[str, ...], str] = {
        path: "".join(rng.choices(NASTY, k=rng.randrange(12))) for path in flat if rng.random() < 0.7
    }
    comments["one", "inner"] = "why\nnot"
    text = write_commented_yaml(nested, comments, head="".join(rng.choices(NASTY, k=5)))
    expected: dict[tuple[str, ...], Any] = {
        ("top",): nested["top"],
        ("one", "inner", "deep"): nested["one"]["inner"]["deep"],
        **flat,
    }
    assert values_of(text) == expected


def test_a_short_comment_stands_beside_its_key_and_a_long_one_above() -> None:
    comments: dict[tuple[str, ...], str] = {}
    comments["a",] = "the section"
    comments["a", "b"] = "short"
    comments["a", "c"] = "long " * 40
    comments["a", "d"] = "above a list"
    text = write_commented_yaml(
        {"a": {"b": 1, "c": [5, 6], "d": ["x"]}},
        comments,
        "Head",
    )
    lines = text.splitlines()
    assert lines[:4] == ["# Head", "# the section", "a:", "  b: 1 # short"]
    assert lines[4].startswith("  # long long")
    assert lines[-4:] == ["  c: [5, 6]", "  # above a list", "  d:", "  - x"]
    assert all(len(line) <= 110 for line in lines)
