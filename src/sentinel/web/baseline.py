"""``/api/v1/baseline``: what is usual at each hour of the day, learned from what was measured."""

from __future__ import annotations

from fnmatch import fnmatchcase

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sentinel.domain.baseline import HOUR, CheckBaseline
from sentinel.domain.target import Check
from sentinel.web import models
from sentinel.web.replies import answer
from sentinel.web.view import VIEW


class BaselineQuery(BaseModel):
    """Which checks, and from how many days."""

    model_config = ConfigDict(extra="forbid")

    check: list[str] = Field([], description="Check id or shell pattern; may be repeated.")
    target: list[str] = Field([], description="Target id or shell pattern; may be repeated.")
    days: int = Field(14, ge=1, le=366, description="Days up to now that are learned from, as far as they are kept.")
    limit: int = Field(20, ge=1, le=50, description="Most checks in the answer.")
    offset: int = Field(0, ge=0, description="Checks to leave out at the start.")

    def matches(self, check: Check) -> bool:
        """Whether a check is asked for."""
        return _any(self.check, check.id) and _any(self.target, check.target.id)


def _any(patterns: list[str], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


async def baseline(request: web.Request, query: BaselineQuery) -> web.Response:
    """What is usual of the checks that values are kept of, in the order of the inventory."""
    view = request.app[VIEW]
    configuration, until = view.configuration(), view.clock.now()
    since = until - query.days * 24 * HOUR
    found = [check for check in configuration.checks.values() if check.id in configuration.learned]
    found = [check for check in found if query.matches(check)]
    items = []
    for check in found[query.offset : query.offset + query.limit]:  # one at a time: messages are read from there too
        usual = await view.store.usual(check.id, since, until)
        items.append(_item(check.id, usual, configuration.learned[check.id]))
    return answer(
        models.BaselinePage(
            items=items, since=since, until=until, total=len(found), limit=query.limit, offset=query.offset
        )
    )


def _item(check: str, usual: CheckBaseline, learned: frozenset[str]) -> models.BaselineItem:
    values = {
        value: [
            models.UsualItem(hour=hour, centre=one.centre, spread=one.spread, samples=one.samples, days=one.days)
            for hour, one in day.items()
        ]
        for value, day in sorted(usual.items())
        if value.partition(":")[0] in learned
    }
    return models.BaselineItem(check=check, values=values)
