"""What the wall says: tiles, verdict, incidents, promises."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.domain.incident import Incident, Telling
from sentinel.domain.rule import Severity
from sentinel.domain.target import Check, Target
from sentinel.engine.snapshot import Snapshot
from sentinel.web import text, wall
from sentinel.web.layout import Spot, layout
from sentinel.web.words import FOR_SCRIPT, LANGUAGES, words_of
from tests.support import fleet

CONFIG = fleet.configuration()
LAYOUT = layout(CONFIG)
ZH = LANGUAGES["zh-CN"]
EN = LANGUAGES["en"]


@pytest.mark.parametrize(
    ("states", "state", "partial"),
    [
        (["up"], "up", False),
        (["up", "unknown"], "up", True),
        (["unknown"], "unknown", False),
        (["unknown", "pending"], "unknown", False),
        (["up", "failing"], "failing", False),
        (["failing", "down", "unknown"], "down", False),
        (["unobserved"], "unobserved", False),
        (["unobserved", "pending"], "pending", False),
        ([], "pending", False),
    ],
)
def test_a_target_is_as_its_worst_known_check(states: list[str], state: str, *, partial: bool) -> None:
    assert wall.target_state(states) == (state, partial)


STATES = ("up", "down", "failing", "unknown", "pending", "unobserved")


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=5))
def test_a_tile_is_never_better_than_what_was_seen(states: list[str]) -> None:
    snapshot = Snapshot()
    for n, state in enumerate(states):
        target = Target(f"t{n}", "t", "198.18.0.1", "terminal", "internal")
        check = Check(f"t{n}.c", "c", target, "p", "tcp", None, 1.0, 1.0, "centre")
        snapshot.checks[check.id] = fleet.view(check, state)
    spot = Spot("x", "x", "", tuple((f"t{n}.c",) for n in range(len(states))))
    tile = wall.tile(spot, snapshot, ZH)
    for bad in ("down", "failing", "unknown"):
        if bad in states:
            assert tile["state"] == next(one for one in ("down", "failing", "unknown") if one in states)
            break
    else:
        assert (tile["state"] == "up") is ("up" in states)
    assert tile["word"] == ZH[tile["state"]]


@pytest.mark.parametrize(
    ("states", "note"),
    [
        ({}, "16/16"),
        ({"command-centre-set-01.tcp": "down", "command-centre-set-02.tcp": "down"}, "2/16 故障"),
        ({"command-centre-set-01.tcp": "failing"}, "1/16 待确认"),
        ({"command-centre-set-01.tcp": "unknown"}, "1/16 未知"),
        ({"command-centre-set-01.tcp": "unobserved"}, "15/16"),
    ],
)
def test_a_tile_counts_its_targets(states: dict[str, str], note: str) -> None:
    tile = wall.tile(LAYOUT.spots["venues/command-centre"], fleet.snapshot(CONFIG, states), ZH)
    assert tile["note"] == note


def test_every_check_is_on_the_wall_once() -> None:
    assert set(LAYOUT.by_check) == set(CONFIG.checks)
    assert all(len(spots) == 1 for spots in LAYOUT.by_check.values())


def test_what_fits_nowhere_is_shown_all_the_same() -> None:
    target = Target("odd", "奇怪", "198.18.0.9", "printer", "internal")
    check = replace(CONFIG.checks["core-switch.icmp"], id="odd.icmp", target=target)
    config = replace(CONFIG, targets={**CONFIG.targets, "odd": target}, checks={**CONFIG.checks, "odd.icmp": check})
    assert [spot.name for spot in layout(config).sections["other"][0].spots] == ["奇怪"]


def verdict(snapshot: Snapshot, undelivered: int = 0) -> dict[str, str]:
    return wall.verdict(LAYOUT, snapshot, undelivered, ZH)


def test_the_verdict_is_never_good_where_nothing_was_seen() -> None:
    assert verdict(fleet.snapshot(CONFIG))["text"] == "全部正常"
    assert verdict(fleet.snapshot(CONFIG, dict.fromkeys(CONFIG.checks, "pending")))["text"] == "尚无监测结果"
    assert verdict(fleet.snapshot(CONFIG, dict.fromkeys(CONFIG.checks, "unobserved")))["text"] == "尚无监测结果"
    blind = verdict(fleet.snapshot(CONFIG, dict.fromkeys(CONFIG.checks, "unknown")))
    assert (blind["text"], blind["state"]) == ("无法监测", "blind")


def test_the_verdict_counts_faults_that_people_are_told_of() -> None:
    snapshot = fleet.snapshot(CONFIG, {"hall-01.tcp": "failing"})
    snapshot.incident(fleet.incident(CONFIG.checks["hall-02.tcp"], severity=Severity.WARNING))
    snapshot.incident(fleet.incident(CONFIG.checks["hall-03.tcp"], telling=Telling.SUPPRESSED))
    snapshot.incident(fleet.ended(fleet.incident(CONFIG.checks["hall-04.tcp"])))
    said = verdict(snapshot, 2)
    assert (said["state"], said["text"]) == ("warn", "1 处故障")
    assert said["sub"].startswith("292 个对象在监测 · 1 个待确认")
    assert said["undelivered"] == "2 条告警未送达"
    snapshot.incident(fleet.incident(CONFIG.checks["hall-05.tcp"], severity=Severity.MAJOR))
    assert verdict(snapshot)["state"] == "bad"


def rows(incidents: Sequence[Incident]) -> dict[str, Any]:
    snapshot = fleet.snapshot(CONFIG)
    for one in incidents:
        snapshot.incident(one)
    return wall.incidents(CONFIG, snapshot, ZH)


def test_incidents_come_by_severity_then_age() -> None:
    checks = [CONFIG.checks[f"hall-0{n}.tcp"] for n in range(1, 5)]
    found = rows(
        [
            fleet.incident(checks[0], severity=Severity.WARNING, age=9000),
            fleet.incident(checks[1], severity=Severity.CRITICAL, age=10),
            fleet.incident(checks[2], severity=Severity.MAJOR, age=10),
            fleet.incident(checks[3], severity=Severity.MAJOR, age=100, telling=Telling.HELD),
        ]
    )
    assert [(row["id"], row["what"], row["where"].partition("tcp")[0]) for row in found["rows"]] == [
        ("i-hall-02-tcp", "建立连接：超时无应答", ""),
        ("i-hall-04-tcp", "建立连接：超时无应答", "核实上级设备中 · "),
        ("i-hall-03-tcp", "建立连接：超时无应答", ""),
        ("i-hall-01-tcp", "建立连接：超时无应答", ""),
    ]


def test_what_is_suppressed_under_nothing_told_has_a_row_of_its_own() -> None:
    hanging = [
        fleet.incident(CONFIG.checks[f"hall-0{n}.tcp"], telling=Telling.SUPPRESSED, cause="hall-switch")
        for n in range(1, 4)
    ]
    found = rows(hanging)
    [row] = found["rows"]
    assert (row["title"], row["hang"]) == ("应急指挥大厅接入交换机中断", "另有 3 项因此中断，未单独告警")


def test_what_was_told_comes_before_what_was_not() -> None:
    told = fleet.incident(CONFIG.checks["hall-09.tcp"], severity=Severity.WARNING)
    silent = fleet.incident(
        CONFIG.checks["hall-01.tcp"], severity=Severity.CRITICAL, telling=Telling.SUPPRESSED, cause="hall-switch"
    )
    assert [row["id"] for row in rows([silent, told])["rows"]] == [told.id, "cause/hall-switch"]


def test_pictures_that_are_waited_for_and_conferences_that_go_on_are_shown() -> None:
    more = {"retrieval": {"open": 2.0, "open_since_timestamp_seconds": 1e9}, "conference_rate": {"current": 1.0}}
    figures = [replace(one, counts={**one.counts, **more.get(one.kind, {})}) for one in fleet.figures()]
    retrieval, conferences, _ = wall.promises(figures, ZH)
    assert retrieval["running"] == {"text": "正在调取 2 处，已", "since": 1e9}
    assert conferences["lines"][-1] == "正在保障 1 场"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0002, "1 毫秒"),
        (0.005, "5 毫秒"),
        (0.0996, "0.1 秒"),
        (0.43, "0.4 秒"),
        (9.96, "10 秒"),
        (66.4, "66 秒"),
        (300.0, "300 秒"),
    ],
)
def test_measured_times(value: float, said: str) -> None:
    assert text.seconds(value, ZH) == said


def test_rows_that_do_not_fit_are_a_number() -> None:
    found = rows([fleet.incident(check, age=float(n)) for n, check in enumerate(list(CONFIG.checks.values())[:30])])
    assert len(found["rows"]) == 8
    assert (found["more"], found["open"]) == ("另有 22 处", 30)


def test_the_promises() -> None:
    kept = wall.promises(fleet.figures(), ZH)
    assert [(card["name"], card["big"], card["of"], card["lines"]) for card in kept] == [
        ("图像调取", "1.8 秒", "限 300 秒", ["本月最慢 214 秒", "本月超时 0 次"]),
        ("会议事故", "0 次", "本月已保障 23 场", ["允许 1 次", "剩余 1 次"]),
        ("可用率", "99.962%", "自定目标 99.9%", []),
    ]
    broken = wall.promises(fleet.figures(breaches=2, incidents=3), ZH)
    assert [card["kept"] for card in broken] == ["no", "no", "yes"]
    assert (broken[0]["big"], broken[1]["lines"][1]) == ("超时 2 次", "超出 2 次")


def test_promises_before_anything_was_measured() -> None:
    empty = [replace(figure, observed=None, counts={}) for figure in fleet.figures()]
    assert [card["big"] for card in wall.promises(empty, ZH)] == ["暂无", "0 次", "暂无"]
    assert [card["kept"] for card in wall.promises(empty, ZH)] == ["none", "none", "none"]
    assert wall.promises([], ZH) == []


def test_a_percentage_is_cut_not_rounded() -> None:
    nearly = [replace(figure, observed=0.9999999) for figure in fleet.figures() if figure.kind == "availability"]
    assert wall.promises(nearly, ZH)[0]["big"] == "99.999%"


def test_both_languages_say_everything() -> None:
    assert ZH.keys() == EN.keys()
    assert set(FOR_SCRIPT) <= ZH.keys()
    for name, said in ZH.items():
        fields = {part.partition("}")[0] for part in said.split("{")[1:]}
        assert fields == {part.partition("}")[0] for part in EN[name].split("{")[1:]}, name


def test_a_fault_of_the_daemon_itself_has_its_words() -> None:
    about_us = replace(fleet.incident(CONFIG.checks["hall-01.tcp"]), rule="store-failing", subject="daemon", target="")
    assert about_us.verdict is not None
    found = rows([replace(about_us, verdict=replace(about_us.verdict, stage="", code=""))])
    assert found["rows"][0]["what"] == "数据无法写入磁盘"


@pytest.mark.parametrize(
    ("asked", "locale", "lang"),
    [
        (None, "zh-CN", "zh-CN"),
        (None, "en", "en"),
        ("en-GB", "zh-CN", "en"),
        ("zh", "en", "zh-CN"),
        ("'<", "en", "zh-CN"),
    ],
)
def test_the_language_that_was_asked_for(asked: str | None, locale: str, lang: str) -> None:
    assert words_of(asked, locale)["lang"] == lang


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 秒"),
        (59.9, "59 秒"),
        (60, "1 分"),
        (3599, "59 分"),
        (3600, "1 小时"),
        (11520, "3 小时 12 分"),
        (187200, "2 天 4 小时"),
    ],
)
def test_spans(seconds: float, said: str) -> None:
    assert text.span(seconds, ZH) == said


def test_dates_are_of_beijing() -> None:
    assert text.date(1_793_000_000.0 + 3600 * 9, ZH) == "2026年10月27日 星期二"
    assert text.clock(1_793_000_000.0) == "15:33:20"


def test_signs_that_turn_text_around_are_shown_as_dots() -> None:
    assert text.shown("a\u202eb\u2066c\u200fd\x1be\nf") == "a·b·c·d·e·f"
    assert text.shown("长" * 300, 10) == "长" * 9 + "…"
