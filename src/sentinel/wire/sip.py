"""SIP messages (RFC 3261): read out of any bytes at all, and written.

    parser = StreamParser()                       # TCP and TLS: messages are told apart by Content-Length (18.3)
    parser.feed(data)
    while (message := parser.next()) is not None: ...

    message = parse_datagram(data)                # UDP: one message a datagram
    answer = respond(message, 200, tag=new_tag(), source=("192.0.2.7", 5060))
    transport.sendto(answer.encode(), reply_address(message, ("192.0.2.7", 5060)))

    dialog = Dialog(f"<sip:sentinel@192.0.2.1>;tag={new_tag()}", "<sip:192.0.2.7>", new_call_id())
    via = Via("UDP", "192.0.2.1", 5060, {"rport": None, "branch": new_branch()})
    wanted = build("OPTIONS", "sip:192.0.2.7", dialog, via=via, number=1)

Header names are held in lower case and in full (compact forms are expanded, 7.3.3); bodies are bytes, as the
character set is theirs.  Messages themselves are in ``wire/sip_message.py``, transactions in
``wire/sip_transaction.py``, Digest in ``wire/sip_login.py``.  No input or output here.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sentinel.wire.sip_headers import BRANCH_COOKIE, Address, MalformedMessage, Via
from sentinel.wire.sip_message import CONTROL, Message, Request, Response

__all__ = [
    "MAX_HEAD", "MAX_HEADERS", "MAX_MESSAGE", "REASONS", "Dialog", "Message", "Request", "Response", "StreamParser",
    "build", "new_branch", "new_call_id", "new_tag", "parse_datagram", "reply_address", "respond",
]  # fmt: skip

MAX_HEAD: Final = 16_384
"""Bytes of start line and headers, at most."""

MAX_MESSAGE: Final = 65_535
"""Bytes of a whole message, at most; it is what a datagram can hold."""

MAX_HEADERS: Final = 128
"""Header lines, at most."""

_COMPACT: Final = {
    "a": "accept-contact",  # RFC 3841
    "b": "referred-by",  # RFC 3892
    "c": "content-type",
    "d": "request-disposition",  # RFC 3841
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",  # RFC 3841
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",  # RFC 6665
    "r": "refer-to",  # RFC 3515
    "s": "subject",
    "t": "to",
    "u": "allow-events",  # RFC 6665
    "v": "via",
    "x": "session-expires",  # RFC 4028
}
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 +([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE)
_REQUEST_LINE: Final = re.compile(r"([!%*_+`'~.A-Za-z0-9-]{1,32}) +(\S{1,1024}) +SIP/2\.0", re.IGNORECASE)
_BEGINNING: Final = re.compile(rb"[!%*_+`'~.A-Za-z0-9-]{1,32}[ /]")
_LONGEST_BEGINNING: Final = 33
_NAME: Final = re.compile(r"[!%*_+`'~.A-Za-z0-9-]{1,64}")
_METHOD: Final = re.compile(r"[A-Z]{1,32}")

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    603: "Decline",
}
"""What is written beside a status where nothing else is said (section 21)."""


# -- reading ------------------------------------------------------------------------------------------------------


def parse_datagram(data: bytes) -> Request | Response:
    """The message in one datagram; what follows its Content-Length is thrown away (18.3).

    Raises:
        MalformedMessage: it is no SIP, or shorter than it says.
    """
    data = data.lstrip(b"\r\n")
    if len(data) > MAX_MESSAGE:
        raise MalformedMessage(f"a datagram of {len(data)} bytes", "too_large")
    head, rest = _head_and_rest(data)
    message = _parsed(head)
    length = _content_length(message)
    if length is not None and length > len(rest):
        raise MalformedMessage(f"{len(rest)} bytes of a body of {length}")
    return _with_body(message, rest[:length])


def _head_and_rest(data: bytes) -> tuple[bytes, bytes]:
    if not _BEGINNING.match(data):
        raise MalformedMessage(f"no SIP: {data[:40]!r}")
    blank = _BLANK_LINE.search(data, 0, MAX_HEAD + 4)
    if blank is None and len(data) > MAX_HEAD:
        raise MalformedMessage(f"a head of more than {MAX_HEAD} bytes", "too_large")
    if blank is None:  # devices leave the empty line out where there is no body
        return data.rstrip(b"\r\n"), b""
    return data[: blank.start()], data[blank.end() :]


class StreamParser:
    """Takes the bytes of a TCP or TLS connection, gives messages; holds one message of ``limit`` bytes at most.

    Empty lines between messages (keep-alives of RFC 5626, 3.5.1) are passed over.  A message without Content-Length
    has no body here: RFC 3261, 18.3 demands it, but devices leave it out where they send none.
    """

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0  # no blank line begins before

    def feed(self, data: bytes) -> None:
        """Add what was received; call ``next`` until it gives None before more."""
        self._buffer += data

    def next(self) -> Request | Response | None:
        """The next message, None where more bytes are needed.

        Raises:
            MalformedMessage: ``protocol_error`` for what is no SIP, ``too_large`` for what is past the limit; the
                connection cannot be used any more.
        """
        buffer = self._buffer
        if buffer and buffer[0] in b"\r\n":
            del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]
        if not buffer:
            return None
        if (len(buffer) >= _LONGEST_BEGINNING or b"\n" in buffer[:_LONGEST_BEGINNING]) and not _BEGINNING.match(buffer):
            raise MalformedMessage(f"no SIP: {bytes(buffer[:40])!r}")
        most = min(MAX_HEAD, self._limit)
        blank = _BLANK_LINE.search(buffer, self._searched, most + 4)
        if blank is None:
            if len(buffer) > most:
                raise MalformedMessage(f"a head of more than {most} bytes", "too_large")
            self._searched = max(0, len(buffer) - 3)
            return None
        message = _parsed(bytes(buffer[: blank.start()]))
        end = blank.end() + (_content_length(message) or 0)
        if end > self._limit:
            raise MalformedMessage(f"a message of {end} bytes, more than {self._limit}", "too_large")
        if len(buffer) < end:
            return None
        body = bytes(buffer[blank.end() : end])
        del buffer[:end]
        self._searched = 0
        return _with_body(message, body)


def _parsed(head: bytes) -> Request | Response:
    # Folded lines belong to the one before (7.3.1).
    line, *lines = re.sub(r"\n[ \t]+", " ", head.decode("utf-8", "replace").replace("\r\n", "\n")).split("\n")
    if len(lines) > MAX_HEADERS:
        raise MalformedMessage(f"more than {MAX_HEADERS} headers", "too_large")
    headers = tuple(_header(each) for each in lines)
    status = _STATUS_LINE.fullmatch(line.strip())
    if status is not None:
        return Response(headers, b"", int(status[1]), (status[2] or "").strip()[:200])
    request = _REQUEST_LINE.fullmatch(line.strip())
    if request is not None:
        return Request(headers, b"", request[1], request[2])
    raise MalformedMessage(f"no start line of SIP/2.0: {line[:80]!r}")


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.strip().lower()
    # Control characters are refused here, so that whatever was read can be written into an answer.
    if not colon or not _NAME.fullmatch(name) or CONTROL.search(value):
        raise MalformedMessage(f"no header: {line[:80]!r}")
    return _COMPACT.get(name, name), value.strip()


def _content_length(message: Message) -> int | None:
    text = message.header("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise MalformedMessage(f"Content-Length: {text[:40]!r}")
    if len(text) > 9:
        raise MalformedMessage(f"Content-Length: {text[:40]}", "too_large")
    return int(text)


def _with_body(message: Request | Response, body: bytes) -> Request | Response:
    if not body:
        return message
    if isinstance(message, Request):
        return Request(message.headers, body, message.method, message.uri)
    return Response(message.headers, body, message.status, message.reason)


# -- writing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialog:
    """Who talks to whom: From, To and Call-ID of a request, the same for every request of a dialog (section 12).

    Addresses with their tags: ``<sip:sentinel@192.0.2.1>;tag=76ab``.
    """

    sender: Address | str
    recipient: Address | str
    call_id: str


def build(
    method: str,
    uri: str,
    dialog: Dialog,
    *,
    via: Via,
    number: int,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Request:
    """A request with the six headers that every request has (8.1.1), and what else is given, in that order.

    ``number`` is that of CSeq.  Content-Length is written by ``encode``.

    Raises:
        ValueError: the method is none.
    """
    if not _METHOD.fullmatch(method):
        raise ValueError(f"no method: {method!r}")
    first = (
        ("via", str(via)),
        ("max-forwards", "70"),
        ("from", str(dialog.sender)),
        ("to", str(dialog.recipient)),
        ("call-id", dialog.call_id),
        ("cseq", f"{number} {method}"),
    )
    return Request(first + tuple((name.lower(), value) for name, value in headers), body, method, uri)


def respond(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    tag: str | None = None,
    source: tuple[str, int] | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """The answer to a request (8.2.6): its Via, From, To, Call-ID and CSeq, and what else is given.

    ``tag`` is added to To where the request had none there; every answer but 100 needs one.  ``source`` is where the
    request came from: it is written into the nearest Via as RFC 3261, 18.2.1 and RFC 3581, 4 tell.

    Raises:
        MalformedMessage: the request's Via cannot be read, where ``source`` is given.
    """
    copied = [("via", value) for value in request.headers_of("via")]
    if source is not None:
        copied = [("via", str(via)) for via in _seen_from(request.vias, source)]
    to = request.header("to") or ""
    if tag is not None and status != 100 and not request.recipient.tag:
        to = f"{to};tag={tag}"
    copied += [
        ("from", request.header("from") or ""),
        ("to", to),
        ("call-id", request.call_id),
        ("cseq", request.header("cseq") or ""),
    ]
    if status < 300:  # 12.1.1: it is a dialog's route
        copied += [("record-route", value) for value in request.headers_of("record-route")]
    said = REASONS.get(status, "") if reason is None else reason
    return Response((*copied, *((name.lower(), value) for name, value in headers)), body, status, said)


def _seen_from(vias: list[Via], source: tuple[str, int]) -> list[Via]:
    if not vias:
        return vias
    nearest, *others = vias
    host, port = source
    added = dict(nearest.parameters)
    if "rport" in added:  # both are told then, even where they are what was sent (RFC 3581, 4)
        added |= {"received": host, "rport": str(port)}
    elif nearest.host != host:
        added["received"] = host
    return [Via(nearest.transport, nearest.host, nearest.port, added), *others]


def reply_address(request: Request, source: tuple[str, int]) -> tuple[str, int]:
    """Where the answer to a datagram goes: back to where it came from, by RFC 3581 or to the port in Via (18.2.2).

    Raises:
        MalformedMessage: the request has no Via, or one that cannot be read.
    """
    vias = request.vias
    if not vias:
        raise MalformedMessage("a request without Via")
    if "rport" in vias[0].parameters:
        return source
    # ``maddr`` is left out on purpose: it would let a stranger choose whom we send to.
    return source[0], vias[0].port or 5060


def new_branch() -> str:
    """A branch that no other transaction has (8.1.1.7)."""
    return BRANCH_COOKIE + secrets.token_hex(12)


def new_tag() -> str:
    """A tag of at least 32 random bits (19.3)."""
    return secrets.token_hex(8)


def new_call_id() -> str:
    """A Call-ID that no other has (8.1.1.4); without a host in it, as that tells strangers our address."""
    return secrets.token_hex(16)
