"""RTP packets and what is missing between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.wire.rtp import Continuity, Malformed, Packet, parse
from tests.unit.wire.streams import raw


def packet(sequence: int, ssrc: int = 1) -> Packet:
    return Packet(96, False, sequence & 0xFFFF, 0, ssrc, b"")


def test_header_extension_padding_and_sources() -> None:
    data = (
        b"\xb2\xe0\x00\x07\x00\x00\x00\x08\x00\x00\x00\x09"
        + b"CSRC" * 2
        + b"\xff\xd8\x00\x01abcd"
        + b"pay"
        + b"\0\0\x03"
    )
    assert parse(data) == Packet(96, True, 7, 8, 9, b"pay", (0xFFD8, b"abcd"))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x60\0\0\0\0\0\0\0\0\0",
        b"\x40" + bytes(11),
        b"\x8f" + bytes(11),
        b"\x90" + bytes(13),
        b"\x90" + bytes(11) + b"\0\0\0\x01abc",
        b"\xa0" + bytes(11) + b"ab\xff",
    ],
)
def test_what_is_no_packet(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)


def test_padding_of_none_and_an_empty_payload() -> None:
    assert parse(b"\xa0" + bytes(11)).payload == b""
    assert parse(b"\xa0" + bytes(11) + b"ab\0").payload == b"ab"


def test_continuity_over_the_wrap() -> None:
    follow = Continuity()
    assert [follow.follow(packet(number)) for number in (65534, 65535, 65536, 65539, 65538, 65540)] == [
        False,
        False,
        False,
        True,
        None,
        False,
    ]
    assert (follow.received, follow.lost, follow.late) == (5, 2, 1)


def test_a_new_source_or_a_jump_is_a_gap_and_no_loss() -> None:
    follow = Continuity()
    assert follow.follow(packet(10)) is False
    assert follow.follow(packet(30_000)) is True
    assert follow.follow(packet(5, ssrc=2)) is True
    assert follow.follow(packet(6, ssrc=2)) is False
    assert follow.lost == 0


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse(data)
    except Malformed:
        return


@given(
    st.builds(
        Packet,
        st.integers(0, 127),
        st.booleans(),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.binary(max_size=40),
    )
)
def test_what_is_written_is_read(one: Packet) -> None:
    assert parse(raw(one)) == one
