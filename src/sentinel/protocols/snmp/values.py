"""From what the codec gives to numbers and texts: the profile states the type, because the codec has lost it."""

from __future__ import annotations

import math
import re
import struct
from typing import NamedTuple

from sentinel.protocols.snmp.datagram import Raw
from sentinel.protocols.snmp.profile import Metric
from sentinel.protocols.snmp.rates import BITS, Counters
from sentinel.wire.device_text import FACT_LENGTH, text

__all__ = ["ALONE", "Beside", "bits", "label", "measured", "number", "raw_number", "text"]

LABEL_LENGTH = 64

_DECIMAL = re.compile(r"\s*[-+]?\d{1,20}(\.\d{1,20})?\s*")  # UCD-SNMP-MIB's laLoad is a decimal text; bounded: linear

# net-snmp's Opaque wrapping of an IEEE 754 float and double: its agent's asn1.c, ASN_OPAQUE_FLOAT and _DOUBLE.
_OPAQUE = {b"\x9f\x78\x04": (">f", 7), b"\x9f\x79\x08": (">d", 11)}


def number(raw: Raw) -> float | None:
    """A finite number, or None where the value is none: integers, decimal texts, net-snmp's Opaque float.

    An integer stays one: a Counter64 has more digits than a float.
    """
    if type(raw) is int:  # nearly always
        return raw
    if isinstance(raw, bytes):
        layout = _OPAQUE.get(raw[:3])
        if layout and len(raw) == layout[1]:
            raw = float(struct.unpack(layout[0], raw[3:])[0])
        elif len(raw) > FACT_LENGTH or not raw.isascii() or not _DECIMAL.fullmatch(raw.decode("ascii")):
            return None
        else:
            raw = float(raw)
    if isinstance(raw, int | float) and math.isfinite(raw):
        return raw
    return None


def label(raw: Raw) -> str:
    """The name of an item, at most 64 characters; empty where there is none."""
    return text(raw, LABEL_LENGTH)


class Beside(NamedTuple):
    """The raw numbers of what stands beside a value: ``divided_by``'s, and ``discontinuity``'s."""

    divisor: float | None = None
    mark: float | None = None


ALONE = Beside()


def raw_number(metric: Metric, raw: Raw) -> float | None:
    """The raw number of a value of this metric; of bits, how many of those that count are set."""
    if metric.type != "bits":
        return number(raw)
    return float(len(bits(metric, raw))) if isinstance(raw, bytes) else None


def bits(metric: Metric, raw: bytes) -> list[str]:
    """The labels of the bits that are set; bit 0 is the first byte's highest (RFC 2578 section 7.1.4)."""
    return [
        label for bit, label in metric.labels.items() if 0 <= bit < 8 * len(raw) and raw[bit // 8] & (0x80 >> bit % 8)
    ]


def measured(
    key: str, metric: Metric, count: float, counters: Counters, now: float, beside: Beside = ALONE
) -> float | None:
    """The value that a raw number means, in the metric's unit; None where there is none this round.

    ``now`` is monotonic seconds at the reading.
    """
    if count in metric.invalid:
        return None
    if metric.type in BITS:
        rate = counters.rate(key, metric.type, int(count), now, beside.mark)
        if rate is None or metric.divided_by is None:
            return None if rate is None else rate * metric.scale
        return _ratio(rate, beside.divisor, metric.scale)
    if metric.type == "timeticks":
        return count / 100 * metric.scale
    if metric.type == "enum" and metric.ok:
        return float(int(count) in metric.ok)
    if metric.divided_by is not None:
        return _ratio(count, beside.divisor, metric.scale)
    return count * metric.scale


def _ratio(count: float, divisor: float | None, scale: float) -> float | None:
    """Nothing is divided by zero, nor by the negative numbers with which devices say that they don't know."""
    return count / divisor * scale if divisor is not None and divisor > 0 else None
