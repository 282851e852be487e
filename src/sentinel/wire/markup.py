"""XML that strangers wrote, read without what XML can do to its reader.

A document type is refused, and with it every entity of its own: nothing is expanded and nothing fetched.  Depth,
elements and texts are for the handler to bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol
from xml.parsers import expat

_DECLARATION: Final = re.compile(r"^[\s\ufeff]*(?:<\?xml[^>]{0,200}\?>)?")
# As in a stream's address.
_BARE: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});)")
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


class MalformedMarkup(ValueError):
    """This is no XML, or has a document type."""


class Handler(Protocol):
    """Takes what is found, in order; what it raises comes out of ``read``."""

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""

    def text(self, data: str) -> None:
        """Text of the element that is open."""

    def end(self, name: str) -> None:
        """The element that is open ends."""


def legal(text: str) -> str:
    """With U+FFFD for every character that XML 1.0 does not allow (2.2)."""
    return _ILLEGAL.sub("\ufffd", text)


def mended(text: str) -> str:
    """Legal, without its declaration, and with each bare ampersand written as one should be."""
    return _BARE.sub("&amp;", legal(_DECLARATION.sub("", text, count=1)))


def read(text: str, handler: Handler) -> None:
    """Hand a whole document to ``handler``; the caller bounds its size.

    Raises:
        MalformedMarkup: no XML, or a document type.
    """
    parser = expat.ParserCreate("utf-8")  # whatever is declared
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = handler.begin
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise MalformedMarkup(f"no XML: {expat.ErrorString(error.code)} in line {error.lineno}") from error


def _refuse(*_: Any) -> None:
    raise MalformedMarkup("a document type")
