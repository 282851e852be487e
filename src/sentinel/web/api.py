"""``/api/v1``, ``/livez``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar, get_origin

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import sentinel
from sentinel.domain.incident import State, Telling
from sentinel.engine.snapshot import CheckView
from sentinel.web import answers, models
from sentinel.web.baseline import BaselineQuery
from sentinel.web.baseline import baseline as learned
from sentinel.web.evidence import exhibit, exhibits
from sentinel.web.openapi import Operation, document
from sentinel.web.replies import answer, refused
from sentinel.web.view import VIEW

_Query = TypeVar("_Query", bound=BaseModel)

CONTROL: web.AppKey[bool] = web.AppKey("control", bool)
_DOCUMENT: web.AppKey[dict[str, Any]] = web.AppKey("document", dict)


class Query(BaseModel):
    """Base of the queries: an unknown parameter is an error, never ignored."""

    model_config = ConfigDict(extra="forbid")


class ChecksQuery(Query):
    """Filters of checks: all that are given must match; one value of a repeated one is enough."""

    state: list[models.CheckState] = Field([], description="State; may be repeated.")
    target: str | None = Field(None, description="Target id; a shell pattern such as `hall-*` is one too.")
    kind: str | None = Field(None, description="Kind of the target.")
    protocol: str | None = Field(None, description="Protocol.")
    probe: str | None = Field(None, description="Probe.")
    zone: str | None = Field(None, description="Zone id.")
    venue: str | None = Field(None, description="Venue id.")
    room: str | None = Field(None, description="Room id.")
    system: str | None = Field(None, description="System id.")
    limit: int = Field(200, ge=1, le=1000, description="Most items in the answer.")
    offset: int = Field(0, ge=0, description="Items to leave out at the start.")

    def matches(self, view: CheckView) -> bool:
        """Whether a check is asked for."""
        check, target = view.check, view.check.target
        return (
            (not self.state or view.state in self.state)
            and (self.target is None or fnmatchcase(target.id, self.target))
            and all(
                asked is None or asked == has
                for asked, has in (
                    (self.kind, target.kind),
                    (self.protocol, check.protocol),
                    (self.probe, check.probe),
                    (self.zone, target.zone),
                    (self.venue, target.venue),
                    (self.room, target.room),
                    (self.system, target.system),
                )
            )
        )


class IncidentsQuery(Query):
    """Which incidents."""

    state: Literal["open", "all"] = Field("open", description="Open ones, or those that ended as well.")
    since: float = Field(0.0, ge=0.0, allow_inf_nan=False, description="Opened since, UTC epoch seconds.")
    limit: int = Field(200, ge=1, le=1000, description="Most items in the answer.")


async def livez(_request: web.Request) -> web.Response:
    """The process answers."""
    return answer(models.Alive())


async def readyz(request: web.Request) -> web.Response:
    """Whether the daemon does its work; 503 where not."""
    view = request.app[VIEW]
    reasons = list(view.not_ready())
    told = reasons if request.app[CONTROL] or view.token is None else []
    return answer(
        models.Ready(status="not_ready" if reasons else "ready", reasons=told), status=503 if reasons else 200
    )


async def metrics(request: web.Request) -> web.StreamResponse:
    """The exposition, in chunks; gzip where the client takes it."""
    gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    content_type, chunks = await request.app[VIEW].exposition.scrape(request.headers.get("Accept", ""), gzip=gzip)
    response = web.StreamResponse(headers={"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"})
    response.content_length = sum(map(len, chunks))
    if gzip:
        response.headers["Content-Encoding"] = "gzip"
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


async def status(request: web.Request) -> web.Response:
    """The daemon at a glance."""
    view = request.app[VIEW]
    snapshot, reasons = view.snapshot, list(view.not_ready())
    open_ = [one for one in snapshot.incidents.values() if one.state is State.OPEN]
    return answer(
        models.StatusItem(
            version=sentinel.__version__,
            now=view.clock.now(),
            ready=not reasons,
            reasons=reasons,
            generation=snapshot.generation,
            checks=answers.states(Counter(one.state for one in snapshot.checks.values())),
            incidents=answers.severities(Counter(one.severity.value for one in open_)),
            suppressed=sum(one.telling is Telling.SUPPRESSED for one in open_),
            undelivered=dict(await view.store.undelivered()),
        )
    )


async def checks(request: web.Request) -> web.Response:
    """Checks as they stand, in the order of the inventory."""
    query = _query(request, ChecksQuery)
    found = [view for view in request.app[VIEW].snapshot.checks.values() if query.matches(view)]
    page = found[query.offset : query.offset + query.limit]
    return answer(
        models.CheckPage(
            items=[answers.check_item(view) for view in page],
            total=len(found),
            limit=query.limit,
            offset=query.offset,
        )
    )


async def check(request: web.Request) -> web.Response:
    """One check in full."""
    view, name = request.app[VIEW], request.match_info["id"]
    found = view.snapshot.checks.get(name)
    if found is None:
        raise refused(404, "no such check", f"the configuration in force has no check {name!r}")
    incidents = [one for one in view.snapshot.incidents.values() if one.subject == name]
    return answer(answers.check_detail(found, incidents, view.configuration().fingerprints.get(name, "")))


async def incidents(request: web.Request) -> web.Response:
    """Open incidents, or all of them."""
    query = _query(request, IncidentsQuery)
    found = await request.app[VIEW].store.incidents(
        open_only=query.state == "open", since=query.since, limit=query.limit
    )
    return answer(models.IncidentPage(items=[answers.incident_item(one) for one in found], limit=query.limit))


async def incident(request: web.Request) -> web.Response:
    """Why it opened, who was told, what was suppressed and why."""
    name = request.match_info["id"]
    found = await request.app[VIEW].store.history(name)
    if found is None:
        raise refused(404, "no such incident", f"no incident {name!r} was ever recorded")
    return answer(answers.history(found))


async def sla(request: web.Request) -> web.Response:
    """Promises as they stand."""
    return answer(models.SlaPage(items=[answers.sla_item(figure) for figure in request.app[VIEW].snapshot.sla]))


async def baseline(request: web.Request) -> web.Response:
    """What is usual at each hour of the day."""
    return await learned(request, _query(request, BaselineQuery))


async def config(request: web.Request) -> web.Response:
    """Fingerprints of what is in force."""
    view = request.app[VIEW]
    configuration = view.configuration()
    prints = configuration.fingerprints
    return answer(
        models.ConfigItem(
            checks={name: prints[name] for name in configuration.checks if name in prints},
            rules={rule.id: prints[rule.id] for rule in configuration.rules if rule.id in prints},
            generation=view.snapshot.generation,
        )
    )


async def reload(request: web.Request) -> web.Response:
    """Read the configuration again; refused as a whole where anything in it is wrong."""
    view = request.app[VIEW]
    problems = await view.reload()
    if problems:
        items = [
            models.ProblemItem(file=one.file, line=one.line, column=one.column, message=one.message) for one in problems
        ]
        raise refused(409, "configuration refused", "the old configuration stays in force", items)
    return answer(models.Reloaded(generation=view.snapshot.generation))


async def openapi(request: web.Request) -> web.Response:
    """This document."""
    return web.json_response(request.app[_DOCUMENT])


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_ROUTES: tuple[tuple[_Handler, Operation], ...] = (
    (livez, Operation("GET", "/livez", "livez", "The process answers.", models.Alive, open=True)),
    (
        readyz,
        Operation(
            "GET", "/readyz", "readyz", "The daemon does its work.", models.Ready, not_ready=models.Ready, open=True
        ),
    ),
    (metrics, Operation("GET", "/metrics", "metrics", "Metrics for Prometheus.", media="text/plain")),
    (status, Operation("GET", "/api/v1/status", "status", "The daemon at a glance.", models.StatusItem)),
    (
        checks,
        Operation(
            "GET",
            "/api/v1/checks",
            "checks",
            "Checks as they stand.",
            models.CheckPage,
            query=ChecksQuery,
            refusals=(400,),
        ),
    ),
    (
        check,
        Operation("GET", "/api/v1/checks/{id}", "check", "One check in full.", models.CheckDetail, refusals=(404,)),
    ),
    (
        incidents,
        Operation(
            "GET",
            "/api/v1/incidents",
            "incidents",
            "Open incidents, or all of them.",
            models.IncidentPage,
            query=IncidentsQuery,
            refusals=(400,),
        ),
    ),
    (
        incident,
        Operation(
            "GET",
            "/api/v1/incidents/{id}",
            "incident",
            "Why it opened, who was told, what was suppressed and why.",
            models.IncidentHistory,
            refusals=(404,),
        ),
    ),
    (
        exhibits,
        Operation(
            "GET",
            "/api/v1/incidents/{id}/evidence",
            "exhibits",
            "What it was opened on, as far as it is kept.",
            models.ExhibitPage,
            refusals=(404,),
        ),
    ),
    (
        exhibit,
        Operation(
            "GET",
            "/api/v1/incidents/{id}/evidence/{number}",
            "exhibit",
            "One piece of evidence, in its own media type: a picture, or the path as JSON.",
            media="*/*",
            refusals=(404,),
        ),
    ),
    (sla, Operation("GET", "/api/v1/sla", "sla", "Promises as they stand.", models.SlaPage)),
    (
        baseline,
        Operation(
            "GET",
            "/api/v1/baseline",
            "baseline",
            "What is usual at each hour of the day, learned from what was measured.",
            models.BaselinePage,
            query=BaselineQuery,
            refusals=(400,),
        ),
    ),
    (config, Operation("GET", "/api/v1/config", "config", "Fingerprints of what is in force.", models.ConfigItem)),
    (
        reload,
        Operation(
            "POST",
            "/api/v1/reload",
            "reload",
            "Read the configuration again.",
            models.Reloaded,
            refusals=(409,),
            control=True,
        ),
    ),
)
OPERATIONS: tuple[Operation, ...] = (
    *(operation for _, operation in _ROUTES),
    Operation("GET", "/events", "events", "Changes of the wall as server-sent events.", media="text/event-stream"),
)


def install(app: web.Application, *, control: bool) -> None:
    """Add the routes; ``control`` those of the Unix socket as well."""
    app[CONTROL] = control
    app[_DOCUMENT] = document(OPERATIONS)
    for handler, operation in _ROUTES:
        if control or not operation.control:
            app.router.add_route(operation.method, operation.path, handler)
    app.router.add_get("/api/v1/openapi.json", openapi)


def _query(request: web.Request, model: type[_Query]) -> _Query:
    given: dict[str, Any] = {}
    for name in request.query:
        field = model.model_fields.get(name)
        values = request.query.getall(name)
        many = field is not None and get_origin(field.annotation) is list
        given[name] = values if many or len(values) > 1 else values[0]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise refused(400, "wrong query", wrong[:2000]) from error
