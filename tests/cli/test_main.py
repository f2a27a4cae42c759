"""The command: exit codes, errors without tracebacks, verbs loaded only when used, an example in every help."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from argusvl import __version__
from argusvl.cli.main import VERBS, Verb, commands
from argusvl.cli.session import current_session, start_run_log
from argusvl.core.errors import ConfigError, TrainingError
from argusvl.core.logging import get_logger
from argusvl.tasks import TASKS


@pytest.fixture
def add_verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Adds a verb `try` for the duration of a test."""

    def add(target: Any) -> None:
        module = types.ModuleType("argus_test_verb")
        module.command = target  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "argus_test_verb", module)
        monkeypatch.setitem(VERBS, "try", Verb("argus_test_verb:command", "Try something."))

    return add


# ---------------------------------------------------------------- help


def test_help_lists_every_verb_and_task_and_comes_without_arguments(argus: Any) -> None:
    shown = argus().out
    assert argus("--help").out == shown
    for name, verb in VERBS.items():
        assert f"  {name} " in shown and verb.summary.split()[0] in shown
    assert all(f"{name} ({entry.summary})" in " ".join(shown.split()) for name, entry in TASKS.items())


def test_help_of_a_verb_speaks_of_other_tasks(argus: Any) -> None:
    said = {"predict": "argus predict --task manipulation --help", "data": "which alone has it"}
    for verb, words in said.items():
        assert words in " ".join(argus(verb, "--help").out.split())


def test_every_help_has_an_example_whose_options_exist(argus: Any) -> None:
    every = list(commands())
    for command in dict.fromkeys([*((verb,) for verb in VERBS), *every]):
        before, _, options = argus(*command, "--help").out.partition("Options:\n")
        words = f"argus {' '.join(command)}"
        examples = re.findall(rf"^ +{words}\b.*", before.partition("Examples:\n")[2], flags=re.MULTILINE)
        assert examples, f"{words} --help has no example"
        for option in re.findall(r"--[a-z-]+", " ".join(examples)) if command in every else ():
            assert re.search(rf"\s{option}\b", options), f"{words} has no {option}"


def test_brackets_in_help_are_kept(argus: Any, add_verb: Callable[[Any], None]) -> None:
    def verb() -> None:
        """Does it with [key=value] and [bold]."""

    add_verb(verb)
    assert "with [key=value] and [bold]" in argus("try", "--help").out


# ---------------------------------------------------------------- exit codes and errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["env", "--jsno"], "--jsno"),
        (["--log-level", "loud", "env"], "unknown log level 'loud'"),
        (["env", "--log-level"], "--log-level"),
    ],
)
def test_a_wrong_option_is_the_users_mistake(argus: Any, arguments: list[str], said: str) -> None:
    assert said in argus(*arguments, code=2).err


def test_an_unknown_verb_is_the_users_mistake(argus: Any) -> None:
    shown = argus("trian", code=2)
    assert "unknown verb 'trian'; did you mean 'train'?" in shown.err
    assert all(name in shown.err for name in VERBS)
    assert shown.out == ""


ENDS: dict[str, tuple[BaseException, int, str]] = {
    "an error for the user": (
        ConfigError("seed: missing", where="run.yaml", remedy="add it"),
        2,
        "error: run.yaml: seed: missing\n  What to do: add it\n",
    ),
    "a check that found something": (typer.Exit(1), 1, ""),
    "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted\n"),
    **{
        f"error {number} of the system": (
            OSError(number, os.strerror(number), "some/place"),
            2,
            f"error: some/place: {os.strerror(number)}\n  What to do: ",
        )
        for number in (errno.EACCES, errno.ENOSPC, errno.EROFS)
    },
    "a full disk, as the system says it of a write": (
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        2,
        "error: a file (--debug shows where): No space left on device\n",
    ),
    "an error of the system that says no place": (OSError(errno.EINVAL, "Invalid"), 70, "mistake in Argus"),
    **{
        f"too little memory: {error!r}": (error, 2, "error: memory is not sufficient")
        for error in (
            MemoryError(),
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
            RuntimeError("can't start new thread"),
            ImportError("libscipy.so: failed to map segment from shared object"),
            OSError(errno.ENOMEM, "Cannot allocate memory"),
        )
    },
}


