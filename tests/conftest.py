"""What every test has: fixtures over real peers, and virtual time for tests that ask for it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import structlog

from tests.support.virtual_time import VirtualTimeLoop

pytest_plugins = ["tests.support.fixtures"]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A test marked `virtual_time` runs on a loop that jumps to the next timer."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualTimeLoop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that sets up the daemon's log must not leave it to the next, as loggers that are kept for speed would."""
    configure = structlog.configure

    def uncached(**settings: Any) -> None:
        configure(**settings | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", uncached)
    _log_plainly()
    yield
    _log_plainly()


def _log_plainly() -> None:
    """As structlog does by itself, but for tracebacks with every variable in them, which can take minutes to draw."""
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(), plain])
