"""Session descriptions (RFC 8866), read as cameras write them.

Real devices end lines in a bare LF, leave mandatory lines out, put GB18030 into names and repeat attributes: what
can be understood is, and what cannot is skipped.  Only text that holds no session at all is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_LINES = 4_096
MAX_MEDIA = 256

# RFC 3551, section 6: the payload types that need no rtpmap and that a picture may come in.
_STATIC = {26: "JPEG/90000", 31: "H261/90000", 32: "MPV/90000", 33: "MP2T/90000", 34: "H263/90000"}


class MalformedDescription(ValueError):
    """The text is no session description."""


@dataclass(frozen=True, slots=True)
class RtpMap:
    """What a payload type means: ``encoding`` in upper case, ``clock_rate`` in Hz, channels of sound."""

    encoding: str
    clock_rate: int
    channels: int = 1


Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Media:
    """One ``m=`` section (RFC 8866, 5.14); ``attributes`` are name and value in their order, "" where there is none."""

    kind: str
    port: int
    transport: str
    formats: tuple[str, ...]
    attributes: Attributes = ()
    connection: str | None = None

    def attribute(self, name: str) -> str | None:
        """The first attribute of that name, None where there is none."""
        return _first(self.attributes, name)

    def rtpmap(self, payload_type: int) -> RtpMap | None:
        """The meaning of a payload type (6.6), from RFC 3551's table where the section does not say."""
        for value in _all(self.attributes, "rtpmap"):
            number, _, rest = value.strip().partition(" ")
            if number == str(payload_type):
                return _rtpmap(rest)
        return _rtpmap(_STATIC.get(payload_type, ""))

    def fmtp(self, payload_type: int) -> dict[str, str]:
        """The parameters of a payload type (6.15): names in lower case."""
        found: dict[str, str] = {}
        for value in _all(self.attributes, "fmtp"):
            number, _, rest = value.strip().partition(" ")
            if number != str(payload_type):
                continue
            for parameter in rest.split(";"):
                name, _, text = parameter.strip().partition("=")  # a value is base64 and may end in "="
                if name:
                    found.setdefault(name.strip().lower(), text.strip())
        return found

    @property
    def payload_types(self) -> tuple[int, ...]:
        """The formats that are RTP payload types (0 to 127)."""
        return tuple(int(word) for word in self.formats if word.isascii() and word.isdigit() and int(word) < 128)


@dataclass(frozen=True, slots=True)
class Description:
    """A session: ``name`` is ``s=``, ``origin`` is ``o=`` as written."""

    name: str = ""
    origin: str = ""
    connection: str | None = None
    attributes: Attributes = ()
    media: tuple[Media, ...] = field(default=())

    def attribute(self, name: str) -> str | None:
        """The first attribute of the session's own of that name."""
        return _first(self.attributes, name)


def parse(text: bytes) -> Description:
    """Read a description; the caller bounds its size.

    Raises:
        MalformedDescription: neither ``v=`` nor ``m=`` in it, or more than 4,096 lines or 256 media.
    """
    lines = list(_lines(_decoded(text)))
    kinds = {kind for kind, _ in lines}
    if "v" not in kinds and "m" not in kinds:
        raise MalformedDescription("neither a v= nor an m= line")
    sections: list[list[tuple[str, str]]] = [[]]
    for kind, value in lines:
        if kind == "m":
            if len(sections) > MAX_MEDIA:
                raise MalformedDescription(f"more than {MAX_MEDIA} media")
            sections.append([])
        sections[-1].append((kind, value))
    session, *rest = sections
    return Description(
        name=_first(session, "s") or "",
        origin=_first(session, "o") or "",
        connection=_first(session, "c"),
        attributes=_attributes(session),
        media=tuple(media for section in rest if (media := _media(section)) is not None),
    )


def parameter_sets(*values: str | None) -> tuple[bytes, ...]:
    """NAL units out of ``sprop-parameter-sets`` (RFC 6184, 8.1) or ``sprop-vps`` and its like (RFC 7798, 7.1).

    Comma-separated base64; what is not is skipped, since the stream may bring the same in-band.
    """
    found = []
    for word in ",".join(value for value in values if value).split(","):
        try:
            unit = base64.b64decode(word.strip() + "=" * (-len(word.strip()) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        if unit:
            found.append(unit)
    return tuple(found)


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("gb18030", "replace")  # what Chinese devices write names in


def _lines(text: str) -> Iterator[tuple[str, str]]:
    # Not splitlines(): it also splits at U+2028 and its like, which belong to a name.
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")):
        if number >= MAX_LINES:
            raise MalformedDescription(f"more than {MAX_LINES} lines")
        kind, equals, value = line.strip(" \t\0").partition("=")
        if equals and len(kind) == 1:
            yield kind, value.strip()


def _media(section: list[tuple[str, str]]) -> Media | None:
    words = section[0][1].split()
    if len(words) < 3:  # a section that says not even this much is skipped with all its attributes
        return None
    port = words[1].partition("/")[0]
    return Media(
        kind=words[0].lower(),
        port=int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0,
        transport=words[2],
        formats=tuple(words[3:]),
        attributes=_attributes(section),
        connection=_first(section, "c"),
    )


def _attributes(section: Iterable[tuple[str, str]]) -> Attributes:
    pairs = (value.partition(":") for kind, value in section if kind == "a")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def _rtpmap(text: str) -> RtpMap | None:
    encoding, *rest = text.strip().split("/")
    if not encoding:
        return None
    numbers = [int(word) if word.isascii() and word.isdigit() and len(word) < 10 else 0 for word in rest]
    return RtpMap(
        encoding.strip().upper(),
        numbers[0] if numbers else 90_000,
        numbers[1] if len(numbers) > 1 else 1,
    )


def _all(pairs: Iterable[tuple[str, str]], name: str) -> Iterator[str]:
    return (value for key, value in pairs if key.lower() == name)


def _first(pairs: Iterable[tuple[str, str]], name: str) -> str | None:
    return next(_all(pairs, name), None)
