"""Measuring whatever a decoder may give, at any size, and only what is looked at."""

import math
import time

import av
import numpy as np
import pytest

from sentinel.picture import PICTURE_VALUES
from sentinel.picture.portrait import MAX_BYTES, portrait
from sentinel.picture.survey import Survey

NAMES = {value.name for value in PICTURE_VALUES}


def frame(width: int, height: int, kind: str = "yuv420p", seed: int = 3) -> av.VideoFrame:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=kind)


def values(*frames: av.VideoFrame, **head: object) -> dict[str, float]:
    survey = Survey({"seconds": [], **head}, b"")
    for number, one in enumerate(frames):
        survey.take(one, float(number))
    return survey.values


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (16, 16), (33, 17), (1, 900), (900, 1), (161, 99), (700, 8192)])
@pytest.mark.parametrize(
    "kind", ["yuv420p", "yuv422p", "yuvj444p", "gray", "gray10le", "yuv420p10le", "yuv422p12be", "gbrp", "gbrp10le"]
)
def test_any_size_and_format(size: tuple[int, int], kind: str) -> None:
    one = frame(*size, kind)
    found = values(one, one)
    assert found.keys() <= NAMES
    assert all(math.isfinite(value) and value >= 0 for value in found.values())
    assert all(value <= 1 for name, value in found.items() if name.endswith("_ratio"))
    assert portrait(one).startswith(b"\xff\xd8")


def test_the_largest_picture_that_is_decoded() -> None:
    one = av.VideoFrame(8192, 8192, "yuv420p10le")
    for plane in one.planes:
        plane.update(np.full(plane.buffer_size // 2, 512, "<u2").tobytes())
    started = time.process_time()
    assert values(one)["picture_luma_mean_ratio"] == pytest.approx(0.51, abs=0.02)
    assert len(portrait(one)) <= MAX_BYTES
    assert time.process_time() - started < 3


@pytest.mark.parametrize("kind", ["yuv420p", "yuvj420p", "yuv420p10le", "gray"])
@pytest.mark.parametrize(("level", "ratio"), [(0, 0.0), (128, 0.5), (255, 1.0)])
def test_levels_do_not_depend_on_range_and_depth(kind: str, level: int, ratio: float) -> None:
    pixels = np.full((360, 640, 3), level, np.uint8)
    one = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=kind)
    assert values(one)["picture_luma_mean_ratio"] == pytest.approx(ratio, abs=0.012)


def test_noise_is_measured_in_the_same_unit_at_any_depth() -> None:
    grain = np.random.default_rng(1).normal(128, 12, (360, 640, 1)).clip(0, 255).astype(np.uint8).repeat(3, axis=2)
    one = av.VideoFrame.from_ndarray(grain, format="rgb24")
    found = [
        values(one.reformat(format=kind))["picture_noise_ratio"] for kind in ("yuvj420p", "yuv420p", "yuv420p10le")
    ]
    assert found == pytest.approx([12 / 255] * 3, rel=0.12)


def test_a_mask_hides_a_caption() -> None:
    pixels = np.zeros((360, 640, 3), np.uint8)
    pixels[:36, :320] = 255
    one = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    assert values(one)["picture_luma_peak_ratio"] == 1.0
    assert values(one, masks=[[0, 0, 0.5, 0.11]])["picture_luma_peak_ratio"] == pytest.approx(0.0, abs=0.01)
    assert values(one, region=[0, 0.5, 1, 0.5])["picture_luma_peak_ratio"] == pytest.approx(0.0, abs=0.01)
    assert values(one, region=[0, 0, 0.5, 0.1])["picture_luma_mean_ratio"] == pytest.approx(1.0, abs=0.01)


def test_all_is_masked() -> None:
    found = values(frame(640, 360), masks=[[0, 0, 1, 1]])
    assert "picture_still_seconds" not in found
    assert "picture_sharpness_ratio" not in found


def test_it_stands_still_from_one_request_to_the_next() -> None:
    found, traces = [], b""
    for seed in (3, 3, 3, 4):
        survey = Survey({"seconds": [], "ago": 30.0}, traces)
        survey.take(frame(640, 360, seed=seed), 0.0)
        found.append(survey.values["picture_still_seconds"])
        traces = survey.traces
    assert found == [0.0, 0.0, 60.0, 0.0]
