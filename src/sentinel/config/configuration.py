"""A configuration that was found good: the domain's targets, checks and rules, and what the daemon needs besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from sentinel.config.problems import Problem
from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.conference import Conference
from sentinel.domain.rule import Rule, Selector, Severity
from sentinel.domain.target import Check, Target
from sentinel.sdk.channel import ChannelOptions
from sentinel.sdk.ssh_login import Login


@dataclass(frozen=True, slots=True)
class Zone:
    """A network; ``vantage`` is who probes in it, None where nobody does (its checks are unobserved).

    ``via`` is the login to the bastion that the vantage goes through, None where it is in that network itself.
    """

    id: str
    name: str
    vantage: str | None
    via: Login | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A venue, a room or a system.

    ``kind`` is ``venue``, ``room``, or of a system ``platform``, ``image`` or ``business``.  ``owner`` is who answers
    for it, ``contact`` how they are reached; ``venue`` is a room's.
    """

    id: str
    name: str
    kind: str
    owner: str
    contact: str = ""
    venue: str | None = None
    placeholder: bool = False


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """A channel in use: ``type`` is the channel's name in the catalog, ``options`` its own model.

    ``public``: it leaves the house, so it carries no address, network name or picture.
    """

    id: str
    type: str
    options: ChannelOptions
    public: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """Which channels are told of incidents of the selected checks with one of these severities.

    Routes are asked in their order; the first that matches is the last, unless it says ``proceed``.
    """

    selector: Selector
    severities: frozenset[Severity]
    channels: tuple[str, ...]
    proceed: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The most probes in flight at once, to one address, in one zone, and of one protocol."""

    host: int = 4
    zone: int = 512
    zones: Mapping[str, int] = field(default_factory=dict)
    protocol: int = 512
    protocols: Mapping[str, int] = field(default_factory=dict)

    def of_zone(self, zone: str) -> int:
        """The limit of one zone."""
        return self.zones.get(zone, self.zone)

    def of_protocol(self, protocol: str) -> int:
        """The limit of one protocol."""
        return self.protocols.get(protocol, self.protocol)


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many seconds figures are kept: those of five minutes and those of an hour.  Transitions stay.

    ``evidence`` is the same for what incidents were opened on; of it there are at most ``evidence_pieces`` pieces of
    ``evidence_size`` bytes together, the oldest go first.  ``values`` is the same for what was measured by the hour,
    for baselines to be learned from; of it there are at most ``values_rows`` rows (one an hour, check and value), and
    what comes until the next housekeeping, 5 minutes at most.
    """

    five_minutes: float = 14 * 86_400.0
    hours: float = 730 * 86_400.0
    evidence: float = 90 * 86_400.0
    evidence_size: int = 256 * 1_048_576
    evidence_pieces: int = 5_000
    values: float = 28 * 86_400.0
    values_rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """``sentinel.yaml``.

    ``vantage`` is this daemon's name as a prober.  ``host`` and ``port`` are where the wall page is served, with TLS
    where ``tls_cert`` and ``tls_key`` are set.  ``token`` guards every address but loopback.
    """

    vantage: str
    host: str
    port: int
    tls_cert: Path | None
    tls_key: Path | None
    token: SecretStr | None
    external_url: str
    locale: Literal["zh-CN", "en"]
    store: Path
    socket: Path
    limits: Limits
    retention: Retention
    site_protocols: bool


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything, consistent in itself; ``warnings`` are what works but was hardly meant.

    By check id: ``baselines`` are what is usual of it, ``learned`` the values that are kept by the hour.
    """

    targets: Mapping[str, Target]
    checks: Mapping[str, Check]
    zones: Mapping[str, Zone]
    venues: Mapping[str, Place]
    rooms: Mapping[str, Place]
    systems: Mapping[str, Place]
    rules: tuple[Rule, ...]
    conferences: tuple[Conference, ...]
    channels: Mapping[str, ChannelConfig]
    routes: tuple[Route, ...]
    daemon: DaemonSettings
    fingerprints: Mapping[str, str]
    warnings: tuple[Problem, ...] = ()
    baselines: Mapping[str, CheckBaseline] = field(default_factory=dict)
    learned: Mapping[str, frozenset[str]] = field(default_factory=dict)