@pytest.mark.parametrize("end", ENDS)
def test_how_a_command_ends(argus: Any, end: str, add_verb: Callable[[Any], None]) -> None:
    raised, code, said = ENDS[end]

    def verb() -> None:
        raise raised

    add_verb(verb)
    shown = argus("try", code=code)
    assert said in shown.err and bool(said) == bool(shown.err) and shown.out == ""
    assert ("Traceback" in shown.err) == (code == 70)


@pytest.mark.parametrize("arguments", [["--debug", "try"], ["try", "--debug"]])
def test_debug_shows_the_traceback(argus: Any, add_verb: Callable[[Any], None], arguments: list[str]) -> None:
    def verb() -> None:
        raise ConfigError("seed: missing")

    add_verb(verb)
    assert "Traceback" in (shown := argus(*arguments, code=2).err) and "ConfigError: seed: missing" in shown


@pytest.mark.parametrize(
    ("raised", "code"), [(RuntimeError("boom"), 70), (TrainingError("the loss is not finite"), 2)]
)
def test_what_breaks_off_leaves_its_detail_in_the_log(
    argus: Any, raised: Exception, code: int, add_verb: Callable[[Any], None], tmp_path: Path
) -> None:
    def verb() -> None:
        start_run_log("info", tmp_path / "run.log")
        get_logger("training").debug("the last thing before")
        raise raised

    add_verb(verb)
    shown = argus("try", code=code).err
    assert "the last thing before" in (tmp_path / "run.log").read_text()
    assert str(raised) in shown and ("mistake in Argus" in shown and "run.log" in shown) == (code == 70)


def test_a_verb_whose_module_is_broken_does_not_break_the_others(
    argus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VERBS, "broken", Verb("argusvl.cli.nowhere:command", "Breaks."))
    argus("--version")
    assert "broken" in argus("--help").out
    assert "argusvl.cli.nowhere" in argus("broken", code=70).err


# ---------------------------------------------------------------- common options


def test_the_log_level_is_the_sessions_and_wins_over_the_runs(
    argus: Any, add_verb: Callable[[Any], None], tmp_path: Any
) -> None:
    def verb() -> None:
        assert current_session().log_level == "warning,training=debug"
        start_run_log("info", tmp_path / "run.log")
        get_logger("training.trainer").debug("detail")
        get_logger("detection").info("news")

    add_verb(verb)
    shown = argus("try", "--log-level", "warning,training=debug").err
    assert "detail" in shown and "news" not in shown
    assert current_session().log_level is None


def test_options_after_two_dashes_belong_to_the_verb(argus: Any, add_verb: Callable[[Any], None]) -> None:
    seen: list[str] = []

    def verb(words: list[str]) -> None:
        seen.extend(words)
        assert not current_session().debug

    add_verb(verb)
    argus("try", "a", "--", "--debug")
    assert seen == ["a", "--debug"]


# ---------------------------------------------------------------- argus env


def test_env_writes_a_table_or_json_to_stdout_and_nothing_else(argus: Any) -> None:
    assert "argus" in argus("env").out
    found = argus("env", "--json").json
    assert found["argus"] == __version__
    assert found["packages"]["torch"] and found["packages"]["transformers"]
    assert found["devices"][0] == "cpu" and found["cores"] >= 1 and found["memory_gib"] > 0
    assert found["precision"] == "float32" and found["bfloat16_speed"] > 0


# ---------------------------------------------------------------- a request to stop


