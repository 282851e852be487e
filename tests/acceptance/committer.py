"""A small daemon for the crash test: commits incidents with their notices, delivers them, and says what is on the disk.

python -m tests.acceptance.committer DATABASE URL RUN COUNT

Prints `ready`, then the number of each acknowledged commit, one a line.  With COUNT 0 it only delivers what is queued,
and ends when nothing is.
"""

import asyncio
import sys
import time
from pathlib import Path

import structlog

from sentinel.channels.webhook import CHANNEL
from sentinel.domain.incident import Incident, State, Telling, Transition
from sentinel.domain.notice import Event, Message, Notice
from sentinel.domain.rule import Severity
from sentinel.engine.delivery import Delivery, Outlet
from sentinel.engine.ports import Commit
from sentinel.engine.post import open_post
from sentinel.storage.sqlite import SqliteStore, open_store

IN_FLIGHT = 4


class Clock:
    """The machine's."""

    def now(self) -> float:
        """Wall time."""
        return time.time()  # noqa: TID251  # this is the clock

    def monotonic(self) -> float:
        """Monotonic time."""
        return time.monotonic()


def change(run: str, number: int, at: float) -> Commit:
    """One incident that opens, and the notice of it."""
    name = f"{run}x{number}"
    incident = Incident(
        name, f"down/{name}", "down", name, name, name, {}, Severity.MAJOR, State.OPEN, Telling.TOLD, at, at
    )
    transition = Transition(name, 1, at, "", "told", Severity.MAJOR, "confirmed", Event.OPENED)
    message = Message(f"{name}-1", name, Event.OPENED, "major", name, name, {"check": name}, {}, at, None)
    return Commit(
        incidents=[incident], transitions=[transition], notices=[Notice(name, 1, "hook", message, at, next_at=at)]
    )


async def commit_all(store: SqliteStore, delivery: Delivery, run: str, count: int) -> None:
    """Commit, a few at once, and acknowledge each on standard output as soon as it is on the disk."""
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for number in numbers:
            await store.commit(change(run, number, Clock().now()))
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            delivery.wake()

    await asyncio.gather(*(one_after_the_other() for _ in range(IN_FLIGHT)))


async def main(database: str, url: str, run: str, count: str) -> None:
    """Run until the count is reached, or something kills us."""
    clock = Clock()
    async with open_store(Path(database), clock) as store, open_post(clock) as post:
        outlet = Outlet("hook", CHANNEL, CHANNEL.options.model_validate({"url": url}))
        delivery = Delivery(store, {"hook": outlet}, clock, post)
        async with asyncio.TaskGroup() as group:
            delivering = group.create_task(delivery.run())
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await commit_all(store, delivery, run, int(count))
            while await store.queued():
                await asyncio.sleep(0.05)
            delivering.cancel()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(*sys.argv[1:]))
