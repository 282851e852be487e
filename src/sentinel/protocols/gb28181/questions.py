"""What is asked of what has registered with us: catalogue, status, information (2016, 9.3, 9.5, annex A)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sentinel.protocols.gb28181.asking import code_of, request_to
from sentinel.protocols.gb28181.options import Gb28181Options
from sentinel.protocols.gb28181.registrar import Registrar, Registration
from sentinel.sdk.protocol import Run
from sentinel.wire.manscdp import MEDIA_TYPE, Body, MalformedBody, compose, parse
from sentinel.wire.sip import Response

ON: Final = frozenset({"ON", "OK", "ONLINE"})
OFF: Final = frozenset({"OFF", "OFFLINE", "VLOST", "DEFECT"})
MAX_STATUSES: Final = 16
"""Different statuses that are told apart; what is beyond counts as OTHER."""
INFORMATION_SECONDS: Final = 2.0
"""For what is only shown, so long is waited."""

_BEIJING: Final = ZoneInfo("Asia/Shanghai")
_STATUS: Final = re.compile(r"[^0-9A-Z_-]")


class Refused(Exception):
    """The device does not answer the question as it should: a code of the closed list, and words for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Catalogue:
    """Puts a catalogue together from packets in any order, some of them twice (2016, 9.3.2 and annex N)."""

    def __init__(self, limit: int) -> None:
        self.announced: int | None = None
        self.packets = 0
        self.malformed = ""
        self.too_large = False
        self.news = asyncio.Event()
        self._limit = limit
        self._statuses: dict[str, str] = {}

    def hear(self, raw: bytes) -> None:
        """Take one packet."""
        if self.too_large:
            return
        self.news.set()
        try:
            body = parse(raw)
        except MalformedBody as error:
            self.malformed = str(error)
            return
        self.packets += 1
        announced = body.integer("SumNum")
        self.announced = announced if announced is not None else self.announced
        for item in body.items:
            name = item.get("DeviceID", "")[:32]
            if name in self._statuses or len(self._statuses) < self._limit:
                self._statuses[name] = _STATUS.sub("", item.get("Status", "").upper())[:20]
            else:
                self.too_large = True

    @property
    def total(self) -> int:
        """Different items."""
        return len(self._statuses)

    @property
    def whole(self) -> bool:
        """Whether as much has come as was announced."""
        return self.announced is not None and self.total >= self.announced

    def counts(self) -> dict[str, int]:
        """Items by status; those without one, directories mostly, are left out."""
        counted = Counter(status for status in self._statuses.values() if status)
        common = dict(counted.most_common(MAX_STATUSES))
        others = counted.total() - sum(common.values())
        return common | ({"OTHER": others} if others else {})


async def catalog(registrar: Registrar, registration: Registration, options: Gb28181Options, run: Run) -> None:
    """Ask for the catalogue, and count what comes."""
    found = Catalogue(options.max_items)
    try:
        with run.stage("query"), _telling(run):
            await _collect(found, registrar, registration, options)
    finally:
        if found.packets:
            _count(found, run)


async def status(registrar: Registrar, registration: Registration, options: Gb28181Options, run: Run) -> None:
    """Ask how the device is, and what it is."""
    with run.stage("query"), _telling(run):
        body = await _one("DeviceStatus", registrar, registration, options)
        _put_down_status(body, run)
        with contextlib.suppress(TimeoutError, Refused):  # not every device has it, and nothing is judged by it
            async with asyncio.timeout(min(INFORMATION_SECONDS, run.left / 2)):
                body = await _one("DeviceInfo", registrar, registration, options)
                _put_down_information(body, run)


async def _collect(found: Catalogue, registrar: Registrar, registration: Registration, options: Gb28181Options) -> None:
    with (
        registrar.hearing(options.device or "", "Catalog", found.hear) as number,
        _sent("Catalog", number, options.device or "", registrar, registration, options, found.news) as answer,
    ):
        while not found.whole:
            try:
                async with asyncio.timeout(options.silence if found.packets else None):
                    await found.news.wait()
            except TimeoutError:
                break  # it was announced, and nothing follows: how much is missing is a value
            found.news.clear()
            _demand(answer)
            if found.too_large:
                raise Refused("too_large", f"a catalogue of more than {options.max_items} items")
            if found.malformed and not found.packets:
                raise Refused("protocol_error", found.malformed)


