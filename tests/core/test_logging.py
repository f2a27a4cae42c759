"""Logging: levels by module, rotation, and debug detail that reaches the file only on a crash (L-001)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from argusvl.core import logging as argus_logging
from argusvl.core.errors import ConfigError
from argusvl.core.logging import configure_logging, get_logger, parse_levels, write_crash_detail


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger("argusvl")
    handlers, level = list(root.handlers), root.level
    argus_logging._RING.lines.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_records_go_to_stderr_not_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    get_logger("argusvl.training.trainer").info("step %d", 3)
    shown = capsys.readouterr()
    assert "argusvl.training.trainer: step 3" in shown.err
    assert shown.out == ""


def test_each_module_has_its_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", {"training": "debug", "argusvl.training.noisy": "error"})
    get_logger("argusvl.training.trainer").debug("detail")
    get_logger("argusvl.training.noisy.part").warning("noise")
    get_logger("argusvl.trainingwheels").info("another package")
    get_logger("detection").info("quiet")
    get_logger("detection").warning("loud")
    shown = capsys.readouterr().err
    assert "detail" in shown and "loud" in shown
    assert "noise" not in shown and "quiet" not in shown and "another" not in shown


def test_debug_reaches_the_file_only_on_a_crash(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "run.log"
    configure_logging("info", file=file)
    logger = get_logger("training")
    logger.info("begun")
    logger.debug("shape of the batch: (2, 7)")
    assert "begun" in file.read_text() and "shape" not in file.read_text()
    try:
        raise ValueError("boom")
    except ValueError as error:
        assert write_crash_detail(error) == file
    text = file.read_text()
    assert "shape of the batch: (2, 7)" in text
    assert "ValueError: boom" in text and "test_debug_reaches_the_file_only_on_a_crash" in text


def test_without_a_file_a_crash_writes_nothing() -> None:
    configure_logging("info")
    assert write_crash_detail(ValueError("boom")) is None


def test_memory_is_bounded_and_holds_no_objects(tmp_path: Path) -> None:
    configure_logging("error", file=tmp_path / "run.log")
    logger = get_logger("training")
    for i in range(5000):
        logger.debug("line %d", i)
    logger.debug("x" * 100_000)
    lines = argus_logging._RING.lines
    assert len(lines) == argus_logging._RING_LINES
    assert all(isinstance(line, str) and len(line) <= argus_logging._RING_LINE_CHARACTERS for line in lines)


def test_the_file_rotates_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argus_logging, "_FILE_BYTES", 2000)
    configure_logging("info", file=tmp_path / "run.log")
    for i in range(500):
        get_logger("training").info("line %d", i)
    written = sorted(p.name for p in tmp_path.iterdir())
    assert written == ["run.log", "run.log.1", "run.log.2", "run.log.3"]
    assert all(p.stat().st_size <= 2000 for p in tmp_path.iterdir())


def test_configuring_again_replaces_the_handlers_and_keeps_the_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info")
    get_logger("cli").debug("before the run had a file")
    configure_logging("info", file=tmp_path / "run.log")
    get_logger("cli").info("once")
    assert capsys.readouterr().err.count("once") == 1
    write_crash_detail(ValueError("boom"))
    assert "before the run had a file" in (tmp_path / "run.log").read_text()


def test_other_ranks_are_quiet_and_write_their_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    configure_logging("info", file=tmp_path / "run.log")
    get_logger("training").info("a step")
    get_logger("training").warning("a problem")
    shown = capsys.readouterr().err
    assert "a problem" in shown and "a step" not in shown
    assert "a step" in (tmp_path / "run.log.rank1").read_text()
    assert not (tmp_path / "run.log").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_starts_with_an_empty_memory() -> None:
    configure_logging("info")
    get_logger("training").debug("the parent's")
    child = os.fork()
    if child == 0:
        os._exit(len(argus_logging._RING.lines))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_levels_are_parsed_from_one_text() -> None:
    assert parse_levels("debug") == ("debug", {})
    assert parse_levels("warning,training=debug,argusvl.cli=error") == (
        "warning",
        {"argusvl.training": "debug", "argusvl.cli": "error"},
    )


@pytest.mark.parametrize("text", ["loud", "info,training=loud", "", "info,training"])
def test_an_unknown_level_names_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="unknown log level") as raised:
        parse_levels(text)
    assert "debug, info, warning, error" in str(raised.value)


def test_a_log_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="the log file cannot be opened"):
        configure_logging("info", file=tmp_path / "taken" / "run.log")
