"""The process in which tools run: one call at a time, each for a limited time; one that takes longer ends it.

A thread cannot be ended, a process can. It has no part in the protocol's streams, and what breaks it, too little memory
or a damaged file that a library falls over, does not break the server.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from pydantic import ValidationError

from argusvl.core.errors import ArgusError
from argusvl.core.schemas import first_problem
from argusvl.serving.agents import general, recognition
from argusvl.serving.agents.workplace import LocalWorkplace, Settings
from argusvl.task_parts import AgentTool
from argusvl.tasks import TASKS, task_part

_LONGEST_START_SECONDS = 120
_STANDARD_OUTPUT, _STANDARD_ERROR = 1, 2


def tools_for(settings: Settings) -> dict[str, AgentTool]:
    """Name → tool: those of no task, those that each task brings, and one where there are support stores."""
    found = list(general.TOOLS)
    for name, entry in TASKS.items():
        if entry.agent_tools is not None:
            found += task_part(name, "agent_tools")
    if settings.stores:
        found += recognition.TOOLS
    return {tool.name: tool for tool in found}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call's answer, JSON-ready, or in a sentence why there is none."""

    answer: dict[str, Any] | None = None
    problem: str = ""


class Worker:
    """Calls tools in a process of its own, which is started when it is needed.

    Args:
        settings: What the tools may reach.
        seconds: The longest that a call may take.
    """

    def __init__(self, settings: Settings, seconds: float) -> None:
        self._settings = settings
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None

    def call(self, tool: str, arguments: dict[str, Any]) -> Outcome:
        """Runs a tool. What it cannot do is a problem and no error."""
        with self._lock:
            try:
                connection = self._started()
                connection.send((tool, arguments))
                if not connection.poll(self._seconds):
                    self.end()
                    told = f"{tool} took longer than {self._seconds:g} seconds and was ended"
                    return Outcome(problem=f"{told}; ask for less at a time")
                found: Outcome = connection.recv()
                return found
            except (EOFError, OSError):
                self.end()
                return Outcome(
                    problem=f"{tool} ended before it had an answer, perhaps for want of memory; ask for less at a time"
                )

    def end(self) -> None:
        """Ends the process, whatever it does; a call that waits for it has a problem then."""
        process, self._process = self._process, None
        if process is not None and process.is_alive():
            process.kill()
            process.join()

    def _started(self) -> Connection:
        if self._process is not None and self._process.is_alive() and self._connection is not None:
            return self._connection
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(self._settings, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if not self._connection.poll(_LONGEST_START_SECONDS):
            self.end()
            raise EOFError
        self._connection.recv()
        return self._connection


def _work(settings: Settings, connection: Connection) -> None:
    """Answers calls until the server has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server is asked to stop, and ends this process
    os.dup2(_STANDARD_ERROR, _STANDARD_OUTPUT)  # the server's is the protocol's
    place, tools = LocalWorkplace(settings), tools_for(settings)
    connection.send(None)
    while True:
        try:
            name, arguments = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_outcome(place, tools[name], arguments))


def _outcome(place: LocalWorkplace, tool: AgentTool, arguments: dict[str, Any]) -> Outcome:
    try:
        answer = tool.run(place, tool.request.model_validate(arguments))
        return Outcome(_without_places(place, answer.model_dump(mode="json")))
    except ValidationError as error:
        return Outcome(problem=first_problem(error))
    except ArgusError as error:
        told = f"{error.where}: {error.what}" if error.where else error.what
        remedy = f". What to do: {error.remedy}" if error.remedy else ""
        return Outcome(problem=place.shortened(f"{told}{remedy}"))
    except MemoryError:
        return Outcome(problem="memory is not sufficient; ask for less at a time")
    except Exception:  # noqa: BLE001 - the outermost place of this process
        traceback.print_exc(file=sys.stderr)
        return Outcome(
            problem="this is a mistake in Argus, not yours; the server's standard error has the detail"
        )


def _without_places(place: LocalWorkplace, value: Any) -> Any:
    """An answer without the places of the folders on this machine, which findings name."""
    if isinstance(value, str):
        return place.shortened(value)
    if isinstance(value, list):
        return [_without_places(place, one) for one in value]
    if isinstance(value, dict):
        return {key: _without_places(place, one) for key, one in value.items()}
    return value
