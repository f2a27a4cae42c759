"""What is said of the machine is what this process may use of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.core import cgroups
from argusvl.core.environment import environment
from argusvl.core.threads import usable_cores


@pytest.mark.parametrize(
    ("group", "file"), [("0::/job/step", "memory.max"), ("4:memory:/job/step", "memory.limit_in_bytes")]
)
def test_memory_is_what_the_groups_around_this_process_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, file: str
) -> None:
    membership = tmp_path / "membership"
    membership.write_text(f"{group}\n", encoding="utf-8")
    mount = tmp_path / ("memory" if "memory:" in group else "")
    monkeypatch.setattr(cgroups, "_MOUNT", tmp_path)
    monkeypatch.setattr(cgroups, "_MEMBERSHIP", membership)
    whole = environment()["memory_gib"]
    (mount / "job" / "step").mkdir(parents=True)
    (mount / "job" / "step" / file).write_text("max\n" if file == "memory.max" else f"{2**63 - 4096}\n")
    assert environment()["memory_gib"] == whole
    (mount / "job" / file).write_text(f"{2**28}\n")  # of the group around, below this machine's memory
    assert environment()["memory_gib"] == 0.2
    assert environment()["cores"] == usable_cores()
