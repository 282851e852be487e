"""A text that a device sent, for people: a fact, a label, a line of a message."""

from __future__ import annotations

from typing import Final

FACT_LENGTH: Final = 200


def text(raw: str | bytes | float | None, length: int = FACT_LENGTH) -> str:
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
