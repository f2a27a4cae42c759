"""Edits of a script at the nodes of its tree, by LibCST: everything else, comments and blanks included, stays."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from argus_doctor.errors import ArgusError

if TYPE_CHECKING:
    import libcst as cst

_Node = ast.expr | ast.stmt | ast.keyword


class Edits:
    """Collects replacements and applies them together.

    Args:
        text: The script.

    Raises:
        ArgusError: LibCST is not installed.
    """

    def __init__(self, text: str) -> None:
        try:
            import libcst
        except ImportError as error:
            raise ArgusError(
                "a script is mended by LibCST, which is not installed",
                remedy="pip install 'argus-doctor[lint]'",
            ) from error
        self._cst, self._text = libcst, text
        self._lines = text.splitlines(keepends=True)
        self._replaced: dict[tuple[int, int, int, int], str] = {}
        self._before: dict[tuple[int, int, int, int], list[str]] = {}
        self._after: dict[tuple[int, int, int, int], list[str]] = {}

    def _column(self, line: int, byte: int) -> int:
        """Python's tree counts bytes of UTF-8 within a line, LibCST characters."""
        return len(self._lines[line - 1].encode()[:byte].decode(errors="ignore"))

    def _place(self, node: _Node) -> tuple[int, int, int, int]:
        end_line, end_byte = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        begin = self._column(node.lineno, node.col_offset)
        return node.lineno, begin, end_line, self._column(end_line, end_byte)

    def written(self, node: _Node) -> str:
        """A node as it is written."""
        return ast.get_source_segment(self._text, node) or ast.unparse(node)

    def renamed(self, call: ast.Call, name: str) -> str:
        """A call as it is written, of another function of the same module or object."""
        tree = self._cst.parse_expression(f"({self.written(call)})")
        assert isinstance(tree, self._cst.Call)
        func: Any = self._cst.Name(name)
        if isinstance(tree.func, self._cst.Attribute):
            func = tree.func.with_changes(attr=func)
        return self._cst.Module([]).code_for_node(tree.with_changes(func=func, lpar=[], rpar=[]))

    def replace(self, node: _Node, new: str) -> None:
        """Puts an expression, or statements, in a node's place."""
        self._replaced[self._place(node)] = new

    def insert_before(self, node: ast.stmt, line: str) -> None:
        """Puts a statement before another one."""
        self._before.setdefault(self._place(node), []).append(line)

    def insert_after(self, node: ast.stmt, line: str) -> None:
        """Puts a statement after another one."""
        self._after.setdefault(self._place(node), []).append(line)

    def apply(self) -> str | None:
        """The new text; ``None`` where nothing was changed, or where the result is no Python."""
        if not (self._replaced or self._before or self._after):
            return None
        wrapper = self._cst.MetadataWrapper(self._cst.parse_module(self._text), unsafe_skip_copy=True)
        text = wrapper.module.visit(self._transformer(wrapper)).code
        try:
            ast.parse(text)
        except SyntaxError:
            return None
        return text if text != self._text else None

    def _transformer(self, wrapper: cst.MetadataWrapper) -> cst.CSTTransformer:
        libcst, edits = self._cst, self
        positions = wrapper.resolve(libcst.metadata.PositionProvider)

        class Transformer(libcst.CSTTransformer):  # type: ignore[misc, name-defined]
            def on_leave(self, original: Any, updated: Any) -> Any:
                updated = super().on_leave(original, updated)
                place = positions.get(original)
                if place is None:
                    return updated
                at = place.start.line, place.start.column, place.end.line, place.end.column
                is_line = isinstance(original, libcst.SimpleStatementLine | libcst.BaseCompoundStatement)
                if is_line:
                    return edits._around(at, original, updated)
                text = edits._replaced.get(at)
                if isinstance(original, libcst.BaseExpression) and text and not edits._is_statement(text):
                    new = libcst.parse_expression(text)
                    return new.with_changes(lpar=original.lpar, rpar=original.rpar)
                return updated

        return Transformer()

    def _around(self, at: tuple[int, int, int, int], original: Any, updated: Any) -> Any:
        """A statement with what comes before and after it, or what stands in its place."""
        libcst = self._cst

        def key(one: tuple[int, int, int, int]) -> bool:
            # The end of a line of LibCST's may be behind a comment.
            return one[:2] == at[:2]

        parts: list[Any] = []
        before = [line for place, lines in self._before.items() if key(place) for line in lines]
        after = [line for place, lines in self._after.items() if key(place) for line in lines]
        simple = isinstance(original, libcst.SimpleStatementLine)
        instead = [text for place, text in self._replaced.items() if simple and key(place)]
        if before:
            # Comments and blank lines above it stay above.
            first = libcst.parse_statement(before[0]).with_changes(leading_lines=updated.leading_lines)
            parts += [first, *map(libcst.parse_statement, before[1:])]
            updated = updated.with_changes(leading_lines=[])
        if instead and self._is_statement(instead[0]):
            lines = [libcst.parse_statement(one) for one in instead[0].split("\n")]
            lines[0] = lines[0].with_changes(leading_lines=updated.leading_lines)
            if simple:
                lines[-1] = lines[-1].with_changes(trailing_whitespace=updated.trailing_whitespace)
            parts += lines
        else:
            parts.append(updated)
        parts += map(libcst.parse_statement, after)
        return parts[0] if len(parts) == 1 else libcst.FlattenSentinel(parts)

    @staticmethod
    def _is_statement(text: str) -> bool:
        return not isinstance(ast.parse(text).body[0], ast.Expr)
