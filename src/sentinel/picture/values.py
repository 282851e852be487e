"""What is measured of pictures and of the streams that they come in."""

from __future__ import annotations

from typing import Final

from sentinel.sdk.protocol import Value

PICTURE_VALUES: Final = (
    Value("picture_width_pixels", "px", "Width of the decoded picture."),
    Value("picture_height_pixels", "px", "Height of the decoded picture."),
    Value("picture_size_ratio", "1", "Pixels of the picture to those of the expected size."),
    Value("unexpected_codec", "", "1 where the stream has another codec than is expected, 0 where it has that one."),
    Value("picture_luma_mean_ratio", "1", "Mean brightness, 0 for black to 1 for white.", daily=True),
    Value("picture_luma_peak_ratio", "1", "Brightness that 0.5 % of the picture reach or exceed.", daily=True),
    Value("picture_bright_ratio", "1", "Share of the picture that is next to white.", daily=True),
    Value("picture_uniform_ratio", "1", "Share of the picture that has one colour without any grain.", daily=True),
    Value("picture_test_card_ratio", "1", "Share of the picture in the plain colours of a test card's bars; else 0."),
    Value(
        "picture_sharpness_ratio",
        "1",
        "Steepness of the steepest edges to their height; small where blurred.",
        daily=True,
    ),
    Value("picture_noise_ratio", "1", "Standard deviation of the grain of single pixels, to white.", daily=True),
    Value(
        "picture_cast_ratio",
        "1",
        "Colour of what is nearest to grey, to its light; 0.5 where a colour is lost.",
        daily=True,
    ),
    Value("picture_covered_ratio", "1", "Share of the picture that is one featureless area.", daily=True),
    Value(
        "picture_stripes_ratio", "1", "Share of the picture's contrast that is the same along whole lines.", daily=True
    ),
    Value("picture_still_seconds", "s", "Time for which nothing has changed, not even the grain; 0 where it has."),
)
"""Of every protocol that fetches a picture, by ``examine``."""

STREAM_VALUES: Final = (
    Value("frame_rate_hertz", "Hz", "Pictures a second, by their time stamps (watched for a second at least)."),
    Value("key_frame_interval_seconds", "s", "Longest time between two key frames, by their time stamps."),
    Value("key_frame_bytes", "By", "Size of the key frame that was decoded last."),
    Value("longest_gap_seconds", "s", "Longest time without a new picture, by our clock."),
    Value("watched_seconds", "s", "Time of the stream that was watched, by its time stamps."),
)
"""Of every protocol that receives a stream, by ``Viewing``."""
