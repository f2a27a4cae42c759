from __future__ import annotations

import ast
from collections import Counter

import pytest

from argusvl.core.errors import ArgusError
from doctor_bench.case import SUITES, Case, Edit, Suite, Truth, cases_of, edited


def test_edits_are_made_one_after_the_other() -> None:
    assert edited("a b", [Edit("a", "c"), Edit("c b", "d")], where="x") == "d"


@pytest.mark.parametrize(("text", "times"), [("loss", 0), ("step step", 2)])
def test_an_edit_that_does_not_match_once_is_an_error(text: str, times: int) -> None:
    with pytest.raises(ArgusError, match=f"some-case/3: .* {times} times .*'step'"):
        edited(text, [Edit("step", "")], where="some-case/3")


def test_a_case_has_a_truth_exactly_when_it_has_a_fault() -> None:
    with pytest.raises(ArgusError, match="truth"):
        Case("blobs_mlp", 1, truth=Truth("wrong-sign"))
    with pytest.raises(ArgusError, match="truth"):
        Case("blobs_mlp", 1, fault=(Edit("a", "b"),))


def test_an_unknown_case_is_refused_with_the_closest_name() -> None:
    with pytest.raises(ArgusError, match="did you mean 'missing-zero-grad-mlp'"):
        cases_of("dev", ["missing-zero-grad-mpl"])


@pytest.mark.parametrize("suite", SUITES)
def test_every_case_is_a_script_and_the_place_of_its_fault_is_in_it(suite: Suite) -> None:
    for case in cases_of(suite):
        ast.parse(case.twin_source())
        source = case.source()
        ast.parse(source)
        lines = {line.strip() for line in source.splitlines()}
        if case.truth is not None:
            assert source != case.twin_source(), case.title
            assert set(case.truth.lines) <= lines, case.title
            assert case.truth.lines or case.truth.modules, case.title


def test_the_halves_are_large_enough_and_share_neither_script_nor_seed() -> None:
    dev, held_out = cases_of("dev"), cases_of("held-out")
    assert not {case.script for case in dev} & {case.script for case in held_out}
    assert not {case.seed for case in dev} & {case.seed for case in held_out}
    assert len([case for case in dev if case.truth]) >= 40
    assert len([case for case in dev if not case.truth]) >= 40
    pairs = Counter(case.truth.slug for case in held_out if case.truth)
    assert pairs.total() >= 60 and sum(count >= 4 for count in pairs.values()) >= 15
    assert len([case for case in held_out if not case.truth]) >= 60
    reported = [case.truth.slug for case in cases_of("reported") if case.truth]
    assert len(reported) >= 40 and len(set(reported)) >= 20
