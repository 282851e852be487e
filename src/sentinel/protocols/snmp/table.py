"""Tables: walked in bulk, column by column, with a bound on rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from statistics import fmean

from sentinel.protocols.snmp.answers import AgentError, TooLargeError
from sentinel.protocols.snmp.codec import GetIter, Raw
from sentinel.protocols.snmp.profile import Column, Metric, Sensor, Table
from sentinel.protocols.snmp.rates import Counters
from sentinel.protocols.snmp.session import Patience, Session
from sentinel.protocols.snmp.values import label, measured, number
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Run

_AGGREGATES: dict[str, Callable[[Collection[float]], float]] = {"mean": fmean, "max": max, "min": min, "sum": sum}


class Walk:
    """Walks columns over one session; ``truncated`` turns true where a column had more rows than allowed."""

    def __init__(self, session: Session, patience: Patience, max_rows: int, repetitions: int) -> None:
        self.truncated = False
        self._session, self._patience = session, patience
        self._max_rows, self._repetitions = max_rows, repetitions

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


async def measure_table(
    walk: Walk, table: Table, items: Pattern | None, run: Run, counters: Counters
) -> tuple[int, list[str]]:
    """Measure every column; the number of rows and the names of columns that the agent does not have."""
    labels: dict[str, str] = {}
    named: set[str] = set()
    for oid in table.label:
        cells = await walk.column(oid)
        named |= cells.keys()
        labels = {index: shown for index, raw in cells.items() if (shown := label(raw))} | labels
        if cells and len(labels) == len(named):
            break  # every row has a name: the next column would add none
    columns: dict[str, dict[str, Raw]] = {}
    missing, rows = [], named
    for name, column in table.columns.items():
        metric, cells, now = await _cells(walk, column, columns)
        rows = rows | cells.keys()
        if not cells and not (column.optional or table.optional):
            missing.append(name)
        keys = _keys(cells, labels, items)
        found = {}
        for index, key in keys.items():
            count = _number(column, index, cells[index], columns)
            divisor = number(columns[column.divided_by].get(index)) if column.divided_by else None
            value = None if count is None else measured(f"{name}:{key}", metric, count, counters, now, divisor)
            if value is not None:
                found[key] = value
        if column.aggregate is None:
            run.values.update({f"{name}:{key}": value for key, value in found.items()})
        elif found:
            run.values[name] = float(_AGGREGATES[column.aggregate](found.values()))
    return len(rows), missing


async def _cells(
    walk: Walk, column: Column, columns: dict[str, dict[str, Raw]]
) -> tuple[Metric, dict[str, Raw], float]:
    """A column's cells, or its fallback's; what they mean; and the monotonic time at which they were read."""
    metric: Metric = column
    cells = await walk.column(column.oid)
    if not cells and column.fallback is not None:
        metric = column.model_copy(update=column.fallback.model_dump())
        cells = await walk.column(metric.oid)
    now = time.monotonic()
    wanted = [column.divided_by, column.only and column.only.oid]
    wanted += [column.sensor.scale, column.sensor.precision] if column.sensor else []
    for oid in wanted if cells else ():
        if oid and oid not in columns:
            columns[oid] = await walk.column(oid)
    for oid in wanted:
        if oid:
            columns.setdefault(oid, {})
    return metric, cells, now


def _keys(cells: Mapping[str, Raw], labels: Mapping[str, str], items: Pattern | None) -> dict[str, str]:
    """Index to item: the row's label, with its index behind it where two rows bear the same."""
    shown = {index: labels.get(index, index[:64]) for index in cells}
    times: dict[str, int] = {}
    for name in shown.values():
        times[name] = times.get(name, 0) + 1
    return {
        index: name if times[name] == 1 else f"{name[: 64 - len(index) - 1]}#{index}"[:64]
        for index, name in shown.items()
        if items is None or items.found_in(name)
    }


def _number(column: Column, index: str, raw: Raw, columns: Mapping[str, Mapping[str, Raw]]) -> float | None:
    """The cell as a number; None where it is none, or where the row does not count."""
    if column.only is not None and number(columns[column.only.oid].get(index)) != column.only.equals:
        return None
    count = number(raw)
    if count is None or column.sensor is None or count in column.invalid:
        return count
    return _placed(count, column.sensor, index, columns)


def _placed(count: float, sensor: Sensor, index: str, columns: Mapping[str, Mapping[str, Raw]]) -> float | None:
    """RFC 3433: EntitySensorDataScale counts thousands around units(9); EntitySensorPrecision is -8 to 9 digits."""
    scale, precision = (number(columns[oid].get(index)) for oid in (sensor.scale, sensor.precision))
    if scale is None or precision is None or not 1 <= scale <= 17 or not -8 <= precision <= 9:
        return None
    return float(count * 10.0 ** (3 * (scale - 9)) / 10.0**precision)
