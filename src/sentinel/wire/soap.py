"""SOAP 1.2 messages (W3C, second edition) as devices send them: read out of any bytes at all, and written.

A message is read without namespaces, by local names: devices leave prefixes undeclared and mix versions, and nothing
that is read here has two elements of one name in one place.  SOAP 1.1 is read as well.  A document type is refused,
and with it every entity; depth, elements and texts are bounded.  No input or output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sentinel.wire import markup
from sentinel.wire.manscdp import decoded

MEDIA_TYPE: Final = "application/soap+xml"
"""Content-Type of a message (RFC 3902)."""

MAX_DEPTH: Final = 32
MAX_ELEMENTS: Final = 20_000
MAX_TEXT: Final = 4_096
"""Characters kept of one text or attribute; what is longer is cut."""
MAX_ATTRIBUTES: Final = 16
"""Attributes kept of one element."""

_ENVELOPE: Final = "http://www.w3.org/2003/05/soap-envelope"


class MalformedMessage(ValueError):
    """The bytes are no SOAP message, or more than one may be."""


@dataclass(slots=True)
class Element:
    """One element.  ``name`` and the names of ``attributes`` are local; ``text`` is its own, without blanks around."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """The children of that name."""
        return (child for child in self.children if child.name == name)

    def find(self, *path: str) -> Element | None:
        """The first element at that path of names below this one, None where there is none."""
        found: Element | None = self
        for name in path:
            found = next(found.all(name), None) if found is not None else None
        return found

    def text_of(self, *path: str) -> str:
        """The text at that path, "" where there is none."""
        found = self.find(*path)
        return found.text if found is not None else ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the request was not served (5.4).

    ``codes`` are the local names of the code and its subcodes, outermost first: ``("Sender", "NotAuthorized")``.
    """

    codes: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"{'/'.join(self.codes)}: {self.reason}"[:300]


def parse(body: bytes) -> Element | Fault:
    """What the body of a message holds: its first element (``Element("")`` where it is empty), or the fault.

    Raises:
        MalformedMessage: as ``envelope`` does.
    """
    content = envelope(body).find("Body")
    first = content.children[0] if content is not None and content.children else Element("")
    return _fault(first) if first.name == "Fault" else first


def envelope(body: bytes) -> Element:
    """A whole message, with ``Header`` and ``Body`` below it; the caller bounds its size.

    Raises:
        MalformedMessage: no XML, no envelope, a document type, or past a bound.
    """
    text = markup.mended(decoded(body).strip("\x00 \r\n\t"))
    reader = _Reader()
    try:
        markup.read(text, reader)
    except markup.MalformedMarkup as error:
        raise MalformedMessage(str(error)) from error
    root = reader.root
    if root is None or root.name != "Envelope" or root.find("Body") is None:
        raise MalformedMessage(f"no SOAP envelope with a body: {root.name if root is not None else ''!r}")
    return root


def compose(body: str, header: str = "") -> bytes:
    """A message; both parts are XML with their own namespaces."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="{_ENVELOPE}">{head}<s:Body>{body}</s:Body>'
        "</s:Envelope>"
    ).encode()


def content_type(action: str) -> str:
    """The Content-Type of a request with that action (RFC 3902, 3)."""
    return f'{MEDIA_TYPE}; charset=utf-8; action="{action}"'


def _fault(element: Element) -> Fault:
    codes: list[str] = []
    code = element.find("Code")
    while code is not None and len(codes) < MAX_DEPTH:
        codes.append(_local(code.text_of("Value")))
        code = code.find("Subcode")
    if not codes:  # SOAP 1.1, 4.4
        codes.append(_local(element.text_of("faultcode")))
    reason = element.text_of("Reason", "Text") or element.text_of("faultstring")
    return Fault(tuple(code[:80] for code in codes if code), reason[:300])


def _local(name: str) -> str:
    return name.rpartition(":")[2].strip()


class _Reader:
    """Takes what expat finds."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._elements = 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise MalformedMessage(f"more than {MAX_ELEMENTS} elements, or {MAX_DEPTH} deep")
        kept = list(attributes.items())[:MAX_ATTRIBUTES] if attributes else ()
        element = Element(_local(name)[:80], {_local(key)[:80]: value[:MAX_TEXT] for key, value in kept})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def text(self, data: str) -> None:
        element = self._open[-1]
        if (room := MAX_TEXT - len(element.text)) > 0:
            element.text += data[:room]

    def end(self, _name: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()
