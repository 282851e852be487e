"""Does a picture stand still?  A camera that lives never gives the same picture twice: its grain differs.

What an encoder makes of one and the same picture is the same to the last bit wherever it happens to quantise it the
same, and it has only a few ways to, half a dozen where it keeps to a bit rate; what it makes of a scene where nothing
moves is not, because there is grain.  So a picture stands still where two of the latest were seen before, except for
some places: a clock goes on.  A picture that was not seen before ends that, unless the encoder has shown that it has
several ways: then the third one does.

The traces of a picture are check sums of small patches of its unscaled luma.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

KEPT: Final = 8
"""A picture is forgotten when so many others were seen since: a short recording that is played round and round is no
live picture, but not a frozen one either."""
LATEST: Final = 4
"""Pictures that are judged together."""
OFTEN: Final = 2
"""How many of them must have been seen before."""
WAYS: Final = 2
"""Pictures that an encoder has made of one, from which on yet another is no surprise."""
MOST: Final = 64
"""Patches of a picture that are remembered."""

_STATE: Final = struct.Struct("!dB")
_HEAD: Final = struct.Struct("!dHHHB")
_DETAIL = 2.0
"""Standard deviation in levels of a patch that shows anything: an encoder makes others equal, grain or not."""
_EQUAL = 0.8
"""Share of the patches with detail that must be equal."""
_FEWEST = 4
"""Patches with detail, at least: without any nothing can be said."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One picture: seconds at which it was first seen, its size, and the check sum of each patch (0: no detail).

    ``times`` is how often it was seen (255 at most); it is 1 again where something moved.
    """

    first: float
    width: int
    height: int
    sums: tuple[int, ...]
    times: int = 1

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
        self._since = math.inf
        self._latest = 0  # a bit for each, 1 where it had been seen before
        if len(traces) >= _STATE.size:
            self._since, self._latest = _STATE.unpack_from(traces)
            self._since -= ago
        self._seen = [replace(trace, first=trace.first - ago) for trace in _unpacked(traces[_STATE.size :])]

    def follow(self, patches: npt.NDArray[Any], scale: float, width: int, height: int, seconds: float) -> None:
        """Look at the next picture, ``width`` x ``height``, by its patches (patch, row, column; in ``1 / scale``)."""
        detail = patches[:, ::2, ::2].std(axis=(1, 2), dtype=np.float32) * scale > _DETAIL
        if detail.sum() < _FEWEST:
            self.last, self._seen, self._since, self._latest = None, [], math.inf, 0
            return
        sums = (zlib.crc32(patch.tobytes()) or 1 if shows else 0 for patch, shows in zip(patches, detail, strict=True))
        trace = Trace(seconds, width & 0xFFFF, height & 0xFFFF, tuple(sums)[:MOST])
        others = self._seen
        before = next((known for known in others if known.equals(trace)), None)
        if before is not None:
            others = [known for known in others if known is not before]
            trace = replace(trace, first=before.first, times=min(255, before.times + 1))
        self._latest = (self._latest << 1 | (before is not None)) & (1 << LATEST) - 1
        ways = sum(known.first >= self._since for known in others)
        if before is None and self._since < math.inf and ways < WAYS:
            self._latest = 0  # something moved: what was seen before has to be seen anew
            others = [replace(known, times=1) for known in others]
        self._seen = [trace, *others][:KEPT]
        if self._latest.bit_count() >= OFTEN:
            self._since = min([self._since, *(known.first for known in self._seen if known.times > 1)])
            self.last = max(0.0, seconds - self._since)
        else:
            self._since, self.last = math.inf, 0.0

    def packed(self, seconds: float) -> bytes:
        """What the next run goes on from; ``seconds`` is its 0."""
        return _STATE.pack(self._since - seconds, self._latest) + b"".join(
            _HEAD.pack(trace.first - seconds, trace.width, trace.height, len(trace.sums), trace.times)
            + struct.pack(f"!{len(trace.sums)}I", *trace.sums)
            for trace in self._seen
        )


def _unpacked(data: bytes) -> Iterator[Trace]:
    at = 0
    while at + _HEAD.size <= len(data):
        first, width, height, count, times = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + 4 * count > len(data):
            return
        yield Trace(first, width, height, struct.unpack_from(f"!{count}I", data, at), times)
        at += 4 * count
