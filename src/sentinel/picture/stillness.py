"""Does a picture stand still?  A camera that lives never gives the same picture twice: its grain differs.

What an encoder makes of one and the same picture is the same to the last bit wherever it happens to quantise it the
same, and it has only a few ways to; what it makes of a scene where nothing moves is not, because there is grain.  So
a picture stands still where it is seen for the third time among the last few, except for some places: a clock goes on.

The traces of a picture are check sums of small patches of its unscaled luma.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

KEPT: Final = 12
"""A picture that was not among so many is forgotten."""
OFTEN: Final = 3
"""Times that a picture must have been seen: a short recording that is played round and round is no live picture, but
not a frozen one either."""
MOST: Final = 64
"""Patches of a picture that are remembered."""

_HEAD: Final = struct.Struct("!dHHHBB")
_DETAIL = 2.0
"""Standard deviation in levels of a patch that shows anything: an encoder makes others equal, grain or not."""
_EQUAL = 0.8
"""Share of the patches with detail that must be equal."""
_FEWEST = 4
"""Patches with detail, at least: without any nothing can be said."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One picture: seconds at which it was first seen, its size, and the check sum of each patch (0: no detail).

    ``times`` is how often it was seen (255 at most), ``age`` how many pictures ago it was seen last.
    """

    first: float
    width: int
    height: int
    sums: tuple[int, ...]
    times: int = 1
    age: int = 0

    def equals(self, other: Trace) -> bool:
        """Whether both are of one picture."""
        if (self.width, self.height, len(self.sums)) != (other.width, other.height, len(other.sums)):
            return False
        both = [(mine, theirs) for mine, theirs in zip(self.sums, other.sums, strict=True) if mine or theirs]
        return bool(both) and sum(mine == theirs for mine, theirs in both) >= _EQUAL * len(both)


class Stillness:
    """Compares each picture with the last few; ``last`` is how long the newest has stood still, None: untold."""

    def __init__(self, traces: bytes, ago: float) -> None:
        """Go on from an earlier ``packed``, made ``ago`` seconds before the time that ``follow`` calls 0."""
        self.last: float | None = None
        self._seen = [replace(trace, first=trace.first - ago) for trace in _unpacked(traces)]

    def follow(self, patches: npt.NDArray[Any], scale: float, width: int, height: int, seconds: float) -> None:
        """Look at the next picture, ``width`` x ``height``, by its patches (patch, row, column; in ``1 / scale``)."""
        detail = patches[:, ::2, ::2].std(axis=(1, 2), dtype=np.float32) * scale > _DETAIL
        if detail.sum() < _FEWEST:
            self.last, self._seen = None, []
            return
        sums = (zlib.crc32(patch.tobytes()) or 1 if shows else 0 for patch, shows in zip(patches, detail, strict=True))
        trace = Trace(seconds, width & 0xFFFF, height & 0xFFFF, tuple(sums)[:MOST])
        others = [replace(known, age=known.age + 1) for known in self._seen if known.age < KEPT]
        for known in others:
            if known.equals(trace):
                others.remove(known)
                trace = replace(trace, first=known.first, times=min(255, known.times + 1))
                break
        self._seen = [trace, *others]
        self.last = max(0.0, seconds - trace.first) if trace.times >= OFTEN else 0.0

    def packed(self, seconds: float) -> bytes:
        """What the next run goes on from; ``seconds`` is its 0."""
        return b"".join(
            _HEAD.pack(trace.first - seconds, trace.width, trace.height, len(trace.sums), trace.times, trace.age)
            + struct.pack(f"!{len(trace.sums)}I", *trace.sums)
            for trace in self._seen
        )


def _unpacked(data: bytes) -> Iterator[Trace]:
    at = 0
    while at + _HEAD.size <= len(data):
        first, width, height, count, times, age = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + 4 * count > len(data):
            return
        yield Trace(first, width, height, struct.unpack_from(f"!{count}I", data, at), times, age)
        at += 4 * count
