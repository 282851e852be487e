"""``baselines.yaml``: what is usual at each hour of the day, as ``sentinel baseline learn`` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from pydantic import Field

from sentinel.config.document import Node
from sentinel.config.fleet import Fleet
from sentinel.config.inventory import Section
from sentinel.config.problems import Problems, did_you_mean
from sentinel.config.validate import salvage
from sentinel.domain.baseline import HOURS, CheckBaseline, Day, Usual
from sentinel.domain.rule import Rule, Threshold

Baselines = Mapping[str, CheckBaseline]
"""By check id."""

HEADER: Final = """\
# yaml-language-server: $schema=schema/baselines.json
#
# 各检查在一天中每个小时（北京时间）的通常值，由 `sentinel baseline learn` 从实测结果学得；
# sla.yaml 中带 `deviates` 的规则与之比较。可以审阅、修改、删除：这里没有的检查和小时不作比较。
# centre 为通常值，spread 为离散程度（标准差），samples 为测量次数，days 为天数。
# What is usual of each check at each hour of the day (Beijing time), learned from what was measured; rules of sla.yaml
# with `deviates` compare with it.  Review it, change it, delete from it: nothing is said where nothing is here.
"""

Hour = Annotated[str, Field(pattern=r"^(?:[01]?[0-9]|2[0-3])$", examples=["07", "18"])]


class HourEntry(Section):
    """What is usual at one hour."""

    centre: float = Field(description="The usual value, in the value's own unit.")
    spread: float = Field(ge=0, description="How far it strays: a standard deviation, in the same unit.")
    samples: int = Field(default=0, ge=0, description="Results that it was learned from.")
    days: int = Field(default=0, ge=0, description="Days that they are from.")


class BaselinesFile(Section):
    """What is usual at each hour of the day."""

    baselines: dict[str, dict[str, dict[Hour, HourEntry]]] = Field(
        default_factory=dict,
        description="By check id, by value (or `value:item`), by hour of the day in Beijing, `00` to `23`.",
    )


def read_baselines(node: Node, fleet: Fleet | None, problems: Problems) -> Baselines:
    """What is usual, by check id.  What is there of a check or value that there is not (any more) is a warning."""
    file, node, _ = salvage(BaselinesFile, node, problems)
    found: dict[str, CheckBaseline] = {}
    for check, values in file.baselines.items() if file else ():
        here = node.at("baselines")
        if fleet is not None and check not in fleet.checks:
            if not fleet.was_removed(check.partition(".")[0]):
                hint = did_you_mean(check, fleet.checks)
                problems.warning(here.key(check), f"a baseline of `{check[:80]}`, which is no check{hint}")
            continue
        known = None if fleet is None else _values(fleet, check)
        for value in values:
            name = value.partition(":")[0]
            if known is not None and name not in known:
                hint = did_you_mean(name, known)
                problems.warning(here.key(check, value), f"`{check}` measures no `{name[:80]}`{hint}")
        found[check] = {value: _day(hours, here.at(check, value), problems) for value, hours in values.items()}
    return found


def _values(fleet: Fleet, check: str) -> frozenset[str]:
    one = fleet.checks[check]
    return frozenset(value.name for value in fleet.probes[one.probe].protocol.declared(one.options))


def _day(hours: Mapping[str, HourEntry], node: Node, problems: Problems) -> Day:
    found: dict[int, Usual] = {}
    for text, entry in hours.items():
        if int(text) in found:
            problems.error(node.key(text), f"the hour {int(text)} is here twice")
        found[int(text)] = Usual(entry.centre, entry.spread, entry.samples, entry.days)
    return found


def learned(fleet: Fleet, rules: tuple[Rule, ...]) -> Mapping[str, frozenset[str]]:
    """The values that are kept by the hour, by check id: those that are declared daily, and those that are compared."""
    compared = [
        (rule.selector, rule.predicate.value)
        for rule in rules
        if isinstance(rule.predicate, Threshold) and rule.predicate.deviates is not None
    ]
    declared: dict[int, frozenset[str]] = {}
    found: dict[str, frozenset[str]] = {}
    for check in fleet.checks.values():
        if check.vantage is None:
            continue
        options = id(check.options)
        if options not in declared:
            values = fleet.probes[check.probe].protocol.declared(check.options)
            declared[options] = frozenset(value.name for value in values if value.daily)
        wanted = declared[options] | {value for selector, value in compared if selector.matches(check)}
        if wanted:
            found[check.id] = wanted
    return found


def written(baselines: Baselines, sparse: Baselines) -> str:
    """The file's text: sorted, the same for the same baselines.

    ``sparse`` are hours of which too little is known: they are shown as comments.
    """
    lines = [*_lines(baselines, sparse)]
    return HEADER + ("baselines:\n" + "".join(f"{line}\n" for line in lines) if baselines else "baselines: {}\n")


def _lines(baselines: Baselines, sparse: Baselines) -> Iterator[str]:
    for check in sorted(baselines):
        yield f"  {_quoted(check)}:"
        thin = sparse.get(check, {})
        for value in sorted(baselines[check]):
            yield f"    {_quoted(value)}:"
            day, rest = baselines[check][value], thin.get(value, {})
            for hour in range(HOURS):
                if hour in day:
                    yield f'      "{hour:02}": {_entry(day[hour])}'
                elif hour in rest:
                    yield f'      # "{hour:02}": {_entry(rest[hour])}  # 样本不足 too few'


def _entry(usual: Usual) -> str:
    return (
        f"{{centre: {_number(usual.centre)}, spread: {_number(usual.spread)}, "
        f"samples: {usual.samples}, days: {usual.days}}}"
    )


def _number(number: float) -> str:
    return f"{number:.6g}"


def _quoted(text: str) -> str:
    # A check's id is plain; an item's name is what a device says, and a check refuses it if it is not printable.
    plain = text.replace("_", "").replace(".", "").replace("-", "")
    if plain.isascii() and plain.isalnum() and not plain[0].isdigit():
        return text
    return '"' + "".join(_ESCAPED.get(letter, letter) for letter in text if letter.isprintable()) + '"'


_ESCAPED: Final = {"\\": "\\\\", '"': '\\"'}
