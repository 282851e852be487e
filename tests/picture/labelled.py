"""The labelled set: encoded pictures at full size with what is wrong with them, and how the shipped rules see them."""

import subprocess
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from sentinel.config.document import read
from sentinel.config.problems import Problems
from sentinel.config.sla import read_rules
from sentinel.domain.incident import Level
from sentinel.domain.judge import Window, judge
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Rule, Threshold
from sentinel.picture import decoder
from tests.picture import scenes
from tests.picture.scenes import HEIGHT, WIDTH, Picture
from tests.support.peers import locate

CONFIG = Path(__file__).parents[2] / "config"

RULES = {
    "picture-dark": "dark",
    "picture-bright": "bright",
    "picture-uniform": "uniform",
    "picture-test-card": "test card",
    "picture-frozen": "frozen",
    "picture-snow": "snow",
    "picture-blurred": "blur",
    "picture-colour-cast": "cast",
    "picture-covered": "covered",
    "picture-striped": "stripes",
}
"""What each of the shipped rules looks for."""

STILL_PICTURES = 14
"""Key frames of a clip."""
APART = 2.0
"""Seconds between two of them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Key frames of one camera, ``APART`` seconds apart, and everything that is wrong with it."""

    name: str
    codec: str
    units: tuple[bytes, ...]
    faults: frozenset[str] = field(default_factory=frozenset)


def samples(*, seed: int, bases: Iterable[str] = scenes.BASES, clips: int = 8) -> Iterator[Sample]:
    """All of them, made one after another: real pictures with faults and without, test patterns, and clips."""
    for name in bases:
        for fault, spoil in scenes.FAULTS.items():
            if (name, fault) not in UNTRUE:
                yield _one(seed, name, fault, fault, spoil)
        for light, show in scenes.HEALTHY.items():
            yield _one(seed, name, light, None, show)
    yield from _patterns(seed)
    yield from _clips(clips, seed)


def _random(seed: int, *words: str) -> np.random.Generator:
    """Each sample has its own: it stays as it is whatever others there are."""
    return np.random.default_rng([seed, zlib.crc32(" ".join(words).encode())])


UNTRUE = {
    ("hubble_deep_field", "bright"),  # four times a black sky is a grey one
    ("hubble_deep_field", "cast"),  # an encoder leaves no colour to what is as dark and as small
    ("hubble_deep_field", "blur"),  # stars are points: there are no edges in the sky to be steep
}
"""What cannot be done to a picture."""


def _one(seed: int, name: str, what: str, fault: str | None, make: scenes.Fault) -> Sample:
    random = _random(seed, name, what)
    picture = make(scenes.view(name, random), random)
    if fault != "uniform":
        picture = scenes.grain(picture, float(random.uniform(0.5, 4.0)), random)
    if random.integers(2):
        scenes.caption(picture, 60, 40, random)
    codec = ("h264", "hevc", "mjpeg")[int(random.choice(3, p=(0.7, 0.1, 0.2)))]
    units = encoded([picture], codec, int(random.integers(22, 33)))
    return Sample(f"{what} {name}", codec, tuple(units), frozenset({fault} if fault else ()))


def _clips(count: int, seed: int) -> Iterator[Sample]:
    """Cameras that hang, and the same ones that look at a scene where nothing moves."""
    order = _random(seed, "clips").permutation(CLIPS)
    for number, name in enumerate(order[:count]):
        random = _random(seed, "clip", name)
        light = (scenes.daylight, scenes.night, scenes.infrared)[int(random.integers(3))]
        scene = light(scenes.view(name, random), random)
        sigma = float(random.uniform(0.6, 4.0))
        held = scenes.grain(scene, sigma, random)
        by_rate = number % 2 == 1  # some encoders keep the quality, others the bit rate
        frozen = [_with_clock(held, random) for _ in range(STILL_PICTURES)]
        static = [_with_clock(scenes.grain(scene, sigma, random), random) for _ in range(STILL_PICTURES)]
        quality = int(random.integers(24, 33))
        for fault, pictures in (("frozen", frozen), (None, static)):
            units = encoded(pictures, "h264", quality, between=4 if by_rate else 0)
            what = f"{fault or 'static'} {name} {light.__name__} {sigma:.1f} {'by rate' if by_rate else quality}"
            yield Sample(what, "h264", tuple(units), frozenset({fault} if fault else ()))


def _with_clock(picture: Picture, random: np.random.Generator) -> Picture:
    """The clock of an on-screen display goes on also where the sensor hangs."""
    found = picture.copy()
    found[40:80, 60:360] = 0
    scenes.caption(found, 60, 40, random)
    return found


CLIPS = ("astronaut", "camera", "motorcycle", "rocket", "brick", "coffee", "chelsea", "coins", "gravel", "grass")
"""What they look at."""

