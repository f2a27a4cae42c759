"""Pages of the reference that are made from the code: the command line, the configuration, the Python interface."""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stdout
from typing import Any, get_args

from pydantic import BaseModel

from argusvl.cli.main import VERBS, commands, run
from argusvl.tasks import DEFAULT_TASK, TASKS

_CLI = """# Command line

What each verb says of itself with `--help`. Verbs that work on a task's data or model take `--task NAME`; a checkpoint
names its own. Exit codes: 0 done, 1 a check found something, 2 your mistake, 70 ours, 130 interrupted. What programs
read goes to stdout, what people read to stderr.

"""
_CONFIGURATION = """# Configuration

A run is one YAML file: `argus init DATA` writes it for a data set, `argus train FILE --print-config` shows it whole.
Keys may stand in their sections or without them, since each name belongs to one section; `key=value` behind
`argus train FILE` changes single ones. A key without a default must be written; an unknown one is refused with the
nearest known name.

"""
_PYTHON = {
    "detection": (
        "# Python: detection\n\nWhat finds and describes objects, from a checkpoint.\n",
        (
            "argusvl.detection.predict.predictor.Predictor",
            "argusvl.detection.data.detections.Detections",
            "argusvl.detection.data.records.RecordFile",
        ),
    ),
    "manipulation": (
        "# Python: hands\n\nWhat finds the joints of a hand, from a checkpoint.\n",
        ("argusvl.manipulation.predict.predictor.HandPredictor",),
    ),
    "training": (
        "# Python: the engine\n\nWhat a task brings so that the engine trains it, and what may watch.\n",
        (
            "argusvl.training.protocol",
            "argusvl.training.listeners.Listener",
            "argusvl.training.step.StepRecord",
        ),
    ),
    "doctor": (
        "# Python: the doctor\n\nThe interface of `argus-doctor`, for any PyTorch loop.\n",
        ("argus_doctor.watch.Watch", "argus_doctor.findings.Finding"),
    ),
}


def cli_page() -> str:
    """Every command of every task."""
    parts = [_CLI]
    for words in commands():
        parts.append(f"## argus {' '.join(words)}\n\n{_help(words)}")
        for task, entry in TASKS.items():
            own = words[0] in VERBS and VERBS[words[0]].task is not None and entry.has_verb(words[0])
            if task != DEFAULT_TASK and own:
                shown = _help((*words, "--task", task))
                if shown != _help(words) and not shown.startswith("```text\nerror"):
                    parts.append(f"### argus {' '.join(words)} --task {task}\n\n{shown}")
    return "".join(parts)


def _help(words: tuple[str, ...]) -> str:
    os.environ["COLUMNS"] = "100"
    shown = io.StringIO()
    with redirect_stdout(shown):
        if run([*words, "--help"]) != 0:
            return ""
    return f"```text\n{shown.getvalue().strip()}\n```\n\n"


def configuration_page() -> str:
    """Every key of every task's schema."""
    parts = [_CONFIGURATION]
    for task, entry in TASKS.items():
        parts.append(f"## Task {task}\n\n{entry.summary[0].upper()}{entry.summary[1:]}.\n\n")
        schema = entry.config_class().model_json_schema()
        parts += _sections(entry.config_class(), schema, task, ())
    return "".join(parts)


def _sections(model: type[BaseModel], schema: dict[str, Any], task: str, path: tuple[str, ...]) -> list[str]:
    """A table of the keys of a section, and then the sections inside of it."""
    own = schema if not path else schema["$defs"][model.__name__]
    rows, inner = [], []
    for name, key in own["properties"].items():
        field = model.model_fields[name]
        section = next((t for t in _types(field.annotation) if _is_section(t)), None)
        kind = _kind(key, schema)
        default = (
            "required" if field.is_required() else f"`{_yaml(field.get_default(call_default_factory=True))}`"
        )
        rows.append(f"| `{name}` | {kind} | {default} | {_cell(field.description or '')} |\n")
        if section is not None:
            inner += _sections(section, schema, task, (*path, name))
    title = "Top level" if not path else f"{'.'.join(path)}"
    head = f"### {title} ({task})\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
    return [head, *rows, "\n", *inner]


def _types(annotation: Any) -> list[Any]:
    return [annotation, *(t for part in get_args(annotation) for t in _types(part))]


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _kind(key: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in key:
        return " or ".join(_kind(one, schema) for one in key["anyOf"])
    if "enum" in key:
        return " or ".join(f"`{one}`" for one in key["enum"])
    if "$ref" in key:
        return "section"
    if "const" in key:
        return f"`{_yaml(key['const'])}`"
    named = {
        "integer": "integer",
        "number": "number",
        "string": "text",
        "boolean": "`true` or `false`",
        "null": "`null`",
    }
    if key.get("type") == "array":
        of = _kind(key.get("items", {}), schema)
        return "list of sections" if of == "section" else f"list of {of}"
    if key.get("type") == "object":
        return "keys and values"
    kind = "path" if key.get("format") == "path" else named.get(key.get("type", ""), "any")
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "&lt;"}
    limits = [f"{sign} {key[name]:g}" for name, sign in signs.items() if name in key]
    return f"{kind} {', '.join(limits)}" if limits else kind


def _yaml(value: Any) -> str:
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if _hashable(value)
        else str(value)
    )


def _hashable(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def python_pages() -> dict[str, str]:
    """Pages whose content mkdocstrings takes from the docstrings, by their path."""
    return {
        f"reference/{name}.md": head + "".join(f"\n::: {place}\n" for place in places)
        for name, (head, places) in _PYTHON.items()
    }
