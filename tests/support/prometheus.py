"""Prometheus and Alertmanager, with their tools."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.process import answers, running

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server that is ready."""

    url: str

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate PromQL now: the samples of the instant vector, each with "metric" and "value".

        Raises AssertionError with Prometheus's own words for a bad expression.
        """
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/query", params={"query": expression}) as response,
        ):
            answer = await response.json()
        assert answer["status"] == "success", answer["error"]
        result = answer["data"]["result"]
        if answer["data"]["resultType"] == "scalar":
            return [{"metric": {}, "value": result}]
        return list(result)

    async def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, each with "health" and "lastError"."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v1/targets") as response:
            answer = await response.json()
        return list(answer["data"]["activeTargets"])


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A server that is ready."""

    url: str

    async def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds, as its API v2 gives them."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v2/alerts") as response:
            response.raise_for_status()
            return list(await response.json())


@contextlib.contextmanager
def serve_prometheus(
    folder: Path,
    targets: Sequence[str] | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    interval: str = "200ms",
    rules: Sequence[Path] = (),
) -> Iterator[Prometheus]:
    """Run Prometheus, scraping `/metrics` of `targets` (host:port) or as `config`, a whole configuration, says."""
    executable = require("prometheus")
    whole = config or {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rule.resolve()) for rule in rules],
        "scrape_configs": [{"job_name": "sentinel", "static_configs": [{"targets": list(targets or ())}]}],
    }
    file = folder / "prometheus.json"
    file.write_text(json.dumps(whole), "utf-8")  # JSON is YAML
    url = f"http://{HOST}:{(port := free_port(HOST))}"
    command = [
        executable,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    ]
    with running(command, ready=lambda: answers(f"{url}/-/ready"), log=folder / "prometheus.log"):
        yield Prometheus(url)


@contextlib.contextmanager
def serve_alertmanager(
    folder: Path, webhook: str | None = None, *, config: Mapping[str, Any] | None = None
) -> Iterator[Alertmanager]:
    """Run Alertmanager, telling `webhook` of every alert at once, or as `config`, a whole configuration, says."""
    executable = require("alertmanager")
    receiver: dict[str, Any] = {"name": "test"}
    if webhook:
        receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
    whole = config or {
        "route": {"receiver": "test", "group_by": ["..."], "group_wait": "100ms", "group_interval": "200ms"},
        "receivers": [receiver],
    }
    file = folder / "alertmanager.json"
    file.write_text(json.dumps(whole), "utf-8")
    url = f"http://{HOST}:{(port := free_port(HOST))}"
    command = [
        executable,
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with running(command, ready=lambda: answers(f"{url}/-/ready"), log=folder / "alertmanager.log"):
        yield Alertmanager(url)


def run_tool(name: str, *arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool or amtool with `text` on its standard input; the caller judges how it ended."""
    return subprocess.run(
        [require(name), *map(str, arguments)], check=False, capture_output=True, text=True, input=text, timeout=15
    )
