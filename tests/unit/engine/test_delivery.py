import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.incident import Incident, State, Telling
from sentinel.domain.notice import Event, Message, Notice, NoticeStatus
from sentinel.domain.rule import Severity
from sentinel.engine.delivery import Delivery, Outlet
from sentinel.engine.ports import ChannelState, Commit, Settled, StoreFailed
from sentinel.sdk.channel import Answer, Channel, ChannelOptions, NotDelivered, Post
from sentinel.storage.sqlite import SqliteStore, open_store
from tests.support.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.virtual_time

EPOCH = 1_800_000_000.0


class LoopClock:
    """Both clocks are the loop's, for threads as well; at ``turned_at`` somebody sets the wall clock back two hours."""

    def __init__(self, turned_at: float = float("inf")) -> None:
        self._loop = asyncio.get_running_loop()
        self._turned_at = turned_at

    def now(self) -> float:
        at = self._loop.time()
        return EPOCH + at - (7200 if at > self._turned_at else 0)

    def monotonic(self) -> float:
        return self._loop.time()


class Options(ChannelOptions):
    """What a recording channel needs."""

    resend: float | None = None


@dataclasses.dataclass
class Receiver:
    """A channel that records (when, message id), and fails as told."""

    batch: int = 1
    per_minute: int | None = None
    came: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    tried: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    verdict: Callable[[Message], BaseException | None] = lambda _message: None
    hangs: bool = False

    async def send(self, messages: Sequence[Message], _options: Options, _post: Post) -> None:
        now = asyncio.get_running_loop().time()
        self.tried.extend((now, message.id) for message in messages)
        if self.hangs:
            await asyncio.sleep(1e6)
        for message in messages:
            refusal = self.verdict(message)
            if refusal is not None:
                raise refusal
        self.came.extend((now, message.id) for message in messages)

    def outlet(self, name: str = "desk", **options: Any) -> Outlet:
        channel = Channel(
            "recorder",
            Options,
            self.send,
            batch=self.batch,
            per_minute=self.per_minute,
            resend_every=lambda options: options.resend,
        )
        return Outlet(name, channel, Options(**options))

    @property
    def ids(self) -> list[str]:
        return [identity for _, identity in self.came]


async def no_post(*_args: Any, **_kwargs: Any) -> Answer:
    raise AssertionError("these channels post nothing")


def notice(incident: str, seq: int = 1, channel: str = "desk", at: float | None = None) -> Notice:
    at = EPOCH + asyncio.get_running_loop().time() if at is None else at
    message = Message(f"{incident}-{seq}", incident, Event.OPENED, "major", "t", "x", {"a": "b"}, {}, at, None)
    return Notice(incident, seq, channel, message, at, next_at=at)


