"""The lab's cameras show something wrong: the shipped rules name it, and the frame that was judged is kept."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import time
from itertools import chain
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from tests.acceptance.test_demo import Demo, demo
from tests.picture.labelled import RULES
from tests.support.daemon import free_port
from tests.support.webhook import WebhookReceiver

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(150)

SHOWN = {
    "picture-black": ("picture-dark", "画面过暗或黑屏"),
    "picture-frozen": ("picture-frozen", "画面冻结"),
    "picture-snow": ("picture-snow", "画面雪花噪声"),
    "picture-no-signal": ("picture-uniform", "无信号或单色画面"),
}
INTERVAL, RETRY, TAKES = 6, 2, 3
WITHIN = {
    # Two of three looks; a frozen picture is one that has stood for over 10 s, from its third look on.
    "picture-black": INTERVAL + RETRY + 2 * TAKES,
    "picture-frozen": 4 * INTERVAL + RETRY + 2 * TAKES,
    "picture-snow": INTERVAL + RETRY + 2 * TAKES,
    "picture-no-signal": INTERVAL + RETRY + 2 * TAKES,
}
"""Seconds: the shipped template's interval, the rules' retry, and what a look may take."""

INVENTORY = """\
zones:
  unassigned: {name: 网络待确认, vantage: centre}
targets:
"""


def write(folder: Path) -> Path:
    """A camera for each fault and one that is well, under the shipped rules and probes."""
    config = folder / "config"
    config.mkdir()
    for name in ("alerting.yaml", "sentinel.yaml"):
        shutil.copy(ROOT / "config" / name, config)
    shipped = YAML(typ="safe").load(ROOT / "config" / "sla.yaml")["rules"]
    rules = [rule for rule in shipped if rule["id"] in RULES]  # the others select what is not there
    YAML(typ="safe").dump({"rules": rules}, config / "sla.yaml")
    checks = f"{{picture: {{probe: hik-main-stream, interval: {INTERVAL}s, timeout: {TAKES}s}}}}"
    targets = [
        f"  - {{id: {name}, name: 摄像机{name}, address: 198.18.41.{n}, kind: camera, zone: unassigned,"
        f" checks: {checks}}}\n"
        for n, name in enumerate(("well", *SHOWN), start=1)
    ]
    (config / "inventory.yaml").write_text(INVENTORY + "".join(targets))
    return config


async def test_what_a_camera_shows_is_named_and_kept(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    arguments = {
        "--config": str(write(tmp_path)),
        "--probes": str(ROOT / "probes"),
        "--port": str(free_port()),
        "--webhook": webhook_receiver.url,
    }
    async with demo(tmp_path, *chain.from_iterable(arguments.items())) as running:
        async with asyncio.timeout(30):
            while set((await running.checks()).values()) != {"up"}:
                await asyncio.sleep(0.2)
        for fault in SHOWN:
            running.order("break", fault, fault)
        broken = time.monotonic()
        async with asyncio.timeout(max(WITHIN.values()) + 15):
            after: dict[str, float] = {}
            while len(after) < len(SHOWN):
                for one in await incidents(running):
                    after.setdefault(one["target"], time.monotonic() - broken)
                await asyncio.sleep(0.2)
        found = {one["target"]: one for one in await incidents(running)}
        assert {target: one["rule"] for target, one in found.items()} == {
            fault: rule for fault, (rule, _) in SHOWN.items()
        }
        for fault, (_, name) in SHOWN.items():
            [told] = [
                one
                for request in webhook_receiver.requests
                for one in request.json["alerts"]
                if one["labels"]["target"] == fault
            ]
            assert name in json.dumps(told["annotations"], ensure_ascii=False), told
            assert after[fault] <= WITHIN[fault] + 2, (fault, after)
            looks_like(fault, await evidence(running, found[fault]["id"]))
        running.order("heal")
        async with asyncio.timeout(60):
            while await incidents(running):
                await asyncio.sleep(0.5)


async def incidents(running: Demo) -> list[dict[str, Any]]:
    """Those that are open."""
    url = f"{running.url}api/v1/incidents?state=open"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        response.raise_for_status()
        found: list[dict[str, Any]] = (await response.json())["items"]
        return found


async def evidence(running: Demo, incident: str) -> Image.Image:
    """The one picture that hangs on it."""
    url = f"{running.url}api/v1/incidents/{incident}/evidence"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            [one, *_] = (await response.json())["items"]
        assert re.fullmatch(rf"/api/v1/incidents/{incident}/evidence/\d+", one["url"])
        async with session.get(running.url.rstrip("/") + one["url"]) as response:
            assert response.content_type == "image/jpeg"
            return Image.open(io.BytesIO(await response.read())).convert("RGB")


def looks_like(fault: str, picture: Image.Image) -> None:
    """The frame that is kept is the one that was judged."""
    assert picture.size == (640, 360)
    red, green, blue = np.asarray(picture).mean(axis=(0, 1))
    spread = np.asarray(picture).std()
    match fault:
        case "picture-black":
            assert max(red, green, blue) < 20
        case "picture-no-signal":
            assert blue - max(red, green) > 110
        case "picture-snow":
            assert spread > 25
        case _:
            assert min(red, green, blue) > 40
