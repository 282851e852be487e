"""JPEG over RTP: the file that is made of packets decodes to the picture that was sent."""

import struct

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from sentinel.wire.jpeg_headers import quantisation_tables, rebuilt_header, size_in
from sentinel.wire.rtp import AccessUnit, Malformed, Packet
from sentinel.wire.rtp_jpeg import JpegDepacketiser
from tests.unit.wire.streams import encoded, jpeg_payloads, packets


def luma(picture: bytes) -> np.ndarray:
    context = av.CodecContext.create("mjpeg", "r")
    assert isinstance(context, VideoCodecContext)
    context.options = {"err_detect": "explode"}
    [frame] = [*context.decode(av.Packet(picture)), *context.decode(None)]
    return frame.to_ndarray()


def units_of(depacketiser: JpegDepacketiser, stream: list[Packet]) -> list[AccessUnit]:
    return [unit for packet in stream for unit in depacketiser.push(packet)] + depacketiser.flush()


@pytest.mark.parametrize("markers", [True, False])
def test_the_picture_is_the_one_that_was_sent(*, markers: bool) -> None:
    pictures = encoded("mjpeg")
    units = units_of(JpegDepacketiser(), packets([jpeg_payloads(one) for one in pictures], markers=markers))
    assert len(units) == len(pictures)
    for unit, picture in zip(units, pictures, strict=True):
        assert unit.key
        assert unit.complete
        assert np.array_equal(luma(unit.data), luma(picture))


def test_a_lost_fragment_costs_its_picture_only() -> None:
    pictures = [jpeg_payloads(one) for one in encoded("mjpeg")]
    stream = packets(pictures)
    del stream[2]
    depacketiser = JpegDepacketiser()
    units: list[AccessUnit] = []
    for number, packet in enumerate(stream):
        try:
            units += depacketiser.push(packet, gap=number == 2)
        except Malformed:
            continue
    assert [unit.timestamp // 3600 for unit in units] == [1, 2, 3, 4, 5]


def test_quality_50_is_the_standard_table() -> None:
    luma_table, chroma_table = quantisation_tables(50)
    assert list(luma_table[:10]) == [16, 11, 12, 14, 12, 10, 16, 14, 13, 14]  # T.81 K.1 in zigzag order
    assert list(chroma_table[:10]) == [17, 18, 18, 24, 21, 24, 47, 26, 26, 47]
    assert luma_table[-1] == 99
    assert set(quantisation_tables(99)[0]) == {1, 2}
    assert max(quantisation_tables(1)[0]) == 255


def test_tables_are_remembered_by_their_quality_but_255() -> None:
    depacketiser = JpegDepacketiser()
    tables = bytes(range(1, 65)) * 2
    head = b"\0\0\0\0\1"
    sent = Packet(26, True, 0, 0, 0, head + b"\x80\2\2\0\0\0\x80" + tables + b"scan")
    [first] = depacketiser.push(sent)
    [second] = depacketiser.push(Packet(26, True, 1, 1, 0, head + b"\x80\2\2\0\0\0\0scan"))
    assert first.data == second.data
    depacketiser.push(Packet(26, True, 2, 2, 0, head + b"\xff\2\2\0\0\0\x80" + tables + b"scan"))
    with pytest.raises(Malformed):
        depacketiser.push(Packet(26, True, 3, 3, 0, head + b"\xff\2\2\0\0\0\0scan"))


def test_wide_tables_and_one_table() -> None:
    wide = Packet(26, True, 0, 0, 0, b"\0\0\0\0\1\xff\2\2\0\1\0\xc0" + b"\0\1" * 64 + b"\1" * 64 + b"scan")
    [unit] = JpegDepacketiser().push(wide)
    assert b"\xff\xdb\x00\x83\x10" in unit.data
    assert b"\xff\xdb\x00\x43\x01" in unit.data
    one = Packet(26, True, 0, 0, 0, b"\0\0\0\0\1\xff\2\2\0\0\0\x40" + b"\1" * 64 + b"scan")
    [unit] = JpegDepacketiser().push(one)
    assert unit.data.count(b"\xff\xdb") == 1


def test_restart_markers() -> None:  # 3.1.7
    payload = b"\0\0\0\0\x41\x32\2\2" + b"\0\x10\xff\xff" + b"scan"
    [unit] = JpegDepacketiser().push(Packet(26, True, 0, 0, 0, payload))
    assert b"\xff\xdd\x00\x04\x00\x10" in unit.data
    assert unit.data.endswith(b"scan\xff\xd9")


def test_pictures_past_2040_pixels() -> None:
    payload = b"\0\0\0\0\1\x32\0\0scan"
    [unit] = JpegDepacketiser((2560, 1440)).push(Packet(26, True, 0, 0, 0, payload))
    assert size_in(unit.data) == (2560, 1440)
    extension = rebuilt_header(1, 3840, 2160, quantisation_tables(50), 0)
    [unit] = JpegDepacketiser().push(Packet(26, True, 0, 0, 0, payload, (0xFFD8, extension)))
    assert size_in(unit.data) == (3840, 2160)
    with pytest.raises(Malformed):
        JpegDepacketiser((70_000, 10)).push(Packet(26, True, 0, 0, 0, payload, (0xFFD8, b"")))


@pytest.mark.parametrize(
    "segments", [b"", b"\xff", b"\xff\xc0\x00\x11\x08", b"\xff\xff\xff\xd8ab", b"\xff\xc0" + bytes(20)]
)
def test_no_size(segments: bytes) -> None:
    assert size_in(segments) is None


def test_restart_interval_and_sampling() -> None:
    header = rebuilt_header(0, 16, 8, [bytes(64)], 4)
    assert b"\xff\xdd\x00\x04\x00\x04" in header
    at = header.index(b"\xff\xc0")
    assert struct.unpack_from("!HH", header, at + 5) == (8, 16)
    assert header[at + 11] == 0x21
