"""The structured values inside SIP headers: Via, addresses with their tags, SIP URIs (RFC 3261, section 20 and 25).

    via = Via.parse("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK776asdhds")
    via.branch, via.port
    Address.parse('"A" <sip:34020000001320000001@3402000000>;tag=1928').uri.user

What a device writes loosely is read where it is plain what it means (blanks around separators, missing quotes); what
is not, is a ``MalformedMessage``.  No input or output here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

MAX_PARAMETERS: Final = 32
"""Parameters of one value, and values of one list, are refused past this number."""

BRANCH_COOKIE: Final = "z9hG4bK"
"""How the branch of every transaction of RFC 3261 begins (8.1.1.7)."""

_NONE: Final[Mapping[str, str | None]] = MappingProxyType({})
_VIA: Final = re.compile(
    r"\s*SIP\s*/\s*2\.0\s*/\s*([A-Za-z-]{1,16})\s+(\[[0-9A-Fa-f:.%]{2,64}\]|[^\s:;,\[\]]{1,255})"
    r"\s*(?::\s*([0-9]{1,5}))?\s*(;.*)?",
    re.DOTALL,
)
_URI: Final = re.compile(
    r"(sips?):(?:([^@<>\s]{0,255})@)?(\[[0-9A-Fa-f:.%]{2,64}\]|[^\s:;?@<>\[\]]{1,255})(?::([0-9]{1,5}))?"
    r"(;[^?\s<>]*)?(?:\?[^\s<>]*)?",
    re.IGNORECASE,
)


class MalformedMessage(ValueError):
    """What came is no SIP: a code of the closed list (``protocol_error``, ``too_large``) and words for people."""

    def __init__(self, detail: str, code: str = "protocol_error") -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Via:
    """One hop (20.42): where the request came from, and where its answer goes.

    ``host`` is without the brackets of an IPv6 address; ``port`` is None where none is written.  Parameter names are
    in lower case; a parameter without a value (``rport`` of a request, RFC 3581) is None.
    """

    transport: str
    host: str
    port: int | None = None
    parameters: Mapping[str, str | None] = field(default_factory=lambda: _NONE)

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one value of a Via header.

        Raises:
            MalformedMessage: it is none.
        """
        match = _VIA.fullmatch(text)
        if match is None:
            raise MalformedMessage(f"Via: {text[:80]!r}")
        return cls(match[1].upper(), _bare(match[2]), _port(match[3]), parameters(match[4] or ""))

    @property
    def branch(self) -> str:
        """The transaction's name; empty where there is none (RFC 2543)."""
        return self.parameters.get("branch") or ""

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {bracketed(self.host)}{port}{written(self.parameters)}"


@dataclass(frozen=True, slots=True)
class Uri:
    """A SIP or SIPS URI (19.1); its headers are left out.  ``user`` is empty where there is none."""

    host: str
    user: str = ""
    port: int | None = None
    scheme: str = "sip"
    parameters: Mapping[str, str | None] = field(default_factory=lambda: _NONE)

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Read a URI.

        Raises:
            MalformedMessage: it is none, or of another scheme.
        """
        match = _URI.fullmatch(text.strip())
        if match is None:
            raise MalformedMessage(f"no SIP URI: {text[:80]!r}")
        scheme, user, host, port, rest = match.groups()
        # A password in a URI (19.1.1) is not recommended, and not passed on.
        return cls(_bare(host), (user or "").partition(":")[0], _port(port), scheme.lower(), parameters(rest or ""))

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}:{user}{bracketed(self.host)}{port}{written(self.parameters)}"


@dataclass(frozen=True, slots=True)
class Address:
    """The value of From, To or Contact (20.10): a URI as it was written, perhaps a name, the header's parameters."""

    address: str
    name: str = ""
    parameters: Mapping[str, str | None] = field(default_factory=lambda: _NONE)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read one address.

        Raises:
            MalformedMessage: a quote or an angle bracket that is not closed.
        """
        text = text.strip()
        start = _outside_quotes(text, "<")
        if start < 0:  # without brackets, what follows the semicolon is the header's, not the URI's (20.10)
            address, semicolon, rest = text.partition(";")
            return cls(address.strip(), "", parameters(semicolon + rest))
        end = text.find(">", start)
        if end < 0:
            raise MalformedMessage(f"an address without its bracket: {text[:80]!r}")
        return cls(text[start + 1 : end].strip(), _unquoted(text[:start].strip()), parameters(text[end + 1 :]))

    @property
    def uri(self) -> Uri:
        """The URI in its parts.

        Raises:
            MalformedMessage: it is no SIP URI.
        """
        return Uri.parse(self.address)

    @property
    def tag(self) -> str:
        """The tag of From or To; empty where there is none."""
        return self.parameters.get("tag") or ""

    def __str__(self) -> str:
        name = f"{_quoted(self.name)} " if self.name else ""
        return f"{name}<{self.address}>{written(self.parameters)}"


def parameters(text: str) -> Mapping[str, str | None]:
    """``;name=value;flag`` as a mapping, names in lower case; a flag is None.  The first of a name counts.

    Raises:
        MalformedMessage: a quote that is not closed, or too many.
    """
    found: dict[str, str | None] = {}
    for part in split(text, ";"):
        name, equals, value = part.partition("=")
        if name.strip():
            found.setdefault(name.strip().lower(), _unquoted(value.strip()) if equals else None)
    return MappingProxyType(found)


def written(values: Mapping[str, str | None]) -> str:
    """``parameters`` the other way round."""
    return "".join(f";{name}" if value is None else f";{name}={_token(value)}" for name, value in values.items())


def split(text: str, separator: str) -> list[str]:
    """A list apart at its separators, but not at those inside quotes or angle brackets; empty parts are left out.

    Raises:
        MalformedMessage: a quote that is not closed, or more than ``MAX_PARAMETERS`` parts.
    """
    found: list[str] = []
    start = 0
    for at, character in _plain(text):
        if character == separator:
            found.append(text[start:at].strip())
            start = at + 1
            if len(found) > MAX_PARAMETERS:
                raise MalformedMessage("a list without end", "too_large")
    found.append(text[start:].strip())
    return [part for part in found if part]


def bracketed(host: str) -> str:
    """An IPv6 address in brackets, anything else as it is."""
    return f"[{host}]" if ":" in host else host


def _plain(text: str) -> Iterator[tuple[int, str]]:
    """The characters outside quotes and angle brackets, each with its place."""
    quoted = escaped = inside = False
    for at, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif inside:
            inside = character != ">"
        else:
            inside = character == "<"
            yield at, character
    if quoted:
        raise MalformedMessage(f"a quote that is not closed: {text[:80]!r}")


def _outside_quotes(text: str, wanted: str) -> int:
    return next((at for at, character in _plain(text) if character == wanted), -1)


def _bare(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not 1 <= int(text) <= 65_535:
        raise MalformedMessage(f"port {text}")
    return int(text)


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _token(value: str) -> str:
    # Values that are no token and no host are quoted again, as they came (25.1: gen-value).
    return value if re.fullmatch(r"[-.!%*_+`'~0-9A-Za-z\[\]:@/?&=$,]*", value) and "," not in value else _quoted(value)
