"""An event loop whose idle selector jumps to the next timer: a day of sleeping takes as long as its work.

Mark a test `@pytest.mark.virtual_time` to run it on one, or call `run` from a synchronous test. Time stands still while
callbacks run, so a test may compare times exactly. Sockets work, but a timeout on a reply that is still on its way runs
out at once: real peers need real time.
"""

import asyncio
import datetime as dt
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""The wall clock when a virtual loop is made."""

POLL = 0.001
"""Real seconds between looks at a thread that works."""


class IdleJump(selectors.BaseSelector):
    """A real selector that, where nothing is ready, lets `advance(seconds)` pass time in place of waiting."""

    def __init__(self, advance: Callable[[float], None], busy: Callable[[], bool]) -> None:
        self._real = selectors.DefaultSelector()
        self._advance = advance
        self._busy = busy

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Ready files; with none, jump over `timeout`, but not while a thread still works on an answer."""
        if timeout == 0:  # callbacks are waiting to be run
            return self._real.select(0)
        busy = True
        while busy:
            # Asked before the look at the files: what a thread leaves behind as it ends is then seen by that look.
            busy = self._busy()
            if ready := self._real.select(POLL if busy else 0):
                return ready
        if timeout is None:
            return self._real.select(None)  # no timer: only a thread, a signal or a socket can go on from here
        self._advance(max(timeout, 0))
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real selector does."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As the real selector does."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real selector does."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As the real selector does."""
        return self._real.get_map()

    def close(self) -> None:
        """As the real selector does."""
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and moves only by jumps."""

    def __init__(self) -> None:
        self._now = 0.0
        self._busy: list[Callable[[], bool]] = []
        self._in_executor = 0
        super().__init__(IdleJump(self._advance, self._is_busy))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def now(self) -> dt.datetime:
        """The virtual wall clock, UTC."""
        return EPOCH + dt.timedelta(seconds=self._now)

    def wait_while(self, busy: Callable[[], bool]) -> None:
        """Hold time whenever `busy()` is true: a thread of the code under test has work in hand.

        What runs in an executor is waited for anyhow.
        """
        self._busy.append(busy)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run in a thread, while virtual time stands still."""
        future = super().run_in_executor(executor, func, *args)
        self._in_executor += 1
        future.add_done_callback(self._left_executor)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads without a time limit: virtual seconds would run out at once (Python 3.12 sets one)."""
        del timeout
        await super().shutdown_default_executor()

    def _left_executor(self, _future: asyncio.Future[Any]) -> None:
        self._in_executor -= 1

    def _advance(self, seconds: float) -> None:
        # Timers compare with time() + clock resolution, so landing exactly on one runs it.
        self._now += seconds

    def _is_busy(self) -> bool:
        return self._in_executor > 0 or any(busy() for busy in self._busy)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
