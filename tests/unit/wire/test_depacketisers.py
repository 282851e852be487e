"""The payload formats: any packetisation of a real stream gives the same access units, and any bytes do no harm."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.wire.rtp import AccessUnit, Depacketiser, Malformed, MediaError, Packet, UnitTooLarge
from sentinel.wire.rtp_h264 import H264Depacketiser
from sentinel.wire.rtp_h265 import H265Depacketiser
from sentinel.wire.rtp_jpeg import JpegDepacketiser
from tests.unit.wire.streams import Choice, encoded, h264_payloads, h265_payloads, nals, packets

Payloads = Callable[[list[bytes], Choice], list[bytes]]

slow_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)


def units_of(depacketiser: Depacketiser, stream: Iterable[Packet]) -> list[AccessUnit]:
    found: list[AccessUnit] = []
    for packet in stream:
        found += depacketiser.push(packet)
    return found + depacketiser.flush()


def whole(_low: int, _high: int) -> int:
    """Every NAL unit in a packet of its own."""
    return 2


def fragmented(low: int, high: int) -> int:
    """Every NAL unit in as many fragments as may be."""
    return 1 if (low, high) == (0, 2) else high


def decoded(codec: str, data: bytes) -> tuple[int, int]:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext)
    [frame] = [*context.decode(av.Packet(data)), *context.decode(None)]
    assert not frame.is_corrupt
    return frame.width, frame.height


@pytest.mark.parametrize("markers", [True, False])
@pytest.mark.parametrize(
    ("codec", "payloads", "make"),
    [("libx264", h264_payloads, H264Depacketiser), ("libx265", h265_payloads, H265Depacketiser)],
)
@slow_machine
@given(data=st.data())
def test_any_packetisation_gives_the_same_units(
    data: st.DataObject, codec: str, payloads: Payloads, make: Callable[[], Depacketiser], *, markers: bool
) -> None:
    pictures = [nals(unit) for unit in encoded(codec)]

    def choose(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    stream = packets([payloads(picture, choose) for picture in pictures], markers=markers)
    units = units_of(make(), stream)
    assert [unit.parts for unit in units] == [tuple(picture) for picture in pictures]
    assert [unit.key for unit in units] == [number % 4 == 0 for number in range(len(pictures))]
    assert all(unit.complete for unit in units)
    assert units[0].size == sum(map(len, pictures[0]))


@pytest.mark.parametrize(
    ("codec", "payloads", "make", "decoder"),
    [
        ("libx264", h264_payloads, H264Depacketiser, "h264"),
        ("libx265", h265_payloads, H265Depacketiser, "hevc"),
    ],
)
def test_the_key_frame_decodes(codec: str, payloads: Payloads, make: Callable[..., Depacketiser], decoder: str) -> None:
    pictures = [nals(unit) for unit in encoded(codec)]
    units = units_of(make(), packets([payloads(picture, fragmented) for picture in pictures]))
    assert decoded(decoder, units[0].data) == (160, 96)
    assert decoded(decoder, units[4].data) == (160, 96)
    # Without parameter sets in the stream, with those of the session description.
    bare = [[one for one in picture if not is_parameter_set(decoder, one)] for picture in pictures]
    sets = [one for one in pictures[0] if is_parameter_set(decoder, one)]
    units = units_of(make(sets), packets([payloads(picture, whole) for picture in bare]))
    assert units[0].complete
    assert decoded(decoder, units[0].data) == (160, 96)
    [*without] = units_of(make(), packets([payloads(bare[0], whole)]))
    assert [(unit.key, unit.complete) for unit in without] == [(True, False)]


def is_parameter_set(decoder: str, nal: bytes) -> bool:
    return nal[0] & 0x1F in {7, 8} if decoder == "h264" else nal[0] >> 1 in {32, 33, 34}


@pytest.mark.parametrize(
    ("codec", "payloads", "make"),
    [("libx264", h264_payloads, H264Depacketiser), ("libx265", h265_payloads, H265Depacketiser)],
)
def test_a_lost_packet_makes_its_unit_incomplete_and_no_other(
    codec: str, payloads: Payloads, make: Callable[[], Depacketiser]
) -> None:
    pictures = [payloads(nals(unit), fragmented) for unit in encoded(codec)]
    sent = packets(pictures)
    sets = sum(1 for payload in pictures[0] if len(payload) < 40) or 1
    for missing in range(sets, len(pictures[0]) + 1):  # once each of the key frame's, and the next picture's first
        depacketiser = make()
        units: list[AccessUnit] = []
        for number, packet in enumerate(sent):
            if number == missing:
                continue
            try:
                units += depacketiser.push(packet, gap=number == missing + 1)
            except Malformed:
                continue
        units += depacketiser.flush()
        hurt = 1 if missing == len(pictures[0]) else 0
        complete = {unit.timestamp // 3600: unit.complete for unit in units}
        assert complete.pop(hurt, False) is False, missing
        assert all(complete.values()), missing


def test_parameter_sets_by_themselves_with_markers_are_no_picture() -> None:
    first = nals(encoded("libx264")[0])
    depacketiser = H264Depacketiser()
    sets = [Packet(96, True, number, 0, 1, nal) for number, nal in enumerate(first[:2])]
    assert [depacketiser.push(packet) for packet in sets] == [[], []]
    stream = packets([first[2:]], sequence=2)
    [unit] = units_of(depacketiser, stream)
    assert unit.complete
    assert unit.parameter_sets == tuple(first[:2])


def test_markers_on_every_slice_need_the_timestamp() -> None:
    first = nals(encoded("libx264")[0])
    stream = [Packet(96, True, number, 0, 1, nal) for number, nal in enumerate(first)]
    pieces = units_of(H264Depacketiser(), stream)
    assert [unit.complete for unit in pieces] == [True, False, False]
    depacketiser = H264Depacketiser()
    depacketiser.assembler.by_marker = False
    [unit] = units_of(depacketiser, stream)
    assert unit.parts == tuple(first)


def test_a_forgotten_end_bit() -> None:
    first = nals(encoded("libx264")[0])
    payloads = [
        bytes([one[0], one[1] & 0xBF]) + one[2:] if one[0] & 0x1F == 28 else one
        for one in h264_payloads(first, fragmented)
    ]
    [unit] = units_of(H264Depacketiser(), packets([payloads]))
    assert unit.parts == tuple(first)


def test_an_intra_picture_without_idr_is_a_key_frame() -> None:
    sps, pps = [nal for nal in nals(encoded("libx264")[0]) if nal[0] & 0x1F in {7, 8}]
    intra, inter = b"\x61\x88\x80", b"\x61\x9a\x00"  # first_mb 0; slice_type 7 (I) and 5 (P)
    units = units_of(H264Depacketiser([sps, pps]), packets([[intra], [inter], [intra, inter]]))
    assert [unit.key for unit in units] == [True, False, False]


def test_donl_is_skipped() -> None:
    picture = nals(encoded("libx265")[0])
    single = [one[:2] + b"\x12\x34" + one[2:] for one in picture[:1]]
    aggregated = b"\x60\x01\x00\x01" + b"\x07".join(len(one).to_bytes(2, "big") + one for one in picture[1:3])
    payloads = [*single, aggregated]
    for one in picture[3:]:
        half = len(one) // 2
        kind = one[0] >> 1
        payloads.append(bytes([0x62, one[1], 0x80 | kind]) + b"\0\1" + one[2:half])
        payloads.append(bytes([0x62, one[1], 0x40 | kind]) + one[half:])
    [unit] = units_of(H265Depacketiser(donl=True), packets([payloads]))
    assert unit.parts == tuple(picture)


@pytest.mark.parametrize(
    ("make", "payload"),
    [
        (H264Depacketiser, b"\x00"),
        (H264Depacketiser, b"\x79\x00\x01"),
        (H264Depacketiser, b"\x78\x00\x09abc"),
        (H264Depacketiser, b"\x78\x00\x00"),
        (H264Depacketiser, b"\x7c"),
        (H264Depacketiser, b"\x7c\x05abc"),
        (H265Depacketiser, b"\x40\x01"),
        (H265Depacketiser, b"\x64\x01\x00\x00"),
        (H265Depacketiser, b"\x60\x01\x00\x02ab"),
        (H265Depacketiser, b"\x62\x01\x13abc"),
        (JpegDepacketiser, b"\0\0\0\0\1\xff\1"),
        (JpegDepacketiser, b"\0\0\0\0\7\x32\1\1"),
        (JpegDepacketiser, b"\0\0\0\0\x41\x32\1\1\0"),
        (JpegDepacketiser, b"\0\0\0\0\1\x64\1\1"),
        (JpegDepacketiser, b"\0\0\0\0\1\x80\1\1\0\0"),
        (JpegDepacketiser, b"\0\0\0\0\1\x80\1\1\0\0\0\x40ab"),
        (JpegDepacketiser, b"\0\0\0\0\1\x80\1\1\0\0\0\0ab"),
        (JpegDepacketiser, b"\0\0\0\0\1\x80\1\1\0\0\0\x20" + b"q" * 40),
        (JpegDepacketiser, b"\0\0\0\0\1\x32\0\0ab"),
        (JpegDepacketiser, b"\0\0\0\5\1\x32\1\1ab"),
    ],
)
def test_what_breaks_the_format(make: Callable[[], Depacketiser], payload: bytes) -> None:
    depacketiser = make()
    with pytest.raises(Malformed):
        depacketiser.push(Packet(96, True, 0, 0, 0, payload))
    assert not any(unit.complete for unit in depacketiser.flush())


def push_all(depacketiser: Depacketiser, payloads: Iterable[bytes]) -> None:
    for payload in payloads:
        depacketiser.push(Packet(96, False, 0, 0, 0, payload))


def test_a_unit_past_the_limit() -> None:
    start, more = b"\x7c\x85" + b"x" * 1000, b"\x7c\x05" + b"x" * 1000
    for make, first, then in (
        (H264Depacketiser, start, more),
        (H264Depacketiser, b"\x65" + b"x" * 1000, b"\x65" + b"x" * 1000),
        (H265Depacketiser, b"\x62\x01\x93" + b"x" * 1000, b"\x62\x01\x13" + b"x" * 1000),
    ):
        with pytest.raises(UnitTooLarge):
            push_all(make(limit=5000), [first, *[then] * 10])
    with pytest.raises(UnitTooLarge):
        push_all(H264Depacketiser(), [b"\x78" + b"\x00\x01\x65" * 400] * 20)
    jpeg = JpegDepacketiser(limit=2000)
    jpeg.push(Packet(26, False, 0, 0, 0, b"\0\0\0\0\1\x32\1\1" + b"x" * 1000))
    with pytest.raises(UnitTooLarge):
        jpeg.push(Packet(26, False, 0, 0, 0, b"\0\0\x03\xe8\1\x32\1\1" + b"x" * 1000))


@pytest.mark.parametrize("make", [H264Depacketiser, H265Depacketiser, JpegDepacketiser])
@settings(max_examples=300)
@given(
    stream=st.lists(
        st.builds(
            Packet,
            st.just(96),
            st.booleans(),
            st.integers(0, 3),
            st.integers(0, 2),
            st.just(1),
            st.binary(max_size=40)
            | st.tuples(
                st.sampled_from(
                    [b"\x7c\x85", b"\x7c\x05", b"\x7c\x45", b"\x62\x01\x93", b"\x62\x01\x53", b"\x67", b"\x42\x01"]
                ),
                st.binary(max_size=20),
            ).map(b"".join),
        ),
        max_size=12,
    ),
    gaps=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_any_payload_is_taken_or_refused(
    make: Callable[[], Depacketiser], stream: list[Packet], gaps: list[bool]
) -> None:
    depacketiser = make()
    for packet, gap in zip(stream, gaps, strict=False):
        try:
            for unit in depacketiser.push(packet, gap=gap):
                assert unit.data
        except MediaError:
            continue
    depacketiser.flush()


@slow_machine
@given(st.data())
def test_damaged_streams_do_no_harm(data: st.DataObject) -> None:
    codec, payloads, make = data.draw(
        st.sampled_from([("libx264", h264_payloads, H264Depacketiser), ("libx265", h265_payloads, H265Depacketiser)])
    )
    depacketiser: Depacketiser = make()
    for packet in packets([payloads(nals(unit), fragmented) for unit in encoded(codec)]):
        payload = bytearray(packet.payload)
        for position in data.draw(st.lists(st.integers(0, min(8, len(payload) - 1)), max_size=2)):
            payload[position] ^= data.draw(st.integers(1, 255))
        try:
            depacketiser.push(replace(packet, payload=bytes(payload)), gap=data.draw(st.booleans()))
        except MediaError:
            continue
    depacketiser.flush()
