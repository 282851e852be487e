"""MANSCDP: the XML bodies of GB/T 28181 (2016, annex A; 2022, annex A), read as devices write them, and written.

    body = parse(message.body)
    body.command, body.number, body.fields.get("SumNum"), body.items

Devices declare GB2312 and send UTF-8 or GB18030, put a bare "&" into names, end a body in NULs: what is plain is read.
A document type, and with it every entity of its own, is refused; depth, elements and texts are bounded.  Neither
input nor output here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from sentinel.wire import markup

MEDIA_TYPE: Final = "Application/MANSCDP+xml"
"""Content-Type of every body (2016, J.1)."""

MAX_DEPTH: Final = 8
MAX_ELEMENTS: Final = 20_000
MAX_TEXT: Final = 1_024
"""Characters kept of one value; what is longer is cut."""

_DECLARED_GB: Final = re.compile(rb"""^[\s]*<\?xml[^>]{0,200}encoding\s*=\s*["']gb""", re.IGNORECASE)
_COMMAND: Final = re.compile(rb"<\s*CmdType\s*>\s*([A-Za-z]{1,32})\s*<")
_NUMBER: Final = re.compile(rb"<\s*SN\s*>\s*([0-9]{1,10})\s*<")


class MalformedBody(ValueError):
    """The body is no MANSCDP, or more than it may be."""


@dataclass(frozen=True, slots=True)
class Body:
    """One body.  ``kind`` is the root element: Query, Response, Notify, Control.

    ``fields`` are the leaves right below the root and one list deep (``Info``), by element name, the first of a name;
    ``items`` are the leaves of each ``Item`` of its lists.  ``number`` is SN, None where it is missing or no number.
    """

    kind: str
    command: str
    number: int | None
    device: str
    fields: Mapping[str, str] = field(default_factory=dict)
    items: tuple[Mapping[str, str], ...] = ()

    def integer(self, name: str) -> int | None:
        """A field that is a number of at most nine digits, None where it is none."""
        text = self.fields.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def peek(body: bytes) -> tuple[str, int | None]:
    """Command and number of a body without reading it: "" and None where they cannot be found."""
    command, number = _COMMAND.search(body, 0, 1_024), _NUMBER.search(body, 0, 1_024)
    return command[1].decode() if command else "", int(number[1]) if number else None


def parse(body: bytes) -> Body:
    """Read a body; the caller bounds its size.

    Raises:
        MalformedBody: no XML, a document type, or past a bound.
    """
    text = markup.mended(decoded(body).rstrip("\x00 \r\n\t"))
    reader = _Reader()
    try:
        markup.read(text, reader)
    except markup.MalformedMarkup as error:
        raise MalformedBody(str(error)) from error
    number = reader.fields.get("SN", "")
    return Body(
        reader.root,
        reader.fields.get("CmdType", ""),
        int(number) if number.isascii() and number.isdigit() and len(number) <= 10 else None,
        reader.fields.get("DeviceID", ""),
        reader.fields,
        tuple(reader.items),
    )


def decoded(body: bytes) -> str:
    """The text of a body, whatever it declares: UTF-8 where it is, GB18030 (and so GBK and GB2312) otherwise.

    What is both is GB18030 only where that was declared and nothing of it is Chinese as UTF-8: two letters of GB2312
    may be two of Latin or Cyrillic, but Chinese does not come about by chance.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("gb18030", "replace")
    if _DECLARED_GB.match(body) and not text.isascii() and max(text) < "\u0800":
        return body.decode("gb18030", "replace")
    return text


def compose(
    kind: str,
    command: str,
    number: int,
    device: str,
    fields: Mapping[str, object] | None = None,
    *,
    items: Iterable[Mapping[str, object]] | None = None,
    encoding: str = "GB2312",
) -> bytes:
    """A body; ``items`` make a DeviceList.  GB2312 is declared for GB18030, as every device does.

    Characters that the encoding has not are written as references.
    """
    lines = [f'<?xml version="1.0" encoding="{encoding}"?>', f"<{kind}>"]
    every: dict[str, object] = {"CmdType": command, "SN": number, "DeviceID": device} | dict(fields or {})
    lines += [f"<{name}>{escape(str(value))}</{name}>" for name, value in every.items()]
    if items is not None:
        rows = ["".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in item.items()) for item in items]
        lines += [f'<DeviceList Num="{len(rows)}">', *(f"<Item>{row}</Item>" for row in rows), "</DeviceList>"]
    lines += [f"</{kind}>", ""]
    codec = "gb18030" if encoding.upper().startswith("GB") else encoding
    return "\r\n".join(lines).encode(codec, "xmlcharrefreplace")


class _Reader:
    """Takes what expat finds."""

    def __init__(self) -> None:
        self.root = ""
        self.fields: dict[str, str] = {}
        self.items: list[dict[str, str]] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._elements = 0
        self._item = 0  # the depth of the Item that is open

    def begin(self, name: str, _attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._path) >= MAX_DEPTH:
            raise MalformedBody(f"more than {MAX_ELEMENTS} elements, or {MAX_DEPTH} deep")
        if not self._path:
            self.root = name[:32]
        elif name == "Item" and not self._item:
            self._item = len(self._path)
            self.items.append({})
        self._path.append(name)
        self._text, self._length = [], 0

    def text(self, data: str) -> None:
        if self._length < MAX_TEXT:
            self._text.append(data[: MAX_TEXT - self._length])
            self._length += len(data)

    def end(self, name: str) -> None:
        self._path.pop()
        depth = len(self._path)
        value = "".join(self._text).strip()
        self._text, self._length = [], 0
        if self._item and depth == self._item:
            self._item = 0
        elif self._item and value:
            self.items[-1].setdefault(name[:64], value)
        elif depth in (1, 2) and value:
            self.fields.setdefault(name[:64], value)
