"""SNMP notifications from a second, independent implementation: pysnmp 7 sends, our receiver takes in and answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pysnmp.hlapi.v3arch.asyncio import (
    CommunityData,
    ContextData,
    Integer32,
    NotificationType,
    ObjectIdentity,
    OctetString,
    SnmpEngine,
    UdpTransportTarget,
    UsmUserData,
    send_notification,
    usmAesCfb128Protocol,
    usmHMAC192SHA256AuthProtocol,
)

from tests.protocols.test_snmp_trap import ADMIN, HOST, IF_DESCR, IF_INDEX, LINK_DOWN, PRIVATE, last, listening, until

# pysnmp reads how often its engine has started from a file that it leaves to the collector to close.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def community(version: int) -> CommunityData:
    return CommunityData("public", mpModel=version)


def user(password: str = "auth-password-1") -> UsmUserData:
    return UsmUserData(
        "watcher",
        authKey=password,
        privKey="priv-password-1",
        authProtocol=usmHMAC192SHA256AuthProtocol,
        privProtocol=usmAesCfb128Protocol,
    )


@asynccontextmanager
async def engine() -> AsyncIterator[SnmpEngine]:
    made = SnmpEngine(OctetString(hexValue="80007ed904736e74746573"))
    try:
        yield made
    finally:
        made.close_dispatcher()


async def send(sender: SnmpEngine, who: CommunityData | UsmUserData, kind: str, port: int) -> Any:
    """What pysnmp says of it: an error indication, or None where it was sent, and, of an inform, acknowledged."""
    place = await UdpTransportTarget.create((HOST, port), timeout=1.0, retries=1)
    told = NotificationType(ObjectIdentity(LINK_DOWN)).add_varbinds(
        (f"{IF_INDEX}.7", Integer32(7)), (f"{IF_DESCR}.7", OctetString("ge0/0/7")), (f"{ADMIN}.7", Integer32(1))
    )
    return (await send_notification(sender, who, place, ContextData(), kind, told))[0]


@pytest.mark.parametrize(
    ("version", "kind"), [("v1", "trap"), ("v2c", "trap"), ("v2c", "inform"), ("v3", "trap"), ("v3", "inform")]
)  # there are no informs in SNMPv1
async def test_pysnmp_is_understood_and_answered(version: str, kind: str) -> None:
    who = user() if version == "v3" else community(int(version == "v2c"))
    async with listening(**(PRIVATE if version == "v3" else {})) as (receiver, inbox, port), engine() as sender:
        assert await send(sender, who, kind, port) is None
        await until(lambda: inbox.reports)
        told = last(inbox)
        assert told.failure is not None
        assert told.failure.detail == "端口 7 ge0/0/7 断开"
        assert told.facts["trap"] == "link-down (IF-MIB::linkDown)"
        # An inform's sender first asks for our engine id (RFC 3414 section 4), in a message that tells nothing.
        assert receiver.counts()["dropped"] == ({"discovery": 1.0} if (version, kind) == ("v3", "inform") else {})


async def test_an_inform_with_a_wrong_password_is_not_acknowledged() -> None:
    async with listening(**PRIVATE) as (_, inbox, port), engine() as sender:
        assert await send(sender, user("another-password"), "inform", port) is not None
        assert inbox.reports == []
