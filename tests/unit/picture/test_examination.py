"""One round trip: what is found goes into the run, and what a process says is not trusted."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.picture import (
    PICTURE_VALUES,
    DecoderPool,
    Overloaded,
    PictureOptions,
    Shot,
    Undecodable,
    WorkerDied,
    decoder_pool,
    examine,
    telling,
)
from sentinel.picture.decoding import Answer, Picture
from sentinel.picture.examination import MAX_SHOTS
from sentinel.sdk.protocol import ProbeFailed, Run
from tests.unit.wire.streams import encoded


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    async with decoder_pool() as pool:
        yield pool


class Said(DecoderPool):
    """A pool whose process says something."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[bytes] = []

    async def examine(
        self, codec: str, shots: Sequence[bytes], settings: Mapping[str, Any], traces: bytes, seconds: float
    ) -> Answer:
        assert (codec, traces, seconds) == ("H.264", b"", 10)
        assert len(settings["seconds"]) == len(shots)
        self.asked = list(shots)
        return self.answer


def run() -> Run:
    return Run(time.monotonic() + 10)


async def look(run: Run, pool: DecoderPool, shots: Sequence[Shot], **options: Any) -> Picture:
    return await examine(run, pool, PictureOptions.model_validate(options), "H.264", shots, seconds=10)


async def test_values_facts_and_the_frame_are_in_the_run(pool: DecoderPool) -> None:
    found = run()
    picture = await look(found, pool, [Shot(encoded("libx264")[0])], expected_size="320x192", expected_codec="H.265")
    assert (picture.width, picture.height) == (160, 96)
    assert found.facts == {"codec": "H.264", "profile": "Constrained Baseline"}
    assert (found.values["picture_width_pixels"], found.values["picture_size_ratio"]) == (160, 0.25)
    assert found.values["unexpected_codec"] == 1.0
    assert found.values.keys() <= {value.name for value in PICTURE_VALUES}
    [evidence] = found.evidence
    assert (evidence.kind, evidence.media_type) == ("picture", "image/jpeg")
    assert 500 < len(evidence.data) <= 65_536


async def test_a_picture_that_stands_still_within_a_run_and_after_it(pool: DecoderPool) -> None:
    found, unit = run(), encoded("libx264")[0]
    await look(found, pool, [Shot(unit, seconds) for seconds in (0.0, 4.0, 8.0)])
    assert found.values["picture_still_seconds"] == pytest.approx(8.0)
    await look(found, pool, [Shot(unit)])
    assert 8.0 < found.values["picture_still_seconds"] < 9.0
    await look(found, pool, [Shot(encoded("libx264")[4])])
    assert found.values["picture_still_seconds"] == 0.0


async def test_one_that_cannot_be_decoded_among_others(pool: DecoderPool) -> None:
    unit = encoded("libx264")[0]
    assert (await look(run(), pool, [Shot(b"junk"), Shot(unit, 1.0), Shot(unit[:-3000], 2.0)])).width == 160
    with pytest.raises(Undecodable):
        await look(run(), pool, [Shot(b"junk"), Shot(unit[:-3000], 2.0)])


async def test_what_a_process_says_is_not_trusted() -> None:
    lies = {"took": 1.0, "picture_noise_ratio": float("nan"), "picture_cast_ratio": -1.0, "picture_bright_ratio": 0.5}
    found = run()
    await look(found, Said(Answer(Picture(4, 4, "", ""), lies, b"", b"<script>")), [Shot(b"x")])
    assert found.values == {"picture_width_pixels": 4, "picture_height_pixels": 4, "picture_bright_ratio": 0.5}
    assert found.evidence == []


async def test_the_latest_pictures_are_examined_where_there_are_many() -> None:
    said = Said(Answer(Picture(4, 4, "", "")))
    await look(run(), said, [Shot(bytes([number]), number) for number in range(MAX_SHOTS + 5)])
    assert said.asked == [bytes([number]) for number in range(5, MAX_SHOTS + 5)]


@pytest.mark.parametrize(
    ("error", "code"),
    [(Undecodable("x"), "undecodable"), (WorkerDied("x"), "worker_died"), (Overloaded("x"), "overloaded")],
)
def test_failures_of_the_closed_list(error: Exception, code: str) -> None:
    found = run()
    with pytest.raises(ProbeFailed) as failed, found.stage("picture"), telling(found):
        raise error
    assert (failed.value.failure.stage, failed.value.failure.code) == ("picture", code)


@pytest.mark.parametrize(
    "options",
    [
        {"masks": [[0, 0, 1.1, 0.1]]},
        {"masks": [[0.5, 0, 0.6, 0.1]]},
        {"masks": [[0, 0, 0, 0.1]]},
        {"masks": [[0, 0, 0.1]]},
        {"region": [0, 0.9, 1, 0.2]},
        {"expected_size": "0x0"},
        {"expected_codec": "VP8"},
    ],
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PictureOptions.model_validate(options)
