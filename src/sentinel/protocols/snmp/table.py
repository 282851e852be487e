"""Tables: rows found by a bulk walk with a bound, cells read by name."""

from __future__ import annotations

import time
from collections import Counter as PlainCounter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from sentinel.protocols.snmp.answers import AgentError, TooLargeError
from sentinel.protocols.snmp.codec import GetIter
from sentinel.protocols.snmp.datagram import Raw
from sentinel.protocols.snmp.options import SnmpOptions
from sentinel.protocols.snmp.profile import Column, Table
from sentinel.protocols.snmp.rates import Counters
from sentinel.protocols.snmp.session import Patience, Session
from sentinel.protocols.snmp.values import ALONE, Beside, label, measured, number, raw_number
from sentinel.sdk.protocol import Run

_AGGREGATES: dict[str, Callable[[Collection[float]], float]] = {"mean": fmean, "max": max, "min": min, "sum": sum}


OIDS_A_REQUEST = 40
"""Forty variables are about 1,100 bytes: agents take 1,472 (RFC 3417 section 3.2.1); those that don't say tooBig."""


class Reader:
    """Reads tables over one session: indexes by bulk requests, cells by name.

    gufo's bulk request holds one column, so that a walk costs at least a request a column; forty cells of whatever
    columns fit into one GET.  ``truncated`` turns true where a table had more rows than allowed.
    """

    def __init__(self, session: Session, patience: Patience, options: SnmpOptions) -> None:
        self.truncated = False
        self.items = options.items
        self._session, self._patience = session, patience
        self._max_rows, self._repetitions = options.max_rows, options.repetitions

    async def column(self, oid: str) -> dict[str, Raw]:
        """A column's values by index ("7", "1.3.6"); empty where the agent does not have it.

        Raises:
            AgentError: ``protocol_error`` where OIDs do not grow, which would never end (RFC 3416 section 4.2.2).
            OSError: ``ECONNREFUSED`` where nobody listens.
        """
        while True:
            try:
                return await self._column(oid)
            except TooLargeError:
                if self._repetitions == 1:
                    raise
                self._repetitions //= 2  # kept for the columns to come

    async def cells(self, oids: Sequence[str]) -> dict[str, Raw]:
        """Cells by full name; one that the agent does not have is missing."""
        return await get_all(self._session, oids, self._patience)

    async def _column(self, oid: str) -> dict[str, Raw]:
        cells: dict[str, Raw] = {}
        cursor, more = GetIter(oid, self._repetitions), True
        last: tuple[int, ...] = ()
        while more:
            rows, more = await self._session.bulk(cursor, self._patience)
            for name, raw in rows:
                index = name[len(oid) + 1 :]
                position = tuple(map(int, index.split("."))) if index else ()
                if position <= last:
                    raise AgentError("protocol_error", f"the agent's OIDs do not grow: {name[:200]} came again")
                if len(cells) == self._max_rows:
                    self.truncated = True
                    return cells
                last = position
                cells[index] = raw
        return cells


