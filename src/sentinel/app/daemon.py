"""The daemon: puts everything together, runs it, swaps the configuration, stops it."""

from __future__ import annotations

import asyncio
import resource
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from sentinel.app.clock import SystemClock
from sentinel.app.emergency import Emergency
from sentinel.app.inboxes import Inboxes
from sentinel.app.services import Services
from sentinel.app.systemd import notify, reloading
from sentinel.app.watchdog import Part, Watchdog
from sentinel.catalog import Catalog
from sentinel.config import ConfigRefused, Configuration, Problem, load, open_catalog
from sentinel.config.fleet import Readdress
from sentinel.domain.incident import Level, Subject, Verdict
from sentinel.domain.rule import Severity
from sentinel.engine.announce import Announcer
from sentinel.engine.delivery import Delivery, Outlet
from sentinel.engine.investigator import Investigator
from sentinel.engine.pipeline import Pipeline
from sentinel.engine.post import open_post
from sentinel.engine.promises import LOCAL, Promises
from sentinel.engine.runner import Runner
from sentinel.engine.scheduler import Entry, Scheduler
from sentinel.engine.snapshot import SlaFigure, Snapshot
from sentinel.metrics.exporter import Exporter
from sentinel.metrics.own import OwnMetrics
from sentinel.metrics.services import ServiceCounters
from sentinel.sdk.net import close_resolver
from sentinel.sdk.protocol import Protocol
from sentinel.sdk.ssh import connections
from sentinel.storage.sqlite import SqliteStore, open_store
from sentinel.web.server import Listener, listening
from sentinel.web.view import WebView

log = structlog.get_logger(__name__)

RESERVED = 256
"""Descriptors that probes leave alone; a third of them where there are few."""


_AT_START = (
    "host",
    "port",
    "tls_cert",
    "tls_key",
    "token",
    "external_url",
    "locale",
    "store",
    "socket",
    "vantage",
    "retention",
)
"""Settings that a reload does not change: what hangs on them is made at the start."""


@dataclass(frozen=True, slots=True)
class Serve:
    """What to run.

    ``readdress`` and ``amend`` are the lab's: they move the fleet to loopback, and set where the demo keeps its data.
    ``ready`` is called once with the wall page's address.
    """

    config: Path
    probes: Path | None = None
    readdress: Readdress | None = None
    amend: Callable[[Configuration], Configuration] | None = None
    ready: Callable[[str], None] | None = None


async def serve(options: Serve, stop: asyncio.Event | None = None) -> None:
    """Run the daemon until SIGTERM, SIGINT or ``stop``.

    Raises:
        ConfigRefused: the configuration has errors.
        StoreRefused: the database cannot be opened.
        ListenRefused: the address is not allowed, or taken.
    """
    _raise_descriptor_limit()
    catalog, configuration = await asyncio.to_thread(_load, options)
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        daemon = configuration.daemon
        stack.push_async_callback(close_resolver)
        store = await stack.enter_async_context(open_store(daemon.store, clock, retention=daemon.retention))
        await stack.enter_async_context(connections())  # kept from one run to the next, also for tunnels alone
        services = await stack.enter_async_context(Services())
        post = await stack.enter_async_context(open_post(clock))
        sentinel = Daemon(options, catalog, configuration, store, services, clock)
        sentinel.delivery = Delivery(store, sentinel.outlets(), clock, post, observe=sentinel.note_delivery)
        emergency = Emergency(
            lambda: store.failing, sentinel.outlets, clock, post, lambda: sentinel.configuration.daemon.locale
        )
        await sentinel.begin()
        stack.callback(sentinel.exporter.close)
        address = await stack.enter_async_context(listening(sentinel.view(), Listener.of(daemon), daemon.socket))
        await sentinel.run(address, emergency, stop or asyncio.Event())


