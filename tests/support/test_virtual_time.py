import asyncio
import datetime as dt
import threading
import time

import pytest

from tests.support.virtual_time import EPOCH, VirtualTimeLoop, run


@pytest.mark.virtual_time
async def test_a_day_of_ten_second_ticks_runs_in_under_a_second(virtual_loop: VirtualTimeLoop) -> None:
    started = time.monotonic()
    for _ in range(8640):
        await asyncio.sleep(10)
    assert time.monotonic() - started < 1
    assert virtual_loop.time() == 86_400
    assert virtual_loop.now() == EPOCH + dt.timedelta(days=1)


@pytest.mark.virtual_time
async def test_deadlines_run_out_in_order() -> None:
    order = []

    async def one(name: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            order.append(name)

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("c", 3600), ("a", 0.001), ("b", 60)):
            group.create_task(one(name, seconds))
    assert order == ["a", "b", "c"]


@pytest.mark.virtual_time
async def test_time_stands_still_while_an_executor_works(virtual_loop: VirtualTimeLoop) -> None:
    async with asyncio.timeout(1):
        await asyncio.to_thread(time.sleep, 0.05)
    assert virtual_loop.time() == 0


@pytest.mark.virtual_time
async def test_time_stands_still_while_a_registered_thread_works(virtual_loop: VirtualTimeLoop) -> None:
    done = asyncio.Event()
    working = threading.Event()
    working.set()

    def work() -> None:
        time.sleep(0.05)
        virtual_loop.call_soon_threadsafe(done.set)
        working.clear()

    virtual_loop.wait_while(working.is_set)
    thread = threading.Thread(target=work)
    thread.start()
    async with asyncio.timeout(1):
        await done.wait()
    thread.join()
    assert virtual_loop.time() == 0


async def test_other_tests_have_real_time() -> None:
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


def test_run_from_a_synchronous_test() -> None:
    async def main() -> float:
        await asyncio.sleep(1e6)
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(1e6)
