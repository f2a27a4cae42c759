"""The command: exit codes, errors without tracebacks, verbs loaded only when used, an example in every help."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from argusvl import __version__
from argusvl.cli import main as cli
from argusvl.cli.main import VERBS, Verb, run
from argusvl.cli.session import current_session, start_run_log
from argusvl.core.errors import ConfigError, TrainingError
from argusvl.core.logging import get_logger


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger("argusvl")
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def add_verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Adds a verb `try` for the duration of a test."""

    def add(target: Any) -> None:
        module = types.ModuleType("argus_test_verb")
        module.command = target  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "argus_test_verb", module)
        monkeypatch.setitem(VERBS, "try", Verb("argus_test_verb:command", "Try something."))

    return add


def argus(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from argusvl.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# ---------------------------------------------------------------- help


def test_help_lists_every_verb_and_is_fast() -> None:
    begun = time.perf_counter()
    done = argus("--help")
    seconds = time.perf_counter() - begun
    assert done.returncode == 0
    for name, verb in VERBS.items():
        assert f"  {name} " in done.stdout and verb.summary.split()[0] in done.stdout
    # Measured 0.15 s; that nothing heavy is loaded is the next test. This is for what no list of modules shows.
    assert seconds < 10


def test_help_loads_no_verb_and_no_torch() -> None:
    code = (
        "import sys; from argusvl.cli.main import run; run(['--help']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'argusvl.cli.env')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Usage: argus" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"argus {__version__}\n"


def commands_of(name: str) -> list[list[str]]:
    """The verb itself, or its sub-verbs."""
    target = VERBS[name].load()
    if not isinstance(target, typer.Typer):
        return [[name]]
    callbacks = [(c.name, c.callback) for c in target.registered_commands]
    return [[name, sub or callback.__name__.replace("_", "-")] for sub, callback in callbacks if callback]


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands_of(verb):
        assert run([*command, "--help"]) == 0
        _, has_example, examples = capsys.readouterr().out.partition("Example")
        assert has_example, f"argus {' '.join(command)} --help has no example"
        assert f"argus {' '.join(command)}" in examples


def test_brackets_in_help_are_kept(
    add_verb: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> None:
        """Does it with [key=value] and [bold]."""

    add_verb(verb)
    assert run(["try", "--help"]) == 0
    assert "with [key=value] and [bold]" in capsys.readouterr().out


# ---------------------------------------------------------------- exit codes and errors


def test_an_unknown_verb_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trian"]) == 2
    shown = capsys.readouterr()
    assert "unknown verb 'trian'; did you mean 'train'?" in shown.err
    assert all(name in shown.err for name in VERBS)
    assert shown.out == ""


def test_an_unknown_option_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["env", "--jsno"]) == 2
    assert "--jsno" in capsys.readouterr().err


def test_an_argus_error_is_told_without_a_traceback(
    add_verb: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> None:
        raise ConfigError("seed: missing", where="run.yaml", remedy="add it")

    add_verb(verb)
    assert run(["try"]) == 2
    assert capsys.readouterr().err == "error: run.yaml: seed: missing\n  What to do: add it\n"


@pytest.mark.parametrize("arguments", [["--debug", "try"], ["try", "--debug"]])
def test_debug_shows_the_traceback(
    add_verb: Callable[[Any], None], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    def verb() -> None:
        raise ConfigError("seed: missing")

    add_verb(verb)
    assert run(arguments) == 2
    assert "Traceback" in (shown := capsys.readouterr().err) and "ConfigError: seed: missing" in shown


def test_a_check_that_found_something_exits_with_1(add_verb: Callable[[Any], None]) -> None:
    def verb() -> None:
        raise typer.Exit(1)

    add_verb(verb)
    assert run(["try"]) == 1


def test_ctrl_c_exits_with_130(add_verb: Callable[[Any], None], capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> None:
        raise KeyboardInterrupt

    add_verb(verb)
    assert run(["try"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_mistake_of_ours_says_so_and_leaves_its_detail_in_the_log(
    add_verb: Callable[[Any], None], capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    def verb() -> None:
        start_run_log("info", tmp_path / "run.log")
        get_logger("training").debug("the last thing before")
        raise RuntimeError("boom")

    add_verb(verb)
    assert run(["try"]) == 70
    shown = capsys.readouterr().err
    assert "RuntimeError: boom" in shown and "mistake in Argus" in shown and "run.log" in shown
    assert "the last thing before" in (tmp_path / "run.log").read_text()


def test_a_run_that_breaks_off_leaves_its_detail_in_the_log(
    add_verb: Callable[[Any], None], tmp_path: Any
) -> None:
    def verb() -> None:
        start_run_log("info", tmp_path / "run.log")
        get_logger("training").debug("the last thing before")
        raise TrainingError("the loss is not finite")

    add_verb(verb)
    assert run(["try"]) == 2
    assert "the last thing before" in (tmp_path / "run.log").read_text()


def test_a_verb_whose_module_is_broken_does_not_break_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(VERBS, "broken", Verb("argusvl.cli.nowhere:command", "Breaks."))
    assert run(["--version"]) == 0
    assert run(["--help"]) == 0
    assert run(["broken"]) == 70


# ---------------------------------------------------------------- common options


def test_the_log_level_is_the_sessions_and_wins_over_the_runs(
    add_verb: Callable[[Any], None], capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    def verb() -> None:
        assert current_session().log_level == "warning,training=debug"
        start_run_log("info", tmp_path / "run.log")
        get_logger("training.trainer").debug("detail")
        get_logger("detection").info("news")

    add_verb(verb)
    assert run(["try", "--log-level", "warning,training=debug"]) == 0
    shown = capsys.readouterr().err
    assert "detail" in shown and "news" not in shown
    assert current_session().log_level is None


def test_an_unknown_log_level_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--log-level", "loud", "env"]) == 2
    assert "unknown log level 'loud'" in capsys.readouterr().err
    assert run(["env", "--log-level"]) == 2


def test_options_after_two_dashes_belong_to_the_verb(add_verb: Callable[[Any], None]) -> None:
    seen: list[str] = []

    def verb(words: list[str]) -> None:
        seen.extend(words)
        assert not current_session().debug

    add_verb(verb)
    assert run(["try", "a", "--", "--debug"]) == 0
    assert seen == ["a", "--debug"]


# ---------------------------------------------------------------- argus env


def test_env_writes_json_to_stdout_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["env", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["argus"] == __version__
    assert found["packages"]["torch"] and found["packages"]["transformers"]
    assert found["devices"][0] == "cpu" and found["cores"] >= 1 and found["memory_gib"] > 0


def test_env_for_people_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["env"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "transformers" in shown.err and "memory" in shown.err


def test_the_installed_command_is_this_one() -> None:
    from importlib.metadata import entry_points

    (command,) = entry_points(group="console_scripts", name="argus")
    assert command.load() is cli.main


def test_chinese_data_survives_a_locale_without_it() -> None:
    code = (
        "from argusvl.cli import main as m; from argusvl.cli.output import print_json; import sys; "
        "m.run = lambda a: print_json({'desc': '挡风板'}) or 0; m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii"}
    )
    assert json.loads(done.stdout.decode("utf-8")) == {"desc": "挡风板"}


# ---------------------------------------------------------------- a request to stop


SLOW_VERB = """
import sys, time, types
from pathlib import Path
from argusvl.cli import main as cli
from argusvl.core.files import atomic_folder

def slow(folder: Path) -> None:
    with atomic_folder(folder) as temporary:
        (temporary / "half").write_text("written")
        print("begun", flush=True)
        time.sleep(60)

module = sys.modules["slow_verb"] = types.ModuleType("slow_verb")
module.command = slow
cli.VERBS["slow"] = cli.Verb("slow_verb:command", "Take long.")
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_leaves_no_half_written_folder(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", SLOW_VERB, "slow", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "begun\n"
        assert list(tmp_path.iterdir())  # the temporary folder
        child.send_signal(number)
        assert child.wait(timeout=90) == 130
        assert child.stderr.read() == "interrupted\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_errors_of_the_system_are_no_mistakes_in_argus(
    number: int, add_verb: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise OSError(number, os.strerror(number), "some/place")

    add_verb(command)
    assert run(["try"]) == 2
    said = capsys.readouterr().err
    assert f"error: some/place: {os.strerror(number)}" in said and "What to do: " in said
    assert "Traceback" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_standard_output_is_said() -> None:
    command = [sys.executable, "-c", "from argusvl.cli.main import main; main()", "--version"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output: No space left on device")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
