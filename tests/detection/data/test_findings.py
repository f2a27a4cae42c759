from __future__ import annotations

import json

import pytest

from argus_doctor.findings import catalogue
from argusvl.detection.data.findings import LONGEST_DESCRIPTION, description_problem, finding
from argusvl.detection.data.special_tokens import SPECIAL_TOKENS


def test_the_text_names_the_image_where_the_place_does_not() -> None:
    in_one_file = finding("size-mismatch", "instances.json", "300×400", image="images/2.jpg")
    assert str(in_one_file).startswith("instances.json, images/2.jpg: size-mismatch: 300×400\n")
    said = finding("missing-image", "instances.json", "there is no image images/2.jpg", image="images/2.jpg")
    assert str(said).startswith("instances.json: missing-image")
    of_its_name = finding("box-inverted", "Annotations/a.xml:4", "inverted", image="a.jpg")
    assert str(of_its_name).startswith("Annotations/a.xml:4: box-inverted")
    line = finding("box-duplicate", "train.jsonl:3", "nearly", image="images/2.jpg")
    assert str(line).startswith("train.jsonl:3, images/2.jpg: box-duplicate")


@pytest.mark.parametrize(
    "text", ["cell", "a/b/c", "a//b", "a/", "24/7", "x" * LONGEST_DESCRIPTION, "<b>|<", "螺丝"]
)
def test_what_can_be_learned_is_a_description(text: str) -> None:
    assert description_problem(text) is None


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("", "empty-label", "empty"),
        (" \t", "empty-label", "empty"),
        ("/x", "empty-type", "before the first '/' of \"/x\""),
        ("///", "empty-type", '"///"'),
        (" /x", "empty-type", '" /x"'),
        ("half \ud800", "broken-text", r"half \ud800"),
        ("x" * (LONGEST_DESCRIPTION + 1), "long-description", "10,001 characters"),
        *(
            (f"cell {token}", "special-token", token)
            for token in (*SPECIAL_TOKENS, "<tool_call>", "<|fim_pad|>")
        ),
    ],
)
def test_what_cannot_be_learned_is_none_and_said_why(text: str, kind: str, said: str) -> None:
    problem = description_problem(text)
    assert problem is not None and problem[0] == kind and catalogue()[kind].severity == "error"
    assert said in problem[1]


def test_a_finding_can_be_written_whatever_it_is_about() -> None:
    odd = finding(
        "broken-text",
        "a\ud800.jsonl:1",
        "x" * 10_000,
        image="\udcff.jpg",
        label="\ud800",
        box=[10**400, [1], 2, 3],
    )
    text = json.dumps(odd.to_json())
    assert json.loads(text)["image"] == r"\udcff.jpg"
    assert len(text) < 2000