async def get_all(
    session: Session, oids: Sequence[str], patience: Patience, size: int = OIDS_A_REQUEST
) -> dict[str, Raw]:
    """The values by OID, in requests of at most so many; halved where an answer is too large."""
    found: dict[str, Raw] = {}
    for at in range(0, len(oids), size):
        some = oids[at : at + size]
        try:
            found |= await session.get(some, patience)
        except TooLargeError:
            if len(some) == 1:
                raise
            found |= await get_all(session, some, patience, len(some) // 2)
    return found


async def measure_table(reader: Reader, table: Table, run: Run, counters: Counters) -> tuple[int, list[str]]:
    """Measure every column; the number of rows and the names of columns that the agent does not have."""
    indexes, labels = await _rows(reader, table)
    keys = _keys(indexes, labels, await _chosen(reader, table, indexes, labels))
    found: dict[str, tuple[Raw, float]] = {}

    async def read(columns: Iterable[str]) -> None:
        names = [f"{oid}.{index}" for oid in dict.fromkeys(columns) for index in keys]
        for at in range(0, len(names), OIDS_A_REQUEST):
            cells = await reader.cells(names[at : at + OIDS_A_REQUEST])
            now = time.monotonic()  # of this request: a table of a thousand rows takes its time
            found.update((name, (raw, now)) for name, raw in cells.items())

    await read(oid for column in table.columns.values() for oid in _needed(column))
    columns: dict[str, Column] = dict(table.columns)
    for name, column in table.columns.items():
        if column.fallback is not None and not any(f"{column.oid}.{index}" in found for index in keys):
            columns[name] = column.model_copy(update=column.fallback.model_dump())
    await read(oid for name, column in columns.items() if column is not table.columns[name] for oid in _needed(column))
    missing = []
    for name, column in columns.items():
        if not any(f"{column.oid}.{index}" in found for index in keys):
            if not (column.optional or table.optional) and (keys or not indexes):
                missing.append(name)
            continue
        _measure_column(name, column, keys, found, run, counters)
    return len(indexes), missing


async def _rows(reader: Reader, table: Table) -> tuple[list[str], dict[str, str]]:
    """The indexes of a table, and the labels of those rows that have one."""
    labels: dict[str, str] = {}
    indexes: dict[str, None] = {}
    for oid in table.label:
        cells = await reader.column(oid)
        indexes |= dict.fromkeys(cells)
        labels = {index: shown for index, raw in cells.items() if (shown := label(raw))} | labels
        if cells and len(labels) == len(indexes):
            break  # every row has a name: the next column would add none
    first = next(iter(table.columns.values()))
    for column in (first, first.fallback):
        if column is not None and not indexes:  # nothing names the rows: the column itself tells which there are
            indexes |= dict.fromkeys(await reader.column(column.oid))
    return list(indexes), labels


async def _chosen(reader: Reader, table: Table, indexes: Sequence[str], labels: Mapping[str, str]) -> Collection[str]:
    """The indexes of the rows that the check's items are for: all of them where it has none."""
    items = reader.items
    if items is None:
        return indexes
    chosen = {index for index in indexes if items.found_in(labels.get(index, index[:64]))}
    for oid in table.aliases:
        cells = await reader.column(oid)
        chosen |= {index for index in indexes if items.found_in(label(cells.get(index)))}
    return chosen


def _needed(column: Column) -> Iterator[str]:
    yield column.oid
    if column.divided_by:
        yield column.divided_by
    if column.only:
        yield column.only.oid
    if column.sensor:
        yield from (column.sensor.scale, column.sensor.precision)
    if column.discontinuity:
        yield column.discontinuity


def _measure_column(
    name: str,
    column: Column,
    keys: Mapping[str, str],
    found: Mapping[str, tuple[Raw, float]],
    run: Run,
    counters: Counters,
) -> None:
    """Each row's value, or their aggregate."""

    def other(oid: str, index: str) -> float | None:
        return number(found.get(f"{oid}.{index}", (None, 0.0))[0])

    values: dict[str, float] = {}
    for index, key in keys.items():
        raw, now = found.get(f"{column.oid}.{index}", (None, 0.0))
        count = raw_number(column, raw)
        if count is None or (column.only is not None and other(column.only.oid, index) != column.only.equals):
            continue
        if column.sensor is not None and count not in column.invalid:
            count = placed(count, other(column.sensor.scale, index), other(column.sensor.precision, index))
        beside = ALONE
        if column.divided_by or column.discontinuity:
            divisor = other(column.divided_by, index) if column.divided_by else None
            beside = Beside(divisor, other(column.discontinuity, index) if column.discontinuity else None)
        value = None if count is None else measured(f"{name}:{key}", column, count, counters, now, beside)
        if value is not None:
            values[key] = value
    if column.aggregate is None:
        run.values.update((f"{name}:{key}", value) for key, value in values.items())
    elif values:
        run.values[name] = float(_AGGREGATES[column.aggregate](values.values()))


def _keys(indexes: Sequence[str], labels: Mapping[str, str], chosen: Collection[str]) -> dict[str, str]:
    """Index to item, of the chosen: the row's label, with its index behind it where two rows bear the same."""
    shown = {index: labels.get(index, index[:64]) for index in indexes}
    times = PlainCounter(shown.values())
    return {
        index: name if times[name] == 1 else f"{name[: 64 - len(index) - 1]}#{index}"[:64]
        for index, name in shown.items()
        if index in chosen
    }


def placed(count: float, scale: float | None, precision: float | None) -> float | None:
    """RFC 3433: EntitySensorDataScale counts thousands around units(9); EntitySensorPrecision is -8 to 9 digits."""
    if scale is None or precision is None or not 1 <= scale <= 17 or not -8 <= precision <= 9:
        return None
    return float(count * 10.0 ** (3 * (scale - 9)) / 10.0**precision)