WITH_A_VERB = """
import sys, types
from pathlib import Path
from argusvl.cli import main as cli
{verb}
module = sys.modules["test_verb"] = types.ModuleType("test_verb")
module.command = verb
cli.VERBS["try"] = cli.Verb("test_verb:command", "Try.")
cli.main()
"""

SLOW = """
import time
from argusvl.core.files import atomic_folder

def verb(folder: Path) -> None:
    with atomic_folder(folder) as temporary:
        (temporary / "half").write_text("written")
        print("begun", flush=True)
        time.sleep(60)
"""

INTERRUPTED_AFTER_ITS_RESULTS = """
import atexit, os, signal

def verb() -> None:
    print("the result")
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
"""

INTERRUPTED_IN_AN_IMPORT = """
def verb() -> None:
    import interrupted_import
    import time
    print("imported", interrupted_import.whole, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_leaves_no_half_written_folder(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", WITH_A_VERB.format(verb=SLOW), "try", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "begun\n"
        assert list(tmp_path.iterdir())  # the temporary folder
        child.send_signal(number)
        assert child.wait(timeout=90) == 130
        assert child.stderr.read() == "interrupted\n"
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- the process around a command


def python(code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90, **options)


INTERRUPTED_WHILE_LOADING = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "argusvl.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from argusvl.__main__ import main
main()
"""


def test_ctrl_c_while_the_command_is_loaded_ends_it_without_a_traceback() -> None:
    done = python(INTERRUPTED_WHILE_LOADING, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_after_the_results_ends_with_130_without_a_traceback() -> None:
    done = python(WITH_A_VERB.format(verb=INTERRUPTED_AFTER_ITS_RESULTS), "try")
    assert (done.returncode, done.stdout, done.stderr) == (130, "the result\n", "interrupted\n")


INTERRUPTED_IN_A_WRITE = """
import os, signal, threading

def verb() -> None:
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
    print("x" * 5999, flush=True)
"""


def test_ctrl_c_in_a_write_of_standard_output_writes_nothing_twice() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    full = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            full += os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    room = len(os.read(reading, 4096))  # for a part of what is printed
    command = [sys.executable, "-c", WITH_A_VERB.format(verb=INTERRUPTED_IN_A_WRITE), "try"]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True) as child:
        os.close(writing)
        assert child.stderr is not None and child.stderr.readline() == "interrupted\n"
        with os.fdopen(reading, "rb") as pipe:
            written = pipe.read()[full - room :]
    assert (child.returncode, len(written)) == (130, 6000)


def test_ctrl_c_comes_after_an_import_and_not_into_it(tmp_path: Path) -> None:
    (tmp_path / "interrupted_import.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.2)\n"
        "except BaseException:\n"
        "    whole = False\n"
        "else:\n"
        "    whole = True\n"
    )
    begun = time.monotonic()
    done = python(WITH_A_VERB.format(verb=INTERRUPTED_IN_AN_IMPORT), "try", cwd=tmp_path)
    assert time.monotonic() - begun < 45, "it came when the verb had slept out"
    assert (done.returncode, done.stdout, done.stderr) == (130, "imported True\n", "interrupted\n")


def shell(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "argusvl", *arguments]
    command = f"{shlex.join(words)} {redirection}"
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=90)


@pytest.mark.parametrize(
    ("redirection", "reason"),
    [
        (">&-", "it is closed"),
        ("<&- >&-", "it is closed"),
        pytest.param(
            "> /dev/full",
            "No space left on device",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full"),
        ),
    ],
)
def test_data_that_standard_output_does_not_take_are_an_error(redirection: str, reason: str) -> None:
    done = shell(redirection, "--version")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: standard output: {reason}\n  What to do: ")
    assert done.stderr.count("error") == 1
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_closed_streams_that_nothing_is_written_to_do_not_matter(tmp_path: Path) -> None:
    assert shell("<&- 2>&-", "--version").stdout == f"argus {__version__}\n"
    done = shell("<&- >&- 2>&-", "nosuch")
    assert done.returncode == 2


