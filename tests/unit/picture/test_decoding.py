"""The pool of decoding processes: what it decodes, and how it lives through deaths."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sentinel.picture import decoder, decoding
from sentinel.picture.decoding import DecoderPool, Overloaded, Picture, Undecodable, WorkerDied, decoder_pool
from tests.unit.wire.streams import encoded


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    async with decoder_pool() as pool:
        yield pool


def program(tmp_path: Path, text: str) -> Path:
    """A process that speaks as the decoder does, up to a point."""
    path = tmp_path / "program.py"
    path.write_text(
        "import os, signal, sys, time\n"
        "def say(text, traces=b'', jpeg=b''):\n"
        "    lengths = b''.join(len(one).to_bytes(4, 'big') for one in (text, traces, jpeg))\n"
        f"    os.write(1, lengths + text + traces + jpeg)\n{text}\n"
    )
    return path


@pytest.mark.parametrize(
    ("codec", "encoder", "picture"),
    [
        ("H.264", "libx264", Picture(160, 96, "yuv420p", "Constrained Baseline")),
        ("H.265", "libx265", Picture(160, 96, "yuv420p", "Main")),
        ("MJPEG", "mjpeg", Picture(160, 96, "yuvj420p", "Baseline")),
    ],
)
async def test_key_frames(pool: DecoderPool, codec: str, encoder: str, picture: Picture) -> None:
    assert await pool.decode(codec, encoded(encoder)[0], 10) == picture


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        ("H.264", b""),
        ("H.264", os.urandom(5000)),
        ("H.264", encoded("libx264")[0][:-3000]),
        ("H.264", encoded("libx264")[1]),
        ("H.265", encoded("libx265")[0].replace(b"\x00\x00\x01\x44", b"\x00\x00\x01\x46")),  # its PPS is none
        ("H.265", encoded("libx265")[0][:150]),
        ("MJPEG", encoded("mjpeg")[0][:-3000]),
        ("MJPEG", b"\xff\xd8\xff\xd9"),
    ],
)
async def test_what_is_no_picture(pool: DecoderPool, codec: str, data: bytes) -> None:
    with pytest.raises(Undecodable):
        await pool.decode(codec, data, 10)
    assert len(pool.processes) == 1  # it did no harm


async def test_processes_are_started_when_needed_and_kept(pool: DecoderPool) -> None:
    assert pool.processes == []
    await pool.prepare()
    [first] = pool.processes
    await pool.prepare()
    await pool.decode("MJPEG", encoded("mjpeg")[0], 10)
    assert pool.processes == [first]
    await asyncio.gather(*(pool.decode("MJPEG", encoded("mjpeg")[0], 10) for _ in range(8)))
    assert len(pool.processes) == 2


async def test_a_dead_process_is_replaced(pool: DecoderPool) -> None:
    await pool.prepare()
    [first] = pool.processes
    os.kill(first, signal.SIGKILL)
    assert (await pool.decode("MJPEG", encoded("mjpeg")[0], 10)).width == 160
    [second] = pool.processes
    assert second != first


async def test_no_time_left_costs_no_process(pool: DecoderPool) -> None:
    await pool.prepare()
    before = pool.processes
    with pytest.raises(TimeoutError):
        await pool.decode("MJPEG", encoded("mjpeg")[0], 0.0)
    assert pool.processes == before


async def test_all_who_ask_under_one_loop_share_a_pool(pool: DecoderPool) -> None:
    async with decoder_pool() as second:
        await second.prepare()
    assert second is pool
    [process] = pool.processes
    os.kill(process, 0)  # it goes on for who still holds it


async def test_nothing_is_left_after_the_end() -> None:
    async with decoder_pool() as pool:
        await pool.prepare()
        [process] = pool.processes
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", Undecodable),
        ("os.kill(os.getpid(), signal.SIGKILL)", WorkerDied),
        ("sys.exit(3)", WorkerDied),
        ("say(b'no json')", WorkerDied),
        ("say(b'[]')", WorkerDied),
        ("say(b'x' * 10000); time.sleep(60)", WorkerDied),
        ("say(b'{\"width\": 5}'); time.sleep(60)", Undecodable),
    ],
)
async def test_a_process_that_ends_or_lies(
    end: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: DecoderPool
) -> None:
    monkeypatch.setattr(decoding, "_PROGRAM", program(tmp_path, f"say(b'{{}}')\nos.read(0, 5)\n{end}"))
    with pytest.raises(error):
        await pool.decode("H.264", b"x", 10)


async def test_a_process_that_does_not_come_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: DecoderPool
) -> None:
    monkeypatch.setattr(decoding, "_PROGRAM", program(tmp_path, "sys.exit(4)"))
    with pytest.raises(WorkerDied, match="exit 4"):
        await pool.prepare()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(WorkerDied, match="No such file"):
        await pool.decode("H.264", b"x", 10)
    assert pool.processes == []


async def test_one_that_overruns_is_killed_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with decoder_pool() as pool:
        real = decoding._PROGRAM
        monkeypatch.setattr(decoding, "_PROGRAM", program(tmp_path, "say(b'{}')\ntime.sleep(60)"))
        await pool.prepare()
        [stuck] = pool.processes
        with pytest.raises(TimeoutError):
            await pool.decode("H.264", b"x", 0.2)
        assert pool.processes == []
        with pytest.raises(ProcessLookupError):
            os.kill(stuck, 0)
        monkeypatch.setattr(decoding, "_PROGRAM", real)
        assert (await pool.decode("MJPEG", encoded("mjpeg")[0], 10)).height == 96


async def test_no_process_free_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_PROGRAM", program(tmp_path, "say(b'{}')\ntime.sleep(60)"))
    pool = DecoderPool(size=1)
    async with asyncio.TaskGroup() as group:
        busy = group.create_task(pool.decode("H.264", b"x", 60))
        await asyncio.sleep(0.3)
        with pytest.raises(Overloaded):
            await pool.decode("H.264", b"x", 0.1)
        busy.cancel()
    assert pool.processes == []  # a cancelled request takes its process along: its answer would come to the next
    await pool.close()


async def test_the_process_is_confined(pool: DecoderPool) -> None:
    await pool.prepare()
    [process] = pool.processes
    status = Path(f"/proc/{process}/status").read_text()
    limits = Path(f"/proc/{process}/limits").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Max open files            0                    0" in limits
    assert "Max core file size        0                    0" in limits
    assert Path(f"/proc/{process}/environ").read_bytes() == b""


@pytest.mark.parametrize(
    ("codec", "data", "words"),
    [
        ("mjpeg", encoded("mjpeg")[0][:-3000], "Invalid data"),
        ("h264", encoded("libx264")[0][:-3000], "missing or damaged"),
        ("h264", encoded("libx264")[1], "no picture|Invalid data"),
    ],
)
def test_what_the_decoder_says(codec: str, data: bytes, words: str) -> None:
    said, traces, jpeg = decoder.examine(codec, [data], {})
    assert re.search(words, str(said["error"]))
    assert (traces, jpeg) == (b"", b"")


def test_a_picture_that_needs_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "MAX_PIXELS", 100)
    assert "error" in decoder.examine("mjpeg", [encoded("mjpeg")[0]], {})[0]


def test_both_sides_agree() -> None:
    assert (decoding._REQUEST.format, decoding._ANSWER.format) == (decoder.REQUEST.format, decoder.ANSWER.format)
    assert sorted(decoding._NUMBERS.values()) == sorted(decoder.CODECS)


def test_the_loop_of_the_process() -> None:
    requests, source = os.pipe()
    answers, sink = os.pipe()
    picture = encoded("mjpeg")[0]
    for codec, data in (("MJPEG", picture), ("H.264", b"xx")):
        os.write(source, b"".join(decoding._request(codec, [data], {}, b"")))
    os.close(source)
    decoder.serve(requests, sink)
    os.close(sink)
    os.close(requests)
    with os.fdopen(answers, "rb") as stream:
        said = [json.loads(stream.read(decoder.ANSWER.unpack(stream.read(12))[0])) for _ in range(3)]
    assert said[0] == {"ready": True}
    assert said[1]["width"] == 160
    assert "error" in said[2]


@pytest.mark.parametrize(
    "head",
    [
        decoder.REQUEST.pack(1, 0, decoder.MAX_REQUEST + 1),
        decoder.REQUEST.pack(1, decoder.MAX_HEAD + 1, 0),
        decoder.REQUEST.pack(1, 0, 5) + b"x",
        decoder.REQUEST.pack(1, 5, 0) + b"x",
    ],
)
def test_the_loop_ends_on_a_request_that_is_none(head: bytes) -> None:
    requests, source = os.pipe()
    answers, sink = os.pipe()
    os.write(source, head)
    os.close(source)
    decoder.serve(requests, sink)
    for descriptor in (requests, answers, sink):
        os.close(descriptor)


NOTHING_NEW = """
import sys
import av, numpy as np
from sentinel.picture.decoder import examine, warm_up
from sentinel.picture.portrait import portrait
kinds = [np.arange(230_400).reshape(360, 640) * 2_654_435_761 % 8_191 % 256, np.full((360, 640), 120)]
kinds += [np.tile(np.arange(640) // 20 % 2 * 200, (360, 1)), np.add.outer(np.arange(360), np.arange(640)) // 4]
sent = [av.VideoFrame.from_ndarray(kind.astype(np.uint8), format="gray").reformat(format="yuv420p") for kind in kinds]
shots = [portrait(frame) for frame in sent]
warm_up()
known = set(sys.modules)
for _ in range(3):
    examine("mjpeg", shots, {"seconds": [float(n) for n in range(len(shots))]})
print(sorted(set(sys.modules) - known))
"""


def test_what_measures_need_is_loaded_before_nothing_can_be_opened_any_more() -> None:
    ran = subprocess.run([sys.executable, "-c", NOTHING_NEW], capture_output=True, text=True, timeout=20, check=False)
    assert (ran.returncode, ran.stdout) == (0, "[]\n"), ran.stderr
