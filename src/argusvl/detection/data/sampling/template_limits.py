"""A chat template is a program that came with a checkpoint: it is tried apart, with bounds of time and memory.

Jinja's sandbox keeps such a program from the machine, not from computing ``'a' * 10**10``, which nothing in this
process could interrupt.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

SECONDS = 10
MEMORY_BYTES = 2**30

_SCRIPT = f"""
import json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
    resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
except ImportError:  # Windows: the time alone is bounded
    pass
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

class Generation(Extension):  # a tag of transformers, which marks what an assistant says
    tags = {{"generation"}}
    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)

given = json.load(sys.stdin)
try:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.globals |= {{"raise_exception": lambda text: 1 / 0, "strftime_now": lambda form: form}}
    environment.from_string(given["template"]).render(messages=given["messages"], add_generation_prompt=False)
except MemoryError:
    sys.exit(1)
except Exception:
    pass  # whoever renders it tells what is wrong
"""


def exceeds_limits(template: str, messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a template asks for more than :data:`SECONDS` or :data:`MEMORY_BYTES` to render some messages."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _SCRIPT],
            input=json.dumps({"template": template, "messages": list(messages)}),
            text=True,
            encoding="utf-8",
            capture_output=True,
            timeout=2 * SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0  # by our own code, or killed at the limit of its time
