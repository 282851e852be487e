"""Resources for the daemon's whole life."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from sentinel.app.services import Services
from sentinel.sdk.protocol import Options, Protocol


async def _probe(*_args: Any) -> None:
    """Never run."""


def protocol(name: str, log: list[str], *, fails: bool = False) -> Protocol:
    @asynccontextmanager
    async def service() -> AsyncIterator[str]:
        if fails:
            raise PermissionError(1, "not permitted")
        log.append(f"open {name}")
        yield f"{name}'s socket"
        log.append(f"close {name}")

    made: Callable[[], AbstractAsyncContextManager[Any]] = service
    return Protocol(name, Options, _probe, service=made)


async def test_each_is_opened_once_and_closed_last_first() -> None:
    log: list[str] = []
    a, b, plain = protocol("a", log), protocol("b", log), Protocol("plain", Options, _probe)
    async with Services() as services:
        await services.ensure([a, plain])
        await services.ensure([a, b])
        assert dict(services) == {"a": "a's socket", "b": "b's socket"}
        assert len(services) == 2
        assert services.get("plain") is None
    assert log == ["open a", "open b", "close b", "close a"]


async def test_what_cannot_be_opened_leaves_the_others_open() -> None:
    log: list[str] = []
    async with Services() as services:
        await services.ensure([protocol("a", log)])
        with pytest.raises(PermissionError):
            await services.ensure([protocol("b", log, fails=True)])
        assert list(services) == ["a"]
    assert log == ["open a", "close a"]
