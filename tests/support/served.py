"""The real web application over the made-up fleet, on a port of loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from sentinel.catalog import discover
from sentinel.config.configuration import Configuration
from sentinel.config.problems import Problem
from sentinel.domain.incident import Incident
from sentinel.engine.snapshot import Snapshot
from sentinel.metrics.exporter import Exporter
from sentinel.metrics.own import OwnMetrics
from sentinel.web.server import Listener, listening
from sentinel.web.view import WebView
from tests.support import fleet


@dataclass(slots=True)
class Centre:
    """A daemon's insides without an engine: the test is the engine."""

    configuration: Configuration
    snapshot: Snapshot
    made_up: bool = True
    clock: fleet.FixedClock = field(default_factory=fleet.FixedClock)
    store: fleet.Histories = field(default_factory=fleet.Histories)
    reasons: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    reloads: int = 0
    metrics: OwnMetrics = field(default_factory=lambda: OwnMetrics(CollectorRegistry()))
    timing: fleet.Timing = field(default_factory=fleet.Timing)

    def __post_init__(self) -> None:
        """The daemon's own metrics, as app.py wires them."""
        self.metrics.watch(self.timing, self.store)

    @property
    def view(self) -> WebView:
        """What the web reads."""
        protocols = fleet.PROTOCOLS if self.made_up else discover().protocols
        daemon = self.configuration.daemon
        return WebView(
            snapshot=self.snapshot,
            store=self.store,
            configuration=lambda: self.configuration,
            clock=self.clock,
            not_ready=lambda: self.reasons,
            reload=self._reload,
            exposition=Exporter(self.snapshot, protocols, self.metrics.registry),
            locale=daemon.locale,
            token=daemon.token,
            external_url=daemon.external_url,
        )

    async def _reload(self) -> Sequence[Problem]:
        self.reloads += 1
        if not self.problems:
            self.snapshot.swapped()
        return self.problems

    def set_state(self, check: str, state: str) -> None:
        """A check's state changes, as the pipeline does it."""
        shown = self.snapshot.checks[check] = fleet.view(self.snapshot.checks[check].check, state)
        self.snapshot.result(shown)
        self.snapshot.changed(shown)

    def open(self, incident: Incident) -> None:
        """An incident opens or changes, with its history."""
        self.store.kept[incident.id] = fleet.history(incident)
        self.snapshot.incident(incident)


def centre(
    config: Configuration | None = None, *, token: str | None = None, locale: str = "zh-CN", external_url: str = ""
) -> Centre:
    """All is up but what has no vantage; the made-up fleet unless another is given."""
    made_up = config is None
    config = config or fleet.configuration(token=token, locale=locale)
    config = replace(config, daemon=replace(config.daemon, external_url=external_url))
    return Centre(config, fleet.snapshot(config), made_up)


@asynccontextmanager
async def served(one: Centre, *, port: int = 0, control: Path | None = None) -> AsyncIterator[str]:
    """Its address, with the last slash."""
    token = one.configuration.daemon.token
    listener = Listener(port=port, token=SecretStr(token.get_secret_value()) if token else None)
    async with listening(one.view, listener, control) as url:
        yield url
