"""`argus doctor bench`: refusals, and the result as JSON."""

from __future__ import annotations

import json

import pytest

from argusvl.cli.main import run


def test_a_case_is_measured_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only-others", "--with", "none", "--case", "wrong-sign-mlp", "--json"]
    assert run(["doctor", "bench", *arguments]) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert result["suite"] == "dev"
    assert result["detectors"]["none"]["summary"]["detected"][:2] == [0, 1]
    assert result["detectors"]["none"]["faults"][0]["case"] == "wrong-sign-mlp/11"
    assert "faults detected" in output.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--suite", "test"], "dev, held-out"),
        (["--with", "nobody"], "no detector is called 'nobody'"),
        (["--only-others"], "--with"),
        (["--case", "wrong-sing-mlp"], "did you mean 'wrong-sign-mlp'"),
    ],
)
def test_what_is_not_there_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "bench", *arguments]) == 2
    assert said in capsys.readouterr().err
