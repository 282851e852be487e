"""A few of a platform's channels in each round: availability is the platform's, and each camera says when it was seen.

The channels whose turn it is are looked at one after another (``at_once`` at a time), each with its share of the time.
The round is good where at least ``require_ratio`` of them, and one at least, show a picture.  What stops the very
first of them on its way (no connection, no login) would stop them all: the round ends there, so that a platform that
is down is told at once and no account is locked by a wrong password tried again and again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from sentinel.domain.failure import Failure
from sentinel.domain.target import Target
from sentinel.protocols.rtsp.channels import Channel, ChannelOptions, Rotation
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.retrieve import retrieve
from sentinel.sdk.failures import failure_of
from sentinel.sdk.protocol import ProbeFailed, Run

RESERVE: Final = 0.02
"""Of the time, kept for telling what was found before the deadline strikes."""
NAMED: Final = 10
"""Channels that are named in a failure's detail."""

_PLATFORM: Final = frozenset({"resolve", "connect", "tls", "prepare"})
_MEMORY: Final = "channels"


@dataclass(slots=True)
class Rounds:
    """What is remembered from round to round: the rotation, and when each channel was looked at and seen."""

    rotation: Rotation
    keys: dict[str, str]
    began: float
    looked: dict[str, float] = field(default_factory=dict)
    first_looked: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    last_round: float | None = None

    def measure(self, run: Run, now: float) -> None:
        """How old is what is known of the channels; ``now`` is monotonic seconds."""
        names = [channel.name for channel in self.rotation.channels]
        run.values["channels_total"] = len(names)
        run.values["coverage_ratio"] = len(self.looked) / len(names)
        run.values["oldest_look_seconds"] = max(now - self.looked.get(name, self.began) for name in names)
        for name, first in self.first_looked.items():
            # One that never showed a picture was last seen before we first looked, so its age is that at least.
            run.values[self.keys[name]] = now - self.seen.get(name, first)


@dataclass(slots=True)
class _Look:
    channel: Channel
    failure: Failure | None
    run: Run
    at: float


async def sample(target: Target, options: RtspOptions, channels: ChannelOptions, run: Run) -> None:
    """Look at the channels whose turn it is.

    Raises:
        ProbeFailed: too few showed a picture; the failure is that of most of them, and names them.
    """
    began = time.monotonic()
    rounds = _rounds(options, channels, run, began)
    if rounds.last_round is not None:
        run.values["coverage_seconds"] = rounds.rotation.rounds * (began - rounds.last_round)
    rounds.last_round = began
    looks = await _look_at(rounds.rotation.next(), target, options, channels, run)
    for look in looks:
        if look.failure is None or not look.failure.local:  # what we could not look at has not been looked at
            rounds.looked[look.channel.name] = look.at
            rounds.first_looked.setdefault(look.channel.name, look.at)
        if look.failure is None:
            rounds.seen[look.channel.name] = look.at
    rounds.measure(run, time.monotonic())
    _judge(looks, channels, run)


def _rounds(options: RtspOptions, channels: ChannelOptions, run: Run, now: float) -> Rounds:
    found: Rounds | None = run.memory.get(_MEMORY)
    if found is None:
        # After a restart it goes on about where it would be with a round a minute, and not always at the beginning.
        minutes = int(time.time() // 60)  # noqa: TID251 - not for a duration
        rotation = channels.rotation(options.path, minutes * channels.sample)
        keys = {channel.name: f"last_seen_seconds:{channel.name}" for channel in rotation.channels}
        found = run.memory[_MEMORY] = Rounds(rotation, keys, now)
    return found


async def _look_at(
    chosen: Sequence[Channel], target: Target, options: RtspOptions, channels: ChannelOptions, run: Run
) -> list[_Look]:
    waiting = iter(chosen)
    looks: list[_Look] = []
    left = len(chosen)
    ends = run.deadline - run.left * RESERVE

    async def worker() -> None:
        nonlocal left
        for channel in waiting:
            turns = -(-left // channels.at_once)
            left -= 1
            share = max(0.0, ends - time.monotonic()) / turns
            looks.append(await _one(channel, share, target, options, run))
            if _is_the_platforms(looks):
                _exhaust(waiting)

    async with asyncio.TaskGroup() as group:
        for number in range(channels.at_once):
            group.create_task(worker(), name=f"rtsp channels {number}")
    return looks


async def _one(channel: Channel, share: float, target: Target, options: RtspOptions, run: Run) -> _Look:
    own = Run(time.monotonic() + share, run.service)
    failure: Failure | None = None
    try:
        async with asyncio.timeout(share):
            await retrieve(target, options, channel.path, own)
    except ProbeFailed as failed:
        failure = failed.failure
    except OSError as error:  # TimeoutError, that of its share, is one
        failure = failure_of(own.current, error)
    return _Look(channel, failure, own, time.monotonic())


def _is_the_platforms(looks: Sequence[_Look]) -> bool:
    """Whether what stopped the channels so far is nothing of theirs."""
    return all(
        look.failure is not None and (look.failure.stage in _PLATFORM or look.failure.code == "unauthorized")
        for look in looks
    )


def _exhaust(waiting: Iterator[Channel]) -> None:
    for _ in waiting:
        pass


def _judge(looks: Sequence[_Look], channels: ChannelOptions, run: Run) -> None:
    good = [look for look in looks if look.failure is None]
    told = [(look, look.failure) for look in looks if look.failure is not None]
    bad = [(look, failure) for look, failure in told if not failure.local]
    run.values["channels_sampled"] = len(good) + len(bad)
    run.values["channels_ok"] = len(good)
    run.values["channels_failed"] = len(bad)
    if good:
        run.values["picture_seconds"] = median(look.run.values["picture_seconds"] for look in good)
    for look in looks:
        for name in ("server", "codec"):
            if name in look.run.facts:
                run.facts[name] = look.run.facts[name]
        for name, seconds in look.run.stages.items():
            run.stages[name] = max(run.stages.get(name, 0.0), seconds)  # the slowest channel's
    run.facts["sampled"] = ", ".join(look.channel.name for look in looks)[:500]
    if bad:
        run.facts["failed"] = _named(bad)
    if not good and not bad:  # it was all ours
        raise ProbeFailed(told[0][1])
    if good and len(good) >= channels.require_ratio * (len(good) + len(bad)):
        return
    (stage, code), _ = Counter((failure.stage, failure.code) for _, failure in bad).most_common(1)[0]
    story = f"{len(bad)} of {len(good) + len(bad)} channels show no picture: {_named(bad)}"
    if all(failure.stage in _PLATFORM or failure.code == "unauthorized" for _, failure in bad):
        story = bad[0][1].detail
    run.fail(code, story, stage=stage)


def _named(bad: Sequence[tuple[_Look, Failure]]) -> str:
    named = [f"{look.channel.name} ({failure.stage} {failure.code})" for look, failure in bad[:NAMED]]
    more = f", {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    return (", ".join(named) + more)[:450]
