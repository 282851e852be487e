"""The headers of a JPEG file that RFC 2435 leaves out of its packets (appendices A and B; ITU-T T.81)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

# T.81, tables K.1 and K.2, row by row.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)
_ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda cell: (sum(cell), cell[0] if sum(cell) % 2 else cell[1]),
)

# T.81, tables K.3 to K.6 as one DHT segment: class and table, number of codes of each length, symbols.
_HUFFMAN = bytes.fromhex(
    "0000010501010101010100000000000000000102030405060708090a0b"
    "0100030101010101010101010000000000000102030405060708090a0b"
    "100002010303020403050504040000017d"
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a2526"
    "2728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485"
    "868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6"
    "d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    "1100020102040403040705040400010277"
    "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f1171819"
    "1a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a8283"
    "8485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4"
    "d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)
_FRAME_HEADERS = frozenset({0xC0, 0xC1, 0xC2})


def quantisation_tables(quality: int) -> tuple[bytes, bytes]:
    """The tables for luma and chroma that a quality of 1 to 99 stands for (RFC 2435, 4.2), in zigzag order."""
    factor = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (
        bytes(min(max((table[row][column] * factor + 50) // 100, 1), 255) for row, column in _ZIGZAG)
        for table in (_LUMA, _CHROMA)
    )
    return luma, chroma


def rebuilt_header(kind: int, width: int, height: int, tables: Sequence[bytes], restart: int) -> bytes:
    """All from SOI to the scan.

    ``kind`` is RFC 2435's type: 0 is 4:2:2, 1 is 4:2:0.  ``width`` and ``height`` are pixels.  ``tables`` are one
    or more of 64 bytes, or of 128 with 16 bits a value.  ``restart`` is the interval in blocks, 0 for none.
    """
    parts = [b"\xff\xd8"]
    for number, table in enumerate(tables):
        wide = len(table) == 128
        parts.append(_segment(0xDB, bytes([wide << 4 | number]) + table))
    if restart:
        parts.append(_segment(0xDD, struct.pack("!H", restart)))
    chroma = 1 if len(tables) > 1 else 0
    sampling = 0x22 if kind else 0x21
    components = bytes([1, sampling, 0, 2, 0x11, chroma, 3, 0x11, chroma])
    parts.append(_segment(0xC0, struct.pack("!BHHB", 8, height, width, 3) + components))
    parts.append(_segment(0xC4, _HUFFMAN))
    parts.append(_segment(0xDA, bytes([3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0])))
    return b"".join(parts)


def size_in(segments: bytes) -> tuple[int, int] | None:
    """Width and height of the frame header among JPEG segments, None where there is none."""
    at = 0
    while at + 4 <= len(segments) and segments[at] == 0xFF:
        marker = segments[at + 1]
        if marker in {0xD8, 0xFF}:  # SOI and fill bytes have no length
            at += 2 if marker == 0xD8 else 1
            continue
        if marker in _FRAME_HEADERS and at + 9 <= len(segments):
            height, width = struct.unpack_from("!HH", segments, at + 5)
            return (width, height) if width and height else None
        at += 2 + int.from_bytes(segments[at + 2 : at + 4], "big")
    return None


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack("!BBH", 0xFF, marker, len(content) + 2) + content
