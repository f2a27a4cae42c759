"""``argus-doctor``: what a log, a script or an ID says."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from argus_doctor.errors import ArgusError
from argus_doctor.findings import Finding

_FOUND_SOMETHING, _USERS_MISTAKE, _INTERRUPTED = 1, 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 where nothing is wrong, 1 where something was found, 2 where the call cannot be answered."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except ArgusError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a message for people, unformatted
        return _USERS_MISTAKE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read has read enough
        sys.stderr.close()
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("argus-doctor", description="Says what is wrong with a training.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Any, about: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=about, description=about)
        one.add_argument("--json", action="store_true", help="answer in JSON on stdout")
        one.set_defaults(run=run)
        return one

    check = verb("check", _check, "Read a training script; nothing is run.")
    check.add_argument("script", type=Path)
    check.add_argument("--diff", action="store_true", help="print what would mend it, for `git apply`")
    log = verb("log", _log, "Say why a run died, and what its curves show.")
    log.add_argument("source", metavar="FILE|FOLDER|-")
    verb("list", _list, "List everything that is known to go wrong.")
    explain = verb("explain", _explain, "Explain a finding by its ID or name.")
    explain.add_argument("name", metavar="ID")
    return parser


def _check(given: argparse.Namespace) -> int:
    from argus_doctor.lint import Script, mended_as_diff

    script = Script.read(given.script)
    found = script.findings()
    edits = mended_as_diff(script, found) if given.diff else ""
    sys.stdout.write(edits)
    code = _tell(found, given.json, to_stderr=given.diff)
    if found and given.diff and not edits:
        Console(stderr=True).print("No diff: none of this has an edit that is sure to be safe.")
    return code


def _log(given: argparse.Namespace) -> int:
    from argus_doctor.logs.diagnosis import diagnose

    diagnosis = diagnose(given.source)
    if given.json:
        _print_json(diagnosis.to_json())
        return _FOUND_SOMETHING if diagnosis.findings else 0
    Console(stderr=True).print(Text(diagnosis.in_short()), soft_wrap=True)
    return _tell(diagnosis.findings, as_json=False)


def _list(given: argparse.Namespace) -> int:
    from argus_doctor.findings import catalogue
    from argus_doctor.rendering import answer_console, print_entries

    entries = list(catalogue().values())
    if given.json:
        _print_json([entry.to_json() for entry in entries])
    else:
        print_entries(entries, answer_console())
    return 0


def _explain(given: argparse.Namespace) -> int:
    from argus_doctor.findings import entry_of
    from argus_doctor.rendering import answer_console, print_entry

    entry = entry_of(given.name)
    if given.json:
        _print_json(entry.to_json())
    else:
        print_entry(entry, answer_console())
    return 0


def _tell(found: list[Finding], as_json: bool, to_stderr: bool = False) -> int:
    from argus_doctor.rendering import answer_console, print_findings

    if as_json:
        _print_json({"findings": [one.to_json() for one in found]})
    else:
        print_findings(found, answer_console(to_stderr))
    return _FOUND_SOMETHING if found else 0


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
