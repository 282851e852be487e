"""The API: its answers are what its own document says, and its refusals say why."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from sentinel.config.problems import Problem
from sentinel.domain.evidence import Evidence
from sentinel.domain.failure import Failure
from sentinel.domain.incident import Telling
from sentinel.engine.ports import Exhibit
from sentinel.web.api import OPERATIONS
from sentinel.web.openapi import document, written
from tests.support import fleet
from tests.support.served import Centre, centre, served

ROOT = Path(__file__).parents[3]


@pytest.fixture
def one() -> Centre:
    made = centre()
    made.set_state("room-209-set-01.tcp", "down")
    made.open(fleet.incident(made.configuration.checks["room-209-set-01.tcp"]))
    made.open(fleet.incident(made.configuration.checks["hall-01.tcp"], telling=Telling.SUPPRESSED, cause="hall-switch"))
    return made


@pytest.fixture
async def session(one: Centre) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(one) as url, aiohttp.ClientSession(url) as client:
        yield client


async def get(session: aiohttp.ClientSession, path: str, status: int = 200) -> Any:
    async with session.get(path) as answer:
        assert answer.status == status, await answer.text()
        body = await answer.json(content_type=None)
    assert_documented("GET", answer.url.path, answer.status, answer.content_type, body)
    return body


def assert_documented(method: str, path: str, status: int, media: str, body: Any) -> None:
    """Hold a real answer against the document."""
    api = document(OPERATIONS)
    [template] = [
        template
        for template in api["paths"]
        if template == path or (path not in api["paths"] and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path))
    ]
    schema = api["paths"][template][method.lower()]["responses"][str(status)]["content"][media]["schema"]
    registry: Registry[Any] = Registry().with_resource("api", DRAFT202012.create_resource(api))
    reference = {"$ref": f"api{schema['$ref']}"}
    Draft202012Validator(reference, registry=registry).validate(body)


def test_the_document_is_openapi() -> None:
    validate(document(OPERATIONS))


def test_the_file_is_the_document() -> None:
    assert (ROOT / "docs" / "openapi.json").read_text("utf-8") == written(OPERATIONS), "out of date: run make docs"


async def test_the_document_is_served(session: aiohttp.ClientSession) -> None:
    async with session.get("/api/v1/openapi.json") as answer:
        assert await answer.json() == document(OPERATIONS)


@pytest.mark.parametrize(
    "path",
    ["/livez", "/readyz", "/api/v1/status", "/api/v1/checks", "/api/v1/sla", "/api/v1/config", "/api/v1/incidents"],
)
async def test_answers_are_as_documented(session: aiohttp.ClientSession, path: str) -> None:
    assert await get(session, path)


async def test_filters_and_pages(session: aiohttp.ClientSession, one: Centre) -> None:
    down = await get(session, "/api/v1/checks?state=down&state=failing")
    assert [item["id"] for item in down["items"]] == ["room-209-set-01.tcp"]
    assert down["items"][0]["result"]["failure"] == {"stage": "connect", "code": "timed_out", "detail": "no answer"}
    hall = await get(session, "/api/v1/checks?target=hall-*&kind=terminal&room=hall&limit=10&offset=55")
    assert hall["total"] == 60
    assert [item["id"] for item in hall["items"]] == [f"hall-{n}.tcp" for n in range(56, 61)]
    cameras = await get(session, "/api/v1/checks?protocol=rtsp&zone=police-image&system=image-01&limit=1")
    assert cameras["total"] == 3
    assert (await get(session, "/api/v1/checks?venue=room-209&probe=tcp-probe"))["total"] == 1
    assert (await get(session, "/api/v1/checks?limit=1000"))["total"] == len(one.configuration.checks)


@pytest.mark.parametrize(
    "query",
    ["colour=red", "state=sideways", "limit=0", "limit=1001", "offset=-1", "kind=a&kind=b", "limit=x"],
)
async def test_a_wrong_query_is_refused(session: aiohttp.ClientSession, query: str) -> None:
    body = await get(session, f"/api/v1/checks?{query}", 400)
    assert query.partition("=")[0] in body["detail"]


async def test_a_check_in_full_without_its_secrets(session: aiohttp.ClientSession) -> None:
    async with session.get("/api/v1/checks/room-209-set-01.tcp") as answer:
        assert "hunter2" not in await answer.text()
    body = await get(session, "/api/v1/checks/room-209-set-01.tcp")
    assert body["options"]["password"] == "**********"
    assert body["failures"] == [{"stage": "connect", "code": "timed_out", "count": 3}]
    assert [one["id"] for one in body["incidents"]] == ["i-room-209-set-01-tcp"]
    assert body["counts"] == {"ok": 100, "failed": 1}
    assert body["fingerprint"]
    await get(session, "/api/v1/checks/unheard-of", 404)


async def test_an_incident_says_who_was_told_and_why_not(session: aiohttp.ClientSession) -> None:
    told = await get(session, "/api/v1/incidents/i-room-209-set-01-tcp")
    assert [(notice["channel"], notice["status"], notice["error"]) for notice in told["notices"]] == [
        ("desk", "sent", ""),
        ("pager", "queued", "HTTP 500"),
    ]
    assert told["silences"] == []
    silent = await get(session, "/api/v1/incidents/i-hall-01-tcp")
    [silence] = silent["silences"]
    assert (silence["reason"], silence["cause"]) == ("parent_down", "hall-switch")
    assert silence["meaning"] == "what it hangs on is down: not told"
    await get(session, "/api/v1/incidents/i-none", 404)


async def test_open_and_all_incidents(session: aiohttp.ClientSession, one: Centre) -> None:
    one.open(fleet.ended(fleet.incident(one.configuration.checks["hall-02.tcp"])))
    assert len((await get(session, "/api/v1/incidents"))["items"]) == 2
    assert len((await get(session, "/api/v1/incidents?state=all"))["items"]) == 3
    assert len((await get(session, "/api/v1/incidents?state=all&limit=1"))["items"]) == 1
    assert (await get(session, f"/api/v1/incidents?since={fleet.NOW}"))["items"] == []
    await get(session, "/api/v1/incidents?since=inf", 400)


async def test_status_counts(session: aiohttp.ClientSession, one: Centre) -> None:
    one.store.undelivered_by_channel = {"desk": 2}
    one.reasons.append("the store cannot be written")
    body = await get(session, "/api/v1/status")
    assert body["checks"]["down"] == 1
    assert body["incidents"] == {"info": 0, "warning": 0, "major": 2, "critical": 0}
    assert (body["suppressed"], body["undelivered"], body["ready"]) == (1, {"desk": 2}, False)
    ready = await get(session, "/readyz", 503)
    assert ready == {"status": "not_ready", "reasons": ["the store cannot be written"]}


async def test_fingerprints(session: aiohttp.ClientSession, one: Centre) -> None:
    body = await get(session, "/api/v1/config")
    assert body["checks"].keys() == one.configuration.checks.keys()
    assert body["rules"] == {"down": "feedbeef"}
    assert body["generation"] == 0


async def test_values_and_texts_of_hostile_peers_are_json(session: aiohttp.ClientSession, one: Centre) -> None:
    shown = one.snapshot.checks["hall-01.tcp"]
    seen = fleet.observation(shown.check, failure=Failure("banner", "mismatch", '</script>\ud800"\n\x00'))
    shown.observation = replace(seen, values={"a": float("nan"), "b": float("inf"), "c": 1.0}, facts={"x": "\ud800"})
    async with session.get("/api/v1/checks/hall-01.tcp") as answer:
        text = await answer.text()
    result = json.loads(text, parse_constant=pytest.fail)["result"]
    assert result["values"] == {"c": 1.0}
    assert result["failure"]["detail"] == '</script>?"\n\x00'


async def test_metrics_are_served(session: aiohttp.ClientSession) -> None:
    async with session.get("/metrics") as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.content_type == "text/plain"
        assert "sentinel_check_up{" in await answer.text()
    async with session.get(
        "/metrics", headers={"Accept": "application/openmetrics-text", "Accept-Encoding": "identity"}
    ) as answer:
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


async def test_reload_is_on_the_unix_socket_alone(one: Centre, tmp_path: Path) -> None:
    path = tmp_path / "run" / "control.sock"
    async with served(one, control=path) as url:
        async with aiohttp.ClientSession(url) as client, client.post("/api/v1/reload") as answer:
            assert answer.status == 404
        assert one.reloads == 0
        assert path.stat().st_mode & 0o777 == 0o600
        async with aiohttp.ClientSession("http://sentinel/", connector=aiohttp.UnixConnector(str(path))) as client:
            async with client.post("/api/v1/reload") as answer:
                assert await answer.json() == {"generation": 1}
            one.problems.append(Problem("inventory.yaml", 3, 7, "no such zone"))
            async with client.post("/api/v1/reload") as answer:
                body = await answer.json(content_type=None)
                assert answer.status == 409
            assert_documented("POST", "/api/v1/reload", 409, answer.content_type, body)
            assert body["problems"] == [{"file": "inventory.yaml", "line": 3, "column": 7, "message": "no such zone"}]
            assert (await get(client, "/api/v1/config"))["generation"] == 1
    assert not path.exists()


async def test_evidence_is_listed_and_given_as_what_it_is_and_nothing_else(
    one: Centre, session: aiohttp.ClientSession
) -> None:
    (incident, *_) = one.store.kept
    frame = Evidence("picture", "image/jpeg", b"\xff\xd8<script>alert(1)</script>")
    one.store.evidence[incident, 1] = frame
    listed = Exhibit(incident, 1, fleet.NOW, "picture", "image/jpeg", len(frame.data))
    one.store.kept[incident] = replace(one.store.kept[incident], exhibits=[listed])
    page = await get(session, f"/api/v1/incidents/{incident}/evidence")
    (item,) = page["items"]
    assert (item["kind"], item["media_type"], item["size"]) == ("picture", "image/jpeg", len(frame.data))
    assert (await get(session, f"/api/v1/incidents/{incident}"))["evidence"] == [item]
    async with session.get(item["url"]) as answer:
        assert answer.status == 200
        assert await answer.read() == frame.data
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    for path in ("2", "x", "-1", "\u0661", "9" * 30):
        async with session.get(f"/api/v1/incidents/{incident}/evidence/{path}") as answer:
            assert answer.status == 404
    await get(session, "/api/v1/incidents/nobody/evidence", 404)


async def test_evidence_wants_the_token_like_everything_else() -> None:
    async with served(centre(token="0123456789abcdef0123")) as url, aiohttp.ClientSession(url) as client:
        for path in ("/api/v1/incidents/i1/evidence", "/api/v1/incidents/i1/evidence/1"):
            async with client.get(path) as answer:
                assert answer.status == 401
