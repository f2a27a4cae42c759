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


class MalformedXml(Exception):  # noqa: N818 - what is wrong is the document, and a finding reports it
    """The text is not XML, or not XML that we read.

    Args:
        reason: What is wrong.
        line: Where, from 1.
    """

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class _Builder(TreeBuilder):
    """Writes into each element the line that it begins on, beside its attributes."""

    parser: Any

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        return super().start(tag, {**attrs, _LINE: str(self.parser.CurrentLineNumber)})


def parse_xml(content: bytes) -> Element:
    """Parses a document; its encoding is what its byte order mark or declaration says, else UTF-8.

    Raises:
        MalformedXml: Not well-formed, an unknown encoding, or entities (never expanded).
    """
    builder = _Builder()
    parser = DefusedXMLParser(target=builder)
    builder.parser = parser.parser
    try:
        parser.feed(_as_utf8(content))
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise MalformedXml(
            f"holds entities or external references, which are not read ({error})", 1
        ) from None
    except ParseError as error:
        raise MalformedXml(ErrorString(error.code), error.position[0]) from None
    except (ValueError, LookupError) as error:
        raise MalformedXml(str(error), 1) from None
    return root


def parse_document(content: bytes, where: str, root: str, kind: str) -> tuple[Element | None, list[Finding]]:
    """Parses the document of a format, and says what is wrong with it or odd about its text.

    Args:
        content: The bytes of the file.
        where: Its name, for findings.
        root: The tag of the format's documents.
        kind: What such files are called, for the remedy.

    Returns:
        The root, ``None`` where the document cannot be used; the last finding then says why.
    """
    findings: list[Finding] = []
    if declared_encoding(content) is None:
        decoded = decode_text(content, where)
        if decoded.problem is not None:
            findings.append(decoded.problem)
        if not decoded.is_usable:
            return None, findings
        content = without_encoding(decoded.text.encode("utf-8"))
    try:
        found = parse_xml(content)
    except MalformedXml as error:
        text = f"malformed XML: {error.reason}"
        return None, [*findings, finding("malformed-xml", f"{where}:{error.line}", text)]
    if found.tag == root:
        return found, findings
    text = f"the document is <{found.tag}>, not <{root}>"
    remedy = f"give {kind} files, or choose the format that this file has"
    return None, [finding("malformed-xml", f"{where}:{line_of(found)}", text, remedy=remedy)]


def line_of(element: Element) -> int:
    """The line that an element of :func:`parse_xml` begins on, from 1."""
    return int(element.attrib[_LINE])


def child_text(element: Element, tag: str) -> str | None:
    """The stripped text of the first direct child with this tag; ``None`` where there is no such child."""
    child = element.find(tag)
    return (
        None if child is None else "".join([child.text or "", *(part.tail or "" for part in child)]).strip()
    )


def declared_encoding(content: bytes) -> str | None:
    """The encoding that a document's declaration names; ``None`` where it names none."""
    match = _DECLARATION.match(content)
    return None if match is None else match.group(3).decode("ascii")


def _as_utf8(content: bytes) -> bytes:
    """A document in an encoding that the parser does not know (GBK, Big5, …) as UTF-8, its lines unchanged."""
    declared = declared_encoding(content)
    if declared is None:
        return content
    try:
        name = codecs.lookup(declared).name
        if name in _PARSER_ENCODINGS:
            return content
        text = content.decode(name)
    except (LookupError, UnicodeDecodeError) as error:
        raise MalformedXml(f"declares the encoding {declared}: {error}", 1) from None
    return without_encoding(text.encode("utf-8"))


def without_encoding(content: bytes) -> bytes:
    """A document that is UTF-8 now, whatever its declaration still says."""
    return _DECLARATION.sub(rb"\1", content, count=1)


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
