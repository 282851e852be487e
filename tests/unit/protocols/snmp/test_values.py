from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.protocols.snmp.datagram import Raw
from sentinel.protocols.snmp.profile import Metric
from sentinel.protocols.snmp.rates import Counters
from sentinel.protocols.snmp.table import placed
from sentinel.protocols.snmp.values import Beside, bits, label, measured, number, text


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (5, 5),
        (2**64 - 1, 2**64 - 1),
        (1.5, 1.5),
        (b" 0.15\n", 0.15),
        (b"-3", -3.0),
        (b"\x9f\x78\x04" + struct.pack(">f", 0.25), 0.25),
        (b"\x9f\x79\x08" + struct.pack(">d", 0.1), 0.1),
        (b"\x9f\x78\x04" + struct.pack(">f", float("nan")), None),
        (float("inf"), None),
        (b"1e5", None),
        (b"nan", None),
        (b"9" * 5000, None),
        ("\u0663".encode(), None),
        (b"", None),
        ("1.3.6", None),
        (None, None),
    ],
)
def test_a_number(raw: Raw, expected: float | None) -> None:
    assert number(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"eth0", "eth0"),
        (b"eth0\x00", "eth0"),
        ("交换机".encode(), "交换机"),
        ("交换机".encode("gb18030"), "交换机"),
        (b"a\r\n\x1b[31mb", "a [31mb"),
        ("\u202eevil\u2028x".encode(), "evil x"),
        (b"\xff\xff\xff", "ff:ff:ff"),
        ("198.18.0.1", "198.18.0.1"),
        (7, "7"),
        (None, ""),
    ],
)
def test_a_text(raw: Raw, expected: str) -> None:
    assert text(raw) == expected


@given(st.binary(max_size=2000))
def test_a_label_is_one_bounded_printable_line(raw: bytes) -> None:
    shown = label(raw)
    assert len(shown) <= 64
    assert shown.isprintable()


def test_a_text_cut_inside_a_character_stays_utf8() -> None:
    assert text("啊".encode() * 1000, 10) == "啊" * 9 + "…"


@pytest.mark.parametrize(
    ("metric", "count", "divisor", "expected"),
    [
        ({"scale": 0.01}, 250, None, 2.5),
        ({"type": "timeticks"}, 4200, None, 42.0),
        ({"type": "enum", "ok": [1, 2]}, 2, None, 1.0),
        ({"type": "enum", "ok": [1]}, 7, None, 0.0),
        ({"type": "enum"}, 7, None, 7.0),
        ({"divided_by": "1.3.6.1"}, 1, 4, 0.25),
        ({"divided_by": "1.3.6.1"}, 1, 0, None),
        ({"divided_by": "1.3.6.1"}, 1, None, None),
        ({"divided_by": "1.3.6.1"}, 1, -2, None),
        ({"invalid": [-1]}, -1, None, None),
    ],
)
def test_a_value(metric: dict[str, object], count: float, divisor: float | None, expected: float | None) -> None:
    stated = Metric.model_validate({"oid": "1.3.6.1.2.1.1.3.0", **metric})
    assert measured("k", stated, count, Counters(), 0.0, Beside(divisor)) == expected


@pytest.mark.parametrize(
    ("scale", "precision", "expected"),
    [(9, 0, 415.0), (8, 0, 0.415), (9, 1, 41.5), (10, 0, 415_000.0), (0, 0, None), (9, 10, None), (None, 0, None)],
)
def test_the_decimal_point_of_a_sensor(scale: float | None, precision: float | None, expected: float | None) -> None:
    assert placed(415, scale, precision) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("raw", "set_"), [(b"", []), (b"\x80", ["a"]), (b"\x40", []), (b"\x81\x80", ["a", "b", "c"]), (b"\x00\x40", [])]
)
def test_bits_are_counted_from_the_left(raw: bytes, set_: list[str]) -> None:
    metric = Metric.model_validate({"oid": "1.3.6.1", "type": "bits", "labels": {0: "a", 7: "b", 8: "c"}})
    assert bits(metric, raw) == set_
