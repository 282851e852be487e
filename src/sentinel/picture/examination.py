"""Examining pictures: one round trip to a decoding process, and what it says put into the run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sentinel.domain.evidence import Evidence
from sentinel.picture.decoding import MAX_JPEG, DecoderPool, Overloaded, Picture, Undecodable, WorkerDied
from sentinel.picture.options import PictureOptions
from sentinel.picture.values import PICTURE_VALUES
from sentinel.sdk.protocol import Run

MAX_SHOTS: Final = 16
"""Pictures that are examined in one run, at most."""
MAX_SHOTS_BYTES: Final = 48 * 1024 * 1024
"""Bytes of them together, at most."""

_REMEMBERED: Final = "picture"
_MEASURED: Final = frozenset(value.name for value in PICTURE_VALUES)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to decode.

    ``data`` is a key frame as a byte stream with its parameter sets (H.264, H.265: Annex B) or a JPEG file.
    ``seconds`` is its time stamp since the first picture of the run.
    """

    data: bytes
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the next run compares with: traces of the last pictures, and when the last one was (monotonic)."""

    traces: bytes
    at: float


async def examine(
    run: Run, pool: DecoderPool, options: PictureOptions, codec: str, shots: Sequence[Shot], *, seconds: float
) -> Picture:
    """Decode and measure the pictures of one stream within that many seconds; what is found is in the run.

    Returns:
        The last picture that could be decoded.

    Raises:
        Undecodable: none could be.
        WorkerDied: the process ended, and so did the next, not by a crash of the decoder.
        Overloaded: all processes were busy all the time.
        TimeoutError: the decoder did not end; its process has been killed.
    """
    shots = list(shots)[-MAX_SHOTS:]
    while len(shots) > 1 and sum(len(shot.data) for shot in shots) > MAX_SHOTS_BYTES:
        del shots[0]
    memory: _Memory | None = run.memory.get(_REMEMBERED)
    now = time.monotonic()
    settings: dict[str, Any] = {
        "masks": options.masks,
        "region": options.region,
        "seconds": [shot.seconds for shot in shots],
    }
    if memory is not None:
        settings["ago"] = max(0.0, now - shots[-1].seconds - memory.at)  # the last of these pictures is of now
    answer = await pool.examine(
        codec, [shot.data for shot in shots], settings, memory.traces if memory else b"", seconds
    )
    picture = answer.picture
    run.memory[_REMEMBERED] = _Memory(answer.traces, now)
    run.values.update(_expected(options, codec, picture))
    run.values.update({name: value for name, value in answer.values.items() if _sound(name, value)})
    run.facts["codec"] = codec
    if picture.profile:
        run.facts["profile"] = picture.profile
    if answer.jpeg.startswith(b"\xff\xd8") and len(answer.jpeg) <= MAX_JPEG:
        run.evidence.append(Evidence("picture", "image/jpeg", answer.jpeg))
    return picture


@contextmanager
def telling(run: Run) -> Iterator[None]:
    """Make failures of the current stage of what ``examine`` and the pool raise."""
    try:
        yield
    except Undecodable as error:
        run.fail("undecodable", str(error))
    except WorkerDied as error:
        run.fail("worker_died", str(error))
    except Overloaded as error:
        run.fail("overloaded", str(error))


def _expected(options: PictureOptions, codec: str, picture: Picture) -> dict[str, float]:
    found: dict[str, float] = {"picture_width_pixels": picture.width, "picture_height_pixels": picture.height}
    if options.expected_size is not None:
        width, _, height = options.expected_size.partition("x")
        found["picture_size_ratio"] = picture.width * picture.height / (int(width) * int(height))
    if options.expected_codec is not None:
        found["unexpected_codec"] = float(codec != options.expected_codec)
    return found


def _sound(name: str, value: float) -> bool:
    # The process may have been taken over by what it decoded.
    return name in _MEASURED and math.isfinite(value) and 0 <= value < 1e9
