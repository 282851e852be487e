"""Loopback always answers pings; with privilege, an nftables table of the lab's own drops those to broken addresses.

The table belongs to a process of nft that the lab holds open (the flag ``owner`` of nft(8), Linux 5.12): the kernel
removes it with that process, which ends with the lab, however the lab ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

SEARCH: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
ANSWER_SECONDS: Final = 3.0

WITHOUT: Final = (
    "pings to a broken target are answered all the same: dropping them needs root and nft (package nftables)"
)

BLIND: Final = (
    "ping checks are unknown here: neither ping sockets (sysctl net.ipv4.ping_group_range) nor raw ones "
    "(CAP_NET_RAW) are allowed; the daemon says so in an incident of its own"
)


def may_ping() -> bool:
    """Whether this process may open an ICMP socket of either kind, as the daemon's ping does."""
    for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
        with suppress(OSError), socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP):
            return True
    return False


class Pings:
    """Which addresses do not answer pings.  ``able`` says whether any can be made not to."""

    def __init__(self, block: int) -> None:
        self._table = f"sentinel_lab_{block}"
        self._nft = shutil.which("nft", path=SEARCH)
        self._process: Process | None = None
        self._dropped: frozenset[str] = frozenset()

    @property
    def able(self) -> bool:
        """Whether the lab may drop pings."""
        return self._process is not None and self._process.returncode is None

    async def open(self) -> None:
        """Make the table; where that is not allowed, ``able`` stays False and nothing is raised.

        A table that an earlier lab of this block left (a kernel that does not know ``owner`` keeps it) is removed.
        """
        if self._nft is None:
            return
        if not await self._run("-j", "list", "tables"):
            return  # nobody but root may even look
        await self._run("delete", "table", "inet", self._table)
        # A session of its own: Ctrl-C on the terminal is for the lab, which then ends this in order.
        self._process = await asyncio.create_subprocess_exec(
            self._nft,
            "-i",
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
            env={"HOME": os.devnull},  # where it would leave a history of what it was told
        )
        rule = "ip daddr @broken icmp type echo-request drop"
        for flags in ("{ flags owner; }", ""):
            self._say(
                f"add table inet {self._table} {flags}",
                f"add set inet {self._table} broken {{ type ipv4_addr; }}",
                f"add chain inet {self._table} input {{ type filter hook input priority 0; }}",
                f"add rule inet {self._table} input {rule}",
            )
            if await self._settles(frozenset()):
                return
        await self.close()

    async def drop(self, addresses: Iterable[str]) -> bool:
        """Drop pings to exactly these addresses from now on; whether that is in force."""
        wanted = frozenset(addresses)
        if not self.able:
            return not wanted
        if wanted == self._dropped:
            return True
        lines = [f"flush set inet {self._table} broken"]
        if wanted:
            lines.append(f"add element inet {self._table} broken {{ {', '.join(sorted(wanted))} }}")
        self._say(*lines)
        self._dropped = wanted
        return await self._settles(wanted)

    async def close(self) -> None:
        """Remove the table."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(f"delete table inet {self._table}\n".encode())
                process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _say(self, *lines: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write("".join(f"{line}\n" for line in lines).encode())

    async def _settles(self, wanted: frozenset[str]) -> bool:
        """Whether the kernel has exactly these addresses before long: nft says nothing of what it has done."""
        for _ in range(60):
            if await self._listed() == wanted:
                return True
            if not self.able:
                return False
            await asyncio.sleep(0.02)
        return False

    async def _listed(self) -> frozenset[str] | None:
        text = await self._run("-j", "list", "set", "inet", self._table, "broken")
        try:
            entries: list[Any] = json.loads(text)["nftables"]
        except (ValueError, KeyError):
            return None
        sets = [entry["set"] for entry in entries if "set" in entry]
        return frozenset(_addresses(sets[0].get("elem", []))) if sets else None

    async def _run(self, *arguments: str) -> bytes:
        if self._nft is None:
            return b""
        process = await asyncio.create_subprocess_exec(
            self._nft, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return (await process.communicate())[0]
        except TimeoutError:
            process.kill()
            await process.wait()
            return b""


def _addresses(elements: list[Any]) -> Iterable[str]:
    for element in elements:
        yield str(element["elem"]["val"]) if isinstance(element, dict) and "elem" in element else str(element)
