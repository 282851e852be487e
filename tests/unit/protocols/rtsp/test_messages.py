"""RTSP messages out of bytes, in whatever pieces they come."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.protocols.rtsp.messages import Frame, Parser, Response, RtspFailure, ServerRequest, request_bytes

LIMIT = 4096
SAMPLE = (
    b"\r\n\r\nRTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4\r\nX-Folded: a\r\n b\r\n\r\nv=0\n"
    b"$\x01\x00\x03abc"
    b"OPTIONS rtsp://192.0.2.1/ RTSP/1.0\nCSeq: 9\n\n"
    b"$\x00\x00\x00"
    b"RTSP/1.0 404\r\nno colon here\r\nWWW-Authenticate: a\r\nwww-authenticate: b\r\n\r\n"
)


def items(pieces: list[bytes]) -> list[object]:
    parser = Parser(LIMIT)
    found: list[object] = []
    for piece in pieces:
        parser.feed(piece)
        while (item := parser.next()) is not None:
            found.append(item)
    return found


def test_a_conversation() -> None:
    first, frame, request, empty, last = items([SAMPLE])
    assert isinstance(first, Response)
    assert (first.status, first.reason, first.body, first.sequence, first.ok) == (200, "OK", b"v=0\n", 1, True)
    assert first.header("x-folded") == "a b"
    assert frame == Frame(1, b"abc")
    assert isinstance(request, ServerRequest)
    assert (request.method, request.sequence) == ("OPTIONS", 9)
    assert empty == Frame(0, b"")
    assert isinstance(last, Response)
    assert (last.status, last.reason, last.sequence, last.ok) == (404, "", None, False)
    assert last.headers_of("www-authenticate") == ["a", "b"]


@given(st.lists(st.integers(0, len(SAMPLE)), max_size=30).map(sorted))
def test_the_pieces_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *cuts, len(SAMPLE)]
    assert items([SAMPLE[a:b] for a, b in itertools.pairwise(edges)]) == items([SAMPLE])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\x00abc", "protocol_error"),
        (b"HTTP/1.1 400 Bad Request\r\n", "protocol_error"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "protocol_error"),
        (b"RTSP/1.0 200 OK" + b"x" * LIMIT, "too_large"),
        (b"RTSP/1.0 200 OK\r\n" + b"X: endless\r\n" * 400, "too_large"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 4294967295\r\n\r\n", "too_large"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n", "too_large"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", "protocol_error"),
        (b"RTSP/1.0 two hundred\r\n\r\n", "protocol_error"),
        (b"OPTIONS without version\r\n\r\n", "protocol_error"),
    ],
)
def test_what_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(RtspFailure) as failed:
        items([data])
    assert failed.value.code == code


def test_a_short_beginning_waits_for_more() -> None:
    assert items([b"R", b"TSP", b"/"]) == []


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([b"RTSP/1.0 200 OK\r\n", b"\r\n\r\n", b"$\0\0\4"]), max_size=8)
)
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    try:
        items(pieces)
    except RtspFailure as failure:
        assert failure.code in {"protocol_error", "too_large"}  # noqa: PT017 - the other way is no failure at all


def test_a_request() -> None:
    assert request_bytes("PLAY", "rtsp://h/", [("CSeq", "4")]) == b"PLAY rtsp://h/ RTSP/1.0\r\nCSeq: 4\r\n\r\n"
