"""All that the web needs of the daemon: it reads, and it may ask for a reload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from pydantic import SecretStr

from sentinel.config.configuration import Configuration
from sentinel.config.problems import Problem
from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.evidence import Evidence
from sentinel.domain.incident import Incident
from sentinel.engine.ports import Clock, History
from sentinel.engine.snapshot import Snapshot
from sentinel.sdk.protocol import Call


class Exposition(Protocol):
    """What a scrape reads; see ``sentinel.metrics.exporter.Exporter``."""

    async def scrape(self, accept: str = "", *, gzip: bool = False) -> tuple[str, Sequence[bytes]]:
        """Content type and chunks."""
        ...


class Histories(Protocol):
    """The part of the store that is shown; see ``sentinel.engine.ports.Store``."""

    async def incidents(self, *, open_only: bool = False, since: float = 0.0, limit: int = 500) -> Sequence[Incident]:
        """Newest first."""
        ...

    async def history(self, incident: str) -> History | None:
        """One incident with all that happened to it."""
        ...

    async def exhibit(self, incident: str, number: int) -> Evidence | None:
        """One piece of an incident's evidence; None where there is none."""
        ...

    async def usual(self, check: str, since: float, until: float) -> CheckBaseline:
        """What is usual of a check, learned from the hours that start in [since, until)."""
        ...

    async def undelivered(self) -> Mapping[str, int]:
        """Notices that were given up, by channel."""
        ...


class Calls(Protocol):
    """The protocols that are called; see ``sentinel.app.inboxes.Inboxes``."""

    def takes(self, protocol: str) -> bool:
        """Whether there is such a protocol and it takes calls."""
        ...

    def call(self, protocol: str, call: Call) -> int:
        """The status of the answer to a call of one that takes them."""
        ...


@dataclass(frozen=True, slots=True)
class WebView:
    """Made once by ``app.py``.

    ``configuration`` gives the one in force.  ``not_ready`` gives the reasons why the daemon is not ready, for people;
    empty where it is.  ``reload`` swaps the configuration and gives the problems for which it was refused.
    ``token``: who bears it may read; None where loopback alone is served.  ``external_url``: how browsers reach the
    page, where that is not by address.  ``calls``: who takes calls below ``/<protocol>/``.
    """

    snapshot: Snapshot
    store: Histories
    configuration: Callable[[], Configuration]
    clock: Clock
    not_ready: Callable[[], Sequence[str]]
    reload: Callable[[], Awaitable[Sequence[Problem]]]
    exposition: Exposition
    locale: str = "zh-CN"
    token: SecretStr | None = None
    external_url: str = ""
    calls: Calls | None = None


VIEW = web.AppKey("view", WebView)
