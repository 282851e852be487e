"""A small estate in virtual time: the real scheduler, runner and pipeline over targets that break by script.

What a probe sees follows from physics alone: a target answers while it and every way to it are up.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from sentinel.config.configuration import Limits
from sentinel.domain.availability import Change, Tally, tally
from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.incident import Incident, Transition
from sentinel.domain.notice import Event, Message, Notice
from sentinel.domain.observation import Observation
from sentinel.domain.rule import Down, Rule, Selector, Severity
from sentinel.domain.target import Check, Target
from sentinel.engine.pipeline import Pipeline
from sentinel.engine.ports import Commit, Restored, Status, StoreFailed
from sentinel.engine.runner import Runner
from sentinel.engine.scheduler import Scheduler
from sentinel.engine.snapshot import Snapshot
from sentinel.sdk.protocol import Options, Protocol, Run

DOWN = Rule("down", "不可用", Selector(), Down(failures=2, of=3), Severity.CRITICAL, retry_interval=2.0)


@dataclass
class VirtualClock:
    """Both clocks are the loop's; ``set_by`` is by how many seconds somebody put the wall clock forward."""

    epoch: float = 1_767_225_600.0
    set_by: float = 0.0

    def now(self) -> float:
        return self.epoch + self.set_by + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class MemoryStore:
    """Keeps every commit; the disk takes ``latency`` seconds, and nothing while ``failing``."""

    latency: float = 0.01
    failing: bool = False
    commits: list[Commit] = field(default_factory=list)
    rolls: int = 0
    sampled: list[tuple[str, float, dict[str, float]]] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def commit(self, commit: Commit) -> asyncio.Future[None]:
        self.commits.append(commit)
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        if self.failing:
            loop.call_later(self.latency, written.set_exception, StoreFailed("the disk is full"))
        else:
            loop.call_later(self.latency, written.set_result, None)
        return written

    def roll(self, *_result: object) -> None:
        self.rolls += 1

    def sample(self, check: str, at: float, values: Mapping[str, float]) -> None:
        self.sampled.append((check, at, dict(values)))

    def restored(self, alive_at: float) -> Restored:
        """What a daemon that starts now would find."""
        incidents = {one.id: one for commit in self.commits for one in commit.incidents}
        retrievals = {one.id: one for commit in self.commits for one in commit.retrievals}
        statuses = {one.check: one for commit in self.commits for one in commit.statuses}
        return Restored(
            tuple(one for one in incidents.values() if one.state == "open"),
            tuple(one for one in retrievals.values() if one.ended_at is None),
            tuple(statuses.values()),
            alive_at,
        )

    @property
    def transitions(self) -> list[Transition]:
        return [one for commit in self.commits for one in commit.transitions]

    @property
    def statuses(self) -> list[Status]:
        return [one for commit in self.commits for one in commit.statuses]


class ScriptOptions(Options):
    """No options."""


def target(name: str, *parents: str, **more: Any) -> Target:
    """A target whose reachability check is ``<name>.ping``."""
    return Target(
        name,
        name,
        "192.0.2.1",
        more.pop("kind", "terminal"),
        "internal",
        parents=parents,
        reachability=f"{name}.ping",
        **more,
    )


def check(of: Target, name: str = "ping", *, interval: float = 10.0, timeout: float = 2.0, **more: Any) -> Check:
    """A check of the scripted protocol, which retrieves a picture unless told otherwise."""
    more.setdefault("retrieves_picture", True)
    return Check(f"{of.id}.{name}", name, of, "script", "script", ScriptOptions(), interval, timeout, "centre", **more)


