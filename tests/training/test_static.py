"""Rules of the engine's source that no run could show."""

from __future__ import annotations

import ast
from pathlib import Path

import argusvl.training

SOURCES = sorted(Path(argusvl.training.__file__).parent.rglob("*.py"))


def calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }


def test_the_loop_neither_synchronizes_nor_waits_at_a_barrier() -> None:
    """M-002: a deadlock on several GPUs."""
    assert len(SOURCES) > 10
    for path in SOURCES:
        assert not calls(path) & {"synchronize", "barrier", "wait_for_everyone"}, path.name


def test_the_engine_knows_no_task() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "argusvl.detection" not in text.replace("detection/task.py", ""), path.name
        for term in ("bbox", "giou", "objectness", "caption"):
            assert f'"{term}' not in text, path.name