async def _one(command: str, registrar: Registrar, registration: Registration, options: Gb28181Options) -> Body:
    """The one answer to a question.

    Raises:
        Refused: the device answers something else.
    """
    heard: list[bytes] = []
    news = asyncio.Event()

    def hear(raw: bytes) -> None:
        heard[:] = [raw]
        news.set()

    with (
        registrar.hearing(options.device or "", command, hear) as number,
        _sent(command, number, options.wanted, registrar, registration, options, news) as answer,
    ):
        while not heard:
            await news.wait()
            news.clear()
            _demand(answer)
    try:
        return parse(heard[0])
    except MalformedBody as error:
        raise Refused("protocol_error", str(error)) from error


@contextlib.contextmanager
def _sent(
    command: str,
    number: int,
    device: str,
    registrar: Registrar,
    registration: Registration,
    options: Gb28181Options,
    news: asyncio.Event,
) -> Iterator[asyncio.Future[Response]]:
    """Send a question; ``news`` is set when its MESSAGE is answered, which the answer itself may come before."""
    ours = registrar.identity
    request = request_to(
        "MESSAGE",
        options.device or "",
        registration.way,
        ours=ours.server_id,
        domain=ours.domain,
        headers=[("content-type", MEDIA_TYPE)],
        body=compose("Query", command, number, device, encoding=options.encoding),
    )
    pending = registrar.asking.send(request, registration.way)
    pending.answer.add_done_callback(lambda _: news.set())
    try:
        yield pending.answer
    finally:
        pending.close()


def _demand(answer: asyncio.Future[Response]) -> None:
    if not answer.done():
        return
    response = answer.result()
    if response.status >= 300:
        raise Refused(code_of(response.status), f"{response.status} {response.reason}".rstrip())


@contextlib.contextmanager
def _telling(run: Run) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        run.fail(error.code, error.detail)


def _count(found: Catalogue, run: Run) -> None:
    counts = found.counts()
    announced = found.total if found.announced is None else found.announced
    run.values |= {
        "catalog_total": found.total,
        "catalog_announced": announced,
        "catalog_missing": max(0, announced - found.total),
        "catalog_on": sum(number for status, number in counts.items() if status in ON),
        "catalog_off": sum(number for status, number in counts.items() if status in OFF),
        **{f"catalog_status:{status}": number for status, number in counts.items()},
    }
    if found.announced is None or found.announced != found.total:
        told = "no SumNum" if found.announced is None else f"SumNum {found.announced}"
        run.facts["catalog"] = f"{found.total} items in {found.packets} packets, {told}"
    if found.malformed:
        run.facts["malformed"] = found.malformed[:200]


def _put_down_status(body: Body, run: Run) -> None:  # 2016, A.2.6 e
    said = {name: body.fields.get(name, "").upper() for name in ("Result", "Online", "Status", "Encode", "Record")}
    for name, value, good in (
        ("online", said["Online"], "ONLINE"),
        ("healthy", said["Status"] or said["Result"], "OK"),
        ("encoding", said["Encode"], "ON"),
        ("recording", said["Record"], "ON"),
    ):
        if value:
            run.values[name] = float(value == good)
    offset = _clock_offset(body.fields.get("DeviceTime", ""))
    if offset is not None:
        run.values["clock_offset_seconds"] = offset
    if body.fields.get("Reason"):
        run.facts["reason"] = body.fields["Reason"][:200]


def _put_down_information(body: Body, run: Run) -> None:  # 2016, A.2.6 f
    for fact, name in (
        ("name", "DeviceName"),
        ("manufacturer", "Manufacturer"),
        ("model", "Model"),
        ("firmware", "Firmware"),
    ):
        if body.fields.get(name):
            run.facts[fact] = body.fields[name][:200]
    channels = body.integer("Channel")
    if channels is not None:
        run.values["channels"] = channels


def _clock_offset(text: str) -> float | None:
    """Seconds that the device's clock is ahead of ours, None where it says none; without a zone it is Beijing's."""
    try:
        told = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if told.tzinfo is None:
        told = told.replace(tzinfo=_BEIJING)
    return told.timestamp() - time.time()  # noqa: TID251 - it is the wall's time that is compared
