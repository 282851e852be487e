"""Bits of NAL units, and the bounds of what is kept of them."""

import pytest

from sentinel.wire.nal import MAX_PARAMETER_SETS, exp_golomb, unescaped
from sentinel.wire.rtp import Malformed, Packet
from sentinel.wire.rtp_h264 import H264Depacketiser
from sentinel.wire.rtp_h265 import H265Depacketiser


@pytest.mark.parametrize(
    ("bits", "value"), [("1", 0), ("010", 1), ("011", 2), ("00100", 3), ("00111", 6), ("000010001", 16)]
)
def test_exp_golomb(bits: str, value: int) -> None:  # H.264, table 9-2
    padded = ("101" + bits).ljust(24, "0")
    data = int(padded, 2).to_bytes(3, "big")
    assert exp_golomb(data, 3) == (value, 3 + len(bits))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x01", bytes(20)])
def test_codes_that_do_not_end(data: bytes) -> None:
    with pytest.raises(Malformed):
        exp_golomb(data, 0)


def test_emulation_prevention() -> None:
    assert unescaped(b"\x67\0\0\3\1\0\0\3") == b"\x67\0\0\1\0\0"


def code(value: int) -> str:
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def picture_parameters(number: int) -> bytes:
    bits = code(number)
    return b"\x68" + int(bits.ljust(24, "1"), 2).to_bytes(3, "big")


def test_no_more_parameter_sets_than_the_limit() -> None:
    sets = [
        b"",
        b"\x67\x42\x00\x1e\x80",
        *(picture_parameters(number) for number in range(100)),
        b"\x68" + b"\xff" * 5000,
    ]
    [unit] = H264Depacketiser(sets).push(Packet(96, True, 0, 0, 0, b"\x65\x80"))
    assert len(unit.parameter_sets) == MAX_PARAMETER_SETS
    assert all(len(one) < 10 for one in unit.parameter_sets)


def test_a_newer_parameter_set_replaces_the_one_with_its_id() -> None:
    depacketiser = H264Depacketiser([b"\x67\x42\x00\x1e\x80", b"\x68\x80\x01"])
    depacketiser.push(Packet(96, False, 0, 0, 0, b"\x68\x80\x02"))
    [unit] = depacketiser.push(Packet(96, True, 1, 0, 0, b"\x65\x80"))
    assert unit.parameter_sets == (b"\x67\x42\x00\x1e\x80", b"\x68\x80\x02")


def test_the_id_of_an_h265_sps_stands_behind_its_sub_layers() -> None:
    # Two sub-layers below the highest: the first with a profile and a level, the second with a level alone.
    general = b"\x01" + b"\x60\0\0\0" + b"\x90\0\0\0\0\0" + b"\x5d"
    one, two = (
        b"\x42\x01" + bytes([0x04]) + general + b"\xd0\x00" + bytes(11) + b"\x5d" + b"\x5d" + tail
        for tail in (b"\xa0\x01", b"\x60\x01")  # ids 0 and 2
    )
    from_description = H265Depacketiser([b"\x40\x01\x0c\x01", one, two, b"\x44\x01\xc1"])
    [unit] = from_description.push(Packet(96, True, 0, 0, 0, b"\x26\x01\xaf"))
    assert unit.complete
    assert unit.parameter_sets == (b"\x40\x01\x0c\x01", one, two, b"\x44\x01\xc1")
