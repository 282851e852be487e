"""Program streams as independent multiplexers write them, as devices spoil them, and as nobody should."""

import itertools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.wire.mpeg_ps import PACK, ProgramStream
from sentinel.wire.mpeg_ts import TransportStream
from sentinel.wire.rtp import AccessUnit, MediaError, Packet, UnitTooLarge
from tests.support import peers
from tests.unit.wire.muxed import muxed
from tests.unit.wire.streams import encoded, nals

slow_machine = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=40
)
CODECS = [("libx264", "H.264"), ("libx265", "H.265")]
STREAMS = [("vob", ProgramStream), ("mpegts", TransportStream)]


def packets(stream: bytes, size: int = 1_400) -> Iterator[Packet]:
    for number, at in enumerate(range(0, len(stream), size)):
        yield Packet(96, False, number & 0xFFFF, 0, 1, stream[at : at + size])


def units_of(demultiplexer: ProgramStream | TransportStream, stream: bytes, size: int = 1_400) -> list[AccessUnit]:
    found: list[AccessUnit] = []
    for packet in packets(stream, size):
        found += demultiplexer.push(packet)
    return found + demultiplexer.flush()


@pytest.mark.parametrize(("encoder", "codec"), CODECS)
@pytest.mark.parametrize(("container", "make"), STREAMS)
@slow_machine
@given(size=st.integers(1, 3_000))
def test_cut_anywhere_every_picture_comes_out_as_it_went_in(
    container: str, make: Callable[[], ProgramStream | TransportStream], encoder: str, codec: str, size: int
) -> None:
    demultiplexer = make()
    found = units_of(demultiplexer, muxed(encoder, container), size)
    assert demultiplexer.codec == codec
    assert [unit.key for unit in found] == [True, False, False, False, True, False]
    assert all(unit.complete for unit in found)
    for unit, original in zip(found, encoded(encoder), strict=True):
        assert slices(unit.parts, codec) == slices(nals(original), codec)
    stamps = [unit.timestamp for unit in found]
    assert [after - before for before, after in itertools.pairwise(stamps)] == [3_600] * 5  # 25 a second
    assert not demultiplexer.malformed


def slices(parts: tuple[bytes, ...] | list[bytes], codec: str) -> list[bytes]:
    """Without delimiters and parameter sets, which a multiplexer may add."""
    return [nal for nal in parts if (nal[0] & 0x1F <= 5 if codec == "H.264" else nal[0] >> 1 & 0x3F < 32)]


def test_gstreamers_program_stream_declares_its_codec(tmp_path: Path) -> None:
    source, file = tmp_path / "video.h264", tmp_path / "video.ps"
    source.write_bytes(b"".join(encoded("libx264")))
    pipeline = f"filesrc location={source} ! h264parse ! mpegpsmux ! filesink location={file}"
    subprocess.run([peers.require("gst-launch"), "-q", *pipeline.split()], check=True, timeout=15)
    stream = ProgramStream()
    found = units_of(stream, file.read_bytes())
    assert stream.declared == stream.codec == "H.264"
    assert sum(unit.key and unit.complete for unit in found) == 2


def pes(payload: bytes, *, length: int | None = None, stream: int = 0xE0, stamp: int | None = None) -> bytes:
    header = b"\x80\x00\x00"
    if stamp is not None:
        marks = [0x21 | stamp >> 29 & 0x0E, stamp >> 22 & 0xFF, 0x01 | stamp >> 14 & 0xFE, stamp >> 7 & 0xFF]
        header = b"\x80\x80\x05" + bytes([*marks, 0x01 | stamp << 1 & 0xFE])
    body = header + payload
    return b"\x00\x00\x01" + bytes([stream]) + (len(body) if length is None else length).to_bytes(2, "big") + body


PACK_HEADER = PACK + bytes.fromhex("44000400040100000bf8")
FRAMES = encoded("libx264")


@pytest.mark.parametrize("length", [0, 1, 3, 40_000, 0xFFFF])
def test_the_length_of_a_video_packet_does_not_matter(length: int) -> None:
    stream = b"".join(PACK_HEADER + pes(frame, length=length, stamp=9_000) for frame in FRAMES)
    found = units_of(ProgramStream(), stream)
    assert [unit.complete for unit in found] == [True] * len(FRAMES)


