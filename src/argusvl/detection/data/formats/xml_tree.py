"""XML as ElementTree's elements that know their lines, parsed safely.

``ElementTree`` forgets line numbers, and a finding in a file of two hundred boxes is of little use without one.
``defusedxml`` refuses entity bombs and external references: annotation files come from anywhere.
"""

from __future__ import annotations

import codecs
import re
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers.expat import ErrorString
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from argus_doctor.findings import Finding
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.text import decode_text

_LINE = " line"
"""Holds a space, so that no attribute of a document has this name."""

_DECLARATION = re.compile(rb"""\A(<\?xml[^>]*?)\s+encoding\s*=\s*(["'])([A-Za-z][A-Za-z0-9._-]*)\2""")

_PARSER_ENCODINGS = frozenset({"utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso8859-1", "ascii"})
"""What the parser decodes itself; any other encoding that a document declares is decoded before it."""


class _Builder(TreeBuilder):
    """Writes into each element the line that it begins on, beside its attributes."""

    parser: Any

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        return super().start(tag, {**attrs, _LINE: str(self.parser.CurrentLineNumber)})


def parse_document(content: bytes, where: str, root: str, kind: str) -> tuple[Element | None, list[Finding]]:
    """Parses the document of a format, and says what is wrong with it or odd about its text; findings name ``where``.

    Its encoding is what its byte order mark or declaration says, else UTF-8; entities are never expanded. ``root`` is
    the tag of the format's documents, ``kind`` what such files are called in the remedy.

    Returns:
        The root, ``None`` where the document cannot be used; the last finding then says why.
    """
    findings: list[Finding] = []
    declared = _DECLARATION.match(content)
    if declared is None:
        text, findings = decode_text(content, where)
        if text is None:
            return None, findings
        content = _without_encoding(text)
    builder = _Builder()
    parser = DefusedXMLParser(target=builder)
    builder.parser = parser.parser
    try:
        parser.feed(content if declared is None else _as_utf8(content, declared[3].decode("ascii")))
        found: Element = parser.close()
    except DefusedXmlException as error:
        problem, line = f"holds entities or external references, which are not read ({error})", 1
    except ParseError as error:
        problem, line = ErrorString(error.code), error.position[0]
    except (ValueError, LookupError) as error:
        problem, line = str(error), 1
    else:
        if found.tag == root:
            return found, findings
        problem = f"the document is <{found.tag}>, not <{root}>"
        remedy = f"give {kind} files, or choose the format that this file has"
        return None, [finding("malformed-xml", f"{where}:{line_of(found)}", problem, remedy=remedy)]
    return None, [*findings, finding("malformed-xml", f"{where}:{line}", f"malformed XML: {problem}")]


def line_of(element: Element) -> int:
    """The line that an element of :func:`parse_document` begins on, from 1."""
    return int(element.attrib[_LINE])


def child_text(element: Element | None, tag: str) -> str | None:
    """The stripped text of the first direct child with this tag; ``None`` where there is no such child."""
    child = None if element is None else element.find(tag)
    if child is None:
        return None
    return "".join([child.text or "", *(part.tail or "" for part in child)]).strip()


def text_of(text: str) -> str:
    """A text as an element's content. A parser turns a bare carriage return into a line feed."""
    return escape(text, {"\r": "&#13;"})


def _as_utf8(content: bytes, declared: str) -> bytes:
    """A document in an encoding that the parser does not know (GBK, Big5, …) as UTF-8, its lines unchanged."""
    try:
        name = codecs.lookup(declared).name
        return content if name in _PARSER_ENCODINGS else _without_encoding(content.decode(name))
    except (LookupError, UnicodeDecodeError) as error:
        raise ValueError(f"declares the encoding {declared}: {error}") from None


def _without_encoding(text: str) -> bytes:
    """A document that is UTF-8 now, whatever its declaration still says."""
    return _DECLARATION.sub(rb"\1", text.encode("utf-8"), count=1)


def unwritable(text: str) -> str | None:
    """Why XML cannot hold a text as a name, or ``None``: it has no way to write control characters, and spaces around
    a name are layout in it.
    """
    if text != text.strip():
        return "it begins or ends with a space"
    bad = next((c for c in text if not _is_xml(ord(c))), None)
    return None if bad is None else f"XML cannot hold its character {bad!r}"


def _is_xml(code: int) -> bool:
    """Whether XML 1.0 (section 2.2) can hold a character."""
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
