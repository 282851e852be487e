"""RTCP against the layout of RFC 3550, section 6."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from sentinel.wire.rtcp import (
    DESCRIPTION,
    GOODBYE,
    RECEIVER_REPORT,
    SENDER_REPORT,
    Control,
    Received,
    middle_of_time,
    packets,
    receiver_report,
)


def test_a_report_is_laid_out_as_6_4_2_says() -> None:
    data = receiver_report(7, (Received(0xCAFE, 0.25, 3, 0x1_0005, 90, 0xABCD1234, 1.5),), "sentinel")
    report, description = packets(data)
    assert (report.kind, report.ssrc, description.kind, description.ssrc) == (RECEIVER_REPORT, 7, DESCRIPTION, 7)
    assert struct.unpack("!IIIIII", report.content) == (0xCAFE, 64 << 24 | 3, 0x1_0005, 90, 0xABCD1234, 98_304)
    assert description.content == b"\x01\x08sentinel\0\0"
    assert len(data) % 4 == 0


def test_numbers_stay_within_their_bits() -> None:
    data = receiver_report(1, (Received(1, 1.0, 1 << 40, 1 << 40, 0), Received(2, -1, -5, 0, 0)), "")
    report, _ = packets(data)
    first, second = struct.iter_unpack("!IIIIII", report.content)
    assert first[1] == 255 << 24 | 0x7FFFFF
    assert second[1] == 0xFFFFFB


def test_the_middle_of_a_sender_reports_time() -> None:
    body = struct.pack("!IIIII", 0x1234_5678, 0x9ABC_DEF0, 1, 2, 3)
    assert middle_of_time(Control(SENDER_REPORT, 1, body)) == 0x5678_9ABC
    assert middle_of_time(Control(GOODBYE, 1, body)) is None
    assert middle_of_time(Control(SENDER_REPORT, 1, b"123")) is None


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_left(data: bytes) -> None:
    assert sum(8 + len(one.content) for one in packets(data)) <= len(data)
