"""What a training script says of itself: suspicions from its syntax tree, and edits that mend it. Nothing is run."""

from __future__ import annotations

import ast
import io
import re
import sys
import sysconfig
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from argus_doctor.errors import ArgusError
from argus_doctor.findings import Finding, finding
from argus_doctor.lint.fixes import as_diff, mend
from argus_doctor.lint.rules import hits, unmasked_attention
from argus_doctor.lint.tree import Tree
from argus_doctor.suspicion import Suspicion


@dataclass(frozen=True, slots=True)
class Script:
    """A Python file as text and as a tree.

    Attributes:
        path: Where it is.
        text: What it says.
        tree: What that means.
    """

    path: Path
    text: str
    tree: Tree

    @classmethod
    def read(cls, path: Path) -> Script:
        """Reads a file.

        Raises:
            ArgusError: It cannot be read, or is no Python.
        """
        try:
            # As Python reads it: by its byte order mark, or what it says of itself.
            content = path.read_bytes()
            text = content.decode(tokenize.detect_encoding(io.BytesIO(content).readline)[0])
            if re.search(r"\r(?!\n)", text):  # to Python the end of a line, to nobody else
                text = text.replace("\r\n", "\n").replace("\r", "\n")
            return cls(path, text, Tree(ast.parse(text)))
        except (OSError, UnicodeDecodeError) as error:
            what = f"cannot be read: {error}"
            raise ArgusError(what, where=path, remedy="give the training script") from error
        except (RecursionError, MemoryError) as error:  # the parser's own, of an expression without end
            raise _too_deep(path) from error
        except (SyntaxError, ValueError) as error:
            place = f"{path}:{getattr(error, 'lineno', None) or 1}"
            what = f"is not Python: {getattr(error, 'msg', error)}"
            raise ArgusError(what, where=place, remedy="give the training script") from error

    def suspicions(self) -> list[Suspicion]:
        """What the rules find, with the line.

        Raises:
            ArgusError: The script is nested too deeply for them.
        """
        try:
            return [
                Suspicion(slug, "source", what, f"{self.path}:{node.lineno}", {"line": node.lineno})
                for slug, node, what in hits(self.tree)
            ]
        except RecursionError as error:
            raise _too_deep(self.path) from error

    def findings(self) -> list[Finding]:
        """The same as findings."""
        return [
            finding(
                one.slug, one.where, one.what, numbers=one.numbers, probability=one.probability, certain=False
            )
            for one in self.suspicions()
        ]

    def unmasked_attention(self) -> tuple[str, str] | None:
        """Place and words of attention without a mask, in a script that calls none with one."""
        found = unmasked_attention(self.tree)
        if found is None:
            return None
        return f"{self.path}:{found.lineno}", f"`{ast.unparse(found.func)}(...)` is given no mask"


def mended_as_diff(script: Script, found: Sequence[Finding]) -> str:
    """What would mend a script, as a unified diff; empty where nothing can be mended safely."""
    mended = script.text
    for one in found:
        mended = mend(mended, one.slug) or mended
    return as_diff(script.text, mended, script.path)


def _too_deep(path: Path) -> ArgusError:
    return ArgusError(
        "an expression is nested too deeply to be read",
        where=path,
        remedy="move data out of the script, or give the file that trains",
    )


def calling_script() -> Script | None:
    """The script that the caller is written in: the nearest frame that is neither ours nor an installed package's."""
    own = str(Path(__file__).resolve().parents[1])
    installed = tuple(sysconfig.get_paths()[key] for key in ("purelib", "platlib", "stdlib"))
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        inside = Path(name).resolve()
        theirs = not str(inside).startswith(own) and not name.startswith(installed)
        if theirs and inside.is_file() and inside.suffix == ".py":
            try:
                return Script.read(inside)
            except ArgusError:
                return None
        frame = frame.f_back
    return None
