"""The table of tools: those of no task, those that each task brings, and one where there are support stores."""

from __future__ import annotations

from argusvl.serving.agents import general, recognition
from argusvl.serving.agents.workplace import Settings
from argusvl.task_parts import AgentTool
from argusvl.tasks import TASKS, task_part


def tools_for(settings: Settings) -> dict[str, AgentTool]:
    """Name → tool."""
    found = list(general.TOOLS)
    for name, entry in TASKS.items():
        if entry.agent_tools is not None:
            found += task_part(name, "agent_tools")
    if settings.stores:
        found += recognition.TOOLS
    return {tool.name: tool for tool in found}
