"""A pool of decoding processes: started when first needed, killed when they overrun, replaced when they die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import struct
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

WORKERS: Final = 2
MAX_ANSWER: Final = 4_096
MAX_JPEG: Final = 64 * 1024
MAX_TRACES: Final = 16 * 1024
_LAST_BREATH = 0.5

# The same as in decoder.py, which the daemon does not import: that would load the codecs here.
_REQUEST = struct.Struct("!BII")
_ANSWER = struct.Struct("!III")
_PROGRAM = Path(__file__).with_name("decoder.py")
_NUMBERS = {"H.264": 1, "H.265": 2, "MJPEG": 3}
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})


class Undecodable(Exception):
    """The decoder says that these bytes are no picture, or crashed on them twice."""


class WorkerDied(Exception):
    """The decoding process cannot be started, or ended for a reason of its own."""


class Overloaded(Exception):
    """No decoding process became free in time."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: pixels, libav's name of its format, the codec's profile ("" where it has none)."""

    width: int
    height: int
    format: str
    profile: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a decoding process says of the last picture: not to be trusted further than its types go.

    ``traces`` are for the next comparison, empty where nothing can be compared; ``jpeg`` is a file, or empty.
    """

    picture: Picture
    values: Mapping[str, float] = field(default_factory=dict)
    traces: bytes = b""
    jpeg: bytes = b""


class DecoderPool:
    """At most ``size`` processes; each is busy with one request at a time."""

    def __init__(self, size: int = WORKERS) -> None:
        self._idle: list[_Worker] = []
        self._slots = asyncio.Semaphore(size)
        self._alive: set[_Worker] = set()

    async def prepare(self) -> None:
        """See to it that a process is there: the first one takes about 0.2 s to start.

        Raises:
            WorkerDied: it cannot be started.
        """
        if not self._alive:
            async with self._slots:
                if not self._alive:
                    self._idle.append(await self._start())

    async def decode(self, codec: str, data: bytes, seconds: float) -> Picture:
        """Decode one key frame of ``codec`` and measure nothing; raises as ``examine`` does."""
        return (await self.examine(codec, [data], {}, b"", seconds)).picture

    async def examine(
        self, codec: str, shots: Sequence[bytes], settings: Mapping[str, Any], traces: bytes, seconds: float
    ) -> Answer:
        """Decode pictures of ``codec`` (H.264, H.265 or MJPEG) and measure them, within that many seconds.

        ``settings`` are those of decoder.py; without any nothing is measured.  ``traces`` are an earlier answer's.

        Raises:
            Undecodable: there is no picture in it.
            WorkerDied: the process ended, and so did the next, not by a crash of the decoder.
            Overloaded: all processes were busy all the time.
            TimeoutError: the decoder did not end; its process has been killed.
        """
        if seconds <= 0:
            raise TimeoutError  # nothing is asked of a process that would have to be killed at once
        request = _request(codec, shots, settings, traces)
        ends = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(ends):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded(f"no decoder became free within {seconds:.1f} s") from None
        try:
            async with asyncio.timeout_at(ends):
                try:
                    return await self._examine(request)
                except WorkerDied:
                    # Its end may have nothing to do with these bytes: the next process tells.
                    return await self._examine(request)
        except _Crashed as crash:
            raise Undecodable(f"the decoder crashed on it: {crash}") from crash
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Kill all processes."""
        self._idle.clear()
        for worker in list(self._alive):
            await self._end(worker)

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that run."""
        return [worker.process.pid for worker in self._alive]

    async def _examine(self, request: Sequence[bytes]) -> Answer:
        worker = self._take() or await self._start()
        try:
            said, traces, jpeg = await worker.ask(request)
        except BaseException as error:
            # Also where the deadline struck: its answer would come to the next request.
            if not _is_death(error):
                await self._end(worker)
                raise
            await self._bury(worker)
            raise _death(worker.process) from error
        self._idle.append(worker)
        if "error" in said:
            raise Undecodable(str(said["error"])[:200])
        return Answer(_picture(said), _values(said), traces, jpeg)

    def _take(self) -> _Worker | None:
        return self._idle.pop() if self._idle else None

    async def _start(self) -> _Worker:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                _PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},  # what decodes a stranger's bytes holds no secret
                start_new_session=True,  # an interrupt at the terminal is for the daemon, which ends us in order
            )
        except OSError as error:
            raise WorkerDied(f"the decoding process cannot be started: {error.strerror}") from error
        worker = _Worker(process)
        self._alive.add(worker)
        try:
            await worker.answer()
        except BaseException as error:
            if not _is_death(error):
                await self._end(worker)
                raise
            await self._bury(worker)
            raise WorkerDied(f"the decoding process did not come up: {_status(process)}") from error
        return worker

    async def _bury(self, worker: _Worker) -> None:
        # It has closed its end, so it is about to be gone. To kill it now would lose the status that tells how.
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_BREATH):
                    await worker.process.wait()
        finally:
            await self._end(worker)

    async def _end(self, worker: _Worker) -> None:
        self._alive.discard(worker)
        with contextlib.suppress(ProcessLookupError):
            worker.process.kill()
        await worker.process.wait()


class _Crashed(WorkerDied):
    """A signal that a process only gets from its own mistake."""


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("a process that is started with pipes has them")
        self.process = process
        self._stdin, self._stdout = process.stdin, process.stdout

    async def ask(self, request: Sequence[bytes]) -> tuple[dict[str, object], bytes, bytes]:
        self._stdin.writelines(request)
        await self._stdin.drain()
        return await self.answer()

    async def answer(self) -> tuple[dict[str, object], bytes, bytes]:
        # The process may have been taken over by what it decoded: its answer is not trusted.
        lengths = _ANSWER.unpack(await self._stdout.readexactly(_ANSWER.size))
        if any(length > limit for length, limit in zip(lengths, (MAX_ANSWER, MAX_TRACES, MAX_JPEG), strict=True)):
            raise ValueError("an answer that is too long")
        said, traces, jpeg = [await self._stdout.readexactly(length) for length in lengths]
        answer = json.loads(said)
        if not isinstance(answer, dict):
            raise ValueError("an answer that is no object")  # noqa: TRY004 - it is bad data, not our caller's mistake
        return answer, traces, jpeg


def _request(codec: str, shots: Sequence[bytes], settings: Mapping[str, Any], traces: bytes) -> list[bytes]:
    lengths = [len(shot) for shot in shots]
    head = json.dumps({**settings, "shots": lengths, "traces": len(traces)}).encode()
    return [_REQUEST.pack(_NUMBERS[codec], len(head), len(traces) + sum(lengths)), head, traces, *shots]


def _is_death(error: BaseException) -> bool:
    return isinstance(error, OSError | EOFError | ValueError) and not isinstance(error, TimeoutError)


def _death(process: asyncio.subprocess.Process) -> WorkerDied:
    code = process.returncode
    kind = _Crashed if code is not None and -code in _CRASHES else WorkerDied
    return kind(f"the decoding process ended: {_status(process)}")


def _status(process: asyncio.subprocess.Process) -> str:
    code = process.returncode
    return "" if code is None else f"signal {-code}" if code < 0 else f"exit {code}"


def _picture(answer: dict[str, object]) -> Picture:
    width, height = answer.get("width"), answer.get("height")
    if not isinstance(width, int) or not isinstance(height, int) or width <= 0 or height <= 0:
        raise Undecodable("a picture without a size")
    return Picture(width, height, str(answer.get("format", ""))[:40], str(answer.get("profile", ""))[:60])


def _values(answer: dict[str, object]) -> dict[str, float]:
    values = answer.get("values")
    if not isinstance(values, dict):
        return {}
    return {str(name): float(value) for name, value in values.items() if isinstance(value, int | float)}


@dataclass(slots=True)
class _Shared:
    pool: DecoderPool
    holders: int = 0


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def decoder_pool() -> AsyncIterator[DecoderPool]:
    """The service of protocols that fetch pictures: one pool for all that hold it under the same event loop.

    Its processes are killed when the last one lets go of it.
    """
    loop = asyncio.get_running_loop()
    shared = _pools.setdefault(loop, _Shared(DecoderPool()))
    shared.holders += 1
    try:
        yield shared.pool
    finally:
        shared.holders -= 1
        if not shared.holders:
            del _pools[loop]
            await shared.pool.close()
