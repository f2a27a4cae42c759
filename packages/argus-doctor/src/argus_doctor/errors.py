"""The errors that a user can mend: each says what happened, where, and what to do."""

from __future__ import annotations

import re


class ArgusError(Exception):
    """Something that the user can mend.

    Args:
        what: What happened, with the value that was found.
        where: The file, line, key, image or module concerned.
        remedy: What to do about it.
        slug: What it is called among the findings (``argus doctor list``), where it is found before it happens.
    """

    def __init__(
        self, what: str, *, where: object | None = None, remedy: str | None = None, slug: str | None = None
    ) -> None:
        self.what, in_worker = _without_worker_traceback(what)
        self.where = None if where is None else str(where)
        self.remedy = remedy
        self.slug = slug
        super().__init__(str(self))
        if in_worker:
            self.add_note(in_worker)

    def __str__(self) -> str:
        lines = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.remedy:
            lines.append(f"  What to do: {self.remedy}")
        return "\n".join(lines)


def _without_worker_traceback(text: str) -> tuple[str, str | None]:
    """The message of an error that a data loader's worker raised, and its traceback.

    PyTorch brings such an error over by calling its class with the formatted traceback as the only argument.
    """
    if not re.match(r"Caught \w+ in \w+ worker process \d+\.\nOriginal Traceback", text):
        return text, None
    # The last line that begins with a class's name begins the message; the traceback's own lines are indented.
    message = re.split(r"^[\w.]+Error: ", text, flags=re.MULTILINE)[-1]
    return message.strip(), text
