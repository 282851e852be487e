"""A pool of decoding processes: started when first needed, killed when they overrun, replaced when they die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import struct
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WORKERS: Final = 2
MAX_ANSWER: Final = 4_096
_LAST_BREATH = 0.5

# The same as in decoder.py, which the daemon does not import: that would load the codecs here.
_REQUEST = struct.Struct("!BI")
_ANSWER = struct.Struct("!I")
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


class DecoderPool:
    """At most ``size`` processes; each decodes one picture at a time."""

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
        """Decode one key frame of ``codec`` (H.264, H.265 or MJPEG) within that many seconds.

        Raises:
            Undecodable: it is no picture.
            WorkerDied: the process ended, and so did the next, not by a crash of the decoder.
            Overloaded: all processes were busy all the time.
            TimeoutError: the decoder did not end; its process has been killed.
        """
        if seconds <= 0:
            raise TimeoutError  # nothing is asked of a process that would have to be killed at once
        ends = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(ends):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded(f"no decoder became free within {seconds:.1f} s") from None
        try:
            async with asyncio.timeout_at(ends):
                try:
                    return await self._decode(codec, data)
                except WorkerDied:
                    # Its end may have nothing to do with these bytes: the next process tells.
                    return await self._decode(codec, data)
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

    async def _decode(self, codec: str, data: bytes) -> Picture:
        worker = self._take() or await self._start()
        try:
            answer = await worker.ask(_NUMBERS[codec], data)
        except BaseException as error:
            # Also where the deadline struck: its answer would come to the next request.
            if not _is_death(error):
                await self._end(worker)
                raise
            await self._bury(worker)
            raise _death(worker.process) from error
        self._idle.append(worker)
        if "error" in answer:
            raise Undecodable(str(answer["error"])[:200])
        return _picture(answer)

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

    async def ask(self, number: int, data: bytes) -> dict[str, object]:
        self._stdin.write(_REQUEST.pack(number, len(data)))
        self._stdin.write(data)
        await self._stdin.drain()
        return await self.answer()

    async def answer(self) -> dict[str, object]:
        # The process may have been taken over by what it decoded: its answer is not trusted.
        (length,) = _ANSWER.unpack(await self._stdout.readexactly(_ANSWER.size))
        if length > MAX_ANSWER:
            raise ValueError("an answer that is too long")
        answer = json.loads(await self._stdout.readexactly(length))
        if not isinstance(answer, dict):
            raise ValueError("an answer that is no object")  # noqa: TRY004 - it is bad data, not our caller's mistake
        return answer


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


@contextlib.asynccontextmanager
async def decoder_pool() -> AsyncIterator[DecoderPool]:
    """The service of the protocol: one pool for the daemon's life."""
    pool = DecoderPool()
    try:
        yield pool
    finally:
        await pool.close()