PATTERNS = {
    "black": ("dark",),
    "white": ("bright",),
    "blue": ("uniform",),
    "red": ("uniform",),
    "green": ("uniform",),
    "snow": ("snow",),
    "smpte": ("test card",),
    "smpte75": ("test card", "frozen"),
    "smpte100": ("test card",),
    "smpte-rp-219": ("test card",),
}
"""GStreamer's ``videotestsrc``, and what its pictures are."""


def _patterns(seed: int) -> Iterator[Sample]:
    for pattern, faults in PATTERNS.items():
        units = tuple(encoded(gstreamer(pattern, STILL_PICTURES if "frozen" in faults else 1), "h264", 24 + seed % 9))
        yield Sample(f"videotestsrc {pattern}", "h264", units, frozenset(faults))


def gstreamer(pattern: str, count: int) -> list[Picture]:
    """Pictures of ``videotestsrc``, a second apart."""
    caps = f"video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate=1/1"
    command = [locate("gst-launch"), "-q", "videotestsrc", f"pattern={pattern}", f"num-buffers={count}"]
    data = subprocess.run([*command, "!", caps, "!", "fdsink", "fd=1"], check=True, capture_output=True).stdout
    return list(np.frombuffer(data, np.uint8).reshape(count, HEIGHT, WIDTH, 3).copy())


def encoded(pictures: Iterable[Picture], codec: str, quality: int, *, between: int = 0) -> list[bytes]:
    """Key frames of pictures that come once a second, at a constant quality (x264's scale).

    With ``between``, each picture is shown that many times more, as a stream at a rate of 4 Mbit/s.
    """
    context = av.CodecContext.create({"h264": "libx264", "hevc": "libx265", "mjpeg": "mjpeg"}[codec], "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = WIDTH, HEIGHT
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.time_base, context.framerate = Fraction(1, between + 1), Fraction(between + 1)
    context.thread_count = 1 if between else 2  # with several, x264's rate control depends on which is first
    gop = f"keyint={between + 1}:min-keyint={between + 1}:scenecut=0"
    options: dict[str, dict[str, str]] = {
        "h264": {"preset": "ultrafast", "tune": "zerolatency", "x264-params": gop},
        "hevc": {"preset": "ultrafast", "tune": "zerolatency", "x265-params": f"{gop}:log-level=none"},
        "mjpeg": {"huffman": "default"},
    }
    kept = {"b": "4000000", "maxrate": "4000000", "bufsize": "4000000"} if between else {"crf": str(quality)}
    context.options = options[codec] | ({} if codec == "mjpeg" else kept)
    if codec == "mjpeg":
        context.qmin = context.qmax = 2 + (quality - 22) // 2
    packets = []
    for number, picture in enumerate(pictures):
        for repeated in range(between + 1):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=context.pix_fmt)
            frame.pts = number * (between + 1) + repeated
            packets += context.encode(frame)
    return [bytes(packet) for packet in [*packets, *context.encode(None)] if packet.is_keyframe]


def measured(sample: Sample) -> dict[str, float]:
    """What the decoding process says of it."""
    seconds = [APART * number for number in range(len(sample.units))]
    said, _, _ = decoder.examine(sample.codec, sample.units, {"seconds": seconds})
    found: dict[str, float] = said["values"]
    return found


@cache
def rules() -> dict[str, Rule]:
    """The shipped rules about pictures, by what they look for."""
    problems = Problems()
    shipped = read_rules(read(CONFIG / "sla.yaml"), None, problems)
    assert not problems.errors
    return {RULES[rule.id]: rule for rule in shipped if rule.id in RULES}


def judged(values: dict[str, float]) -> frozenset[str]:
    """What the shipped rules find wrong, where every picture is as this one."""
    found = set()
    for fault, rule in rules().items():
        assert isinstance(rule.predicate, Threshold)
        window, level = Window(), None
        for at in range(rule.predicate.of):
            verdict = judge(rule, window, Observation("camera", at, at, 0.0, "centre", Outcome.OK, values=values))
            level = verdict.level if verdict else None
        if level is Level.FIRING:
            found.add(fault)
    return frozenset(found)


@dataclass(slots=True)
class Score:
    """How often a rule was right: pictures that have the fault and are told, told without it, and missed."""

    right: int = 0
    false: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        """Share of what was told that is so."""
        return self.right / max(1, self.right + self.false)

    @property
    def recall(self) -> float:
        """Share of what is so that was told."""
        return self.right / max(1, self.right + self.missed)


def scores(found: Iterable[tuple[Sample, frozenset[str]]]) -> dict[str, Score]:
    """By fault."""
    table = {fault: Score() for fault in RULES.values()}
    for sample, told in found:
        for fault, score in table.items():
            score.right += fault in sample.faults and fault in told
            score.false += fault not in sample.faults and fault in told
            score.missed += fault in sample.faults and fault not in told
    return table


def mistakes(found: Iterable[tuple[Sample, frozenset[str], Any]]) -> list[str]:
    """Which samples were misjudged, for people."""
    return [
        f"{sample.name}: {sorted(sample.faults)} told as {sorted(told)} {values}"
        for sample, told, values in found
        if sample.faults != told
    ]
