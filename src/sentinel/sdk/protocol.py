"""The contract of a protocol: one async function and its options, in one file.

    class NtpOptions(Options):
        samples: int = Field(3, ge=1, le=9, description="Packets to send.")

    async def probe(target: Target, options: NtpOptions, run: Run) -> None:
        with run.stage("exchange"):
            run.values["offset_seconds"] = await ask(target, options.samples)

    PROTOCOL = Protocol("ntp", NtpOptions, probe, values=(Value("offset_seconds", "s", "Clock offset."),))

The probe measures and raises; it never judges.  An ``OSError``, ``ssl.SSLError`` or ``TimeoutError`` that leaves a
stage becomes a Failure of that stage; ``run.fail`` says a failure in so many words.  Anything else that escapes is
a defect: the result is UNKNOWN and the traceback is in the log.
"""

from __future__ import annotations

import socket
import sys
import time
import typing
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict

from sentinel.domain.evidence import Evidence
from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check, Target
from sentinel.sdk.failures import failure_of


class Options(BaseModel):
    """Base of every protocol's options: unknown keys are refused, every field has a description.

    Some field names are conventions that the rest of the daemon relies on: ``port`` (int, or None for the protocol's
    own) is the one place of the port; ``listen`` is an address of ours that a service listens on, and moves with the
    fleet's; ``transport``, where there is a choice, is ``udp``, or ``local`` where nothing
    is asked over a network, or something over TCP; secrets are ``pydantic.SecretStr``.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True, use_attribute_docstrings=False
    )

    def rounds(self) -> int:
        """Runs of the check until it has looked at all that it is about; more than one where it takes samples."""
        return 1


@dataclass(frozen=True, slots=True)
class Value:
    """A number that a protocol measures: exported as ``sentinel_<protocol>_<name>``.

    ``name`` is snake_case and ends in its unit where it has one (``_seconds``, ``_bytes``, ``_ratio``, ``_celsius``).
    ``items``: the value exists once for each item, with keys ``name:item`` and a metric label ``item``.
    ``daily``: what is usual of it depends on the hour of the day, so that a baseline is worth learning: the daemon
    keeps what was measured by the hour.  Of other values it does so where a rule compares them with a baseline.
    """

    name: str
    unit: str
    description: str
    items: bool = False
    daily: bool = False


@dataclass(frozen=True, slots=True)
class Counter:
    """What a protocol's service counts since it was opened: exported as ``sentinel_<protocol>_<name>_total``.

    ``label`` names what the counts are kept by (``family``); empty where there is one count for all.
    """

    name: str
    description: str
    label: str = ""


class ProbeFailed(Exception):
    """The probe says how it failed; the runner turns it into the observation's failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.stage}: {failure.code} {failure.detail}".rstrip())
        self.failure = failure


class Tunnel(typing.Protocol):
    """What ``sdk.net`` connects through in a zone that is reached ``via`` a bastion."""

    @property
    def beyond(self) -> Hashable:
        """What tells it from other ways: an address beyond another bastion is another host."""
        ...

    async def dial(self, run: Run, host: str, port: int) -> socket.socket:
        """A connected, non-blocking socket to a name or an address of the far side."""
        ...


@dataclass(slots=True)
class Run:
    """One run of one probe: where it puts what it measures.

    ``deadline`` is on ``time.monotonic()``; the runner enforces it, a probe needs it only to pass on to a worker.
    ``service`` is what the protocol's ``service`` context manager gave.  ``memory`` survives from one run of a
    check to its next (counters that become rates, a session); it starts empty.  ``evidence`` is kept only where the
    result opens an incident or makes it worse.  ``tunnel`` is the way to a zone that is reached through a bastion:
    ``sdk.net`` takes it by itself.
    """

    deadline: float
    service: Any = None
    memory: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    current: str = "probe"
    tunnel: Tunnel | None = None

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Time a stage, in seconds, and turn what the network raises inside it into a failure of that stage."""
        return _Stage(self, name)

    def fail(self, code: str, detail: str = "", *, stage: str | None = None) -> NoReturn:
        """End the probe with a failure of the current stage.

        Raises:
            ProbeFailed: always.
        """
        raise ProbeFailed(Failure(stage or self.current, code, detail[:500]))

    @property
    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - time.monotonic())


class _Stage:
    """A stage while it lasts.  A class: a probe has several, and a generator's context costs twice as much."""

    __slots__ = ("_name", "_outer", "_run", "_started")

    def __init__(self, run: Run, name: str) -> None:
        self._run, self._name = run, name

    def __enter__(self) -> None:
        self._outer, self._run.current = self._run.current, self._name
        self._started = time.monotonic()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        stages, name = self._run.stages, self._name
        stages[name] = stages.get(name, 0.0) + time.monotonic() - self._started
        if error is None:
            self._run.current = self._outer  # else left as it is: a deadline then names the stage it struck
        elif isinstance(error, (OSError, EOFError)):  # ssl.SSLError, TimeoutError, IncompleteReadError are among them
            raise ProbeFailed(failure_of(name, error)) from error


