"""Edits of a script's text at the nodes of its tree: everything else, formatting included, stays as it is."""

from __future__ import annotations

import ast
from itertools import accumulate


class Edits:
    """Collects replacements and applies them together.

    Args:
        text: The script.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.splitlines(keepends=True)
        self._starts = [0, *accumulate(len(line) for line in self._lines)]
        self._changes: list[tuple[int, int, str]] = []

    def _place(self, line: int, byte: int) -> int:
        """The tree counts bytes of UTF-8 within a line."""
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:byte].decode(errors="ignore"))

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        """Where a node begins and ends in the text."""
        end_line, end_byte = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self._place(node.lineno, node.col_offset), self._place(end_line, end_byte)

    def written(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        """A node as it is written."""
        begin, end = self.span(node)
        return self._text[begin:end]

    def renamed(self, call: ast.Call, name: str) -> str:
        """A call as it is written, of another function of the same module or object."""
        begin, end = self.span(call)
        named = self.span(call.func)[1]
        old = call.func.attr if isinstance(call.func, ast.Attribute) else self.written(call.func)
        return self._text[begin : named - len(old)] + name + self._text[named:end]

    def replace(self, node: ast.expr | ast.stmt | ast.keyword, new: str) -> None:
        """Puts a text in a node's place."""
        self._changes.append((*self.span(node), new))

    def insert_before(self, node: ast.stmt, line: str) -> None:
        """Puts a line before a statement, as far to the right as that."""
        begin = self._starts[node.lineno - 1]
        self._changes.append((begin, begin, f"{' ' * node.col_offset}{line}\n"))

    def insert_after(self, node: ast.stmt, line: str) -> None:
        """Puts a line after a statement, as far to the right as that."""
        end = self._starts[node.end_lineno or node.lineno]
        before = "" if self._text[:end].endswith("\n") else "\n"
        self._changes.append((end, end, f"{before}{' ' * node.col_offset}{line}\n"))

    def remove(self, node: ast.stmt) -> None:
        """Takes a statement out; ``pass`` stands for the only one of a block."""
        self._changes.append((*self.span(node), "pass"))

    def apply(self) -> str | None:
        """The new text; ``None`` where nothing was changed, or where the result is no Python."""
        if not self._changes:
            return None
        text, last = self._text, len(self._text) + 1
        for begin, end, new in sorted(self._changes, key=lambda one: (one[0], one[1]), reverse=True):
            if end > last:  # within another change
                continue
            text, last = text[:begin] + new + text[end:], begin
        try:
            ast.parse(text)
        except SyntaxError:
            return None
        return text if text != self._text else None
