"""XML as a plain tree that knows its lines, parsed safely.

``ElementTree`` forgets line numbers, and a finding in a file of two hundred boxes is of little use without one.
``defusedxml`` refuses entity bombs and external references: annotation files come from anywhere.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

from defusedxml import DefusedXmlException
from defusedxml.sax import parseString

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


@dataclass(slots=True)
class Element:
    """One element: its tag, the line it begins on, its text and its children."""

    tag: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def find(self, tag: str) -> Element | None:
        """The first direct child with this tag."""
        return next(self.find_all(tag), None)

    def find_all(self, tag: str) -> Iterator[Element]:
        """The direct children with this tag."""
        return (child for child in self.children if child.tag == tag)

    def child_text(self, tag: str) -> str | None:
        """The stripped text of the first direct child with this tag; ``None`` where there is no such child."""
        child = self.find(tag)
        return None if child is None else child.text.strip()


def parse_xml(content: bytes) -> Element:
    """Parses a document; its encoding is what its byte order mark or declaration says, else UTF-8.

    Raises:
        MalformedXml: Not well-formed, an unknown encoding, or entities (never expanded).
    """
    builder = _TreeBuilder()
    try:
        parseString(_as_utf8(content), builder)
    except DefusedXmlException as error:
        raise MalformedXml(
            f"holds entities or external references, which are not read ({error})", 1
        ) from None
    except SAXParseException as error:
        raise MalformedXml(error.getMessage(), error.getLineNumber() or 1) from None
    except (SAXException, ValueError, LookupError) as error:
        raise MalformedXml(str(error), 1) from None
    if builder.root is None:
        raise MalformedXml("no element found", 1)
    return builder.root


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


class _TreeBuilder(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.root: Element | None = None
        self._open: list[Element] = []
        self._locator: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802 - the interface's name
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        line = self._locator.getLineNumber() if self._locator is not None else None
        element = Element(tag=name, line=line or 1)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def endElement(self, name: str) -> None:  # noqa: N802
        self._open.pop()

    def characters(self, content: str) -> None:
        self._open[-1].text += content
