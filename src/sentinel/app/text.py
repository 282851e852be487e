"""Text that others wrote, for a log and a terminal: it stays on its line and obeys nobody but us."""

from __future__ import annotations

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
# Marks that turn the direction of the text around them (Unicode TR9) or hide in it, and line separators.
_CONTROL |= {
    code: f"\\u{code:04x}"
    for code in (
        0x061C,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x206A),
        0xFEFF,
        *range(0xD800, 0xE000),  # lone surrogates have no UTF-8
    )
}

_JSON = {code: f"\\u{code:04x}" for code in _CONTROL}


def escape(text: str) -> str:
    """Text that cannot end its line, move the cursor or turn the direction of writing."""
    return text.translate(_CONTROL)


def escape_json(line: str) -> str:
    """The same for a line of JSON, by JSON's own escapes (RFC 8259, 7): it still says what it said."""
    return line.translate(_JSON)