def test_a_length_of_sound_that_lies_costs_one_picture_at_most() -> None:
    demultiplexer, found = ProgramStream(), []
    for number, frame in enumerate(FRAMES):
        sound = pes(b"\xd5" * 160, stream=0xC0, length=0xFFFF if number == 0 else None)
        for packet in packets(PACK_HEADER + pes(frame) + sound):
            found += demultiplexer.push(packet)
    found += demultiplexer.flush()
    assert sum(unit.complete for unit in found) >= len(FRAMES) - 1
    assert demultiplexer.malformed == 1
    assert demultiplexer.audio == len(FRAMES)


def test_a_map_that_lies_about_the_codec_is_put_down_and_not_believed() -> None:
    content = bytes.fromhex("e0ff00000004") + b"\x24\xe0\x00\x00" + b"\0\0\0\0"
    stream_map = b"\x00\x00\x01\xbc" + len(content).to_bytes(2, "big") + content
    demultiplexer = ProgramStream()
    units_of(demultiplexer, PACK_HEADER + stream_map + pes(FRAMES[0]) + PACK_HEADER + pes(FRAMES[1]))
    assert (demultiplexer.declared, demultiplexer.codec) == ("H.265", "H.264")


def test_a_gap_spoils_the_picture_it_is_in_and_no_other() -> None:
    demultiplexer, found = ProgramStream(), []
    key = list(packets(PACK_HEADER + pes(FRAMES[0], stamp=1)))
    assert len(key) > 3
    for packet in [key[0], *key[2:]]:
        found += demultiplexer.push(packet, gap=packet is key[2])
    for frame in FRAMES[1:]:
        for packet in packets(PACK_HEADER + pes(frame, stamp=1)):
            found += demultiplexer.push(packet)
    found += demultiplexer.flush()
    whole = [unit for unit in found if unit.complete]
    assert [unit.key for unit in whole] == [False, False, False, True, False]


@pytest.mark.parametrize(("container", "make"), STREAMS)
def test_no_picture_grows_past_its_limit(
    container: str, make: Callable[[int], ProgramStream | TransportStream]
) -> None:
    demultiplexer = make(2_000)
    with pytest.raises(UnitTooLarge):
        units_of(demultiplexer, muxed("libx264", container))


def test_a_nal_unit_that_never_ends_is_not_collected() -> None:
    demultiplexer, refused = ProgramStream(100_000), 0
    demultiplexer.push(Packet(96, False, 0, 0, 1, PACK_HEADER + pes(FRAMES[0][:500])))
    for number in range(1_000):
        try:
            demultiplexer.push(Packet(96, False, number, 0, 1, b"\xff" * 1_400))
        except UnitTooLarge:
            refused += 1
        assert len(demultiplexer.video._nal or b"") <= 110_000
    assert refused


@pytest.mark.parametrize("make", [ProgramStream, TransportStream])
@slow_machine
@given(pieces=st.lists(st.binary(max_size=200), max_size=30), hint=st.sampled_from([b"", PACK, b"G@\0\x10", b"\0\0\1"]))
def test_any_bytes_do_no_harm(
    make: Callable[[], ProgramStream | TransportStream], pieces: list[bytes], hint: bytes
) -> None:
    demultiplexer = make()
    for number, piece in enumerate(pieces):
        try:
            demultiplexer.push(Packet(96, False, number, 0, 1, hint + piece), gap=number % 7 == 3)
        except MediaError:
            pytest.fail("nothing here is large")
    assert len(demultiplexer._buffer) <= 2_048
    demultiplexer.flush()


@pytest.mark.parametrize(("container", "make"), STREAMS)
@slow_machine
@given(data=st.data())
def test_flipped_bytes_do_no_harm(
    container: str, make: Callable[[], ProgramStream | TransportStream], data: st.DataObject
) -> None:
    stream = bytearray(muxed("libx264", container))
    for _ in range(data.draw(st.integers(1, 40))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    units_of(make(), bytes(stream))
