"""What protocols are told without having asked: their services' inboxes, and their calls at the web server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.engine.inbox import Memories, ProtocolInbox
from sentinel.sdk.protocol import Call, Protocol

log = structlog.get_logger(__name__)


class Inboxes:
    """One inbox for each open service whose protocol takes one.

    ``plan`` gives the checks in force, ``protocols`` the catalogue's by name; ``memories`` is what the store restored.
    """

    def __init__(
        self,
        services: Mapping[str, Any],
        protocols: Callable[[], Mapping[str, Protocol]],
        plan: Callable[[], Mapping[str, Check]],
        report: Callable[[Check, Measurement], None],
        hasten: Callable[[str], None],
        remember: Callable[[str, Mapping[str, float]], None],
    ) -> None:
        self._services = services
        self._protocols = protocols
        self._plan = plan
        self._report = report
        self._hasten = hasten
        self._remember = remember
        self._inboxes: dict[str, ProtocolInbox] = {}
        self.memories: Memories = {}

    def attach(self) -> None:
        """Give each open service its protocol's inbox, and word of what there is to report on now."""
        for name, service in self._services.items():
            protocol = self._protocols().get(name)
            if protocol is None or protocol.attach is None:
                continue
            inbox = self._inboxes.get(name)
            if inbox is None:
                inbox = self._inboxes[name] = ProtocolInbox(
                    name, self._plan, self._report, self._hasten, self._remember, self.memories
                )
            try:
                protocol.attach(service, inbox)
            except Exception:  # its checks hear nothing then; the others must not pay for it
                log.exception("attach.defect", protocol=name)

    def takes(self, protocol: str) -> bool:
        """Whether calls below ``/<protocol>/`` are for it."""
        declared = self._protocols().get(protocol)
        return declared is not None and declared.intake is not None and protocol in self._services

    def call(self, protocol: str, call: Call) -> int:
        """The status of the answer to a call."""
        intake = self._protocols()[protocol].intake
        try:
            return 404 if intake is None else intake(self._services[protocol], call)
        except Exception as error:  # noqa: BLE001 - the traceback's last line may quote the path, which is a secret
            log.error("intake.defect", protocol=protocol, error=type(error).__name__)  # noqa: TRY400 - the same
            return 500