class Daemon:
    """The parts, and what happens between them."""

    delivery: Delivery

    def __init__(
        self,
        options: Serve,
        catalog: Catalog,
        configuration: Configuration,
        store: SqliteStore,
        services: Services,
        clock: SystemClock,
    ) -> None:
        self.configuration = configuration
        self._options = options
        self._catalog = catalog
        self._store = store
        self._services = services
        self._clock = clock
        self._reloading = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None
        self.snapshot = Snapshot()
        self.own = OwnMetrics(CollectorRegistry())
        self.exporter = Exporter(self.snapshot, catalog.protocols, self.own.registry)
        self.scheduler = Scheduler(clock, self._start)
        self.own.watch(self.scheduler, store)
        self.own.registry.register(ServiceCounters(lambda: self._catalog.protocols, services))
        announcer = Announcer(lambda: self.configuration, clock)
        self.pipeline = Pipeline(
            store,
            self.snapshot,
            clock,
            announce=announcer,
            hasten=self.scheduler.hasten,
            new_id=_incident_id,
        )
        announcer.dependents = self.pipeline.dependents
        announcer.untold = lambda: self.pipeline.cases.untold
        self.pipeline.committed = self._wake
        self.runner = Runner(catalog.protocols, services, clock, configuration.daemon.limits, self.pipeline.accept)
        self.runner.finished = self.scheduler.finished
        self.runner.most = _descriptors_to_spare()
        self.inboxes = Inboxes(
            services,
            lambda: self._catalog.protocols,
            lambda: self.configuration.checks,
            self.runner.report,
            self.scheduler.hasten,
            store.remember,
        )
        self.investigator = Investigator(
            services, lambda: self._catalog.protocols, lambda: self.configuration.checks, self.pipeline.add_evidence
        )
        self.pipeline.opened = self.investigator.opened
        self.promises = Promises(
            store, clock, lambda: self.configuration, publish=self._publish, settle=self.pipeline.settle
        )

    # -- start and stop ---------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Restore the state, then take up the configuration: nothing is judged before."""
        restored = await self._store.restore()
        self.pipeline.restore(restored)
        self.inboxes.memories = restored.memories
        await self._services.ensure(self._used(self.configuration))
        self.pipeline.swap(self.configuration)
        rebuilt = self._store.rebuilt
        detail = "" if rebuilt is None else f"{rebuilt.reason}; {rebuilt.quarantine.name}"
        self._tell_of_ourselves("store", detail)

    async def run(self, address: str, emergency: Emergency, stop: asyncio.Event) -> None:
        """Run all tasks until ``stop``, SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        watchdog = Watchdog(
            {
                "scheduler": Part(lambda: self.scheduler.beats, 10.0),
                "pipeline": Part(lambda: self.pipeline.beats, 10.0),
                "writer": Part(lambda: self._store.beats, 20.0),
                "delivery": Part(lambda: self.delivery.beats, 35.0),
            },
            self._clock,
        )
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
                self.scheduler.load(self.configuration.checks.values())
                self.inboxes.attach()
                tasks = [
                    group.create_task(self.scheduler.run(), name="scheduler"),
                    group.create_task(self._tick(), name="tick"),
                    group.create_task(self.delivery.run(), name="delivery"),
                    group.create_task(self.promises.run(), name="promises"),
                    group.create_task(self.exporter.run(), name="exporter"),
                    group.create_task(emergency.run(), name="emergency"),
                    group.create_task(watchdog.run(), name="watchdog"),
                    group.create_task(self.investigator.run(), name="investigator"),
                ]
                log.info("ready", address=address, checks=len(self.configuration.checks))
                notify("READY=1", f"STATUS={len(self.configuration.checks)} checks, {address}")
                if self._options.ready is not None:
                    self._options.ready(address)
                await stop.wait()
                notify("STOPPING=1")
                log.info("stopping")
                for task in tasks:
                    task.cancel()
        finally:
            self._group = None
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)
            await self.runner.stop()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.pipeline.tick()
            self._count()

    # -- configuration ----------------------------------------------------------------------------------------

    async def reload(self) -> Sequence[Problem]:
        """Swap the configuration for what the files say now; the errors for which it was refused, if any."""
        async with self._reloading:
            notify(*reloading())
            try:
                catalog, configuration = await asyncio.to_thread(_load, self._options)
                await self._open_services(catalog, configuration)
            except ConfigRefused as refused:
                for problem in refused.problems:
                    log.error("config.refused", problem=str(problem))  # noqa: TRY400 - the problems say it all
                self.own.reloads.labels("refused").inc()
                self._tell_of_ourselves("config", str(refused.problems[0]))
                return refused.problems
            else:
                self._swap(catalog, configuration)
                return ()
            finally:
                notify("READY=1")

    async def _open_services(self, catalog: Catalog, configuration: Configuration) -> None:
        try:
            await self._services.ensure(self._used(configuration, catalog))
        except OSError as error:
            message = f"what the protocols need cannot be opened: {error.strerror or error}"
            raise ConfigRefused([Problem(str(self._options.config), 1, 1, message)]) from error

    def _swap(self, catalog: Catalog, configuration: Configuration) -> None:
        old = self.configuration
        unchanged = frozenset(
            check
            for check in configuration.checks
            if old.fingerprints.get(check) == configuration.fingerprints.get(check)
        )
        self.configuration, self._catalog = configuration, catalog
        self.runner.limit(configuration.daemon.limits)
        self.runner.use(catalog.protocols)
        self.exporter.use(catalog.protocols)
        self.pipeline.swap(configuration)
        self.scheduler.load(configuration.checks.values(), unchanged=unchanged)
        self.inboxes.attach()
        self.delivery.reload(self.outlets())
        self.promises.hurry()
        self.own.reloads.labels("swapped").inc()
        self._tell_of_ourselves("config", "")
        for setting in _AT_START:
            if getattr(old.daemon, setting) != getattr(configuration.daemon, setting):
                log.warning("config.needs_restart", setting=setting)
        log.info("config.swapped", checks=len(configuration.checks), unchanged=len(unchanged))

    def _reload_soon(self) -> None:
        if self._group is not None:
            self._group.create_task(self.reload(), name="reload")

    def outlets(self) -> Mapping[str, Outlet]:
        """The channels in use, as delivery wants them."""
        return {
            one.id: Outlet(one.id, self._catalog.channels[one.type], one.options)
            for one in self.configuration.channels.values()
        }

    def _used(self, configuration: Configuration, catalog: Catalog | None = None) -> list[Protocol]:
        names = {check.protocol for check in configuration.checks.values() if check.vantage is not None}
        protocols = (catalog or self._catalog).protocols
        return [protocols[name] for name in sorted(names)]

    # -- what the parts say to each other ---------------------------------------------------------------------

    def view(self) -> WebView:
        """What the web reads."""
        daemon = self.configuration.daemon
        return WebView(
            snapshot=self.snapshot,
            store=self._store,
            configuration=lambda: self.configuration,
            clock=self._clock,
            not_ready=self._not_ready,
            reload=self.reload,
            exposition=self.exporter,
            locale=daemon.locale,
            token=daemon.token,
            external_url=daemon.external_url,
            calls=self.inboxes,
        )

    def note_delivery(self, channel: str, result: str, seconds: float | None) -> None:
        """Count an attempt to deliver."""
        self.own.attempts.labels(channel, result).inc()
        if seconds is not None:
            self.own.latency.labels(channel).observe(seconds)

    def _wake(self) -> None:
        self.delivery.wake()

    def _start(self, entries: Sequence[Entry]) -> None:
        self.runner.start(entries)

    def _publish(self, figures: Sequence[SlaFigure]) -> None:
        self.snapshot.sla = figures

    def _not_ready(self) -> list[str]:
        reasons = []
        if self._group is None:
            reasons.append("starting or stopping")
        if self._store.failing:
            reasons.append(f"store: {self._store.failing}")
        return reasons

    def _tell_of_ourselves(self, rule: str, detail: str) -> None:
        """Open an incident of one of ``INTERNAL_RULES`` where there is something to say, end it where not."""
        now = self._clock.now()
        subject = Subject(f"{rule}/daemon", rule, "daemon", "", "Sentinel", {"alertname": rule})
        level = Level.FIRING if detail else Level.OK
        self.pipeline.settle(subject, Verdict(level, Severity.MAJOR, now, now, detail=detail))

    def _count(self) -> None:
        self.own.running.set(self.runner.running)
        for channel, figures in self.delivery.figures.items():
            self.own.queued.labels(channel).set(figures.queued)
            self.own.undelivered.labels(channel).set(figures.undelivered)
            self.own.breaker.labels(channel).set(figures.broken)


def _load(options: Serve) -> tuple[Catalog, Configuration]:
    catalog = open_catalog(options.config, options.probes)
    configuration = load(options.config, options.probes, catalog=catalog, readdress=options.readdress)
    return catalog, configuration if options.amend is None else options.amend(configuration)


def _incident_id(at: float) -> str:
    """Short enough to read out over the telephone: the local day and six hexadecimal digits."""
    return f"{datetime.fromtimestamp(at, LOCAL):%Y%m%d}-{secrets.token_hex(3)}"


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _descriptors_to_spare() -> int:
    """How many probes may hold a descriptor at once: the rest is for the page, the messages and the store.

    A probe that waits for its turn is late; a page that cannot accept is gone when it is needed most.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, limit - len(list(Path("/proc/self/fd").iterdir())) - min(RESERVED, limit // 3))