class Estate:
    """Targets, and what is broken among them."""

    def __init__(self, *checks: Check, rules: Sequence[Rule] = (DOWN,)) -> None:
        self.checks = {one.id: one for one in checks}
        self.targets = {one.target.id: one.target for one in checks}
        self.rules = tuple(rules)
        self.baselines: dict[str, CheckBaseline] = {}
        self.learned: dict[str, frozenset[str]] = {}
        self.broken: set[str] = set()
        self.blind: set[str] = set()
        self.told: list[tuple[float, Event, str, str]] = []
        self.store = MemoryStore()
        self.snapshot = Snapshot()
        self.starts: list[tuple[float, str]] = []
        self.clock = VirtualClock()
        self.defects: list[Exception] = []

    def plan(self) -> Any:
        prints = {name: repr(one) for name, one in self.checks.items()} | {one.id: repr(one) for one in self.rules}
        return SimpleNamespace(
            targets=self.targets,
            checks=self.checks,
            rules=self.rules,
            baselines=self.baselines,
            learned=self.learned,
            fingerprints=prints,
        )

    def answers(self, name: str) -> bool:
        """Whether packets come back from the target: it works and so does some way to it."""
        if name in self.broken:
            return False
        parents = self.targets[name].parents
        return not parents or any(self.answers(parent) for parent in parents)

    async def probe(self, of: Target, _options: ScriptOptions, run: Run) -> None:
        """Answer after 5 ms, or never."""
        self.starts.append((asyncio.get_running_loop().time(), of.id))
        if of.id in self.blind:
            run.fail("no_privilege")
        with run.stage("exchange"):
            await asyncio.sleep(0.005 if self.answers(of.id) else 3600)

    def announce(self, incident: Incident, transition: Transition) -> tuple[Incident, Sequence[Notice]]:
        now = asyncio.get_running_loop().time()
        assert transition.event is not None
        self.told.append((now, transition.event, incident.subject, incident.severity))
        message = Message(
            f"{incident.id}-{transition.seq}", incident.id, transition.event, incident.severity, "", "", {}, {}, 0, None
        )
        return replace(incident, channels=("duty",)), [Notice(incident.id, transition.seq, "duty", message, now)]

    def tape(self) -> list[str]:
        """What was told, in order: ``opened hall-01.ping``."""
        return [f"{event} {subject}" for _, event, subject, _ in self.told]

    async def run(self, script: Callable[[Estate], Awaitable[None]], restored: Restored | None = None) -> Estate:
        """Run the engine while the script lasts."""
        clock = self.clock
        protocol = Protocol("script", ScriptOptions, self.probe)
        scheduler = Scheduler(clock, lambda entries: runner.start(entries))  # noqa: PLW0108 - the runner comes later
        pipeline = self.pipeline = Pipeline(
            self.store,  # type: ignore[arg-type]  # only what the pipeline calls
            self.snapshot,
            clock,
            announce=self.announce,
            hasten=scheduler.hasten,
            new_id=lambda _at: f"i{next(self.store.ids)}",
        )
        runner = Runner(
            {"script": protocol}, {}, clock, Limits(host=10_000, zone=10_000, protocol=10_000), self._accept
        )
        runner.finished = scheduler.finished
        if restored is not None:
            pipeline.restore(restored)
        pipeline.swap(self.plan())
        scheduler.load(self.checks.values())
        self.scheduler = scheduler

        async def ticking() -> None:
            while True:
                await asyncio.sleep(1.0)
                pipeline.tick()

        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(scheduler.run(), name="scheduler"), loop.create_task(ticking(), name="tick")]
        try:
            await script(self)
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await runner.stop()
        assert not self.defects
        return self

    def _accept(self, observation: Observation) -> None:
        if self.defects:
            return  # one is enough to see, and each costs a traceback in the log
        try:
            self.pipeline.accept(observation)
        except Exception as error:
            self.defects.append(error)  # the runner would log it and go on
            raise

    def reload(self, *checks: Check) -> None:
        """Swap to these checks as the daemon does on SIGHUP."""
        old = self.plan().fingerprints
        self.checks = {one.id: one for one in checks}
        self.targets = {one.target.id: one.target for one in checks}
        plan = self.plan()
        unchanged = frozenset(one for one in self.checks if old.get(one) == plan.fingerprints[one])
        self.pipeline.swap(plan)
        self.scheduler.load(self.checks.values(), unchanged=unchanged)

    def seconds(self, check: str, until: float) -> Tally:
        """How long the check was in which state, from the start of virtual time on."""
        epoch = self.clock.epoch
        return tally(
            [Change(one.at, one.state) for one in self.store.statuses if one.check == check], epoch, epoch + until
        )
