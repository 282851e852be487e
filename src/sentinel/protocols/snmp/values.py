"""From what the codec gives to numbers and texts: the profile states the type, because the codec has lost it."""

from __future__ import annotations

import math
import re
import struct

from sentinel.protocols.snmp.datagram import Raw
from sentinel.protocols.snmp.profile import Metric
from sentinel.protocols.snmp.rates import BITS, Counters

LABEL_LENGTH = 64
FACT_LENGTH = 200

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


def text(raw: Raw, length: int = FACT_LENGTH) -> str:
    """One line of printable text, at most ``length`` characters.

    Bytes are UTF-8, else GB 18030 (what Chinese devices send), else hexadecimal.  Control characters, line ends and
    direction marks become spaces: the text comes from a device that may be hostile, and goes to logs and labels.
    """
    if isinstance(raw, bytes):
        raw = raw.removesuffix(b"\x00")
        shown = _decoded(raw[: 4 * length], whole=len(raw) <= 4 * length)
    else:
        shown = "" if raw is None else str(raw)[: 4 * length]
    if not shown.isprintable():
        shown = "".join(letter if letter.isprintable() else " " for letter in shown)
    shown = " ".join(shown.split())
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def _decoded(data: bytes, *, whole: bool) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            if not whole and error.start >= len(data) - 4:  # cut inside a character
                return data[: error.start].decode(encoding)
    return data.hex(":")


def label(raw: Raw) -> str:
    """The name of an item, at most 64 characters; empty where there is none."""
    return text(raw, LABEL_LENGTH)


def measured(
    key: str, metric: Metric, count: float, counters: Counters, now: float, divisor: float | None
) -> float | None:
    """The value that a raw number means, in the metric's unit; None where there is none this round.

    ``now`` is monotonic seconds at the reading; ``divisor`` is the raw number of ``divided_by``.
    """
    if count in metric.invalid:
        return None
    if metric.type in BITS:
        rate = counters.rate(key, metric.type, int(count), now)
        return None if rate is None else rate * metric.scale
    if metric.type == "timeticks":
        return count / 100 * metric.scale
    if metric.type == "enum" and metric.ok:
        return float(int(count) in metric.ok)
    if metric.divided_by is not None:
        return count / divisor * metric.scale if divisor else None
    return count * metric.scale