def told(incident: str, state: State = State.OPEN) -> Incident:
    resolved_at = EPOCH + 1 if state is State.RESOLVED else None
    return Incident(
        incident, f"r/{incident}", "r", incident, incident, incident, {}, Severity.MAJOR, state, Telling.TOLD,
        EPOCH, EPOCH, resolved_at,
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sentinel.db"


@contextlib.asynccontextmanager
async def virtual_store(path: Path, clock: Any = None) -> AsyncIterator[SqliteStore]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with open_store(path, clock or LoopClock()) as store:
        loop.wait_while(lambda: store.pending > 0)
        yield store


@pytest.fixture
async def store(path: Path, virtual_loop: VirtualTimeLoop) -> AsyncIterator[SqliteStore]:
    async with virtual_store(path) as opened:
        yield opened


@contextlib.asynccontextmanager
async def delivering(store: Any, *outlets: Outlet, clock: Any = None, **more: Any) -> AsyncIterator[Delivery]:
    delivery = Delivery(
        store, {one.id: one for one in outlets}, clock or LoopClock(), no_post, random=lambda: 0.5, **more
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(delivery.run())
        try:
            yield delivery
        finally:
            task.cancel()


def failing(times: int, error: Callable[[], BaseException]) -> Callable[[Message], BaseException | None]:
    left = [times]

    def verdict(_message: Message) -> BaseException | None:
        left[0] -= 1
        return error() if left[0] >= 0 else None

    return verdict


def down(**more: Any) -> Callable[[], BaseException]:
    return lambda: NotDelivered("receiver.example: answered 500", **more)


async def test_a_commit_is_told_at_once_and_marked_only_then(store: SqliteStore) -> None:
    receiver = Receiver()
    observed: list[tuple[str, str, float | None]] = []
    async with delivering(store, receiver.outlet(), observe=lambda *what: observed.append(what)) as delivery:
        await asyncio.sleep(3)
        await store.commit(Commit(notices=[notice("i1")]))
        delivery.wake()
        await asyncio.sleep(0.5)
        assert receiver.came == [(3.0, "i1-1")]
        await asyncio.sleep(20)
        assert receiver.ids == ["i1-1"]
        assert await store.queued() == {}
        assert [(channel, result) for channel, result, _ in observed] == [("desk", "accepted")]
        assert observed[0][2] is not None
        assert 0 <= observed[0][2] < 0.1
        assert delivery.figures["desk"].results == {"accepted": 1}


async def test_without_a_wake_the_outbox_is_looked_into_all_the_same(store: SqliteStore) -> None:
    receiver = Receiver()
    async with delivering(store, receiver.outlet()):
        await asyncio.sleep(1)
        await store.commit(Commit(notices=[notice("i1")]))
        await asyncio.sleep(5.5)
        assert receiver.ids == ["i1-1"]


async def test_what_was_queued_before_the_start_is_told(path: Path, virtual_loop: VirtualTimeLoop) -> None:
    async with virtual_store(path) as store:
        await store.commit(Commit(notices=[notice("i1"), notice("i1", 2)]))
    receiver = Receiver()
    async with virtual_store(path) as store, delivering(store, receiver.outlet()):
        await asyncio.sleep(1)
        assert receiver.ids == ["i1-1", "i1-2"]


async def test_it_waits_longer_after_each_failure_and_goes_on_with_the_same_id(store: SqliteStore) -> None:
    receiver = Receiver(verdict=failing(5, down()))
    async with delivering(store, receiver.outlet()):
        await store.commit(Commit(notices=[notice("i1")]))
        await asyncio.sleep(120)
    waits = [round(after - before) for (before, _), (after, _) in zip(receiver.tried, receiver.tried[1:], strict=False)]
    assert waits == [1, 2, 4, 8, 16]
    assert {identity for _, identity in receiver.tried} == {"i1-1"}
    assert receiver.ids == ["i1-1"]


async def test_the_wait_is_five_minutes_at_most(store: SqliteStore) -> None:
    receiver = Receiver(verdict=failing(1000, down()))
    async with delivering(store, receiver.outlet()):
        await store.commit(Commit(notices=[notice("i1")]))
        await asyncio.sleep(7200)
    waits = [after - before for (before, _), (after, _) in zip(receiver.tried, receiver.tried[1:], strict=False)]
    assert 295 < max(waits) <= 306


async def test_a_later_message_never_overtakes_and_other_incidents_are_not_held(store: SqliteStore) -> None:
    receiver = Receiver(verdict=lambda m: down()() if m.id == "i1-1" and len(receiver.tried) < 3 else None)
    async with delivering(store, receiver.outlet()) as delivery:
        await store.commit(Commit(notices=[notice("i1"), notice("i1", 2), notice("i2")]))
        delivery.wake()
        await asyncio.sleep(30)
    assert receiver.ids == ["i2-1", "i1-1", "i1-2"]


async def test_what_is_refused_for_good_is_kept_loudly_and_holds_nobody(store: SqliteStore) -> None:
    receiver = Receiver(
        batch=10, verdict=lambda m: NotDelivered("answered 400", permanent=True) if m.id == "i1-1" else None
    )
    async with delivering(store, receiver.outlet()) as delivery:
        await store.commit(Commit(notices=[notice("i1"), notice("i1", 2), notice("i2")]))
        await asyncio.sleep(30)
        assert receiver.ids == ["i1-2", "i2-1"]
        assert await store.undelivered() == {"desk": 1}
        assert delivery.figures["desk"].undelivered == 1
        assert delivery.figures["desk"].results == {"refused": 1, "accepted": 2}
        assert not delivery.figures["desk"].broken


async def test_a_broken_channel_does_not_hold_another(store: SqliteStore) -> None:
    broken, sound = Receiver(hangs=True), Receiver()
    async with delivering(store, broken.outlet("broken"), sound.outlet("sound")) as delivery:
        await store.commit(
            Commit(notices=[notice(f"i{n}", 1, name) for n in range(50) for name in ("broken", "sound")])
        )
        delivery.wake()
        await asyncio.sleep(5)
        assert len(sound.came) == 50


async def test_the_breaker_rests_a_receiver_that_is_down(store: SqliteStore) -> None:
    receiver = Receiver(verdict=failing(10_000, down()))
    async with delivering(store, receiver.outlet()) as delivery:
        await store.commit(Commit(notices=[notice(f"i{n}") for n in range(300)]))
        await asyncio.sleep(3600)
        assert delivery.figures["desk"].broken
        assert delivery.figures["desk"].queued == 300
        assert delivery.figures["desk"].last_error == "receiver.example: answered 500"
        assert len(receiver.tried) < 30
        receiver.verdict = lambda _message: None
        await asyncio.sleep(700)
        assert sorted(receiver.ids) == sorted(f"i{n}-1" for n in range(300))


async def test_it_gives_up_after_a_day_loudly_and_the_rest_with_it(store: SqliteStore) -> None:
    receiver = Receiver(verdict=failing(1_000_000, down()))
    async with delivering(store, receiver.outlet()) as delivery:
        await store.commit(Commit(notices=[notice(f"i{n}", at=EPOCH - 80_000) for n in range(250)]))
        await asyncio.sleep(6_300)
        assert await store.undelivered() == {}
        await asyncio.sleep(500)
        assert await store.undelivered() == {"desk": 250}
        assert delivery.figures["desk"].results["refused"] == 250
        receiver.verdict = lambda _message: None
        await store.commit(Commit(notices=[notice("later")]))
        await asyncio.sleep(700)
        assert receiver.ids == ["later-1"]


async def test_retry_after_is_honoured_for_the_whole_channel(store: SqliteStore) -> None:
    receiver = Receiver(verdict=failing(1, down(retry_after=40.0)))
    async with delivering(store, receiver.outlet()) as delivery:
        await store.commit(Commit(notices=[notice("i1")]))
        delivery.wake()
        await asyncio.sleep(10)
        await store.commit(Commit(notices=[notice("i2")]))
        delivery.wake()
        await asyncio.sleep(50)
    assert [round(at) for at, _ in receiver.tried[:2]] == [0, 40]
    assert receiver.came[0][0] >= 40


async def test_the_limit_of_a_minute_holds_across_a_restart(path: Path, virtual_loop: VirtualTimeLoop) -> None:
    receiver = Receiver(per_minute=20)
    async with virtual_store(path) as store:
        async with delivering(store, receiver.outlet()) as delivery:
            await store.commit(Commit(notices=[notice(f"i{n}") for n in range(50)]))
            delivery.wake()
            await asyncio.sleep(10)
        assert len(receiver.came) == 20
    async with virtual_store(path) as store, delivering(store, receiver.outlet()):
        await asyncio.sleep(10)
        assert len(receiver.came) == 20
        await asyncio.sleep(41)
        assert len(receiver.came) == 40
        await asyncio.sleep(60)
        assert len(receiver.came) == 50
        assert len(set(receiver.ids)) == 50


async def test_the_breaker_stays_open_across_a_restart(path: Path, virtual_loop: VirtualTimeLoop) -> None:
    receiver = Receiver(verdict=failing(1, down(retry_after=600.0)))
    async with virtual_store(path) as store, delivering(store, receiver.outlet()):
        await store.commit(Commit(notices=[notice("i1"), notice("i2")]))
        await asyncio.sleep(10)
    async with virtual_store(path) as store, delivering(store, receiver.outlet()):
        await asyncio.sleep(500)
        assert receiver.came == []
        await asyncio.sleep(120)
        assert sorted(receiver.ids) == ["i1-1", "i2-1"]


class Unwritable:
    """A store whose outbox cannot be marked while ``broken``."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.broken = store, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def settle(self, settled: Sequence[Settled]) -> None:
        if self.broken:
            raise StoreFailed("disk full")
        await self.store.settle(settled)


async def test_what_cannot_be_marked_is_not_sent_again_and_again(store: SqliteStore) -> None:
    receiver, unwritable = Receiver(), Unwritable(store)
    unwritable.broken = True
    async with delivering(unwritable, receiver.outlet()):
        await store.commit(Commit(notices=[notice("i1"), notice("i2")]))
        await asyncio.sleep(60)
        assert receiver.ids == ["i1-1", "i2-1"]
    async with delivering(unwritable, receiver.outlet()):  # a restart: nobody knows that it was sent
        await asyncio.sleep(6)
    assert receiver.ids == ["i1-1", "i2-1", "i1-1", "i2-1"]


async def test_a_failure_that_cannot_be_marked_still_waits(store: SqliteStore) -> None:
    receiver, unwritable = Receiver(verdict=failing(4, down())), Unwritable(store)
    unwritable.broken = True
    async with delivering(unwritable, receiver.outlet()):
        await store.commit(Commit(notices=[notice("i1"), notice("i1", 2)]))
        await asyncio.sleep(60)
    assert receiver.ids == ["i1-1", "i1-2"]
    assert len(receiver.tried) == 6


async def test_a_channel_that_hangs_or_has_a_defect_fails_the_attempt(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    hanging = Receiver(hangs=True)
    defective = Receiver(verdict=failing(1, lambda: ValueError("https://hooks.example/SECRET")))
    async with delivering(store, hanging.outlet("hanging"), defective.outlet("defective")) as delivery:
        await store.commit(Commit(notices=[notice("i1", 1, "hanging"), notice("i1", 1, "defective")]))
        await asyncio.sleep(25)
        assert defective.ids == ["i1-1"]
        await asyncio.sleep(15)
        assert delivery.figures["hanging"].last_error == "no end within 30 s"
    assert "SECRET" not in capsys.readouterr().out


async def test_a_receiver_that_forgets_is_reminded_of_what_is_open_and_told(store: SqliteStore) -> None:
    receiver = Receiver(batch=64)
    suppressed = dataclasses.replace(told("i3"), telling=Telling.SUPPRESSED)
    async with delivering(store, receiver.outlet(resend=60.0)):
        await store.commit(
            Commit(
                incidents=[told("i1"), told("i2"), suppressed],
                notices=[notice("i1"), notice("i1", 2), notice("i2"), notice("i3"), notice("i1", 9, "other")],
            )
        )
        await asyncio.sleep(59)
        assert sorted(receiver.ids) == ["i1-1", "i1-2", "i2-1", "i3-1"]
        receiver.came.clear()
        await asyncio.sleep(30)
        assert sorted(receiver.ids) == ["i1-2", "i2-1"]
        await store.commit(Commit(incidents=[told("i1", State.RESOLVED)], notices=[notice("i1", 3)]))
        receiver.came.clear()
        await asyncio.sleep(60)
        assert receiver.ids == ["i1-3", "i2-1"]


async def test_a_reminder_that_fails_is_sent_sooner(store: SqliteStore) -> None:
    receiver = Receiver()
    async with delivering(store, receiver.outlet(resend=300.0)):
        await store.commit(Commit(incidents=[told("i1")], notices=[notice("i1")]))
        await asyncio.sleep(295)
        receiver.tried.clear()
        receiver.verdict = failing(2, down())
        await asyncio.sleep(30)
        assert [round(after[0] - receiver.tried[0][0]) for after in receiver.tried] == [0, 1, 3]


async def test_a_reload_changes_adds_and_removes_channels(store: SqliteStore) -> None:
    old, new, gone = Receiver(), Receiver(), Receiver(verdict=failing(1000, down()))
    async with delivering(store, old.outlet("desk"), gone.outlet("gone")) as delivery:
        await store.commit(Commit(notices=[notice("i1", 1, "gone"), notice("i1", 1, "desk")]))
        await asyncio.sleep(30)
        delivery.reload({"desk": new.outlet("desk"), "more": new.outlet("more")})
        await asyncio.sleep(1)
        await store.commit(Commit(notices=[notice("i2", 1, "desk"), notice("i3", 1, "more")]))
        await asyncio.sleep(10)
        tried = len(gone.tried)
        await asyncio.sleep(1000)
        assert len(gone.tried) == tried
        assert old.ids == ["i1-1"]
        assert sorted(new.ids) == ["i2-1", "i3-1"]
        assert await store.undelivered() == {"gone": 1}
        assert set(delivery.figures) == {"desk", "more"}


async def test_a_clock_that_is_set_back_holds_no_message(path: Path, virtual_loop: VirtualTimeLoop) -> None:
    receiver = Receiver(verdict=failing(4, down()))
    clock = LoopClock(turned_at=2)
    async with virtual_store(path, clock) as store, delivering(store, receiver.outlet(), clock=clock):
        await store.commit(Commit(notices=[notice("i1")]))
        await asyncio.sleep(60)
        assert receiver.ids == ["i1-1"]


async def test_its_beat_stops_when_one_courier_is_stuck(store: SqliteStore) -> None:
    sound, stuck = Receiver(), Receiver()
    async with delivering(store, sound.outlet("sound"), stuck.outlet("stuck")) as delivery:
        await asyncio.sleep(10)
        first = delivery.beats
        await asyncio.sleep(10)
        second = delivery.beats
        assert second > first

        async def hang() -> None:
            await asyncio.sleep(1e6)

        delivery._couriers["stuck"]._step = hang  # type: ignore[method-assign]
        await asyncio.sleep(10)
        delivery.beats  # noqa: B018  # takes note of the last step that was made
        third = delivery.beats
        await asyncio.sleep(60)
        assert delivery.beats == third


async def test_a_store_that_cannot_be_read_for_a_while_ends_nothing(store: SqliteStore) -> None:
    receiver = Receiver()
    broken = [True]

    class Unreadable(Unwritable):
        def __getattr__(self, name: str) -> Any:
            if broken[0] and name in {"notices_due", "channel_states", "queued"}:
                raise StoreFailed("gone")
            return super().__getattr__(name)

    async with delivering(Unreadable(store), receiver.outlet()):
        await store.commit(Commit(notices=[notice("i1")]))
        await asyncio.sleep(20)
        assert receiver.tried == []
        broken[0] = False
        await asyncio.sleep(7)
        assert receiver.ids == ["i1-1"]


async def test_nobody_claims_before_the_receiver_accepts(store: SqliteStore) -> None:
    seen: list[NoticeStatus] = []

    class Looking(Receiver):
        async def send(self, _messages: Sequence[Message], _options: Options, _post: Post) -> None:
            seen.append((await store.notices_due("desk", EPOCH + 1e6, 10))[0].status)

    async with delivering(store, Looking().outlet()):
        await store.commit(Commit(notices=[notice("i1")]))
        await asyncio.sleep(6)
    assert seen == [NoticeStatus.QUEUED]


async def test_a_limiter_that_cannot_be_saved_still_limits(store: SqliteStore) -> None:
    receiver = Receiver(per_minute=2)

    class Forgetful(Unwritable):
        async def save_channel_state(self, _state: ChannelState) -> None:
            raise StoreFailed("disk full")

    async with delivering(Forgetful(store), receiver.outlet()):
        await store.commit(Commit(notices=[notice(f"i{n}") for n in range(5)]))
        await asyncio.sleep(30)
        assert len(receiver.came) == 2
        await asyncio.sleep(100)
        assert len(receiver.came) == 5


async def test_a_defect_of_ours_ends_no_channel(store: SqliteStore) -> None:
    receiver = Receiver()
    broken = [True]

    class Defective(Unwritable):
        def __getattr__(self, name: str) -> Any:
            if broken[0] and name == "notices_due":
                raise KeyError(name)
            return super().__getattr__(name)

    async with delivering(Defective(store), receiver.outlet()):
        await store.commit(Commit(notices=[notice("i1")]))
        await asyncio.sleep(3)
        broken[0] = False
        await asyncio.sleep(7)
        assert receiver.ids == ["i1-1"]


async def test_a_batch_in_which_one_is_refused_stops_where_the_receiver_rests(store: SqliteStore) -> None:
    def verdict(message: Message) -> BaseException | None:
        if message.id == "i1-1":
            return NotDelivered("answered 400", permanent=True)
        return NotDelivered("answered 429", retry_after=50.0) if len(receiver.tried) < 8 else None

    receiver = Receiver(batch=10, verdict=verdict)
    async with delivering(store, receiver.outlet()):
        await store.commit(Commit(notices=[notice(f"i{n}") for n in range(1, 6)]))
        await asyncio.sleep(40)
        assert len(receiver.tried) == 5 + 2
        await asyncio.sleep(100)
        assert sorted(receiver.ids) == [f"i{n}-1" for n in range(2, 6)]
        assert await store.undelivered() == {"desk": 1}
