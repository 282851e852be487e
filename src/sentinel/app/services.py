"""The resources that protocols hold for the daemon's whole life: sockets, sessions, workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

from sentinel.sdk.protocol import Protocol


class Services(Mapping[str, Any]):
    """Each protocol's service by the protocol's name; opened when first needed, closed with the block, last first."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._open: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    def __getitem__(self, protocol: str) -> Any:
        return self._open[protocol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    async def ensure(self, protocols: Iterable[Protocol]) -> None:
        """Open what these protocols need and is not open yet."""
        for protocol in protocols:
            if protocol.service is not None and protocol.name not in self._open:
                self._open[protocol.name] = await self._stack.enter_async_context(protocol.service())
