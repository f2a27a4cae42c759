"""Edits of a script at the nodes of its tree, by LibCST: everything else, comments and blanks included, stays."""

from __future__ import annotations

import ast
import io
from typing import TYPE_CHECKING, Any

from argus_doctor.errors import ArgusError

if TYPE_CHECKING:
    import libcst as cst


def lines_of(text: str) -> list[str]:
    """Lines with their ends as Python and Git count them: a form feed ends none."""
    return list(io.StringIO(text))


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
        self._lines = lines_of(text)
        # Expressions by where they begin and end, statements by where they begin: LibCST's may end behind a comment.
        self._expressions: dict[tuple[int, int, int, int], str] = {}
        self._statements: dict[tuple[int, int], list[str]] = {}
        self._before: dict[tuple[int, int], list[str]] = {}
        self._after: dict[tuple[int, int], list[str]] = {}

    def _column(self, line: int, byte: int) -> int:
        """Python's tree counts bytes of UTF-8 within a line, LibCST characters."""
        return len(self._lines[line - 1].encode()[:byte].decode(errors="ignore"))

    def _begin(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        return node.lineno, self._column(node.lineno, node.col_offset)

    def written(self, node: ast.expr | ast.stmt) -> str:
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

    def replace(self, node: ast.expr, new: str) -> None:
        """Puts an expression in another one's place."""
        end_line, end_byte = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        self._expressions[*self._begin(node), end_line, self._column(end_line, end_byte)] = new

    def replace_statement(self, node: ast.stmt, *lines: str) -> None:
        """Puts statements in the place of a simple one."""
        self._statements[self._begin(node)] = list(lines)

    def insert_before(self, node: ast.stmt, line: str) -> None:
        """Puts a statement before another one."""
        self._before.setdefault(self._begin(node), []).append(line)

    def insert_after(self, node: ast.stmt, line: str) -> None:
        """Puts a statement after another one."""
        self._after.setdefault(self._begin(node), []).append(line)

    def apply(self) -> str | None:
        """The new text; ``None`` where nothing or not all could be changed, or where the result is no Python."""
        if not (self._expressions or self._statements or self._before or self._after):
            return None
        wrapper = self._cst.MetadataWrapper(self._cst.parse_module(self._text), unsafe_skip_copy=True)
        text: str = wrapper.module.visit(self._transformer(wrapper)).code
        try:
            ast.parse(text)
        except SyntaxError:
            return None
        return text if text != self._text and not self._statements else None

    def _transformer(self, wrapper: cst.MetadataWrapper) -> cst.CSTTransformer:
        libcst, edits = self._cst, self
        positions = wrapper.resolve(libcst.metadata.PositionProvider)

        class Transformer(libcst.CSTTransformer):  # type: ignore[misc, name-defined]
            def on_leave(self, original: Any, updated: Any) -> Any:
                updated = super().on_leave(original, updated)
                place = positions.get(original)
                if place is None:
                    return updated
                begin, end = (place.start.line, place.start.column), (place.end.line, place.end.column)
                if isinstance(original, libcst.SimpleStatementLine | libcst.BaseCompoundStatement):
                    return edits._around(begin, updated)
                text = edits._expressions.get((*begin, *end))
                if isinstance(original, libcst.BaseExpression) and text:
                    new = libcst.parse_expression(text)
                    return new.with_changes(lpar=original.lpar, rpar=original.rpar)
                return updated

        return Transformer()

    def _around(self, begin: tuple[int, int], updated: Any) -> Any:
        """A statement with what comes before and after it, or what stands in its place."""
        parse = self._cst.parse_statement
        instead = [updated.with_changes(leading_lines=[])]
        if begin in self._statements and len(updated.body) == 1:  # what else is on its line would be lost
            instead = [parse(line) for line in self._statements.pop(begin)]
            instead[-1] = instead[-1].with_changes(trailing_whitespace=updated.trailing_whitespace)
        before, after = (map(parse, there.get(begin, ())) for there in (self._before, self._after))
        parts = [*before, *instead, *after]
        # Comments and blank lines above it stay above.
        parts[0] = parts[0].with_changes(leading_lines=updated.leading_lines)
        return parts[0] if len(parts) == 1 else self._cst.FlattenSentinel(parts)
