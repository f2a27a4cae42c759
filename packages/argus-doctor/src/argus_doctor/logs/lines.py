"""Lines of a log, one by one: a stream of any size in a few megabytes of memory, without what the terminal or the
cluster has put around them.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

CHUNK = 1 << 20
LONGEST_LINE = 1 << 16
"""Characters; what is longer is read as several lines, and no message has that many."""

_ENDS = re.compile(r"\r\n|\n|\r")
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_TIME = r"\d{4}[-/]\d\d[-/]\d\d[T ,_-]?\s?\d\d:\d\d:\d\d(?:[.,:]\d+)?(?:Z|\s?[+-]\d\d:?\d\d|\s?UTC)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_RANK = re.compile(
    r"\[rank\s?(?P<a>\d+)\]:?\s?|\[default(?P<b>\d+)\]:\s?|\[\d+,(?P<c>\d+)\]<std(?:out|err)>:\s?"
    r"|(?P<d>\d{1,4}): (?=\S|\s)|\((?P<e>[\w.<>()]+ pid=\d+(?:, ip=[\d.]+)?)\)\s?|\[Rank "
    r"(?P<f>\d+)\]:?\s(?=\S)"
    r"|(?P<g>[\w.-]{1,60}[-_]\d+)\s{0,20}\|\s|\[(?P<h>pod/[^\]]{1,200})\]\s?|\[(?P<i>\d{1,6})\]:?\s?"
)
_AROUND = re.compile(
    rf"\[?{_TIME}\]?(?:\s[-|:]\s|\s\|\s|:\s|\s)?(?:std(?:out|err) [FP] )?"
    rf"|\[\w{{3}} {_MONTH}\s+\d+ [\d:]+ \d{{4}}\] "
    r"|\[\s*\d+\.\d{3,9}\] "
    rf"|{_MONTH}\s+\d+ \d\d:\d\d:\d\d [\w.-]+ [\w./@-]+(?:\[\d+\])?: "
    r"|\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?\s(?:-\s)?"
)
_GLOG = re.compile(
    r"(?P<a>[IWEF])\d{4,8} \d\d:\d\d:\d\d\.\d+\s+(?:\d+\s+)?[\w./<>-]+:\d+\] "
    rf"|\[(?P<b>[IWEF]) {_TIME}\] |(?P<c>[IWEF]) [\w./-]+\.(?:cc|cpp|h|py):\d+\] "
)
_LEVELS = "DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|CRITICAL|FATAL|SEVERE"
_LEVEL = re.compile(
    rf"(?:[\[(]?[\w./:<>-]{{1,80}}[\])]?\s*(?:[-|:]\s*|\s)){{0,3}}?"
    rf"[\[<(]?\b(?P<level>{_LEVELS}|Warning|Error|error|warning)\b[\]>)]?(?P<after>\s*[-|:\]]\s*|\s+)"
)
_SHORT = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "FATAL"}
_TQDM = re.compile(r"\s*(?:[^|]{0,80}:\s*)?\d{1,3}%\|")


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        number: From 1; what a progress bar draws over counts as one.
        raw: As it stands there, without colours.
        body: Without times, ranks and levels; its indentation stays.
        rank: Who wrote it, as far as it says; empty where it does not.
        level: A logger's, in capitals; empty where it has none.
    """

    number: int
    raw: str
    body: str
    rank: str = ""
    level: str = ""


def encoding_of(start: bytes) -> str | None:
    """How a text is written, by its first bytes; ``None`` where it is none. PowerShell's ``>`` writes UTF-16."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    sample = start[:4096].rstrip(b"\0")
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if not even and not odd:
        return "utf-8-sig"
    if min(even, odd) > 0 or max(even, odd) < len(sample) // 4:
        return None
    return "utf-16-be" if even else "utf-16-le"


def decoded(stream: BinaryIO, encoding: str, middle: range = range(0)) -> Iterator[str]:
    """The text of a stream in pieces; it is read once and never whole. Bytes of zero, a hole in a file, are none.

    Args:
        stream: Any buffered one.
        encoding: How it is written.
        middle: Bytes of which only the ends of lines are wanted.
    """
    decoder, at = codecs.getincrementaldecoder(encoding)(errors="replace"), 0
    while chunk := stream.read1(CHUNK):  # type: ignore[attr-defined]
        at += len(chunk)
        text = decoder.decode(chunk)
        yield "\n" * text.count("\n") if at in middle else text.replace("\0", "")
    yield decoder.decode(b"", final=True)


def split_lines(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not empty; carriage returns end one, too, but do not count."""
    number, rest = 1, ""
    for piece in pieces:
        text, position = rest + piece, 0
        for end in _ENDS.finditer(text):
            if end.end() == len(text) and end.group() == "\r":
                break  # its line feed may follow
            if position < end.start():
                yield number, text[position : end.start()]
            number += end.group() != "\r"
            position = end.end()
        rest = text[position:]
        while len(rest) > LONGEST_LINE:
            yield number, rest[:LONGEST_LINE]
            rest = rest[LONGEST_LINE:]
    if rest := rest.rstrip("\r"):
        yield number, rest


def parse_line(number: int, text: str) -> Line:
    """A line without colours and without what loggers, launchers and clusters put before it."""
    text = _ESCAPES.sub("", text) if "\x1b" in text else text
    if text.startswith('{"') and ('"log":' in text or '"message":' in text or '"msg":' in text):
        text = _inner(text)
    body, rank, level = text, "", ""
    if not _TQDM.match(text):
        for _ in range(6):
            if found := _AROUND.match(body):
                body = body[found.end() :]
            elif found := _GLOG.match(body):
                level, body = _SHORT[found["a"] or found["b"] or found["c"]], body[found.end() :]
            elif (not rank or body[:1] == "[") and (found := _RANK.match(body)):
                rank = rank or next(name for name in found.groups() if name is not None)
                body = body[found.end() :]
            else:
                break
        found = None if level else _LEVEL.match(body)
        # "Error" alone is a level only as "Error: …" of a program, which says no class.
        if found and found.end("level") < 100 and found["level"].isupper():
            level = {"WARN": "WARNING"}.get(found["level"], found["level"])
            body = body[found.end() :]
    return Line(number, text, body, rank, level)


def _inner(text: str) -> str:
    """The message of a line that a container's runtime or a logger wrote as JSON."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return text
    message = next((entry[k] for k in ("log", "message", "msg") if isinstance(entry.get(k), str)), None)
    if message is None:
        return text
    level = next((str(entry[k]) for k in ("level", "levelname", "severity") if k in entry), "")
    message = message.rstrip("\n")
    return f"{level.upper()}: {message}" if level.upper() in _LEVELS.split("|") else message
