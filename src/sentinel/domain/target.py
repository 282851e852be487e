"""What there is: targets, and the checks that look at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Target:
    """One thing with an address.

    ``parents`` are ids of targets that it hangs on; they are alternatives: the way to it is cut only when all of
    them are down (a redundant uplink is a second parent).  ``reachability`` is the id of the check that says
    whether the target answers at all; None where it has no check.
    """

    id: str
    name: str
    address: str
    kind: str
    zone: str
    venue: str | None = None
    room: str | None = None
    system: str | None = None
    parents: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    reachability: str | None = None
    placeholder: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One probe of one target at an interval.

    ``id`` is ``<target>.<name>``.  ``options`` is the protocol's validated options model.  ``interval`` and
    ``timeout`` are seconds.  ``vantage`` is who probes it, None where no vantage reaches the zone.  ``required``:
    a conference in the target's venue needs it.  ``via`` is the login to the bastion through which the zone is
    reached (``sdk.ssh_login.Login``), None where it is reached directly.  ``retrieves_picture``: a run of it is an
    attempt to retrieve a picture.
    """

    id: str
    name: str
    target: Target
    probe: str
    protocol: str
    options: Any
    interval: float
    timeout: float
    vantage: str | None
    required: bool = False
    via: Any = None
    retrieves_picture: bool = False