LOCALES = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("locale", LOCALES)
def test_names_and_data_are_utf8_under_every_locale(
    tmp_path: Path, complete_config: str, locale: dict[str, str]
) -> None:
    (tmp_path / "\u677f.yaml").write_text(
        complete_config.replace("runs/example", "\u8fd0\u884c"), encoding="utf-8"
    )
    words = ["train", "\u677f.yaml", "run_name=\u6321", "--print-config", "--json"]
    command = [sys.executable, "-m", "argusvl", *words]
    done = subprocess.run(
        command, capture_output=True, check=False, cwd=tmp_path, env={**os.environ, **locale}, timeout=90
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.decode("utf-8"))["training"]
    assert (found["output_dir"], found["run_name"]) == ("\u8fd0\u884c", "\u6321")


def test_a_path_of_thousands_of_characters_is_the_users_mistake(
    argus: Any, add_verb: Callable[[Any], None]
) -> None:
    def command(place: Path) -> None:
        place.is_dir()

    add_verb(command)
    said = argus("try", "x" * 5000, code=2).err
    assert "File name too long" in said and "name a shorter path" in said and len(said) < 500


# ---------------------------------------------------------------- paths on the command line


@pytest.fixture
def given_paths(add_verb: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """What a verb with paths of every kind is given, under the home folder /home/u."""
    monkeypatch.setenv("HOME", "/home/u")
    given: list[Path | None] = []

    def verb(
        one: Annotated[Path, typer.Argument()],
        many: Annotated[list[Path], typer.Argument()],
        perhaps: Annotated[Path | None, typer.Option(help="Perhaps.")] = None,
        text: Annotated[str, typer.Option()] = "",
    ) -> None:
        given.extend([one, *many, perhaps])

    add_verb(verb)
    return given


def test_a_tilde_on_the_command_line_is_the_home_folder(argus: Any, given_paths: list[Path | None]) -> None:
    argus("try", "~/a", "b/~", "~/c", "--perhaps=~/d", "--text=~/e")
    assert given_paths == [Path("/home/u/a"), Path("b/~"), Path("/home/u/c"), Path("/home/u/d")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["", "b"], "a path is empty"),
        (["a", ""], "a path is empty"),
        (["a", "b", "--perhaps="], "a path is empty"),
        (["a\0b", "b"], "is no path: it holds a NUL character"),
        (["~no-such-user-here/a", "b"], "there is no such user"),
    ],
)
def test_what_is_no_path_is_refused(
    argus: Any, given_paths: list[Path | None], arguments: list[str], said: str
) -> None:
    shown = argus("try", *arguments, code=2).err
    assert said in shown and "What to do" in shown
    assert given_paths == []


def test_variables_of_a_launcher_are_checked(argus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "")  # as a shell leaves it behind
    argus("env", "--json")
    for value, said in (("x", "RANK: is 'x'"), ("1", "WORLD_SIZE is not")):
        monkeypatch.setenv("RANK", value)
        assert said in argus("train", "configs/bbu_room.yaml", code=2).err


def test_a_working_folder_that_was_removed_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = f"rmdir {tmp_path / 'gone'}; {sys.executable} -m argusvl env"
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path / "gone", capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "the working folder: No such file" in done.stderr


def test_more_processes_than_the_machine_can_run_are_refused(argus: Any, repository: Path) -> None:
    words = ["train", repository / "configs/bbu_room.yaml", "--processes", "5000", "--validate-only"]
    assert "5000 processes were asked for" in argus(*words, code=2).err


WARNED = """
import warnings

def verb() -> None:
    warnings.warn("of a library")
"""


def test_warnings_of_libraries_do_not_reach_the_user() -> None:
    done = python(WITH_A_VERB.format(verb=WARNED), "try")
    assert (done.returncode, done.stderr) == (0, "")
