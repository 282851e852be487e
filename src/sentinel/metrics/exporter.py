"""The exposition: each check's lines are made when it changes; a scrape only joins them.

A scrape of 120,000 series by ``prometheus_client.generate_latest`` holds the event loop for about a second, in which
no probe is started or answered.  Here the loop is never held for longer than one slice of the work.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from sentinel.domain.target import Check
from sentinel.engine.snapshot import Snapshot
from sentinel.metrics import promises
from sentinel.metrics.family import Family
from sentinel.metrics.series import FIXED, Exported, Lines, Series, exported
from sentinel.sdk.protocol import Protocol

_Item = TypeVar("_Item")

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_RENDER_SLICE = 64
"""Checks rendered before the loop gets its turn: 64 of 12 series are about 1 ms."""
_JOIN_SLICE = 4096
"""Checks of one family joined before the loop gets its turn: about 0.5 ms."""
_PAUSE = 0.25
"""Seconds between two rounds of rendering: results that come thick and fast are rendered together."""


class Exporter:
    """The series of a snapshot, and of a registry that holds the daemon's own metrics.

    ``run`` keeps them rendered; ``scrape`` brings them up to date, so that it is right even where ``run`` is late.
    """

    def __init__(self, snapshot: Snapshot, protocols: Mapping[str, Protocol], registry: CollectorRegistry) -> None:
        """``protocols`` by name, as the catalogue has them: their values' descriptions become HELP."""
        self._snapshot = snapshot
        self._protocols = protocols
        self._registry = registry
        # A check that becomes unknown since no result came has changed without a result.
        self._feeds = (snapshot.results(), snapshot.changes())
        self._generation: int | None = None
        self._series: dict[str, Series] = {}
        self._families: dict[str, Family] = {family.name: family for family in FIXED}
        self._lines: dict[str, dict[str, str]] = {family.name: {} for family in FIXED}
        self._in: dict[str, tuple[str, ...]] = {}
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._targets: tuple[Family, list[bytes]] = (promises.TARGET, [])
        self._turn = asyncio.Lock()

    def use(self, protocols: Mapping[str, Protocol]) -> None:
        """Take the values' descriptions from these protocols from now on."""
        self._protocols = protocols

    def close(self) -> None:
        """Leave the snapshot's feeds."""
        for feed in self._feeds:
            self._snapshot.leave(feed)

    async def run(self) -> None:
        """Render what changes, until cancelled."""
        while True:
            await self._feeds[0].wait()
            await self._render_changes()
            await asyncio.sleep(_PAUSE)

    async def scrape(self, accept: str = "", *, gzip: bool = False) -> tuple[str, Sequence[bytes]]:
        """Content type and chunks of the whole exposition, in the format that the Accept header prefers.

        With ``gzip`` the chunks are one gzip member (RFC 1952), made in a thread.
        """
        await self._render_changes()
        openmetrics = prefers_openmetrics(accept)
        chunks = [chunk async for chunk in self._chunks(openmetrics=openmetrics)]
        if gzip:
            chunks = await asyncio.to_thread(_gzipped, chunks)
        return (OPENMETRICS if openmetrics else TEXT), chunks

    async def _chunks(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        for name, lines in self._lines.items():
            if not lines:
                continue
            family = self._families[name]
            yield family.openmetrics_header if openmetrics else family.text_header
            for batch in _batches(list(lines.values()), _JOIN_SLICE):
                # A lone surrogate out of a device's answer must not stop the scrape.
                yield "".join(batch).encode("utf-8", "replace")
                await asyncio.sleep(0)
        estate = [
            self._targets,
            *promises.incidents(self._snapshot.incidents.values()),
            *promises.figures(self._snapshot.sla),
        ]
        for family, samples in estate:
            if samples:
                yield family.openmetrics_header if openmetrics else family.text_header
                yield b"".join(samples)
        if openmetrics:
            own: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]  # theirs has no types
            yield own  # it ends with # EOF
        else:
            yield generate_latest(self._registry)

    async def _render_changes(self) -> None:
        async with self._turn:  # of two scrapes at once, the second must wait for what the first took from the feed
            changed = {check for feed in self._feeds for check in feed.take()[0]}
            if self._generation != self._snapshot.generation:
                self._generation = self._snapshot.generation
                changed.update(self._snapshot.checks, self._series)
                self._targets = promises.targets(
                    {view.check.target.id: view.check.target for view in self._snapshot.checks.values()}.values()
                )
            for batch in _batches(changed, _RENDER_SLICE):
                for check in batch:
                    self._render(check)
                await asyncio.sleep(0)

    def _render(self, check: str) -> None:
        view = self._snapshot.checks.get(check)
        if view is None:
            self._series.pop(check, None)
            lines: Lines = {}
        else:
            series = self._series.get(check)
            if series is None or series.check is not view.check:
                series = self._series[check] = Series(view.check, self._values(view.check))
            lines = series.render(view)
        for name, text in lines.items():
            self._lines[name][check] = text
        before, now = self._in.get(check, ()), tuple(lines)
        if before != now:
            for name in set(before).difference(now):
                del self._lines[name][check]
            self._in[check] = self._shapes.setdefault(now, now)  # thousands of checks have the same
        if not lines:
            self._in.pop(check, None)

    def _values(self, check: Check) -> dict[str, Exported]:
        protocol = self._protocols.get(check.protocol)
        if protocol is None:
            return {}
        declared = exported(protocol, check.options)
        for one in declared.values():
            # The first who declares a name gives its help: HELP and TYPE come once a family.
            self._families.setdefault(one.family.name, one.family)
            self._lines.setdefault(one.family.name, {})
        return declared


def prefers_openmetrics(accept: str) -> bool:
    """Whether an Accept header (RFC 9110, 12.5.1) likes OpenMetrics 1.0 at least as well as plain text."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        given = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        if media in best and not (media.startswith("application/") and given.get("version", "1.0.0") != "1.0.0"):
            best[media] = max(best[media], _weight(given.get("q", "1")))
    return best["application/openmetrics-text"] > 0 and best["application/openmetrics-text"] >= best["text/plain"]


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _gzipped(chunks: Iterable[bytes]) -> list[bytes]:
    # Level 1: series are so alike that more effort gains little; 31 is zlib's way to ask for a gzip header.
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    return [part for chunk in chunks if (part := compressor.compress(chunk))] + [compressor.flush()]
