"""``sentinel baseline learn``: what is usual at each hour of the day, from what the daemon has measured."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from sentinel.cli.control import Config, Socket, ask, socket_of
from sentinel.cli.screen import ZH, complain, console, table, text
from sentinel.config.baselines import Baselines, read_baselines, written
from sentinel.config.document import Unreadable, parse, read
from sentinel.config.problems import Problems
from sentinel.domain.baseline import HOURS, CheckBaseline, Day, Usual
from sentinel.domain.wording import figure

PAGE: Final = 20

app = typer.Typer(
    name="baseline",
    help="What is usual at each hour of the day.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def options() -> None:
    """What is usual at each hour of the day."""


@dataclass(frozen=True, slots=True)
class Enough:
    """From when on an hour is known: results, and the days that they are from."""

    samples: int
    days: int

    def __call__(self, usual: Usual) -> bool:
        """Whether this hour is."""
        return usual.samples >= self.samples and usual.days >= self.days


@app.command("learn")
def learn(  # noqa: PLR0913, PLR0917 - each is an option of the command
    config: Config = Path("config"),
    socket: Socket = None,
    days: Annotated[int, typer.Option(help="Learn from so many days up to now.", min=1, max=366)] = 14,
    check: Annotated[
        list[str] | None, typer.Option(help="These checks only: an id or a shell pattern; may be repeated.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Checks of these targets only: an id or a pattern; may be repeated.")
    ] = None,
    value: Annotated[
        list[str] | None, typer.Option(help="These values only: a name or a pattern; may be repeated.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="File to write. Default: baselines.yaml in the configuration.", metavar="FILE"),
    ] = None,
    min_samples: Annotated[int, typer.Option(help="Results that an hour must have to be known.", min=2)] = 30,
    min_days: Annotated[int, typer.Option(help="Days that they must be from.", min=1)] = 3,
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Change a file that is there: what was learned anew is replaced, the rest stays."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be learned; write nothing.")] = False,
) -> None:
    """Learn from the running daemon what is usual of pictures and other values at each hour, and write it to review.

    It learns from good results only, measured while no rule had anything against the check. What was learned works
    once the file is reviewed and the daemon has reloaded. Exit codes: 0 learned, 1 not enough was measured yet,
    2 the file is there already or cannot be written, 3 no daemon answers.
    """
    path = write or config / "baselines.yaml"
    known = {} if dry_run else _known(path, force=force)
    enough = Enough(min_samples, min_days)
    measured = _measured(socket_of(config, socket), days, check or [], target or [], value or [])
    learned = _where(measured, enough)
    sparse = _where(measured, lambda usual: not enough(usual))
    _print(measured, learned)
    if not learned:
        complain(_too_little(measured, enough))
        raise typer.Exit(1)
    if dry_run:
        return
    merged = {**known, **{name: {**known.get(name, {}), **baseline} for name, baseline in learned.items()}}
    _save(path, merged, sparse)
    console().print(
        text(f"已写入 wrote {path}：审阅后执行 `sentinel check` 和 `sentinel reload` review it, then check and reload")
    )


def _known(path: Path, *, force: bool) -> Baselines:
    """What the file has already."""
    if not path.exists():
        return {}
    if not force:
        complain(f"文件已存在 {path} exists: --force 更新其中学得的部分 replaces in it what was learned anew")
        raise typer.Exit(2)
    problems = Problems()
    try:
        found = read_baselines(read(path), None, problems)
    except Unreadable as error:
        complain(str(error))
        raise typer.Exit(2) from None
    if problems.errors:
        for problem in problems.errors:
            complain(str(problem))
        raise typer.Exit(2)
    return found


def _measured(
    socket: Path, days: int, checks: Sequence[str], targets: Sequence[str], values: Sequence[str]
) -> dict[str, CheckBaseline]:
    """By check id; a check that nothing was measured of yet has no values."""
    found: dict[str, CheckBaseline] = {}
    offset, total = 0, 1
    while offset < total:
        asked = [("days", days), ("limit", PAGE), ("offset", offset)]
        names = [("check", one) for one in checks] + [("target", one) for one in targets]
        code, page = ask(socket, "GET", f"/api/v1/baseline?{urlencode([*asked, *names])}")
        if code != 200:
            complain(f"守护进程拒绝了请求 the daemon refused: {page.get('detail') or 'is it an older version?'}")
            raise typer.Exit(3)
        for item in page["items"]:
            found[item["check"]] = {name: _day(hours) for name, hours in item["values"].items() if _any(values, name)}
        offset, total = offset + PAGE, page["total"]
    return found


def _any(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(fnmatchcase(one, pattern) for pattern in patterns for one in (name, _name(name)))


def _name(key: str) -> str:
    return key.partition(":")[0]


def _day(hours: Sequence[Mapping[str, Any]]) -> Day:
    return {one["hour"]: Usual(one["centre"], one["spread"], one["samples"], one["days"]) for one in hours}


def _where(measured: Baselines, holds: Callable[[Usual], bool]) -> dict[str, CheckBaseline]:
    """Only the hours for which it holds, and only what then is left."""
    found: dict[str, CheckBaseline] = {}
    for check, values in measured.items():
        days = {name: {hour: one for hour, one in day.items() if holds(one)} for name, day in values.items()}
        if left := {name: day for name, day in days.items() if day}:
            found[check] = left
    return found


def _too_little(measured: Baselines, enough: Enough) -> str:
    if not measured:
        return "没有可学习的检查 there is no such check, or none with values that are learned"
    most = [usual for values in measured.values() for day in values.values() for usual in day.values()]
    if not most:
        return "还没有测得数据 nothing was measured yet: the daemon has to run for some days first"
    return (
        f"数据还不够 not enough yet: an hour needs {enough.samples} results from {enough.days} days, "
        f"the best one has {max(one.samples for one in most)} from {max(one.days for one in most)}"
    )


def _print(measured: Baselines, learned: Baselines) -> None:
    shown = table("检查 check", "值 value", "小时 hours", "样本 samples", "最低 lowest", "最高 highest", whole=2)
    for check, values in sorted(measured.items()):
        if not values:
            shown.add_row(text(check), "—", "0/24", "0", "", "")
        for name, day in sorted(values.items()):
            known = learned.get(check, {}).get(name, {})
            low = min(known.values(), key=lambda one: one.centre, default=None)
            high = max(known.values(), key=lambda one: one.centre, default=None)
            shown.add_row(
                text(check),
                text(name),
                f"{len(known)}/{HOURS}",
                str(sum(usual.samples for usual in day.values())),
                _shown(name, low),
                _shown(name, high),
            )
    if measured:
        console().print(shown)


def _shown(name: str, usual: Usual | None) -> str:
    return "" if usual is None else f"{figure(name, usual.centre, ZH)} ± {figure(name, usual.spread, ZH)}"


def _save(path: Path, baselines: Baselines, sparse: Baselines) -> None:
    """Whole or not at all; only what the daemon will read."""
    made = written(baselines, sparse)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        problems = Problems()
        read_baselines(parse(made.encode(), str(path)), None, problems)
        if problems.errors:
            raise AssertionError(str(problems.errors[0]))  # we wrote it
        with aside.open("x", encoding="utf-8") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except Unreadable as error:
        complain(f"{error}：请用 --value 或 --check 缩小范围 choose fewer with --value or --check")
        raise typer.Exit(2) from None
    except OSError as error:
        complain(f"无法写入 cannot write {path}: {error.strerror}")
        raise typer.Exit(2) from None
    finally:
        aside.unlink(missing_ok=True)
