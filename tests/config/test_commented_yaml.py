"""Comments never change what a configuration says, whatever they hold."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from argusvl.config.commented_yaml import write_commented_yaml
from argusvl.config.yaml_text import read_entries

VALUES = st.sampled_from(
    [
        *(None, True, 1, 0.001, 1e-5, 1e16, "", "no", "1e-4", "2026-11-21", "x: y # z", " a ", "螺"),
        *([], [5], [1, 2], ["a", "b: c"], "word " * 60, "a\u2028b"),
    ]
)
NASTY = st.sampled_from(
    [
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
        "\t",
    ]
)
COMMENT = st.lists(NASTY | st.just("a" * 130) | st.characters(), max_size=12).map("".join)
PATHS = [
    ("top",),
    *((section, f"key{k}") for section in ("one", "two") for k in range(4)),
    ("one", "in", "deep"),
]


@given(
    st.fixed_dictionaries({("top",): VALUES}, optional=dict.fromkeys(PATHS[1:], VALUES)),
    st.dictionaries(st.sampled_from([*PATHS, ("one",), ("one", "in")]), COMMENT),
    COMMENT,
)
def test_it_reads_back_to_the_same_values_whatever_the_comments_hold(
    flat: dict[tuple[str, ...], Any], comments: dict[tuple[str, ...], str], head: str
) -> None:
    nested: dict[str, Any] = {}
    for (*sections, key), value in flat.items():
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = value
    text = write_commented_yaml(nested, comments, head)
    assert {entry.path: entry.value for entry in read_entries(text, "text")} == flat


def test_a_short_comment_stands_beside_its_key_and_a_long_one_above() -> None:
    comments = {
        ("a",): "the section",
        ("a", "b"): "short",
        ("a", "c"): "long " * 40,
        ("a", "d"): "above a list",
    }
    text = write_commented_yaml({"a": {"b": 1, "c": [5, 6], "d": ["x"]}}, comments, "Head")
    lines = text.splitlines()
    assert lines[:4] == ["# Head", "# the section", "a:", "  b: 1 # short"]
    assert lines[4].startswith("  # long long")
    assert lines[-4:] == ["  c: [5, 6]", "  # above a list", "  d:", "  - x"]
    assert all(len(line) <= 110 for line in lines)