class Inbox(typing.Protocol):
    """Where a protocol's service hands in what nobody asked for: a heartbeat, a trap, a registration.

    For the loop's own thread.  What is handed in after the daemon began to stop is discarded, like any result.
    """

    def checks(self) -> Sequence[Check]:
        """This protocol's checks as configured now, those that no vantage of ours reaches left out."""
        ...

    def report(self, check: str, measurement: Measurement) -> None:
        """Take in a fact about the check with this id, judged, counted and shown as a probe's result is.

        It is no probe: roll-ups and what is judged of ``took`` leave it out, it is no attempt to retrieve a picture,
        and the stage timings that are shown stay the last probe's.  One a second and check is taken; of more that come
        in that second the last, when it is over.  A check that is not this protocol's (any more) is ignored.
        """
        ...

    def hasten(self, check: str) -> None:
        """Have the check's probe run as soon as there is room; its regular times stay.

        It may be another protocol's, where it is of a target that this protocol has a check of, too.
        """
        ...

    def kept(self, check: str) -> Mapping[str, float]:
        """What was kept of the check, over a restart as well; empty where nothing was."""
        ...

    def keep(self, check: str, memory: Mapping[str, float]) -> None:
        """Keep this of the check, in place of what was kept: on the disk within two seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A request that came to the daemon's own web server below ``/<protocol>/``.

    ``path`` is what follows, decoded, at most 256 characters; ``method`` is GET, HEAD or POST, all of the same meaning.
    A body is not read.
    """

    method: str
    path: str


Transport = Literal["icmp", "tcp", "udp", "local"]

Probe = Callable[[Target, Any, Run], Awaitable[None]]
Attach = Callable[[Any, Inbox], None]
Intake = Callable[[Any, Call], int]
Investigate = Callable[[Any, Check], Awaitable[Evidence | None]]
Done = Callable[[Check, Measurement], None]
Sweep = Callable[[Any, Sequence[Check], Done], None]
Count = Callable[[Any], Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a protocol's file declares, in a module constant ``PROTOCOL``.

    ``service`` makes a resource that the daemon holds once for its whole life (a shared socket, a pool of workers):
    an async context manager whose value arrives in ``Run.service``.
    ``attach`` gives that value its ``Inbox``: called with both when the service is open and the configuration is in
    force, and again after each reload, which may have changed ``Inbox.checks()``.  It returns at once.  The probe of a
    protocol that is told things looks at what its service was told, so that silence is measured as well.
    ``intake`` takes a call at the daemon's web server, with the service, and gives the status of the answer; it returns
    at once.  Whoever reaches the server may call it without the API's token: it asks for a secret of its own, and says
    404 to whom does not know one.
    ``investigate`` looks closer at a check on which an incident was opened, with the service: asked once an incident,
    after people were told, within half a minute; what it finds is kept with the incident.
    ``values_of`` adds the values that depend on the options (an SNMP profile's).
    ``sweep`` is for protocols with thousands of cheap exchanges: called with the service, all checks due in a
    tick and ``done``; returns at once; calls ``done`` exactly once for each check, at its deadline at the
    latest.  ``probe`` must measure the same by the same means.
    ``counters`` are what the service counts by itself, beside any check (packets that this host dropped); ``count`` is
    called with the service at each scrape and gives, by counter name, the counts by label value (``""`` without one).
    ``retrieves_picture``: an OK run has retrieved a picture, so the retrieval promise is counted from it; a function
    of the options where some modes do and others do not.  ``picture_seconds`` among its values is when it was there.
    ``needs`` names what the host must allow, for people: "raw socket or ping socket".
    """

    name: str
    options: type[Options]
    probe: Probe
    values: tuple[Value, ...] = ()
    service: Callable[[], AbstractAsyncContextManager[Any]] | None = None
    attach: Attach | None = None
    intake: Intake | None = None
    investigate: Investigate | None = None
    values_of: Callable[[Any], tuple[Value, ...]] | None = None
    sweep: Sweep | None = None
    counters: tuple[Counter, ...] = ()
    count: Count | None = None
    retrieves_picture: bool | Callable[[Any], bool] = False
    needs: str = ""
    transport: Transport = "tcp"

    @property
    def summary(self) -> str:
        """First line of the docstring of the module that holds the probe."""
        return (sys.modules[self.probe.__module__].__doc__ or "").strip().partition("\n")[0]

    def carrier(self, options: Any) -> Transport:
        """What a check with these options is carried by: their own ``transport`` counts, where they have one."""
        chosen = getattr(options, "transport", None)
        return (
            "udp" if chosen == "udp" else "local" if chosen == "local" else self.transport if chosen is None else "tcp"
        )

    def retrieves(self, options: Any) -> bool:
        """Whether a run with these options is an attempt to retrieve a picture."""
        return self.retrieves_picture(options) if callable(self.retrieves_picture) else self.retrieves_picture

    def declared(self, options: Any) -> tuple[Value, ...]:
        """Every value that a check with these options may measure."""
        return self.values + (self.values_of(options) if self.values_of else ())
