import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.fixtures import StartAlertmanager, StartPrometheus
from tests.support.webhook import WebhookReceiver


async def test_scrapes_and_answers_queries(prometheus: StartPrometheus) -> None:
    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text="# TYPE answer gauge\nanswer 42\n")

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        server = await asyncio.to_thread(prometheus, [f"127.0.0.1:{runner.addresses[0][1]}"])
        async with asyncio.timeout(10):
            while not (samples := await server.query("answer")):
                await asyncio.sleep(0.05)
        assert samples[0]["value"][1] == "42"
        assert [target["health"] for target in await server.targets()] == ["up"]
    finally:
        await runner.cleanup()


async def test_alertmanager_tells_its_webhook(
    alertmanager: StartAlertmanager, webhook_receiver: WebhookReceiver
) -> None:
    server = alertmanager(webhook_receiver.url)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/api/v2/alerts", json=[{"labels": {"alertname": "Door"}}]) as response,
    ):
        assert response.status == 200
    (request,) = await webhook_receiver.received()
    assert request.json["alerts"][0]["labels"] == {"alertname": "Door"}
    assert [alert["labels"]["alertname"] for alert in await server.alerts()] == ["Door"]


def test_promtool_judges_metrics(promtool: Callable[..., Any]) -> None:
    good = promtool("check", "metrics", text="# HELP a_total A.\n# TYPE a_total counter\na_total 1\n")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert promtool("check", "metrics", text="a{ 1\n").returncode == 1


def test_amtool_judges_a_configuration(amtool: Callable[..., Any], tmp_path: Any) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("route: {receiver: nobody}\nreceivers: []\n")
    assert amtool("check-config", bad).returncode == 1
