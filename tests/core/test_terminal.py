"""What commands say to people."""

from __future__ import annotations

import pytest

from argusvl.core.terminal import say


def test_a_sentence_is_shown_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    text = "photos/:cat:[bold]1 of 2[/bold].jpg " + "x" * 300
    say(text)
    assert capsys.readouterr().err == f"{text}\n"
