"""The wall page in a real Chromium, over the shipped inventory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, expect

from sentinel.catalog import discover
from sentinel.config import load
from sentinel.config.configuration import Configuration
from sentinel.domain.incident import Telling
from sentinel.domain.rule import Severity
from sentinel.web import auth
from tests.support import fleet
from tests.support.browser import chromium
from tests.support.served import Centre, centre, served

ROOT = Path(__file__).parents[2]
WALL = ViewportSize(width=1920, height=1080)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),  # one browser for all: it takes seconds to start
    pytest.mark.timeout(60),
]


@pytest.fixture(scope="module")
def shipped() -> Configuration:
    return load(ROOT / "config", ROOT / "probes", catalog=discover())


@pytest.fixture
def one(shipped: Configuration) -> Centre:
    return centre(shipped)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    opened = await browser.new_page(viewport=WALL)
    said: list[str] = []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
    yield opened
    await opened.close()
    assert said == []


async def wall(page: Page, url: str, query: str = "") -> None:
    await page.goto(f"{url}{query}")
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")


def incident_of(one: Centre, check: str, **more: object) -> None:
    one.open(fleet.incident(one.configuration.checks[check], **more))  # type: ignore[arg-type]  # the test's own words


async def test_the_whole_fleet_is_on_the_wall(page: Page, one: Centre) -> None:
    async with served(one) as url:
        await wall(page, url)
        await expect(page.locator(".verdict strong")).to_have_text("全部正常")
        for section, tiles in (("venues", 12), ("image", 14), ("business", 45), ("network", 17), ("terminals", 103)):
            assert await page.locator(f".{section} [data-tile]").count() == tiles
        assert await page.locator('.terminals [data-state="unobserved"]').count() == 3
        assert (
            await page.locator('[data-state="down"]:not(.legend li), [data-state="unknown"]:not(.legend li)').count()
            == 0
        )
        await expect(page.locator(".none")).to_be_visible()


async def test_a_change_is_seen_without_a_reload(page: Page, one: Centre) -> None:
    async with served(one) as url:
        await wall(page, url)
        await page.evaluate("window.same = true")
        one.set_state("set-209.call", "down")
        incident_of(one, "set-209.call", severity=Severity.CRITICAL)
        tile = page.locator('[data-tile="venues/mr-209"]')
        await expect(tile).to_have_attribute("data-state", "down", timeout=2000)
        await expect(tile.locator(".word")).to_have_text("故障")
        await expect(page.locator(".verdict strong")).to_have_text("1 处故障")
        await expect(page.locator("#incidents .title")).to_have_text("209会议室会议终端")
        await expect(page.locator("#incidents .what")).to_have_text("建立连接：超时无应答")
        await expect(page.locator("#incidents .age")).to_have_text("10 分")
        one.set_state("set-209.call", "up")
        one.open(fleet.ended(fleet.incident(one.configuration.checks["set-209.call"])))
        await expect(tile).to_have_attribute("data-state", "up", timeout=2000)
        await expect(page.locator("#incidents li")).to_have_count(0)
        await expect(page.locator(".verdict strong")).to_have_text("全部正常")
        assert await page.evaluate("window.same"), "the page was loaded anew"


async def test_what_hangs_on_a_cause_is_a_line_under_it(page: Page, one: Centre) -> None:
    incident_of(one, "access-hall-2.agent", severity=Severity.MAJOR, age=100)
    for n in range(21, 41):
        incident_of(one, f"hall-{n}.desktop", telling=Telling.SUPPRESSED, cause="access-hall-2")
    incident_of(one, "biz-07.web", severity=Severity.CRITICAL, age=50)
    incident_of(one, "biz-08.web", severity=Severity.MAJOR, age=200)
    async with served(one) as url:
        await wall(page, url)
        assert await page.locator("#incidents .severity").all_inner_texts() == ["紧急", "重要", "重要"]
        assert await page.locator("#incidents .title").all_inner_texts() == [
            "业务系统07（名称待确认）",
            "业务系统08（名称待确认）",
            "指挥大厅接入交换机2",
        ]
        await expect(page.locator("#incidents li").nth(2).locator(".hang")).to_have_text(
            "另有 20 项因此中断，未单独告警"
        )


async def test_losing_the_daemon_is_said_in_big_words_and_mends_itself(page: Page, one: Centre) -> None:
    async with served(one) as url:
        await page.clock.install()
        await wall(page, url)
        await expect(page.locator("#lost")).to_be_hidden()
    await page.clock.run_for(11_000)
    await expect(page.locator("#lost")).to_be_hidden()
    await page.clock.run_for(4_000)
    await expect(page.locator("#lost strong")).to_have_text("与监控主机失去联系")
    await expect(page.locator("#lost strong")).to_be_visible()
    size = await page.locator("#lost strong").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    assert size >= 80
    await page.clock.run_for(60_000)
    await expect(page.locator("#lost span")).to_have_text("画面停在 1 分前")
    one.set_state("set-209.call", "down")
    async with served(one, port=urlsplit(url).port or 0):
        for _ in range(40):
            await page.clock.run_for(1_000)
            await asyncio.sleep(0.1)
            if await page.locator("#lost").is_hidden():
                break
        await expect(page.locator("#lost")).to_be_hidden()
        await expect(page.locator('[data-tile="venues/mr-209"]')).to_have_attribute("data-state", "down")


HOSTILE = '<script>window.hit=1</script><img src=x onerror="window.hit=1">"\'\u202e\u2066]]>-->'


async def test_hostile_text_is_inert(page: Page, one: Centre) -> None:
    config = one.configuration
    target = replace(config.targets["set-209"], name=HOSTILE)
    venues = {**config.venues, "mr-209": replace(config.venues["mr-209"], name=HOSTILE)}
    rooms = {**config.rooms, "hall": replace(config.rooms["hall"], name=HOSTILE)}
    one.configuration = replace(config, venues=venues, rooms=rooms, targets={**config.targets, "set-209": target})
    check = replace(config.checks["set-209.call"], target=target)
    one.open(fleet.incident(check))
    async with served(one) as url:
        await wall(page, url)  # drawn by the template, then by the script
        await expect(page.locator("#incidents .title")).to_contain_text("<script>")
        one.open(replace(fleet.incident(check), title=f"2{HOSTILE}"))
        await expect(page.locator("#incidents .title")).to_contain_text("2<script>")
        assert await page.evaluate("window.hit") is None
        assert await page.locator("main script, main img").count() == 0
        assert "\u202e" not in await page.locator("main").inner_text()


@pytest.mark.parametrize("query", ["", "?lang=en"])
async def test_nothing_is_cut_and_nothing_scrolls(page: Page, one: Centre, query: str) -> None:
    for n, check in enumerate(list(one.configuration.checks)[60:90]):
        one.open(fleet.incident(one.configuration.checks[check], age=100.0 + n))
    one.set_state("set-safety-01.call", "down")
    one.set_state("img-05-cam-1.picture", "failing")
    one.store.undelivered_by_channel = {"desk": 12}
    one.snapshot.sla = fleet.figures(breaches=3, incidents=2)
    async with served(one) as url:
        await wall(page, url, query)
        assert await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [
            1920,
            1080,
        ]
        cut = await page.evaluate(
            """[...document.querySelectorAll("header > *, main, .panel, .rooms, #incidents, #promises")]
               .filter((e) => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 8)
               .map((e) => `${e.className || e.id || e.tagName} ${e.scrollHeight} > ${e.clientHeight}`)"""
        )
        assert cut == []
        small = await page.evaluate(
            """[...document.querySelectorAll(".tile, .squares li, #incidents li")]
               .map((e) => e.getBoundingClientRect())
               .filter((box) => box.right > 1920 || box.bottom > 1080 || box.width < 16 || box.height < 16).length"""
        )
        assert small == 0


async def test_english(page: Page, one: Centre) -> None:
    async with served(one) as url:
        await wall(page, url)
        await page.get_by_role("link", name="English").click()
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await expect(page.locator("#live")).to_have_attribute("data-state", "live")
        await expect(page.locator(".verdict strong")).to_have_text("All well")
        one.set_state("set-209.call", "down")
        await expect(page.locator('[data-tile="venues/mr-209"] .word')).to_have_text("Fault")


async def test_without_a_script_the_page_is_whole_and_comes_again(browser: Browser, one: Centre) -> None:
    incident_of(one, "set-209.call")
    context = await browser.new_context(java_script_enabled=False, viewport=WALL)
    async with served(one) as url:
        page = await context.new_page()
        await page.goto(url)
        await expect(page.locator("#incidents .title")).to_have_text("209会议室会议终端")
        await expect(page.locator("#incidents .age")).to_have_text("10 分")
        await expect(page.locator("#live")).to_contain_text("每 10 秒刷新")
        assert '<meta http-equiv="refresh" content="10">' in await page.content()


async def test_a_new_configuration_draws_the_page_anew(page: Page, one: Centre) -> None:
    async with served(one) as url:
        await wall(page, url)
        config = one.configuration
        gone = "biz-45.web"
        one.configuration = replace(
            config,
            checks={name: check for name, check in config.checks.items() if name != gone},
            targets={name: target for name, target in config.targets.items() if name != "biz-45"},
        )
        del one.snapshot.checks[gone]
        one.snapshot.swapped()
        await expect(page.locator(".business [data-tile]")).to_have_count(44)
        await expect(page.locator("#live")).to_have_attribute("data-state", "live")


async def test_a_browser_signs_in(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "WRONG_TOKEN_PAUSE", 0.0)
    async with served(centre(token="a-token-of-the-test")) as url:
        page = await browser.new_page()
        await page.goto(url)
        await page.locator("input").fill("wrong")
        await page.locator("button").click()
        await expect(page.get_by_role("alert")).to_have_text("令牌不正确")
        await page.locator("input").fill("a-token-of-the-test")
        await page.locator("button").click()
        await expect(page.locator("#live")).to_have_attribute("data-state", "live")
